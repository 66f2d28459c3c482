"""Triangular factorizations: Cholesky, QR, LU, LDL, and products of Householder reflections.

Here: primitives with their gradients, PyTorch's functions. Not here: eigenvalues and singular values (eigen.py), solving with the
factors (solvers.py), the loops over columns (kernels/factorizations.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import return_types
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.inplace import of_tensors
from lamina.primitives.kernels import factorizations as kernels
from lamina.primitives.linalg_common import (
    LinAlgError,
    adjoint,
    check_floating,
    check_kernel,
    check_matrix,
    check_square,
    column_major,
    diagonal_matrix,
    diagonal_of,
    discourage,
    first_bad,
    like,
    numpy_dtype,
    values,
)
from lamina.primitives.masking import tril_, triu_
from lamina.primitives.registry import primitive
from lamina.primitives.shape import cat_, embed
from lamina.primitives.signature import parsed
from lamina.primitives.triangular import solve_triangular_

# ---- Cholesky --------------------------------------------------------------------------------------------------------


def _cholesky(a: Array, *, upper: bool) -> tuple[Array, Array]:
    if not upper:
        factor, info = kernels.cholesky(a)
    else:
        factor, info = kernels.cholesky(np.swapaxes(a, -1, -2).conj())
        factor = np.swapaxes(factor, -1, -2).conj()
    return column_major(factor), info


def _cholesky_back(g: Any, out_0: Any, upper: bool) -> Any:
    factor = out_0
    if upper:
        g, factor = adjoint(g), adjoint(factor)
    inner = tril_(adjoint(factor) @ g, diagonal=0)
    inner = inner - diagonal_matrix(diagonal_of(inner)) * 0.5
    # L^-H inner L^-1, made Hermitian
    left = solve_triangular_(adjoint(factor), inner, upper=True, left=True, unit=False)
    whole = solve_triangular_(factor, left, upper=False, left=False, unit=False)
    return (whole + adjoint(whole)) * 0.5


cholesky_ = primitive(
    "linalg_cholesky_ex", _cholesky,
    grads=(_cholesky_back,), outputs=2, nondiff=(1,), holomorphic=False)  # fmt: skip
legacy_cholesky_ = primitive(
    "cholesky", _cholesky,
    grads=(_cholesky_back,), outputs=2, nondiff=(1,), holomorphic=False)  # fmt: skip


def _factored(op: Any, A: Tensor, upper: bool, function: str, check_errors: bool = True) -> Any:
    check_square(A, function)
    if function.startswith("linalg"):
        check_floating(A, function)
    check_kernel(A, "cholesky_cpu")
    factor, info = op(A, upper=bool(upper))
    bad = first_bad(info) if check_errors else None
    if bad is not None:
        raise LinAlgError(
            f"{function}: {bad[0]}The factorization could not be completed because the input is not positive-definite "
            f"(the leading minor of order {bad[1]} is not positive-definite)."
        )
    return factor, info


@parsed
def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """L of A = L L^H (upper=True: its adjoint). Raises LinAlgError where A is not positive-definite."""
    return _factored(cholesky_, A, upper, "linalg.cholesky")[0]  # type: ignore[no-any-return]


@parsed
def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    """L of A = L L^H, and for each matrix the order of the first minor that is not positive (0: none)."""
    return return_types.linalg_cholesky_ex(_factored(cholesky_, A, upper, "linalg.cholesky_ex", check_errors))


@parsed
def legacy_cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """L of A = L L^H: the older form of linalg.cholesky."""
    discourage("torch.cholesky")
    return _factored(legacy_cholesky_, input, upper, "cholesky")[0]  # type: ignore[no-any-return]


# ---- QR --------------------------------------------------------------------------------------------------------------


def _qr(a: Array, *, mode: str) -> tuple[Array, Array]:
    if mode == "r":
        return np.zeros(0, a.dtype), column_major(np.linalg.qr(a, "r"))  # type: ignore[arg-type]
    q, r = np.linalg.qr(a, mode)  # type: ignore[call-overload]
    return column_major(q), column_major(r)


def _qr_back(gs: Any, a: Any, out_0: Any, out_1: Any, mode: str) -> Any:
    (gq, gr), q, r = gs, out_0, out_1
    *_, m, n = a.shape
    if mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use linalg.qr(A, mode='reduced') "
            "if you are going to differentiate through linalg.qr."
        )
    if mode == "complete" and m > n:
        raise RuntimeError("The QR decomposition is not differentiable when mode='complete' and nrows > ncols.")
    rest: Any = None
    if m < n:  # A = [X Y] = Q [U V]: the part V = Q^H Y depends on X through Q
        u = r[..., :, :m]
        if gr is not None:
            gr, g_rest = gr[..., :, :m], gr[..., :, m:]
            rest = q @ g_rest
            through = a[..., :, m:] @ adjoint(g_rest)
            gq = through if gq is None else gq + through
        else:
            rest = like(np.zeros((*a.shape[:-1], n - m), numpy_dtype(a)), a)
    else:
        u = r
    inner: Any = None
    if gr is not None:
        inner = gr @ adjoint(u)
    if gq is not None:
        part = adjoint(q) @ gq
        inner = -part if inner is None else inner - part
    inner = triu_(inner, diagonal=0)
    whole = q @ (inner + adjoint(inner) - diagonal_matrix(diagonal_of(inner).real))
    if gq is not None:
        whole = whole + gq
    out = solve_triangular_(adjoint(u), whole, upper=False, left=False, unit=False)
    return out if rest is None else cat_(out, rest, dim=out.ndim - 1)


qr_ = primitive("linalg_qr", _qr, grads=(_qr_back,), outputs=2, holomorphic=False)


def _orthogonalized(A: Tensor, mode: str) -> Any:
    check_matrix(A, "linalg.qr")
    check_floating(A, "linalg.qr")
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    check_kernel(A, "geqrf_cpu")
    return qr_(A, mode=mode)


@parsed
def qr(A: Tensor, mode: str = "reduced") -> Any:
    """Q with orthonormal columns and upper triangular R of A = Q R. mode: "reduced", "complete" (square Q), "r" (Q is empty)."""
    return return_types.linalg_qr(_orthogonalized(A, mode))


@parsed
def legacy_qr(input: Tensor, some: bool = True) -> Any:
    """Q and R: the older form of linalg.qr."""
    discourage("torch.qr")
    return return_types.qr(_orthogonalized(input, "reduced" if some else "complete"))


def _geqrf(a: Array) -> tuple[Array, Array]:
    h, tau = np.linalg.qr(a, "raw")
    return column_major(np.swapaxes(h, -1, -2)), tau


def _no_geqrf(gs: Any) -> Any:
    raise NotImplementedError("the derivative for 'geqrf' is not implemented.")


geqrf_ = primitive("geqrf", _geqrf, grads=(_no_geqrf,), outputs=2)


@parsed
def geqrf(input: Tensor) -> Any:
    """QR as LAPACK keeps it: R and the Householder vectors in one matrix, and their scales."""
    if input._array.ndim < 2:
        raise RuntimeError("torch.geqrf: input must have at least 2 dimensions.")
    check_kernel(input, "geqrf_cpu")
    return return_types.geqrf(geqrf_(input))


# ---- LU --------------------------------------------------------------------------------------------------------------


def unpacked(lu: Any) -> tuple[Any, Any]:
    """L (m x k, unit diagonal) and U (k x n) of a packed LU."""
    *_, m, n = lu.shape
    k = min(m, n)
    one = like(np.eye(m, k, dtype=numpy_dtype(lu)), lu)
    return tril_(lu[..., :, :k], diagonal=-1) + one, triu_(lu[..., :k, :], diagonal=0)


def _lu_back(p: Any, lower: Any, upper: Any, gl: Any, gu: Any) -> Any:
    """The cotangent of A = P L U. Transposes, not adjoints: the registry conjugates."""
    m, n = lower.shape[-2], upper.shape[-1]
    k = min(m, n)
    square_l, square_u = lower[..., :k, :], upper[..., :, :k]
    gl_top = None if gl is None else gl[..., :k, :]
    gu_left = None if gu is None else gu[..., :, :k]
    in_l = None if gl is None else square_l.mT @ gl_top
    in_u = None if gu is None else gu_left @ square_u.mT
    if m > k and gl is not None:
        part = lower[..., k:, :].mT @ gl[..., k:, :]
        in_u = -part if in_u is None else in_u - part
    if n > k and gu is not None:
        part = gu[..., :, k:] @ upper[..., :, k:].mT
        in_l = -part if in_l is None else in_l - part
    inner: Any = None if in_l is None else tril_(in_l, diagonal=-1)
    if in_u is not None:
        part = triu_(in_u, diagonal=0)
        inner = part if inner is None else inner + part
    half = solve_triangular_(square_u.mT, inner, upper=False, left=False, unit=False)
    out = solve_triangular_(square_l.mT, half, upper=True, left=True, unit=True)
    if m > k:
        zero = like(np.zeros((*out.shape[:-2], m - k, k), numpy_dtype(lower)), lower)
        low = (
            zero if gl is None else solve_triangular_(square_u.mT, gl[..., k:, :], upper=False, left=False, unit=False)
        )
        out = cat_(out, low, dim=out.ndim - 2)
    if n > k:
        zero = like(np.zeros((*out.shape[:-1], n - k), numpy_dtype(lower)), lower)
        right = zero if gu is None else solve_triangular_(square_l.mT, gu[..., :, k:], upper=True, left=True, unit=True)
        out = cat_(out, right, dim=out.ndim - 1)
    return p @ out


def _factor_back(g: Any, out_0: Any, out_1: Any) -> Any:
    lower, upper = unpacked(out_0)
    k = min(g.shape[-2:])
    p = permutation_(out_1, m=g.shape[-2], dtype=numpy_dtype(g))
    return _lu_back(p, lower, upper, tril_(g[..., :, :k], diagonal=-1), triu_(g[..., :k, :], diagonal=0))


permutation_ = primitive("permutation_matrix", lambda pivots, *, m, dtype: kernels.permutation_matrix(pivots, m, dtype))
"""P of A = P L U, from the pivots."""


def _lu_factor(a: Array) -> tuple[Array, Array, Array]:
    packed, pivots, info = kernels.lu(a)
    return column_major(packed), pivots, info


lu_factor_ = primitive("linalg_lu_factor_ex", _lu_factor, grads=(_factor_back,), outputs=3, nondiff=(1, 2))


def _lu(a: Array) -> tuple[Array, Array, Array]:
    packed, pivots, _ = kernels.lu(a)
    lower, upper = unpacked(packed)
    return kernels.permutation_matrix(pivots, a.shape[-2], a.dtype), lower, upper


lu_ = primitive(
    "linalg_lu", _lu,
    grads=(lambda gs, out_0, out_1, out_2: _lu_back(out_0, out_1, out_2, *gs),), outputs=3, nondiff=(0,))  # fmt: skip


def _check_lu(A: Tensor, pivot: bool, function: str) -> None:
    if A._array.ndim < 2:
        raise RuntimeError(
            f"{function}: Expected tensor with 2 or more dimensions. Got size: {list(A._array.shape)} instead"
        )
    check_kernel(A, "lu_cpu")
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")


@parsed
def lu(A: Tensor, *, pivot: bool = True) -> Any:
    """P, L, U of A = P L U."""
    _check_lu(A, pivot, "linalg.lu")
    return return_types.linalg_lu(lu_(A))


def _packed(A: Tensor, pivot: bool, function: str, check_errors: bool) -> Any:
    _check_lu(A, pivot, "torch.lu_factor")
    found = lu_factor_(A)
    bad = first_bad(found[2]) if check_errors else None
    if bad is not None:
        raise RuntimeError(
            f"{function}: {bad[0]}U[{bad[1]},{bad[1]}] is zero and using it on lu_solve would result in a division by zero. If you "
            "still want to perform the factorization, consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
        )
    return found


@parsed
def lu_factor(A: Tensor, *, pivot: bool = True) -> Any:
    """LU in one matrix and pivots (int32, counted from 1). Raises RuntimeError where U is singular."""
    return return_types.linalg_lu_factor(_packed(A, pivot, "torch.linalg.lu_factor", True)[:2])


@parsed
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """LU in one matrix, pivots, and for each matrix the first zero on U's diagonal (0: none)."""
    return return_types.linalg_lu_factor_ex(_packed(A, pivot, "torch.linalg.lu_factor_ex", check_errors))


