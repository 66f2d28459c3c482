"""Sliding blocks as columns and back: the arrays behind `unfold` and `fold`.

x is (N, C, *space), columns (N, C * prod(kernel), positions). Argument order is PyTorch's (dilation before padding).
"""

import math

import numpy as np

from lamina.primitives.kernels.windows import Array, Sizes, at_tap, inner, padded, tap_slices, window_outputs, windows


def im2col(x: Array, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Array:
    """Every block of x as a column."""
    outputs = window_outputs(x.shape[2:], kernel, stride, padding, dilation)
    view = windows(padded(x, padding), kernel, outputs, stride, dilation)
    return np.ascontiguousarray(view).reshape(len(x), x.shape[1] * math.prod(kernel), math.prod(outputs))


def col2im(columns: Array, space: Sizes, kernel: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Array:
    """The adjoint of `im2col`: overlapping blocks add up. -> (N, C, *space)."""
    outputs = window_outputs(space, kernel, stride, padding, dilation)
    channels = columns.shape[1] // math.prod(kernel)
    blocks = columns.reshape(len(columns), channels, *kernel, *outputs)
    larger = (size + 2 * p for size, p in zip(space, padding, strict=True))
    x = np.zeros((len(columns), channels, *larger), columns.dtype)
    for tap in np.ndindex(kernel):
        part = x[tap_slices(tap, outputs, stride, dilation)]
        part += blocks[at_tap(tap, 2)]
    return np.ascontiguousarray(x[inner(space, padding)])
