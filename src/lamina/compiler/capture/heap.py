"""What is alive in the process: objects of some kinds, as the garbage collector lists them.

Here: the one walk over all objects. Not here: what is made of them (recorder.py, purity.py, stateful.py).
"""

from __future__ import annotations

import gc
from collections import deque
from itertools import chain, compress
from typing import Any


def alive(*classes: type) -> deque[Any]:
    """All objects of these classes and of theirs below. Plain tuples cannot be asked for.

    The list of everything lives only within one call into C: another thread may just be filling a tuple, and fails when
    anybody else holds it; between two steps of Python that thread would run.
    """
    kinds = _with_subclasses(classes)
    everything: list[list[Any]] = []
    wanted = map(kinds.__contains__, map(type, chain.from_iterable(everything)))
    steps = chain(
        map(everything.append, map(gc.get_objects, (None,))),
        compress(chain.from_iterable(everything), wanted),
        wanted,  # at its end already, but only asked once more does it let go of the list
        iter(everything.clear, None),
    )
    found = deque(steps)  # no list: that would find, and so hold, itself
    found.popleft()  # what `append` returned
    return found


def _with_subclasses(classes: tuple[type, ...]) -> set[type]:
    found, stack = set(classes), list(classes)
    while stack:
        fresh: set[type] = set(type.__subclasses__(stack.pop())) - found
        found |= fresh
        stack.extend(fresh)
    return found
