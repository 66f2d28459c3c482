"""cuSPARSELt is not there."""


def is_available() -> bool:
    """False."""
    return False


def version() -> int | None:
    """None."""
    return None
