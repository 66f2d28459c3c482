"""Native code for normal draws (runtime/native/normal.ll), lent to core/draws_normal.py, whose NumPy gives the same bits.

Not here: the stream of words, and what is drawn when (core/).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lamina.compiler.available import attempted, available
from lamina.core.draws_normal import Kernels

_PARAMETERS = {
    "normal32": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_float, ctypes.c_float),
    "normal64": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_double, ctypes.c_double),
    "pairs64": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64),
}


def kernels() -> Kernels | None:
    """The three loops, compiled or from the cache; None where no native code can be made."""
    if not available():
        return None
    from lamina.compiler.runtime import library, native  # only where llvmlite is

    text = (Path(native.__file__).parent / "native" / "normal.ll").read_text()
    loaded = attempted(library.load, [(text, name) for name in _PARAMETERS])
    if loaded is None:
        return None
    made = [_function(one, parameters) for one, parameters in zip(loaded, _PARAMETERS.values(), strict=True)]
    return Kernels(*made)


def _function(loaded: Any, parameters: tuple[Any, ...]) -> Callable[..., np.ndarray]:
    """A call of (input, output, count, numbers...) that returns the output. The memory of the code is held by it."""
    native = ctypes.CFUNCTYPE(None, *parameters)(loaded.address)

    def call(source: np.ndarray, target: np.ndarray, *numbers: Any, code: Any = loaded.code) -> np.ndarray:
        native(
            source.__array_interface__["data"][0], target.__array_interface__["data"][0], *numbers
        )  # .ctypes takes 1.9 us
        return target

    return call
