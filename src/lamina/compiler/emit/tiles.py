"""Loads that are contiguous along another dimension than the vectors: a square at a time, turned in registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamina.compiler.emit.ir import Writer, suffix, vector
from lamina.compiler.emit.scalars import STORED
from lamina.compiler.kernels import SIZES, Access

if TYPE_CHECKING:
    from lamina.compiler.emit.loops import Loops


def turned(e: Loops, level: int, start: str, limit: str) -> None:
    """The last two kept loops, the first of them from `start` to `limit`, in squares; what is left over at the edges as usual."""
    n, size = e.loop.dims[e.kept[level]], e.nest.lanes
    whole = n // size * size
    if limit == str(n):
        e.loop_over(start, str(whole), size, lambda at: _band(e, level, at))
        if whole < n:
            e.plain(level, str(whole), limit)
        return
    below = e.writer.call("llvm.smin.i64", "i64", ("i64", limit), ("i64", str(whole)))
    e.only_if(f"icmp slt i64 {start}, {below}", lambda: e.loop_over(start, below, size, lambda at: _band(e, level, at)))
    if whole < n:
        e.only_if(f"icmp eq i64 {limit}, {n}", lambda: e.plain(level, str(whole), str(n)))


def _band(e: Loops, level: int, at: str) -> None:
    """As many indices of the loop `level` as a square has rows, from `at` on."""
    start, limit = e.range_of(e.nest.vec)
    e.vectors(start, limit, lambda counter, lanes: _square(e, level, at, counter, lanes))


def _square(e: Loops, level: int, at: str, counter: str, lanes: int) -> None:
    size, vec, d = e.nest.lanes, e.nest.vec, e.kept[level]
    rooms: dict[Access, str] = {}
    offset = e.nest.tiles
    for access in e.nest.turned if lanes == size else ():
        corner = e.offset(e.pointers[access], access.dtype, at, access.strides[d])
        corner = e.offset(corner, access.dtype, counter, access.strides[vec])
        rooms[access] = e.scratch(offset, "int8", "0")
        offset += size * size * SIZES[access.dtype]
        _turn(e.writer, access, corner, access.strides[vec], size, rooms[access])

    def row(i: str) -> None:
        with e.inside():
            for access, room in rooms.items():
                e.tiles[access] = e.offset(room, access.dtype, i, size)
            e.enter(level, e.sum_of(at, i), 1)
            e.turn(level + 1, counter, lanes)

    e.loop_over("0", str(size), 1, row)


def _turn(writer: Writer, access: Access, corner: str, stride: int, size: int, room: str) -> None:
    """Put a square of elements into scratch memory, rows for columns."""
    element, align = STORED[access.dtype], SIZES[access.dtype]
    kind = vector(element, size)
    rows = []
    for k in range(size):
        at = writer.let(f"getelementptr inbounds {element}, ptr {corner}, i64 {k * stride}") if k else corner
        rows.append(writer.let(f"load {kind}, ptr {at}, align {align}"))
    # Interleaving each row with the one half a square further turns the square after log2(size) rounds.
    half = size // 2
    masks = []
    for first in (0, half):
        pairs = [f"i32 {first + i // 2 + (i % 2) * size}" for i in range(size)]
        masks.append(f"<{size} x i32> <{', '.join(pairs)}>")
    for k in range(size.bit_length() - 1):
        rows = [_held(writer, kind, size * align // 4, row) for row in rows] if k else rows
        rows = [
            writer.let(f"shufflevector {kind} {rows[i]}, {kind} {rows[i + half]}, {mask}")
            for i in range(half)
            for mask in masks
        ]
    for k, row in enumerate(rows):
        at = writer.let(f"getelementptr inbounds {element}, ptr {room}, i64 {k * size}") if k else room
        writer.do(f"store {kind} {row}, ptr {at}, align {align}")


def _held(writer: Writer, kind: str, words: int, x: str) -> str:
    """`x` itself. LLVM would look for one shuffle that does the work of several rounds: for a third of a second, in vain."""
    floats = vector("float", words)
    held = writer.let(f"bitcast {kind} {x} to {floats}")
    held = writer.call(f"llvm.arithmetic.fence.{suffix('float', words)}", floats, (floats, held))
    return writer.let(f"bitcast {floats} {held} to {kind}")
