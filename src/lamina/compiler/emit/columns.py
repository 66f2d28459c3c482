"""Reductions of columns that lie side by side: a block of columns at a time, its accumulators in scratch memory, memory streamed.

One vector of columns after the other would walk down memory in small pieces, each on another page. Here: that walk. Not here: what a
reduction is (reductions.py), when this way is taken (schedule.py).
"""

from __future__ import annotations

from functools import partial
from math import prod
from typing import TYPE_CHECKING

from lamina.compiler.emit.costs import cost_of
from lamina.compiler.emit.nest import Pass
from lamina.compiler.emit.reductions import Reduction, State
from lamina.compiler.emit.schedule import NEAR_BYTES

if TYPE_CHECKING:
    from lamina.compiler.emit.loops import Loops

DEPTH = 4
"""Rows that go into the accumulators at once, where what is done with them is short and they are near. From memory
several inputs come fastest row by row."""

SHORT = 24
"""Cycles of a short row."""

HEIGHT = 128
"""Float sums over more than twice so many rows are added up in blocks of it: the error grows with the blocks, not with the rows."""


def blocks(e: Loops, level: int, start: str, limit: str) -> None:
    """The kept loop `level`, which is that of the columns, from `start` to `limit`."""
    size, n = e.nest.columns, e.loop.dims[e.nest.vec]
    if start == "0" and limit == str(n) and n <= size:
        _Block(e, level, start, limit).passes()
        return

    def block(start: str) -> None:
        end = e.writer.let(f"add nsw i64 {start}, {size}")
        end = e.writer.call("llvm.smin.i64", "i64", ("i64", end), ("i64", limit))
        _Block(e, level, start, end).passes()

    e.loop_over(start, limit, size, block)


