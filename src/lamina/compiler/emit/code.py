"""What `emit` hands to the runtime, which reads it without emit: whoever finds a program on disk (kept.py) loads no emit."""

from __future__ import annotations

from ..runtime.code import Code
from ..runtime.codegen import READY  # the first line of text that goes to code generation without optimising passes

__all__ = ["READY", "Code"]
