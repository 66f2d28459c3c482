"""Warnings that PyTorch gives once in a process, whatever the filters say; each time after `torch.set_warn_always(True)`."""

from __future__ import annotations

import warnings

said: set[str] = set()
always: list[bool] = [False]


def warn_once(text: str, stacklevel: int = 2) -> None:
    """`warnings.warn(text, UserWarning)`, the first time. stacklevel: 1 is the function that calls this one."""
    if always[0] or text not in said:
        said.add(text)
        warnings.warn(text, UserWarning, stacklevel=stacklevel + 1)
