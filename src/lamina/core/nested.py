"""Numbers, nested sequences, arrays and array-likes, read into a new array as `torch.tensor` reads them.

Here: which shape, which dtype, which elements. Not here: the tensor over the array (factories.py).
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from lamina.core import dtype as dtypes
from lamina.core.promotion import promote_types
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.core.warn import warn, warn_once

_DEEPEST = 128
_NUMBERS = frozenset((int, float, bool, complex))
_WHOLE = frozenset((int, bool))


def array_of(data: Any, dtype: dtypes.dtype | None) -> Array:
    """A new array from numbers, nested sequences, tensors inside them, or array-likes. Raises as torch.tensor does."""
    cls = data.__class__
    if cls is float or cls is int or cls is bool:
        d = dtype if dtype is not None else dtypes.get_default_dtype() if cls is float else _inferred(data)
        return _elements([data], d).reshape(())
    if isinstance(data, np.ndarray):
        return _copied(data, dtype)
    if isinstance(data, np.generic) and not isinstance(data, (str, bytes)):
        dtypes.from_numpy_dtype(data.dtype)
        return np.array(data, None if dtype is None else dtype.np)
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    if hasattr(data, "__array__") and not isinstance(data, (list, tuple, Tensor)):
        return array_of(np.asarray(data), dtype)
    shape = _shape(data)
    found = dtype if dtype is not None else _inferred(data)
    flat: list[Any] = []
    if 0 not in shape:
        _flatten(data, shape, 0, flat)
    return _elements(flat, found).reshape(shape)


def _copied(data: Array, dtype: dtypes.dtype | None) -> Array:
    dtypes.from_numpy_dtype(data.dtype)
    refuse_order(data)
    if dtype is not None and dtype.category < 3 and data.dtype.kind == "c":
        warn("Casting complex values to real discards the imaginary part")
        data = data.real
    return np.array(data, None if dtype is None else dtype.np, order="C", copy=True)


def refuse_order(array: Array) -> None:
    """Raises ValueError for an array that goes backwards, or in the other order of bytes."""
    if any(s < 0 for s in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not currently "
            "supported. (You can probably work around this by making a copy of your array  with array.copy().) "
        )
    if not array.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion between byte orders is "
            "currently not supported."
        )


# ---- shape -----------------------------------------------------------------------------------------------------------


def _is_sequence(v: Any) -> bool:
    """What Python's C API calls one: Tensors, dicts and sets are none."""
    if isinstance(v, (list, tuple)):
        return True
    return hasattr(type(v), "__getitem__") and not isinstance(v, (dict, Tensor, np.generic))


def _shape(data: Any) -> list[int]:
    """The lengths along the first entries."""
    shape: list[int] = []
    given = data
    while _is_sequence(data):
        shape.append(len(data))
        if len(shape) > _DEEPEST:
            raise ValueError(f"too many dimensions '{type(data if isinstance(data, str) else given).__name__}'")
        if not shape[-1]:
            break
        data = data[0]
    return shape


def _flatten(data: Any, shape: list[int], depth: int, out: list[Any]) -> None:
    if depth == len(shape):
        out.append(data)
        return
    if not isinstance(data, (list, tuple)):
        try:
            data = list(data)
        except TypeError:
            raise TypeError("not a sequence") from None
    if len(data) != shape[depth]:
        raise ValueError(f"expected sequence of length {shape[depth]} at dim {depth} (got {len(data)})")
    if depth + 1 == len(shape):
        out.extend(data)
        return
    for v in data:
        _flatten(v, shape, depth + 1, out)


# ---- dtype -----------------------------------------------------------------------------------------------------------


def _inferred(v: Any, depth: int = 0) -> dtypes.dtype:
    """The dtype in which all that is inside of `v` meets."""
    cls = v.__class__
    if isinstance(v, np.ndarray) or (isinstance(v, np.generic) and not isinstance(v, (str, bytes))):
        return dtypes.from_numpy_dtype(v.dtype)
    if isinstance(v, float):
        return dtypes.get_default_dtype()
    if cls is bool:
        return dtypes.bool_
    if isinstance(v, int):
        return dtypes.int64
    if isinstance(v, complex):
        return dtypes.default_complex()
    if isinstance(v, Tensor):
        return v._kind.dtype
    if isinstance(v, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(v).__name__}'")
    if not _is_sequence(v):
        raise RuntimeError(f"Could not infer dtype of {_full_name(type(v))}")
    if depth > _DEEPEST:
        raise ValueError(f"too many dimensions '{type(v).__name__}'")
    return _meeting(v, depth)


def _meeting(sequence: Any, depth: int) -> dtypes.dtype:
    found: dtypes.dtype | None = None
    entries = sequence if isinstance(sequence, (list, tuple)) else list(sequence)
    classes = set(map(type, entries))
    if classes <= _NUMBERS:  # one of each class tells all
        entries = [cls() for cls in classes]
    elif any(issubclass(cls, np.ndarray) for cls in classes):
        warn_once(
            "Creating a tensor from a list of numpy.ndarrays is extremely slow. Please consider converting the list to a "
            "single numpy.ndarray with numpy.array() before converting to a tensor.",
        )
    for v in entries:
        if v is sequence:
            raise TypeError("new(): self-referential lists are incompatible")
        d = _inferred(v, depth + 1)
        found = d if found is None else promote_types(found, d)
    return dtypes.get_default_dtype() if found is None else found


def _full_name(cls: type) -> str:
    """As C sees it: with the module for classes written in C."""
    made_in_python = cls.__flags__ & 1 << 9
    return cls.__name__ if made_in_python or cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__name__}"


# ---- elements --------------------------------------------------------------------------------------------------------


def _elements(flat: list[Any], d: dtypes.dtype) -> Array:
    """Numbers, or what can be taken for them, as elements. Raises TypeError, RuntimeError where one does not fit."""
    classes = set(map(type, flat))
    plain = classes <= _NUMBERS
    if d.category == 2:
        if not plain or complex in classes:
            flat = [_number(v, float) for v in flat]
        return np.array(flat, d.np)
    if d.category == 3:
        return np.array(flat if plain else [_number(v, complex) for v in flat], d.np)
    if d.category == 0:
        return np.array(flat if plain else [_number(v, bool) for v in flat], d.np)
    whole = flat if classes <= _WHOLE else [v if v.__class__ is int else _whole(v, d) for v in flat]
    if d is dtypes.uint64:
        return np.array(whole, d.np)
    try:
        wide = np.array(whole, np.int64)
    except OverflowError:
        raise ValueError("Overflow when unpacking long long") from None
    if d is dtypes.int64:
        return wide
    bounds = np.iinfo(d.np)
    # a negative number wraps where it would fit the signed type of that size
    if wide.size and (wide.max() > bounds.max or wide.min() < (bounds.min or -bounds.max)):
        raise RuntimeError(f"value cannot be converted to type {d.name} without overflow")
    return wide.astype(d.np)


def _number(v: Any, convert: Any) -> Any:
    if isinstance(v, Tensor):
        v = v._scalar()
    if isinstance(v, (str, bytes)) or (convert is float and not hasattr(v, "__float__")):
        raise TypeError(f"must be real number, not {type(v).__name__}")
    return convert(v)


def _whole(v: Any, d: dtypes.dtype) -> int:
    if isinstance(v, Tensor):
        if v._kind.category > 1 or v._array.size != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(v._array.item())
    if isinstance(v, (float, np.floating)):
        if not math.isfinite(v):
            raise RuntimeError(f"value cannot be converted to type {d.name} without overflow")
        return int(v)
    return operator.index(v.item() if isinstance(v, np.generic) else v)
