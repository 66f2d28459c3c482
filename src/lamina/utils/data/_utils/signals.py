"""Signals that wait: an interrupt while a process is being made would lose the process.

Not here: what is done about an interrupt that comes at another time (multiprocess.py).
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_handlers: dict[int, Any] = {}
"""The program's, of the signals that wait. To block signals would not do: another thread takes them, and the handlers run in this one."""


@contextmanager
def held_back() -> Iterator[None]:
    """Handlers of signals, which may raise, run when the block has ended. A process that is made inside calls `let_through`."""
    if threading.current_thread() is not threading.main_thread():  # no handlers run in this one
        yield
        return
    came: list[int] = []
    _handlers.update((n, found) for n in signal.valid_signals() if callable(found := signal.getsignal(n)))
    called = dict(_handlers)
    try:
        for number in called:
            signal.signal(number, lambda n, frame: came.append(n))
        yield
    finally:
        let_through()
    for number in came:
        called[number](number, sys._getframe())


def let_through() -> None:
    """Signals have their handlers again."""
    try:
        for number, handler in _handlers.items():
            signal.signal(number, handler)
    except BaseException:  # one came in this moment
        for number, handler in _handlers.items():
            signal.signal(number, handler)
        raise
    finally:
        _handlers.clear()
