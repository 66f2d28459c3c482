"""A program: segments of launches over one set of slots, ready to run.

A slot holds a pointer. Fixed memory (an arena, constants) is bound once; the others are filled from the arrays that an entry is
called with. All of a program is data that native code walks (native/entry.ll): it gathers each launch's operands and calls the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lamina.compiler.emit.code import Code

from . import library
from .entry import Entry, builtin

_RELEASE_NS = 10_000.0  # a segment that takes longer lets other Python threads run
_SPREAD_NS = 10_000.0  # a launch that takes longer is worth several threads

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
        self.segments = [tuple(launch for launch in segment if launch.code.units) for segment in segments]
        launches = list(chain.from_iterable(self.segments))
        _check_slots(launches, slots)
        self._loaded = library.load([(launch.code.ir, launch.code.symbol) for launch in launches])
        self._slots: _Words = np.zeros(max(slots, 1), np.int64)
        self._lock: _Words = np.zeros(1, np.int64)
        self._scratch = aligned(max((launch.code.scratch for launch in launches), default=0))
        self._tables: list[_Words] = []
        self._times: list[_Words | None] = [None] * len(self.segments)
        self.entries: list[Entry] = []
        loaded = iter(self._loaded)
        for i, segment in enumerate(self.segments):
            own = range(self.first_dynamic, slots) if arguments is None else arguments[i]
            self.entries.append(self._entry(segment, [next(loaded).address for _ in segment], own))

    def bind(self, slot: int, address: int) -> None:
        """Let `slot` stand for the memory at `address`, until bound again. Whoever binds keeps that memory alive."""
        self._slots[slot] = address

    def _entry(self, segment: Sequence[Launch], kernels: Sequence[int], arguments: Sequence[int]) -> Entry:
        pairs = [(slot, offset) for launch in segment for slot, offset in launch.operands]
        operands: _Words = np.array(pairs, np.int64).reshape(-1, 2)
        operands[:, 0] = self._slots.ctypes.data + 8 * operands[:, 0]
        launches: _Words = np.zeros((max(len(segment), 1), 6), np.int64)
        place = operands.ctypes.data
        for row, launch, kernel in zip(launches, segment, kernels, strict=False):
            code, count = launch.code, len(launch.operands)
            row[:] = kernel, code.units, place, count, code.units > 1 and code.cost_ns > _SPREAD_NS, code.scratch
            place += 16 * count
        destinations: _Words = self._slots.ctypes.data + 8 * np.array(arguments, np.int64)
        table: _Words = np.array(
            [
                0,
                len(arguments),
                destinations.ctypes.data,
                launches.ctypes.data,
                len(segment),
                sum(launch.code.cost_ns for launch in segment) > _RELEASE_NS,
                self._lock.ctypes.data,
                self._scratch.ctypes.data,
                0,
                max((len(launch.operands) for launch in segment), default=0),
                id(np.ndarray),
            ],
            np.int64,
        )
        self._tables.append(table)
        keep: tuple[Any, ...] = (operands, launches, self._slots, self._lock, self._scratch, self._loaded)
        return builtin(table, len(arguments), destinations, keep)


def aligned(size: int, boundary: int = 64) -> NDArray[np.uint8]:
    """Fresh bytes that begin at a multiple of `boundary`."""
    whole = np.empty(size + boundary, np.uint8)
    start = -whole.ctypes.data % boundary
    return whole[start : start + size]


def _check_slots(launches: Sequence[Launch], slots: int) -> None:
    for launch in launches:
        for slot, _ in launch.operands:
            if not 0 <= slot < slots:
                raise ValueError(f"a launch of {launch.code.symbol} uses slot {slot}; the program has {slots}")
