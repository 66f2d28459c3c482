"""Decompositions by eigenvalues and singular values: eig, eigh, svd.

Here: primitives with their gradients, PyTorch's functions. Not here: triangular factorizations (decompositions.py), what singular
values give (least_squares.py). A rule uses g in PyTorch's convention, so it conjugates by itself (holomorphic=False).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import return_types
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, wrap
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
    identity,
    is_complex,
    values,
)
from lamina.primitives.registry import primitive
from lamina.primitives.signature import not_implemented, parsed, scalar_name
from lamina.primitives.solvers import solve_

_PHASE = "complex case are specified up to multiplication by e^{i phi}. The specified loss function depends on this"


def _check_phase(imaginary: Any, message: str) -> None:
    """Vectors are given up to a phase: a loss that changes with the phase has no gradient."""
    if np.any(np.abs(values(imaginary)) > 1e-2):
        raise RuntimeError(message)


def _gaps(x: Any) -> Any:
    """x_j - x_i, and 1 on the diagonal."""
    return x[..., None, :] - x[..., :, None] + identity(x, x.shape[-1])


# ---- eigh ------------------------------------------------------------------------------------------------------------


def _eigh(a: Array, *, uplo: str) -> tuple[Array, Array]:
    try:
        w, v = np.linalg.eigh(a, uplo)  # type: ignore[call-overload]
    except np.linalg.LinAlgError:
        raise LinAlgError(
            "linalg.eigh: The algorithm failed to converge because the input matrix is ill-conditioned or has "
            "too many repeated eigenvalues."
        ) from None
    return w, column_major(v)


def _eigh_back(gs: Any, out_0: Any, out_1: Any) -> Any:
    gw, gv = gs
    v = out_1
    if gv is None:
        return (v * gw[..., None, :]) @ adjoint(v)
    inner = adjoint(v) @ gv
    if is_complex(v):
        _check_phase(
            diagonal_of(inner).imag,
            f"linalg_eigh_backward: The eigenvectors in the {_PHASE} quantity, so it is ill-defined.",
        )
    # only what turns the vectors counts: so the gradient is Hermitian, as the matrix is
    inner = (inner - adjoint(inner)) * 0.5 / _gaps(out_0)
    inner = inner - diagonal_matrix(diagonal_of(inner))
    if gw is not None:
        inner = inner + diagonal_matrix(gw)
    return v @ inner @ adjoint(v)


eigh_ = primitive("linalg_eigh", _eigh, grads=(_eigh_back,), outputs=2, holomorphic=False)


def _symmetric(A: Tensor, UPLO: str) -> str:
    check_square(A, "linalg.eigh")
    if not isinstance(UPLO, str) or UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    check_kernel(A, "linalg_eigh_cpu")
    return UPLO.upper()


@parsed
def eigh(A: Tensor, UPLO: str = "L") -> Any:
    """Eigenvalues (ascending) and orthonormal eigenvectors of Hermitian matrices, read from the triangle UPLO."""
    return return_types.linalg_eigh(eigh_(A, uplo=_symmetric(A, UPLO)))


@parsed
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """Eigenvalues of Hermitian matrices, ascending."""
    return eigh_(A, uplo=_symmetric(A, UPLO))[0]  # type: ignore[no-any-return]


# ---- eig -------------------------------------------------------------------------------------------------------------


def _eig(a: Array) -> tuple[Array, Array]:
    w, v = np.linalg.eig(a)
    to = np.result_type(a.dtype, np.complex64)
    return w.astype(to, copy=False), column_major(v.astype(to, copy=False))


def _eig_back(gs: Any, out_0: Any, out_1: Any) -> Any:
    gw, gv = gs
    v, vh = out_1, adjoint(out_1)
    if gv is None:
        return solve_(vh, gw[..., :, None] * vh, left=True, vector=False)[0]
    inner = vh @ gv
    along = diagonal_of(inner)
    _check_phase(along.imag, f"linalg_eig_backward: The eigenvectors in the {_PHASE} quantity, so it is ill-defined.")
    inner = inner - (vh @ v) * along.real[..., None, :]
    inner = inner / _gaps(out_0).conj()
    inner = inner - diagonal_matrix(diagonal_of(inner))
    if gw is not None:
        inner = inner + diagonal_matrix(gw)
    return solve_(vh, inner @ vh, left=True, vector=False)[0]


eig_ = primitive("linalg_eig", _eig, grads=(_eig_back,), outputs=2, holomorphic=False)


def _general(A: Tensor, function: str) -> None:
    check_square(A, function)
    d = A._kind.dtype
    if d.category < 2:
        raise RuntimeError(f"Unknown Complex ScalarType for {scalar_name(d)}")
    if d.is_low:
        raise not_implemented("linalg_eig_out_cpu", d)
    if not np.isfinite(values(A)).all():
        raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")


@parsed
def eig(A: Tensor) -> Any:
    """Eigenvalues and eigenvectors (of norm 1, in columns) of square matrices; complex."""
    _general(A, "linalg.eig")
    return return_types.linalg_eig(eig_(A))


@parsed
def eigvals(A: Tensor) -> Tensor:
    """Eigenvalues of square matrices; complex."""
    _general(A, "linalg.eigvals")
    return eig_(A)[0]  # type: ignore[no-any-return]


# ---- svd -------------------------------------------------------------------------------------------------------------


def _svd(a: Array, *, full: bool) -> tuple[Array, Array, Array]:
    if not np.isfinite(a).all():
        raise LinAlgError(
            "linalg.svd: The algorithm failed to converge because the input matrix contained non-finite values."
        )
    u, s, vh = np.linalg.svd(a, full_matrices=full)
    return column_major(u), s, column_major(vh)


def _svd_back(gs: Any, out_0: Any, out_1: Any, out_2: Any) -> Any:
    gu, gs_, gvh = gs
    s, k = out_1, out_1.shape[-1]
    # the vectors of a full decomposition beyond the singular values are arbitrary: they carry no gradient
    u, vh = out_0[..., :, :k], out_2[..., :k, :]
    if gu is None and gvh is None:
        return (u * gs_[..., None, :]) @ vh
    v = adjoint(vh)
    gu = None if gu is None else gu[..., :, :k]
    gv = None if gvh is None else adjoint(gvh[..., :k, :])
    in_u = None if gu is None else adjoint(u) @ gu
    in_v = None if gv is None else adjoint(v) @ gv
    if is_complex(u):
        phases = [diagonal_of(x).imag for x in (in_u, in_v) if x is not None]
        _check_phase(
            phases[0] + phases[1] if len(phases) == 2 else phases[0],
            f"svd_backward: The singular vectors in the {_PHASE} phase term, making it ill-defined.",
        )
    squared = s * s
    gaps = _gaps(squared)
    inner: Any = None
    if in_u is not None:
        inner = (in_u - adjoint(in_u)) / gaps * s[..., None, :]
    if in_v is not None:
        part = s[..., :, None] * ((in_v - adjoint(in_v)) / gaps)
        inner = part if inner is None else inner + part
    if is_complex(u):
        inner = inner - diagonal_matrix(diagonal_of(inner))
        if in_u is not None:
            inner = inner + diagonal_matrix(diagonal_of(in_u).imag / s) * 1j
    if gs_ is not None:
        inner = inner + diagonal_matrix(gs_)
    m, n = u.shape[-2], v.shape[-2]
    if gu is not None and m > k:  # what points out of the space of U
        left = u @ inner + (gu - u @ in_u) / s[..., None, :]
    else:
        left = u @ inner
    out = left @ vh
    if gv is not None and n > k:
        out = out + u @ (adjoint(gv - v @ in_v) / s[..., :, None])
    return out


svd_ = primitive("linalg_svd", _svd, grads=(_svd_back,), outputs=3, holomorphic=False)


def _check_svd(A: Tensor, driver: str | None) -> None:
    check_matrix(A, "linalg.svd")
    check_floating(A, "linalg.svd")
    check_kernel(A, "linalg_svd_cpu")
    if driver is not None:
        raise RuntimeError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend."
        )


@parsed
def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> Any:
    """U, singular values (descending) and V^H of matrices.

    Shapes: (..., m, n) -> (..., m, m), (..., k), (..., n, n) with k = min(m, n); with full_matrices=False (..., m, k), (..., k, n).
    """
    _check_svd(A, driver)
    return return_types.linalg_svd(svd_(A, full=bool(full_matrices)))


@parsed
def svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """Singular values of matrices, descending."""
    _check_svd(A, driver)
    return svd_(A, full=False)[1]  # type: ignore[no-any-return]


@parsed
def legacy_svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> Any:
    """U, S and V (not V^H): the older form of linalg.svd."""
    n = input._array.ndim
    if n < 2:
        raise RuntimeError(f"linalg.svd: input should have at least 2 dimensions, but has {n} dimensions instead")
    _check_svd(input, None)
    if compute_uv:
        u, s, vh = svd_(input, full=not some)
        return return_types.svd((u, s, vh.mH))
    *batch, rows, columns = input._array.shape
    zeros = (wrap(np.zeros((*batch, k, k), input._kind.np)) for k in (rows, columns))
    return return_types.svd((next(zeros), svd_(input, full=False)[1], next(zeros)))
