"""A program: segments of launches over one set of slots, ready to run.

A slot holds a pointer. Fixed memory (an arena, constants) is bound once; the others are filled from the arrays that an entry is
called with. All of a program is data that native code walks (native/entry.ll): it gathers each launch's operands and calls the kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lamina.compiler.costs import coefficients

from . import entry, library, pool
from .code import Code
from .entry import Entry, Table
from .guards import GuardTable
from .memory import aligned

_Words = NDArray[np.int64]


class Launch(NamedTuple):
    """A kernel and what it works on: each operand is `bytes` into the memory of a slot."""

    code: Code
    operands: tuple[tuple[int, int], ...]  # (slot, bytes)


class Program:
    """Segments of launches, compiled and loaded.

    `entries[i](*arrays)` runs segment i; its arrays go to the slots `arguments[i]` (those from `first_dynamic` on, where not given).
    They must stay alive, as what is bound, while the entry runs. One thread at a time is inside a program's segment: others wait.
    """

    def __init__(
        self,
        segments: Sequence[Sequence[Launch]],
        slots: int,
        first_dynamic: int | None = None,
        arguments: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self.first_dynamic = slots if first_dynamic is None else first_dynamic
        launches = list(chain.from_iterable(segments))
        _check_slots(launches, slots)
        codes = {launch.code.ir: launch.code for launch in launches if launch.code.units}
        loaded = library.load([(code.ir, code.symbol) for code in codes.values()])
        kernels = dict(zip(codes, loaded, strict=True))
        self._slots: _Words = np.zeros(max(slots, 1), np.int64)
        self._lock = pool.new_lock()
        self._scratch = aligned(max((launch.code.scratch for launch in launches), default=0))
        self._segments: list[_Segment] = []
        for i, segment in enumerate(segments):
            own = range(self.first_dynamic, slots) if arguments is None else arguments[i]
            self._segments.append(_Segment(segment, kernels, self._slots, own))
            table = self._segments[-1].table
            table["lock"], table["scratch"] = self._lock.ctypes.data, self._scratch.ctypes.data
        self._times: list[_Words] | None = None
        self.entries: list[Entry] = [self._entry(segment.table, segment) for segment in self._segments]

    def bind(self, slot: int, address: int) -> None:
        """Let `slot` stand for the memory at `address`, until bound again. Whoever binds keeps that memory alive."""
        self._slots[slot] = address

    def guarded(self, segment: int, guards: GuardTable) -> Entry:
        """An entry of a segment that first checks `guards`: False, with nothing run, where one fails, else True."""
        own = self._segments[segment]
        table, rows = own.table.copy(), guards.rows()
        table["guards"], table["guard_count"] = rows.ctypes.data, len(rows)
        own.copies.append(table)
        return self._entry(table, own, rows, guards.owned())

    def runs(self, segment: int) -> memoryview:
        """How often a segment ran to its end, as one number in memory that native code counts up."""
        return self._segments[segment].table.reshape(1).view(np.int64)[-1:].data

    def profile(self, on: bool = True) -> list[_Words]:
        """Measure each launch from now on (or no more). Returns nanoseconds by segment and launch, of its last run, as they come."""
        times = [np.zeros(segment.number, np.int64) for segment in self._segments]
        for segment, own in zip(self._segments, times, strict=True):
            for table in (segment.table, *segment.copies):
                table["times"] = own.ctypes.data if on else 0
        self._times = times if on else None  # native code writes there: held here
        return times

    def _entry(self, table: Table, segment: _Segment, *more: Any) -> Entry:
        return entry.segment(table, segment.destinations, (segment.held, self._slots, self._lock, self._scratch, *more))


class _Segment:
    """The memory that native code walks for one segment."""

    def __init__(
        self, launches: Sequence[Launch], kernels: Mapping[str, library.Loaded], slots: _Words, arguments: Sequence[int]
    ) -> None:
        self.number = len(launches)
        base = slots.ctypes.data
        pairs = [(base + 8 * slot, offset) for launch in launches for slot, offset in launch.operands]
        operands: _Words = np.array(pairs, np.int64).reshape(-1, 2)
        rows: _Words = np.zeros((self.number, 6), np.int64)  # %Launch
        place = operands.ctypes.data
        for row, (code, own) in zip(rows, launches, strict=True):
            if code.units:
                kernel = kernels[code.ir].address
                row[:] = kernel, code.units, place, len(own), int(code.cost_ns / coefficients().share_ns), code.scratch
            place += 16 * len(own)
        self.destinations: _Words = base + 8 * np.array(arguments, np.int64)
        self.table: Table = np.zeros((), entry.TABLE)
        self.copies: list[Table] = []
        self.table["pool"] = pool.address()
        self.table["arguments"], self.table["destinations"] = len(arguments), self.destinations.ctypes.data
        self.table["launches"], self.table["count"] = rows.ctypes.data, self.number
        self.table["release"] = sum(launch.code.cost_ns for launch in launches) > coefficients().release_ns
        self.table["workers"] = any(row[1] > 1 and row[4] > 1 for row in rows)
        self.table["operands"] = max((len(launch.operands) for launch in launches), default=0)
        self.table["ndarray"] = id(np.ndarray)
        self.held = (operands, rows, [kernel.code for kernel in kernels.values()])


def _check_slots(launches: Sequence[Launch], slots: int) -> None:
    for launch in launches:
        for slot, _ in launch.operands:
            if not 0 <= slot < slots:
                raise ValueError(f"a launch of {launch.code.symbol} uses slot {slot}; the program has {slots}")
