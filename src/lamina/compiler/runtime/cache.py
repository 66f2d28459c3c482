"""Machine code on disk, by key: a kernel is compiled once on a machine, not once in a process. And whole programs (kept.py), likewise.

A file holds one image (image.py), or one program, under a checksum. It is written beside and renamed into place, so that processes may
read and write at once; it is read only where the folder and the file are the user's own and nobody else can write them, for what is read
is run. Whatever is wrong here costs a compilation and one warning, never an error. The least recently used files go when a limit is passed.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from lamina.core.warn import warn

from .image import Image

_MAGIC = b"lamina\x01\n"
_SUFFIX, _PROGRAM = ".kernel", ".program"
_DEFAULT_LIMIT = 512 << 20
_HOUR = 3600.0
_T = TypeVar("_T")
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Info(NamedTuple):
    """What `lamina cache info` prints."""

    folder: Path
    kernels: int
    bytes: int
    limit: int
    problem: str  # why it is not used, or empty


def cache_folder() -> Path:
    """Where lamina keeps what it can make again: LAMINA_CACHE_DIR, or `lamina` in the user's cache folder."""
    if chosen := os.environ.get("LAMINA_CACHE_DIR"):
        return _absolute(chosen)
    if sys.platform == "darwin":
        return _absolute("~/Library/Caches/lamina")
    return _absolute(os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "lamina"))


@cache
def _absolute(text: str) -> Path:
    """The folder, also where the program goes elsewhere later. A user without a home has one in the folder of temporary files."""
    path = os.path.expanduser(text)
    if path.startswith("~"):
        path = os.path.join(tempfile.gettempdir(), f"lamina-{os.geteuid()}")
    with suppress(OSError):  # the current folder is gone
        path = os.path.abspath(path)
    return Path(path)


def store() -> Store:
    """The store that the environment names now."""
    return _store(cache_folder(), os.environ.get("LAMINA_CACHE_LIMIT", ""))


def info() -> Info:
    """Where the cache is, and how much is in it."""
    return store().info()


def clear() -> int:
    """Delete all kernels; how many there were."""
    return store().clear()


@cache
def _store(folder: Path, limit: str) -> Store:
    try:
        return Store(folder, _parsed(limit))
    except (ValueError, OverflowError):
        warn(f"LAMINA_CACHE_LIMIT is {limit!r}, not a size such as 512M: 512M is used")
        return Store(folder, _DEFAULT_LIMIT)


