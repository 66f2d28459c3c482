"""Counting by value: histc, histogram, histogramdd, bincount.

Here: bins and counts. Not here: counting of nonzero elements and unique values (searching.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina import return_types
from lamina.core.size import check_room
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, wrap
from lamina.primitives.ranges import linspace
from lamina.primitives.registry import by_values, primitive
from lamina.primitives.signature import not_implemented, parsed, parsed_exact


def refused(name: str) -> Any:
    """The gradient rule of what has none: raises NotImplementedError when backward gets there."""

    def rule(g: Any) -> Any:
        raise NotImplementedError(f"the derivative for '{name}' is not implemented.")

    return rule


# ---- where an element falls ------------------------------------------------------------------------------------------


def _even_places(x: Array, edges: Array, exact: bool) -> Array:
    """The bin of each element among evenly spaced edges, -1 outside.

    exact: near an edge the edge decides, not the rounding of a quotient.
    """
    n, low, high = len(edges) - 1, edges[0], edges[-1]
    inside = (x >= low) & (x <= high)
    at = np.where(
        inside, (x - low) * (x.dtype.type(n) / (high - low)) if not exact else (x - low) * n / (high - low), 0
    ).astype(np.int64)
    if exact:
        at = np.clip(at, 0, n - 1)
        at -= x < edges[at]
        at = np.maximum(at, 0)
        at += (at < n - 1) & (x >= edges[np.minimum(at + 1, n)])
    return np.where(inside, np.minimum(at, n - 1), -1)


def _places(x: Array, edges: Array) -> Array:
    """The bin of each element among any edges, the last of them inside; -1 outside."""
    at = np.searchsorted(edges, x, side="right") - 1
    at[x == edges[-1]] = len(edges) - 2
    return np.where((x >= edges[0]) & (x <= edges[-1]), at, -1)


def _counted(places: Array, size: int, weight: Array | None, kind: Any) -> Array:
    kept = places >= 0
    if weight is None:
        return np.bincount(places[kept], minlength=size).astype(kind)
    return np.bincount(places[kept], weight[kept], minlength=size).astype(kind)


def _outer(x: Array, low: float, high: float, what: str) -> tuple[float, float]:
    """The range of a histogram: what is given, else that of the values; never empty."""
    if low == high and x.size and what == "torch.histc":
        low, high = float(x.min()), float(x.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"{what}: range of [{low:g}, {high:g}] is not finite")
    return low, high


histc_ = primitive(
    "histc", lambda x, *, edges: _counted(_even_places(x.reshape(-1), edges, False), len(edges) - 1, None, x.dtype),
    grads=(refused("histc"),))  # fmt: skip


@parsed_exact
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """Counts in `bins` even bins from min to max (both 0: of the elements). dtype: as `input`.

    What is outside is left out.
    """
    d = input._kind.dtype
    if d.category == 3:
        raise not_implemented("aminmax_cpu", d)
    if d.category < 2:
        raise not_implemented("histogram_cpu" if d.category else "linspace_cpu", d)
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    low, high = _outer(input._array, float(min), float(max), "torch.histc")
    if low == high:
        low, high = low - 1, high + 1
    if low > high:
        raise RuntimeError("torch.histc: max must be larger than min")
    kind = np.float32 if d.is_low else d.np
    return histc_(input, edges=linspace(low, high, bins + 1, dtype=wrap(np.empty(0, kind)).dtype)._array)  # type: ignore[no-any-return]


# ---- histogramdd -----------------------------------------------------------------------------------------------------


def _histogramdd(x: Array, *tensors: Array, even: tuple[bool, ...], weighted: bool, density: bool) -> Array:
    """Counts of the rows of x, a column per dimension. tensors: the edges of each dimension, then perhaps weights."""
    edges, weight = tensors[: len(even)], tensors[-1].reshape(-1) if weighted else None
    at = np.zeros(len(x), np.int64)
    outside = np.zeros(len(x), bool)
    for d, (e, is_even) in enumerate(zip(edges, even, strict=True)):
        places = _even_places(x[:, d], e, True) if is_even else _places(x[:, d], e)
        outside |= places < 0
        at = at * (len(e) - 1) + places
    shape = tuple(len(e) - 1 for e in edges)
    counts = _counted(np.where(outside, -1, at), math.prod(shape), weight, x.dtype).reshape(shape)
    if density:
        counts = counts / counts.sum()
        for d, e in enumerate(edges):
            counts = counts / np.diff(e).reshape(-1, *(1,) * (len(shape) - d - 1))
    return counts


histogramdd_ = primitive("histogramdd", _histogramdd, variadic=True)


def _edges(x: Array, bins: Sequence[Any], limits: Any) -> tuple[list[Any], tuple[bool, ...]]:
    dims = x.shape[1]
    if limits is not None and len(limits) != 2 * dims:
        raise RuntimeError(
            f"torch.histogramdd: for a {dims}-dimensional histogram range should have {2 * dims} elements, but got "
            f"{len(limits)}"
        )
    edges: list[Any] = []
    for d, b in enumerate(bins):
        if isinstance(b, Tensor):
            if b._array.ndim != 1:
                raise RuntimeError(
                    f"torch.histogramdd: bins tensor should have one dimension, but got {b._array.ndim} dimensions "
                    "in the bins tensor for "
                    f"dimension {d}"
                )
            if b._array.dtype != x.dtype:
                names = (_type_name(wrap(x)), _type_name(b))
                raise RuntimeError(
                    "torch.histogramdd: input tensor and bins tensors should have the same dtype, but got input "
                    f"with dtype {names[0]} and "
                    f"bins for dimension {d} with dtype {names[1]}"
                )
            if not b._array.size:
                raise RuntimeError(
                    "torch.histogramdd: bins tensor should have at least 1 element, but got 0 elements in the bins "
                    f"tensor for dimension {d}"
                )
            edges.append(b)
            continue
        if b <= 0:
            raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {b} for dimension {d}")
        if limits is not None:
            low, high = float(limits[2 * d]), float(limits[2 * d + 1])
        else:
            low, high = (float(x[:, d].min()), float(x[:, d].max())) if len(x) else (0.0, 1.0)
        if not (math.isfinite(low) and math.isfinite(high)):
            raise RuntimeError(f"torch.histogramdd: dimension {d}'s range [{low:g}, {high:g}] is not finite")
        if low > high:
            raise RuntimeError(
                f"torch.histogramdd: min should not exceed max, but got min {low:g} max {high:g} for dimension {d}"
            )
        if low == high:
            low, high = low - 0.5, high + 0.5
        edges.append(linspace(low, high, b + 1, dtype=wrap(x[:0]).dtype))
    return edges, tuple(not isinstance(b, Tensor) for b in bins)


def _type_name(t: Tensor) -> str:
    """A dtype as C++ prints it, in some of PyTorch's messages."""
    names = {"float32": "float", "float64": "double", "int64": "long int", "int32": "int", "float16": "c10::Half"}
    return names.get(t.dtype.name, t.dtype.name)


