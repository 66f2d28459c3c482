"""Picking elements by an index along one dimension, or by a mask: gather, index_select, take, masked_select ...

Here: reading. Not here: writing by an index (scattering.py), `x[...]` (indexing.py), rows of a table (embedding.py).
"""

from __future__ import annotations

import numpy as np

from lamina.core.size import broadcast, wrap_dim
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, wrap
from lamina.primitives.index_checks import INDEX_DTYPES, check_along, check_bounds, check_flat, check_within
from lamina.primitives.kernels import places
from lamina.primitives.levels import differs
from lamina.primitives.out_checks import exact_out
from lamina.primitives.registry import by_values, primitive
from lamina.primitives.signature import parsed

# ---- gather ----------------------------------------------------------------------------------------------------------


def _gather(x: Array, index: Array, *, dim: int) -> Array:
    n = x.shape[dim] if x.ndim else 1
    check_bounds(index, dim, n)
    return places.along(x, index, dim)


gather_ = primitive(
    "gather", _gather,
    grads=(lambda g, x_shape, index, dim: gather_adjoint(g, index, shape=x_shape, dim=dim), None),
    meta=lambda x, index, dim: np.broadcast_to(np.zeros((), x.dtype), index.shape))  # fmt: skip

gather_adjoint = primitive(
    "gather_adjoint", lambda g, index, *, shape, dim: places.add_along(shape, index, g, dim),
    grads=(lambda h, index, dim: gather_(h, index, dim=dim), None), node="ScatterAdd")  # fmt: skip


@exact_out
def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """out[i][j] = input[index[i][j]][j] for dim 0, and likewise for others. Shape: as `index`."""
    d = wrap_dim(dim, input._array.ndim)
    check_along(input, index, d, "gather")
    return gather_(input, index, dim=d)  # type: ignore[no-any-return]


@parsed
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """Gather where input and indices broadcast against each other in all dimensions but `dim` (None: both flat)."""
    if indices._kind.dtype.name != "int64":
        raise RuntimeError(f"torch.take_along_dim(): dtype of indices should be Long but got {indices.type()}")
    if dim is None:
        input, indices = input.reshape(-1), indices.reshape(-1)
        check_along(input, indices, 0, "gather")
        return gather_(input, indices, dim=0)  # type: ignore[no-any-return]
    if input._array.ndim != indices._array.ndim:
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
            f"{input._array.ndim} dimensions for input, and {indices._array.ndim} dimensions for indices"
        )
    d = wrap_dim(dim, input._array.ndim)
    shape = broadcast(
        input._array.shape[:d] + (1,) + input._array.shape[d + 1 :],
        indices._array.shape[:d] + (1,) + indices._array.shape[d + 1 :],
    )
    n, m = input._array.shape[d], indices._array.shape[d]
    wrapped = indices
    if differs(indices):
        wrapped = indices + (indices < 0) * n
    elif indices._array.size and indices._array.min() < 0:
        wrapped = wrap(np.where(indices._array < 0, indices._array % max(n, 1), indices._array))
    return gather(  # type: ignore[no-any-return]
        input.expand(*shape[:d], n, *shape[d + 1 :]), d, wrapped.expand(*shape[:d], m, *shape[d + 1 :])
    )


# ---- whole slices ----------------------------------------------------------------------------------------------------


def _index_select(x: Array, index: Array, *, dim: int) -> Array:
    flat = index.reshape(-1)
    if not x.ndim:
        check_within(flat, 1, "index out of range in self", IndexError)
        return x.copy()
    if dim == 1 and x.flags.c_contiguous:
        check_within(flat, x.shape[1], f"INDICES element is out of DATA bounds, id={{index}} axis_dim={x.shape[1]}")
    else:
        check_within(flat, x.shape[dim], "index out of range in self", IndexError)
    return np.take(x, flat, axis=dim)


index_select_ = primitive(
    "index_select", _index_select,
    grads=(lambda g, x_shape, index, dim: index_select_adjoint(g, index, shape=x_shape, dim=dim), None))  # fmt: skip


def _index_select_adjoint(g: Array, index: Array, *, shape: tuple[int, ...], dim: int) -> Array:
    if not shape:
        return g
    if not dim:
        return places.add_rows(shape[0], index.reshape(-1), g)
    return np.moveaxis(places.add_rows(shape[dim], index.reshape(-1), np.moveaxis(g, dim, 0)), 0, dim)


index_select_adjoint = primitive(
    "index_select_adjoint", _index_select_adjoint,
    grads=(lambda h, index, dim: index_select_(h, index, dim=dim), None), node="IndexAdd")  # fmt: skip


@exact_out
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The entries of a dimension that `index` (1-d, int64 or int32) names, as a copy."""
    d = wrap_dim(dim, input._array.ndim)
    if index._array.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index._kind.dtype.name not in INDEX_DTYPES:
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    if not input._array.ndim and index._array.size != 1:
        raise RuntimeError(f"index_select(): Index to scalar can have only 1 value, got {index._array.size} value(s)")
    return index_select_(input, index, dim=d)  # type: ignore[no-any-return]


# ---- flat places -----------------------------------------------------------------------------------------------------


take_ = primitive(
    "take", lambda x, index: np.take(x.reshape(-1), check_flat(index, x.size)),
    grads=(lambda g, x_shape, index: take_adjoint(g, index, shape=x_shape), None),
    meta=lambda x, index: np.broadcast_to(np.zeros((), x.dtype), index.shape))  # fmt: skip


def _take_adjoint(g: Array, index: Array, *, shape: tuple[int, ...]) -> Array:
    out = np.zeros(shape, g.dtype)
    np.add.at(out.reshape(-1), np.where(index < 0, index + out.size, index).reshape(-1), g.reshape(-1))
    return out


take_adjoint = primitive("take_adjoint", _take_adjoint, grads=(lambda h, index: take_(h, index), None), node="Put")


@exact_out
def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements of flattened `input` at `index` (int64, may be negative). Shape: as `index`."""
    if index._kind.dtype.name != "int64":
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {index._kind.dtype.alias[:-6]}")
    return take_(input, index)  # type: ignore[no-any-return]


# ---- masks -----------------------------------------------------------------------------------------------------------


def _masked_select(x: Array, mask: Array) -> Array:
    shape = np.broadcast_shapes(x.shape, mask.shape)
    return np.broadcast_to(x, shape)[np.broadcast_to(mask, shape)]  # type: ignore[no-any-return]


masked_select_ = primitive(
    "masked_select", _masked_select,
    grads=(lambda g, x_shape, mask: masked_select_adjoint(g, mask, shape=x_shape), None), restores=True,
    meta=by_values("aten::masked_select"))  # fmt: skip


def _masked_select_adjoint(g: Array, mask: Array, *, shape: tuple[int, ...]) -> Array:
    full = np.broadcast_shapes(shape, mask.shape)
    out = np.zeros(full, g.dtype)
    out[np.broadcast_to(mask, full)] = g
    return out


masked_select_adjoint = primitive(
    "masked_select_adjoint", _masked_select_adjoint,
    grads=(lambda h, mask: masked_select_(h, mask), None), node="MaskedSelectBackward",
    meta=lambda g, mask, *, shape: np.zeros(shape, g.dtype))  # fmt: skip


@exact_out
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where `mask` (bool) holds, in one dimension; input and mask broadcast."""
    if mask._kind.dtype.category:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    broadcast(input._array.shape, mask._array.shape)
    return masked_select_(input, mask)  # type: ignore[no-any-return]
