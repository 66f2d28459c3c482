"""Whether native code can be made here: the one place that asks.

LAMINA_JIT=0 switches it off; without llvmlite, or on a platform that the runtime does not know, there is none. Then recordings
are still made, and run by NumPy.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable
from typing import Any

from lamina.core.warn import warn_once

FAILURES = (OSError, LookupError, RuntimeError, ImportError)
"""What native code that cannot be made or loaded raises: a damaged llvmlite, no memory that may be executed. (Too little memory passes.)"""


@functools.cache
def available() -> bool:
    """Whether kernels can be compiled and run."""
    if os.environ.get("LAMINA_JIT", "1") == "0" or importlib.util.find_spec("llvmlite") is None:
        return False
    from lamina.compiler.runtime import native  # only where llvmlite is

    return not native.problem()


def attempted(make: Callable[..., Any], *args: Any) -> Any:
    """What `make` makes of native code; None, and a warning, where the machine does not let it: NumPy computes then."""
    try:
        return make(*args)
    except FAILURES as error:
        warn_once(f"lamina computes with NumPy where native code cannot be made ({type(error).__name__}: {error})")
        return None
