"""columns: sums down the columns of what a loop over rows has at hand anyway are made beside it.

A loop that sums a matrix's columns reads it all once more. Instead the loop over its rows adds each row to sums of its own for each
block of rows, and a small loop adds these up. Reads and writes the groups of `fuse`. Here: where that is so, and the two loops. Not here:
how two loops become one (fuse.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lamina.compiler.kernels import REDUCTIONS, SIZES, Inst
from lamina.compiler.loops import At, Body, Partial, Val, Work
from lamina.compiler.passes.dims import cut

LEAST = 1 << 20
"""Bytes that are read a second time from which on they are spared: what is less is in a cache."""

BLOCKS = 64
"""Blocks of rows at the most, each with its sums."""

HEIGHT = 8
"""Rows of a block at the least: its sums are read again."""

Join = Callable[[Work, Work], Work | None]


def beside_rows(groups: list[Any], ancestors: list[int], join: Join) -> None:
    """Let loops over rows make the sums of columns that others make. ancestors: for each group, a bit for each that it needs."""
    for b, group in enumerate(groups):
        split = _split(group) if isinstance(group, Work) else None
        if split is None:
            continue
        read = {at.value for at in group.ats("load", "store") if _bytes(at, group.dims) >= LEAST}
        for a, other in enumerate(groups):
            if a == b or not isinstance(other, Work) or other.core is not None:
                continue
            if not read & {at.value for at in other.ats("load", "store")}:
                continue
            made = _joined(other, *split, ancestors, (a, b), join)
            if made is not None:
                groups[a], groups[b] = made, split[1]
                _reordered(ancestors, a, b)
                break


def _joined(
    other: Work, partial: Work, total: Work, ancestors: list[int], where: tuple[int, int], join: Join
) -> Work | None:
    """The other loop with the sums beside it; None where that cannot be."""
    a, b = where
    rows = cut(other, partial.dims)
    if rows is None:
        return None
    if not ancestors[a] >> b & 1:
        return None if _between(ancestors, a, b) else join(rows, partial)
    # The other needs what the sums' loop stores row by row: it must not need the sums.
    if _between(ancestors, b, a) or set(total.writes()) & set(other.reads()):
        return None
    return join(partial, rows)


def _reordered(ancestors: list[int], a: int, b: int) -> None:
    """Group b, which was independent of a or needed by it, is what comes after a."""
    ancestors[a] = (ancestors[a] | ancestors[b]) & ~(1 << a) & ~(1 << b)
    ancestors[b] = ancestors[a] | 1 << a
    for first in (a, b):
        for g in range(len(ancestors)):
            if ancestors[g] >> first & 1:
                ancestors[g] |= ancestors[first]
    for g in range(len(ancestors)):
        if ancestors[g] >> b & 1:
            ancestors[g] |= 1 << a


def _between(ancestors: list[int], a: int, b: int) -> bool:
    """Whether something that b needs, other than a, needs a: then what b does cannot be done where a is."""
    return any(ancestors[b] >> g & 1 and ancestors[g] >> a & 1 for g in range(len(ancestors)) if g != a)


def _bytes(at: At, dims: tuple[int, ...]) -> int:
    size = SIZES[at.dtype]
    for n, stride in zip(dims, at.strides, strict=True):
        size *= n if stride else 1
    return size


def _height(rows: int) -> int:
    """How many rows make a block; 0 where there are no such blocks."""
    return next((rows // n for n in range(BLOCKS, 3, -1) if rows % n == 0 and rows // n >= HEIGHT), 0)


def _split(work: Work) -> tuple[Work, Work] | None:
    """A loop that sums columns as two: over blocks of rows, with sums for each block; and over the blocks' sums."""
    if work.core is not None or work.keep != 1 or len(work.dims) != 2:
        return None
    (columns, rows), height = work.dims, _height(work.dims[1])
    sums = [n for n, i in enumerate(work.insts) if i.op in REDUCTIONS]
    if not sums or not height or sum(_bytes(at, work.dims) for at in work.ats("load")) < LEAST:
        return None
    if any(work.insts[n].op != "sum" or not work.insts[n].dtype.startswith("float") for n in sums):
        return None
    stores = [n for n, i in enumerate(work.insts) if i.op == "store"]
    of_rows = [n for n in stores if _varies(work.insts[n])]
    before = _needed(work.insts, [*(work.insts[n].args[0] for n in sums), *of_rows])
    after = _needed(work.insts, [n for n in stores if n not in of_rows], tuple(sums))
    if any(work.insts[n].op in ("gather", "index", "sum") for n in before) or any(
        _varies(work.insts[n]) for n in after
    ):
        return None
    blocks = rows // height
    down = Body()
    at: dict[int, int] = {}
    for n in before:
        op, args, dtype, data = work.insts[n]
        if op in ("load", "store"):
            across, along = data.strides
            data = At(data.value, data.offset, (along * height, along, across), data.dtype)
        at[n] = down.put(Inst(op, tuple([at[x] for x in args]), dtype, data))
    up = Body()
    found: dict[int, int] = {}
    origin = next(iter(work.ats("store"))).value.origin
    for n in sums:
        inst = work.insts[n]
        part = Partial(0, blocks * columns * SIZES[inst.dtype], origin)
        held = At(part, 0, (columns, 0, 1), inst.dtype)
        first = down.eq(down.index(1), 0)
        so_far = down.select(first, 0.0, down.op("load", (), inst.dtype, held))
        new = down.add(so_far, Val(at[inst.args[0]], inst.dtype))
        down.put(Inst("store", (new.at,), inst.dtype, held))
        found[n] = up.op("sum", (up.op("load", (), inst.dtype, At(part, 0, (1, columns), inst.dtype)),), inst.dtype).at
    for n in after:
        op, args, dtype, data = work.insts[n]
        if n not in found:
            found[n] = up.put(Inst(op, tuple([found[x] for x in args]), dtype, data))
    partial = Work((blocks, height, columns), 3, down.insts, work.places)
    total = Work((columns, blocks), 1, up.insts, work.places)
    partial.names, total.names = work.names, ("sum",)
    partial.follows = work.follows
    return partial, total


def _needed(insts: list[Inst], wanted: list[int], stops: tuple[int, ...] = ()) -> list[int]:
    """What these instructions need, with them, in order; nothing behind `stops`."""
    found = set(wanted)
    waiting = list(wanted)
    while waiting:
        n = waiting.pop()
        for a in () if n in stops else insts[n].args:
            if a not in found:
                found.add(a)
                waiting.append(a)
    return sorted(found)


def _varies(inst: Inst) -> bool:
    """Whether an instruction behind the sums looks at single rows, or could."""
    if inst.op in ("load", "store"):
        return bool(inst.data.strides[1])
    return inst.op in ("gather", "index")