def _histogram(rows: Any, bins: Sequence[Any], limits: Any, weight: Any, density: bool) -> tuple[Tensor, list[Tensor]]:
    if rows.dtype.name not in ("float32", "float64"):
        raise not_implemented("histogramdd", rows.dtype)
    if weight is not None:
        if weight.dtype != rows.dtype:
            raise RuntimeError(
                "torch.histogramdd: if weight tensor is provided, input tensor and weight tensor should have the "
                "same dtype, but got "
                f"input({_type_name(rows)}), and weight({_type_name(weight)})"
            )
        if weight.numel() != len(rows):
            raise RuntimeError(
                "torch.histogramdd: if weight tensor is provided it should have the same shape as the input tensor "
                "excluding its innermost "
                f"dimension, but got input with shape {list(rows.shape)} and weight with shape {list(weight.shape)}"
            )
    edges, even = _edges(rows._array, bins, limits)
    more = () if weight is None else (weight,)
    hist = histogramdd_(rows, *edges, *more, even=even, weighted=weight is not None, density=bool(density))
    return hist, edges


@parsed
def histogram(input: Tensor, bins: Any = 100, *, range: Any = None, weight: Any = None, density: bool = False) -> Any:
    """(hist, bin_edges): counts of all elements in `bins` even bins over `range`, or between given edges (1-d).

    weight: what each element counts. density: divided so that the integral is 1.
    """
    if weight is not None and weight.shape != input.shape and weight.numel() == input.numel():
        raise RuntimeError(
            "torch.histogramdd: if weight tensor is provided it should have the same shape as the input tensor "
            "excluding its innermost "
            f"dimension, but got input with shape {list(input.shape)} and weight with shape {list(weight.shape)}"
        )
    hist, edges = _histogram(input.reshape(-1, 1), (bins,), range, weight, density)
    return return_types.histogram((hist, edges[0]))


@parsed
def histogramdd(input: Tensor, bins: Any, range: Any = None, weight: Any = None, density: bool = False) -> Any:
    """(hist, bin_edges): counts of vectors (last dimension) in boxes.

    bins: a number, one for each dimension, or edges for each dimension.
    """
    if input._array.ndim < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions")
    dims = input._array.shape[-1]
    bins = tuple(bins) if isinstance(bins, (tuple, list)) else (bins,) * dims
    if len(bins) != dims:
        raise RuntimeError("histogramdd: The size of bins must be equal to the innermost dimension of the input.")
    hist, edges = _histogram(input.reshape(-1, dims), bins, range, weight, density)
    return return_types.histogramdd((hist, tuple(edges)))


# ---- bincount --------------------------------------------------------------------------------------------------------


def _bincount(x: Array, weights: Array | None, *, minlength: int) -> Array:
    if weights is None:
        return np.bincount(x, minlength=minlength)
    return np.bincount(x, weights, minlength).astype(np.float32 if weights.dtype == np.float32 else np.float64)


bincount_ = primitive(
    "bincount", _bincount, grads=(None, refused("bincount")), node="NotImplemented", meta=by_values("aten::bincount")
)


@parsed
def bincount(input: Tensor, weights: Any = None, minlength: int = 0) -> Tensor:
    """How often each number from 0 on stands in `input` (1-d, not negative), or the sum of `weights` there."""
    array = input._array
    if input._kind.dtype.category != 1:
        raise not_implemented("bincount_cpu", input._kind.dtype)
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if array.ndim != 1 or (array.size and array.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if array.size:
        check_room((max(minlength, int(array.max()) + 1),), 8)
    if weights is not None and weights._array.shape != array.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    return bincount_(input, weights, minlength=minlength)  # type: ignore[no-any-return]
