"""Indexing: `x[key]`, `x[key] = value`, index_put, and their primitives.

Here: picking and writing by integer tensors in several dimensions. Not here: what a key means (index_keys.py), views by integers
and slices (shape.py), an index along one dimension (gathering.py, scattering.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.autograd import modes, views
from lamina.core.explained import IndexRangeError
from lamina.core.factories import tensor
from lamina.core.strided import Array, overlaps_itself
from lamina.core.tensor import Tensor, version, wrap
from lamina.core.version import users_place
from lamina.primitives import shape as s
from lamina.primitives.index_checks import number_as
from lamina.primitives.index_keys import basic, is_mask, is_whole, plain_view, read
from lamina.primitives.inplace import of_tensors, write
from lamina.primitives.kernels import places
from lamina.primitives.levels import differs
from lamina.primitives.out_dtypes import NAMES
from lamina.primitives.overridable import asked
from lamina.primitives.registry import Slots, primitive

# ---- by integer tensors ----------------------------------------------------------------------------------------------


def _key(ndim: int, at: Sequence[int], indices: Sequence[Array]) -> tuple[Any, ...]:
    key: list[Any] = [slice(None)] * ndim
    for dim, index in zip(at, indices, strict=True):
        key[dim] = index
    return tuple(key)


def _picked(x: Array, *indices: Array, at: tuple[int, ...]) -> Array:
    try:
        if len(at) == 1:
            return np.take(x, indices[0], at[0])
        if at == tuple(range(len(at))) and x.flags.c_contiguous:
            index = places.joined(indices, x.shape)
            if index is not None:
                return x.reshape(math.prod(x.shape[: len(at)]), *x.shape[len(at) :]).take(index, 0)
        return np.asarray(x[_key(x.ndim, at, indices)], order="C")
    except IndexError:
        raise _outside(x, at, indices) from None


def _outside(x: Array, at: Sequence[int], indices: Sequence[Array]) -> IndexError:
    for dim, index in zip(at, indices, strict=True):
        n = x.shape[dim]
        wrong = (index < -n) | (index >= n)
        if wrong.any():
            bad = index[wrong].flat[0]
            return IndexRangeError(f"index {bad} is out of bounds for dimension {dim} with size {n}", bad, n)
    return IndexError(f"index is out of bounds for dimension with size {min(x.shape)}")


index_ = primitive(
    "index", _picked,
    grads=lambda g, shapes, at, rest: [index_adjoint(g, *rest, shape=shapes[0], at=at)] + [None] * len(rest),
    variadic=True)  # fmt: skip


def _index_adjoint(g: Array, *indices: Array, shape: tuple[int, ...], at: tuple[int, ...]) -> Array:
    """Zeros with g added where the indices say."""
    if at == (0,):
        (index,) = indices
        flat = (np.where(index < 0, index + shape[0], index) if index.size and index.min() < 0 else index).reshape(-1)
        return places.add_rows(shape[0], flat, g.reshape(flat.size, *shape[1:]))
    index, parts, front = _rows(g, indices, shape, at)
    out = places.add_rows(math.prod(front), index, parts)
    rest = [n for d, n in enumerate(shape) if d not in at]
    return np.moveaxis(out.reshape(*front, *rest), range(len(at)), at)


def _rows(
    values: Array, indices: Sequence[Array], shape: tuple[int, ...], at: Sequence[int]
) -> tuple[Array, Array, list[int]]:
    """An indexing of several dimensions as one of rows: a flat index, the values by row, the sizes of the indexed dimensions."""
    front = [shape[d] for d in at]
    joined = places.joined(indices, front)
    if joined is not None and len(at) == len(shape) and values.shape == joined.shape:
        return joined.reshape(-1), values.reshape(-1, 1), front
    common = np.broadcast_shapes(*(i.shape for i in indices))
    index: Any = np.zeros((), np.int64)
    for i, n in zip(indices, front, strict=True):
        index = index * n + (np.where(i < 0, i + n, i) if i.size and i.min() < 0 else i)
    index = np.broadcast_to(index, common).reshape(-1)
    first = at[0] if adjacent(at) else 0
    full = index_shape(shape, at, common)
    values = np.broadcast_to(values, full)
    parts = np.moveaxis(values, range(first, first + len(common)), range(len(common)))
    width = math.prod(n for d, n in enumerate(shape) if d not in at)
    return index, parts.reshape(index.size, width), front


index_adjoint = primitive(
    "index_adjoint", _index_adjoint,
    grads=lambda g, at, rest: [index_(g, *rest, at=at)] + [None] * len(rest), variadic=True)  # fmt: skip


def _put(x: Array, values: Array, *indices: Array, at: tuple[int, ...], accumulate: bool) -> Array:
    out = np.array(x, order="K")
    key = _key(x.ndim, at, indices)
    try:
        if not accumulate:
            out[key] = values
        else:
            np.add.at(out, key, values) if x.size < 4096 else _add_rows(out, values, indices, at)
    except IndexError:
        raise _outside(x, at, indices) from None
    return out


def _add_rows(out: Array, values: Array, indices: Sequence[Array], at: tuple[int, ...]) -> None:
    if any(i.size and (i.min() < -out.shape[d] or i.max() >= out.shape[d]) for d, i in zip(at, indices, strict=True)):
        raise _outside(out, at, indices)
    out += _index_adjoint(values, *indices, shape=out.shape, at=at)


def _put_grads(g: Any, shapes: Any, at: Any, others: Any, accumulate: bool) -> list[Any]:
    indices = others
    if accumulate:
        kept = g
    elif isinstance(g, Tensor):
        kept = put_at(g, wrap(np.zeros((), g._kind.np)), *indices, at=at, accumulate=False)
    else:
        kept = g.copy()
        kept[_key(g.ndim, at, indices)] = 0
    taken = index_(g, *indices, at=at)
    return [kept, s.unbroadcast(taken, shapes[1]), *[None] * len(indices)]


put_at = primitive("index_put", _put, grads=_put_grads, variadic=True)


# ---- x[key] ----------------------------------------------------------------------------------------------------------


def getitem(self: Tensor, key: Any) -> Tensor:
    """`self[key]`: a view for integers, slices, None and Ellipsis; a copy for tensors, lists and masks."""
    if key.__class__ is int and (shape := self._array.shape) and -shape[0] <= key < shape[0]:
        return s.select_(self, 0, key)  # type: ignore[no-any-return]
    if key.__class__ is Tensor and self._node is None and self.__class__ is Tensor:
        found = _bare_key(self, key)
        if found is not None and found.dtype == np.bool_ and (self._more is None or self._more.cut is None):
            return wrap(self._array[found], self._kind)
    quick = plain_view(self, key)
    if quick is not None:
        return quick
    try:
        view, at, indices = read(self, key)
    except Exception:
        if asked((key,), {}):
            return Slots.override(Tensor.__getitem__, (self, key), {})  # type: ignore[no-any-return]
        raise
    if not at:
        return view if view is not self else s.alias_(self)
    return index_(view, *indices, at=tuple(at))  # type: ignore[no-any-return]


def setitem(self: Tensor, key: Any, value: Any) -> None:
    """`self[key] = value`, in place; value is broadcast and converted. Raises RuntimeError for a shape that does not fit."""
    try:
        _set(self, key, value)
    except Exception:
        if not asked((key, value), {}):
            raise
        Slots.override(Tensor.__setitem__, (self, key, value), {})


def _set(self: Tensor, key: Any, value: Any) -> None:
    if _set_plainly(self, key, value):
        return
    if not isinstance(value, Tensor):
        value = _as_value(value, self)
    if key.__class__ is slice and self._array.ndim and is_whole(key, self._array.shape[0]):
        key = ...
    view, at, indices = read(self, key)
    if not at:
        shape = view._array.shape
        if value._array.shape != shape and value._array.ndim:
            value = _without_leading_ones(value).expand(shape)
        if value._array.ndim or not shape:
            view.copy_(value)
        else:
            view.fill_(value)
        return
    value = _of_dtype(view, _without_leading_ones(value), key if isinstance(key, tuple) else (key,))
    _put_into(view, at, indices, value, False, "index_put_")


getitem.__name__, setitem.__name__ = "__getitem__", "__setitem__"  # so PyTorch names them to `__torch_function__`


def _without_leading_ones(value: Tensor) -> Tensor:
    shape = value._array.shape
    first = next((d for d, n in enumerate(shape) if n != 1), len(shape))
    return s.view_(value, shape=shape[first:]) if first else value


def _bare_key(self: Tensor, key: Tensor) -> Array | None:
    """The array of a mask that fits, or of an index of rows, if nothing but its values counts."""
    mode, kind = modes.current(), key._kind
    if (
        (mode is not None and (not mode.plain or mode.transforms))
        or not (kind.plain and self._kind.plain)
        or key._more is not None
        or not key._array.ndim
    ):
        return None
    array, shape = key._array, self._array.shape
    if kind.dtype.category == 0:
        return array if array.shape == shape[: array.ndim] else None
    return array if kind.dtype.name == "int64" and shape else None


def _set_plainly(self: Tensor, key: Any, value: Any) -> bool:
    """Write at once where no history is concerned and the key makes a view. False: the long way must tell."""
    mode = modes.current()
    if self._node is not None or (mode is not None and (not mode.plain or mode.transforms)) or not self._kind.plain:
        return False
    about = self._more
    if about is not None and (about.inference or (about.base is not None and about.base._node is not None)):
        return False
    if value.__class__ is Tensor:
        if (
            value._node is not None
            or value._kind is not self._kind
            or (value._more is not None and value._more.base is not None)
        ):
            return False
    elif value.__class__ not in _NUMBERS:
        return False
    if overlaps_itself(self._array):
        return False
    if key.__class__ is Tensor and not (value.__class__ is Tensor and value._array.ndim):
        bare = _bare_key(self, key)
        if bare is None:
            return False
        try:
            self._array[bare] = value._array if value.__class__ is Tensor else number_as(value, self._kind)
        except IndexError:
            return False
        version(self).bump("index_put_", users_place(2))
        views.written(self)
        return True
    found = basic(key)
    if found is None:
        return False
    try:
        target = self._array[found]
    except IndexError:
        return False
    if value.__class__ is Tensor:
        if value._array.shape != target.shape:
            return False
        target[...] = value._array
    else:
        target[...] = number_as(value, self._kind)
    version(self).bump("copy_", users_place(2))
    views.written(self)
    return True


_NUMBERS = frozenset((int, float, bool))


def _put_into(view: Tensor, at: list[int], indices: list[Tensor], value: Tensor, accumulate: bool, name: str) -> Tensor:
    _check_values(view, at, indices, value)
    if overlaps_itself(view._array):
        views.discourage(name)
    return write(
        view, name, lambda v: put_at(v, value, *indices, at=tuple(at), accumulate=accumulate), (value, *indices)
    )


def _of_dtype(target: Tensor, value: Tensor, key: Sequence[Any]) -> Tensor:
    """What is written to `target` at `key`: of its dtype. Only one value for a mask is converted, as a number is."""
    if value._kind.dtype is target._kind.dtype:
        return value
    if value._array.size == 1 and len(key) == 1 and isinstance(key[0], Tensor) and is_mask(key[0]):
        return value.to(target.dtype)
    raise RuntimeError(
        f"Index put requires the source and destination dtypes match, got {NAMES[target.dtype.name]} for the destination and "
        f"{NAMES[value.dtype.name]} for the source."
    )


def _check_values(view: Tensor, at: list[int], indices: list[Tensor], value: Tensor) -> None:
    shape = np.broadcast_shapes(*(i._array.shape for i in indices))
    key_shape = index_shape(view._array.shape, at, shape)
    given = value._array.shape
    if len(given) > len(key_shape) or any(n not in (1, m) for n, m in zip(given[::-1], key_shape[::-1], strict=False)):
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(given)} cannot be broadcast to indexing result of shape {list(key_shape)}"
        )


def adjacent(at: Sequence[int]) -> bool:
    return all(b - a == 1 for a, b in zip(at, at[1:], strict=False))


def index_shape(shape: tuple[int, ...], at: Sequence[int], picked: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an indexing: the indices' common shape stands at the first of adjacent dims, else in front."""
    rest = [n for d, n in enumerate(shape) if d not in at]
    first = at[0] if adjacent(at) else 0
    return (*rest[:first], *picked, *rest[first:])


