"""PyTorch's archive: a zip file of uncompressed records, aligned to 64 bytes, under one folder.

Here: records by name. Not here: what is in them (serialization.py).
"""

from __future__ import annotations

import mmap
import os
import struct
import zipfile
import zlib
from typing import IO, Any

import numpy as np

from lamina.io.storage import Bytes

ALIGNMENT = 64
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_SIGNATURE = b"PK\x03\x04"
_EXTRA_ID = 0x4246  # "FB", as PyTorch marks its padding
_ZIP64_EXTRA = 20
_ZIP64_FROM = 2**30
_PIECE = 2**24


class CorruptArchive(RuntimeError):
    """The file is damaged, or not what it claims."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"PytorchStreamReader failed reading zip archive: {self.reason}. The checkpoint file is probably "
            "corrupted: not saved to its end, changed afterwards, or damaged on its way."
        )


def is_zip(file: IO[bytes]) -> bool:
    """Whether a zip file starts at the current position, which stays."""
    start = file.tell()
    found = file.read(len(_SIGNATURE))
    file.seek(start)
    return found == _SIGNATURE


class ArchiveWriter:
    """Writes records one after the other; works on streams that cannot seek."""

    def __init__(self, file: Any, folder: str) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._folder = folder

    def write(self, name: str, content: Any) -> None:
        """Add a record; `content` is bytes or a uint8 array."""
        view = memoryview(content).cast("B") if len(content) else memoryview(b"")
        info = zipfile.ZipInfo(f"{self._folder}/{name}")
        info.file_size = view.nbytes
        is_large = view.nbytes >= _ZIP64_FROM
        before = (
            self._zip.start_dir + _LOCAL_HEADER.size + len(info.filename.encode()) + (_ZIP64_EXTRA if is_large else 0)
        )
        padding = -(before + 4) % ALIGNMENT
        info.extra = struct.pack("<HH", _EXTRA_ID, padding) + b"Z" * padding
        with self._zip.open(info, "w", force_zip64=is_large) as record:
            for start in range(0, view.nbytes, _PIECE):
                record.write(view[start : start + _PIECE])

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Write the directory: without it the archive is unreadable. After an exception nothing more is written."""
        if kind is not None:
            self._zip.fp = None  # else ZipFile goes on when it is collected, in whatever place the file is then
        self._zip.close()


class ArchiveReader:
    """Reads records by name. Every record's checksum is verified, except through `mapped`."""

    def __init__(self, file: Any) -> None:
        self._file = file
        file.seek(0, os.SEEK_END)
        self._length = file.tell()
        try:
            self._zip = zipfile.ZipFile(file, "r")
        except (zipfile.BadZipFile, struct.error, ValueError, OSError, NotImplementedError) as error:
            raise CorruptArchive("failed finding central directory") from error
        entries = self._zip.infolist()
        if not entries:
            raise CorruptArchive("it has no records")
        self._folder = entries[0].filename.split("/", 1)[0]
        if len({entry.filename for entry in entries}) != len(entries):
            raise CorruptArchive("two records have the same name")
        # What a TorchScript archive has beside tensors is compressed; nobody reads it, the archive is refused by name.
        entries = [entry for entry in entries if not entry.filename.startswith(f"{self._folder}/code/")]
        self._entries = {entry.filename: entry for entry in entries}
        for entry in entries:
            if (
                entry.compress_type != zipfile.ZIP_STORED
                or entry.compress_size != entry.file_size
                or entry.flag_bits & 1
            ):
                raise CorruptArchive(f"record {entry.filename} is compressed or encrypted, which saved ones never are")
        # Overlapping records could make a small file claim any amount of memory.
        if sum(entry.file_size for entry in entries) > self._length:
            raise CorruptArchive("its records are larger than the file")

    def __contains__(self, name: str) -> bool:
        return f"{self._folder}/{name}" in self._entries

    def size(self, name: str) -> int:
        return self._entry(name).file_size

    def read(self, name: str) -> Bytes:
        """The record's content in memory of its own."""
        entry = self._entry(name)
        self._file.seek(self._start(entry))
        content = np.empty(entry.file_size, np.uint8)
        checksum = 0
        for start in range(0, entry.file_size, _PIECE):
            piece = content[start : start + _PIECE]
            self._fill(piece, name)
            checksum = zlib.crc32(piece, checksum)
        if checksum != entry.CRC:
            raise CorruptArchive(f"the checksum of record {name} does not match its content")
        return content

    def mapped(self, name: str, mapping: mmap.mmap) -> Bytes:
        """The record's content as it lies in the file; what is written to it stays in memory."""
        entry = self._entry(name)
        start = self._start(entry)
        if not entry.file_size:
            return np.empty(0, np.uint8)
        # Over the mapping itself, not a slice of an array of it: so the record is the whole of its storage.
        return np.frombuffer(mapping, np.uint8, entry.file_size, start)

    def _entry(self, name: str) -> zipfile.ZipInfo:
        entry = self._entries.get(f"{self._folder}/{name}")
        if entry is None:
            raise CorruptArchive(f"file not found: {self._folder}/{name}")
        return entry

    def _start(self, entry: zipfile.ZipInfo) -> int:
        self._file.seek(max(entry.header_offset, 0))
        header = self._file.read(_LOCAL_HEADER.size)
        if entry.header_offset < 0 or len(header) < _LOCAL_HEADER.size or header[:4] != _SIGNATURE:
            raise CorruptArchive(f"record {entry.filename} does not start where the directory says")
        *_, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        start = int(entry.header_offset + _LOCAL_HEADER.size + name_length + extra_length)
        if start + entry.file_size > self._length:
            raise CorruptArchive(f"record {entry.filename} goes beyond the end of the file")
        return start

    def _fill(self, piece: Bytes, name: str) -> None:
        if self._file.readinto(memoryview(piece)) != len(piece):
            raise CorruptArchive(f"record {name} ends too early")
