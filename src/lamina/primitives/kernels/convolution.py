"""Convolution (cross-correlation) and its two adjoints on arrays, for any number of spatial dimensions.

Every function is a matrix product with a column buffer (one column per output position, one row per channel and kernel
position). How it is made cheap, with what was measured:

* the batch is cut into tiles whose columns stay in the second-level cache;
* the forward product writes each image straight into the result, unless images are so small that the weights would be
  read again for little work: then the images of a tile are merged into one product;
* the input gradient at stride 1 keeps the row pitch of the padded image in its columns, so that adding a kernel
  position's share is one long run per channel instead of one run per row (up to 1.4 times faster); with no fewer input
  than output channels it is the convolution of the gradient with the turned kernel (another 1.3 times);
* the forward sums run over channels within kernel positions, as PyTorch's do: rounded alike, near ties of a
  max-pooling behind it are mostly decided alike, and training stays together longer;
* one-by-one kernels need no columns; depthwise kernels no matrix product (depthwise.py).

A transposed convolution is `conv_input_grad` with the output's shape given (`output_padding` is part of it).
"""

import math

import numpy as np

from lamina.primitives.kernels import depthwise, products
from lamina.primitives.kernels.windows import (
    Array,
    Sizes,
    at_tap,
    corner,
    inner,
    padded,
    scratch,
    tap_slices,
    tiles,
    window_outputs,
    windows,
)

MERGE_BELOW = 64  # output positions per image
TURN_FROM = 16  # input channels per group: fewer make a thin, slow matrix product
PITCH_WASTE = 2.0  # largest ratio of pitched to true positions that still pays


