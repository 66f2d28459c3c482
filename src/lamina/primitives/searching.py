"""Which values there are and where: unique, unique_consecutive, searchsorted, bucketize, isin, nonzero and its kin.

Here: results whose length depends on values, and positions in sorted sequences. Not here: sorting (sorting.py),
histograms.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina.core.promotion import common_dtype
from lamina.core.size import wrap_dim
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, wrap
from lamina.primitives.gathering import gather
from lamina.primitives.histograms import refused
from lamina.primitives.inplace import of_tensors
from lamina.primitives.kernels import ordering
from lamina.primitives.levels import whole
from lamina.primitives.registry import by_values, primitive
from lamina.primitives.shape import unbind_
from lamina.primitives.signature import not_implemented, not_tensor, parsed, parsed_exact, reduced, scalar_name

# ---- unique ----------------------------------------------------------------------------------------------------------


def _runs(rows: Array, order: Array | None) -> tuple[Array, Array, Array]:
    """The first of each run of equal entries of the first axis, the run of each entry, and the lengths of runs.

    order: how the rows were ordered, which the second result undoes.
    """
    n = len(rows)
    differs = rows[1:] != rows[:-1]
    if rows.ndim > 1:
        differs = differs.any(axis=tuple(range(1, rows.ndim)))
    starts = np.flatnonzero(np.concatenate((np.ones(int(n > 0), bool), differs)))
    counts = np.diff(np.append(starts, n))
    run = np.repeat(np.arange(len(starts)), counts)
    inverse = run
    if order is not None:
        inverse = np.empty(n, np.int64)
        inverse[order] = run
    return rows[starts], inverse, counts


def _unique(x: Array, *, dim: int | None, consecutive: bool) -> tuple[Array, Array, Array]:
    if dim is None:
        flat = x.reshape(-1)
        order = None if consecutive else ordering.sorted_positions(flat)
        values, inverse, counts = _runs(flat if order is None else flat[order], order)
        return values, inverse.reshape(x.shape), counts
    rows = np.ascontiguousarray(np.moveaxis(x, dim, 0))
    order = None
    if not consecutive:
        keys = rows.reshape(len(rows), math.prod(rows.shape[1:])).T[::-1]
        order = np.lexsort(keys) if len(keys) else np.arange(len(rows))
        rows = rows[order]
    values, inverse, counts = _runs(rows, order)
    return np.ascontiguousarray(np.moveaxis(values, 0, dim)), inverse, counts


unique_ = primitive(
    "unique", lambda x: _unique(x, dim=None, consecutive=False),
    grads=(refused("_unique2"),), outputs=3, nondiff=(1, 2), node="Unique2", meta=by_values("aten::_unique2"))  # fmt: skip
unique_dim_ = primitive(
    "unique_dim", lambda x, *, dim: _unique(x, dim=dim, consecutive=False), grads=(refused("unique_dim"),), outputs=3,
    nondiff=(1, 2), meta=by_values("aten::unique_dim"))  # fmt: skip
unique_consecutive_ = primitive(
    "unique_consecutive", lambda x, *, dim: _unique(x, dim=dim, consecutive=True),
    grads=(refused("unique_consecutive"),), outputs=3, nondiff=(1, 2), meta=by_values("aten::unique_consecutive"))  # fmt: skip


def _wanted(found: Any, inverse: bool, counts: bool) -> Any:
    if not (inverse or counts):
        return found[0]
    return (found[0], *((found[1],) if inverse else ()), *((found[2],) if counts else ()))


def _check_unique(input: Tensor, dim: int | None) -> int | None:
    d = input._kind.dtype
    if d.category == 3:
        raise not_implemented("unique", d)
    if dim is None:
        return None
    shape = input._array.shape
    if not shape:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    at = wrap_dim(dim, len(shape))
    if any(n == 0 for k, n in enumerate(shape) if k != at):
        raise RuntimeError("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied")
    return at


@parsed
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements in order, or along `dim` the distinct slices.

    return_inverse: also where each element is among them; return_counts: also how often each comes.
    """
    at = _check_unique(input, dim)
    return _wanted(unique_(input) if at is None else unique_dim_(input, dim=at), return_inverse, return_counts)


