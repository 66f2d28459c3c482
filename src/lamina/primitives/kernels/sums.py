"""Small sums of floats as products with ones: BLAS is done where NumPy's reduction has hardly begun.

Here: arrays of fewer than LARGE elements. Not here: large ones, where exactness asks for more care (primitives/reduction.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.strided import Array

LARGE = 4096  # elements
_ONES: dict[Any, Array] = {np.dtype(kind): np.ones(LARGE, kind) for kind in (np.float32, np.float64)}


def everything(x: Array) -> Any:
    """The sum of all elements; None where this is not the way."""
    n = x.size
    ones = _ONES.get(x.dtype) if n < LARGE else None
    return None if ones is None else x.ravel().dot(ones[:n])


def columns(x: Array) -> Array | None:
    """The sum of a matrix's rows, a number for each column; None where this is not the way."""
    ones = _ONES.get(x.dtype) if x.size < LARGE else None
    return None if ones is None or x.ndim != 2 else ones[: x.shape[0]].dot(x)


def rows(x: Array) -> Array | None:
    """A number for each row of a matrix; None where this is not the way."""
    ones = _ONES.get(x.dtype) if x.size < LARGE else None
    return None if ones is None or x.ndim != 2 else x.dot(ones[: x.shape[1]])
