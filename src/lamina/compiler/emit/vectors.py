"""Vectors of any dtype, from and to memory: strided, partly live, widened when read and narrowed when written.

Here: the types' names, reads and writes, transposition. Not here: what is computed on them (epilogue.py, tile.py).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from ..kernels import SIZES
from .builder import Builder

TYPES = {
    "bool": "i1", "uint8": "i8", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "float16": "half", "bfloat16": "bfloat", "float32": "float", "float64": "double",
}  # fmt: skip
"""How a dtype is computed with; as stored, a bool is an i8."""

FLOATS = frozenset(("float16", "bfloat16", "float32", "float64"))
SUFFIX = {
    "i1": "i1",
    "i8": "i8",
    "i16": "i16",
    "i32": "i32",
    "i64": "i64",
    "half": "f16",
    "bfloat": "bf16",
    "float": "f32",
    "double": "f64",
}


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


def stored(dtype: str) -> str:
    """The type of an element in memory."""
    return "i8" if dtype == "bool" else TYPES[dtype]


def many(lanes: int, kind: str) -> str:
    """One vector type's name; of one lane: the scalar's."""
    return kind if lanes == 1 else f"<{lanes} x {kind}>"


def constant(lanes: int, value: object, dtype: str) -> str:
    """A Python number in all lanes, as LLVM writes it."""
    return literal(value, dtype) if lanes == 1 else f"splat ({TYPES[dtype]} {literal(value, dtype)})"


def literal(value: object, dtype: str) -> str:
    """A Python number as LLVM writes it."""
    if dtype == "bool":
        return "true" if value else "false"
    if dtype not in FLOATS:
        return str(int(value))  # type: ignore[call-overload]
    number = float(value)  # type: ignore[arg-type]
    if dtype != "float64":
        number = (
            struct.unpack("<f", struct.pack("<f", number))[0]
            if abs(number) < 3.4028235677973366e38
            else number * float("inf")
        )
    return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"


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
    kind, size = stored(dtype), SIZES[dtype]
    count = lanes if live is None else min(live, lanes)
    if stride == 0:
        return splat(
            b, lanes, widen(b, 1, b.let(f"load {kind}, ptr {pointer}, align {size}"), dtype), TYPES[computed(dtype)]
        )
    if lanes == 1 or (stride == 1 and count == lanes):
        value = b.let(f"load {many(lanes, kind)}, ptr {pointer}, align {size}")
    elif stride == 1 and size >= 4:
        arguments = (("ptr", pointer), ("i32", str(size)), (f"<{lanes} x i1>", mask(lanes, count)),
                     (f"<{lanes} x {kind}>", "zeroinitializer"))  # fmt: skip
        value = b.call(f"llvm.masked.load.v{lanes}{SUFFIX[kind]}.p0", f"<{lanes} x {kind}>", *arguments)
    else:
        value = "zeroinitializer"
        for lane in range(count):
            element = b.let(f"load {kind}, ptr {b.at(pointer, lane * stride * size)}, align {size}")
            value = b.let(f"insertelement <{lanes} x {kind}> {value}, {kind} {element}, i64 {lane}")
    return widen(b, lanes, value, dtype)


def write(
    b: Builder, lanes: int, dtype: str, value: str, pointer: str, stride: int = 1, live: int | None = None
) -> None:
    """The first `live` lanes, narrowed, to places `stride` elements apart."""
    kind, size = stored(dtype), SIZES[dtype]
    count = lanes if live is None else min(live, lanes)
    value = narrow(b, lanes, value, dtype)
    if lanes == 1 or (stride == 1 and count == lanes):
        b.do(f"store {many(lanes, kind)} {value}, ptr {pointer}, align {size}")
    elif stride == 1 and size >= 4:
        arguments = (
            (f"<{lanes} x {kind}>", value),
            ("ptr", pointer),
            ("i32", str(size)),
            (f"<{lanes} x i1>", mask(lanes, count)),
        )
        b.call(f"llvm.masked.store.v{lanes}{SUFFIX[kind]}.p0", "void", *arguments)
    else:
        for lane in range(count):
            element = b.let(f"extractelement <{lanes} x {kind}> {value}, i64 {lane}")
            b.do(f"store {kind} {element}, ptr {b.at(pointer, lane * stride * size)}, align {size}")


def computed(dtype: str) -> str:
    """The dtype that a stored one is computed in."""
    return "float32" if dtype in ("float16", "bfloat16") else dtype


def widen(b: Builder, lanes: int, value: str, dtype: str) -> str:
    """From how it is stored to how it is computed."""
    if dtype == "bool":
        return b.let(f"icmp ne {many(lanes, 'i8')} {value}, {constant(lanes, 0, 'int8')}")
    if dtype == "float16":
        return b.let(f"fpext {many(lanes, 'half')} {value} to {many(lanes, 'float')}")
    if dtype == "bfloat16":
        short, wide = many(lanes, "i16"), many(lanes, "i32")
        bits = b.let(f"zext {short} {b.let(f'bitcast {many(lanes, TYPES[dtype])} {value} to {short}')} to {wide}")
        high = b.let(f"shl {wide} {bits}, {constant(lanes, 16, 'int32')}")
        return b.let(f"bitcast {wide} {high} to {many(lanes, 'float')}")
    return value


def narrow(b: Builder, lanes: int, value: str, dtype: str) -> str:
    """From how it is computed to how it is stored, to nearest even; NaN stays NaN."""
    if dtype == "bool":
        return b.let(f"zext {many(lanes, 'i1')} {value} to {many(lanes, 'i8')}")
    if dtype == "float16":
        return b.let(f"fptrunc {many(lanes, 'float')} {value} to {many(lanes, 'half')}")
    if dtype != "bfloat16":
        return value
    single, wide, short = many(lanes, "float"), many(lanes, "i32"), many(lanes, "i16")

    def number(x: int) -> str:
        return constant(lanes, x, "int32")

    bits = b.let(f"bitcast {single} {value} to {wide}")
    high = b.let(f"lshr {wide} {bits}, {number(16)}")
    odd = b.let(f"and {wide} {high}, {number(1)}")
    near = b.let(f"add {wide} {bits}, {number(32767)}")
    up = b.let(f"add {wide} {near}, {odd}")
    nan = b.let(f"fcmp uno {single} {value}, {constant(lanes, 0.0, 'float32')}")
    quiet = b.let(f"or {wide} {bits}, {number(1 << 22)}")
    chosen = b.let(f"select {many(lanes, 'i1')} {nan}, {wide} {quiet}, {wide} {up}")
    half = b.let(f"trunc {wide} {b.let(f'lshr {wide} {chosen}, {number(16)}')} to {short}")
    return b.let(f"bitcast {short} {half} to {many(lanes, 'bfloat')}")


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
