"""BLAS held to one thread: its own threads would make the bits of a product depend on their number, and spin between products.

What a product is cut into, and the threads that share it, are lamina's (primitives/kernels/products.py). Here: which library NumPy or
SciPy calls, and what tells it. Not here: any product.

The library is asked through the extension module that is linked to it: the system looks a name up in what a module depends on, so that
nobody searches for files. Accelerate has no such function, and decides by the problem alone.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

_SETTERS = (
    "scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads", "openblas_set_num_threads64_",
    "openblas_set_num_threads", "MKL_Set_Num_Threads", "bli_thread_set_num_threads",
)  # fmt: skip
_GETTERS = (
    "scipy_openblas_get_num_threads64_", "scipy_openblas_get_num_threads", "openblas_get_num_threads64_",
    "openblas_get_num_threads", "MKL_Get_Max_Threads", "bli_thread_get_num_threads",
)  # fmt: skip
_NUMPY: Any = np._core._multiarray_umath  # type: ignore[attr-defined]


def hold(module: Any = _NUMPY) -> bool:
    """Let the BLAS behind an extension module use one thread from now on; whether it could be told. 20 us."""
    setter = _first(module, _SETTERS)
    if setter is None:
        return False
    setter(1)
    return True


def threads(module: Any = _NUMPY) -> int | None:
    """How many threads that BLAS uses; None where it does not say."""
    getter = _first(module, _GETTERS)
    return None if getter is None else int(getter())


def address(name: str) -> int | None:
    """Where a function of NumPy's BLAS lies that counts in 64 bits; None where it has none."""
    found = _first(_NUMPY, (f"scipy_{name}64_", f"{name}64_"))
    return None if found is None else ctypes.cast(found, ctypes.c_void_p).value


def _first(module: Any, names: tuple[str, ...]) -> Any:
    try:
        library = ctypes.CDLL(module.__file__)  # loaded already
    except (AttributeError, OSError):  # built in
        return None
    return next((getattr(library, name) for name in names if hasattr(library, name)), None)
