"""Barriers: places in a program where it stops, or tells at its end, if something was found wrong. Before anything is changed: indices out
of bounds, and what library code raises for (a singular matrix). And numbers that are not finite (`nan="raise"`).

For these, what a step leaves is looked at: results, gradients and written memory, but not what itself flows into such a value.
All that is known before the first large write to memory that was there before is looked at there: then the run stops, that memory is as
it was, and the step runs again eagerly to find the operation. What comes later is looked at when all is written. Small writes wait in the
arena for the barrier. Here: where barriers stand, and their questions. Not here: which operation it was (nonfinite.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lamina.compiler.graph import Graph, Node, Origin, Ref, Value
from lamina.compiler.loops import NotNative, Work
from lamina.compiler.lowering.reductions import Rows
from lamina.compiler.plan import WAITING

SHARE = 0.05
"""Writes of this share of all, if that is more than WAITING bytes, may wait for a barrier, to be copied behind it."""


class Barrier:
    """The run goes on only if none of `flags` (Origin) is set; a late one lets it end, and then raises."""

    native = False
    follows: tuple[Value, ...] = ()

    def __init__(self, flags: Origin, text: str, values: Sequence[Value] = (), late: bool = False) -> None:
        self.flags, self.text, self.values, self.late = flags, text, tuple(values), late

    def reads(self) -> tuple[Value, ...]:
        return ()

    writes = reads

    def in_place(self, old: Value, new: Value) -> bool:
        return False

    def __repr__(self) -> str:
        return self.text


class Look:
    """The question whether a value is finite (or zero), asked by NumPy: where there are no kernels, or none for its dtype."""

    native = False
    follows: tuple[Value, ...] = ()

    def __init__(self, ref: Ref, flag: Ref, late: bool, zero: bool = False) -> None:
        self.ref, self.flag, self.late, self.zero = ref, flag, late, zero

    def reads(self) -> Iterator[Value]:
        yield self.ref.value

    def writes(self) -> Iterator[Value]:
        yield self.flag.value

    def in_place(self, old: Value, new: Value) -> bool:
        return False

    def prepare(self, view: Callable[[Ref], Any]) -> Callable[[], None]:
        """A function that asks."""

        def look() -> None:
            values = view(self.ref)
            view(self.flag)[...] = values.any() if self.zero else not np.isfinite(values).all()

        return look

    def __repr__(self) -> str:
        return f"{'zero' if self.zero else 'finite'}? {self.ref.value!r}"


def expected(items: list[Any], graph: Graph, inputs: list[Value], native: bool) -> list[Any]:
    """The work with a barrier behind what makes the values that the library expects to be zero: else its own code must raise."""
    wanted = {ref.value for ref in graph.expected}
    at = 1 + max(i for i, item in enumerate(items) if not wanted.isdisjoint(item.writes()))
    return [*items[:at], *_asked(graph.expected, graph, inputs, native, False, zero=True), *items[at:]]


def finite(
    items: list[Any], graph: Graph, inputs: list[Value], finals: dict[Value, Value], native: bool
) -> list[Any]:  # fmt: skip
    """The work with questions and barriers between: before the first large write, and at the end."""
    written: dict[Value, int] = {}
    for i, item in enumerate(items):
        for v in item.writes():
            written[v] = i
    ends = set(finals.values())
    looks = {
        v: ref for v in (*(r.value for r in graph.results), *ends) if (ref := _flat(v)) is not None and v in written
    }
    for item in items:
        for v in _flows_on(item, ends):
            looks.pop(v, None)
    at = _before_writes(items, written, [v for v in ends if v in written])
    early = [ref for v, ref in looks.items() if written[v] < at]
    late = [ref for v, ref in looks.items() if written[v] >= at]
    front = _asked(early, graph, inputs, native, False) if early else []
    return [*items[:at], *front, *items[at:], *(_asked(late, graph, inputs, native, True) if late else [])]


def _flat(v: Value) -> Ref | None:
    """All numbers of a computed value, as one row; None where it holds no floats."""
    node = v.origin
    if not isinstance(node, Node):
        return None
    dtype = next(out.dtype for out in node.outputs if out is not None and out.value is v)
    count, rest = divmod(v.nbytes, dtype.itemsize)
    if rest or dtype.kind not in "fcV":
        return None
    return Ref(v, 0, (count,), (dtype.itemsize,), dtype)


def _flows_on(item: Any, ends: set[Value]) -> set[Value]:
    """What `item` reads, or stores on the way, for a value that memory holds in the end."""
    if not isinstance(item, Work):
        return set()
    stores = [inst for inst in item.insts if inst.op == "store"]
    made = {inst.args[0] for inst in stores if inst.data.value in ends}
    inner: set[int] = set()  # what these depend on
    for n in range(len(item.insts) - 1, -1, -1):
        if n in made or n in inner:
            inner.update(item.insts[n].args)
    found = {inst.data.value for inst in stores if inst.args[0] in inner}
    found.update(inst.data.value for inst in stores if inst.args[0] in made and inst.data.value not in ends)
    found.update(item.insts[n].data.value for n in inner | made if item.insts[n].op == "load")
    return found


def _before_writes(items: Sequence[Any], written: dict[Value, int], ends: Sequence[Value]) -> int:
    """The last place before which only so little memory is to be written that the writing can wait."""
    most = max(WAITING, SHARE * sum(v.nbytes for v in ends))
    waiting = 0
    for v in sorted(ends, key=written.__getitem__):
        waiting += v.nbytes
        if waiting > most:
            return written[v]
    return len(items)


def _asked(
    refs: Sequence[Ref], graph: Graph, inputs: list[Value], native: bool, late: bool, zero: bool = False
) -> list[Any]:
    """Whether all is finite, or with `zero` all zero."""
    origin = Origin("flags", len(refs))
    flags = graph.value(len(refs), origin)
    inputs.append(flags)
    work: list[Any] = []
    looks: list[Any] = []  # behind the kernels: these are one native call then
    for n, ref in enumerate(refs):
        flag = Ref(flags, n, (), (), np.dtype(np.bool_))
        try:
            if not native:
                raise NotNative("no kernels here")
            work.extend(_question(ref, flag, zero))
        except NotNative:
            looks.append(Look(ref, flag, late, zero))
    if zero:
        return [*work, *looks, Barrier(origin, "as the library expects?")]
    return [*work, *looks, Barrier(origin, "all is finite?", [ref.value for ref in refs], late)]


def _question(ref: Ref, flag: Ref, zero: bool) -> list[Work]:
    """The loop that sets `flag` where not all is as asked."""
    rows = Rows(ref, None)
    body = rows.body
    value = rows.load(ref)
    wrong = body.ne(value, body.const(0, value.dtype)) if zero else body.not_(body.isfinite(value))
    rows.store_row(flag, body.any(wrong))
    work: list[Work] = rows.work()
    for one in work:
        one.names = ("zero?",) if zero else ("finite?",)
    return work
