"""Indexing: `x[...]` and `x[...] = v` in all forms, and their primitives.

Here: reading an index, index, index_put, gather, scatter and their kin. Not here: views by shape alone (shape.py).
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core.factories import tensor
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, wrap
from lamina.primitives import shape as s
from lamina.primitives.inplace import write
from lamina.primitives.embedding import embedding, embedding_renorm_
from lamina.primitives.registry import primitive

# ---- by integer tensors ----------------------------------------------------------------------------------------------


def _key(ndim: int, at: Sequence[int], indices: Sequence[Array]) -> tuple[Any, ...]:
    key: list[Any] = [slice(None)] * ndim
    for dim, index in zip(at, indices, strict=True):
        key[dim] = index
    return tuple(key)


index_ = primitive(
    "index", lambda x, *indices, at: x[_key(x.ndim, at, indices)],
    grads=lambda g, shapes, at, rest: [index_adjoint(g, *rest, shape=shapes[0], at=at)] + [None] * len(rest),
    variadic=True)  # fmt: skip


def _index_adjoint(g: Array, *indices: Array, shape: tuple[int, ...], at: tuple[int, ...]) -> Array:
    out = np.zeros(shape, g.dtype)
    add_at(out, at, indices, g)
    return out


def add_at(out: Array, at: Sequence[int], indices: Sequence[Array], values: Array) -> None:
    """out[indices] += values, where an index may come several times."""
    if len(at) == 1 and out.size and indices[0].size:
        # rows: sort by index and add runs, many times faster than a scalar loop
        index = indices[0].reshape(-1)
        n = out.shape[at[0]]
        index = np.where(index < 0, index + n, index) if index.min() < 0 else index
        rows = np.moveaxis(out, at[0], 0)
        parts = np.moveaxis(values, tuple(range(at[0], at[0] + indices[0].ndim)), tuple(range(indices[0].ndim)))
        parts = parts.reshape(index.size, *rows.shape[1:])
        order = np.argsort(index, kind="stable")
        ordered = index[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        if len(starts) == index.size:
            rows[index] += parts
        elif rows.ndim > 1 or len(starts) * 4 < index.size:
            rows[ordered[starts]] += np.add.reduceat(parts[order], starts, axis=0)
        else:
            np.add.at(rows, index, parts)
        return
    np.add.at(out, _key(out.ndim, at, indices), values)


index_adjoint = primitive(
    "index_adjoint", _index_adjoint,
    grads=lambda g, at, rest: [index_(g, *rest, at=at)] + [None] * len(rest), variadic=True)  # fmt: skip


def _put(x: Array, values: Array, *indices: Array, at: tuple[int, ...], accumulate: bool) -> Array:
    out = x.copy()
    key = _key(x.ndim, at, indices)
    if accumulate:
        np.add.at(out, key, values)
    else:
        out[key] = values
    return out


def _put_grads(g: Any, shapes: Any, at: Any, rest: Any, accumulate: bool) -> list[Any]:
    indices = rest[1:]
    if isinstance(g, Tensor):
        kept = g if accumulate else index_put_(g, wrap(np.zeros((), g._kind.np)), *indices, at=at, accumulate=False)
    elif accumulate:
        kept = g
    else:
        kept = g.copy()
        kept[_key(g.ndim, at, indices)] = 0
    taken = index_(g, *indices, at=at) if isinstance(g, Tensor) else g[_key(g.ndim, at, indices)]
    return [kept, s.unbroadcast(taken, shapes[1]), *[None] * len(indices)]


index_put_ = primitive("index_put", _put, grads=_put_grads, variadic=True)


# ---- reading an index ------------------------------------------------------------------------------------------------


def getitem(self: Tensor, key: Any) -> Tensor:
    """`self[key]`: a view for integers, slices, None and Ellipsis; a copy for tensors, lists and masks."""
    if key.__class__ is int:
        shape = self._array.shape
        if not shape:
            raise IndexError("invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim tensor to a number")
        if not -shape[0] <= key < shape[0]:
            raise IndexError(f"index {key} is out of bounds for dimension 0 with size {shape[0]}")
        return s.select_(self, dim=0, index=key)  # type: ignore[no-any-return]
    view, at, indices = _read(self, key)
    if not at:
        return view if view is not self else s.alias_(self)  # type: ignore[no-any-return]
    return index_(view, *indices, at=tuple(at))  # type: ignore[no-any-return]


def setitem(self: Tensor, key: Any, value: Any) -> None:
    """`self[key] = value`, in place; value is broadcast and converted. Raises RuntimeError for a shape that does not fit."""
    if not isinstance(value, Tensor):
        value = _as_value(value, self)
    view, at, indices = _read(self, key)
    if not at:
        shape = view._array.shape
        while value._array.ndim > len(shape) and value._array.shape[0] == 1:
            value = value[0]
        if view is self:
            self.copy_(value)  # type: ignore[attr-defined]
        else:
            view.copy_(value)  # type: ignore[attr-defined]
        return
    put(view, at, indices, value, False, "index_put_")


def put(view: Tensor, at: list[int], indices: list[Tensor], value: Tensor, accumulate: bool, name: str) -> Tensor:
    if value._kind is not view._kind:
        value = value.to(view.dtype)  # type: ignore[attr-defined]
    shape = np.broadcast_shapes(*(i._array.shape for i in indices)) if indices else ()
    key_shape = index_shape(view._array.shape, at, shape)
    if value._array.ndim > len(key_shape) or any(
        n not in (1, m) for n, m in zip(value._array.shape[::-1], key_shape[::-1], strict=False)
    ):
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(value._array.shape)} cannot be broadcast to indexing result of shape {list(key_shape)}"
        )
    return write(
        view, name, lambda v: index_put_(v, value, *indices, at=tuple(at), accumulate=accumulate), (value,)
    )


def index_shape(shape: tuple[int, ...], at: Sequence[int], picked: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an indexing: the indices' common shape stands at the first of adjacent dims, else in front."""
    rest = [n for d, n in enumerate(shape) if d not in at]
    adjacent = all(b - a == 1 for a, b in zip(at, at[1:], strict=False))
    first = at[0] if adjacent else 0
    return (*rest[:first], *picked, *rest[first:])


