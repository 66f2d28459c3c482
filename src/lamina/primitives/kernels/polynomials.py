"""Orthogonal polynomials of integer degree on arrays: by recurrence, or by their trigonometric form inside (-1, 1).

A degree is what is left of a number without its fraction; a negative one gives 0, as in PyTorch. Source of the
recurrences: NIST DLMF 18.9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.core.strided import Array

Step = Callable[[Array, int, Array, Array], Array]


def _recurrence(
    x: Any, n: Any, second: Callable[[Array], Array], step: Step, turned: Callable[[Array, Array], Array] | None = None
) -> Array:
    """P_n(x) from P_0 = 1, P_1 = second(x) and step(x, k, P_k, P_k-1) = P_k+1; `turned` gives high degrees."""
    x = np.asarray(x)
    x, n = np.broadcast_arrays(x, np.where(np.isfinite(n), np.trunc(n), -1))
    with np.errstate(all="ignore"):
        before, last = np.ones_like(x), second(x)
        out = np.where(n < 0, 0, np.where(n == 0, before, last)).astype(x.dtype)
        high = (n > 6) & (np.abs(x) < 1) if turned is not None else np.zeros(x.shape, np.bool_)
        wanted = np.where(high, 0, n)
        for k in range(1, int(wanted.max(initial=0))):
            before, last = last, step(x, k, last, before)
            out = np.where(wanted == k + 1, last, out)
        if turned is not None and high.any():
            out = np.where(high, turned(np.arccos(np.where(high, x, 0)), n), out)
    return out.astype(x.dtype)


def _doubling(x: Array, k: int, last: Array, before: Array) -> Array:
    return (x + x) * last - before


def chebyshev_t(x: Any, n: Any) -> Array:
    return _recurrence(x, n, lambda x: x, _doubling, lambda angle, n: np.cos(n * angle))


def chebyshev_u(x: Any, n: Any) -> Array:
    return _recurrence(x, n, lambda x: x + x, _doubling, lambda angle, n: np.sin((n + 1) * angle) / np.sin(angle))


def chebyshev_v(x: Any, n: Any) -> Array:
    return _recurrence(
        x, n, lambda x: x + x - 1, _doubling, lambda angle, n: np.cos((n + 0.5) * angle) / np.cos(angle / 2)
    )


def chebyshev_w(x: Any, n: Any) -> Array:
    return _recurrence(
        x, n, lambda x: x + x + 1, _doubling, lambda angle, n: np.sin((n + 0.5) * angle) / np.sin(angle / 2)
    )


def shifted(polynomial: Callable[[Any, Any], Array]) -> Callable[[Any, Any], Array]:
    """The same polynomial of 2x - 1."""
    return lambda x, n: polynomial(x + x - 1, n)


def hermite_h(x: Any, n: Any) -> Array:
    return _recurrence(x, n, lambda x: x + x, lambda x, k, last, before: (x + x) * last - 2 * k * before)


def hermite_he(x: Any, n: Any) -> Array:
    return _recurrence(x, n, lambda x: x, lambda x, k, last, before: x * last - k * before)


def laguerre_l(x: Any, n: Any) -> Array:
    return _recurrence(
        x, n, lambda x: 1 - x, lambda x, k, last, before: ((2 * k + 1 - x) * last - k * before) / (k + 1)
    )


def legendre_p(x: Any, n: Any) -> Array:
    return _recurrence(x, n, lambda x: x, lambda x, k, last, before: ((2 * k + 1) * x * last - k * before) / (k + 1))
