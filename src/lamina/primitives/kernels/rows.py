"""Softmax, its logarithm and cross entropy of the rows of (N, C) arrays, and the ways back, in few passes.

A block of rows stays in cache from pass to pass; sums of rows are products with a vector. Here: arrays. Not here: other
dimensions than the last, checks, the recorded forms of the gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from lamina.primitives.kernels import sums
from lamina.primitives.kernels.windows import Array, scratch
from lamina.primitives.large import large_call

BLOCK_BYTES = 1 << 18
SMALL = 4096  # elements
LONG = 512  # elements; from here on NumPy's iterator does better without its buffer


class unbuffered:
    """For operations of (N, width) with (N, 1): with its usual buffer NumPy copies rows together, which costs twice the work."""

    __slots__ = ("before", "width")

    def __init__(self, width: int) -> None:
        self.width, self.before = width, 0

    def __enter__(self) -> None:
        if self.width >= LONG:
            self.before = np.setbufsize(LONG)

    def __exit__(self, *error: object) -> None:
        if self.before:
            np.setbufsize(self.before)


def blocks(n: int, nbytes: int) -> Iterator[slice]:
    """`n` rows of `nbytes` each, cut into parts that stay in cache."""
    step = max(1, BLOCK_BYTES // max(1, nbytes))
    for start in range(0, n, step):
        yield slice(start, start + step)


def softmax(x: Array) -> Array:
    """exp(x) over its sum, for each row."""
    y = np.empty(x.shape, x.dtype)
    if x.size < SMALL:
        y /= _powers(x, y)[1][:, None]
        return y
    with unbuffered(x.shape[1]):
        for rows in blocks(len(x), x[:1].nbytes):
            out = y[rows]
            out /= _powers(x[rows], out)[1][:, None]
    return y


def softmax_grad(g: Array, y: Array) -> Array:
    """The gradient of `softmax` from its result."""
    if y.size < SMALL:
        dx = np.multiply(g, y)
        dx -= y * _added(dx)[:, None]
        return dx
    dx = np.empty(y.shape, y.dtype)
    with unbuffered(y.shape[1]):
        for rows in blocks(len(y), y[:1].nbytes):
            out = dx[rows]
            np.subtract(g[rows], np.vecdot(g[rows], y[rows])[:, None], out=out)
            out *= y[rows]
    return dx


def log_softmax(x: Array) -> Array:
    """log(softmax(x)), for each row."""
    y = np.empty(x.shape, x.dtype)
    if x.size < SMALL:
        np.subtract(x, _entries(x, x.argmax(1))[:, None], out=y)
        y -= np.log(_added(np.exp(y)))[:, None]
        return y
    ones = np.ones(x.shape[1], x.dtype)
    with unbuffered(x.shape[1]):
        for rows in blocks(len(x), x[:1].nbytes):
            out = np.subtract(x[rows], np.maximum.reduce(x[rows], axis=1, keepdims=True), out=y[rows])
            powers = np.exp(out, out=scratch("rows", out.shape, x.dtype))
            out -= np.log(powers @ ones)[:, None]
    return y


def log_softmax_grad(g: Array, y: Array) -> Array:
    """The gradient of `log_softmax` from its result."""
    if y.size < SMALL:
        dx = np.exp(y)
        dx *= _added(g)[:, None]
        return np.subtract(g, dx, out=dx)
    dx = np.empty(y.shape, y.dtype)
    ones = np.ones(y.shape[1], y.dtype)
    with unbuffered(y.shape[1]):
        for rows in blocks(len(y), y[:1].nbytes):
            out = np.exp(y[rows], out=dx[rows])
            out *= (g[rows] @ ones)[:, None]
            np.subtract(g[rows], out, out=out)
    return dx


def cross_entropy(x: Array, target: Array) -> tuple[Array, Array]:
    """-log(softmax(x))[target] of each row (N), and softmax(x)."""
    y, logs = _shares(x) if x.size < SMALL else large_call(_shares_of_tensor, _shares, x)
    return np.subtract(logs[:, 0], _entries(x, target)), y


def _shares(x: Array) -> tuple[Array, Array]:
    """softmax(x), and the logarithms of what the powers of each row are divided by (N, 1)."""
    y, logs = np.empty(x.shape, x.dtype), np.empty((len(x), 1), x.dtype)
    if x.size < SMALL:
        _shares_into(x, y, logs)
        return y, logs
    with unbuffered(x.shape[1]):
        for rows in blocks(len(x), x[:1].nbytes):
            _shares_into(x[rows], y[rows], logs[rows])
    return y, logs


def _shares_into(x: Array, y: Array, logs: Array) -> None:
    top, added = _powers(x, y)
    np.add(np.log(added), top, logs[:, 0])
    np.divide(y, added[:, None], y)


def _shares_of_tensor(x: Any) -> tuple[Any, Any]:
    top = x.amax(1, keepdim=True)
    powers = (x - top).exp()
    added = powers.sum(1, keepdim=True)
    return powers / added, added.log() + top


def _entries(x: Array, columns: Array) -> Any:
    """An entry of each row."""
    n, width = x.shape
    return x.take(columns + (_starts(n, width) if n < SMALL else np.arange(0, n * width, width)))


@lru_cache(64)
def _starts(n: int, width: int) -> Array:
    """Where rows start: asked for again and again, with the same sizes."""
    return np.arange(0, n * width, width)


def cross_entropy_grad(scale: Array, y: Array, target: Array) -> Array:
    """The gradient of `cross_entropy` for cotangents (N), or one for all, from the softmax."""
    by = scale if scale.ndim == 0 else scale[:, None]
    dx = _scaled_array(y, by) if y.size < SMALL else large_call(_scaled, _scaled_array, y, by)
    n, width = dx.shape
    places = target + (_starts(n, width) if n < SMALL else np.arange(0, n * width, width))
    dx.reshape(-1)[places] -= scale
    return dx


def _scaled(y: Any, scale: Any) -> Any:
    return y * scale


def _scaled_array(y: Array, scale: Array) -> Array:
    with unbuffered(y.shape[1]):
        return y * scale


def _powers(x: Array, out: Array) -> tuple[Array, Array]:
    """exp(x - maximum) into `out`; the maxima and the sums of the rows."""
    # to find the place of a maximum takes NumPy a fraction of the time of a short reduction
    top = _entries(x, x.argmax(1)) if x.size < SMALL else np.maximum.reduce(x, axis=1)
    np.subtract(x, top[:, None], out=out)
    np.exp(out, out=out)
    return top, _added(out)


def _added(x: Array) -> Any:
    """The sums of the rows."""
    added = sums.rows(x)
    return x @ np.ones(x.shape[1], x.dtype) if added is None else added


def summed(x: Array) -> Any:
    """The sum of all elements."""
    added = sums.everything(x)
    return x.sum() if added is None else added
