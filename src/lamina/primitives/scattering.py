"""Writing by an index along one dimension: scatter, index_add and their kin, put.

All give a new tensor; in-place forms are derived. An index of whole slices (index_add, index_copy ...) is one along the dimension,
stretched over the others. Here: replacing and adding. Not here: other reductions (scatter_reduce.py), masks (masking.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.size import wrap_dim
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, wrap
from lamina.core.warn import warn
from lamina.primitives.gathering import gather_, index_select_, take_
from lamina.primitives.index_checks import check_along, check_bounds, check_flat, fill_value
from lamina.primitives.kernels import places
from lamina.primitives.nodes import of_number, overload
from lamina.primitives.out_dtypes import NAMES
from lamina.primitives.padding import constant_pad
from lamina.primitives.registry import primitive
from lamina.primitives.signature import parsed

# ---- scatter ---------------------------------------------------------------------------------------------------------


def _written(x: Array, index: Array, src: Any, dim: int) -> Array:
    """A contiguous copy of x with src (an array that covers the index, or a scalar) at `index` along `dim`."""
    out = np.array(x, order="C")
    if index.size:
        check_bounds(index, dim, x.shape[dim] if x.ndim else 1)
        out.reshape(-1)[places.flat(x.shape, index, dim)] = covered(src, index)
    return out


def covered(src: Array, index: Array) -> Array:
    """The part of src that the index covers, flat; a 0-d src as it is."""
    if not src.ndim:
        return src
    return src[tuple(map(slice, index.shape))].reshape(-1) if index.ndim else src.reshape(-1)[:1]


scatter_src = primitive(
    "scatter", lambda x, index, src, *, dim: _written(x, index, src, dim),
    grads=(
        lambda g, index, dim: scatter_value(g, index, dim=dim, value=0),
        None,
        lambda g, index, src_shape, dim: uncovered(gather_(g, index, dim=dim), src_shape),
    ),
)  # fmt: skip

scatter_value = primitive(
    "scatter_value", lambda x, index, *, dim, value: _written(x, index, np.asarray(value).astype(x.dtype), dim),
    grads=(lambda g, index, dim: scatter_value(g, index, dim=dim, value=0), None))  # fmt: skip
scatter_value.primitive.node.__name__ = "ScatterBackward1"


def uncovered(g: Any, shape: tuple[int, ...]) -> Any:
    """A cotangent of the part of src that an index covers, with zeros for the rest."""
    have = tuple(g.shape)
    if have == shape:
        return g
    if len(have) != len(shape):
        return g.reshape(shape)
    return constant_pad(g, pad=tuple((0, n - m) for n, m in zip(shape, have, strict=True)), value=0)


def _same_dtype(self: Tensor, src: Tensor, name: str) -> None:
    if src._kind.dtype is not self._kind.dtype:
        raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype")


@parsed
def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """`input` with out[index[i][j]][j] = src[i][j] for dim 0, and likewise for others; `value`: one number instead of src.

    reduce: "add" or "multiply" to what is there (with src deprecated in favour of scatter_reduce).
    """
    d = wrap_dim(dim, input._array.ndim)
    if value is None and not isinstance(src, Tensor):
        src, value = None, src
    if isinstance(value, Tensor) and value._array.ndim:
        src, value = value, None
    check_along(input, index, d, "scatter", src)
    if src is not None:
        _same_dtype(input, src, "scatter")
    if reduce is None:
        if src is not None:
            return scatter_src(input, index, src, dim=d)  # type: ignore[no-any-return]
        filled = fill_value(input, value, "scatter_")._array
        if not isinstance(value, Tensor):  # a number, also to a recording
            filled = filled.item()
        return scatter_value(input, index, dim=d, value=filled)  # type: ignore[no-any-return]
    if reduce not in ("add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")
    if src is not None:
        warn(
            "The reduce argument of torch.scatter with Tensor src is deprecated and will be removed in a future PyTorch release. Use "
            "torch.scatter_reduce instead for more reduction options.",
        )  # fmt: skip
    else:
        src = fill_value(input, value, "scatter_")
    return scatter_with(input, index, src, dim=d, ufunc=np.add if reduce == "add" else np.multiply)  # type: ignore[no-any-return]


def _combined(x: Array, index: Array, src: Array, *, dim: int, ufunc: Any) -> Array:
    out = np.array(x, order="C")
    if index.size:
        check_bounds(index, dim, x.shape[dim] if x.ndim else 1)
        ufunc.at(out.reshape(-1), places.flat(x.shape, index, dim), covered(src, index))
    return out


def _no_rule(g: Any) -> Any:
    raise RuntimeError("derivative for aten::scatter is not implemented: scatter_reduce has one")


scatter_with = primitive("scatter_with", _combined, grads=(_no_rule, None, _no_rule), node="NotImplemented")

# ---- scatter_add, index_add ------------------------------------------------------------------------------------------


def _scatter_add(x: Array, index: Array, src: Array, dim: int) -> Array:
    line = places.line_of(index, x.shape, dim) if index.shape == src.shape else None
    if line is not None and places.worth_product(src):
        return _index_add(x, line, src, dim=dim, alpha=1)
    return _combined(x, index, src, dim=dim, ufunc=np.add)


scatter_add_to = primitive(
    "scatter_add", lambda x, index, src, *, dim: _scatter_add(x, index, src, dim),
    grads=(lambda g: g, None, lambda g, index, src_shape, dim: uncovered(gather_(g, index, dim=dim), src_shape)))  # fmt: skip


@parsed
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`input` with src[i][j] added at [index[i][j]][j] for dim 0, and likewise for others."""
    d = wrap_dim(dim, input._array.ndim)
    check_along(input, index, d, "scatter", src)
    _same_dtype(input, src, "scatter")
    return scatter_add_to(input, index, src, dim=d)  # type: ignore[no-any-return]


