"""Where a program is, as `torch._C._profiler` tells it: traces that are taken now and read later."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from typing import Any


def gather_traceback(python: bool = True, script: bool = False, cpp: bool = False) -> traceback.StackSummary:
    """The calls that lead here, the innermost first. There are no others than Python's."""
    return traceback.StackSummary.extract(traceback.walk_stack(None), lookup_lines=False)


def symbolize_tracebacks(tracebacks: Iterable[traceback.StackSummary]) -> list[list[dict[str, Any]]]:
    """Of each trace its calls, the innermost first: file, line and function."""
    return [[{"filename": f.filename, "line": f.lineno, "name": f.name} for f in trace] for trace in tracebacks]
