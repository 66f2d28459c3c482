"""One element by its rank or its frequency: median, nanmedian, kthvalue, mode; and quantiles between two of them.

Here: values, indices, gradients. Not here: sorting (sorting.py), means and variances (statistics.py).
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from lamina import return_types
from lamina.core.device import BY_NUMPY, KINDS
from lamina.core.factories import place_on
from lamina.core.size import wrap_dim
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, wrap
from lamina.primitives.elementwise import lerp_tensor
from lamina.primitives.extremes import picked_grad, share
from lamina.primitives.gathering import gather_
from lamina.primitives.kernels import ordering
from lamina.primitives.reduction import stretched
from lamina.primitives.registry import primitive
from lamina.primitives.signature import nonempty, not_implemented, parsed_apart, parsed_exact
from lamina.primitives.sorting import ordered, sort


def _picked(x: Array, dim: int, keepdim: bool, find: Any) -> tuple[Array, Array]:
    """One element of each row, at the position that `find` gives for rows (last axis) of an array."""
    values, index = ordered(x, dim, lambda rows: find(rows)[..., None])
    if not keepdim and x.ndim:
        values, index = values.squeeze(dim), index.squeeze(dim).copy()
    return values, index


def _rank_grad(g: Any, x_shape: Any, out_1: Any, dim: int, keepdim: bool) -> Any:
    return picked_grad(g, x_shape, out_1, dim, keepdim)


def _of_rank(name: str, find: Any, node: str) -> Any:
    return primitive(
        name, lambda x, *, dim, keepdim: _picked(x, dim, keepdim, find),
        grads=(_rank_grad,), outputs=2, nondiff=(1,), node=node)  # fmt: skip


# ---- medians ---------------------------------------------------------------------------------------------------------


def _median(x: Array) -> Array:
    """The lower middle element of each row; the first NaN, if there is one."""
    index = ordering.position_of_rank(x, (x.shape[-1] - 1) // 2)
    nan = x != x
    return np.where(nan.any(-1), nan.argmax(-1), index) if nan.any() else index


def _nanmedian(x: Array) -> Array:
    nan = x != x
    if not nan.any():
        return ordering.position_of_rank(x, (x.shape[-1] - 1) // 2)
    return ordering.position_of_rank(x, np.maximum(x.shape[-1] - nan.sum(-1) - 1, 0) // 2)


def _middle(x: Array, find: Any) -> Any:
    rows = x.reshape(-1)
    if not rows.size:
        return np.asarray(np.nan if x.dtype.kind == "f" else np.iinfo(x.dtype).min).astype(x.dtype)
    return rows[find(rows)]


def _whole_grad(g: Any, x: Any, out: Any, x_shape: tuple[int, ...]) -> Any:
    ones = (1,) * len(x_shape)
    return stretched(g, x_shape, tuple(range(len(x_shape))), False) * share(x, out.reshape(ones), nan=True)


median_all = primitive("median_all", lambda x: _middle(x, _median), grads=(_whole_grad,), node="Median")
nanmedian_all = primitive("nanmedian_all", lambda x: _middle(x, _nanmedian), grads=(_whole_grad,), node="Nanmedian")
median_dim = _of_rank("median", _median, "MedianBackward1")
nanmedian_dim = _of_rank("nanmedian", _nanmedian, "NanmedianBackward1")


def _median_of(name: str, whole: Any, along: Any, input: Tensor, dim: int | None, keepdim: bool) -> Any:
    d = input._kind.dtype
    if dim is not None:
        dim = wrap_dim(dim, input._array.ndim)
        nonempty(name, input._array.shape, dim)
    if d.category in (0, 3):
        raise not_implemented("median_cpu" if dim is None else "median_out", d)
    if dim is None:
        return whole(input)
    return getattr(return_types, name)(along(input, dim=dim, keepdim=bool(keepdim)))


@parsed_exact
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower middle element: of all, or (values, indices) over `dim`. NaN where there is a NaN."""
    return _median_of("median", median_all, median_dim, input, dim, keepdim)


@parsed_exact
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower middle element of what is not NaN: of all, or (values, indices) over `dim`."""
    return _median_of("nanmedian", nanmedian_all, nanmedian_dim, input, dim, keepdim)


# ---- rank and frequency ----------------------------------------------------------------------------------------------


kthvalue_ = primitive(
    "kthvalue",
    lambda x, *, k, dim, keepdim: _picked(x, dim, keepdim, lambda rows: ordering.position_of_rank(rows, k - 1)),
    grads=(_rank_grad,), outputs=2, nondiff=(1,))  # fmt: skip


@parsed_apart
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The k-th smallest element (from 1) over `dim`, and where it was: (values, indices)."""
    shape, d = input._array.shape, input._kind.dtype
    at, k = wrap_dim(dim, len(shape)), operator.index(k)
    nonempty("kthvalue", shape, at)
    if not 1 <= k <= (shape[at] if shape else 1):
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {at}")
    if d.category in (0, 3):
        raise not_implemented("kthvalue_cpu", d)
    return return_types.kthvalue(kthvalue_(input, k=k, dim=at, keepdim=bool(keepdim)))