class Store:
    """The kernels in one folder."""

    def __init__(self, root: Path, limit: int = _DEFAULT_LIMIT) -> None:
        self.root, self.limit = root, limit
        self.folder = root / "kernels"
        self._written: int | None = None  # bytes in the folder, as far as this process knows
        self._warned = False
        self._read_only = limit <= 0

    def get(self, keys: Iterable[str]) -> dict[str, Image]:
        """Of these keys, the kernels that are there and sound."""
        return self._get(keys, _SUFFIX, Image.unpacked)

    def put(self, key: str, image: Image) -> None:
        """Keep a kernel, if that is possible."""
        self._put(key, _SUFFIX, image.packed())

    def program(self, key: str) -> bytes | None:
        """The program of this key, if it is there and sound."""
        return self._get([key], _PROGRAM, bytes).get(key)

    def put_program(self, key: str, data: bytes) -> None:
        """Keep a program, if that is possible."""
        self._put(key, _PROGRAM, data)

    def drop_program(self, key: str) -> None:
        """Forget a program."""
        with suppress(OSError), self._opened(create=False) as folder:
            os.unlink(key + _PROGRAM, dir_fd=folder)

    def _get(self, keys: Iterable[str], suffix: str, unpacked: Callable[[bytes], _T]) -> dict[str, _T]:
        found: dict[str, _T] = {}
        try:
            with self._opened(create=False) as folder:
                for key in keys:
                    try:
                        found[key] = unpacked(self._read(folder, key, suffix))
                    except FileNotFoundError:
                        continue
                    except (OSError, ValueError) as error:
                        self._warn(f"holds what is not used ({error})")
                        with suppress(OSError):
                            os.unlink(key + suffix, dir_fd=folder)
        except FileNotFoundError:
            pass  # nothing was ever kept here
        except OSError as error:
            self._warn(f"cannot be read ({error})")
        return found

    def _put(self, key: str, suffix: str, data: bytes) -> None:
        if self._read_only:
            return
        try:
            with self._opened(create=True) as folder:
                self._write(folder, key, suffix, _MAGIC + _digest(key, data) + data)
                self._make_room(folder, len(data))
        except OSError as error:
            self._read_only = True  # one attempt is enough: the next would cost time and fail too
            self._warn(f"cannot be written ({error})")

    def info(self) -> Info:
        try:
            with self._opened(create=False) as folder:
                files = _listing(folder)
        except FileNotFoundError:
            return Info(self.folder, 0, 0, self.limit, "")
        except OSError as error:
            return Info(self.folder, 0, 0, self.limit, str(error))
        kernels = sum(name.endswith(_SUFFIX) for name, _, _ in files)
        return Info(self.folder, kernels, sum(size for _, size, _ in files), self.limit, "")

    def clear(self) -> int:
        count = 0
        with suppress(FileNotFoundError), self._opened(create=False) as folder:
            for name, _, _ in _listing(folder):
                with suppress(OSError):  # another process was quicker; or it is no file
                    os.unlink(name, dir_fd=folder)
                    count += name.endswith(_SUFFIX)
        self._written = None
        return count

    @contextmanager
    def _opened(self, create: bool) -> Iterator[int]:
        """The folder, as a descriptor of what was checked. Raises OSError where it is missing or not to be trusted."""
        if create:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
        root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            check_owner(os.fstat(root), self.root)
            folder = os.open("kernels", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
        finally:
            os.close(root)
        try:
            check_owner(os.fstat(folder), self.folder)
            yield folder
        finally:
            os.close(folder)

    def _read(self, folder: int, key: str, suffix: str) -> bytes:
        """Raises FileNotFoundError where there is none, other OSErrors and ValueError where it is not to be used."""
        name = key + suffix
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        with open(file, "rb", buffering=0) as opened:
            status = os.fstat(file)
            check_owner(status, self.folder / name)
            if not stat.S_ISREG(status.st_mode):
                raise ValueError(f"{name} is not a file")
            data = opened.readall()
        start = len(_MAGIC) + _DIGEST
        if data[:start] != _MAGIC + _digest(key, data[start:]):
            raise ValueError(f"{name} is damaged")
        if time.time() - status.st_mtime > _HOUR:
            with suppress(OSError):
                os.utime(name, dir_fd=folder, follow_symlinks=False)  # used: not the next to go
        return data[start:]

    def _write(self, folder: int, key: str, suffix: str, data: bytes) -> None:
        beside = f".{key}.{os.getpid()}.{secrets.token_hex(4)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            with open(os.open(beside, flags, 0o600, dir_fd=folder), "wb") as file:
                file.write(data)
            os.rename(beside, key + suffix, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside, dir_fd=folder)
            raise

    def _make_room(self, folder: int, added: int) -> None:
        """Delete the least recently used until a tenth of the limit is free, if the limit is passed."""
        if self._written is not None and self._written + added <= self.limit:
            self._written += added
            return
        files = sorted(_listing(folder), key=lambda file: file[2])
        self._written = sum(size for _, size, _ in files)
        if self._written <= self.limit:
            return
        for name, size, _ in files:
            if self._written <= self.limit * 0.9:
                break
            with suppress(OSError):  # as above
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)
                self._written -= size

    def _warn(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            text = f"lamina's cache of native code, {self.folder}, {what}; kernels are compiled anew instead"
            warn(text)


_DIGEST = 20


def _digest(key: str, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST, key=key.encode()).digest()


def check_owner(status: os.stat_result, path: Path) -> None:
    """Raises PermissionError for what somebody else may have written."""
    if status.st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to another user")
    if status.st_mode & _OTHERS_WRITE:
        raise PermissionError(f"{path} can be written by others; chmod go-w would end that")


def _listing(folder: int) -> list[tuple[str, int, float]]:
    """Name, size and time of last use of the files that are ours: kernels, programs, and what a killed process left half written."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.endswith((_SUFFIX, _PROGRAM)) and not entry.name.startswith("."):
                continue
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    continue
                if not entry.name.startswith(".") or time.time() - status.st_mtime > _HOUR:
                    found.append((entry.name, status.st_size, status.st_mtime))
    return found


def _parsed(limit: str) -> int:
    """Bytes: "512M", "2G", "1000000"; nothing is the default."""
    if not limit:
        return _DEFAULT_LIMIT
    text = limit.strip().upper().removesuffix("B")
    shift = {"K": 10, "M": 20, "G": 30, "T": 40}.get(text[-1:], 0)
    return int(float(text[:-1] if shift else text) * (1 << shift))
