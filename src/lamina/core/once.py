"""Warnings that PyTorch gives once in a process, whatever the filters say; each time after `torch.set_warn_always(True)`."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

from lamina.core.version import is_own

said: set[str] = set()
always: list[bool] = [False]


def warn_once(text: str) -> None:
    """`warnings.warn(text, UserWarning)` in the line that called lamina, the first time."""
    if always[0] or text not in said:
        said.add(text)
        warnings.warn(text, UserWarning, stacklevel=_levels())


def _levels() -> int:
    """How many frames below the program the caller is, as `warnings.warn` counts them there."""
    levels = 1
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_own(frame.f_code.co_filename) in (1, 3):
        frame = frame.f_back
        levels += 1
    return levels
