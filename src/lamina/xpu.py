"""What programs ask of Intel GPUs: there is none."""

from typing import Any, NoReturn

from lamina.core.explained import noted

__all__ = [
    "current_device",
    "device_count",
    "empty_cache",
    "is_available",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "set_device",
    "synchronize",
]


def is_available() -> bool:
    """False."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: there is no device to seed."""


manual_seed_all = manual_seed


def empty_cache() -> None:
    """Nothing."""


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise the AssertionError of a PyTorch without Intel GPUs."""
    raise noted(
        AssertionError("Torch not compiled with XPU enabled"), ("fix", "lamina computes on the CPU: device='cpu'")
    )


current_device = set_device = synchronize = _refuse
