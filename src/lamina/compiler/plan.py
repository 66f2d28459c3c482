"""The memory plan: where every value of a step lives, decided before anything runs.

A value lives in the arena (one block, shared by values that are not alive at the same time), in memory of its own that Python will see
(results, gradients), in constant memory, or in the memory of a tensor that was there before. A value that replaces the content of such
memory is written there at once where nobody needs the old content any more, else in the arena and copied at the end.
Here: this decision. Not here: the order of work (passes/), running it (replay.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from lamina.compiler.graph import Node, Origin, Value

ALIGNMENT = 64
WAITING = 1 << 16
"""Bytes that may be written elsewhere first, and be copied when nothing can stop the run any more."""


class Place(NamedTuple):
    """A slot (an address known when the step runs) and an offset from it in bytes."""

    slot: int
    offset: int


class Item(Protocol):
    """One piece of work, as the plan sees it."""

    native: bool
    late: bool  # it never stops the run, though it is not native

    def reads(self) -> Iterable[Value]: ...

    def writes(self) -> Iterable[Value]: ...

    def in_place(self, old: Value, new: Value) -> bool:
        """Whether `new` may be written into the memory of `old` while this reads that."""


class Plan:
    """Slot 0 is the arena, slot 1 the constants; the others are addresses given at each call, in the order of `dynamic`."""

    def __init__(self) -> None:
        self.places: dict[Value, Place] = {}
        self.arena = 0  # bytes
        self.constants = 0
        self.constant_values: list[Value] = []
        self.dynamic: list[Any] = []  # for each dynamic slot: an Origin, or the Value that gets memory of its own
        self.copies: list[tuple[Value, Value]] = []  # at the end: from, to the memory of
        self.before: dict[
            int, list[tuple[Value, Value]]
        ] = {}  # copies to make before an item, which writes a part of the second
        self.eager_bytes = 0  # what an eager run holds at its peak, beyond what was there before

    @property
    def slots(self) -> int:
        return 2 + len(self.dynamic)


def make(
    items: Sequence[Any], inputs: Sequence[Value], finals: dict[Value, Value], owned: Iterable[Value],
    again: Collection[Value] = (),
) -> Plan:  # fmt: skip
    """Place all values. finals: external value -> the value that its memory holds in the end; owned: values Python will see.

    again: those of `owned` whose memory Python may see already, from an earlier run: where it is small, a run that can still stop
    does not write there.
    """
    plan = Plan()
    own = dict.fromkeys(owned)
    last: dict[Value, int] = {}
    begun: dict[Value, int] = {}
    for i, item in enumerate(items):
        for v in item.writes():
            last.setdefault(v, i)
            begun.setdefault(v, i)
        for v in item.reads():
            last[v] = i
    end = len(items)
    last_call = max(
        (i for i, item in enumerate(items) if not item.native and not item.late), default=-1
    )  # a call may fail, and leave all as it was
    for v in inputs:
        if v.origin.kind == "constant":
            plan.places[v] = Place(1, plan.constants)
            plan.constants += -(-v.nbytes // ALIGNMENT) * ALIGNMENT
            plan.constant_values.append(v)
        else:
            plan.places[v] = Place(2 + len(plan.dynamic), 0)
            plan.dynamic.append(v.origin)
    for v in own:
        if isinstance(v.origin, Origin):
            continue
        place = Place(2 + len(plan.dynamic), 0)
        plan.dynamic.append(v)
        if v in again and v.nbytes <= WAITING and begun.get(v, end) <= last_call:
            shown = Value(-v.id, v.nbytes, None)
            plan.places[shown] = place
            plan.copies.append((v, shown))
            last[v] = end
        else:
            plan.places[v] = place
    target = {final: first for first, final in finals.items()}
    arena = Arena()
    freed: dict[int, list[Value]] = {}
    for i, item in enumerate(items):
        written = list(item.writes())
        for v in written:
            if v in plan.places:
                continue
            first = target.get(v)
            if first is not None and i > last_call and _history_over(v, first, last, i) and item.in_place(first, v):
                plan.places[v] = plan.places[first]
                continue
            before = v.previous
            if before is not None and last.get(before) == i and before in arena.taken and item.in_place(before, v):
                plan.places[v] = plan.places[before]  # written over what dies here
                arena.rename(before, v)
            else:
                plan.places[v] = Place(0, arena.take(v))
            if first is not None:
                plan.copies.append((v, first))
                last[v] = end
            freed.setdefault(last[v], []).append(v)
        for v in written:
            before = v.previous
            if before is not None and before in item.follows and plan.places[before] != plan.places[v]:
                plan.before.setdefault(i, []).append((before, v))
        for v in freed.pop(i, ()):
            arena.free(v)
    for v, first in target.items():
        if plan.places[v].slot != plan.places[first].slot and (v, first) not in plan.copies:
            plan.copies.append((v, first))
    plan.arena = arena.size
    return plan


def eager_peak(nodes: Sequence[Node], owned: Iterable[Value]) -> int:
    """The most bytes that are alive at once when each call of the program, as recorded, has results of its own."""
    last: dict[Value, int] = {}
    made: dict[Value, int] = {}
    for i, node in enumerate(nodes):
        for out in node.outputs:
            if out is not None:
                made.setdefault(_memory(out.value), i)
        for ref in (*node.reads(), *(o for o in node.outputs if o is not None)):
            last[_memory(ref.value)] = i
    for v in owned:
        last[_memory(v)] = len(nodes)
    change = [0] * (len(nodes) + 2)
    for v, i in made.items():
        if not isinstance(v.origin, Origin):
            change[i] += v.nbytes
            change[last[v] + 1] -= v.nbytes
    alive = peak = 0
    for more in change:
        alive += more
        peak = max(peak, alive)
    return peak


def _memory(v: Value) -> Value:
    """The first value in the memory that `v` is in."""
    while v.previous is not None:
        v = v.previous
    return v


def _history_over(v: Value, first: Value, last: dict[Value, int], i: int) -> bool:
    """Whether nobody reads, after item i, what was in the memory between `first` and `v`."""
    before: Value | None = v.previous
    if last.get(first, -1) > i:
        return False
    while before is not None:
        if last.get(before, -1) > i:
            return False
        if before is first:
            return True
        before = before.previous
    return True


class Arena:
    """Offsets in one block: the lowest gap that fits."""

    def __init__(self) -> None:
        self.size = 0
        self.taken: dict[Value, tuple[int, int]] = {}

    def take(self, v: Value) -> int:
        need = max(-(-v.nbytes // ALIGNMENT) * ALIGNMENT, ALIGNMENT)
        at, best = 0, None
        for start, stop in sorted(self.taken.values()):
            if start - at >= need and (best is None or start - at < best[1]):
                best = (at, start - at)
            at = max(at, stop)
        at = at if best is None else best[0]
        self.taken[v] = (at, at + need)
        self.size = max(self.size, at + need)
        return at

    def free(self, v: Value) -> None:
        self.taken.pop(v, None)

    def rename(self, old: Value, new: Value) -> None:
        self.taken[new] = self.taken.pop(old)
