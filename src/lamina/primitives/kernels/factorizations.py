"""Factorizations of arrays that NumPy has not: LU with pivots, triangular systems, Cholesky that reports, LDL.

Arrays in, arrays out; leading dimensions are batches. Here: numbers, in NumPy loops over columns that run over the whole batch
at once, or in scipy's LAPACK where one matrix is large. Not here: gradients, checks (decompositions.py, solvers.py).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from lamina.core import blas
from lamina.core.strided import Array

LARGE = 24
"""From this size on a matrix is LAPACK's; below, the loop over its columns costs less than loading scipy."""


def lapack(routine: str, dtype: Any) -> Any:
    """scipy's LAPACK routine for `dtype`, or None without scipy."""
    routines = _routines()
    return routines and getattr(routines, {"f": "s", "d": "d", "F": "c", "D": "z"}[np.dtype(dtype).char] + routine)


@cache
def _routines() -> Any:
    try:
        from scipy.linalg import _flapack, lapack  # heavy, and absent in a slim installation
    except ImportError:
        return None
    blas.hold(_flapack)  # SciPy brings a BLAS of its own
    return lapack


def _stacked(x: Array, trailing: int = 2) -> Array:
    """A copy of `x` as one batch of matrices (or vectors, trailing=1)."""
    return np.array(x, order="C").reshape(-1, *x.shape[x.ndim - trailing :])


def _magnitude(x: Array) -> Array:
    """How LAPACK compares pivots: complex numbers by the sum of their parts' sizes."""
    return np.abs(x.real) + np.abs(x.imag) if x.dtype.kind == "c" else np.abs(x)


# ---- LU --------------------------------------------------------------------------------------------------------------


def lu(a: Array) -> tuple[Array, Array, Array]:
    """L (unit diagonal, not stored) and U in one matrix, pivots (counted from 1), and the first zero of U's diagonal (or 0)."""
    *batch, m, n = a.shape
    k = min(m, n)
    out = _stacked(a) if a.size else np.array(a).reshape(-1 if 0 not in batch and m * n else int(np.prod(batch)), m, n)
    count = len(out)
    pivots, info = np.ones((count, k), np.int32), np.zeros(count, np.int32)
    getrf = lapack("getrf", a.dtype) if k >= LARGE and k >= count else None
    if getrf is not None:
        for i in range(count):
            out[i], pivot, info[i] = getrf(out[i])
            pivots[i] = pivot + 1
    else:
        _eliminate(out, pivots, info)
    return out.reshape(a.shape), pivots.reshape(*batch, k), info.reshape(batch)


def _eliminate(a: Array, pivots: Array, info: Array) -> None:
    rows = np.arange(len(a))
    for j in range(pivots.shape[1] if len(a) else 0):
        best = j + np.argmax(_magnitude(a[:, j:, j]), axis=1)
        pivots[:, j] = best + 1
        top = a[:, j].copy()
        a[:, j] = a[rows, best]
        a[rows, best] = top
        diagonal = a[:, j, j]
        zero = diagonal == 0
        info[zero & (info == 0)] = j + 1
        a[:, j + 1 :, j] /= np.where(zero, 1, diagonal).astype(a.dtype)[:, None]
        a[:, j + 1 :, j + 1 :] -= a[:, j + 1 :, j, None] * a[:, j, None, j + 1 :]


def permutation(pivots: Array, m: int) -> Array:
    """The order of rows that `pivots` bring about: A[order] = L U."""
    flat = pivots.reshape(-1, pivots.shape[-1]) if pivots.size else pivots.reshape(int(np.prod(pivots.shape[:-1])), 0)
    order = np.tile(np.arange(m), (len(flat), 1))
    rows = np.arange(len(flat))
    for j in range(flat.shape[1]):
        other = flat[:, j] - 1
        order[rows, j], order[rows, other] = order[rows, other], order[rows, j]
    return order.reshape(*pivots.shape[:-1], m)


def permutation_matrix(pivots: Array, m: int, dtype: Any) -> Array:
    """P of A = P L U."""
    return np.swapaxes(np.eye(m, dtype=dtype)[permutation(pivots, m)], -1, -2).copy()


# ---- triangular systems ----------------------------------------------------------------------------------------------


def triangular(a: Array, b: Array, upper: bool, unit: bool) -> Array:
    """X of A X = B for triangular A, whose other half is not read. A zero on the diagonal gives infinities."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    n, k = b.shape[-2:]
    a, b = np.broadcast_to(a, (*batch, n, n)), np.broadcast_to(b, (*batch, n, k))
    x = np.array(b, np.result_type(a, b), order="C")
    if not x.size:
        return x
    flat_a, flat_x = a.reshape(-1, n, n), x.reshape(-1, n, k)
    trtrs = lapack("trtrs", x.dtype) if n >= LARGE and n >= len(flat_x) else None
    if trtrs is not None:
        for i in range(len(flat_x)):
            solved, info = trtrs(flat_a[i], flat_x[i], lower=not upper, unitdiag=unit)
            if info:
                _substitute(flat_a[i : i + 1], flat_x[i : i + 1], upper, unit)
            else:
                flat_x[i] = solved
    else:
        _substitute(flat_a, flat_x, upper, unit)
    return x


def _substitute(a: Array, x: Array, upper: bool, unit: bool) -> None:
    n = a.shape[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        for i in range(n - 1, -1, -1) if upper else range(n):
            if not unit:
                x[:, i] /= a[:, i, i, None]
            rest = slice(0, i) if upper else slice(i + 1, n)
            x[:, rest] -= a[:, rest, i, None] * x[:, i, None]


# ---- Cholesky --------------------------------------------------------------------------------------------------------


def cholesky(a: Array) -> tuple[Array, Array]:
    """L of A = L L^H, from A's lower triangle, and the order of the first minor that is not positive (or 0)."""
    info = np.zeros(a.shape[:-2], np.int32)
    try:
        out = np.linalg.cholesky(a)
        if not np.isnan(np.diagonal(out, 0, -2, -1)).any():
            return out, info
    except np.linalg.LinAlgError:
        pass
    out = np.tril(a)
    for i in np.ndindex(*info.shape):
        info[i] = _until_it_fails(out[i])
    return out, info


