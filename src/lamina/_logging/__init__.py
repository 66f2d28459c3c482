"""Switches of PyTorch's logs. Lamina writes none of them; `LAMINA_DEBUG` shows what its compiler does."""

from typing import Any


def set_logs(**settings: Any) -> None:
    """Nothing to set."""
