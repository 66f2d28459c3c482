"""Systems whose matrix is given by its factors: lu_solve, cholesky_solve, cholesky_inverse, ldl_solve.

Here: primitives with their gradients, PyTorch's functions. Not here: making the factors (decompositions.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.decompositions import permutation_, unpacked
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
    discourage,
    numpy_dtype,
    values,
)
from lamina.primitives.masking import tril_, triu_
from lamina.primitives.registry import primitive
from lamina.primitives.signature import parsed, scalar_name
from lamina.primitives.triangular import check_batches, check_system


def _lu_solve(lu: Array, pivots: Array, b: Array, *, left: bool, adjoined: bool) -> Array:
    if not left:  # X A = B is A^H X^H = B^H
        return np.swapaxes(
            _lu_solve(lu, pivots, np.swapaxes(b, -1, -2).conj(), left=True, adjoined=not adjoined), -1, -2
        ).conj()
    order = kernels.permutation(pivots, lu.shape[-1])
    batch = np.broadcast_shapes(lu.shape[:-2], b.shape[:-2])
    order, b = np.broadcast_to(order, (*batch, order.shape[-1])), np.broadcast_to(b, (*batch, *b.shape[-2:]))
    if adjoined:
        upper_first = np.swapaxes(lu, -1, -2).conj()
        x = kernels.triangular(upper_first, kernels.triangular(upper_first, b, False, False), True, True)
        return column_major(np.take_along_axis(x, np.argsort(order, -1)[..., None], -2))
    x = np.take_along_axis(b, order[..., None], -2)
    return column_major(kernels.triangular(lu, kernels.triangular(lu, x, False, True), True, False))


def _lu_by_factor(g: Any, lu: Any, pivots: Any, out: Any, left: bool, adjoined: bool) -> Any:
    gb = lu_solve_(lu, pivots, g, left=left, adjoined=not adjoined)
    if left:
        ga = -(out @ adjoint(gb)) if adjoined else -(gb @ adjoint(out))
    else:
        ga = -(adjoint(gb) @ out) if adjoined else -(adjoint(out) @ gb)
    inner = permutation_(pivots, m=lu.shape[-1], dtype=numpy_dtype(lu)).mT @ ga
    lower, upper = unpacked(lu)
    return tril_(inner @ adjoint(upper), diagonal=-1) + triu_(adjoint(lower) @ inner, diagonal=0)


lu_solve_ = primitive(
    "linalg_lu_solve", _lu_solve,
    grads=(_lu_by_factor, None,
           lambda g, lu, pivots, left, adjoined: lu_solve_(lu, pivots, g, left=left, adjoined=not adjoined)),
    holomorphic=False, restores=True)  # fmt: skip


@parsed
def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """X of A X = B (left=False: X A = B; adjoint=True: A^H for A), A given by lu_factor."""
    check_floating(LU, "torch.linalg.lu_solve")
    if pivots._array.dtype != np.int32:
        raise RuntimeError("linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32")
    check_square(LU, "torch.linalg.lu_solve")
    check_same(LU, B, "linalg.lu_solve", "LU")
    check_fit(LU, B, left, "linalg.lu_solve")
    n = LU._array.shape[-1]
    if pivots._array.ndim == 0 or pivots._array.shape[-1] != n:
        raise RuntimeError("linalg.lu_solve: Number of pivots per batch should be same as the dimension of the matrix")
    if pivots._array.shape[:-1] != LU._array.shape[:-2]:
        raise RuntimeError(
            f"linalg.lu_solve: Expected LU.shape[:-1] and pivots.shape to be the same, but got pivots with shape "
            f"{list(pivots._array.shape)} instead"
        )
    check_batches(LU, B)
    return lu_solve_(LU, pivots, B, left=bool(left), adjoined=bool(adjoint))  # type: ignore[no-any-return]


@parsed
def legacy_lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """X of A X = b: the older form of linalg.lu_solve."""
    discourage("torch.lu_solve")
    return lu_solve(LU_data, LU_pivots, b)  # type: ignore[no-any-return]


def _cholesky_solve(b: Array, factor: Array, *, upper: bool) -> Array:
    other = np.swapaxes(factor, -1, -2).conj()
    lower, higher = (other, factor) if upper else (factor, other)
    return column_major(kernels.triangular(higher, kernels.triangular(lower, b, False, False), True, False))


def _cholesky_by_factor(g: Any, factor: Any, out: Any, upper: bool) -> Any:
    common = cholesky_solve_(g, factor, upper=upper) @ adjoint(out)
    common = common + adjoint(common)
    return -(factor @ common) if upper else -(common @ factor)


cholesky_solve_ = primitive(
    "cholesky_solve", _cholesky_solve,
    grads=(lambda g, factor, upper: cholesky_solve_(g, factor, upper=upper), _cholesky_by_factor),
    holomorphic=False, restores=True)  # fmt: skip


@parsed
def cholesky_solve(B: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """X of L L^H X = B (upper=True: L^H L X = B)."""
    for name, t in (("b", B), ("u", L)):
        if t._array.ndim < 2:
            raise RuntimeError(f"{name} should have at least 2 dimensions, but has {t._array.ndim} dimensions instead")
    check_system(B, L, "cholesky_solve")
    check_kernel(L, "cholesky_solve_cpu")
    check_batches(L, B)
    return cholesky_solve_(B, L, upper=bool(upper))  # type: ignore[no-any-return]


def _cholesky_inverse(factor: Array, *, upper: bool) -> Array:
    n = factor.shape[-1]
    return _cholesky_solve(np.broadcast_to(np.eye(n, dtype=factor.dtype), factor.shape), factor, upper=upper)


def _cholesky_inverse_back(g: Any, factor: Any, out: Any, upper: bool) -> Any:
    inner = out @ (g + adjoint(g)) @ out
    return -(factor @ inner) if upper else -(inner @ factor)


cholesky_inverse_ = primitive("cholesky_inverse", _cholesky_inverse, grads=(_cholesky_inverse_back,), holomorphic=False)


@parsed
def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """The inverse of L L^H (upper=True: L^H L). Raises LinAlgError where L is singular."""
    check_square(L, "cholesky_inverse")
    check_kernel(L, "cholesky_inverse_out_cpu")
    zeros = np.argwhere(np.diagonal(values(L), 0, -2, -1) == 0)
    if len(zeros):
        *batch, at = zeros[0]
        place = f"(Batch element {int(np.ravel_multi_index(batch, values(L).shape[:-2]))}): " if batch else ""
        raise LinAlgError(
            f"cholesky_inverse: {place}The diagonal element {int(at) + 1} is zero, the inversion could not be completed because the "
            "input matrix is singular."
        )
    return cholesky_inverse_(L, upper=bool(upper))  # type: ignore[no-any-return]


def _no_ldl_solve(g: Any) -> Any:
    raise RuntimeError("derivative for aten::linalg_ldl_solve is not implemented")


def _ldl_solve(ld: Array, pivots: Array, b: Array, *, hermitian: bool) -> Array:
    return column_major(kernels.ldl_solve(ld, pivots, b, hermitian))


def _ldl_solve_meta(ld: Array, pivots: Array, b: Array, *, hermitian: bool) -> Array:
    return column_major(np.empty((*np.broadcast_shapes(ld.shape[:-2], b.shape[:-2]), *b.shape[-2:]), b.dtype))


ldl_solve_ = primitive(
    "linalg_ldl_solve", _ldl_solve, grads=(_no_ldl_solve, None, _no_ldl_solve), node="NotImplemented",
    meta=_ldl_solve_meta)  # fmt: skip


@parsed
def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Tensor:
    """X of A X = B, A given by ldl_factor."""
    check_square(LD, "torch.linalg.ldl_solve")
    if B._array.ndim < 2:
        n = B._array.ndim
        raise RuntimeError(
            f"torch.linalg.ldl_solve: Expected B to have at least 2 dimensions, but it has {n} dimensions instead"
        )
    if pivots._kind.dtype.category != 1:
        raise RuntimeError(
            f"torch.linalg.ldl_solve: Expected pivots to be integers. Got {scalar_name(pivots._kind.dtype)}"
        )
    if pivots._array.shape != LD._array.shape[:-1]:
        raise RuntimeError(
            f"torch.linalg.ldl_solve: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with shape "
            f"{list(pivots._array.shape)} instead"
        )
    check_system(B, LD, "ldl_solve")
    check_batches(LD, B)
    return ldl_solve_(LD, pivots, B, hermitian=bool(hermitian))  # type: ignore[no-any-return]