def _until_it_fails(a: Array) -> int:
    """Column by column in place; returns the order of the minor that is not positive (0: none)."""
    for j in range(len(a)):
        rest = (a[j, j] - (a[j, :j] * a[j, :j].conj()).sum()).real
        if not rest > 0:
            a[j, j] = rest
            return j + 1
        a[j, j] = np.sqrt(rest)
        a[j + 1 :, j] = (a[j + 1 :, j] - a[j + 1 :, :j] @ a[j, :j].conj()) / a[j, j]
    return 0


# ---- LDL -------------------------------------------------------------------------------------------------------------


def ldl(a: Array, hermitian: bool) -> tuple[Array, Array, Array]:
    """Bunch-Kaufman's L and D in one matrix from A's lower triangle, pivots as LAPACK's, and its info."""
    *batch, n, _ = a.shape
    out, pivots, info = np.array(a, order="C"), np.ones((*batch, n), np.int32), np.zeros(batch, np.int32)
    if not out.size:
        return out, pivots, info
    sytrf = lapack("hetrf" if hermitian and a.dtype.kind == "c" else "sytrf", a.dtype)
    if sytrf is None:
        raise NotImplementedError(
            "linalg.ldl_factor is SciPy's LAPACK's, and SciPy is not installed: pip install scipy, or use linalg.lu_factor"
        )
    for i in np.ndindex(*info.shape):
        factor, pivot, info[i] = sytrf(out[i], lower=True)
        out[i] = np.tril(factor)
        pivots[i] = pivot
    return out, pivots, info


def ldl_solve(ld: Array, pivots: Array, b: Array, hermitian: bool) -> Array:
    """X of A X = B, A given by `ldl`."""
    batch = np.broadcast_shapes(ld.shape[:-2], b.shape[:-2])
    ld, pivots = np.broadcast_to(ld, (*batch, *ld.shape[-2:])), np.broadcast_to(pivots, (*batch, pivots.shape[-1]))
    out = np.array(np.broadcast_to(b, (*batch, *b.shape[-2:])), order="C")
    for i in np.ndindex(*batch):
        _ldl_solve(ld[i], pivots[i], out[i], hermitian and ld.dtype.kind == "c")
    return out


def _ldl_solve(ld: Array, pivots: Array, x: Array, hermitian: bool) -> None:
    n = len(ld)
    k = 0
    blocks: list[slice] = []
    while k < n:  # P L D y = b, block by block; a negative pivot is that of a 2 x 2 block
        size = 1 if pivots[k] > 0 else 2
        block, last = slice(k, k + size), k + size - 1
        _swap(x, last, abs(int(pivots[last])) - 1)
        x[k + size :] -= ld[k + size :, block] @ x[block]
        d = np.tril(ld[block, block])
        low = np.tril(d, -1)
        if hermitian:
            d = np.diag(np.diag(d).real).astype(ld.dtype) + low + low.conj().T
        else:
            d = d + low.T
        x[block] = np.linalg.solve(d, x[block])
        blocks.append(block)
        k += size
    for block in reversed(blocks):  # L^T P^T x = y
        below = ld[block.stop :, block].T
        x[block] -= (below.conj() if hermitian else below) @ x[block.stop :]
        last = block.stop - 1
        _swap(x, last, abs(int(pivots[last])) - 1)


def _swap(x: Array, i: int, j: int) -> None:
    if i != j:
        x[[i, j]] = x[[j, i]]


# ---- the exponential -------------------------------------------------------------------------------------------------

_PADE = (64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0, 10559470521600.0,
         670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0)  # fmt: skip
_REACH = 5.37
"""The norm up to which the approximation of degree 13 is exact to rounding."""


def exponential(a: Array) -> Array:
    """e^A: a Pade approximation of A / 2^s, squared s times (s for each matrix). Source: Higham 2005."""
    if not a.size:
        return a.copy()
    kind = a.dtype
    a = a.astype(
        np.result_type(kind, np.float64), copy=False
    )  # the coefficients cancel: in float32, four digits were left
    norm = np.abs(a).sum(-2).max(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = np.ceil(np.log2(norm / _REACH))
    squarings = np.where(np.isfinite(needed) & (needed > 0), needed, 0).astype(int)
    a = a / np.exp2(squarings).astype(a.real.dtype)[..., None, None]
    c, one = _PADE, np.eye(a.shape[-1], dtype=a.dtype)
    a2 = a @ a
    a4, a6 = a2 @ a2, a2 @ a2 @ a2
    odd = a @ (a6 @ (c[13] * a6 + c[11] * a4 + c[9] * a2) + c[7] * a6 + c[5] * a4 + c[3] * a2 + c[1] * one)
    even = a6 @ (c[12] * a6 + c[10] * a4 + c[8] * a2) + c[6] * a6 + c[4] * a4 + c[2] * a2 + c[0] * one
    out = np.linalg.solve(even - odd, even + odd)
    for i in range(int(squarings.max(initial=0))):
        out = np.where((i < squarings)[..., None, None], out @ out, out)
    return out.astype(kind, copy=False)
