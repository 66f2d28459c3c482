"""Values of tensors that leave for Python, and generators that are touched: told to the recorder of the thread that does so.

Here: these two slots. Not here: what becomes of it (recorder.py).
"""

from __future__ import annotations

from typing import Any

from lamina.autograd import modes
from lamina.core import tensor as core_tensor
from lamina.core.generator import Generator


def listen() -> None:
    """Fill the slots, for good: they ask for the thread's own listener, and another thread's recording may begin or end at any time."""
    core_tensor.Slots.seen, Generator.touched = _seen, _touched


def _touched(what: str) -> None:
    _seen(None, what)


def _seen(t: Any, what: str) -> None:
    now = modes.current()
    if now is not None and now.listener is not None:
        now.listener.left(what)
