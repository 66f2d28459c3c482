"""The runtime's own native code (native/*.ll), loaded once and never unloaded; and what it assumes of Python's objects, checked.

Not here: how builtins are made of it (entry.py), what it is told (program.py, pool.py).
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from . import library


@cache
def functions() -> dict[str, int]:
    """Addresses of the runtime's functions."""
    room = resources.files(__package__) / "native"
    text = "\n".join((room / name).read_text() for name in ("entry.ll", "serial.ll"))
    text = text.replace("TUPLE_ITEMS", str(tuple.__basicsize__)).replace(
        "COUNTED", str(int(sys.version_info < (3, 12)))
    )
    [loaded] = library.load([(text, "entry")])
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(loaded.code))  # workers are inside until the process ends
    return next(names for names in loaded.code.addresses.values() if "entry" in names)


def layout_holds() -> bool:
    """Whether objects of this Python and this NumPy are laid out as the native code reads them."""
    array, item = np.zeros(3), object()
    pair = (item, array)
    return (
        object.__basicsize__ == 16
        and _word(id(array), 8) == id(np.ndarray)
        and _word(id(array), 16) == array.ctypes.data
        and _word(id(array[1:]), 16) == array.ctypes.data + 8
        and _word(id(pair), tuple.__basicsize__) == id(item)
        and _word(id(pair), tuple.__basicsize__ + 8) == id(array)
    )


def _word(base: int, offset: int) -> Any:
    return ctypes.c_void_p.from_address(base + offset).value
