"""Executable memory: images (image.py) put at addresses, and the addresses of what they call.

Memory is writable while it is filled, then executable, never both.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import struct
import weakref
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .image import Image

_ALIGN = 64


class Code:
    """Images loaded side by side: `addresses[key][function]`. Freed with this object."""

    def __init__(self, images: Mapping[str, Image]) -> None:
        places, size = {}, 0
        for key, image in images.items():
            places[key] = size
            size += len(image.code) + -len(image.code) % _ALIGN
        base = _map(size)
        try:
            for key, image in images.items():
                _fill(image, base + places[key])
            _call("mprotect", base, size, mmap.PROT_READ | mmap.PROT_EXEC)
        except BaseException:
            _call("munmap", base, size)
            raise
        self.addresses = {
            key: {name: base + places[key] + offset for name, offset in image.symbols.items()}
            for key, image in images.items()
        }
        # Not at exit: a worker thread may still be inside.
        weakref.finalize(self, _call, "munmap", base, size).atexit = False


def _fill(image: Image, base: int) -> None:
    code = bytearray(image.code)
    for place, name, addend in image.imports:
        struct.pack_into("<Q", code, place, address(name) + addend)
    for place, value in image.relatives:
        struct.pack_into("<Q", code, place, base + value)
    ctypes.memmove(base, bytes(code), len(code))


@cache
def address(name: str) -> int:
    """The address of a function or variable of the C library, libm, Python, or NumPy's BLAS. Raises LookupError."""
    for library in (_process, _libm, _blas):
        try:
            return ctypes.addressof(ctypes.c_char.in_dll(library(), name))
        except (ValueError, OSError):
            continue
    raise LookupError(f"native code asks for {name}, which no library here has")


@cache
def _process() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@cache
def _libm() -> ctypes.CDLL:
    return ctypes.CDLL("libm.so.6")


@cache
def _blas() -> ctypes.CDLL:
    """NumPy's own OpenBLAS, where its wheel brings one."""
    for path in Path(np.__file__).parent.parent.glob("numpy.libs/*openblas*"):
        return ctypes.CDLL(str(path))
    raise OSError("this NumPy has no OpenBLAS of its own")


def aligned(size: int, boundary: int = 64) -> NDArray[np.uint8]:
    """Fresh bytes that begin at a multiple of `boundary`."""
    whole = np.empty(size + boundary, np.uint8)
    start = -whole.ctypes.data % boundary
    return whole[start : start + size]


def forever(thing: object) -> None:
    """Keep an object until the process ends: native threads that outlive the interpreter use it."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _map(size: int) -> int:
    mapped: int = _call(
        "mmap", None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0
    )
    return mapped


def _call(name: str, *args: int | None) -> int:
    """A system call by the C library's name. Raises OSError."""
    function = _process()[name]  # a fresh object: the types set here are ours alone
    function.restype = ctypes.c_ssize_t if name == "mmap" else ctypes.c_int
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_int,) * (len(args) - 2))
    result = function(*args)
    if result == -1:
        code = ctypes.get_errno() or errno.ENOMEM
        raise OSError(code, f"{name} for native code: {os.strerror(code)}")
    return int(result)