def _as_value(value: Any, like: Tensor) -> Tensor:
    if isinstance(value, (bool, int, float, complex, np.generic)):
        if isinstance(value, complex) and like._kind.dtype.category < 3:
            raise RuntimeError(f"value cannot be converted to type {like._kind.dtype.name} without overflow")
        return wrap(np.asarray(value).astype(like._kind.np))
    if isinstance(value, np.ndarray):
        return tensor(value, dtype=like.dtype)
    raise TypeError(f"can't assign a {type(value).__name__} to a torch.{like._kind.dtype.alias}")


def _read(self: Tensor, key: Any) -> tuple[Tensor, list[int], list[Tensor]]:
    """The view that the basic parts of an index make, and what is left: dims of it, and an integer tensor for each."""
    items = list(key) if isinstance(key, tuple) else [key]
    if len(items) == 1 and isinstance(items[0], list) and _nested(items[0]):
        items = list(items[0])
    items = [_as_index(i) for i in items]
    ndim = self._array.ndim
    used = sum(_dims_of(i) for i in items)
    if used > ndim:
        raise IndexError(f"too many indices for tensor of dimension {ndim}")
    view, dim = self, 0
    at: list[int] = []
    indices: list[Tensor] = []
    for position, item in enumerate(items):
        if item is Ellipsis:
            dim += ndim - used
            used = ndim  # a second Ellipsis stands for nothing
        elif item is None:
            view = s.unsqueeze_(view, dim=dim)
            dim += 1
        elif item.__class__ is int:
            n = view._array.shape[dim]
            if not -n <= item < n:
                raise IndexError(f"index {item} is out of bounds for dimension {position} with size {n}")
            view = s.select_(view, dim=dim, index=item)
        elif item.__class__ is slice:
            if key.__class__ is slice or not _is_whole(item, view._array.shape[dim]):
                view = s.slice_(view, dim=dim, part=_slice(item))
            dim += 1
        elif isinstance(item, bool):
            view = s.unsqueeze_(view, dim=dim)
            at.append(dim)
            indices.append(wrap(np.zeros(int(item), np.int64)))
            dim += 1
        elif item._kind.dtype.category == 0 or item.dtype.name == "uint8":
            mask = item._array.astype(bool)
            if not mask.ndim:
                view = s.unsqueeze_(view, dim=dim)
                at.append(dim)
                indices.append(wrap(np.zeros(int(mask), np.int64)))
                dim += 1
                continue
            have = view._array.shape[dim : dim + mask.ndim]
            for k, (m, n) in enumerate(zip(mask.shape, have, strict=True)):
                if m != n:
                    raise IndexError(
                        f"The shape of the mask {list(mask.shape)} at index {k} does not match the shape of the indexed tensor "
                        f"{list(self._array.shape)} at index {dim + k}"
                    )
            for found in np.nonzero(mask):
                at.append(dim)
                indices.append(wrap(found))
                dim += 1
        else:
            at.append(dim)
            indices.append(item)
            dim += 1
    for d, index in zip(at, indices, strict=True):
        n, values = view._array.shape[d], index._array
        if values.size and (values.min() < -n or values.max() >= n):
            bad = values[(values < -n) | (values >= n)].flat[0]
            raise IndexError(f"index {bad} is out of bounds for dimension {d} with size {n}")
    if len(indices) > 1:
        try:
            np.broadcast_shapes(*(i._array.shape for i in indices))
        except ValueError:
            shapes = ", ".join(str(list(i._array.shape)) for i in indices)
            raise IndexError(f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}") from None
    return view, at, indices


