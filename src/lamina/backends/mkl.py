"""Intel's MKL: matrix products are NumPy's."""


def is_available() -> bool:
    """False."""
    return False