def _as_value(value: Any, like: Tensor) -> Tensor:
    if isinstance(value, (bool, int, float, complex, np.generic)):
        return wrap(number_as(value.item() if isinstance(value, np.generic) else value, like._kind), like._kind)
    if isinstance(value, np.ndarray):
        return tensor(value, dtype=like.dtype)
    raise TypeError(f"can't assign a {type(value).__name__} to a torch.{like._kind.dtype.alias}")


# ---- index_put, unravel_index ----------------------------------------------------------------------------------------


def _read_put(input: Tensor, indices: Any, values: Any, name: str) -> tuple[Tensor, list[int], list[Tensor], Tensor]:
    if isinstance(indices, Tensor) or not isinstance(indices, (tuple, list)):
        raise TypeError(
            f"{name}(): argument 'indices' (position 1) must be tuple of Tensors, not {type(indices).__name__}"
        )
    if not isinstance(values, Tensor):
        raise TypeError(f"{name}(): argument 'values' (position 2) must be Tensor, not {type(values).__name__}")
    for i, index in enumerate(indices):
        if index is not None and not isinstance(index, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(index).__name__}")
    # a 0-d index stays an index here: its dimension does not go away
    lifted = tuple(
        slice(None) if i is None else i.reshape(1) if not i._array.ndim and i._kind.dtype.category == 1 else i
        for i in indices
    )
    view, at, found = read(input, lifted)
    values = _of_dtype(view, values, indices)
    _check_values(view, at, found, values)
    return view, at, found, values