@parsed
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements (dim: slices) without those equal to the one before; on demand inverse positions and counts."""
    at = _check_unique(input, dim)
    return _wanted(unique_consecutive_(input, dim=at), return_inverse, return_counts)


# ---- sorted sequences ------------------------------------------------------------------------------------------------


def _searchsorted(boundaries: Array, values: Array, *, side: Any, to: Any) -> Array:
    if not values.size:
        out = np.empty(values.shape, np.int64)
    elif boundaries.ndim == 1:
        out = _search(boundaries, values, side)
    else:
        rows, wanted = boundaries.reshape(-1, boundaries.shape[-1]), values.reshape(-1, values.shape[-1])
        out = np.empty(wanted.shape, np.int64)
        for i, (row, v) in enumerate(zip(rows, wanted, strict=True)):
            out[i] = _search(row, v, side)
        out = out.reshape(values.shape)
    return np.asarray(out).astype(to, copy=False)


def _search(row: Array, values: Array, side: Any) -> Any:
    found = np.searchsorted(row, values, side)
    if values.dtype.kind == "f":
        return np.where(np.isnan(values), len(row), found)  # a NaN is behind everything, also behind NaN
    return found


searchsorted_ = primitive("searchsorted", _searchsorted)


def _side(right: bool, side: str | None) -> str:
    if side is None:
        return "right" if right else "left"
    if side not in ("left", "right"):
        raise RuntimeError(f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True"
        )
    return side


def _arranged(boundaries: Tensor, sorter: Any) -> Any:
    shape = boundaries._array.shape
    if not isinstance(sorter, Tensor):
        raise TypeError(f"searchsorted(): argument 'sorter' must be Tensor, not {type(sorter).__name__}")
    if sorter._array.shape != shape:
        raise RuntimeError(
            "torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor "
            f"{list(shape)}and got sorter tensor "
            f"{list(sorter._array.shape)}"
        )
    if sorter._kind.dtype.name != "int64":
        raise RuntimeError(
            "torch.searchsorted(): sorter must be a tensor of long dtype but got dtype "
            f"{scalar_name(sorter._kind.dtype)}"
        )
    places = whole(sorter)
    if places.size and (places.min() < 0 or places.max() >= shape[-1]):
        raise RuntimeError("torch.searchsorted(): sorter index out of range")
    return gather(boundaries, -1, sorter)


def _common(boundaries: Any, values: Any) -> tuple[Any, Any]:
    shared = common_dtype((boundaries, values))
    for d in (boundaries._kind.dtype, shared):
        if d.category in (0, 3):
            raise not_implemented("searchsorted_out_cpu", d)
    if not isinstance(values, Tensor):
        values = wrap(np.asarray(values).astype(shared.np))
    return boundaries.to(shared), values.to(shared)


@parsed
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Tensor:
    """Where to put `input` into a sorted last dimension so that it stays sorted.

    Before equal elements, or behind them (right). sorted_sequence is 1-d, or agrees with `input` in all dimensions but
    the last. dtype: int64, or int32 if `out_int32`.
    """
    shape = sorted_sequence._array.shape
    if not isinstance(input, Tensor) or not input._array.ndim:
        if len(shape) > 1:
            raise RuntimeError(
                "torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension is 1, but "
                "we got boundaries tensor "
                f"dim({len(shape)}) and input value's dim(0) numel(1)"
            )
    if not shape:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should have positive dimension, but got 0 dimension"
        )
    if len(shape) > 1 and shape[:-1] != input._array.shape[:-1]:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of "
            "boundaries tensor and input value "
            f"tensor must match, but we got boundaries tensor {list(shape)} and input value tensor "
            f"{list(input._array.shape)}"
        )
    at = _side(right, side)
    if sorter is not None:
        sorted_sequence = _arranged(sorted_sequence, sorter)
    boundaries, values = _common(sorted_sequence, input)
    return searchsorted_(boundaries, values, side=at, to=np.int32 if out_int32 else np.int64)  # type: ignore[no-any-return]


@of_tensors
def bucketize(
    input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False, out: Any = None
) -> Tensor:
    """The index of the bucket in which each element falls: between which of the sorted `boundaries` (1-d) it lies."""
    if not isinstance(boundaries, Tensor):
        raise not_tensor("bucketize", "boundaries", 2, boundaries)
    if boundaries._array.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries._array.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)  # type: ignore[no-any-return]


# ---- membership ------------------------------------------------------------------------------------------------------


def _isin(x: Array, among: Array, *, invert: bool) -> Array:
    return np.isin(x, among, invert=invert)


isin_ = primitive("isin", _isin)


def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False, out: Any = None
) -> Tensor:
    """Which elements are among `test_elements`; either may be a number. Shape: of `elements`. dtype: bool."""
    given = [v for v in (elements, test_elements) if isinstance(v, Tensor)]
    if not given:
        raise TypeError(
            f"isin() received an invalid combination of arguments - got ({type(elements).__name__}, "
            f"{type(test_elements).__name__}), but "
            "expected one of: (Tensor elements, Tensor test_elements), (Number element, Tensor test_elements), "
            "(Tensor elements, Number "
            "test_element)"
        )
    for v in given:
        if v._kind.dtype.category in (0, 3):
            raise RuntimeError(f"Unsupported input type encountered for isin(): {scalar_name(v._kind.dtype)}")
    pair = [v if isinstance(v, Tensor) else wrap(np.asarray(v)) for v in (elements, test_elements)]
    return _isin_public(pair[0], pair[1], invert=bool(invert), out=out)  # type: ignore[no-any-return]


_isin_public = parsed_exact(lambda elements, test_elements, invert: isin_(elements, test_elements, invert=invert))


# ---- nonzero ---------------------------------------------------------------------------------------------------------


nonzero_ = primitive("nonzero", lambda x: np.argwhere(x), meta=by_values("aten::nonzero"))


@parsed_exact
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of nonzero elements, a row each: (n, dims), int64.

    as_tuple: a 1-d tensor for each dimension instead, as indexing takes them.
    """
    if as_tuple:
        found = nonzero_(input if input._array.ndim else input.reshape(1))
        return tuple(unbind_(found, dim=1))
    return nonzero_(input)


@parsed
def argwhere(input: Tensor) -> Tensor:
    """The indices of nonzero elements, a row each: (n, dims), int64."""
    return nonzero_(input)  # type: ignore[no-any-return]


def _nonzero_static(x: Array, *, size: int, fill: int) -> Array:
    found = np.argwhere(x)[:size]
    out = np.full((size, x.ndim), fill, np.int64)
    out[: len(found)] = found
    return out


nonzero_static_ = primitive("nonzero_static", _nonzero_static)


@parsed
def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The indices of the first `size` nonzero elements; rows that are missing are filled. Shape: (size, dims)."""
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    return nonzero_static_(input, size=size, fill=fill_value)  # type: ignore[no-any-return]


count_nonzero_ = primitive("count_nonzero", lambda x, *, dims: np.asarray(np.count_nonzero(x, axis=dims), np.int64))


@parsed
def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many elements are not zero, over `dim` (int, several; None or (): all). dtype: int64."""
    return count_nonzero_(input, dims=reduced(dim, input._array.ndim))  # type: ignore[no-any-return]