def conv_forward(x: Array, w: Array, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int = 1) -> Array:
    """x (N, C, *space), w (O, C / groups, *kernel) -> (N, O, *outputs), in the dtype of the arguments."""
    kernel, dtype = w.shape[2:], np.result_type(x, w)
    outputs = window_outputs(x.shape[2:], kernel, stride, padding, dilation)
    y = np.empty((x.shape[0], w.shape[0], *outputs), dtype)
    if not y.size or not w.size:
        y[...] = 0
        return y
    x = padded(x, padding)
    if _depthwise(w, groups):
        return depthwise.forward(x, w, y, stride, dilation)
    weights = w.reshape(groups, w.shape[0] // groups, -1)
    flat = y.reshape(x.shape[0], *weights.shape[:2], -1)
    if _pointwise(kernel, stride):
        products.matmul(weights, x.reshape(x.shape[0], groups, weights.shape[2], -1), out=flat)
        return y
    view = windows(x, kernel, outputs, stride, dilation)
    width, merge = math.prod(outputs[1:]), math.prod(outputs) < MERGE_BELOW
    row_bytes = _column_bytes(view, kernel) * width
    if groups == 1:
        view = np.moveaxis(view, 1, len(kernel) + 1)
        weights = np.moveaxis(w, 1, -1).reshape(weights.shape)

    def tile(images: slice, band: slice) -> None:
        target = flat[..., band.start * width : band.stop * width][images]
        if merge:
            product = weights @ _merged_columns(view, images, band, weights)
            target[...] = product.reshape(*product.shape[:2], len(target), -1).transpose(2, 0, 1, 3)
        else:
            np.matmul(weights, _columns(view, images, band, weights), out=target)

    jobs = [(images, band) for images, bands in tiles(x.shape[0], outputs[0], row_bytes) for band in bands]
    products.each(tile, jobs, y.size * weights.shape[2])
    return y


def conv_weight_grad(
    g: Array, x: Array, w_shape: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int = 1
) -> Array:
    """The adjoint of `conv_forward` in w: g (N, O, *outputs), x (N, C, *space) -> `w_shape`."""
    kernel, outputs, dtype = w_shape[2:], g.shape[2:], np.result_type(g, x)
    total = np.zeros(w_shape, dtype)
    if not g.size or not total.size:
        return total
    x = padded(x, padding)
    if _depthwise(total, groups):
        return depthwise.weight_grad(g, x, total, stride, dilation)
    view = windows(x, kernel, outputs, stride, dilation)
    weights = total.reshape(groups, w_shape[0] // groups, -1)
    width, positions = math.prod(outputs[1:]), math.prod(outputs)
    merge = positions < max(MERGE_BELOW, weights.shape[2])
    for images, bands in tiles(x.shape[0], outputs[0], _column_bytes(view, kernel) * width):
        for band in bands:
            part = g[images, :, band]
            if merge:
                columns = _merged_columns(view, images, band, weights)
                weights += (columns @ _merged(part, groups).swapaxes(1, 2)).swapaxes(1, 2)
            else:
                columns = _columns(view, images, band, weights)
                shares = columns @ part.reshape(len(part), *weights.shape[:2], -1).swapaxes(2, 3)
                weights += shares.sum(0).swapaxes(1, 2)
    return total


def conv_input_grad(
    g: Array, w: Array, x_shape: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int = 1
) -> Array:
    """The adjoint of `conv_forward` in x: g (N, O, *outputs), w (O, C / groups, *kernel) -> `x_shape`."""
    kernel, outputs, dtype = w.shape[2:], g.shape[2:], np.result_type(g, w)
    if not g.size or not w.size:
        return np.zeros(x_shape, dtype)
    if _pointwise(kernel, stride) and not any(padding):
        turned = w.reshape(groups, -1, w.shape[1]).swapaxes(1, 2)
        return products.matmul(turned, g.reshape(len(g), groups, turned.shape[2], -1)).reshape(x_shape)
    spread = tuple(d * (k - 1) - p for k, p, d in zip(kernel, padding, dilation, strict=True))
    if set(stride) == {1} and min(spread) >= 0 and w.shape[1] >= max(TURN_FROM, w.shape[0] // groups):
        return conv_forward(g, _turned(w, groups), stride, spread, dilation, groups)
    space = tuple(size + 2 * p for size, p in zip(x_shape[2:], padding, strict=True))
    x = np.empty(x_shape, dtype)
    if _depthwise(w, groups):
        larger = np.zeros((*x_shape[:2], *space), dtype)
        depthwise.input_grad(g, w, larger, stride, dilation)
        x[...] = larger[inner(x_shape[2:], padding)]
        return x
    pitched = set(stride) == {1} and math.prod(space[1:]) <= PITCH_WASTE * math.prod(outputs[1:])
    scatter = _scatter_pitched if pitched else _scatter_strided
    width = math.prod(space[1:] if pitched else outputs[1:])
    turned = w.reshape(groups, w.shape[0] // groups, -1).swapaxes(1, 2)
    row_bytes = x_shape[1] * math.prod(kernel) * width * dtype.itemsize

    def tile(images: slice, bands: list[slice]) -> None:
        larger = np.zeros((x_shape[1], len(g[images]), math.prod(space) + math.prod(space[1:])), dtype)
        for band in bands:
            scatter(g[images, :, band], turned, larger, band.start, space, kernel, stride, dilation)
        larger = larger[..., : math.prod(space)].reshape(*larger.shape[:2], *space)
        x[images] = larger[inner(x_shape[2:], padding)].swapaxes(0, 1)

    products.each(tile, list(tiles(len(g), outputs[0], row_bytes)), g.size * turned.shape[1])
    return x


def _pointwise(kernel: Sizes, stride: Sizes) -> bool:
    return math.prod(kernel) == math.prod(stride) == 1


def _depthwise(w: Array, groups: int) -> bool:
    return groups > 1 and w.shape[0] == groups and w.shape[1] == 1


def _turned(w: Array, groups: int) -> Array:
    """The kernel that carries gradients back: input and output channels exchanged, every spatial dimension reversed."""
    split = np.flip(w, tuple(range(2, w.ndim))).reshape(groups, -1, *w.shape[1:]).swapaxes(1, 2)
    return np.ascontiguousarray(split).reshape(-1, *split.shape[2:])


def _column_bytes(view: Array, kernel: Sizes) -> int:
    return int(view.shape[1] * math.prod(kernel) * view.dtype.itemsize)


def _columns(view: Array, images: slice, band: slice, weights: Array) -> Array:
    """One column matrix per image and group: (images, groups, rows of a column, positions)."""
    part = _banded(view, images, band)
    columns = scratch("columns", part.shape, part.dtype)
    np.copyto(columns, part)
    return columns.reshape(len(part), weights.shape[0], weights.shape[2], -1)


def _merged_columns(view: Array, images: slice, band: slice, weights: Array) -> Array:
    """One column matrix per group for all images of the tile: (groups, rows of a column, images * positions)."""
    part = np.moveaxis(_banded(view, images, band), 0, view.ndim // 2)
    columns = scratch("columns", part.shape, part.dtype)
    np.copyto(columns, part)
    return columns.reshape(weights.shape[0], weights.shape[2], -1)


def _banded(view: Array, images: slice, band: slice) -> Array:
    rows = view.ndim // 2 + 1  # (batch, channels, *kernel, rows, ...)
    return view[(images, *[slice(None)] * (rows - 1), band)]


def _merged(g: Array, groups: int) -> Array:
    """(images, O, *positions) as (groups, O / groups, images * positions)."""
    copy = scratch("merged", (g.shape[1], len(g), *g.shape[2:]), g.dtype)
    np.copyto(copy, g.swapaxes(0, 1))
    return copy.reshape(groups, g.shape[1] // groups, -1)


def _scatter_strided(
    g: Array, turned: Array, x: Array, row: int, space: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes
) -> None:
    """Add to x (C, images, flat space) what the output rows from `row` on give back."""
    columns = _products(turned, _merged(g, len(turned))).reshape(len(x), *kernel, len(g), *g.shape[2:])
    x = x[..., : math.prod(space)].reshape(*x.shape[:2], *space)[:, :, row * stride[0] :]
    for tap in np.ndindex(kernel):
        part = x[tap_slices(tap, g.shape[2:], stride, dilation)]
        part += columns[at_tap(tap, 1)]


def _scatter_pitched(
    g: Array, turned: Array, x: Array, row: int, space: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes
) -> None:
    """The same at stride 1. Positions are numbered as in the padded image, so a kernel position is a shift; those that
    are no output hold a gradient of zero (times an infinite weight: a NaN at the image's edge that the definition
    does not have)."""
    wide = scratch("merged", (g.shape[1], len(g), g.shape[2], *space[1:]), g.dtype)
    wide[...] = 0
    wide[corner(g.shape[3:])] = g.swapaxes(0, 1)
    columns = _products(turned, wide.reshape(len(turned), turned.shape[2], -1)).reshape(len(x), *kernel, len(g), -1)
    pitch = [math.prod(space[i + 1 :]) for i in range(len(space))]
    for tap in np.ndindex(kernel):
        start = row * pitch[0] + sum(t * d * p for t, d, p in zip(tap, dilation, pitch, strict=True))
        part = x[:, :, start : start + columns.shape[-1]]
        part += columns[at_tap(tap, 1)]


def _products(turned: Array, g: Array) -> Array:
    dtype = np.result_type(turned, g)
    return np.matmul(turned, g, out=scratch("columns", (*turned.shape[:2], g.shape[2]), dtype))