@of_tensors
def index_put(input: Tensor, indices: Any, values: Any, accumulate: bool = False) -> Tensor:
    """`input` with `values` at `indices` (a tuple of integer or bool tensors); accumulate: added to what is there."""
    view, at, found, values = _read_put(input, indices, values, "index_put")
    out: Tensor = put_at(view, values, *found, at=tuple(at), accumulate=bool(accumulate))
    return out if view is input else out.reshape(input._array.shape)


def index_put_(self: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """Write `values` at `indices`; accumulate: add them, an index that comes twice counts twice."""
    view, at, found, values = _read_put(self, indices, values, "index_put_")
    _put_into(view, at, found, values, bool(accumulate), "index_put_")
    return self


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The coordinates, in a tensor of `shape`, of places in the flattened one: a tensor for each dimension."""
    if not isinstance(indices, Tensor) or indices._kind.dtype.category != 1:
        what = indices.dtype if isinstance(indices, Tensor) else type(indices).__name__
        raise TypeError(f"expected 'indices' to be integer dtype, but got {what}")
    sizes = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
    if any(n < 0 for n in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {sizes}")
    if differs(indices):
        places = []
        for n in reversed(sizes):
            places.append(indices % max(n, 1))
            indices = indices // max(n, 1)
        return tuple(reversed(places))
    rest = indices._array.astype(np.int64)
    found = np.empty((*rest.shape, len(sizes)), rest.dtype)
    for d in range(len(sizes) - 1, -1, -1):
        rest, found[..., d] = np.divmod(rest, max(sizes[d], 1))
    return tuple(wrap(found[..., d]) for d in range(len(sizes)))
