"""NNPACK is not there."""

import contextlib
from collections.abc import Iterator


def is_available() -> bool:
    """False."""
    return False


def set_flags(_enabled: bool) -> tuple[bool]:
    """Nothing to set; the setting before, which is False."""
    return (False,)


@contextlib.contextmanager
def flags(enabled: bool = False) -> Iterator[None]:
    """A context that changes nothing."""
    yield
