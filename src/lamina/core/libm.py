"""Rounding as a C program does it: fused multiply-add, and the C library's functions to the last bit.

PyTorch's random kernels are compiled with fused multiply-add and call the C library for each element. NumPy has no
fma, and its own exp, log, sin differ from the C library's in the last place; Python's `math` calls that library.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_SPLIT = 134217729.0  # 2**27 + 1: cuts a double into two halves whose products are exact


def fma32(a: np.ndarray, b: float, c: float) -> np.ndarray:
    """a * b + c of float32 values, rounded once."""
    product = a.astype(np.float64)
    product *= b  # exact: 24 bits by 24
    total = product + c
    # Rounding to double, then to float32, errs only where the first rounding lands on the second's tie.
    if ((total.view(np.int64) & 0x1FFFFFFF) == 0x10000000).any():
        total = _round_to_odd(*_two_sum(product, c))
    return total.astype(np.float32)


def fma64(a: np.ndarray, b: float, c: float) -> np.ndarray:
    """a * b + c of doubles, rounded once."""
    high, low = _two_product(a, b)
    carry, rest = _two_sum(low, c)
    total, error = _two_sum(high, carry)
    error += rest
    # The sum of the low parts was rounded too. Where that could show, it is rounded to odd (Boldo and Melquiond).
    slack = error * 2.0**-50
    result = total + (error + slack)
    unsure = np.flatnonzero(result != total + (error - slack))
    if unsure.size:
        high, carry, rest = high[unsure], carry[unsure], rest[unsure]
        total, error = _two_sum(high, carry)
        result[unsure] = total + _round_to_odd(*_two_sum(rest, error))
    return result


def narrow(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Doubles (or float32) as the floating `dtype`; PyTorch goes to 16 bits by way of float32."""
    with np.errstate(over="ignore"):
        if dtype.itemsize == 2:
            x = x.astype(np.float32)
        return x.astype(dtype, copy=False)


def elementwise(
    fast: Callable[[np.ndarray], np.ndarray],
    exact: Callable[[float], float],
    x: np.ndarray,
    finish: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """`finish` of `exact` of each double in `x` (1-d).

    `exact`, a function of `math`, costs a Python call per element. `fast`, NumPy's version of it, settles those
    elements for which the monotonic `finish`, which mostly rounds to a narrower type, cannot tell its error.
    """
    if x.size < 16:
        return finish(np.fromiter(map(exact, x.tolist()), np.float64, x.size))
    guess = fast(x)
    slack = np.abs(guess) * 2.0**-46
    result = finish(guess - slack)
    unsure = np.flatnonzero(result != finish(guess + slack))
    if unsure.size:
        result[unsure] = finish(np.fromiter(map(exact, x[unsure].tolist()), np.float64, unsure.size))
    return result


def _two_sum(a: np.ndarray, b: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """The rounded sum and its exact error (Knuth)."""
    total = a + b
    part = total - a
    error = a - (total - part)
    error += b - part
    return total, error


def _two_product(a: np.ndarray, b: float) -> tuple[np.ndarray, np.ndarray]:
    """The rounded product and its exact error (Dekker)."""
    product = a * b
    b_high = b * _SPLIT - (b * _SPLIT - b)
    b_low = b - b_high
    a_high = a * _SPLIT
    a_high -= a_high - a
    a_low = a - a_high
    error = a_high * b_high
    error -= product
    error += a_high * b_low
    error += a_low * b_high
    error += a_low * b_low
    return product, error


def _round_to_odd(value: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Of the two doubles around value + error, the one with an odd last bit: rounding it again is then safe."""
    even = (np.asarray(value).view(np.int64) & 1) == 0
    return np.where((error != 0) & even, np.nextafter(value, np.copysign(np.inf, error)), value)
