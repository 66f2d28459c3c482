"""What programs ask of Apple's GPUs: there is none."""

from typing import Any, NoReturn

__all__ = [
    "current_allocated_memory",
    "device_count",
    "driver_allocated_memory",
    "empty_cache",
    "get_rng_state",
    "is_available",
    "manual_seed",
    "seed",
    "set_per_process_memory_fraction",
    "set_rng_state",
    "synchronize",
]


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: there is no device to seed."""


def seed() -> None:
    """Nothing: there is no device to seed."""


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise the RuntimeError of a PyTorch without Apple's GPUs."""
    raise RuntimeError("Cannot execute this without MPS backend. Lamina computes on the CPU.")


current_allocated_memory = driver_allocated_memory = empty_cache = synchronize = _refuse
get_rng_state = set_rng_state = set_per_process_memory_fraction = _refuse
