"""Storages as files know them: their types, and the only place where io touches their bytes.

Here: `torch.FloatStorage` and its kin, bytes to storage, storage to bytes. Not here: how bytes lie in a file
(zipformat.py, legacy.py), tensors over storages (rebuild.py).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

import lamina
from lamina.primitives.refusals import refusal

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class StorageType:
    """What `torch.FloatStorage` means in a file: bytes, and the dtype they are seen as (None: plain bytes)."""

    name: str
    dtype: Any

    @property
    def itemsize(self) -> int:
        return 1 if self.dtype is None else int(self.dtype.itemsize)


_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
}
_WITHOUT_STORAGE_CLASS = (
    "uint16 uint32 uint64 complex32 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu"
).split()

UNTYPED = StorageType("UntypedStorage", None)
DTYPES = {
    name: getattr(lamina, name) for name in (*_STORAGES.values(), *_WITHOUT_STORAGE_CLASS) if hasattr(lamina, name)
}
STORAGE_TYPES = {DTYPES[d]: StorageType(name, DTYPES[d]) for name, d in _STORAGES.items()}


class MetaStorage:
    """Stands for a storage that is loaded on the meta device: a length without bytes."""

    def __init__(self, nbytes: int) -> None:
        self._nbytes = nbytes

    def nbytes(self) -> int:
        return self._nbytes


def from_bytes(data: Bytes) -> Any:
    """An UntypedStorage over `data` (1-d, writable, not copied)."""
    return lamina.UntypedStorage._from_bytes(data)


def bytes_of(storage: Any) -> Bytes:
    """The bytes of an UntypedStorage, not copied."""
    return storage._bytes  # type: ignore[no-any-return]


def typed(storage: Any, dtype: Any) -> Any:
    return lamina.TypedStorage(wrap_storage=storage, dtype=dtype, _internal=True)


def untyped(storage: Any) -> Any:
    return storage.untyped() if isinstance(storage, lamina.TypedStorage) else storage


def is_storage(found: Any) -> bool:
    return isinstance(found, (lamina.UntypedStorage, lamina.TypedStorage))


def to_native_order(data: Bytes, dtype: Any, byteorder: str) -> None:
    """Turn elements around, in place, if the file was written on a machine of the other byte order."""
    if byteorder == sys.byteorder or dtype is None:
        return
    width = dtype.itemsize // 2 if dtype.is_complex else dtype.itemsize
    if width > 1:
        data.view(f"u{width}").byteswap(inplace=True)


QUANTISED = {
    name: refusal(
        name, "the file holds a quantised tensor; in PyTorch, save it without quantisation: tensor.dequantize()"
    )
    for name in ("QInt8Storage", "QUInt8Storage", "QInt32Storage", "QUInt4x2Storage", "QUInt2x4Storage")
}
"""Types of storages that a file may name, and lamina has not."""
