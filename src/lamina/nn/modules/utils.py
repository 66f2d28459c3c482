"""Arguments that are one number or one per dimension. Shared by layers; no layers here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any


def _ntuple(n: int, name: str) -> Callable[[Any], tuple]:
    """A function that repeats a single value `n` times and makes a tuple of anything iterable (of any length)."""

    def parse(value: Any) -> tuple:
        return tuple(value) if isinstance(value, Iterable) else tuple(repeat(value, n))

    parse.__name__ = parse.__qualname__ = name
    return parse


_single = _ntuple(1, "_single")
_pair = _ntuple(2, "_pair")
_triple = _ntuple(3, "_triple")
_quadruple = _ntuple(4, "_quadruple")


def _reverse_repeat_tuple(values: Sequence[Any], n: int) -> tuple:
    """Each value `n` times, the last first: per-dimension padding as `F.pad` wants it."""
    return tuple(value for value in reversed(values) for _ in range(n))
