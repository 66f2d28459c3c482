"""Errors that are raised in one process and read in another."""

import sys
import traceback
from typing import Any, NoReturn

from lamina.core.explained import public_type


class KeyErrorMessage(str):
    """A KeyError prints the repr of its argument, which would put a traceback on one line."""

    def __repr__(self) -> str:
        return str(self)


class ExceptionWrapper:
    """The exception being handled, with its traceback as text, so that it can be sent and raised again."""

    def __init__(self, exc_info: Any = None, where: str = "in background") -> None:
        kind, value, trace = sys.exc_info() if exc_info is None else exc_info
        self.exc_type = public_type(kind)
        self.exc_msg = "".join(traceback.format_exception(kind, value, trace))
        self.where = where

    def reraise(self) -> NoReturn:
        """Raise an exception of the same type whose text says where it was and holds the original traceback."""
        text = f"Caught {self.exc_type.__name__} {self.where}.\nOriginal {self.exc_msg}"
        if self.exc_type is KeyError:
            raise KeyError(KeyErrorMessage(text))
        if getattr(self.exc_type, "message", None):
            raise self.exc_type(message=text)
        try:
            error = self.exc_type(text)
        except Exception:  # a type that wants other arguments
            raise RuntimeError(text) from None
        raise error
