"""Products summed over dimensions given by number: tensordot, inner, vdot, kron, chains of matrix products.

They become permute, reshape and mm, whose gradients they inherit. Not here: einsum (einsum.py), the products (matmul.py).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.autograd import errors
from lamina.core.size import wrap_dim
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.primitives import elementwise as e
from lamina.primitives import rearrange
from lamina.primitives.inplace import with_out
from lamina.primitives.matmul import mm
from lamina.primitives.reduction import sum as sum_over
from lamina.primitives.registry import primitive
from lamina.primitives.shape import copy_reshape, permute_
from lamina.primitives.signature import not_tensor, parsed, scalar_name


def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Tensor:
    """Products summed over dims: the last `dims` of a with the first of b, or pairs of dims given as two lists."""
    for position, (name, t) in enumerate((("a", a), ("b", b)), 1):
        if not isinstance(t, Tensor):
            raise not_tensor("tensordot", name, position, t)
    return _tensordot(a, b, dims, out=out)  # type: ignore[no-any-return]


def _paired(a: Tensor, b: Tensor, dims: Any) -> tuple[list[int], list[int]]:
    if isinstance(dims, Tensor):
        dims = dims.tolist() if dims._array.ndim else int(dims._array)
    if isinstance(dims, (tuple, list)):
        first, second = (list(d) if isinstance(d, (tuple, list)) else [d] for d in dims)
        return first, second
    n = operator.index(dims)
    if n < 0:
        raise RuntimeError(f"tensordot expects dims >= 0, but got dims={n}")
    if n > min(a._array.ndim, b._array.ndim):
        raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={n}")
    return list(range(-n, 0)), list(range(n))


@with_out
def _tensordot(a: Tensor, b: Tensor, dims: Any) -> Tensor:
    given_a, given_b = _paired(a, b, dims)
    if len(given_a) != len(given_b):
        raise RuntimeError("both dimension lists should have same length")
    if a._kind.dtype is not b._kind.dtype:
        raise RuntimeError("both inputs should have same dtype")
    at_a = [wrap_dim(d, a._array.ndim) for d in given_a]
    at_b = [wrap_dim(d, b._array.ndim) for d in given_b]
    for i, (p, q) in enumerate(zip(at_a, at_b, strict=True)):
        n, m = a._array.shape[p], b._array.shape[q]
        if n == m:
            continue
        if n == 1:
            b = sum_over(b, q, True, dtype=b._kind.dtype)
        elif m == 1:
            a = sum_over(a, p, True, dtype=a._kind.dtype)
        else:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {n} in dim {given_a[i]} and second has size "
                f"{m} in dim {given_b[i]}"
            )
    for which, at in (("self", at_a), ("other", at_b)):
        if len(set(at)) != len(at):
            raise RuntimeError(
                f"dim {next(d for d in at if at.count(d) > 1)} appears multiple times in the list of dims ({which})"
            )
    rest_a = [d for d in range(a._array.ndim) if d not in at_a]
    rest_b = [d for d in range(b._array.ndim) if d not in at_b]
    shape_a, shape_b = a._array.shape, b._array.shape
    inner = math.prod(shape_a[d] for d in at_a)
    left = permute_(a, dims=(*rest_a, *at_a)).reshape(math.prod(shape_a[d] for d in rest_a), inner)
    right = permute_(b, dims=(*at_b, *rest_b)).reshape(inner, math.prod(shape_b[d] for d in rest_b))
    return mm(left, right).reshape((*(shape_a[d] for d in rest_a), *(shape_b[d] for d in rest_b)))  # type: ignore[no-any-return]


@parsed
def inner(input: Tensor, other: Tensor) -> Tensor:
    """Products summed over the last dimension of both; a 0-d tensor multiplies."""
    if not isinstance(other, Tensor):
        raise not_tensor("inner", "other", 2, other)
    if not input._array.ndim or not other._array.ndim:
        return e.mul(input, other)  # type: ignore[no-any-return]
    if input._array.shape[-1] != other._array.shape[-1]:
        raise RuntimeError(
            f"inner() the last dimension must match on both input tensors but got shapes {list(input._array.shape)} and "
            f"{list(other._array.shape)}"
        )
    return tensordot(input, other, ([-1], [-1]))


vdot_ = primitive(
    "vdot", lambda x, y: np.vdot(x, y),
    grads=(lambda g, y: g.conj() * y, lambda g, x: g * x), holomorphic=False)  # fmt: skip


@parsed
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """The sum of products of two vectors, the first conjugated."""
    if not isinstance(other, Tensor):
        raise not_tensor("vdot", "other", 2, other)
    if input._array.ndim != 1 or other._array.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {input._array.ndim}D and {other._array.ndim}D tensors")
    if input._kind.dtype is not other._kind.dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found {scalar_name(input._kind.dtype)} and "
            f"{scalar_name(other._kind.dtype)}"
        )
    if input._array.shape != other._array.shape:
        n, m = input._array.size, other._array.size
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{n}] and src [{m}] to have the same number of elements, but got {n} and {m} "
            "elements respectively"
        )
    return vdot_(input, other)  # type: ignore[no-any-return]


@parsed
def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: every element of `input` times the whole of `other`."""
    if not isinstance(other, Tensor):
        raise not_tensor("kron", "other", 2, other)
    n = max(input._array.ndim, other._array.ndim)
    a = (1,) * (n - input._array.ndim) + input._array.shape
    b = (1,) * (n - other._array.ndim) + other._array.shape
    left = rearrange.reshape(input, tuple(v for size in a for v in (size, 1)))
    right = rearrange.reshape(other, tuple(v for size in b for v in (1, size)))
    return copy_reshape(e.mul(left, right), shape=tuple(p * q for p, q in zip(a, b, strict=True)))  # type: ignore[no-any-return]