def spread(index: Any, shape: tuple[int, ...], dim: int) -> Any:
    """A 1-d index of whole slices, stretched over all dimensions of the source's `shape`."""
    if not shape:
        return index.reshape(())
    index = index.reshape((1,) * dim + (-1,) + (1,) * (len(shape) - dim - 1))
    return index.expand(shape) if isinstance(index, Tensor) else np.broadcast_to(index, shape)


def _index_add(x: Array, index: Array, source: Array, *, dim: int, alpha: Any) -> Array:
    if alpha != 1:
        source = source * np.asarray(alpha).astype(source.dtype)
    if places.worth_product(source):
        check_bounds(index, dim, x.shape[dim])
        rows = places.add_rows(x.shape[dim], index.reshape(-1), np.moveaxis(source, dim, 0))
        return x + np.moveaxis(rows, 0, dim)
    return _combined(x, spread(index, source.shape, dim), source, dim=dim, ufunc=np.add)


index_added = primitive(
    "index_add", _index_add,
    grads=(
        lambda g: g,
        None,
        lambda g, index, source_shape, dim, alpha: _scaled(index_select_(g, index, dim=dim).reshape(source_shape), alpha),
    ),
)  # fmt: skip


def _scaled(g: Any, alpha: Any) -> Any:
    return g if alpha == 1 else g * alpha


@parsed
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """`input` with alpha * source[i] added at entry index[i] of a dimension."""
    d = wrap_dim(dim, input._array.ndim)
    if index._array.ndim > 1:
        raise IndexError(
            f"index_add_(): Index is supposed to be a vector, but got dim: {index._array.ndim} with type: {NAMES[index.dtype.name]} and "
            f"size: {list(index._array.shape)}"
        )
    check_slices(input, d, index, source, "index_add_")
    return index_added(input, index, source, dim=d, alpha=alpha)  # type: ignore[no-any-return]


def check_slices(self: Tensor, dim: int, index: Tensor, source: Tensor, name: str) -> None:
    """An index of whole slices fits self and source. Raises RuntimeError."""
    if index._kind.dtype.name not in ("int64", "int32"):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index but got: {NAMES[index.dtype.name]}")
    if source._kind.dtype is not self._kind.dtype:
        raise RuntimeError(
            f"{name}(): self ({NAMES[self.dtype.name]}) and source ({NAMES[source.dtype.name]}) must have the same scalar type"
        )
    shape, given = self._array.shape, source._array.shape
    if dim >= max(len(given), 1):
        raise RuntimeError(f"{name}(): Indexing dim {dim} is out of bounds of the source tensor with dim {len(given)}")
    have = given[dim] if given else 1
    if index._array.size != have:
        if not given:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
        raise RuntimeError(
            f"{name}(): Number of indices ({index._array.size}) should be equal to source.size(dim): ({have}), for dim: {dim}"
        )
    if (shape or given != (1,)) and shape[:dim] + shape[dim + 1 :] != given[:dim] + given[dim + 1 :]:
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = "
            f"{list(shape)} source.shape = {list(given)}"
        )


# ---- whole slices replaced -------------------------------------------------------------------------------------------


def _index_copy(x: Array, index: Array, source: Array, *, dim: int) -> Array:
    check_bounds(index, dim, x.shape[dim] if x.ndim else 1, IndexError, "index_copy_(): ")
    return _written(x, spread(index, source.shape, dim), source, dim)


index_copied = primitive(
    "index_copy", _index_copy,
    grads=(
        lambda g, index, dim: index_filled(g, index, _zero(g), dim=dim),
        None,
        lambda g, index, source_shape, dim: index_select_(g, index, dim=dim).reshape(source_shape),
    ),
)  # fmt: skip


def _zero(g: Any) -> Any:
    return g.new_zeros(()) if isinstance(g, Tensor) else np.zeros((), g.dtype)