@of_tensors
def legacy_lu(A: Tensor, pivot: bool = True, get_infos: Any = False, out: Any = None) -> Any:
    """LU in one matrix and pivots; with get_infos=True the info too."""
    discourage("torch.lu")
    _check_lu(A, pivot, "torch.lu_factor")
    found = lu_factor_(A)
    found = return_types._lu_with_info(found) if get_infos else found[:2]
    if out is not None:
        for target, value in zip(out, found, strict=True):
            target.resize_(value.shape).copy_(value)
        return out
    return found


def _unpack_back(gs: Any, packed_shape: Any) -> Any:
    gl, gu = gs
    k = min(packed_shape[-2:])
    out = None
    if gl is not None:
        out = embed(tril_(gl, diagonal=-1), shape=packed_shape, index=(..., slice(k)))
    if gu is not None:
        part = embed(triu_(gu, diagonal=0), shape=packed_shape, index=(..., slice(k), slice(None)))
        out = part if out is None else out + part
    return out


def _unpack(packed: Array, pivots: Array, *, data: bool, order: bool) -> tuple[Array, Array, Array]:
    none = np.zeros(0, packed.dtype)
    p = kernels.permutation_matrix(pivots, packed.shape[-2], packed.dtype) if order else none
    lower, upper = unpacked(packed) if data else (none, none)
    return p, lower, upper


