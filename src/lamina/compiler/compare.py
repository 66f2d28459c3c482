"""How far apart two results are, and how far they may be. Here: this measure. Not here: what is compared (verify.py, cases.py)."""

from __future__ import annotations

import numpy as np

from lamina.core.strided import Array

TOLERANCE = {"float64": 1e-9, "float32": 1e-3, "float16": 2e-2, "bfloat16": 6e-2}
"""The norm of a difference over that of the eager result: sums are taken in another order, and a step's rounding may grow. A wrong
kernel is far above, whatever the model."""


def distance(a: Array, b: Array) -> float:
    """The norm of a - b over that of b; infinite where NaN or infinity stand elsewhere."""
    if a.dtype.kind not in "fcV":
        return 0.0 if np.array_equal(a, b) else float("inf")
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    x, y = a.astype(wide), b.astype(wide)
    finite = np.isfinite(x)
    if not np.array_equal(finite, np.isfinite(y)) or not np.array_equal(x[~finite], y[~finite], equal_nan=True):
        return float("inf")
    size = float(np.linalg.norm(y[finite]))
    return (
        float(np.linalg.norm(x[finite] - y[finite])) / max(size, 1e-30)
        if size
        else float(np.abs(x[finite]).max(initial=0.0))
    )
