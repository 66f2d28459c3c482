"""Samples of products, factorizations, solvers and Fourier transforms: small arrays for the checks that every declaration passes.

Matrices are well apart from singular ones, eigenvalues and singular values well apart from each other. Gradients of vectors that
are given only up to a sign are checked all the same: near a point, the sign does not change.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Sample = tuple[tuple[Any, ...], dict[str, Any]]

OF_A_TRIANGLE = ("linalg_cholesky_ex", "cholesky", "linalg_eigh", "cholesky_solve", "cholesky_inverse")
"""These read one triangle of a matrix and give the gradient of a symmetric one: test_linalg.py checks them on symmetric matrices."""


def samples(rng: np.random.Generator) -> dict[str, list[Sample]]:
    """By name of the primitive: its tensor inputs, and its parameters."""

    def normal(*shape: int) -> Any:
        return rng.standard_normal(shape)

    def complex_normal(*shape: int) -> Any:
        return normal(*shape) + 1j * normal(*shape)

    def regular(*shape: int) -> Any:
        """Square matrices with a strong diagonal, whose elements differ."""
        n = shape[-1]
        return normal(*shape) * 0.3 + np.diag(np.arange(1.0, n + 1))

    factor, pivots = _lu(regular(3, 3))
    real, norms = normal(2, 6), ("backward", "ortho", "forward")
    return {
        **_products(normal),
        "vdot": [((normal(3), normal(3)), {})],
        "linalg_cross": [((normal(2, 3), normal(2, 3)), {"dim": -1}), ((normal(3, 1), normal(1, 2)), {"dim": -2})],
        # inverses and systems
        "linalg_inv_ex": [((regular(3, 3),), {}), ((regular(2, 2, 2),), {})],
        "linalg_det": [((regular(3, 3),), {}), ((regular(2, 2, 2),), {})],
        "cofactors": [((regular(3, 3),), {})],
        "linalg_slogdet": [((regular(3, 3),), {})],
        "linalg_matrix_exp": [((normal(2, 3, 3),), {}), ((normal(2, 2) * 9,), {})],
        "linalg_solve_ex": [
            ((regular(3, 3), normal(3, 2)), {"left": True, "vector": False}),
            ((regular(2, 3, 3), normal(4, 3)), {"left": False, "vector": False}),
            ((regular(2, 3, 3), normal(3)), {"left": True, "vector": True}),
        ],
        "linalg_solve_triangular": [
            ((regular(3, 3), normal(2, 3, 2)), {"upper": upper, "left": True, "unit": not upper}) for upper in (True, False)
        ] + [((regular(3, 3), normal(2, 3)), {"upper": True, "left": False, "unit": False})],
        "triangular_solve": [
            ((normal(3, 2), regular(3, 3)), {"upper": upper, "transpose": upper, "unit": False}) for upper in (True, False)
        ],
        "linalg_lu_solve": [
            ((factor, pivots, normal(3, 2) if left else normal(2, 3)), {"left": left, "adjoined": adjoined})
            for left in (True, False)
            for adjoined in (True, False)
        ],
        # factorizations
        "linalg_qr": [
            ((normal(4, 3),), {"mode": "reduced"}), ((normal(3, 3),), {"mode": "complete"}), ((normal(2, 4),), {"mode": "reduced"}),
        ],
        "linalg_lu_factor_ex": [((normal(*shape),), {}) for shape in ((3, 3), (4, 2), (2, 4))],
        "linalg_lu": [((normal(*shape),), {}) for shape in ((3, 3), (4, 2), (2, 4))],
        "lu_unpack": [((factor, pivots), {"data": True, "order": True})],
        "linalg_eig": [((regular(3, 3),), {})],
        "linalg_svd": [((normal(4, 3),), {"full": False}), ((normal(2, 3),), {"full": False}), ((regular(3, 3),), {"full": True})],
        "linalg_pinv": [((normal(4, 3), np.zeros(()), np.zeros(())), {"hermitian": False})],
        "linalg_lstsq": [((normal(4, 2), normal(4, 3)), {"rcond": 1e-15, "driver": "gelsd", "vector": False})],
        # transforms
        "fft_c2c": [
            ((complex_normal(2, 3),), {"dims": dims, "norm": norm, "forward": forward})
            for dims, forward in (((1,), True), ((0, 1), False))
            for norm in norms
        ],
        "fft_r2c": [
            ((real,), {"dims": (0, 1), "norm": "backward", "forward": forward, "onesided": onesided})
            for forward in (True, False)
            for onesided in (True, False)
        ],
        "fft_c2r": [((complex_normal(2, 4),), {"dims": (0, 1), "norm": norm, "n": n}) for n in (6, 7) for norm in norms],
        **_turned_products(normal),
    }  # fmt: skip


def _turned_products(normal: Any) -> dict[str, list[Any]]:
    """Products of matrices one of which is transposed, with their values."""
    x, y, z, bias = normal(2, 3), normal(4, 3), normal(2, 4), normal(4)
    return {
        "mm_by_turned": [((x, y), {}, x @ y.T)],
        "mm_of_turned": [((x, z), {}, x.T @ z)],
        "affine": [((bias, x, y), {}, x @ y.T + bias)],
    }


def _products(normal: Any) -> dict[str, list[Sample]]:
    factors = {"beta": 0.5, "alpha": -2.0}
    return {
        "mm": [((normal(2, 3), normal(3, 2)), {})],
        "bmm": [((normal(2, 2, 3), normal(2, 3, 2)), {})],
        "matmul": [((normal(2, 1, 2, 3), normal(2, 3, 2)), {}), ((normal(2, 2, 3), normal(3, 2)), {})],
        "mv": [((normal(2, 3), normal(3)), {})],
        "dot": [((normal(3), normal(3)), {})],
        "addmm": [
            ((normal(2), normal(2, 3), normal(3, 2)), factors),
            ((normal(2, 2), normal(2, 3), normal(3, 2)), factors),
        ],
        "baddbmm": [((normal(2, 1, 2), normal(2, 2, 3), normal(2, 3, 2)), factors)],
        "addbmm": [((normal(2, 2), normal(3, 2, 3), normal(3, 3, 2)), factors)],
        "addmv": [((normal(2), normal(2, 3), normal(3)), factors)],
        "addr": [((normal(2, 3), normal(2), normal(3)), factors)],
    }


def _lu(a: Any) -> tuple[Any, Any]:
    """LU in one matrix and pivots, of a matrix whose pivots are on its diagonal."""
    n = len(a)
    out = a.copy()
    for j in range(n):
        out[j + 1 :, j] /= out[j, j]
        out[j + 1 :, j + 1 :] -= np.outer(out[j + 1 :, j], out[j, j + 1 :])
    return out, np.arange(1, n + 1, dtype=np.int32)
