"""Tensors over memory that others own: buffers, DLPack, files, arrays. No copy unless it is asked for or needed.

Here: frombuffer, from_dlpack, to_dlpack, from_file, asarray. Not here: from_numpy, as_tensor (core/factories.py).
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from lamina.core.device import CPU
from lamina.core.factories import as_tensor, from_numpy, kind_of, leaf_like, tensor
from lamina.core.tensor import LEAF, Tensor
from lamina.core.warn import warn
from lamina.primitives.out_dtypes import NAMES

_READ_ONLY = (
    "The given buffer is not writable, and PyTorch does not support non-writable tensors. This means you can write to the underlying "
    "(supposedly non-writable) buffer using the tensor. You may want to copy the buffer to protect its data or make it writable before "
    "converting it to a tensor. This type of warning will be suppressed for the rest of this program."
)


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A 1-d tensor over the memory of a buffer, from `offset` (bytes) on. count: elements (-1: all). Raises ValueError."""
    kind = kind_of(dtype, None)
    try:
        memory = memoryview(buffer)
    except TypeError:
        raise ValueError("object does not implement Python buffer protocol.") from None
    size, item = memory.nbytes, kind.np.itemsize
    if size == 0 or count == 0:
        raise ValueError(f"both buffer length ({size}) and count ({count}) must not be 0")
    if not 0 <= offset < size:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({size} bytes) minus 1"
        )
    left = size - offset
    if count < 0:
        if left % item:
            raise ValueError(
                f"buffer length ({left} bytes) after offset ({offset} bytes) must be a multiple of element size ({item})"
            )
        count = left // item
    elif count * item > left:
        raise ValueError(
            f"requested buffer length ({count} * {item} bytes) after offset ({offset} bytes) must not be greater than actual buffer length "
            f"({size} bytes)"
        )
    if memory.readonly:
        warn(_READ_ONLY)
    array = np.frombuffer(memory, kind.np, count, offset)
    return leaf_like(Tensor, array, kind, requires_grad)  # type: ignore[no-any-return]


def from_file(
    filename: str, shared: bool = False, size: int = 0, *, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A 1-d tensor over the bytes of a file. shared: writes go to the file, which is made as long as it must be."""
    kind = kind_of(dtype, device)
    if shared:
        with open(filename, "ab") as file:
            file.truncate(max(file.tell(), size * kind.np.itemsize))
    array = np.memmap(filename, kind.np, "r+" if shared else "c", shape=(size,)).view(np.ndarray)
    return leaf_like(Tensor, array, kind, requires_grad)  # type: ignore[no-any-return]


# ---- DLPack ----------------------------------------------------------------------------------------------------------


class _Capsule:
    """A bare capsule, as an object that exports itself: what NumPy's import takes."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def _writable(array: Any) -> Any:
    """The same memory to write to: NumPy takes what a bare capsule holds for read-only, PyTorch does not."""
    if array.flags.writeable or not array.size or min(array.strides, default=0) < 0:
        return array
    reach = sum((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)) + array.itemsize
    memory: Any = (ctypes.c_char * reach).from_address(array.__array_interface__["data"][0])
    memory.owner = array  # lives as long as this memory is looked at
    return np.ndarray(array.shape, array.dtype, memory, 0, array.strides)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of an object with `__dlpack__`, or of a capsule (which can be used once)."""
    if isinstance(ext_tensor, Tensor):
        if ext_tensor._node is not None:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        out = ext_tensor.detach()
        return out.clone() if copy else out
    if hasattr(ext_tensor, "__dlpack__"):
        source = ext_tensor
    elif type(ext_tensor).__name__ == "PyCapsule":
        source = _Capsule(ext_tensor)
    else:
        raise RuntimeError(
            "from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only once, so you might have already "
            "constructed a tensor from it once."
        )
    if isinstance(source, np.ndarray):
        array = source
    else:
        try:
            array = np.from_dlpack(source)
        except ValueError:
            raise RuntimeError(
                "from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only once, so you might have "
                "already constructed a tensor from it once."
            ) from None
    return from_numpy(np.array(array) if copy else _writable(array))


def to_dlpack(tensor: Tensor) -> Any:
    """A DLPack capsule of the tensor's memory."""
    return tensor.numpy(force=True).__dlpack__()


# ---- asarray ---------------------------------------------------------------------------------------------------------


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool | None = None
) -> Tensor:
    """A tensor of what is given: a tensor, an array, a buffer, a DLPack object or numbers. It shares memory where it can.

    copy: True: always a copy; False: never, ValueError where one is needed. requires_grad: whether the result does
    (None: as a tensor that is given).
    """
    found = _shared(obj, dtype)
    if found is None:
        if copy is False:
            raise ValueError("can't alias arbitrary sequence into a tensor.")
        return tensor(obj, dtype=dtype, device=device, requires_grad=bool(requires_grad))
    kind = kind_of(dtype if dtype is not None else found.dtype, device if device is not None else found.device)
    if kind.device is not found._kind.device or kind.dtype is not found._kind.dtype:
        if copy is False:
            if kind.dtype is not found._kind.dtype:
                raise ValueError(
                    f"can't alias tensor with dtype '{NAMES[found.dtype.name]}' into dtype '{NAMES[kind.dtype.name]}'."
                )
            raise ValueError(f"can't alias tensor from device '{found.device}' to '{kind.device}'.")
        found = found.to(device=kind.device, dtype=kind.dtype)
    elif copy:
        found = found.clone()
    if requires_grad is False and found._node is not None:
        return found.detach()
    if requires_grad and found._node is None:
        if found._kind.dtype.category < 2:
            raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
        found._node = LEAF
    return found


def _shared(obj: Any, dtype: Any) -> Tensor | None:
    """A tensor over the memory of `obj`, or None for numbers and sequences of them."""
    if isinstance(obj, Tensor):
        return obj
    if isinstance(obj, np.ndarray):
        return from_numpy(obj)
    if isinstance(obj, np.generic):
        return as_tensor(np.asarray(obj))
    if isinstance(obj, (bytes, bytearray, memoryview)) or (
        hasattr(obj, "__buffer__") and not isinstance(obj, (list, tuple, str))
    ):
        size = memoryview(obj).nbytes
        d = kind_of(dtype, None).dtype
        return frombuffer(obj, dtype=d) if size else leaf_like(Tensor, np.empty(0, d.np), CPU[d], False)
    if hasattr(obj, "__dlpack__"):
        return from_dlpack(obj)
    return None
