"""Samples of indexing that samples_layout.py has not: reductions into places, diagonals filled, parts that are copies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Sample = tuple[tuple[Any, ...], dict[str, Any]]


def samples(rng: np.random.Generator) -> dict[str, list[Sample]]:
    """For each primitive: (arrays, parameters) of calls. Elements are far apart and not zero, so that no extreme is a tie."""

    def apart(*shape: int) -> Any:
        n = math.prod(shape)
        return ((rng.permutation(n) - n // 2) * 0.3 + 0.137).reshape(shape)

    x, source = apart(3, 4), apart(2, 4) * 1.7
    index = np.array([2, 0])
    mask = np.array([True, False, True, True])
    return {
        "index_reduce": [
            ((x, index, source), {"dim": 0, "reduce": reduce, "include_self": include})
            for reduce in ("prod", "mean", "amax", "amin")
            for include in (True, False)
        ],
        "unsafe_split": [((x,), {"dim": 1, "sizes": (1, 3)})],
        "masked_select_adjoint": [((apart(3), mask), {"shape": (4,)})],
    }