# ---- chains of matrix products ---------------------------------------------------------------------------------------


def _cheapest(sizes: Sequence[int]) -> list[list[int]]:
    """For each stretch i..j of a chain of matrices (sizes[i] x sizes[i + 1]), where to split it."""
    n = len(sizes) - 1
    cost, split = [[0] * n for _ in range(n)], [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i][j], split[i][j] = min(
                (cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )
    return split


def _chained(matrices: Sequence[Tensor]) -> Tensor:
    split = _cheapest([matrices[0]._array.shape[0], *(m._array.shape[1] for m in matrices)])

    def product(i: int, j: int) -> Tensor:
        return matrices[i] if i == j else mm(product(i, split[i][j]), product(split[i][j] + 1, j))

    return product(0, len(matrices) - 1)


@with_out
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of a chain of matrices, in the cheapest order; the first and the last may be vectors."""
    n = len(tensors)
    if n < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {n}")
    chain = list(tensors)
    for which, at in (("first", 0), ("last", n - 1)):
        if chain[at]._array.ndim not in (1, 2):
            raise RuntimeError(f"multi_dot(): the {which} tensor must be 1D or 2D but got {chain[at]._array.ndim}D")
    row, column = chain[0]._array.ndim == 1, chain[-1]._array.ndim == 1
    for i, t in enumerate(chain[1:-1], 1):
        if t._array.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {t._array.ndim}D")
    for i, t in enumerate(chain):
        if t._kind.dtype is not chain[0]._kind.dtype:
            raise RuntimeError(
                f"multi_dot(): all tensors must have be the same dtype but tensor 0 is {_c_name(chain[0])} and tensor {i} {_c_name(t)}"
            )
    if row:
        chain[0] = rearrange.unsqueeze(chain[0], 0)
    if column:
        chain[-1] = rearrange.unsqueeze(chain[-1], -1)
    for i in range(n - 1):
        if chain[i]._array.shape[1] != chain[i + 1]._array.shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {i} and {i + 1} with shapes {list(tensors[i]._array.shape)} and "
                f"{list(tensors[i + 1]._array.shape)} cannot be multiplied"
            )
    out = _chained(chain)
    rows, columns = out._array.shape
    return rearrange.view(out, ((rows,) if not row else ()) + ((columns,) if not column else ()))


def _c_name(t: Tensor) -> str:
    return {"float32": "float", "float64": "double"}.get(t._kind.dtype.name, t._kind.dtype.name)


def chain_matmul(*matrices: Any, out: Tensor | None = None) -> Tensor:
    """The product of matrices, in the cheapest order. Deprecated: linalg.multi_dot."""
    warn(
        "torch.chain_matmul is deprecated and will be removed in a future PyTorch release. Use torch.linalg.multi_dot instead, which "
        "accepts a list of two or more tensors rather than multiple parameters.",
    )
    given = list(matrices[0]) if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)) else list(matrices)
    if not given:
        raise RuntimeError("chain_matmul(): Expected one or more matrices")
    for i, t in enumerate(given):
        if t._array.ndim != 2:
            raise RuntimeError(f"Tensor dimension is {t._array.ndim}, expected 2 instead.")
        if i and given[i - 1]._array.shape[1] != t._array.shape[0]:
            raise errors.ShapeError(given[i - 1], t)
    if len(given) == 1:
        return given[0]  # type: ignore[no-any-return]
    return multi_dot(given, out=out)  # type: ignore[no-any-return]
