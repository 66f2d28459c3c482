"""The samples of what also works on complex numbers, with such numbers in them."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

Sample = tuple[tuple[Any, ...], dict[str, Any]]

FAMILIES = ("elementwise", "reduction", "layout", "linalg", "structure")
NAMES = frozenset((
    "abs", "acos", "acosh", "add", "add_scaled", "addbmm", "addcdiv", "addcmul", "addmm", "addmv", "addr", "angle", "asin", "asinh",
    "as_strided", "as_strided_adjoint", "as_strided_taken", "atan", "atanh", "baddbmm", "bmm", "cat", "cholesky", "cholesky_solve",
    "clone", "cofactors", "conj_physical", "constant_pad_nd", "copy", "cos", "cosh", "cumprod", "cumsum", "diag_embed",
    "diagonal", "diagonal_adjoint", "diagonal_scatter", "dot", "embed", "exp", "exp2", "expand", "expm1", "fill", "flip", "gather",
    "gather_adjoint", "index", "index_add", "index_adjoint", "index_copy", "index_fill", "index_put", "index_select",
    "index_select_adjoint", "lerp_number", "lerp_tensor", "linalg_cholesky_ex", "linalg_cross", "linalg_det", "linalg_eig",
    "linalg_eigh", "linalg_inv_ex", "linalg_lu", "linalg_lu_factor_ex", "linalg_lu_solve", "linalg_matrix_exp", "linalg_pinv",
    "linalg_qr", "linalg_slogdet", "linalg_solve_ex", "linalg_solve_triangular", "linalg_svd", "linalg_vector_norm", "linear", "log",
    "log10", "log1p", "log2", "lu_unpack", "masked_dropped", "masked_fill", "masked_kept", "masked_scatter", "masked_select", "matmul",
    "mean", "mean_all", "mm", "mul", "mv", "neg", "permute", "pow", "prod", "prod_all", "put", "reciprocal", "repeat", "roll", "rot90",
    "rsqrt", "rsub", "scatter_add", "select", "select_scatter", "sgn", "sigmoid", "sin", "sinc", "sinh", "slice", "slice_scatter", "split", "sqrt",
    "square", "squeeze", "stack", "std", "sub", "sub_scaled", "sum", "sum_all", "t", "take", "take_adjoint", "tan", "tanh", "trace",
    "transpose", "triangular_solve", "tril", "triu", "true_divide", "unbind", "unfold", "unfold_adjoint", "unsqueeze", "var", "vdot", "view", "where",
    "zero",
))  # fmt: skip


def samples(rng: np.random.Generator) -> dict[str, list[Sample]]:
    """For each primitive: (arrays, parameters) of calls."""
    found: dict[str, list[Sample]] = {}
    for family in FAMILIES:
        for name, rows in importlib.import_module(f"samples_{family}").samples(type(rng)()).items():
            if name in NAMES:
                scalars = not name.startswith("linalg")
                calls = [
                    (tuple(turned(a, scalars) for a in row[0]), row[1]) for row in rows if any(map(is_float, row[0]))
                ]
                found[name] = calls[:3]
    return found


def is_float(a: Any) -> bool:
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


def turned(a: Any, scalars: bool) -> Any:
    """Each number with an imaginary part of its own; without scalars, 0-d ones (they are tolerances) stay as they are."""
    return np.asarray(a + np.roll(a, 1) * 0.3j) if is_float(a) and (scalars or a.ndim) else a
