"""Order along a dimension: sort, argsort, msort, topk. All are stable, and NaN counts as the largest value.

Here: dimensions, checks, gradients. Not here: the sorting of arrays (kernels/ordering.py), one element by its rank
(selection.py), unique values and searching (searching.py).
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from lamina import return_types
from lamina.core.size import wrap_dim
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.gathering import gather_adjoint
from lamina.primitives.kernels import ordering, places
from lamina.primitives.registry import primitive
from lamina.primitives.signature import parsed_exact


def ordered(x: Array, dim: int, find: Any) -> tuple[Array, Array]:
    """Values and positions that `find` picks from the last axis of an array, for any axis."""
    if not x.ndim:
        return x.copy(), np.zeros((), np.int64)
    if dim == x.ndim - 1:
        index = find(np.ascontiguousarray(x))
    else:
        index = np.ascontiguousarray(np.moveaxis(find(np.ascontiguousarray(np.moveaxis(x, dim, -1))), -1, dim))
    return places.along(x, index, dim), index


def _position_grad(g: Any, x_shape: tuple[int, ...], out_1: Any, dim: int) -> Any:
    return gather_adjoint(g, out_1, shape=x_shape, dim=dim)


def _sorted(x: Array, *, dim: int, descending: bool) -> tuple[Array, Array]:
    return ordered(x, dim, lambda rows: ordering.sorted_positions(rows, descending))


sort_ = primitive("sort", _sorted, grads=(_position_grad,), outputs=2, nondiff=(1,))
sort_stable = primitive("sort_stable", _sorted, grads=(_position_grad,), outputs=2, nondiff=(1,), node="SortBackward1")
topk_ = primitive(
    "topk", lambda x, *, k, dim, largest: ordered(x, dim, lambda rows: ordering.first_positions(rows, k, largest)),
    grads=(_position_grad,), outputs=2, nondiff=(1,))  # fmt: skip


def _refuse(name: str, input: Tensor) -> None:
    if input._kind.dtype.category == 3:
        raise RuntimeError(f" {name} does not support complex dtypes on CPU")


@parsed_exact
def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool | None = None) -> Any:
    """The elements in order along `dim`, and where they were: (values, indices). Equal elements keep their order.

    Shape: as `input`; indices are int64. NaN counts as the largest.
    """
    d = wrap_dim(dim, input._array.ndim)
    _refuse("Sort", input)
    return return_types.sort((sort_ if stable is None else sort_stable)(input, dim=d, descending=bool(descending)))


@parsed_exact
def argsort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Tensor:
    """The indices that sort `input` along `dim`. dtype: int64."""
    return sort(input, dim, descending)[1]  # type: ignore[no-any-return]


@parsed_exact
def msort(input: Tensor) -> Tensor:
    """`input` in ascending order along its first dimension."""
    return sort(input, 0)[0]  # type: ignore[no-any-return]


@parsed_exact
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The k largest (or smallest) elements along `dim`, in order, and where they were: (values, indices)."""
    shape = input._array.shape
    d = wrap_dim(dim, len(shape))
    k = operator.index(k)
    if not 0 <= k <= (shape[d] if shape else 1):
        raise RuntimeError("selected index k out of range")
    _refuse("topk", input)
    if input._kind.dtype.category == 0:
        raise RuntimeError("topk does not support bool dtypes on CPU")
    return return_types.topk(topk_(input, k=k, dim=d, largest=bool(largest)))
