"""Big buffers are used again: the C library keeps what was freed, instead of giving it back and asking the system for fresh pages.

Fresh pages cost more than the arithmetic: a sum of two 64 MB arrays takes twice to five times as long into them. NumPy's arrays come from
the C library, so this holds for every array of the process, and for no longer than somebody holds it. Only glibc is told; programs that
set MALLOC_* or GLIBC_TUNABLES have decided for themselves. Here: this setting. Not here: memory of compiled steps (compiler/plan.py).
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h
_LARGEST = 512 << 20
"""Bytes of a block that is kept; larger ones come and go by themselves."""
_MOST = 1 << 30
"""Bytes at the end of the heap that are kept, and at most an eighth of the machine's memory."""


def keep_freed() -> bool:
    """Let freed memory be kept for the next array; whether the C library could be told. 20 us."""
    if not sys.platform.startswith("linux") or any(
        name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ
    ):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    kept = min(_MOST, _memory() // 8)
    # An older glibc refuses the first, and then decides by itself.
    return bool(library.mallopt(_MMAP_THRESHOLD, min(_LARGEST, kept))) & bool(library.mallopt(_TRIM_THRESHOLD, kept))


def _memory() -> int:
    """Bytes that this process may use: the machine's, or its container's."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(machine, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # none, or "max"
        return machine
