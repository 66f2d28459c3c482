"""Is a module there? Asked without importing it."""

import functools
import importlib
import importlib.util
from types import ModuleType


def _check_module_exists(name: str) -> bool:
    """Whether a top-level module of that name could be imported."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


@functools.cache
def dill_available() -> bool:
    """Whether dill is installed."""
    return _check_module_exists("dill")


@functools.cache
def import_dill() -> ModuleType | None:
    """dill, or None."""
    return importlib.import_module("dill") if dill_available() else None
