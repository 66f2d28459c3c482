"""Linear algebra made of other operations: powers, Vandermonde, tensors as matrices, vectors' products.

Here: composites and cross. Not here: factorizations (decompositions.py, eigen.py), solving (solvers.py), norms (norms.py).
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from lamina.core.size import wrap_dim
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, wrap
from lamina.core.warn import warn_once
from lamina.primitives import elementwise as e
from lamina.primitives import rearrange
from lamina.primitives.contractions import vdot
from lamina.primitives.conversion import clone, to
from lamina.primitives.gathering import index_select
from lamina.primitives.joining import cat
from lamina.primitives.linalg_common import LinAlgError, check_floating, check_same, check_square
from lamina.primitives.matmul import matmul
from lamina.primitives.reduction import sum as sum_over
from lamina.primitives.registry import primitive
from lamina.primitives.scans import cumprod
from lamina.primitives.signature import not_tensor, parsed, scalar_name
from lamina.primitives.solvers import inv, solve


@parsed
def matrix_power(A: Tensor, n: int) -> Tensor:
    """A times itself n times (n < 0: of the inverse; n == 0: the identity), by squaring."""
    check_square(A, "linalg.matrix_power")
    n = operator.index(n)
    if n == 0:
        one = wrap(np.broadcast_to(np.eye(A._array.shape[-1], dtype=A._kind.np), A._array.shape))
        return clone(A).copy_(one)
    base = A if n > 0 else inv(A)
    n = abs(n)
    if n == 1:
        return clone(base)
    out = None
    while True:
        if n & 1:
            out = base if out is None else matmul(out, base)
        n >>= 1
        if not n:
            assert out is not None
            return out
        base = matmul(base, base)


@parsed
def linalg_diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """A view of a diagonal of two dimensions (default: the last), as the last dimension."""
    return rearrange.diagonal(A, offset, dim1, dim2)


# ---- tensors as matrices ---------------------------------------------------------------------------------------------


@parsed
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of A as a map from its last dimensions to its first `ind` ones."""
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    shape = A._array.shape
    if ind > len(shape):
        raise RuntimeError(f"ArrayRef: invalid slice, N = {ind}; size = {len(shape)}")
    n, m = math.prod(shape[:ind]), math.prod(shape[ind:])
    if n != m:
        raise RuntimeError(
            f"Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got {m} != {n}"
        )
    try:
        found = inv(rearrange.reshape(A, (n, m)))
    except LinAlgError as error:
        raise LinAlgError(str(error).removeprefix("linalg.")) from None
    return rearrange.reshape(found, (*shape[ind:], *shape[:ind]))


@parsed
def tensorsolve(A: Tensor, B: Tensor, dims: Any = None) -> Tensor:
    """X of tensordot(A, X, X.ndim) = B. dims: dimensions of A that are moved to its end first."""
    if not isinstance(B, Tensor):
        raise not_tensor("linalg_tensorsolve", "other", 2, B)
    n = A._array.ndim
    if dims is not None:
        moved = [wrap_dim(d, n) for d in ((dims,) if isinstance(dims, int) else dims)]
        A = rearrange.permute(A, (*(d for d in range(n) if d not in moved), *moved))
    rest = A._array.shape[B._array.ndim :]
    size, given = math.prod(rest), math.prod(A._array.shape[: B._array.ndim])
    if size != given:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), but got "
            f"{size} != {given}"
        )
    found = solve(rearrange.reshape(A, (size, size)), rearrange.reshape(B, (-1,)))
    return rearrange.reshape(found, rest)


# ---- vectors ---------------------------------------------------------------------------------------------------------


def _powers(x: Tensor, n: int) -> Tensor:
    """1, x, x^2 ... x^(n - 1) as a last dimension."""
    one = wrap(np.ones((*x._array.shape, 1), x._kind.np))
    if n < 2:
        return one if n else rearrange.narrow(one, -1, 0, 0)
    column = rearrange.unsqueeze(x, -1)
    rest = cumprod(rearrange.expand(column, (*x._array.shape, n - 1)), -1)
    return cat((to(one, rest.dtype), rest), -1)  # type: ignore[no-any-return]


