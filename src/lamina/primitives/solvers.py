"""Determinants, inverses, linear systems, the matrix exponential.

Here: primitives with their gradients, PyTorch's functions. Not here: triangular systems (triangular.py), factorizations
(decompositions.py, eigen.py), least squares (least_squares.py), the loops over columns (kernels/factorizations.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import return_types
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.elementwise import where_
from lamina.primitives.kernels import factorizations as kernels
from lamina.primitives.linalg_common import (
    LinAlgError,
    adjoint,
    check_fit,
    check_floating,
    check_kernel,
    check_same,
    check_square,
    column_major,
    first_bad,
    is_complex,
    like,
    numpy_dtype,
)
from lamina.primitives.registry import primitive
from lamina.primitives.shape import cat_
from lamina.primitives.signature import parsed
from lamina.primitives.triangular import check_batches

# ---- inverse ---------------------------------------------------------------------------------------------------------


def _inverse(a: Array) -> tuple[Array, Array]:
    info = np.zeros(a.shape[:-2], np.int32)
    try:
        return column_major(np.linalg.inv(a)), info
    except np.linalg.LinAlgError:
        info = kernels.lu(a)[2]
    out = np.full(a.shape, np.nan, a.dtype)
    good = info == 0
    out[good] = np.linalg.inv(a[good])
    return column_major(out), info


inv_ = primitive(
    "linalg_inv_ex", _inverse,
    grads=(lambda g, out_0: -(out_0.mT @ g @ out_0.mT),), outputs=2, nondiff=(1,))  # fmt: skip


def _inverted(A: Tensor, function: str, check_errors: bool, shown: str | None = None) -> Any:
    check_square(A, function)
    check_floating(A, function, low=False)
    inverse, info = inv_(A)
    bad = first_bad(info) if check_errors else None
    if bad is not None:
        raise LinAlgError(
            f"{shown or function}: {bad[0]}The diagonal element {bad[1]} is zero, the inversion could not be completed because the "
            "input matrix is singular."
        )
    return inverse, info


@parsed
def inv(A: Tensor) -> Tensor:
    """The inverses of square matrices. Raises LinAlgError for a singular one."""
    return _inverted(A, "linalg.inv", True)[0]  # type: ignore[no-any-return]


@parsed
def inverse(input: Tensor) -> Tensor:
    """The inverses of square matrices. Raises LinAlgError for a singular one."""
    return _inverted(input, "linalg.inv", True)[0]  # type: ignore[no-any-return]


@parsed
def inv_ex(A: Tensor, *, check_errors: bool = False) -> Any:
    """The inverses, and for each matrix the first zero on U's diagonal (0: none)."""
    return return_types.linalg_inv_ex(_inverted(A, "linalg.inv_ex", check_errors))


# ---- determinants ----------------------------------------------------------------------------------------------------


def _cofactors(a: Array) -> Array:
    """The derivative of det: det(A) A^-T, by singular values where A has no good inverse."""
    try:
        inverse = np.linalg.inv(a)
    except np.linalg.LinAlgError:
        inverse = None
    if inverse is not None:
        condition = np.abs(a).sum(-2).max(-1, initial=0) * np.abs(inverse).sum(-2).max(-1, initial=0)
        if np.all(condition < 0.1 / np.finfo(a.dtype).eps) or not np.isfinite(a).all():
            return _det(a)[..., None, None] * np.swapaxes(inverse, -1, -2)
    u, s, vh = np.linalg.svd(a)
    n = s.shape[-1]
    others = np.where(np.eye(n, dtype=bool), s.dtype.type(1), s[..., None, :]).prod(-1)
    scale = (_det(u) * _det(vh))[..., None] * others
    return (u.conj() * scale[..., None, :]) @ vh.conj()  # type: ignore[no-any-return]


def _cofactors_back(h: Any, a: Any, out: Any) -> Any:
    turned = inv_(a)[0].mT
    return (h * turned).sum((-2, -1))[..., None, None] * out - turned @ h.mT @ out


cofactors_ = primitive("cofactors", _cofactors, grads=(_cofactors_back,))


# NumPy's own functions compute these, and would warn under their own name.


@np.errstate(all="ignore")
def _det(a: Array) -> Array:
    return np.asarray(np.linalg.det(a))


@np.errstate(all="ignore")
def _slogdet(a: Array) -> tuple[Array, ...]:
    return tuple(np.asarray(r) for r in np.linalg.slogdet(a))


det_ = primitive(
    "linalg_det", lambda a: _det(a),
    grads=(lambda g, a: g[..., None, None] * cofactors_(a),))  # fmt: skip


@parsed
def det(A: Tensor) -> Tensor:
    """The determinants of square matrices."""
    check_square(A, "linalg.det")
    check_floating(A, "linalg.det")
    check_kernel(A, "lu_cpu")
    return det_(A)  # type: ignore[no-any-return]


def _slogdet_back(gs: Any, a: Any, out_0: Any) -> Any:
    g_sign, g_log = gs
    inverse = adjoint(inv_(a)[0])
    if is_complex(a) and g_sign is not None:
        turn = (g_sign.conj() * out_0).imag * -1j
        g_log = turn if g_log is None else g_log + turn
    if g_log is None:  # the sign of a real determinant does not change
        return inverse * 0.0
    return g_log[..., None, None] * inverse