class _Block:
    """The columns from `start` to `end`."""

    def __init__(self, e: Loops, level: int, start: str, end: str) -> None:
        self.e, self.level, self.start, self.end = e, level, start, end
        work = sum(cost_of(e.nest, i) for p in e.nest.passes for i in p.needed)
        inputs = max(sum(e.body[i].op == "load" and e.nest.along_vec(i) for i in p.needed) for p in e.nest.passes)
        near = inputs < 2 or prod(e.loop.dims) * 4 < NEAR_BYTES
        self.depth = DEPTH if work < SHORT and near else 1
        self.high = e.loop.dims[e.reduced[-1]] > 2 * HEIGHT

    def passes(self) -> None:
        """All passes down these columns."""
        e = self.e
        e.saved = dict.fromkeys(e.nest.saved, self._fetch)
        for s, p in enumerate(e.nest.passes):
            if p.reductions:
                e.vectors(self.start, self.end, partial(self._begin, p))
            self._down(p, 0)
            e.vectors(self.start, self.end, partial(self._finish, s, p))
        e.saved = {}

    def _fetch(self, i: int, lanes: int) -> str:
        e = self.e
        return e.read(e.body[i].dtype, lanes, self._room(e.nest.saved[i], e.body[i].dtype, e.counters[e.nest.vec]))

    def _room(self, offset: int, dtype: str, counter: str) -> str:
        at = counter if self.start == "0" else self.e.writer.let(f"sub nsw i64 {counter}, {self.start}")
        return self.e.scratch(offset, dtype, at)

    def _registers(self, p: Pass, reductions: list[Reduction], base: int) -> list[list[tuple[int, str]]]:
        """For each register of each reduction: where its column is in scratch memory, and its dtype; 2: of sums of blocks."""
        return [
            [(self.e.nest.states[i, k + (base if r.blocked else 0)], dtype) for k, dtype in enumerate(r.registers)]
            for i, r in zip(p.reductions, reductions, strict=True)
        ]

    def _write(self, p: Pass, reductions: list[Reduction], state: State, counter: str, base: int = 0) -> None:
        for r, registers, rooms in zip(reductions, state, self._registers(p, reductions, base), strict=True):
            for x, (offset, dtype) in zip(registers, rooms, strict=True):
                self.e.write(dtype, r.lanes, x, self._room(offset, dtype, counter))

    def _read(self, p: Pass, reductions: list[Reduction], counter: str, base: int = 0) -> State:
        return [
            [self.e.read(dtype, r.lanes, self._room(offset, dtype, counter)) for offset, dtype in rooms]
            for r, rooms in zip(reductions, self._registers(p, reductions, base), strict=True)
        ]

    def _begin(self, p: Pass, counter: str, lanes: int) -> None:
        reductions = self.e.reductions(p, lanes)
        state = [r.begin(self.e.positions("0", r)) for r in reductions]
        self._write(p, reductions, state, counter)
        if self.high:
            self._write(p, reductions, state, counter, 2)

    def _down(self, p: Pass, k: int) -> None:
        """The reduced loops from the k-th on; inside the last one but for its blocks, the columns."""
        e = self.e
        if k == len(e.reduced) - 1:
            n = e.loop.dims[e.reduced[k]]
            if not (self.high and any(r.blocked for r in e.reductions(p, 1))):
                self._band(p, "0", n)
                return

            def band(start: str) -> None:
                self._band(p, start, HEIGHT)
                e.vectors(self.start, self.end, lambda counter, lanes: self._gather_up(p, counter, lanes))

            whole, rest = n // HEIGHT * HEIGHT, n % HEIGHT
            e.loop_over("0", str(whole), HEIGHT, band)
            if rest:
                self._band(p, str(whole), rest)
            return

        def turn(counter: str) -> None:
            with e.inside():
                e.step(e.reduced[k], counter, p.needed)
                self._down(p, k + 1)

        e.loop_over("0", str(e.loop.dims[e.reduced[k]]), 1, turn)

    def _band(self, p: Pass, first: str, height: int) -> None:
        """Rows from `first` on, some at a time, through all columns."""
        e, depth = self.e, self.depth

        def rows(at: str, count: int) -> None:
            at = e.sum_of(first, at)
            e.vectors(self.start, self.end, lambda counter, lanes: self._some_rows(p, counter, lanes, at, count))

        whole, rest = height // depth * depth, height % depth
        if whole:
            e.loop_over("0", str(whole), depth, lambda at: rows(at, depth))
        if rest:
            rows(str(whole), rest)

    def _gather_up(self, p: Pass, counter: str, lanes: int) -> None:
        """Add the sums of a block of rows to those of the blocks before, and begin anew."""
        reductions = self.e.reductions(p, lanes)
        state = self._read(p, reductions, counter)
        totals = self._read(p, reductions, counter, 2)
        merged = [r.merge(t, s) if r.blocked else s for r, s, t in zip(reductions, state, totals, strict=True)]
        self._write(p, reductions, merged, counter, 2)
        fresh = [r.begin("") if r.blocked else s for r, s in zip(reductions, state, strict=True)]
        self._write(p, reductions, fresh, counter)

    def _some_rows(self, p: Pass, counter: str, lanes: int, first: str, count: int) -> None:
        """A vector of columns through `count` rows."""
        e, d = self.e, self.e.reduced[-1]
        inner = [i for i in p.needed if e.nest.depends[i] >> d & 1]

        def rows(state: State) -> State:
            for k in range(count):
                with e.inside():
                    e.step(d, e.sum_of(first, str(k)), p.needed)
                    e.execute(inner, p)
                    state = e.feed(p, reductions, state, 1)
            return state

        with e.inside():
            e.enter(self.level, counter, lanes)
            e.execute([i for i in p.needed if i not in inner], p)
            for i in inner:  # what they take from outside the loop, before the loop
                for a in e.body[i].args:
                    if a not in inner and e.body[a].op != "const":
                        e.value(a, lanes if e.nest.along_vec(i) else 1)
            reductions = e.reductions(p, lanes)
            state = self._read(p, reductions, counter)
            state = e.nested(count > 1, reductions, state, rows)
            self._write(p, reductions, state, counter)

    def _finish(self, s: int, p: Pass, counter: str, lanes: int) -> None:
        """What is made of the results of pass s for a vector of columns."""
        e = self.e
        last = s == len(e.nest.passes) - 1
        with e.inside():
            e.enter(self.level, counter, lanes)
            reductions = e.reductions(p, lanes)
            state = self._read(p, reductions, counter)
            if self.high:
                totals = self._read(p, reductions, counter, 2)
                state = [r.merge(t, s) if r.blocked else s for r, s, t in zip(reductions, state, totals, strict=True)]
            e.finish(p, reductions, state)
            made = e.nest.after(s)
            e.execute(made)
            for i in (*p.reductions, *made):
                if i in e.nest.saved:
                    own = lanes if e.nest.along_vec(i) else 1
                    dtype = e.body[i].dtype
                    e.write(dtype, own, e.value(i, own), self._room(e.nest.saved[i], dtype, counter))
            if last:
                e.execute(e.nest.row_stores)
