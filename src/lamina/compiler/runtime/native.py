"""The runtime's own native code (native/*.ll), loaded once and never unloaded; and what it assumes of Python's objects, checked.

Not here: how builtins are made of it (entry.py), what it is told (program.py, pool.py).
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lamina.compiler.available import FAILURES

from . import codegen, cpu, library
from .memory import forever

_CONSTANTS = {
    "TUPLE_ITEMS": tuple.__basicsize__,
    "COUNTED": int(sys.version_info < (3, 12)),  # from then on None is immortal
    "SPIN_NS": 100_000,  # a worker looks for work so long before it sleeps; to be woken takes up to 2 ms on a virtual machine
}


@cache
def functions() -> dict[str, int]:
    """Addresses of the runtime's functions."""
    room = Path(__file__).parent / "native"
    text = codegen.READY + "\n".join((room / name).read_text() for name in ("entry.ll", "guards.ll", "pool.ll"))
    for name, value in _CONSTANTS.items():
        text = text.replace(name, str(value))
    [loaded] = library.load([(text, "entry")])
    forever(loaded.code)
    return next(names for names in loaded.code.addresses.values() if "entry" in names)


@cache
def problem() -> str:
    """Why native code cannot run here, or an empty string: the platform, or a system that lets no memory be made executable."""
    if reason := cpu.unsupported():
        return reason
    try:
        functions()
    except FAILURES as error:
        return f"native code cannot be loaded ({error})"
    return ""


@cache
def layout_holds() -> bool:
    """Whether objects of this Python and this NumPy are laid out as the native code reads them."""
    array, item = np.zeros(3), object()
    pair, tail = (item, array), array[1:]  # held while they are looked at
    return (
        object.__basicsize__ == 16
        and word(id(array), 8) == id(np.ndarray)
        and word(id(array), 16) == array.ctypes.data
        and word(id(tail), 16) == array.ctypes.data + 8
        and word(id(pair), tuple.__basicsize__) == id(item)
        and word(id(pair), tuple.__basicsize__ + 8) == id(array)
    )


def word(base: int, offset: int) -> Any:
    return ctypes.c_void_p.from_address(base + offset).value
