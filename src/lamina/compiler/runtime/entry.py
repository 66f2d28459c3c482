"""Builtins over native functions: METH_FASTCALL, 35 ns from Python to the kernel and back.

The function of a builtin is always the runtime's `entry`; what differs is the table in its self object, which also holds all that the
table points to. Where Python's objects are not laid out as `entry` reads them, a slower callable does the same through ctypes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from . import native

_FASTCALL = 0x80

Entry = Callable[..., Any]


class _MethodDef(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


def builtin(table: NDArray[np.int64], arguments: int, slots: NDArray[np.int64], keep: tuple[Any, ...]) -> Entry:
    """The entry of the segment that `table` describes. `slots` are the addresses that its arguments' pointers go to."""
    complain = partial(_complain, arguments)
    if not native.layout_holds():
        return partial(_through_ctypes, complain, table, slots, keep)
    made: Entry = _new_builtin()(ctypes.addressof(_method()), (table, complain, slots, *keep), None)
    return made


@cache
def _method() -> _MethodDef:
    """One definition for all entries: it must outlive them."""
    return _MethodDef(b"entry", native.functions()["entry"], _FASTCALL, b"entry(*arrays): run this segment on them")


@cache
def _new_builtin() -> Callable[[int, object, object], Entry]:
    prototype = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
    return prototype(("PyCFunction_NewEx", ctypes.pythonapi))


@cache
def _run() -> Callable[[int], None]:
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(native.functions()["run"])


def _complain(expected: int, *arrays: object) -> NoReturn:
    """Called by native code with arguments that it cannot take."""
    if len(arrays) != expected:
        raise TypeError(f"this compiled segment takes {expected} arrays, but {len(arrays)} were given")
    place, wrong = next((i, a) for i, a in enumerate(arrays) if not isinstance(a, np.ndarray))
    raise TypeError(f"argument {place} of this compiled segment must be a numpy.ndarray, not {type(wrong).__name__}")


def _through_ctypes(
    complain: Entry, table: NDArray[np.int64], slots: NDArray[np.int64], keep: object, *arrays: Any
) -> None:
    if len(arrays) != len(slots) or not all(isinstance(array, np.ndarray) for array in arrays):
        complain(*arrays)
    for slot, array in zip(slots, arrays, strict=True):
        ctypes.c_void_p.from_address(int(slot)).value = array.ctypes.data
    _run()(table.ctypes.data)
