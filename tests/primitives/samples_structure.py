"""Samples of views of any geometry, adjoints, factorizations and composites that are one node."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Sample = tuple[tuple[Any, ...], dict[str, Any]]


def samples(rng: np.random.Generator) -> dict[str, list[Sample]]:
    """For each primitive: (arrays, parameters) of calls."""

    def apart(*shape: int) -> Any:
        """Distinct numbers, none near zero."""
        n = int(np.prod(shape))
        return ((rng.permutation(n) - n // 2) * 0.3 + 0.17).reshape(shape)

    x, square, line = apart(3, 4), apart(3, 3), apart(4)
    positive = square @ square.T + 2 * np.eye(3)
    factor = np.linalg.cholesky(positive)
    large = np.diag(np.arange(1.0, 9.0)) + 0.02 * apart(8, 8)
    large = (large + large.T) / 2
    like = ((3, 4), (4, 1), 0, 12)
    window = {"size": (2, 3), "stride": (4, 1), "offset": 1, "like": like}
    overlapping = {"size": (3, 3), "stride": (2, 1), "offset": 1, "like": like}
    slices = {"geometry": ((2, 2), (4, 1), 1), "like": ((3, 4), (4, 1))}
    chances = 1 / (1 + np.exp(-apart(3, 2)))
    rows, targets = apart(3, 5), np.array([0, 4, 2])
    weights = np.abs(apart(5)) + 0.1
    log_rows = np.log(np.abs(rows) + 0.1)
    # 2 samples of 5 steps and 4 classes; the labels of one are (1, 2), of the other (3, 3); 0 is the blank between them
    emitted = np.log(np.full((5, 2, 4), 0.25)) + 0.02 * apart(5, 2, 4)
    labels = np.array([[0, 1, 0, 2, 0], [0, 3, 0, 3, 0]])
    place = np.arange(5)
    skip = (place % 2 == 1) & (place > 2) & (labels[:, [3, 4, 0, 1, 2]] != labels)
    time, steps = np.arange(5)[:, None, None], np.array([5, 4])[None, :, None]
    alignment = (
        labels,
        np.array([place < 2, place < 2]),
        np.array([place >= 3, place >= 3]),
        skip,
        time == steps - 1,
        time < steps,
    )
    return {
        "alias": [((x,), {}), ((np.asarray(x[0, 0]),), {})],
        "as_strided": [((x,), window), ((x,), overlapping)],
        "as_strided_adjoint": [((apart(2, 3),), window), ((apart(3, 3),), overlapping)],
        "as_strided_taken": [((x,), window), ((x,), overlapping)],
        "as_strided_scatter": [((x, apart(2, 3)), window)],
        "take_slice": [((x,), slices)],
        "clear_slice": [((x,), slices)],
        "put_slice": [((apart(2, 2),), slices)],
        "reshape_alias": [((x,), {"shape": (2, 6)})],
        "split_with_sizes": [((x,), {"dim": 1, "sizes": (1, 3)})],
        "squeeze_dim": [((apart(3, 1, 2),), {"dims": (1,)})],
        "squeeze_dims": [((apart(1, 3, 1),), {"dims": (0, 2)})],
        "view_dtype": [((x,), {"to": np.dtype(np.int64)})],
        "relu_adjoint": [((x, apart(3, 4)), {})],
        "scatter_with": [((x, np.array([[0, 2, 1, 0]]), apart(1, 4)), {"dim": 0, "ufunc": np.add})],
        "cholesky": [((positive,), {"upper": u}) for u in (False, True)],
        "linalg_cholesky_ex": [((positive,), {"upper": u}) for u in (False, True)],
        "cholesky_inverse": [((factor.T if u else factor,), {"upper": u}) for u in (False, True)],
        "cholesky_solve": [((apart(3, 2), factor.T if u else factor), {"upper": u}) for u in (False, True)],
        "geqrf": [((apart(4, 3),), {})],
        "lobpcg": [
            ((large, None, apart(8, 2), None), {"k": k, "niter": 200, "tol": 1e-13, "largest": big})
            for k, big in ((2, True), (1, False))
        ],
        "linalg_eigh": [((positive,), {"uplo": u}) for u in ("L", "U")],
        "linalg_ldl_factor_ex": [((positive,), {"hermitian": False})],
        "linalg_ldl_solve": [((np.eye(3) * 2.0, np.array([1, 2, 3], np.int32), apart(3, 2)), {"hermitian": False})],
        "linalg_matrix_rank": [((square, np.zeros(()), np.full((), 1e-9)), {"hermitian": False})],
        "permutation_matrix": [((np.array([2, 2, 3], np.int32),), {"m": 3, "dtype": np.dtype(np.float64)})],
        "fused _batch_norm_eval": [
            ((apart(3, 2, 4), apart(2), apart(2), apart(2), np.abs(apart(2)) + 0.5), {"eps": 1e-5})
        ],
        "fused _batch_norm_training": [
            ((apart(3, 2, 4), apart(2), apart(2)), {"eps": 1e-5}),
            ((apart(4, 2), None, None), {"eps": 1e-5}),
        ],
        "fused _bce_with_logits": [
            ((x, chances[:1, :1] * np.ones((3, 4)), None, None), {"reduction": r}) for r in ("mean", "none")
        ],
        "fused _binary_cross_entropy": [
            ((chances, np.full((3, 2), 0.25), None), {"reduction": r}) for r in ("sum", "none")
        ],
        "fused _cross_entropy_rows": [
            ((rows, targets, w), {"ignore_index": -100, "reduction": r})
            for w in (None, weights)
            for r in ("mean", "sum")
        ],
        "fused _nll_rows": [
            ((log_rows, targets, w), {"ignore_index": 4, "reduction": r})
            for w in (None, weights)
            for r in ("mean", "sum")
        ],
        "fused _mse_alike": [((x, apart(3, 4) + 0.05), {"reduction": r}) for r in ("mean", "sum")],
        "fused _ctc": [((emitted, *alignment), {"zero_infinity": z}) for z in (False, True)],
        "fused _gelu": [((x,), {"keep": True})],
        "fused _gelu_tanh": [((x,), {}, x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))],
        "fused _mish": [((x,), {}, x * np.tanh(np.log1p(np.exp(x))))],
        "fused _silu": [((x,), {}, x / (1 + np.exp(-x)))],
        "fused _group_norm": [
            ((apart(2, 4, 3), apart(4), apart(4)), {"batch": 2, "channels": 4, "groups": 2, "eps": 1e-5})
        ],
        "fused _layer_norm": [
            ((x, line, apart(4)), {"rank": 1, "eps": 1e-5}),
            ((x, None, None), {"rank": 1, "eps": 1e-5}),
        ],
        "fused _hardsigmoid": [((x,), {})],
        "fused _hardswish": [((x,), {})],
        "fused _hardtanh": [((x,), {"min_val": -1.0, "max_val": 1.0})],
        "fused _leaky_relu": [((x,), {"negative_slope": 0.1})],
        "fused _logsigmoid": [((x,), {})],
        "fused _rrelu_mean": [((x,), {"negative_slope": 0.2})],
        "fused _rrelu_noisy": [((x, np.where(x < 0, 0.25, 1.0)), {})],
        "fused _safe_softmax_body": [((x,), {})],
        "fused _soft_margin": [((x, np.sign(apart(3, 4))), {"reduction": r}) for r in ("mean", "none")],
        "fused _softplus": [((x,), {"beta": 2.0, "threshold": 20.0})],
        "fused _softshrink": [((x,), {"lambd": 0.5})],
        "fused _threshold": [((x,), {"threshold": 0.5, "value": -1.0})],
    }
