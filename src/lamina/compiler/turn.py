"""Turns: one call at a time is inside, and no call that was interrupted, wherever that was, has stayed inside.

A lock that is taken by a call of Python's can be lost: the handler of a signal may raise behind that call, before anything remembers
that the lock is held. Here who is inside stands in a dict, under a token of the caller's own, so the caller's `finally` can tell:

    mine = [get_ident()]
    try:
        if inside.setdefault(0, mine) is mine:
            ...
    finally:
        if 0 in inside and inside[0] is mine:     # no call in here, so no handler runs amid it
            del inside[0]

`Turn.taken` is this; the one place that writes it out is a call's shortest way (api.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import TypeVar
from weakref import WeakSet

R = TypeVar("R")
_TURNS: WeakSet[Turn] = WeakSet()


class Turn:
    """Who is inside: `inside[0]`, a list of the thread's number (empty where no Python of the program can run inside)."""

    def __init__(self) -> None:
        self.inside: dict[int, list[int]] = {}
        _TURNS.add(self)

    def taken(self, call: Callable[[], R], otherwise: Callable[[], R]) -> R:
        """`call()`, inside; or `otherwise()`, where another call is: of another thread, or one that this is made in."""
        inside, mine = self.inside, [get_ident()]
        try:
            if inside.setdefault(0, mine) is mine:
                return call()
        finally:
            if 0 in inside and inside[0] is mine:
                del inside[0]
        return otherwise()

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """When no other thread is inside."""
        inside, mine = self.inside, [get_ident()]
        try:
            while (holder := inside.setdefault(0, mine)) is not mine and holder != mine:
                time.sleep(1e-4)
            yield
        finally:
            if 0 in inside and inside[0] is mine:
                del inside[0]


def _forked() -> None:
    """Other threads are not there in a child: what they were inside of is free."""
    for turn in tuple(_TURNS):
        if turn.inside.get(0) != [get_ident()]:
            turn.inside.clear()


os.register_at_fork(after_in_child=_forked)
