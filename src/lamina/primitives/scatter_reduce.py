"""Reductions into places: scatter_reduce and index_reduce, by sum, prod, mean, amax or amin.

index_reduce is scatter_reduce with the index stretched over whole slices; so one forward and one set of rules serve both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.size import wrap_dim
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.primitives.elementwise import where_
from lamina.primitives.gathering import gather_
from lamina.primitives.index_checks import check_along, check_bounds
from lamina.primitives.kernels import places
from lamina.primitives.levels import whole
from lamina.primitives.out_dtypes import NAMES
from lamina.primitives.registry import primitive
from lamina.primitives.scattering import check_slices, covered, scatter_add_to, scatter_value, spread, uncovered
from lamina.primitives.signature import not_implemented, parsed

_UFUNCS = {"sum": np.add, "mean": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


def _identity(reduce: str, d: Any) -> Any:
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    if d.kind == "b":
        return reduce == "amin"
    low = reduce == "amax"
    if d.kind in "iu":
        return np.iinfo(d).min if low else np.iinfo(d).max
    return -np.inf if low else np.inf


def _reduced(x: Array, index: Array, src: Array, *, dim: int, reduce: str, include_self: bool) -> Array:
    out = np.array(x, order="C")
    if not index.size:
        return out
    check_bounds(index, dim, x.shape[dim] if x.ndim else 1)
    memory, at = out.reshape(-1), places.flat(x.shape, index, dim)
    if not include_self:
        memory[at] = _identity(reduce, out.dtype)
    _UFUNCS[reduce].at(memory, at, covered(src, index))
    if reduce == "mean":
        counts = np.bincount(at, minlength=memory.size) + include_self
        np.maximum(counts, 1, out=counts)
        if out.dtype.kind in "iu":
            np.floor_divide(memory, counts, out=memory, casting="unsafe")
        else:
            memory /= counts.astype(memory.real.dtype)
    return out


# ---- gradients -------------------------------------------------------------------------------------------------------


def _as(like: Any, mask: Any) -> Any:
    """A mask as numbers of the dtype of `like`."""
    return mask.to(like.dtype) if isinstance(mask, Tensor) else mask.astype(like.dtype)


def _cut(src: Any, index: Any) -> Any:
    """The part of src that the index covers, in its shape."""
    if tuple(src.shape) == tuple(index.shape):
        return src
    return src[tuple(slice(0, n) for n in index.shape)] if index.ndim and src.ndim else src.reshape(tuple(index.shape))


def _zeros(like: Any) -> Any:
    return like.new_zeros(tuple(like.shape)) if isinstance(like, Tensor) else np.zeros_like(like)


def _self_grad(g: Any, x: Any, index: Any, src: Any, out: Any, dim: int, reduce: str, include_self: bool) -> Any:
    if reduce == "sum":
        part = g
    elif reduce == "mean":
        part = g / _counts(x, index, dim, include_self)
    elif reduce == "prod":
        # what self multiplied: the product without it
        plain = where_(x == 0, 1.0, x)
        part = g * _reduce(plain, index, src, dim=dim, reduce="prod", include_self=include_self) / plain
    else:
        mine, _, ties = _winners(x, index, src, out, dim)
        part = mine * g / ties
    return part if include_self else scatter_value(part, index, dim=dim, value=0)


def _src_grad(g: Any, x: Any, index: Any, src: Any, out: Any, dim: int, reduce: str, include_self: bool) -> Any:
    shape, src = tuple(src.shape), _cut(src, index)
    if reduce == "sum":
        part = gather_(g, index, dim=dim)
    elif reduce == "mean":
        part = gather_(g / _counts(x, index, dim, include_self), index, dim=dim)
    elif reduce == "prod":
        part = _prod_grad(g, x, index, src, out, dim, include_self)
    else:
        _, theirs, ties = _winners(x, index, src, out, dim)
        part = theirs * gather_(g / ties, index, dim=dim)
    return uncovered(part, shape)


def _counts(x: Any, index: Any, dim: int, include_self: bool) -> Any:
    ones = gather_(_zeros(x) + 1.0, index, dim=dim)
    n = scatter_add_to(_zeros(x) + float(include_self), index, ones, dim=dim)
    return where_(n == 0, 1.0, n)


def _winners(x: Any, index: Any, src: Any, out: Any, dim: int) -> Any:
    """Whether self, and elements of src, are the extreme, and how many are at each place: they share the gradient."""
    mine = _as(x, x == out)
    theirs = _as(x, _cut(src, index) == gather_(out, index, dim=dim))
    return mine, theirs, scatter_add_to(mine, index, theirs, dim=dim)


def _prod_grad(g: Any, x: Any, index: Any, src: Any, out: Any, dim: int, include_self: bool) -> Any:
    """The product without the element: by division, or, for the only zero at its place, by leaving it out."""
    zero = src == 0
    zeros = gather_(scatter_add_to(_zeros(x), index, _as(x, zero), dim=dim), index, dim=dim)
    alone = zero & (zeros == 1)
    without = _reduce(x, index, where_(alone, 1.0, src), dim=dim, reduce="prod", include_self=include_self)
    divided = gather_(g * out, index, dim=dim) / where_(zero, 1.0, src)
    return where_(alone, gather_(g * without, index, dim=dim), divided)


def _declared(name: str, restretch: bool) -> Any:
    def stretched(index: Any, src: Any, dim: int) -> Any:
        return spread(index, tuple(src.shape), dim) if restretch else index

    return primitive(
        name,
        lambda x, index, src, *, dim, reduce, include_self: _reduced(
            x, stretched(index, src, dim), src, dim=dim, reduce=reduce, include_self=include_self
        ),
        grads=(
            lambda g, x, index, src, out, dim, reduce, include_self: _self_grad(
                g, x, stretched(index, src, dim), src, out, dim, reduce, include_self
            ),
            None,
            lambda g, x, index, src, out, dim, reduce, include_self: _src_grad(
                g, x, stretched(index, src, dim), src, out, dim, reduce, include_self
            ),
        ),
    )


_reduce, _reduce_slices = _declared("scatter_reduce", False), _declared("index_reduce", True)


@parsed
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """src[i][j] reduced into [index[i][j]][j] of `input` for dim 0, and likewise for others.

    reduce: "sum", "prod", "mean", "amax" or "amin". include_self: whether what is there counts. Ties share the gradient.
    """
    d = wrap_dim(dim, input._array.ndim)
    if reduce not in _UFUNCS:
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    check_along(input, index, d, "scatter", src)
    if src._kind.dtype is not input._kind.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    return _reduce(input, index, src, dim=d, reduce=reduce, include_self=bool(include_self))  # type: ignore[no-any-return]


@parsed
def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """source[i] reduced into entry index[i] of a dimension of `input`, by "prod", "mean", "amax" or "amin"."""
    d = wrap_dim(dim, input._array.ndim)
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.")
    warn("index_reduce() is in beta and the API may change at any time.")
    if index._array.ndim > 1:
        raise IndexError(
            f"index_reduce_(): Index is supposed to be a vector, but got dim: {index._array.ndim} with type: {NAMES[index.dtype.name]} "
            f"and size: {list(index._array.shape)}"
        )
    check_slices(input, d, index, source, "index_reduce_")
    if input._kind.category in (0, 3) and index._array.size:
        raise not_implemented("index_func_", input.dtype)
    values = whole(index)
    if values.size and (values.min() < 0 or values.max() >= (input._array.shape[d] if input._array.ndim else 1)):
        raise IndexError("index out of range in self")
    return _reduce_slices(input, index, source, dim=d, reduce=reduce, include_self=bool(include_self))  # type: ignore[no-any-return]
