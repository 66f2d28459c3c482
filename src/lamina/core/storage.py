"""Storages: the bytes that tensors share. Made on demand over the array that owns the memory.

Here: UntypedStorage. Not here: storages of elements (typed_storage.py), who looks at the bytes (tensor.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
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
        if not isinstance(size, int):
            if not isinstance(size, Sequence):
                raise RuntimeError(f"torch.UntypedStorage(): Expected a sequence type, but got {type(size).__name__}")
            for item in size:
                if not isinstance(item, int):
                    raise RuntimeError(
                        f"torch.UntypedStorage(): tried to construct a storage from a sequence ({type(size).__name__}), but one of the "
                        f"items was of type {type(item).__name__} instead of int"
                    )
        elif size < 0:
            raise RuntimeError(f"a storage cannot have a negative number of bytes: {size}")
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
        if isinstance(i, int) and not -self.nbytes() <= i < self.nbytes():
            raise IndexError(f"index {i} out of range for storage of size {self.nbytes()}")
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

    def resize_(self, size: int) -> UntypedStorage:
        """Grow or shrink this storage. Raises RuntimeError while tensors look at it: their arrays cannot follow."""
        if self._owner is self._bytes and self._owner.base is None:
            grown = np.zeros(size, np.uint8)
            kept = min(size, self.nbytes())
            grown[:kept] = self._bytes[:kept]
            self._bytes = self._owner = grown
        elif size != self.nbytes():
            raise RuntimeError(
                f"Trying to resize storage that is not resizable: it has {self.nbytes()} bytes, {size} were asked for; "
                "use tensor.resize_(), which gives that tensor memory of its own"
            )
        return self

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

    is_cuda = is_hpu = is_sparse = is_sparse_csr = False
    filename = None

    def resizable(self) -> bool:
        return True

    def type(self, dtype: Any = None, non_blocking: bool = False) -> str:
        return "torch.storage.UntypedStorage"

    def new(self) -> UntypedStorage:
        return UntypedStorage(0)

    def get_device(self) -> int:
        return -1

    def byteswap(self, dtype: dtype) -> None:
        """Turn the bytes of each element of that type round, in place."""
        part = dtype.itemsize // 2 if dtype.is_complex else dtype.itemsize
        self._bytes.reshape(-1, part)[:] = self._bytes.reshape(-1, part)[:, ::-1].copy()

    @classmethod
    def from_buffer(
        cls, buffer: Any, byte_order: str = "native", count: int = -1, offset: int = 0, *, dtype: Any = None
    ) -> UntypedStorage:
        """A copy of the bytes of a buffer, turned round where they are of the other byte order."""
        made = cls._from_bytes(np.frombuffer(buffer, np.uint8, count, offset).copy())
        if dtype is not None and byte_order not in ("native", sys.byteorder):
            made.byteswap(dtype)
        return made

    def __copy__(self) -> UntypedStorage:
        return self.clone()

    def __repr__(self) -> str:
        rows = " " + "\n ".join(map(str, self._bytes.tolist()))
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
