"""Vectors of any dtype, from and to memory: strided, partly live, widened when read and narrowed when written.

Here: the types' names, reads and writes, transposition. Not here: what is computed on them (epilogue.py, tile.py).
"""

from __future__ import annotations

from typing import NamedTuple

from ..kernels import SIZES
from .builder import Builder
from .ir import TYPES, suffix, vector
from .scalars import STORED, WIDENED, narrow, widen

FLOATS = frozenset(("float16", "bfloat16", "float32", "float64"))


class Vec(NamedTuple):
    """A vector of `lanes` floats, computed in `dtype`."""

    dtype: str
    lanes: int

    @property
    def scalar(self) -> str:
        return TYPES[self.dtype]

    @property
    def type(self) -> str:
        return f"<{self.lanes} x {self.scalar}>"

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return SIZES[self.dtype]

    @property
    def bytes(self) -> int:
        return self.lanes * self.size


def computed(dtype: str) -> str:
    """The dtype that a stored one is computed in."""
    return WIDENED.get(dtype, dtype)


def mask(lanes: int, live: int) -> str:
    """The constant mask with the first `live` lanes on."""
    return "<" + ", ".join(f"i1 {'true' if i < live else 'false'}" for i in range(lanes)) + ">"


def splat(b: Builder, lanes: int, scalar: str, kind: str) -> str:
    """All lanes alike."""
    if lanes == 1:
        return scalar
    one = b.let(f"insertelement <{lanes} x {kind}> poison, {kind} {scalar}, i64 0")
    return b.let(f"shufflevector <{lanes} x {kind}> {one}, <{lanes} x {kind}> poison, <{lanes} x i32> zeroinitializer")


def read(b: Builder, lanes: int, dtype: str, pointer: str, stride: int = 1, live: int | None = None) -> str:
    """Elements `stride` elements apart, widened; what lies beyond the first `live` is not touched, and given as zero."""
    kind, size = STORED[dtype], SIZES[dtype]
    count = lanes if live is None else min(live, lanes)
    if stride == 0:
        scalar = TYPES[computed(dtype)]
        every = splat(b, lanes, widen(b, dtype, 1, b.let(f"load {kind}, ptr {pointer}, align {size}")), scalar)
        if count == lanes:
            return every
        kind = vector(scalar, lanes)
        return b.let(f"select <{lanes} x i1> {mask(lanes, count)}, {kind} {every}, {kind} zeroinitializer")
    if lanes == 1 or (stride == 1 and count == lanes):
        value = b.let(f"load {vector(kind, lanes)}, ptr {pointer}, align {size}")
    elif stride == 2 and count == lanes:
        # Two vectors that overlap in one element: nothing beyond the last one wanted is touched.
        low = b.let(f"load {vector(kind, lanes)}, ptr {pointer}, align {size}")
        high = b.let(f"load {vector(kind, lanes)}, ptr {b.at(pointer, (lanes - 1) * size)}, align {size}")
        order = ", ".join(f"i32 {2 * i if 2 * i < lanes else 2 * i + 1}" for i in range(lanes))
        value = b.let(
            f"shufflevector {vector(kind, lanes)} {low}, {vector(kind, lanes)} {high}, <{lanes} x i32> <{order}>"
        )
    elif stride == 1 and size >= 4:
        arguments = (("ptr", pointer), ("i32", str(size)), (f"<{lanes} x i1>", mask(lanes, count)),
                     (f"<{lanes} x {kind}>", "zeroinitializer"))  # fmt: skip
        value = b.call(f"llvm.masked.load.{suffix(kind, lanes)}.p0", f"<{lanes} x {kind}>", *arguments)
    else:
        value = "zeroinitializer"
        for lane in range(count):
            element = b.let(f"load {kind}, ptr {b.at(pointer, lane * stride * size)}, align {size}")
            value = b.let(f"insertelement <{lanes} x {kind}> {value}, {kind} {element}, i64 {lane}")
    return widen(b, dtype, lanes, value)


def write(
    b: Builder, lanes: int, dtype: str, value: str, pointer: str, stride: int = 1, live: int | None = None
) -> None:
    """The first `live` lanes, narrowed, to places `stride` elements apart."""
    kind, size = STORED[dtype], SIZES[dtype]
    count = lanes if live is None else min(live, lanes)
    value = narrow(b, computed(dtype), dtype, lanes, value)
    if lanes == 1 or (stride == 1 and count == lanes):
        b.do(f"store {vector(kind, lanes)} {value}, ptr {pointer}, align {size}")
    elif stride == 1 and size >= 4:
        arguments = (
            (f"<{lanes} x {kind}>", value),
            ("ptr", pointer),
            ("i32", str(size)),
            (f"<{lanes} x i1>", mask(lanes, count)),
        )
        b.do_call(f"llvm.masked.store.{suffix(kind, lanes)}.p0", *arguments)
    else:
        for lane in range(count):
            element = b.let(f"extractelement <{lanes} x {kind}> {value}, i64 {lane}")
            b.do(f"store {kind} {element}, ptr {b.at(pointer, lane * stride * size)}, align {size}")


def transpose(b: Builder, v: Vec, rows: list[str]) -> list[str]:
    """lanes x lanes elements, in log2(lanes) rounds of interleaving row i with row i + lanes / 2."""
    half, lanes = v.lanes // 2, v.lanes
    low = ", ".join(f"i32 {i}, i32 {i + lanes}" for i in range(half))
    high = ", ".join(f"i32 {i + half}, i32 {i + half + lanes}" for i in range(half))
    for _ in range(lanes.bit_length() - 1):
        after = []
        for i in range(half):
            for order in (low, high):
                after.append(
                    b.let(f"shufflevector {v.type} {rows[i]}, {v.type} {rows[i + half]}, <{lanes} x i32> <{order}>")
                )
        rows = after
    return rows


def fold(b: Builder, v: Vec, rows: list[str]) -> str:
    """The sums over the lanes of up to `lanes` vectors, as the lanes of one."""
    lanes = v.lanes
    rows = rows + ["zeroinitializer"] * (lanes - len(rows))
    low = ", ".join(f"i32 {i}, i32 {i + lanes}" for i in range(lanes // 2))
    high = ", ".join(f"i32 {i + lanes // 2}, i32 {i + lanes // 2 + lanes}" for i in range(lanes // 2))
    while len(rows) > 1:
        half = len(rows) // 2
        after = []
        for i in range(half):
            parts = [
                b.let(f"shufflevector {v.type} {rows[i]}, {v.type} {rows[i + half]}, <{lanes} x i32> <{order}>")
                for order in (low, high)
            ]
            after.append(b.let(f"fadd {v.type} {parts[0]}, {parts[1]}"))
        rows = after
    return rows[0]
