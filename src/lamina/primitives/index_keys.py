"""Reading an index: what `x[key]` means, as a view and integer tensors for some of its dimensions.

Here: the forms of keys (integers, slices, None, Ellipsis, tensors, masks, lists, arrays, bools). Not here: computing (indexing.py).
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from lamina.core import device as devices
from lamina.core.dtype import int64
from lamina.core.explained import IndexRangeError
from lamina.core.factories import from_numpy, tensor
from lamina.core.tensor import Tensor, looked_at, wrap
from lamina.core.warn import warn
from lamina.primitives import shape as s
from lamina.primitives.levels import differs

_BASIC = frozenset((int, slice, type(None), type(Ellipsis)))


def basic(key: Any) -> Any:
    """The key as NumPy's for a view, if it is made of integers, slices, None and Ellipsis; else None."""
    if key.__class__ is not tuple:
        key = (key,)
    seen = False
    for item in key:
        cls = item.__class__
        if cls not in _BASIC:
            return None
        if cls is slice:
            step = item.step
            if not (
                (step is None or (step.__class__ is int and step > 0)) and _plain(item.start) and _plain(item.stop)
            ):
                return None
        elif item is Ellipsis:
            seen = True
    return key if seen else (*key, Ellipsis)


def _plain(bound: Any) -> bool:
    return bound is None or bound.__class__ is int


def plain_view(self: Tensor, key: Any) -> Tensor | None:
    """The view that a slice makes, or a tuple of integers, slices, None and one Ellipsis.

    None for other keys, and for those that do not fit.
    """
    view, dim = self, 0
    for at, item in enumerate(key if key.__class__ is tuple else (key,)):
        if item is None:
            view = s.unsqueeze_(view, dim)
            dim += 1
            continue
        shape = view._array.shape
        if item is Ellipsis:
            rest = (key if key.__class__ is tuple else (key,))[at + 1 :]
            dim = len(shape) - len(rest) + sum(each is None for each in rest)
            if dim < 0 or any(each is Ellipsis for each in rest):
                return None
            continue
        if dim == len(shape):
            return None
        if item.__class__ is int:
            n = shape[dim]
            if not -n <= item < n:
                return None
            view = s.select_(view, dim, item)
        elif item.__class__ is slice:
            start, stop, step = item.start, item.stop, item.step
            if not (_plain(start) and _plain(stop) and (step is None or (step.__class__ is int and step > 0))):
                return None
            if key is item or not is_whole(item, shape[dim]):
                view = s.slice_(view, dim, item)
            dim += 1
        else:
            return None
    return view if view is not self else None


def read(self: Tensor, key: Any) -> tuple[Tensor, list[int], list[Tensor]]:
    """The view that the basic parts of a key make, and what is left: dims of it, and an integer tensor for each.

    Raises IndexError and TypeError for keys that do not fit.
    """
    items = list(key) if isinstance(key, tuple) else [key]
    if len(items) == 1 and isinstance(items[0], list) and _stands_for_tuple(items[0]):
        items = list(items[0])
    items = [_as_index(i, len(items) > 1) for i in items]
    ndim = self._array.ndim
    used = sum(_dims_of(i) for i in items)
    if used > ndim:
        if not ndim and len(items) == 1 and items[0].__class__ is int:
            raise IndexError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim tensor "
                "to a number"
            )
        raise IndexError(f"too many indices for tensor of dimension {ndim}")
    view, dim, position = self, 0, 0
    at: list[int] = []
    indices: list[Tensor] = []
    for item in items:
        if item is Ellipsis:
            dim += ndim - used
            position += ndim - used
            used = ndim  # a second Ellipsis stands for nothing
        elif item is None:
            view = s.unsqueeze_(view, dim)
            dim += 1
        elif item.__class__ is int:
            n = view._array.shape[dim]
            if not -n <= item < n:
                raise IndexRangeError(f"index {item} is out of bounds for dimension {position} with size {n}", item, n)
            view = s.select_(view, dim, item)
            position += 1
        elif item.__class__ is slice:
            if key.__class__ is slice or not is_whole(item, view._array.shape[dim]):
                view = s.slice_(view, dim, _slice(item))
            dim += 1
            position += 1
        elif isinstance(item, bool):
            view = s.unsqueeze_(view, dim)
            at.append(dim)
            indices.append(wrap(np.zeros(int(item), np.int64)))
            dim += 1
        elif is_mask(item):
            position += item._array.ndim
            if not item._array.ndim:
                view = s.unsqueeze_(view, dim)
                at.append(dim)
                indices.append(wrap(np.zeros(int(bool(item)), np.int64)))
                dim += 1
                continue
            for found in _positions(item, view, dim, self):
                at.append(dim)
                indices.append(found)
                dim += 1
        else:
            at.append(dim)
            indices.append(item)
            dim += 1
            position += 1
    if len(indices) > 1:
        try:
            np.broadcast_shapes(*(i._array.shape for i in indices))
        except ValueError:
            shapes = ", ".join(str(list(i._array.shape)) for i in indices)
            raise IndexError(
                f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}"
            ) from None
    return view, at, indices


