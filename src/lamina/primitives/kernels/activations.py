"""Activations of float arrays in blocks that stay in cache: relu, gelu and its gradient.

The error function of float32 is here tanh(x * P(x^2)), P the polynomial of least error after the tanh (by Lawson's algorithm on
[-4, 4], then within 3 units in the last place; beyond, P grows and the tanh is 1): a third of the work of the piecewise form in
error_function.py, which is more exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lamina.primitives.kernels.windows import Array, scratch

BLOCK = 65536  # elements: long enough for NumPy's calls to cost little, short enough for a second-level cache
_P = (
    1.1283792471936192, 0.10276986397687735, -0.00019528761450316161, -0.000614838943597864, 8.459697193879002e-05,
    -4.794705491922621e-06, 2.758781051098109e-08, 5.421110217881975e-09,
)  # fmt: skip
# erf(x / sqrt(2)), so the square is half and the last factor too
_HALVED = tuple(c * 0.5**k * math.sqrt(0.5) for k, c in enumerate(_P))


def relu(x: Array) -> Array:
    """max(x, 0). In NumPy the maximum with a number is four times slower than that of two arrays."""
    if x.size < BLOCK // 16 or x.dtype.kind != "f" or not x.flags.c_contiguous:
        return np.maximum(x, 0)
    y = np.empty(x.shape, x.dtype)
    source, target, zeros = x.reshape(-1), y.reshape(-1), np.zeros(min(BLOCK, x.size), x.dtype)
    for i in range(0, source.size, BLOCK):
        part = source[i : i + BLOCK]
        np.maximum(part, zeros[: part.size], out=target[i : i + BLOCK])
    return y


def gelu(x: Array, erf: Callable[[Array], Array], keep: bool) -> tuple[Array, Array | None]:
    """x * Phi(x) and, to `keep`, Phi(x), the normal distribution function. erf: for other types than float32."""
    y, phi = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype) if keep else None
    source, target = np.ascontiguousarray(x).reshape(-1), y.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        for i in range(0, source.size, BLOCK):
            part = source[i : i + BLOCK]
            out = target[i : i + BLOCK] if phi is None else phi.reshape(-1)[i : i + BLOCK]
            if x.dtype == np.float32:
                _erf_of_root_half(part, out)
            else:
                out[...] = erf(part * math.sqrt(0.5))
            out += 1
            out *= 0.5
            np.multiply(part, out, out=target[i : i + BLOCK])
    return y, phi


def gelu_grad(g: Array, x: Array, phi: Array) -> Array:
    """g * (Phi(x) + x * phi(x))."""
    dx = np.empty(x.shape, x.dtype)
    g, source, share, target = (np.ascontiguousarray(a).reshape(-1) for a in (g, x, phi, dx))
    for i in range(0, source.size, BLOCK):
        part, out = source[i : i + BLOCK], target[i : i + BLOCK]
        np.multiply(part, part, out=out)
        out *= -0.5
        np.exp(out, out=out)
        out *= part
        out *= 1 / math.sqrt(2 * math.pi)
        out += share[i : i + BLOCK]
        out *= g[i : i + BLOCK]
    return dx


def _erf_of_root_half(x: Array, out: Array) -> None:
    square = np.multiply(x, x, out=scratch("gelu", x.shape, x.dtype))
    np.multiply(square, np.float32(_HALVED[-1]), out=out)
    for c in _HALVED[-2:0:-1]:
        out += np.float32(c)
        out *= square
    out += np.float32(_HALVED[0])
    out *= x
    np.tanh(out, out=out)
