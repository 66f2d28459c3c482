"""Small questions about modes."""

import contextlib
from collections.abc import Sequence
from typing import Any

no_dispatch = contextlib.nullcontext
"""There is no `__torch_dispatch__` to switch off."""


def all_same_mode(modes: Sequence[Any]) -> bool:
    """Whether all are the first one."""
    return all(mode == modes[0] for mode in modes)