lu_unpack_ = primitive("lu_unpack", _unpack, grads=(_unpack_back, None), outputs=3, nondiff=(0,))


@parsed
def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:
    """P, L and U of what lu_factor returned; what is not asked for is empty."""
    shape = LU_data._array.shape
    if len(shape) < 2:
        raise RuntimeError(
            f"torch.lu_unpack: Expected tensor with 2 or more dimensions. Got size: {list(shape)} instead"
        )
    if unpack_pivots:
        pivots = values(LU_pivots)
        if pivots.dtype != np.int32:
            raise RuntimeError(
                "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype.\n"
                "Note: this function is intended to be used with the output produced by torch.linalg.lu_factor"
            )
        if pivots.size and (pivots.shape[-1] != min(shape[-2:]) or pivots.min() < 1 or pivots.max() > shape[-2]):
            raise RuntimeError(
                "pivots passed to lu_unpack must be between 1 and LU.size(-2) inclusive."
                "Did you properly pass the result of lu_factor?"
            )
    return return_types.lu_unpack(lu_unpack_(LU_data, LU_pivots, data=bool(unpack_data), order=bool(unpack_pivots)))


# ---- LDL -------------------------------------------------------------------------------------------------------------


def _no_ldl(g: Any) -> Any:
    raise RuntimeError("derivative for aten::linalg_ldl_factor_ex is not implemented")