@parsed
def linalg_vander(x: Tensor, N: int | None = None) -> Tensor:
    """Powers of the elements, rising, as rows of N (default: as many as the last dimension has)."""
    shape = x._array.shape
    n = (shape[-1] if shape else 1) if N is None else N
    if not n > 1:
        raise RuntimeError("N must be greater than 1.")
    return _powers(x if shape else rearrange.unsqueeze(x, 0), n)


@parsed
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """Powers of the elements of a vector, falling unless `increasing`, as rows of N (default: its length)."""
    if x._array.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    if x._kind.category == 0 or x._kind.dtype.is_low:
        raise RuntimeError(
            f"linalg.vander supports floating point, complex, and integer tensors, but got {scalar_name(x.dtype)}"
        )
    n = x._array.shape[0] if N is None else N
    if n < 0:
        raise RuntimeError("N must be non-negative.")
    if x._kind.dtype.category < 2:
        x = to(x, wrap(np.zeros(0, np.int64)).dtype)
    out = _powers(x, n)
    return out if increasing or n < 2 else index_select(out, 1, wrap(np.arange(n - 1, -1, -1)))


@parsed
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The sum of products along a dimension, x conjugated; the others broadcast."""
    if not isinstance(y, Tensor):
        raise not_tensor("linalg_vecdot", "y", 2, y)
    check_floating(x, "linalg.vecdot")
    check_same(x, y, "linalg.vecdot", "x", "y")
    if x._array.ndim == y._array.ndim == 1:
        wrap_dim(dim, 1)
        return vdot(x, y)  # type: ignore[no-any-return]
    return sum_over(e.mul(x.conj(), y), dim)  # type: ignore[no-any-return]


def _cross(x: Array, y: Array, *, dim: int) -> Array:
    """dim: counted from the last, -1 or less."""
    x, y = np.broadcast_arrays(x, y)
    a, b = (np.moveaxis(v, dim, 0) for v in (x, y))
    turned = [a[i] * b[j] - a[j] * b[i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return np.ascontiguousarray(np.moveaxis(np.stack(turned), 0, dim))


cross_ = primitive(
    "linalg_cross", _cross,
    grads=(lambda g, y, dim: cross_(y, g, dim=dim), lambda g, x, dim: cross_(g, x, dim=dim)), restores=True)  # fmt: skip


@parsed
def linalg_cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The vector product along a dimension of length 3; the others broadcast."""
    if not isinstance(other, Tensor):
        raise not_tensor("linalg_cross", "other", 2, other)
    n = input._array.ndim
    if n != other._array.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    at = wrap_dim(dim, n)
    sizes = [t._array.shape[at] if n else 1 for t in (input, other)]
    if sizes != [3, 3]:
        raise RuntimeError(f"linalg.cross: inputs dimension {dim} must have length 3. Got {sizes[0]} and {sizes[1]}")
    if input._kind.dtype is not other._kind.dtype:
        raise RuntimeError(
            f"expected scalar type {scalar_name(input._kind.dtype)} but found {scalar_name(other._kind.dtype)}"
        )
    rearrange.broadcast_tensors(input, other)
    return cross_(input, other, dim=at - n)  # type: ignore[no-any-return]


@parsed
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The vector product along a dimension of length 3 (default: the first such): linalg.cross with another default."""
    if not isinstance(other, Tensor):
        raise not_tensor("cross", "other", 2, other)
    if dim is None:
        found = [d for d, n in enumerate(input._array.shape) if n == 3]
        if not found:
            raise RuntimeError("no dimension of size 3 in input")
        dim = found[0]
        warn_once(
            "Using torch.cross without specifying the dim arg is deprecated.\n"
            "Please either pass the dim explicitly or simply use torch.linalg.cross, whose default, the last dimension, it will take."
        )
    return linalg_cross(input, other, dim=dim)  # type: ignore[no-any-return]