def _nested(items: list[Any]) -> bool:
    """A list that stands for a tuple: it holds slices, tensors or lists."""
    return any(isinstance(i, (slice, Tensor, list, tuple)) or i is None or i is Ellipsis for i in items) and not all(
        isinstance(i, (list, tuple, int)) for i in items
    )


def _as_index(item: Any) -> Any:
    if item is None or item is Ellipsis or item.__class__ is int or item.__class__ is slice or isinstance(item, bool):
        return item
    if isinstance(item, Tensor):
        category = item._kind.dtype.category
        if category > 1:
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        if not item._array.ndim and category == 1 and item.dtype.name != "uint8":
            return int(item._array)
        return item
    if isinstance(item, np.ndarray):
        return _as_index(tensor(item))
    if isinstance(item, (list, tuple, range)):
        return _as_index(tensor(list(item), dtype=None if len(item) else _INT64))
    if hasattr(item, "__index__"):
        return operator.index(item)
    raise TypeError(
        f"only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got {type(item).__name__})"
    )


def _dims_of(item: Any) -> int:
    if item is None or item is Ellipsis or isinstance(item, bool):
        return 0
    if isinstance(item, Tensor) and (item._kind.dtype.category == 0 or item.dtype.name == "uint8"):
        return item._array.ndim
    return 1


def _is_whole(part: slice, n: int) -> bool:
    """Whether a slice among other indices takes everything as it is written, from 0 to the end: then it is passed over."""
    return part.start in (None, 0) and (part.stop is None or (part.stop.__class__ is int and part.stop >= n)) and part.step in (None, 1)


def _slice(part: slice) -> slice:
    start, stop, step = (None if v is None else operator.index(v) for v in (part.start, part.stop, part.step))
    if step is not None and step <= 0:
        raise ValueError("step must be greater than zero")
    return slice(start, stop, step)


_INT64: Any = tensor([0])._kind.dtype
