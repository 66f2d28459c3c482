"""Tensors from outside data: numbers, nested lists, arrays, buffers, other tensors.

Here: reading what a user passes. Not here: filled and random tensors (primitives/creation.py, random.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core import device as devices
from lamina.core import dtype as dtypes
from lamina.core.device import CPU, KINDS, Kind
from lamina.core.storage import UntypedStorage
from lamina.core.strided import Array
from lamina.core.tensor import LEAF, Slots, Tensor, meta_array, more, version, wrap
from lamina.core.version import UNTRACKED

_new = object.__new__


def leaf_like(cls: type, array: Array, kind: Kind, requires_grad: bool) -> Any:
    """A tensor of class `cls` over `array`; a leaf."""
    if requires_grad and kind.dtype.category < 2:
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    t: Any = _new(cls)
    t._array, t._kind, t._version_, t._more = array, kind, None, None
    t._node = LEAF if requires_grad else None
    if Slots.inference():
        more(t).inference, t._version_ = True, UNTRACKED
    return t


def parameter(cls: type, data: Any, requires_grad: bool) -> Any:
    """A Parameter over the memory of `data`."""
    if data is None:
        return leaf_like(
            cls, np.empty(0, dtypes.get_default_dtype().np), CPU[dtypes.get_default_dtype()], requires_grad
        )
    if not isinstance(data, Tensor):
        raise TypeError(f"Parameter: expected data to be a Tensor, got {type(data).__name__}")
    source = type(data)
    if (
        source is not Tensor
        and source is not cls
        and not getattr(source, "_plain_data", False)
        and not issubclass(cls, source)
    ):
        made = leaf_like(source, data._array, data._kind, requires_grad)
        made.__dict__.update(data.__dict__)
        made._is_param = True
        made._version_ = version(data)
        return made
    made = leaf_like(cls, data._array, data._kind, requires_grad)
    made._version_ = version(data)
    return made


def kind_of(dtype: Any, device: Any) -> Kind:
    """The kind for `dtype=` and `device=` as users give them; dtype None: the default one. Raises TypeError."""
    if dtype is None:
        dtype = dtypes.get_default_dtype()
    elif not isinstance(dtype, dtypes.dtype):
        found = _PYTHON.get(dtype) if isinstance(dtype, type) else None
        if found is None:
            raise TypeError(f"argument 'dtype' must be torch.dtype, not {type(dtype).__name__}")
        dtype = found() if callable(found) else found
    return CPU[dtype] if device is None else KINDS[dtype, devices.as_device(device)]


_PYTHON: dict[Any, Any] = {float: dtypes.float64, int: dtypes.int64, bool: dtypes.bool_, complex: dtypes.complex128}


def place_on(array: Array, kind: Kind) -> Tensor:
    """A tensor of `kind` from values; on the meta device only their shape stays."""
    if kind.device is devices.meta:
        array = meta_array(array.shape, kind)
    return wrap(array, kind)


def array_of(data: Any, dtype: dtypes.dtype | None) -> Array:
    """A new array from numbers, nested sequences, tensors inside them, or array-likes. Raises as torch.tensor does."""
    if isinstance(data, np.ndarray):
        if data.dtype.kind in "OSUMm":
            dtypes.from_numpy_dtype(data.dtype)
        if not data.dtype.isnative:
            raise ValueError(
                "given numpy array has byte order different from the native byte order. Conversion between byte orders is currently not supported."
            )
        return np.array(data, None if dtype is None else dtype.np, order="C", copy=True)
    if isinstance(data, np.generic):
        return np.array(data, None if dtype is None else dtype.np)
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    if hasattr(data, "__array__") and not isinstance(data, (list, tuple)):
        return array_of(np.asarray(data), dtype)
    found = dtype if dtype is not None else _inferred(data)
    shape: list[int] = []
    _shape(data, shape)
    flat: list[Any] = []
    _flatten(data, shape, 0, flat)
    if found.category < 3 and any(isinstance(v, complex) for v in flat):
        raise RuntimeError(
            "value cannot be converted to type at::Half without overflow"
            if found.category == 2
            else "Overflow when unpacking complex"
        )
    try:
        if found.category == 1:
            flat = [int(v) for v in flat]
            if flat and not found.name.startswith("uint") and found is not dtypes.int64:
                return np.array(flat, np.int64).astype(found.np).reshape(shape)
        return np.array(flat, found.np).reshape(shape)
    except OverflowError:
        raise RuntimeError("Overflow when unpacking long long") from None


def _inferred(data: Any) -> dtypes.dtype:
    """The dtype of nested Python numbers: the highest category wins."""
    best: dtypes.dtype | None = None
    stack = [data]
    while stack:
        v = stack.pop()
        if isinstance(v, (list, tuple)) or (isinstance(v, Sequence) and not isinstance(v, (str, bytes))):
            stack.extend(v)
            continue
        if isinstance(v, Tensor):
            d = v._kind.dtype
        elif isinstance(v, bool):
            d = dtypes.bool_
        elif isinstance(v, int):
            d = dtypes.int64
        elif isinstance(v, float):
            d = dtypes.get_default_dtype()
        elif isinstance(v, complex):
            d = dtypes.default_complex()
        elif isinstance(v, (np.generic, np.ndarray)):
            d = dtypes.from_numpy_dtype(v.dtype)
        elif isinstance(v, (str, bytes)):
            raise TypeError(f"new(): invalid data type '{type(v).__name__}'")
        elif hasattr(v, "__index__"):
            d = dtypes.int64
        elif hasattr(v, "__float__"):
            d = dtypes.get_default_dtype()
        else:
            raise RuntimeError(f"Could not infer dtype of {type(v).__name__}")
        if best is None or d.category > best.category or (d.category == best.category and d.itemsize > best.itemsize):
            best = d
    return dtypes.get_default_dtype() if best is None else best


def _is_sequence(v: Any) -> bool:
    return (
        isinstance(v, (list, tuple))
        or (isinstance(v, (Tensor, np.ndarray)) and v.ndim > 0)
        or (isinstance(v, Sequence) and not isinstance(v, (str, bytes)))
    )


def _shape(data: Any, shape: list[int]) -> None:
    while _is_sequence(data):
        shape.append(len(data))
        if len(shape) > 64:
            raise ValueError(f"too many dimensions '{type(data).__name__}'")
        if not len(data):
            return
        data = data[0]


def _flatten(data: Any, shape: list[int], depth: int, out: list[Any]) -> None:
    if depth == len(shape):
        if _is_sequence(data):
            if isinstance(data, (list, tuple)):
                raise TypeError(f"must be real number, not {type(data).__name__}")
            raise ValueError("only one element tensors can be converted to Python scalars")
        if data is None or isinstance(data, (str, bytes)):
            raise TypeError(f"must be real number, not {type(data).__name__}")
        out.append(data.item() if isinstance(data, (Tensor, np.ndarray, np.generic)) else data)
        return
    if not _is_sequence(data):
        raise TypeError(f"expected a sequence of length {shape[depth]} at dim {depth}, got {type(data).__name__}")
    if len(data) != shape[depth]:
        raise ValueError(f"expected sequence of length {shape[depth]} at dim {depth} (got {len(data)})")
    if depth + 1 == len(shape) and isinstance(data, (list, tuple)) and all(v.__class__ in _FLAT for v in data):
        out.extend(data)
        return
    for v in data:
        _flatten(v, shape, depth + 1, out)


_FLAT = frozenset((int, float, bool, complex))


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A new leaf with a copy of `data` (numbers, nested sequences, arrays). Raises TypeError, ValueError for ragged data."""
    kind = kind_of(dtype, device) if dtype is not None else None
    if isinstance(data, Tensor):
        import warnings

        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
            stacklevel=2,
        )
        array = np.array(data._array, None if kind is None else kind.np)
    else:
        array = array_of(data, None if kind is None else kind.dtype)
    if kind is None:
        kind = kind_of(dtypes.from_numpy_dtype(array.dtype), device)
    return leaf_like(Tensor, place_on(array, kind)._array, kind, requires_grad)  # type: ignore[no-any-return]


