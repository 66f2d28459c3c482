"""Norms of matrices, and the condition number.

Here: what vector_norm and singular values give. Not here: norms of vectors (norms.py), the decomposition (eigen.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina.core.size import wrap_dim
from lamina.core.tensor import Tensor, wrap
from lamina.primitives import rearrange
from lamina.primitives.eigen import svdvals
from lamina.primitives.elementwise import where_
from lamina.primitives.extremes import amax, amin
from lamina.primitives.linalg_common import check_floating, check_matrix, check_square, values
from lamina.primitives.norms import vector_norm, vector_norm_
from lamina.primitives.reduction import sum as sum_over
from lamina.primitives.signature import parsed, scalar_name
from lamina.primitives.solvers import inv_

# ---- matrices --------------------------------------------------------------------------------------------------------


def _as(x: Tensor, dtype: Any, function: str) -> Tensor:
    """`x` in the dtype that the norm is computed in."""
    if dtype is None:
        return x
    d = x._kind.dtype
    if dtype.category < 2:
        raise RuntimeError(f"{function}: dtype should be floating point or complex, but got {scalar_name(dtype)}")
    if d.is_complex != dtype.is_complex:
        kind = "complex" if d.is_complex else "real"
        raise RuntimeError(f"{function}: dtype should be {kind} for {kind} inputs, but got {scalar_name(dtype)}")
    if dtype.itemsize < d.itemsize:
        raise RuntimeError(
            f"{function}: the dtype of the input ({scalar_name(d)}) should be convertible without narrowing to the specified dtype "
            f"({scalar_name(dtype)})"
        )
    return x.to(dtype)


def _singular(A: Tensor, dims: tuple[int, int]) -> Tensor:
    return svdvals(rearrange.movedim(A, dims, (-2, -1)))  # type: ignore[no-any-return]


def _largest(t: Tensor, dim: int, keepdim: bool = False) -> Tensor:
    """The largest along a dimension; of none at all, 0: norms are not negative."""
    return amax(t, dim, keepdim) if t._array.shape[dim] else sum_over(t, dim, keepdim)  # type: ignore[no-any-return]


def _kept(t: Tensor, dims: tuple[int, int], keepdim: bool) -> Tensor:
    """A result over two dimensions, with 1 in their places."""
    if keepdim:
        for d in sorted(dims):
            t = rearrange.unsqueeze(t, d)
    return t


@parsed
def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """A norm of matrices: "fro", "nuc", 2 and -2 (singular values), 1 and -1 (columns), inf and -inf (rows)."""
    function = "linalg.matrix_norm"
    check_matrix(A, function)
    check_floating(A, function)
    given = (dim,) if isinstance(dim, int) else tuple(dim)
    if len(given) != 2:
        raise RuntimeError(f"{function}: dim must be a 2-tuple. Got {', '.join(map(str, given))}")
    rows, columns = (wrap_dim(d, A._array.ndim) for d in given)
    if rows == columns:
        raise RuntimeError(f"{function}: dims must be different. Got ({given[0]}, {given[1]})")
    if isinstance(ord, str):
        if ord not in ("fro", "nuc"):
            raise RuntimeError(f"{function}: Order {ord} not supported.")
    elif not isinstance(ord, (int, float)) or abs(ord) not in (1, 2, math.inf):
        raise RuntimeError(f"{function}: Order {ord} not supported.")
    A = _as(A, dtype, function)
    if ord == "fro":
        return vector_norm_(A, p=2.0, dims=(rows, columns), keepdim=bool(keepdim))  # type: ignore[no-any-return]
    if ord == "nuc":
        return _kept(sum_over(_singular(A, (rows, columns)), -1), (rows, columns), keepdim)
    pick = _largest if ord > 0 else amin
    if abs(ord) == 2:
        return _kept(pick(_singular(A, (rows, columns)), -1), (rows, columns), keepdim)
    if math.isinf(ord):
        rows, columns = columns, rows
    sums = vector_norm_(A, p=1.0, dims=(rows,), keepdim=bool(keepdim))
    return pick(sums, columns if keepdim or columns < rows else columns - 1, bool(keepdim))


@parsed
def norm(input: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """A matrix norm over two dims or for a named `ord`, else a vector norm. Without `ord` and `dim`: 2-norm of all elements."""
    given: Any = None
    if dim is not None:
        given = (dim,) if isinstance(dim, int) else tuple(dim)
        if len(given) not in (1, 2):
            raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(given)}")
    elif ord is not None:
        n = input._array.ndim
        if n not in (1, 2):
            raise RuntimeError(
                f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {n}D."
            )
        given = tuple(range(n)) if n == 2 or isinstance(ord, str) else None
    if ord is not None and given is not None and (len(given) == 2 or isinstance(ord, str)):
        return matrix_norm(input, ord, given, keepdim, dtype=dtype)  # type: ignore[no-any-return]
    return vector_norm(input, 2 if ord is None else ord, given, keepdim, dtype=dtype)  # type: ignore[no-any-return]


# ---- condition -------------------------------------------------------------------------------------------------------


@parsed
def cond(A: Tensor, p: Any = None) -> Tensor:
    """The condition number: norm(A) * norm(A^-1) in the matrix norm `p` (None: 2, by singular values); inf where A is singular."""
    if A._array.ndim < 2:
        raise RuntimeError("linalg.cond: The input tensor must have at least 2 dimensions.")
    if p is not None and p not in ("fro", "nuc") and not (isinstance(p, (int, float)) and abs(p) in (1, 2, math.inf)):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    if not A._array.size:
        return wrap(np.zeros(A._array.shape[:-2], A._kind.dtype.to_real().np))
    if p is None or p in (2, -2):
        s = svdvals(A)
        first, last = rearrange.narrow(s, -1, 0, 1), rearrange.narrow(s, -1, s._array.shape[-1] - 1, 1)
        return rearrange.squeeze(last / first if p == -2 else first / last, -1)
    shown = f"linalg.cond(ord={p})"
    check_square(A, shown)
    check_floating(A, shown, low=False)
    inverse, info = inv_(A)
    if p != "nuc":
        found = matrix_norm(A, p) * matrix_norm(inverse, p)
        return where_(found != found, math.inf, found)  # type: ignore[no-any-return]
    singular = info > 0
    if values(info).any():  # singular values refuse NaN
        inverse = where_(rearrange.unsqueeze(rearrange.unsqueeze(singular, -1), -1), 0.0, inverse)
    return matrix_norm(A, p) * where_(singular, math.inf, matrix_norm(inverse, p))  # type: ignore[no-any-return]
