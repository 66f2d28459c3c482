"""The fast path of attention in evaluation: a setting that is remembered, without effect."""

_enabled: list[bool] = [True]


def get_fastpath_enabled() -> bool:
    """The setting; it has no effect."""
    return _enabled[0]


def set_fastpath_enabled(value: bool) -> None:
    """Remember the setting."""
    _enabled[0] = value