def from_numpy(ndarray: Array) -> Tensor:
    """A tensor over the memory of an array. Raises TypeError for other objects and for dtypes that PyTorch has not."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    d = dtypes.from_numpy_dtype(ndarray.dtype)
    if any(s < 0 for s in ndarray.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not currently "
            "supported. (You can probably work around this by making a copy of your array  with array.copy().) "
        )
    if not ndarray.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion between byte orders is currently not supported."
        )
    array = ndarray if type(ndarray) is np.ndarray else ndarray.view(np.ndarray)
    if not array.flags.writeable:
        import warnings

        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This means writing to "
            "this tensor will result in undefined behavior. You may want to copy the array to protect its data or make it "
            "writable before converting it to a tensor. This type of warning will be suppressed for the rest of this program.",
            stacklevel=2,
        )
    return wrap(array, CPU[d])


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, without a copy where its memory and dtype allow."""
    if isinstance(data, Tensor):
        kind = kind_of(dtype if dtype is not None else data.dtype, device if device is not None else data.device)
        return data if data._kind is kind else data.to(device=kind.device, dtype=kind.dtype)
    if isinstance(data, UntypedStorage):
        return as_tensor(wrap(data._bytes), dtype, device)
    if isinstance(data, np.ndarray) and data.ndim and all(s >= 0 for s in data.strides) and data.dtype.isnative:
        t = from_numpy(data)
        return as_tensor(t, dtype, device) if dtype is not None or device is not None else t
    return tensor(data, dtype=dtype, device=device)
