"""Whether native code can be made here: the one place that asks.

LAMINA_JIT=0 switches it off; without llvmlite, or on a platform that the runtime does not know, there is none. Then recordings
are still made, and run by NumPy.
"""

from __future__ import annotations

import functools
import importlib.util
import os


@functools.cache
def available() -> bool:
    """Whether kernels can be compiled and run."""
    if os.environ.get("LAMINA_JIT", "1") == "0" or importlib.util.find_spec("llvmlite") is None:
        return False
    from lamina.compiler.runtime import native  # only where llvmlite is

    return not native.problem()
