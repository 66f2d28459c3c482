"""Depthwise convolution (one filter per channel): multiply and add per kernel position, without columns.

At stride 1 positions are numbered as in the padded image ("lanes"), so that a kernel position is a shift of one long
run per channel; what lies between the end of an output row and the end of an image row is computed and dropped, or
meets a gradient of zero (so beside an infinite input the weight's gradient may hold more NaNs than the definition's).
`x` is padded already. The general case is convolution.py, which calls this.
"""

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from lamina.primitives.kernels.windows import Array, Sizes, at_tap, corner, scratch, tap_slices, tiles, windows


def forward(x: Array, w: Array, y: Array, stride: Sizes, dilation: Sizes) -> Array:
    """Fill y (N, C, *outputs) from the padded x (N, C, *space) and w (C, 1, *kernel)."""
    pitched, kernel, outputs = _is_pitched(stride), w.shape[2:], y.shape[2:]
    view = _lanes(x, kernel, outputs, dilation) if pitched else windows(x, kernel, outputs, stride, dilation)
    for images in _groups(x):
        part = view[images]
        shape = (*part.shape[:2], *part.shape[2 + len(kernel) :])
        product = scratch("columns", shape, y.dtype)
        wide, total = _wide(len(part), x, outputs, y.dtype) if pitched else (None, y[images])
        for i, (tap, factor) in enumerate(_taps(w, product.ndim)):
            source = part[at_tap(tap, 2)]
            if i == 0:
                np.multiply(source, factor, out=total)
            else:
                total += np.multiply(source, factor, out=product)
        if wide is not None:
            y[images] = wide
    return y


def input_grad(g: Array, w: Array, x: Array, stride: Sizes, dilation: Sizes) -> None:
    """Add to the padded x (N, C, *space) what g (N, C, *outputs) gives back through w."""
    pitched, outputs = _is_pitched(stride), g.shape[2:]
    for images in _groups(x):
        source, target = g[images], x[images]
        if pitched:
            source = _widened(source, x, outputs)
            target = target.reshape(*target.shape[:2], -1)
        product = scratch("columns", source.shape, x.dtype)
        for tap, factor in _taps(w, source.ndim):
            if pitched:
                start = _shift(tap, x.shape[2:], dilation)
                part = target[:, :, start : start + source.shape[2]]
            else:
                part = target[tap_slices(tap, outputs, stride, dilation)]
            part += np.multiply(source, factor, out=product)


def weight_grad(g: Array, x: Array, total: Array, stride: Sizes, dilation: Sizes) -> Array:
    """Add to `total` (C, 1, *kernel) the gradient from g (N, C, *outputs) and the padded x."""
    pitched, kernel, outputs = _is_pitched(stride), total.shape[2:], g.shape[2:]
    view = _lanes(x, kernel, outputs, dilation) if pitched else windows(x, kernel, outputs, stride, dilation)
    for images in _groups(x):
        part, source = view[images], g[images]
        if pitched:
            source = _widened(source, x, outputs)
            source = source.reshape(*source.shape[:2], *[1] * len(kernel), -1)
            # vecdot conjugates its first argument
            total[:, 0] += np.vecdot(source.conj() if source.dtype.kind == "c" else source, part).sum(0)
            continue
        product = scratch("columns", source.shape, total.dtype)
        for tap in np.ndindex(kernel):
            np.multiply(source, part[at_tap(tap, 2)], out=product)
            total[:, 0][at_tap(tap, 1)] += product.sum((0, *range(2, g.ndim)))
    return total


def _is_pitched(stride: Sizes) -> bool:
    return set(stride) == {1}


def _lanes(x: Array, kernel: Sizes, outputs: Sizes, dilation: Sizes) -> Array:
    """The view (N, C, *kernel, lanes) of a padded x, whose outputs are found by `_wide`."""
    x = np.ascontiguousarray(x)
    steps = (step * d for step, d in zip(x.strides[2:], dilation, strict=True))
    lanes = _count(outputs, x.shape[2:])
    return as_strided(x, (*x.shape[:2], *kernel, lanes), (*x.strides[:2], *steps, x.itemsize), writeable=False)


def _wide(images: int, x: Array, outputs: Sizes, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """A work buffer, seen as the outputs (images, C, *outputs) and as the lanes (images, C, lanes)."""
    shape = (images, x.shape[1], outputs[0], *x.shape[3:])
    buffer = scratch("merged", shape, dtype)
    lanes = buffer.reshape(*shape[:2], -1)[:, :, : _count(outputs, x.shape[2:])]
    return buffer[corner(outputs)], lanes


def _widened(g: Array, x: Array, outputs: Sizes) -> Array:
    wide, lanes = _wide(len(g), x, outputs, g.dtype)
    lanes[...] = 0
    wide[...] = g
    return lanes


def _count(outputs: Sizes, space: Sizes) -> int:
    """Lanes from the first output to the last."""
    return 1 + _shift(tuple(o - 1 for o in outputs), space, (1,) * len(space))


def _shift(tap: Sizes, space: Sizes, dilation: Sizes) -> int:
    pitch = (math.prod(space[i + 1 :]) for i in range(len(space)))
    return sum(t * d * p for t, d, p in zip(tap, dilation, pitch, strict=True))


def _taps(w: Array, ndim: int) -> list[tuple[Sizes, Array]]:
    """Each kernel position with its weights, shaped to multiply (images, C, ...)."""
    ones = [1] * (ndim - 2)
    return [(tap, w[:, 0][at_tap(tap, 1)].reshape(-1, *ones)) for tap in np.ndindex(w.shape[2:])]


def _groups(x: Array) -> list[slice]:
    return [images for images, _ in tiles(len(x), 1, 4 * x[:1].nbytes)]