def is_mask(item: Tensor) -> bool:
    return item._kind.dtype.category == 0 or item._kind.dtype.name == "uint8"


def _positions(item: Tensor, view: Tensor, dim: int, self: Tensor) -> list[Tensor]:
    """Where a mask holds, an index for each of its dimensions. Raises IndexError where its shape does not fit."""
    mask = item._array
    if item._kind.dtype.category:
        warn("indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.")
    for k, m in enumerate(mask.shape):
        if m != view._array.shape[dim + k]:
            raise IndexError(
                f"The shape of the mask {list(mask.shape)} at index {k} does not match the shape of the indexed tensor "
                f"{list(self._array.shape)} at index {dim + k}"
            )
    if item._kind.device is devices.meta:
        raise NotImplementedError("indexing by a mask needs its values, which a meta tensor has not")
    if differs(item):
        raise RuntimeError(
            "vmap: We do not support batching operators that can support dynamic shape. Attempting to batch over indexing with a boolean "
            "mask."
        )
    looked_at(item, "as a mask")
    return [wrap(found) for found in np.nonzero(mask)]


def _stands_for_tuple(items: list[Any]) -> bool:
    """Whether a list is read as a tuple of indices: a short one that holds slices, None, Ellipsis, tensors or sequences."""
    if len(items) >= 32 or any(isinstance(i, (int, np.integer)) for i in items[:1]):
        return any(isinstance(i, slice) or i is None or i is Ellipsis for i in items)
    return any(isinstance(i, slice) or i is None or i is Ellipsis for i in items)


def _as_index(item: Any, nested: bool = False) -> Any:
    if item is None or item is Ellipsis or item.__class__ is int or item.__class__ is slice or isinstance(item, bool):
        return item
    if isinstance(item, Tensor):
        category = item._kind.dtype.category
        if category > 1 or item._kind.dtype.name in ("uint16", "uint32", "uint64"):
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        known = item._kind.device is devices.cpu and not differs(item)
        if not item._array.ndim and category == 1 and item._kind.dtype.name != "uint8" and known:
            looked_at(item, "as an index")
            return int(item._array)
        if category == 1 and item._kind.dtype.name in ("int8", "int16"):
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        return item
    if isinstance(item, np.ndarray):
        return _as_index(from_numpy(item.copy()))
    if isinstance(item, np.bool_):
        return bool(item)
    if isinstance(item, (list, tuple, range)):
        return _as_index(tensor(list(item), dtype=None if len(item) else int64))
    if hasattr(item, "__index__"):
        return operator.index(item)
    if nested and isinstance(item, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(item).__name__}'")
    raise IndexError(
        f"only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got {type(item).__name__})"
    )


def _dims_of(item: Any) -> int:
    if item is None or item is Ellipsis or isinstance(item, bool):
        return 0
    if isinstance(item, Tensor) and is_mask(item):
        return item._array.ndim
    return 1


def is_whole(part: slice, n: int) -> bool:
    """Whether a slice among other indices takes everything as it is written, from 0 to the end: then it is passed over."""
    return (
        part.start in (None, 0)
        and (part.stop is None or (part.stop.__class__ is int and part.stop >= n))
        and part.step in (None, 1)
    )


def _slice(part: slice) -> slice:
    start, stop, step = (None if v is None else operator.index(v) for v in (part.start, part.stop, part.step))
    if step is not None and step <= 0:
        raise ValueError("step must be greater than zero")
    return slice(start, stop, step)
