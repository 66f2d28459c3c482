"""Samples of reductions, scans, sorting and norms: small arrays for the checks that every declaration passes.

Elements of one array differ by far more than a finite difference's step, so that no check stands on a tie.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Sample = tuple[tuple[Any, ...], dict[str, Any]]


def samples(rng: np.random.Generator) -> dict[str, list[Sample]]:
    """For each primitive: (arrays, parameters) of calls."""

    def apart(*shape: int) -> Any:
        """Distinct numbers, none near zero."""
        n = math.prod(shape)
        return ((rng.permutation(n) - n // 2) * 0.3 + 0.17).reshape(shape)

    def index(high: int, *shape: int) -> Any:
        return rng.integers(0, high, shape)

    x, line, cube = apart(3, 4), apart(5), apart(2, 3, 2)
    with_nan = x.copy()
    with_nan[1, 2] = np.nan
    zeros = x.copy()
    zeros[0, 1] = zeros[2, 3] = zeros[2, 0] = 0.0
    over = [{"dims": (0,), "keepdim": False}, {"dims": (1,), "keepdim": True}]
    whole = {"dims": (0, 1), "keepdim": False}
    several = [*over, whole]
    one = [{"dim": 0, "keepdim": False}, {"dim": 1, "keepdim": True}]
    spread = [{**p, "correction": c} for p in several for c in (1, 0, 0.5)]
    found: dict[str, list[Sample]] = {
        "sum_all": [((x,), {"to": None}), ((apart(1).reshape(()),), {"to": None})],
        "sum": [((a,), {**p, "to": None}) for a in (x,) for p in several]
        + [((cube,), {"dims": (0, 2), "keepdim": True, "to": None})],
        "mean_all": [((x,), {})],
        "mean": [((x,), p) for p in several],
        "nansum": [((with_nan,), p) for p in several],
        "prod_all": [((x,), {}), ((zeros,), {})],
        "prod": [((a,), p) for a in (x, zeros) for p in over],
        "logsumexp": [((x,), p) for p in several] + [((np.where(x < 0, -np.inf, x),), whole)],
        "max_all": [((x,), {})],
        "min_all": [((x,), {})],
        "share": [((x, x.max(1, keepdims=True)), {"nan": False})],
        "all": [((x > 0,), {**p, "of": None}) for p in several],
        "any": [((x > 0,), {**p, "of": None}) for p in several],
        "median_all": [((x,), {})],
        "nanmedian_all": [((x,), {})],
        "kthvalue": [((x,), {**p, "k": 2}) for p in one],
        "sort": [((x,), {"dim": d, "descending": r}) for d in (0, 1) for r in (False, True)],
        "sort_stable": [((x,), {"dim": 1, "descending": True})],
        "topk": [((x,), {"k": 2, "dim": d, "largest": r}) for d in (0, 1) for r in (False, True)],
        "recurrence": [((line, apart(5)), {"dim": 0, "reverse": r}) for r in (False, True)],
        "shifted": [((x,), {"dim": 1, "reverse": r, "fill": 0.0}) for r in (False, True)],
        "logcumsumexp": [((x,), {"dim": d}) for d in (0, 1)],
        "linalg_vector_norm": [
            ((x,), {**p, "p": order}) for p in several for order in (2.0, 1.0, 3.0, 1.5, 0.5, -1.0, math.inf, -math.inf)
        ],
        "dist": [((x, apart(4) * 0.7 + 0.05), {"p": order}) for order in (1.0, 2.0, 3.0, math.inf)],
        "renorm": [((x,), {"p": order, "dim": d, "maxnorm": 1.0}) for order in (1.0, 2.0, 3.0) for d in (0, 1)],
        "cdist": [
            ((apart(3, 2), apart(4, 2) + 0.05), {"p": order, "by_product": False})
            for order in (1.0, 1.5, 2.0, 3.0, math.inf)
        ],
        "histc": [((x,), {"edges": np.linspace(-2.0, 2.0, 5)})],
        "histogramdd": [
            (
                (x[:, :2], np.linspace(-2.0, 2.0, 3), np.linspace(-3.0, 3.0, 4)),
                {"even": (True, False), "weighted": False, "density": True},
            )
        ],
        "bincount": [((index(4, 6), None), {"minlength": 6}), ((index(4, 6), apart(6)), {"minlength": 0})],
        "unique": [((np.round(x),), {})],
        "unique_dim": [((np.round(x),), {"dim": 0})],
        "unique_consecutive": [((np.round(x),), {"dim": d}) for d in (None, 1)],
        "searchsorted": [((np.sort(line), x), {"side": s, "to": np.int64}) for s in ("left", "right")],
        "isin": [((x, x[0]), {"invert": i}) for i in (False, True)],
        "nonzero": [((zeros,), {})],
        "nonzero_static": [((zeros,), {"size": 4, "fill": -1})],
        "count_nonzero": [((zeros,), {"dims": d}) for d in ((0,), (0, 1))],
    }
    for name in ("amax", "amin", "aminmax"):
        found[name] = [((x,), p) for p in several]
    for name in ("max_dim", "min_dim", "argmax", "argmin", "median", "nanmedian", "mode"):
        found[name] = [((x,), p) for p in one]
    for name in ("var", "std", "var_mean", "std_mean"):
        found[name] = [((x,), p) for p in spread]
    for name in ("cumsum", "cumprod"):
        found[name] = [((a,), {"dim": d, "reverse": r}) for a in (x, zeros) for d in (0, 1) for r in (False, True)]
    for name in ("cummax", "cummin", "softmax", "log_softmax"):
        found[name] = [((x,), {"dim": d}) for d in (0, 1)]
    return found