def _ldl(a: Array, *, hermitian: bool) -> tuple[Array, Array, Array]:
    factor, pivots, info = kernels.ldl(a, hermitian)
    return column_major(factor), pivots, info


ldl_factor_ = primitive(
    "linalg_ldl_factor_ex", _ldl,
    grads=(_no_ldl,), outputs=3, nondiff=(1, 2), node="NotImplemented")  # fmt: skip


@parsed
def ldl_factor_ex(A: Tensor, *, hermitian: bool = False, check_errors: bool = False) -> Any:
    """L and D in one matrix, pivots, and LAPACK's info, of A = P L D L^T P^T (hermitian=True: L^H)."""
    check_square(A, "torch.linalg.ldl_factor_ex")
    check_floating(A, "torch.linalg.ldl_factor_ex")
    check_kernel(A, "ldl_factor_kernel_cpu")
    found = return_types.linalg_ldl_factor_ex(ldl_factor_(A, hermitian=bool(hermitian)))
    bad = first_bad(found[2]) if check_errors else None
    if bad is not None:
        raise RuntimeError(f"torch.linalg.ldl_factor_ex: {bad[0]}D[{bad[1]},{bad[1]}] is zero: A is singular.")
    return found


@parsed
def ldl_factor(A: Tensor, *, hermitian: bool = False) -> Any:
    """L and D in one matrix, and pivots. Raises RuntimeError for a singular matrix."""
    return return_types.linalg_ldl_factor(ldl_factor_ex(A, hermitian=hermitian, check_errors=True)[:2])
