"""Tensors from outside data: numbers, nested lists, arrays, buffers, other tensors.

Here: the tensor over what a user passes. Not here: reading nested data (nested.py), filled and random tensors
(primitives/creation.py, random.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core import device as devices
from lamina.core import dtype as dtypes
from lamina.core.device import CPU, KINDS, Kind
from lamina.core.nested import array_of, refuse_order
from lamina.core.storage import UntypedStorage
from lamina.core.strided import Array
from lamina.core.tensor import LEAF, Slots, Tensor, meta_array, more, version, wrap
from lamina.core.typed_storage import TypedStorage
from lamina.core.version import UNTRACKED
from lamina.core.warn import warn

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
    inference = data._more is not None and data._more.inference
    if inference and requires_grad and not Slots.inference():
        raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
    made = leaf_like(cls, data._array, data._kind, requires_grad)
    made._version_ = version(data)
    if inference:
        more(made).inference = True
    return made


def kind_of(dtype: Any, device: Any) -> Kind:
    """The kind for `dtype=` and `device=` as users give them; dtype None: the default one. Raises TypeError."""
    if dtype is None:
        dtype = dtypes.get_default_dtype()
    elif not isinstance(dtype, dtypes.dtype):
        found = dtypes.BY_TYPE.get(dtype) if isinstance(dtype, type) else None
        if found is None:
            raise TypeError(f"argument 'dtype' must be torch.dtype, not {type(dtype).__name__}")
        dtype = found
    if device is None:
        set_by_user = devices.defaults.get()
        return KINDS[dtype, devices.as_device(set_by_user[-1])] if set_by_user else CPU[dtype]
    return KINDS[dtype, devices.as_device(device)]


def place_on(array: Array, kind: Kind) -> Tensor:
    """A tensor of `kind` from values; on the meta device only their shape stays."""
    if kind.device is devices.meta:
        array = meta_array(array.shape, kind)
    return wrap(array, kind)


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A new leaf with a copy of `data` (numbers, nested sequences, arrays). Raises TypeError, ValueError for ragged data."""
    kind = kind_of(dtype, device) if dtype is not None else None
    if isinstance(data, Tensor):
        warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
        )
        array = np.array(data._array, None if kind is None else kind.np)
    elif isinstance(data, (UntypedStorage, TypedStorage)):
        array = _elements(data, dtypes.get_default_dtype() if kind is None else kind.dtype).copy()
    else:
        array = array_of(data, None if kind is None else kind.dtype)
    if kind is None:
        kind = kind_of(dtypes.from_numpy_dtype(array.dtype), device)
    return leaf_like(Tensor, place_on(array, kind)._array, kind, requires_grad)  # type: ignore[no-any-return]


def _elements(storage: Any, d: dtypes.dtype) -> Array:
    """What a storage holds, as `d`; a typed one must be of it. Raises RuntimeError."""
    own = getattr(storage, "dtype", d)
    if own is not d:
        wanted, got = (t.alias.removesuffix("Tensor") for t in (d, own))
        raise RuntimeError(f"Expected a Storage of type {wanted} or an UntypedStorage, but got {got}")
    return storage.untyped()._bytes.view(d.np)  # type: ignore[no-any-return]


def from_numpy(ndarray: Array) -> Tensor:
    """A tensor over the memory of an array. Raises TypeError for other objects and for dtypes that PyTorch has not."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    d = dtypes.from_numpy_dtype(ndarray.dtype)
    refuse_order(ndarray)
    array = ndarray if type(ndarray) is np.ndarray else ndarray.view(np.ndarray)
    if not array.flags.writeable:
        warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This means writing to "
            "this tensor will result in undefined behavior. You may want to copy the array to protect its data or make it "
            "writable before converting it to a tensor. This type of warning will be suppressed for the rest of this program.",
        )
    made: Tensor = leaf_like(Tensor, array, CPU[d], False)
    return made


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, without a copy where its memory and dtype allow."""
    if isinstance(data, Tensor):
        kind = kind_of(dtype if dtype is not None else data.dtype, device if device is not None else data.device)
        return data if data._kind is kind else data.to(device=kind.device, dtype=kind.dtype)
    if isinstance(data, UntypedStorage) and dtype is None:
        return as_tensor(wrap(data._bytes), dtype, device)
    if isinstance(data, np.ndarray):
        t = from_numpy(data)
        return as_tensor(t, dtype, device) if dtype is not None or device is not None else t
    return tensor(data, dtype=dtype, device=device)
