"""Warnings, given in the line of the program that called lamina, however many of lamina's own frames lie between.

Here: `warn`, and `warn_once` for what PyTorch says once in a process, whatever the filters say (each time after
`torch.set_warn_always(True)`). Not here: where an operation was called (version.py).
"""

from __future__ import annotations

import sys
import warnings
from types import FrameType

from lamina.core.version import is_own

said: set[str] = set()
always: list[bool] = [False]


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """`warnings.warn(text, category)`, as if the program's own line had called it."""
    warnings.warn(text, category, stacklevel=_levels())


def warn_once(text: str) -> None:
    """`warn(text)`, the first time."""
    if always[0] or text not in said:
        said.add(text)
        warn(text)


def _levels() -> int:
    """How many frames below the program `warn` is, as `warnings.warn` counts them there."""
    levels = 1
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_own(frame.f_code.co_filename) in (1, 3):
        frame = frame.f_back
        levels += 1
    return levels