@parsed
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`input` with source[i] in place of entry index[i] of a dimension."""
    d = wrap_dim(dim, input._array.ndim)
    if index._array.ndim >= 2:
        raise IndexError(f"index_copy_(): Index should have dimension 1 or 0 (got {index._array.ndim})")
    shape, given, n = input._array.shape, source._array.shape, index._array.size
    if not given and n != 1:
        raise IndexError(f"index_copy_(): When source is scalar, index should have one element (got {n})")
    if given and shape and len(given) != len(shape):
        raise IndexError(
            "index_copy_(): When source and destination are not scalars, their dimensionality must match. Source dimensionality "
            f"({len(given)}), destination dimensionality ({len(shape)})"
        )
    if index._kind.dtype.name != "int64":
        raise RuntimeError(f"index_copy_(): Expected a long tensor for index, but got {NAMES[index.dtype.name]}")
    if source._kind.dtype is not input._kind.dtype:
        raise RuntimeError(
            f"index_copy_(): self and source expected to have the same dtype, but got (self) {NAMES[input.dtype.name]} and (source) "
            f"{NAMES[source.dtype.name]}"
        )
    if given and shape and shape[:d] + shape[d + 1 :] != given[:d] + given[d + 1 :]:
        raise RuntimeError(
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: "
            f"{' '.join(map(str, shape[:d] + shape[d + 1 :]))} at dimension {d} and source slice shape: "
            f"{' '.join(map(str, given[:d] + given[d + 1 :]))} at dimension 0."
        )
    if given and n != given[d]:
        raise IndexError(f"index_copy_(): Number of indices ({n}) should be equal to source.size(dim) ({given[d]})")
    return index_copied(input, index, source, dim=d)  # type: ignore[no-any-return]


def _index_fill(x: Array, index: Array, value: Array, *, dim: int) -> Array:
    out = np.array(x, order="C")
    n = x.shape[dim] if x.ndim else 1
    flat = index.reshape(-1)
    if flat.size and (flat.min() < -n or flat.max() >= n):
        bad = flat[(flat < -n) | (flat >= n)][0]
        raise IndexError(f"index {bad} is out of bounds for dimension {dim} with size {n}")
    np.atleast_1d(out)[(slice(None),) * dim + (flat,)] = value
    return out


index_filled = primitive(
    "index_fill", _index_fill,
    grads=(
        lambda g, index, dim: index_filled(g, index, _zero(g), dim=dim),
        None,
        lambda g, index, dim: _filled_sum(g, index, dim),
    ),
)  # fmt: skip


def _filled_sum(g: Any, index: Any, dim: int) -> Any:
    """The sum of a cotangent where value went: an entry named twice counts once."""
    n = g.shape[dim] if g.ndim else 1
    once = np.unique((index._array if isinstance(index, Tensor) else index) % max(n, 1))
    return index_select_(g, wrap(once) if isinstance(g, Tensor) else once, dim=dim).sum()


@parsed
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """`input` with `value` (a number or a 0-d tensor) in the entries of a dimension that `index` (1-d, int64) names."""
    d = wrap_dim(dim, input._array.ndim)
    if index._kind.dtype.name != "int64":
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if index._array.ndim > 1:
        raise RuntimeError("Index has to be a vector/scalar")
    if isinstance(value, complex) and input._kind.dtype.category < 3:
        raise RuntimeError("index_fill_(): Converting complex Scalar to non-complex type is not supported")
    out: Tensor = index_filled(input, index, fill_value(input, value, "index_fill_"), dim=d)
    return overload(out) if isinstance(value, Tensor) else of_number(out)


# ---- flat places -----------------------------------------------------------------------------------------------------


def _put(x: Array, index: Array, source: Array, *, accumulate: bool) -> Array:
    out = np.array(x, order="C")
    at = check_flat(index, x.size, "put_").reshape(-1)
    if accumulate:
        np.add.at(out.reshape(-1), at, source.reshape(-1))
    else:
        out.reshape(-1)[at] = source.reshape(-1)
    return out


put_at = primitive(
    "put", _put,
    grads=(
        lambda g, index, accumulate: g if accumulate else put_at(g, index, take_(g, index) * 0, accumulate=False),
        None,
        lambda g, index, source_shape: take_(g, index).reshape(source_shape),
    ),
)  # fmt: skip


@parsed
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """`input`, seen flat, with the elements of `source` at `index` (int64); accumulate: added there."""
    if index._kind.dtype.name != "int64":
        raise RuntimeError(f"put_(): Expected a long tensor for index, but got {NAMES[index.dtype.name]}")
    if source._kind.dtype is not input._kind.dtype:
        raise RuntimeError(
            f"put_(): self and source expected to have the same dtype, but got self.dtype = {NAMES[input.dtype.name]} and source.dtype "
            f"= {NAMES[source.dtype.name]}"
        )
    if source._array.size != index._array.size:
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but got source.numel() = "
            f"{source._array.size}, index.numel() = {index._array.size}"
        )
    return put_at(input, index, source, accumulate=bool(accumulate))  # type: ignore[no-any-return]
