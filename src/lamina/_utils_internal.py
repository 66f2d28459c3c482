"""Places and switches that test programs ask for: nothing is Meta's own here."""

from __future__ import annotations

import os
import tempfile
from typing import Any

IS_FBSOURCE = False
TEST_MASTER_ADDR, TEST_MASTER_PORT = "127.0.0.1", 29500


def get_file_path(*path_components: str) -> str:
    """A path below the package's folder."""
    return os.path.join(os.path.dirname(__file__), *path_components)


def get_writable_path(path: str) -> str:
    """`path` if it may be written, else a new temporary folder of that name."""
    return path if os.access(path, os.W_OK) else tempfile.mkdtemp(suffix=os.path.basename(path))


def justknobs_check(name: str, default: bool = True) -> bool:
    """The default."""
    return default


def signpost_event(category: str, name: str, parameters: dict[str, Any]) -> None:
    """Nothing is logged."""


def is_fb_unit_test() -> bool:
    """False."""
    return False
