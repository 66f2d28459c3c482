"""Normalisation of arrays: statistics, scale and shift in few passes, and the ways back.

Rows are (N, C), normalised each by itself; channels are (N, C, L), each normalised over N and L; groups are (N, C, L), the
channels of a group normalised together with L. A sum over rows or columns is a product with a vector, several times faster than
NumPy's reduction. The gradient in x is a * g + b * x + c with numbers per row or channel, so nothing but x is kept.
"""

from __future__ import annotations

import numpy as np

from lamina.primitives.kernels.rows import blocks, unbuffered
from lamina.primitives.kernels.windows import Array, scratch

NARROW = 64  # positions per channel; below, numbers per channel are spread out so that inner loops are long

Needs = tuple[bool, ...]


def row_norm(x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
    """(x - mean) * rstd * weight + bias for each row of x (N, C), the means (N) and reciprocal deviations (N)."""
    n, width = x.shape
    y, mean, rstd = np.empty(x.shape, x.dtype), np.empty(n, x.dtype), np.empty(n, x.dtype)
    share = np.full(width, 1 / width, x.dtype)
    with unbuffered(width):
        for rows in blocks(n, x[:1].nbytes):
            out = y[rows]
            m = np.matmul(x[rows], share, out=mean[rows])
            np.subtract(x[rows], m[:, None], out=out)
            r = rstd[rows]
            r[...] = 1 / np.sqrt(np.vecdot(out, out) / width + eps)
            out *= r[:, None]
            if weight is not None:
                out *= weight
            if bias is not None:
                out += bias
    return y, mean, rstd


def row_norm_grad(
    g: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, needs: Needs
) -> tuple[Array | None, Array | None, Array | None]:
    """The gradients of `row_norm` in x, weight and bias, those that `needs` asks for."""
    n, width = x.shape
    dx = np.empty(x.shape, x.dtype) if needs[0] else None
    dw = np.zeros(width, x.dtype) if needs[1] else None
    db = np.zeros(width, x.dtype) if needs[2] else None
    factors = np.ones(width, x.dtype) if weight is None else weight
    with unbuffered(width):
        for rows in blocks(n, x[:1].nbytes):
            part, m, r = g[rows], mean[rows], rstd[rows]
            product = np.multiply(part, x[rows], out=scratch("norm", part.shape, x.dtype))
            if dw is not None:
                dw += r @ product - (r * m) @ part
            if db is not None:
                db += np.ones(len(part), x.dtype) @ part
            if dx is None:
                continue
            out = dx[rows]
            total = part @ factors
            b = (total * m - product @ factors) * r * r * r / width
            c = -b * m - total * r / width
            np.multiply(part, factors, out=out)
            out *= r[:, None]
            out += np.multiply(x[rows], b[:, None], out=product)
            out += c[:, None]
    return dx, dw, db


def channel_statistics(x: Array) -> tuple[Array, Array]:
    """Mean and variance (without correction) of each channel of x (N, C, L)."""
    count = x.shape[0] * x.shape[2]
    mean = _channel_sums(x) / count
    spread, var = _spread(mean, x), np.zeros(x.shape[1], x.dtype)
    for images in blocks(len(x), x[:1].nbytes):
        flat = _flat(x, images)
        centered = np.subtract(flat, spread, out=scratch("norm", flat.shape, x.dtype)).reshape(-1, *x.shape[1:])
        var += _channel_products(centered, centered)
    return mean, var / count


def scaled(x: Array, scale: Array, shift: Array | None) -> Array:
    """x * scale + shift, numbers per channel (C) or per sample and channel (N, C); x is (N, C, L)."""
    y = np.empty(x.shape, x.dtype)
    for images in blocks(len(x), x[:1].nbytes):
        out = _flat(y, images)
        np.multiply(_flat(x, images), _spread(scale, x, images), out=out)
        if shift is not None:
            out += _spread(shift, x, images)
    return y


def channel_norm_grad(
    g: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, needs: Needs, moving: bool
) -> tuple[Array | None, Array | None, Array | None]:
    """The gradients in x, weight and bias; not `moving`: mean and rstd do not depend on x."""
    total, product = _channel_sums(g), _channel_products(g, x)
    dw, db = (product - mean * total) * rstd if needs[1] else None, total if needs[2] else None
    if not needs[0]:
        return None, dw, db
    scale = rstd if weight is None else rstd * weight
    if not moving:
        return scaled(g, scale, None), dw, db
    count = x.shape[0] * x.shape[2]
    b = (total * mean - product) * rstd * rstd * scale / count
    return _combined(g, x, scale, b, -b * mean - total * scale / count), dw, db


def group_norm(
    x: Array, weight: Array | None, bias: Array | None, groups: int, eps: float
) -> tuple[Array, Array, Array]:
    """Groups of channels of x (N, C, L) normalised, scaled and shifted; means and reciprocal deviations (N, groups)."""
    n, channels, length = x.shape
    mean, rstd = _row_statistics(x.reshape(n * groups, channels // groups * length), eps)
    scale, shift = (np.repeat(v.reshape(n, groups), channels // groups, 1) for v in (rstd, -mean * rstd))
    if weight is not None:
        scale, shift = scale * weight, shift * weight
    if bias is not None:
        shift = shift + bias
    return scaled(x, scale, shift), mean.reshape(n, groups), rstd.reshape(n, groups)


def _row_statistics(x: Array, eps: float) -> tuple[Array, Array]:
    mean, rstd = x @ np.full(x.shape[1], 1 / x.shape[1], x.dtype), np.empty(len(x), x.dtype)
    for rows in blocks(len(x), x[:1].nbytes):
        centered = np.subtract(x[rows], mean[rows, None], out=scratch("norm", x[rows].shape, x.dtype))
        rstd[rows] = 1 / np.sqrt(np.vecdot(centered, centered) / x.shape[1] + eps)
    return mean, rstd


def group_norm_grad(
    g: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, needs: Needs
) -> tuple[Array | None, Array | None, Array | None]:
    """The gradients of `group_norm` in x, weight and bias."""
    n, channels, length = x.shape
    groups = mean.shape[1]
    within = (n, groups, channels // groups)
    total = (
        g.sum(2)
        if length < NARROW
        else (g.reshape(n * channels, length) @ np.ones(length, g.dtype)).reshape(n, channels)
    )
    product = np.vecdot(g, x)
    m, r = (np.repeat(v, channels // groups, 1) for v in (mean, rstd))
    dw, db = ((product - total * m) * r).sum(0) if needs[1] else None, total.sum(0) if needs[2] else None
    if not needs[0]:
        return None, dw, db
    if weight is not None:
        total, product = total * weight, product * weight
    total, product = total.reshape(within).sum(2), product.reshape(within).sum(2)
    count = channels // groups * length
    b = (total * mean - product) * rstd * rstd * rstd / count
    c = -b * mean - total * rstd / count
    b, c = (np.repeat(v, channels // groups, 1) for v in (b, c))
    return _combined(g, x, r if weight is None else r * weight, b, c), dw, db


def _combined(g: Array, x: Array, a: Array, b: Array, c: Array) -> Array:
    """a * g + b * x + c, numbers as in `scaled`."""
    y = np.empty(x.shape, x.dtype)
    for images in blocks(len(x), x[:1].nbytes):
        out, part = _flat(y, images), _flat(x, images)
        np.multiply(_flat(g, images), _spread(a, x, images), out=out)
        out += np.multiply(part, _spread(b, x, images), out=scratch("norm", part.shape, x.dtype))
        out += _spread(c, x, images)
    return y


def _flat(x: Array, images: slice) -> Array:
    """Images (n, C, L) as they are, or with the channels in one row (n, C * L) where L is small."""
    return x[images].reshape(-1, x.shape[1] * x.shape[2]) if x.shape[2] < NARROW else x[images]


def _spread(values: Array, x: Array, images: slice = slice(None)) -> Array:
    """Numbers per channel, or per image and channel, as they broadcast with `_flat`."""
    if values.ndim == 2:
        values = values[images]
    return np.repeat(values, x.shape[2], -1) if x.shape[2] < NARROW else values[..., None]


def _channel_sums(x: Array) -> Array:
    n, channels, length = x.shape
    if length < NARROW:
        sums: Array = np.ones(n, x.dtype) @ x.reshape(n, channels * length)
        return sums if length == 1 else sums.reshape(channels, length).sum(1)
    total: Array = (x.reshape(n * channels, length) @ np.ones(length, x.dtype)).reshape(n, channels).sum(0)
    return total


def _channel_products(x: Array, y: Array) -> Array:
    if x.shape[2] < NARROW:
        products: Array = np.einsum("nc,nc->c", x.reshape(len(x), -1), y.reshape(len(x), -1))
        return products.reshape(x.shape[1:]).sum(1)  # type: ignore[no-any-return]
    total: Array = np.vecdot(x, y).sum(0)
    return total
