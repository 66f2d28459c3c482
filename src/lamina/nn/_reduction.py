"""How losses name their reductions: strings, and the numbers that PyTorch's kernels take. The strings are nn.functional's."""

from __future__ import annotations

from lamina.nn.functional._reduction import check_reduction, resolve_reduction

_NUMBERS = {"none": 0, "mean": 1, "sum": 2}


def get_enum(reduction: str) -> int:
    """0, 1 or 2. Raises ValueError for what is no reduction."""
    check_reduction(reduction)
    return _NUMBERS[reduction]


def legacy_get_string(size_average: bool | None, reduce: bool | None, emit_warning: bool = True) -> str:
    """The reduction that the deprecated switches mean."""
    if emit_warning:
        return resolve_reduction(True if size_average is None else size_average, reduce, "mean")
    return "none" if reduce is not None and not reduce else "mean" if size_average is None or size_average else "sum"


def legacy_get_enum(size_average: bool | None, reduce: bool | None, emit_warning: bool = True) -> int:
    """The same as a number."""
    return get_enum(legacy_get_string(size_average, reduce, emit_warning))
