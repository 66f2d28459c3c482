"""Storages: the bytes that tensors share. Made on demand over the array that owns the memory.

Here: UntypedStorage, and TypedStorage for programs that still name it. Not here: who looks at the bytes (tensor.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from lamina.core import device as devices
from lamina.core.dtype import dtype
from lamina.core.strided import Array, address, bytes_of

_MADE: WeakValueDictionary[int, UntypedStorage] = WeakValueDictionary()


class UntypedStorage:
    """Bytes in memory. Two tensors that share memory give the same storage."""

    __module__ = "torch"
    __slots__ = ("__weakref__", "_bytes", "_owner", "_shared")

    _bytes: Array
    _owner: Array

    def __init__(self, size: int | Any = 0, *, device: Any = None) -> None:
        devices.as_device(device)
        self._bytes = np.array(list(size), np.uint8) if not isinstance(size, int) else np.empty(size, np.uint8)
        self._owner = self._bytes
        self._shared = False

    @classmethod
    def _from_bytes(cls, data: Array) -> UntypedStorage:
        self = object.__new__(cls)
        self._bytes = self._owner = data
        self._shared = False
        return self

    @classmethod
    def from_file(cls, filename: str, shared: bool = False, nbytes: int = 0) -> UntypedStorage:
        """The bytes of a file, mapped; shared: what is written goes to the file, which is made or grown when needed."""
        if shared and (not os.path.exists(filename) or os.path.getsize(filename) < nbytes):
            with open(filename, "ab") as file:
                file.truncate(nbytes)
        have = os.path.getsize(filename)
        if have < nbytes:
            raise RuntimeError(f"file <{filename}> has {have} bytes, {nbytes} were asked for")
        if not nbytes:
            return cls(0)
        mapped = np.memmap(filename, np.uint8, "r+" if shared else "c", shape=(nbytes,))
        return cls._from_bytes(mapped.view(np.ndarray))

    @property
    def device(self) -> devices.device:
        return devices.cpu

    def data_ptr(self) -> int:
        return address(self._bytes) if self._bytes.nbytes else 0

    @property
    def _cdata(self) -> int:
        return self.data_ptr() or id(self._owner)

    def nbytes(self) -> int:
        return int(self._bytes.nbytes)

    size = __len__ = nbytes

    def element_size(self) -> int:
        return 1

    def __getitem__(self, i: Any) -> Any:
        found = self._bytes[i]
        return int(found) if isinstance(found, np.integer) else UntypedStorage._from_bytes(found)

    def __setitem__(self, i: Any, value: Any) -> None:
        self._bytes[i] = value

    def __iter__(self) -> Iterator[int]:
        return iter(self._bytes.tolist())

    def tolist(self) -> list[int]:
        return self._bytes.tolist()  # type: ignore[no-any-return]

    def clone(self) -> UntypedStorage:
        return UntypedStorage._from_bytes(self._bytes.copy())

    def copy_(self, source: UntypedStorage, non_blocking: bool = False) -> UntypedStorage:
        self._bytes[:] = source._bytes
        return self

    def fill_(self, value: int) -> UntypedStorage:
        self._bytes[:] = value
        return self

    def resize_(self, size: int) -> None:
        """Grow or shrink this storage. Raises RuntimeError while tensors look at it: their arrays cannot follow."""
        if size != self.nbytes():
            raise RuntimeError(
                f"Trying to resize storage that is not resizable: it has {self.nbytes()} bytes, {size} were asked for; "
                "use tensor.resize_(), which gives that tensor memory of its own"
            )

    def cpu(self) -> UntypedStorage:
        return self

    def untyped(self) -> UntypedStorage:
        return self

    def is_shared(self) -> bool:
        return self._shared

    def share_memory_(self) -> UntypedStorage:
        return self

    def is_pinned(self, device: Any = None) -> bool:
        return False

    @property
    def is_cuda(self) -> bool:
        return False

    def __repr__(self) -> str:
        rows = "\n".join(f" {b}" for b in self._bytes.tolist())
        return f"{rows}\n[torch.storage.UntypedStorage(device=cpu) of size {self.nbytes()}]"

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_raw, (self._bytes.tobytes(),)

    def __deepcopy__(self, memo: dict[int, Any]) -> UntypedStorage:
        # tensors that share a storage share its copy
        return memo.setdefault(id(self), self.clone())  # type: ignore[no-any-return]


def _from_raw(raw: bytes) -> UntypedStorage:
    return UntypedStorage._from_bytes(np.frombuffer(bytearray(raw), np.uint8))


def storage_of(owner: Array) -> UntypedStorage:
    """The storage over `owner`'s memory; the same object as long as somebody holds it."""
    found = _MADE.get(id(owner))
    if found is None or found._owner is not owner:
        found = object.__new__(UntypedStorage)
        found._bytes, found._owner, found._shared = bytes_of(owner), owner, False
        _MADE[id(owner)] = found
    return found


class TypedStorage:
    """A storage seen as elements of one dtype: what `tensor.storage()` returns."""

    __module__ = "torch.storage"
    __slots__ = ("_untyped_storage", "dtype")

    def __init__(self, *, wrap_storage: UntypedStorage, dtype: dtype, _internal: bool = False) -> None:
        self._untyped_storage, self.dtype = wrap_storage, dtype

    def untyped(self) -> UntypedStorage:
        return self._untyped_storage

    @property
    def device(self) -> devices.device:
        return devices.cpu

    def _elements(self) -> Array:
        return self._untyped_storage._bytes.view(self.dtype.np)

    def size(self) -> int:
        return self._untyped_storage.nbytes() // self.dtype.itemsize

    __len__ = size

    def nbytes(self) -> int:
        return self._untyped_storage.nbytes()

    def element_size(self) -> int:
        return self.dtype.itemsize

    def data_ptr(self) -> int:
        return self._untyped_storage.data_ptr()

    def _data_ptr(self) -> int:
        return self._untyped_storage.data_ptr()

    @property
    def _cdata(self) -> int:
        return self._untyped_storage._cdata

    def tolist(self) -> list[Any]:
        return self._elements().tolist()  # type: ignore[no-any-return]

    def __getitem__(self, i: int) -> Any:
        return self._elements()[i].item()

    def __setitem__(self, i: Any, value: Any) -> None:
        self._elements()[i] = value

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def clone(self) -> TypedStorage:
        return TypedStorage(wrap_storage=self._untyped_storage.clone(), dtype=self.dtype)

    def is_shared(self) -> bool:
        return self._untyped_storage.is_shared()

    def pickle_storage_type(self) -> str:
        return self.dtype.alias.replace("Tensor", "Storage")

    def __repr__(self) -> str:
        rows = "\n".join(f" {v}" for v in self.tolist())
        return f"{rows}\n[torch.storage.TypedStorage(dtype={self.dtype}, device=cpu) of size {self.size()}]"