slogdet_ = primitive(
    "linalg_slogdet", lambda a: _slogdet(a),
    grads=(_slogdet_back,), outputs=2, holomorphic=False)  # fmt: skip


def _signed(A: Tensor, function: str) -> Any:
    check_square(A, function)
    check_floating(A, function, low=False)
    return slogdet_(A)


@parsed
def linalg_slogdet(A: Tensor) -> Any:
    """Sign (of modulus 1 where complex) and logarithm of the absolute value of determinants."""
    return return_types.linalg_slogdet(_signed(A, "linalg.slogdet"))


@parsed
def slogdet(input: Tensor) -> Any:
    """Sign and logarithm of the absolute value of determinants: the older form of linalg.slogdet."""
    return return_types.slogdet(_signed(input, "linalg.slogdet"))


@parsed
def logdet(input: Tensor) -> Tensor:
    """The logarithm of determinants; NaN where a real one is negative."""
    sign, logarithm = _signed(input, "logdet")
    if input.is_complex():
        return logarithm + sign.angle() * 1j  # type: ignore[no-any-return]
    return where_(sign == -1.0, np.nan, logarithm)  # type: ignore[no-any-return]


# ---- linear systems --------------------------------------------------------------------------------------------------


def _solve(a: Array, b: Array, *, left: bool, vector: bool) -> tuple[Array, Array]:
    if vector:
        b = b[..., None]
    if not left:
        a, b = np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    info = np.zeros(batch, np.int32)
    try:
        x = np.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        a, b = np.broadcast_to(a, (*batch, *a.shape[-2:])), np.broadcast_to(b, (*batch, *b.shape[-2:]))
        info = kernels.lu(a)[2]
        x = np.full(b.shape, np.nan, np.result_type(a, b))
        good = info == 0
        x[good] = np.linalg.solve(a[good], b[good])
    x = column_major(x)
    if not left:
        x = np.swapaxes(x, -1, -2)
    if vector:  # a batch of vectors is taken for one matrix here
        x = column_major(x[..., 0]) if x.ndim > 2 else x[..., 0]
    return x, info


def _solve_by_matrix(g: Any, a: Any, out_0: Any, left: bool, vector: bool) -> Any:
    gb = solve_(a.mT, g, left=left, vector=vector)[0]
    if vector:
        return -(gb[..., :, None] * out_0[..., None, :])
    return -(gb @ out_0.mT) if left else -(out_0.mT @ gb)


solve_ = primitive(
    "linalg_solve_ex", _solve,
    grads=(_solve_by_matrix, lambda g, a, left, vector: solve_(a.mT, g, left=left, vector=vector)[0]),
    outputs=2, nondiff=(1,), restores=True)  # fmt: skip


def _system(A: Tensor, B: Tensor, left: bool, function: str, check_errors: bool) -> Any:
    check_square(A, "linalg.solve")
    check_floating(A, "linalg.solve")
    check_kernel(A, "linalg_solve_cpu")
    check_same(A, B, "linalg.solve")
    a, b = A._array.shape, B._array.shape
    vector = len(b) == 1 or (len(b) == len(a) - 1 and b == a[:-1])
    if vector:
        check_fit(A, B.unsqueeze(-1), left, "linalg.solve")
        if not left:
            raise RuntimeError(
                "linalg.solve: Vector broadcasting of the left hand side is not supported for left=False. In this case linalg.solve "
                "is equivalent to B / A.squeeze(-1)"
            )
    else:
        check_fit(A, B, left, "linalg.solve")
        check_batches(A, B)
    x, info = solve_(A, B, left=bool(left), vector=vector)
    bad = first_bad(info) if check_errors else None
    if bad is not None:
        raise LinAlgError(f"{function}: {bad[0]}The solver failed because the input matrix is singular.")
    return x, info


@parsed
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X of A X = B (left=False: X A = B); a B with one dimension less than A is a vector. Raises LinAlgError for a singular A."""
    return _system(A, B, left, "torch.linalg.solve", True)[0]  # type: ignore[no-any-return]


@parsed
def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Any:
    """X of A X = B, and for each matrix the first zero on U's diagonal (0: none)."""
    return return_types.linalg_solve_ex(_system(A, B, left, "torch.linalg.solve_ex", check_errors))


# ---- exponential -----------------------------------------------------------------------------------------------------


def _exp_back(g: Any, a: Any) -> Any:
    """The upper right block of exp([[A^T, g], [0, A^T]]): the derivative of exp at A^T towards g."""
    n, rank = a.shape[-1], a.ndim
    zero = like(np.zeros(a.shape, numpy_dtype(a)), a)
    block = cat_(cat_(a.mT, g, dim=rank - 1), cat_(zero, a.mT, dim=rank - 1), dim=rank - 2)
    return matrix_exp_(block)[..., :n, n:]


matrix_exp_ = primitive("linalg_matrix_exp", lambda a: kernels.exponential(a), grads=(_exp_back,))


@parsed
def matrix_exp(A: Tensor) -> Tensor:
    """e^A for square matrices."""
    check_square(A, "linalg.matrix_exp")
    check_floating(A, "linalg.matrix_exp")
    return matrix_exp_(A)  # type: ignore[no-any-return]
