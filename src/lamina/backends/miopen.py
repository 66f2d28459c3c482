"""MIOpen's settings: remembered, without effect."""

from contextlib import AbstractContextManager

from lamina.backends._flags import setting

immediate: bool = False


def flags(immediate: bool = False) -> AbstractContextManager[None]:
    """A context in which the setting is this."""
    return setting(__name__, immediate=immediate)
