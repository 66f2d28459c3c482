"""Several changes in one stroke: nothing that interrupts a program (a signal's handler that raises) comes between them.

A handler runs between bytecodes, so what one C function does it cannot part: changes are iterators over C functions, made beforehand, and
`carry_out` runs through them in one call. Here: this. Not here: what is changed so (the compiler's replays, the random stream).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from operator import setitem
from typing import Any

carry_out: Callable[[Iterable[Any]], None] = deque[Any](maxlen=0).extend
"""Make the changes. Those that were made already are not made again. It raises, and makes the rest not, only where one cannot be made."""

_setitem: Any = setitem


def attributes(things: Iterable[Any], name: str, values: Iterable[Any]) -> Iterator[Any]:
    """An attribute of each of these becomes this value. Their classes have no setter in Python."""
    return map(setattr, things, repeat(name), values)


def contents(arrays: Iterable[Any], values: Iterable[Any]) -> Iterator[Any]:
    """Arrays get the elements of others, of their shape and dtype."""
    return map(_setitem, arrays, repeat(...), values)


def items(mappings: Iterable[Any], keys: Iterable[Any], values: Iterable[Any]) -> Iterator[Any]:
    """Of each of these dicts or lists, the item of this key becomes this value."""
    return map(_setitem, mappings, keys, values)
