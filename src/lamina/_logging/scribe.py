"""A log that nobody reads: test programs report to it."""

from collections.abc import Callable
from typing import Any


def make_scribe_logger(name: str, thrift_src: str) -> Callable[..., None]:
    """A function that takes anything by keyword and does nothing."""

    def report(**fields: Any) -> None:
        """Nothing."""

    return report


open_source_signpost = make_scribe_logger("open_source_signpost", "")
