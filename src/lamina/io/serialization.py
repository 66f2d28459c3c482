"""`save` and `load`: PyTorch's files, in both directions, safe to read by default.

Here: which format, which unpickler, what the errors say. Not here: the formats (zipformat.py, legacy.py), the safe
unpickler (unpickler.py), the names (names.py).
"""

from __future__ import annotations

import errno
import io
import mmap as mapping
import os
import pickle
import pickletools
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lamina.core.warn import warn
from lamina.io import legacy, locations, names, rebuild, zipformat
from lamina.io import storage as storages
from lamina.io.atomic import replacing
from lamina.io.pickler import StorageTable, make_pickler
from lamina.io.safe_globals import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from lamina.io.unpickler import UnsupportedGlobal, WeightsUnpickler

__all__ = [
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "safe_globals",
    "save",
]

FILE_LIKE = FileLike = str | os.PathLike[str] | IO[bytes]
MAP_LOCATION = Any  # a place, a dictionary of places, a function; with FILE_LIKE, names that annotations import
DEFAULT_PROTOCOL = 2

_REFUSED = "Weights only load failed. "
_UNSAFE = (
    "In PyTorch 2.6, we changed the default value of the `weights_only` argument in `torch.load` from `False` to "
    "`True`. Re-running `torch.load` with `weights_only` set to `False` will likely succeed, but it can result in "
    "arbitrary code execution. Do it only if you got the file from a trusted source."
)


