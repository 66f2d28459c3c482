"""What programs ask of whichever accelerator there is: there is none."""

from typing import Any, NoReturn

from lamina.core.device import device

__all__ = [
    "current_accelerator",
    "current_device_idx",
    "current_device_index",
    "current_stream",
    "device_count",
    "empty_cache",
    "is_available",
    "set_device_idx",
    "set_device_index",
    "set_stream",
    "synchronize",
]


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def current_accelerator(check_available: bool = False) -> device | None:
    """None."""
    return None


def empty_cache() -> None:
    """Nothing."""


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise the RuntimeError of a PyTorch without an accelerator."""
    raise RuntimeError("Cannot access accelerator device when none is available. Lamina computes on the CPU.")


current_device_idx = current_device_index = set_device_idx = set_device_index = _refuse
current_stream = set_stream = synchronize = _refuse
