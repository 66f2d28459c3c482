"""Builtins over native functions: METH_FASTCALL, 35 ns from Python to the kernel and back.

The function of a builtin is always the runtime's; what differs is the table in its self object, which also holds all that the table
points to. Where Python's objects are not laid out as native code reads them, a slower callable does the same through ctypes.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from . import native

TABLE = np.dtype(
    [
        (name, np.int64)
        for name in (
            "pool", "arguments", "destinations", "launches", "count", "release", "lock", "scratch", "times", "operands",
            "ndarray", "guards", "guard_count", "workers", "runs",
        )
    ]
)  # fmt: skip
"""%Table of native/entry.ll."""

Table = NDArray[Any]  # one TABLE
Entry = Callable[..., Any]

_FASTCALL = 0x80

_one_at_a_time = threading.Lock()  # for callers through ctypes, which do not take the program's own lock
os.register_at_fork(after_in_child=_one_at_a_time._at_fork_reinit)  # type: ignore[attr-defined]  # its holder may not be there


class _MethodDef(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


def segment(table: Table, destinations: NDArray[np.int64], keep: tuple[Any, ...]) -> Entry:
    """The entry of the segment that `table` describes; its arguments' pointers go to the addresses `destinations`."""
    complain = partial(_complain, len(destinations))
    if not native.layout_holds():
        if table["guards"]:
            raise NotImplementedError(
                "guards are not checked natively here (guards.available); check them in Python instead"
            )
        return partial(_through_ctypes, complain, table, destinations, keep)
    return _builtin("entry", (table, complain, destinations, *keep))


def check(table: Table, keep: tuple[Any, ...]) -> Callable[[], bool]:
    """A builtin that says whether the guards of `table` hold."""
    return _builtin("check", (table, _complain, *keep))


def _builtin(name: str, holder: tuple[Any, ...]) -> Entry:
    prototype = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
    made: Entry = prototype(("PyCFunction_NewEx", ctypes.pythonapi))(ctypes.addressof(_method(name)), holder, None)
    return made


@cache
def _method(name: str) -> _MethodDef:
    """One definition for all builtins of a function: it must outlive them."""
    return _MethodDef(name.encode(), native.functions()[name], _FASTCALL, b"made by lamina's compiler")


@cache
def _run() -> Callable[[int], None]:
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(native.functions()["run"])


def _complain(expected: int, *arrays: object) -> NoReturn:
    """Called by native code with arguments that it cannot take."""
    if len(arrays) != expected:
        raise TypeError(f"this compiled segment takes {expected} arrays, but {len(arrays)} were given")
    place, wrong = next((i, a) for i, a in enumerate(arrays) if not isinstance(a, np.ndarray))
    raise TypeError(f"argument {place} of this compiled segment must be a numpy.ndarray, not {type(wrong).__name__}")


def _through_ctypes(complain: Entry, table: Table, destinations: NDArray[np.int64], keep: object, *arrays: Any) -> None:
    if len(arrays) != len(destinations) or not all(isinstance(array, np.ndarray) for array in arrays):
        complain(*arrays)
    with _one_at_a_time:
        for destination, array in zip(destinations, arrays, strict=True):
            ctypes.c_void_p.from_address(int(destination)).value = array.ctypes.data
        _run()(table.ctypes.data)
