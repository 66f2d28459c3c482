"""The thread pool, as Python sees it: memory that native code (native/pool.ll) works in, and what a fork does to it.

How many threads take part is `lamina.set_num_threads`'s affair, read natively at each launch. Threads are made at the first launch that
is worth several, know nothing of Python, and never keep a process from ending.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lamina.core.threads import THREADS, get_num_threads

from . import cpu
from .memory import aligned, forever

# Bytes into %Pool, native/pool.ll
_CELL, _MADE, _WORKERS, _MOST = 320, 336, 384, 32

_locks: weakref.WeakValueDictionary[int, NDArray[np.int64]] = weakref.WeakValueDictionary()


@cache
def address() -> int:
    """The pool of this process."""
    get_num_threads()  # from here on THREADS says it
    memory = aligned(_WORKERS + 32 * _MOST)
    memory[:] = 0
    # More threads than cores only wait for each other.
    memory[_CELL:_MADE].view(np.int64)[:] = THREADS.ctypes.data, min(cpu.cores(), _MOST)
    forever(memory)
    forever(THREADS)
    os.register_at_fork(after_in_child=_forget_threads)
    return int(memory.ctypes.data)


def most_threads(number: int | None = None) -> int:
    """How many threads there may be at most: as many as cores; and, given a number, from now on that."""
    before = ctypes.c_int64.from_address(address() + _CELL + 8)
    if number is not None:
        before.value = min(number, _MOST)
    return before.value


def new_lock() -> NDArray[np.int64]:
    """What keeps a second thread out of a program; open again in a forked child, where who held it does not exist."""
    lock = np.zeros(1, np.int64)
    _locks[lock.ctypes.data] = lock
    return lock


def _forget_threads() -> None:
    """A child has none of its parent's threads, and the launch that one of them may have been in is not on."""
    ctypes.memset(address(), 0, _CELL)
    ctypes.memset(address() + _MADE, 0, _WORKERS - _MADE)
    for lock in _locks.values():
        lock[0] = 0