def save(
    obj: object,
    f: FileLike,
    pickle_module: Any = pickle,
    pickle_protocol: int = DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Save tensors and what holds them to a path or a file object.

    A path is written beside and renamed: after an interruption the old file is whole. Tensors that share memory share
    it in the file, and again after loading.

    Raises
    ------
    RuntimeError
        If the directory does not exist, or two tensors see the same memory as different dtypes.
    AttributeError
        If `f` is neither a path nor has a `write` method.
    """
    if not isinstance(f, (str, os.PathLike)) and not hasattr(f, "write"):
        raise AttributeError("expected 'f' to be string, path, or a file-like object with a 'write' attribute")
    with _writable(f) as (file, folder):
        if _use_new_zipfile_serialization:
            _write_zip(obj, file, folder, pickle_module, pickle_protocol, with_byteorder=not _disable_byteorder_record)
        else:
            legacy.write(obj, file, pickle_module, pickle_protocol)


@contextmanager
def _writable(f: FileLike) -> Iterator[tuple[Any, str]]:
    """Where to write, and the name of the folder inside the archive."""
    if isinstance(f, (str, os.PathLike)):
        stem = Path(f).stem
        with replacing(f) as file:
            yield _Stream(file), stem if stem and stem.isascii() else "archive"
    else:
        yield _Stream(f), "archive"


def _write_zip(obj: object, file: Any, folder: str, pickle_module: Any, protocol: int, *, with_byteorder: bool) -> None:
    table = StorageTable()
    content = io.BytesIO()
    make_pickler(pickle_module, content, protocol, table).dump(obj)
    with zipformat.ArchiveWriter(file, folder) as archive:
        archive.write("data.pkl", content.getbuffer())
        archive.write(".format_version", b"1")
        archive.write(".storage_alignment", str(zipformat.ALIGNMENT).encode())
        if with_byteorder:
            archive.write("byteorder", sys.byteorder.encode())
        for key, storage in table.found.items():
            archive.write(f"data/{key}", storages.bytes_of(storage))
        archive.write("version", b"3\n")


class _Stream:
    """A file object reduced to what saving may use: writing onwards. After a write that failed the rest goes nowhere: zipfile
    ends what it began."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._written = 0
        self._failed = False

    def write(self, content: Any) -> int:
        left = memoryview(content).cast("B") if len(content) else content
        while len(left) and not self._failed:
            try:
                taken = self._file.write(left)
            except BaseException:
                self._failed = True
                raise
            if taken == 0:
                raise OSError(errno.EIO, "the file object takes no more bytes")
            # Unbuffered files take what they can, and tell; other objects take all, and some of them tell nothing.
            left = left[taken:] if isinstance(taken, int) else b""
        self._written += len(content)
        return len(content)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        if hasattr(self._file, "flush"):
            self._file.flush()


def load(
    f: FileLike,
    map_location: locations.MapLocation = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Load what `save` (or PyTorch) saved.

    By default the file is not trusted: it may hold tensors, containers, numbers, text and what `add_safe_globals`
    allows; it runs no code, gets no more memory than it has bytes, and its checksums are verified. `weights_only=False`
    reads it with pickle, which runs what the file asks for. With `mmap` tensors stay in the file until they are used,
    and their checksums are not verified.

    Raises
    ------
    pickle.UnpicklingError
        If the file asks for something that is not allowed, or its pickle is malformed.
    RuntimeError
        If the file is damaged, or was saved on a device that is not there and `map_location` is not given.
    """
    if weights_only is None:
        weights_only = pickle_module is None
    if weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    if weights_only and pickle_load_args:
        warn("pickle_load_args only works if `weights_only=False`.")
    locations.check(map_location)
    if mmap and not isinstance(f, (str, os.PathLike)):
        raise ValueError("f must be a file path in order to use the mmap argument")
    reader = _Reader(map_location, None if weights_only else pickle_module or pickle, pickle_load_args)
    with _opened(f) as file:
        if zipformat.is_zip(file):
            return reader.load_zip(file, _map(file) if mmap else None)
        if mmap:
            raise RuntimeError(
                "mmap can only be used with files saved with `torch.save(_use_new_zipfile_serialization=True), please "
                "torch.save your checkpoint with this option in order to use mmap."
            )
        if isinstance(f, (str, os.PathLike)):
            _refuse_tar(file, weights_only)
        start = file.tell()
        file.seek(0)
        # The stream says only piece by piece how long it is; from memory it can be read without trusting it.
        data = file.read()
        obj, end = reader.load_legacy(data, start)
        file.seek(end)
        return obj


@contextmanager
def _opened(f: FileLike) -> Iterator[Any]:
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            yield file
        return
    for method in ("seek", "tell", "read"):
        if not hasattr(f, method):
            raise AttributeError(
                f"'{type(f).__name__}' object has no attribute '{method}'. You can only torch.load from a file that is "
                "seekable. Please pre-load the data into a buffer like io.BytesIO and try to load from it instead."
            )
    yield _Whole(f)


class _Whole:
    """A file object reduced to what loading may use. A read gives all that was asked for, up to the end: unbuffered files give less."""

    def __init__(self, file: Any) -> None:
        self._file, self.seek, self.tell = file, file.seek, file.tell

    def read(self, n: int = -1) -> bytes:
        content = self._file.read(n)
        if n < 0 or len(content) == n or not content:
            return content  # type: ignore[no-any-return]
        pieces, missing = [content], n - len(content)
        while missing and (content := self._file.read(missing)):
            pieces.append(content)
            missing -= len(content)
        return b"".join(pieces)

    def readinto(self, target: memoryview) -> int:
        content = self.read(len(target)) if not hasattr(self._file, "readinto") else None
        if content is not None:
            target[: len(content)] = content
            return len(content)
        got = 0
        while got < len(target) and (more := self._file.readinto(target[got:])):
            got += more
        return got


def _map(file: IO[bytes]) -> mapping.mmap:
    return mapping.mmap(file.fileno(), 0, access=mapping.ACCESS_COPY)


def _refuse_tar(file: IO[bytes], weights_only: bool) -> None:
    start = file.tell()
    is_tar = tarfile.is_tarfile(file)
    file.seek(start)
    if not is_tar:
        return
    if weights_only:
        raise RuntimeError(f"Cannot use ``weights_only=True`` with files saved in the legacy .tar format. {_UNSAFE}")
    raise NotImplementedError(
        "files in the .tar format of PyTorch 0.1 are not read: load them with a PyTorch of their time, save them again"
    )


def _load_from_bytes(content: bytes) -> Any:
    """A storage of PyTorch's from its bytes: what `pickle` itself, not `save`, makes of a tensor names this function."""
    return load(io.BytesIO(content), weights_only=False)


class _Reader:
    """One call of `load`: with which unpickler, to which device."""

    def __init__(self, map_location: locations.MapLocation, pickle_module: Any, load_args: dict[str, Any]) -> None:
        self._map_location = map_location
        self._pickle_module = pickle_module  # None: the safe unpickler
        self._load_args = {"encoding": "utf-8", **load_args}

    def load_zip(self, file: Any, mapped: mapping.mmap | None) -> Any:
        archive = zipformat.ArchiveReader(file)
        if "constants.pkl" in archive:
            self._refuse_torchscript()
        byteorder = "little"
        if "byteorder" in archive:
            byteorder = archive.read("byteorder").tobytes().decode("ascii", "replace")
        if byteorder not in ("little", "big"):
            raise ValueError(f"Unknown endianness type: {byteorder}")
        loaded: dict[str, Any] = {}

        def persistent_load(saved_id: Any) -> Any:
            kind, key, location, length = legacy.parse_id(saved_id)
            if key not in loaded:
                loaded[key] = self._storage(archive, key, kind, location, byteorder, mapped)
            claimed, present = length * kind.itemsize, loaded[key].nbytes()
            if claimed > present:
                raise RuntimeError(f"storage has wrong byte size: expected {claimed} got {present}; corrupt file?")
            return rebuild.typed_storage(loaded[key], kind.dtype)

        data = archive.read("data.pkl").tobytes()
        return self._load_pickle(data, 0, persistent_load)[0]

    def _storage(
        self,
        archive: zipformat.ArchiveReader,
        key: str,
        kind: storages.StorageType,
        location: str,
        byteorder: str,
        mapped: mapping.mmap | None,
    ) -> Any:
        name = f"data/{key}"
        if locations.target_of(self._map_location, location) == "meta":
            return storages.MetaStorage(archive.size(name))
        content = archive.read(name) if mapped is None else archive.mapped(name, mapped)
        storages.to_native_order(content, kind.dtype, byteorder)
        return locations.restore(storages.from_bytes(content), self._map_location, location)

    def load_legacy(self, data: bytes, start: int) -> tuple[Any, int]:
        def load_pickle(position: int, persistent_load: Any) -> tuple[Any, int]:
            return self._load_pickle(data, position, persistent_load)

        return legacy.read(data, start, self._map_location, load_pickle)

    def _load_pickle(self, data: bytes, start: int, persistent_load: Any) -> tuple[Any, int]:
        """One pickle of `data`, and where it ends."""
        if self._pickle_module is None:
            reader = WeightsUnpickler(
                data, position=start, persistent_load=persistent_load, encoding=self._load_args["encoding"]
            )
            try:
                return reader.load(), reader.position
            except UnsupportedGlobal as error:
                raise pickle.UnpicklingError(_refusal(error)) from None
            except pickle.UnpicklingError as error:
                raise pickle.UnpicklingError(f"{_REFUSED}{_UNSAFE}\nWeightsUnpickler error: {error}") from None
        stream = io.BytesIO(data)
        stream.seek(start)
        unpickler = _trusting_unpickler(self._pickle_module, stream, self._load_args, persistent_load)
        return unpickler.load(), stream.tell()

    def _refuse_torchscript(self) -> None:
        if self._pickle_module is None:
            raise RuntimeError(
                f"Cannot use ``weights_only=True`` with TorchScript archives passed to ``torch.load``. {_UNSAFE}"
            )
        raise NotImplementedError("TorchScript archives are not read: save the state_dict of the module instead")


def _refusal(error: UnsupportedGlobal) -> str:
    if "is blocked" in error.message:
        return f"{_REFUSED}{_UNSAFE}\n{error.message}"
    return (
        f"{_REFUSED}This file can still be loaded, to do so you have two options, do those steps only if you trust the "
        f"source of the checkpoint. \n\t(1) {_UNSAFE}\n\t(2) Alternatively, to load with `weights_only=True` please "
        f"check the recommended steps in the following error message.\n\tWeightsUnpickler error: {error.message}"
    )


def _trusting_unpickler(pickle_module: Any, stream: Any, load_args: dict[str, Any], persistent_load: Any) -> Any:
    class TorchUnpickler(pickle_module.Unpickler):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            found = names.loaded_object(module, name, importing=True) if names.is_torch(module) else None
            return super().find_class(module, name) if found is None else found

        def persistent_load(self, saved_id: Any) -> Any:
            if persistent_load is None:
                raise pickle.UnpicklingError("a persistent id where there can be none")
            return persistent_load(saved_id)

    return TorchUnpickler(stream, **load_args)


def get_unsafe_globals_in_checkpoint(f: FileLike) -> list[str]:
    """The names in a file saved by `save` that `load` would refuse; nothing is run, no tensor is read."""
    with _opened(f) as file:
        if not zipformat.is_zip(file):
            raise ValueError("Expected input to be a checkpoint returned by torch.save")
        data = zipformat.ArchiveReader(file).read("data.pkl").tobytes()
    allowed = WeightsUnpickler(b"")
    refused: dict[str, None] = {}
    for module, name in _globals_in(data):
        try:
            allowed.find_global(module, name)
        except UnsupportedGlobal as error:
            refused[error.full_name] = None
    return list(refused)


def _globals_in(data: bytes) -> Iterator[tuple[str, str]]:
    texts: list[str] = []
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "GLOBAL":
            module, name = str(argument).split(" ", 1)
            yield module, name
        elif opcode.name == "STACK_GLOBAL":
            yield texts[-2], texts[-1]
        elif isinstance(argument, str):
            texts.append(argument)
