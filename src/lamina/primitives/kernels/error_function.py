"""erf, erfc and erfinv on arrays: in float32 within 1.5 ulp by polynomials of our own, in float64 by Cody's
rational forms.

For a small install: where SciPy is there, its functions are used (primitives/special_functions.py).
Source of the float64 forms: W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23
(1969).
"""

from __future__ import annotations

import math

import numpy as np

from lamina.core.strided import Array

_BLOCK = 16384  # elements worked on at a time: the temporaries stay in the cache

# erf(x) = x + x * P(x^2) up to 0.9; above, 1 - exp(Q(x)): least relative error by Lawson's algorithm.
_P = (
    8.382387750316411e-05, -0.0008145596948452294, 0.005201286170631647, -0.026859499514102936, 0.11283697187900543,
    -0.37612634897232056, 0.12837916612625122,
)  # fmt: skip
_Q = (
    0.00020044931443408132, -0.00308703794144094, 0.022399738430976868, -0.10428603738546371, -0.636783242225647,
    -1.127909541130066, -0.00013982698146719486,
)  # fmt: skip


def erf(x: Array) -> Array:
    """The error function of a float32 or float64 array."""
    if x.dtype != np.float32:
        return _erf64(x)
    if x.size <= _BLOCK:
        out = np.empty(x.shape, x.dtype)
        _erf32(x, out)
        return out
    flat = np.ascontiguousarray(x).reshape(-1)
    out = np.empty(flat.shape, x.dtype)
    for i in range(0, flat.size, _BLOCK):
        _erf32(flat[i : i + _BLOCK], out[i : i + _BLOCK])
    return out.reshape(x.shape)


def _erf32(x: Array, out: Array) -> None:
    size = np.asarray(np.abs(x))
    np.multiply(x, x, out=out)
    near = np.asarray(out * np.float32(_P[0]))
    for c in _P[1:-1]:
        near += np.float32(c)
        near *= out
    near += np.float32(_P[-1])
    near *= x
    near += x
    is_near = size < 0.9
    np.minimum(size, 4, out=size)  # beyond, erf is 1 in float32
    np.multiply(size, np.float32(_Q[0]), out=out)
    for c in _Q[1:-1]:
        out += np.float32(c)
        out *= size
    out += np.float32(_Q[-1])
    np.exp(out, out=out)
    np.subtract(1, out, out=out)
    np.copysign(out, x, out=out)
    np.copyto(out, near, where=is_near)


_A = (
    1.85777706184603153e-1,
    3.16112374387056560e00,
    1.13864154151050156e02,
    3.77485237685302021e02,
    3.20937758913846947e03,
)
_B = (1.0, 2.36012909523441209e01, 2.44024637934444173e02, 1.28261652607737228e03, 2.84423683343917062e03)
_C = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e01,
        2.98635138197400131e02,
    8.81952221241769090e02, 1.71204761263407058e03, 2.05107837782607147e03, 1.23033935479799725e03,
)  # fmt: skip
_D = (
    1.0, 1.57449261107098347e01, 1.17693950891312499e02, 5.37181101862009858e02, 1.62138957456669019e03,
        3.29079923573345963e03,
    4.36261909014324716e03, 3.43936767414372164e03, 1.23033935480374942e03,
)  # fmt: skip
_E = (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
    1.60837851487422766e-2,
      6.58749161529837803e-4)  # fmt: skip
_F = (
    1.0,
    2.56852019228982242e00,
    1.87295284992346725e00,
    5.27905102951428412e-1,
    6.05183413124413191e-2,
    2.33520497626869185e-3,
)


def _ratio(over: tuple[float, ...], under: tuple[float, ...], x: Array) -> Array:
    top, bottom = np.full_like(x, over[0]), np.full_like(x, under[0])
    for a, b in zip(over[1:], under[1:], strict=True):
        top *= x
        top += a
        bottom *= x
        bottom += b
    top /= bottom
    return top


def _tail(size: Array) -> Array:
    """erfc of doubles above 0.46875."""
    with np.errstate(all="ignore"):  # values that the other branch covers overflow
        middle = _ratio(_C, _D, np.minimum(size, 4))
        inverse = 1 / np.square(np.maximum(size, 4))
        far = (1 / math.sqrt(math.pi) - inverse * _ratio(_E, _F, inverse)) / size
        # exp(-x^2) with x^2 split, so that its rounding is not magnified
        high = np.trunc(size * 16) / 16
        scale = np.exp(-high * high) * np.exp(-(size - high) * (size + high))
        return np.where(np.isinf(size), 0.0, scale * np.where(size <= 4, middle, far))


def _erf64(x: Array) -> Array:
    size = np.abs(x)
    square = np.square(np.minimum(size, 0.5))
    return np.where(size <= 0.46875, x * _ratio(_A, _B, square), np.copysign(1 - _tail(size), x))


def erfc(x: Array) -> Array:
    """1 - erf(x), precise also where that is small."""
    wide = np.asarray(x, np.float64)
    size = np.abs(wide)
    tail = _tail(size)
    near = 1 - wide * _ratio(_A, _B, np.square(np.minimum(size, 0.5)))
    return np.where(size <= 0.46875, near, np.where(wide < 0, 2 - tail, tail)).astype(x.dtype)


def erfinv(x: Array) -> Array:
    """The inverse of erf: Winitzki's estimate, refined by Halley's method on the tail, which keeps digits near 1."""
    wide = np.asarray(x, np.float64)
    size = np.abs(wide)
    with np.errstate(all="ignore"):
        log = np.log1p(-size * size)
        a = 0.147
        part = 2 / (math.pi * a) + log / 2
        y = np.sqrt(np.sqrt(part * part - log / a) - part)
        for _ in range(3):
            error = np.where(size < 0.5, _erf64(y) - size, (1 - size) - erfc(y))
            step = error / (2 / math.sqrt(math.pi) * np.exp(-y * y))
            y = y - step / (1 + y * step)
        y = np.where(size == 1, np.inf, np.where(size > 1, np.nan, y))
    return np.copysign(y, wide).astype(x.dtype)
