"""`torch.autograd.profiler_util`: what profiles consist of. Lamina's have labels and their times (profiler.py)."""

from __future__ import annotations

from typing import Any

from lamina.profiler import EventList

__all__ = ["EventList", "FunctionEvent", "FunctionEventAvg"]


def _format_time(time_us: float) -> str:
    """Microseconds as text, in the unit that suits them."""
    for factor, unit in ((1e6, "s"), (1e3, "ms")):
        if time_us >= factor:
            return f"{time_us / factor:.3f}{unit}"
    return f"{time_us:.3f}us"


def _format_time_share(time_us: float, total_time_us: float) -> str:
    """A share of a time, in percent."""
    if total_time_us == 0:
        if time_us != 0:
            raise AssertionError(f"Expected time_us == 0 but got {time_us}")
        return "NaN"
    return f"{time_us * 100.0 / total_time_us:.2f}%"


class FunctionEvent:
    """One call of an operation in a profile. Lamina's profiles have none: making one raises NotImplementedError."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f"{type(self).__name__}: profiles time the labels of record_function, not operations")


class FunctionEventAvg(FunctionEvent):
    """All calls of an operation."""
