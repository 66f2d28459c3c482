"""The package opt_einsum, which chooses orders of contraction: einsum goes from left to right without it."""

enabled: bool = False
strategy: str | None = None


def is_available() -> bool:
    """False."""
    return False


def get_opt_einsum() -> None:
    """None."""
