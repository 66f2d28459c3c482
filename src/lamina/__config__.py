"""What lamina was built with, as text: `torch.__config__.show()`."""

import platform

import numpy as np

from lamina.version import __version__

__all__ = ["parallel_info", "show"]


def show() -> str:
    """Versions and the BLAS library."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return (
        f"Lamina {__version__}, pure Python:\n  - Python {platform.python_version()}\n  - NumPy {np.__version__}\n"
        f"  - BLAS {blas.get('name', 'unknown')} {blas.get('version', '')}\n"
    )


def parallel_info() -> str:
    """Where the threads are."""
    return "threads: those of NumPy's BLAS library\n"
