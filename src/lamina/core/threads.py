"""How many threads an operation may use: one number, and threads of Python's for work that NumPy does without the GIL.

Here: the number and `share`. Not here: the threads of native code (compiler/runtime/pool.py), which read the same number.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Any

import numpy as np

THREADS = np.zeros(1, np.int64)  # 0: not asked for yet. An array: native code reads it at each launch


def get_num_threads() -> int:
    """How many threads an operation may use."""
    if not THREADS[0]:
        asked = os.environ.get("LAMINA_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS")
        known = asked and asked.isdecimal() and len(asked) < 10
        THREADS[0] = (int(asked) if known else 0) or _allowed()  # type: ignore[arg-type]
    return int(THREADS[0])


def _allowed() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(work: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> None:
    """work(*job) for every job, by as many threads as are set (no more than cores). The first error, if any, is raised.

    Which thread does a job must not show in what it does.
    """
    helpers = min(get_num_threads(), _allowed(), len(jobs)) - 1
    waiting = iter(jobs)  # one job after another is taken from it, under the lock
    lock = Lock()
    futures = []
    if helpers > 0:
        try:
            futures = [_team(helpers).submit(_take, work, waiting, lock) for _ in range(helpers)]
        except RuntimeError:  # the interpreter is ending: no thread begins any more
            pass
    try:
        _take(work, waiting, lock)
    finally:
        for future in futures:
            if not future.cancel():
                future.exception()  # waits
    for future in futures:
        if not future.cancelled():
            future.result()


def _take(work: Callable[..., Any], waiting: Iterator[tuple[Any, ...]], lock: Lock) -> None:
    while True:
        with lock:
            job = next(waiting, None)
        if job is None:
            return
        work(*job)


_teams: dict[int, Any] = {}
_making = Lock()


def _team(size: int) -> Any:
    from concurrent.futures import ThreadPoolExecutor  # 5 ms: not before the first large product

    found = _teams.get(size)
    if found is None:
        with _making:
            found = _teams.get(size) or _teams.setdefault(size, ThreadPoolExecutor(size, "lamina"))
    return found


def _forked() -> None:
    """A child has none of its parent's threads."""
    global _making
    _making = Lock()
    _teams.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
