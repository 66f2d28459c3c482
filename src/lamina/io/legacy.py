"""PyTorch's format before 1.6: five pickles in a row, then the bytes of each storage.

Here: that stream, in both directions. Not here: the zip format (serialization.py), the tar format of 2016 (not read).
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from typing import IO, Any

import numpy as np

import lamina
from lamina.io import locations, rebuild
from lamina.io import storage as storages
from lamina.io.pickler import StorageTable, make_pickler

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
_SYSTEM = {
    "protocol_version": PROTOCOL_VERSION,
    "little_endian": True,
    "type_sizes": {"short": 2, "int": 4, "long": 4},
}

PersistentLoad = Callable[[Any], Any]
LoadPickle = Callable[[int, PersistentLoad | None], tuple[Any, int]]
"""Reads one pickle of the stream: (start, persistent_load) to (object, end)."""


def write(obj: Any, file: IO[bytes], pickle_module: Any, protocol: int) -> None:
    """Save `obj`; bytes go to `file` one storage at a time."""
    for head in (MAGIC_NUMBER, PROTOCOL_VERSION, _SYSTEM):
        pickle.dump(head, file, protocol)
    # Plain bytes came after this format; PyTorch reads them here only as bytes with a dtype.
    table = StorageTable(untyped=storages.STORAGE_TYPES[lamina.uint8], extra=(None,))
    make_pickler(pickle_module, file, protocol, table).dump(obj)
    keys = sorted(table.found)
    pickle.dump(keys, file, protocol)
    for key in keys:
        content = storages.bytes_of(table.found[key])
        file.write(struct.pack("<q", content.nbytes // table.itemsizes[key]))
        file.write(memoryview(content))


def read(data: Any, start: int, map_location: locations.MapLocation, load_pickle: LoadPickle) -> tuple[Any, int]:
    """The object in `data` (bytes or mmap) from `start` on, and where it ends."""
    magic, position = load_pickle(start, None)
    if magic != MAGIC_NUMBER:
        raise RuntimeError("Invalid magic number; corrupt file?")
    version, position = load_pickle(position, None)
    if version != PROTOCOL_VERSION:
        raise RuntimeError(f"Invalid protocol version: {version if isinstance(version, int) else type(version)}")
    _, position = load_pickle(position, None)
    table = _Table(len(data) - position, map_location)
    obj, position = load_pickle(position, table.persistent_load)
    keys, position = load_pickle(position, None)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len(set(keys)) < len(keys):
        raise pickle.UnpicklingError("the list of storages is malformed")
    if set(keys) != table.content.keys():
        raise pickle.UnpicklingError("the storages at the end of the file are not those that its tensors use")
    for key in keys:
        position = table.fill(key, data, position)
    return obj, position


class _Table:
    """The storages of one stream. The bytes come after the tensors that use them, so memory is set aside first."""

    def __init__(self, bytes_present: int, map_location: locations.MapLocation) -> None:
        self._bytes_left = bytes_present
        self._map_location = map_location
        self.content: dict[str, storages.Bytes] = {}
        self._kinds: dict[str, storages.StorageType] = {}
        self._restored: dict[Any, Any] = {}

    def persistent_load(self, saved_id: Any) -> Any:
        if isinstance(saved_id, tuple) and len(saved_id) == 4 and saved_id[0] == "module":
            return saved_id[1]  # a class, with its source for comparison
        kind, key, location, length = parse_id(saved_id)
        if key not in self.content:
            claimed = length * kind.itemsize
            if claimed > self._bytes_left:
                raise RuntimeError(
                    f"unexpected EOF, expected {claimed - self._bytes_left} more bytes. The file might be corrupted."
                )
            self._bytes_left -= claimed
            self.content[key] = np.empty(claimed, np.uint8)
            self._kinds[key] = kind
            whole = storages.from_bytes(self.content[key])
            self._restored[key] = locations.restore(whole, self._map_location, location)
        found = self._restored[key]
        view = saved_id[5] if len(saved_id) > 5 else None
        if view is not None and not isinstance(found, storages.MetaStorage):
            found = self._view(key, view, kind)
        return rebuild.typed_storage(found, kind.dtype)

    def _view(self, key: str, view: Any, kind: storages.StorageType) -> Any:
        """Very old files name a part of a storage: (key of the view, offset, length)."""
        if not (isinstance(view, tuple) and len(view) == 3 and isinstance(view[0], (str, int))):
            raise pickle.UnpicklingError("the description of a storage's view is malformed")
        view_key, offset, length = view
        if not all(type(n) is int and n >= 0 for n in (offset, length)):
            raise pickle.UnpicklingError("the place of a storage's view must be whole numbers")
        identity = (key, view_key)
        if identity not in self._restored:
            part = self.content[key][offset * kind.itemsize : (offset + length) * kind.itemsize]
            self._restored[identity] = storages.from_bytes(part)
        return self._restored[identity]

    def fill(self, key: str, data: Any, position: int) -> int:
        """Copy the bytes of a storage from `position`; returns where they end."""
        content, kind = self.content[key], self._kinds[key]
        end = position + 8 + content.nbytes
        if end > len(data):
            raise RuntimeError(f"unexpected EOF, expected {end - len(data)} more bytes. The file might be corrupted.")
        (length,) = struct.unpack("<q", data[position : position + 8])
        if length * kind.itemsize != content.nbytes:
            raise RuntimeError(
                f"storage has wrong byte size: expected {content.nbytes} got {length * kind.itemsize}; corrupt file?"
            )
        # A view of `data` that is gone at once: a mapping with views cannot be closed.
        content[:] = np.frombuffer(data, np.uint8, content.nbytes, position + 8) if content.nbytes else content
        storages.to_native_order(content, kind.dtype, "little")
        return end


def parse_id(saved_id: Any) -> tuple[storages.StorageType, str, str, int]:
    """Type, key, location and length in elements from a persistent id. Raises UnpicklingError."""
    if not (isinstance(saved_id, tuple) and len(saved_id) >= 5 and saved_id[0] == "storage"):
        raise pickle.UnpicklingError("persistent_load: the file refers to something that is not a storage")
    _, kind, key, location, length = saved_id[:5]
    if kind in storages.QUANTISED.values():
        kind()  # says what to do instead
    if isinstance(key, int) and not isinstance(key, bool):
        key = str(key)
    well_formed = isinstance(kind, storages.StorageType) and isinstance(key, str) and isinstance(location, str)
    if not well_formed or type(length) is not int or length < 0:
        raise pickle.UnpicklingError("persistent_load: the description of a storage is malformed")
    return kind, key, location, length