def _mode(x: Array) -> Array:
    """Where the most frequent value of each row stands last; of equally frequent ones the smallest."""
    order = ordering.sorted_positions(x)
    values = np.take_along_axis(x, order, -1)
    places = np.arange(x.shape[-1])
    starts = np.zeros(x.shape, np.int64)
    np.copyto(starts[..., 1:], places[1:], where=values[..., 1:] != values[..., :-1])
    lengths = places - np.maximum.accumulate(starts, axis=-1)
    return np.take_along_axis(order, lengths.argmax(-1)[..., None], -1)[..., 0]


mode_ = _of_rank("mode", _mode, "Mode")


@parsed_exact
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """The most frequent value over `dim` (the smallest of several), and where it stands last: (values, indices)."""
    d = wrap_dim(dim, input._array.ndim)
    nonempty("mode", input._array.shape, d)
    if input._kind.dtype.category == 3:
        raise not_implemented("mode_cpu", input._kind.dtype)
    return return_types.mode(mode_(input, dim=d, keepdim=bool(keepdim)))


# ---- quantiles -------------------------------------------------------------------------------------------------------


def _check_quantile(name: str, input: Tensor, q: Any, interpolation: str) -> Tensor:
    d = input._kind.dtype
    if not input._array.size:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if d.name not in ("float32", "float64"):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}"
        )
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q:g}")
        return _beside(input, np.asarray(q, d.np))
    if q._array.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if q._kind.dtype is not d:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    if not ((q._array >= 0) & (q._array <= 1)).all():
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    return q


def _quantile(name: str, input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str) -> Tensor:
    q = _check_quantile(name, input, q, interpolation)
    shape = input._array.shape
    d = None if dim is None else wrap_dim(dim, len(shape))
    rows: Any = sort(input.reshape(-1) if d is None or not shape else input.movedim(d, -1), -1)[0]
    last, nan = rows.shape[-1] - 1, np.isnan(rows._array)
    if name == "quantile":
        ranks = (q.reshape(-1) * last).expand(*rows.shape[:-1], q._array.size)
        if nan.any():  # a NaN is sorted to the end: the last rank finds it
            ranks = ranks.masked_fill(_beside(rows, nan[..., -1:]), last)
    else:
        counted = np.maximum(last - nan.sum(-1, keepdims=True), 0)
        ranks = q.reshape(-1) * _beside(rows, counted.astype(rows._array.dtype))
    below, above = np.floor(ranks._array), np.ceil(ranks._array)
    if interpolation == "nearest":
        below = np.round(ranks._array)
    elif interpolation == "higher":
        below = above
    out = gather_(rows, _index(below), dim=rows.dim() - 1)
    if interpolation in ("linear", "midpoint"):
        weight = ranks - _beside(rows, below) if interpolation == "linear" else _beside(rows, np.full_like(below, 0.5))
        out = lerp_tensor(out, gather_(rows, _index(above), dim=rows.dim() - 1), weight)
    return _arranged(out, q._array.ndim, shape, d, keepdim)


def _beside(t: Tensor, array: Array) -> Tensor:
    """An array as a tensor on the device of `t`."""
    return place_on(array, KINDS[BY_NUMPY[array.dtype].dtype, t._kind.device])


def _index(ranks: Array) -> Tensor:
    return wrap(ranks.astype(np.int64))


def _arranged(out: Any, q_dims: int, shape: tuple[int, ...], dim: int | None, keepdim: bool) -> Tensor:
    """Quantiles, which stand last, in front (one q: gone), and the reduced dimension where it was."""
    out = out.movedim(-1, 0)
    if keepdim and shape:
        out = out.reshape(out.shape[0], *(1,) * len(shape)) if dim is None else out.unsqueeze(dim + 1)
    return out if q_dims else out.squeeze(0)  # type: ignore[no-any-return]


@parsed_exact
def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The q-th quantiles over `dim` (None: all). q: a number or 1-d tensor in [0, 1], whose dimension comes first.

    interpolation, where a quantile falls between two elements: linear, lower, higher, midpoint, nearest.
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation)


@parsed_exact
def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`quantile` of what is not NaN."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation)
