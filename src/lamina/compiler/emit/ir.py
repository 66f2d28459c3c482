"""A small fast writer of LLVM IR: lines of text, names, declarations, loops. Not here: what is written (scalars.py, math.py, loops.py).

A value is the name of a register or the text of a constant, always kept beside its type by who uses it. Vectors of one lane are
scalars: `vector("float", 1)` is `float`.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

BITS = {"bool": 1, "uint8": 8, "int8": 8, "int16": 16, "int32": 32, "int64": 64, "float32": 32, "float64": 64}
TYPES = {
    "bool": "i1", "uint8": "i8", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64", "float32": "float", "float64": "double",
}  # fmt: skip
"""The type of a value in a register, by name of its dtype."""

_SUFFIX = {"float": "f32", "double": "f64", "half": "f16", "ptr": "p0"}


@lru_cache(4096)
def vector(element: str, lanes: int) -> str:
    """The type of `lanes` elements."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


@lru_cache(4096)
def number(element: str, lanes: int, value: float | int | bool) -> str:
    """A constant, the same in all lanes."""
    if element == "float":
        text = "0x" + struct.pack(">d", _as_float32(float(value))).hex()
    elif element == "double":
        text = "0x" + struct.pack(">d", float(value)).hex()
    elif element == "i1":
        text = "true" if value else "false"
    else:
        bits = int(element[1:])
        wrapped = (int(value) + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))
        text = str(wrapped)
    return text if lanes == 1 else f"splat ({element} {text})"


def _as_float32(value: float) -> float:
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


@lru_cache(4096)
def suffix(element: str, lanes: int) -> str:
    """How overloaded intrinsics name the type."""
    short = _SUFFIX.get(element, element)
    return short if lanes == 1 else f"v{lanes}{short}"


class LoopMark(NamedTuple):
    """An open loop: what `Writer.end` needs to close it."""

    label: str
    counter: str
    step: int
    limit: str
    phis: tuple[int, ...]  # the lines that wait for the values of the back edge


class Writer:
    """The text of one module: a public function's body, and beside it what that needs."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.block = "entry"  # the label of the block being written
        self.helpers: dict[str, str] = {}  # internal functions and declarations, by name
        self._count = 0

    def let(self, expression: str) -> str:
        """A new register holding `expression`."""
        self._count += 1
        name = f"%v{self._count}"
        self.lines.append(f"  {name} = {expression}")
        return name

    def do(self, statement: str) -> None:
        """A statement without result."""
        self.lines.append("  " + statement)

    def call(self, name: str, result: str, *arguments: tuple[str, str]) -> str:
        """Call a function or intrinsic of typed arguments, declared at need."""
        if name not in self.helpers:
            self.helpers[name] = f"declare {result} @{name}({', '.join([kind for kind, _ in arguments])})"
        text = ", ".join([f"{kind} {value}" for kind, value in arguments])
        return self.let(f"call {result} @{name}({text})")

    def label(self, stem: str) -> str:
        """A new label, to be placed by `place`."""
        self._count += 1
        return f"{stem}{self._count}"

    def place(self, label: str) -> None:
        """Begin the block `label`."""
        self.lines.append(f"{label}:")
        self.block = label

    def jump(self, label: str) -> None:
        """Go on at `label`."""
        self.lines.append(f"  br label %{label}")

    def branch(self, condition: str, yes: str, no: str) -> None:
        """Go on at one of two labels."""
        self.lines.append(f"  br i1 {condition}, label %{yes}, label %{no}")

    def begin(
        self, start: str, limit: str, step: int, carried: tuple[tuple[str, str], ...] = ()
    ) -> tuple[LoopMark, list[str]]:
        """Open a loop that runs at least once; `carried`: type and first value of what each turn hands to the next.

        Its counter, an i64, goes from `start` by `step` while it is below `limit`.
        """
        before, label = self.block, self.label("loop")
        self.jump(label)
        self.place(label)
        counter = self.let(f"phi i64 [ {start}, %{before} ],")
        phis = [len(self.lines) - 1]
        values = []
        for kind, first in carried:
            values.append(self.let(f"phi {kind} [ {first}, %{before} ],"))
            phis.append(len(self.lines) - 1)
        return LoopMark(label, counter, step, limit, tuple(phis)), values

    def end(self, mark: LoopMark, carried: tuple[str, ...] | list[str] = ()) -> None:
        """Close a loop; after it, the values handed on last are still there."""
        following = self.let(f"add nuw nsw i64 {mark.counter}, {mark.step}")
        again = self.let(f"icmp slt i64 {following}, {mark.limit}")
        for line, value in zip(mark.phis, (following, *carried), strict=True):
            self.lines[line] += f" [ {value}, %{self.block} ]"
        after = self.label("after")
        self.lines.append(f"  br i1 {again}, label %{mark.label}, label %{after}, !llvm.loop !0")
        self.place(after)

    def module(self, symbol: str) -> str:
        """The whole module: `symbol` with the body written so far, then the helpers."""
        return "\n".join((
            f"define void @{symbol}(ptr noalias readonly %operands, ptr noalias %scratch, i64 %lo, i64 %hi) nounwind {{",
            "entry:",
            *self.lines,
            "}",
            *self.helpers.values(),
            '!0 = distinct !{!0, !1}',
            '!1 = !{!"llvm.loop.unroll.disable"}',
            '!2 = !{i32 1}',
        '!3 = !{}',
            "",
        ))  # fmt: skip


def floats(writer: Writer, dtype: str, lanes: int) -> Floats:
    """Arithmetic on vectors of float32 or float64."""
    return Floats(writer, dtype, lanes)


class Floats:
    """Plain arithmetic on vectors of one floating dtype: what math.py is written in. Operands are registers or Python numbers.

    Nothing is contracted here: functions that count on exact differences say themselves where a product is fused.
    """

    def __init__(self, writer: Writer, dtype: str, lanes: int) -> None:
        self.writer, self.dtype, self.lanes = writer, dtype, lanes
        self.element = TYPES[dtype]
        self.single = dtype == "float32"
        self.width = 32 if self.single else 64
        self.whole = f"i{self.width}"  # the integer of an element's size
        self.type, self.integer, self.truth = (vector(t, lanes) for t in (self.element, self.whole, "i1"))
        self.suffix, self.int_suffix = suffix(self.element, lanes), suffix(self.whole, lanes)

    def of(self, x: str | float) -> str:
        """`x` as an operand."""
        return x if isinstance(x, str) else number(self.element, self.lanes, x)

    def whole_of(self, x: str | int) -> str:
        """`x` as an operand of integer instructions."""
        return x if isinstance(x, str) else number(self.whole, self.lanes, x)

    def _two(self, op: str, x: str | float, y: str | float) -> str:
        return self.writer.let(f"{op} {self.type} {self.of(x)}, {self.of(y)}")

    def add(self, x: str | float, y: str | float) -> str:
        return self._two("fadd", x, y)

    def sub(self, x: str | float, y: str | float) -> str:
        return self._two("fsub", x, y)

    def mul(self, x: str | float, y: str | float) -> str:
        return self._two("fmul", x, y)

    def div(self, x: str | float, y: str | float) -> str:
        return self._two("fdiv", x, y)

    def neg(self, x: str) -> str:
        return self.writer.let(f"fneg {self.type} {x}")

    def fma(self, x: str | float, y: str | float, z: str | float) -> str:
        """x * y + z, rounded once."""
        kind = self.type
        return self.writer.call(
            f"llvm.fma.{self.suffix}", kind, (kind, self.of(x)), (kind, self.of(y)), (kind, self.of(z))
        )

    def unary(self, name: str, x: str) -> str:
        """An intrinsic of one argument: fabs, sqrt, floor, ceil, trunc, roundeven."""
        return self.writer.call(f"llvm.{name}.{self.suffix}", self.type, (self.type, x))

    def abs(self, x: str) -> str:
        return self.unary("fabs", x)

    def copysign(self, x: str | float, sign: str) -> str:
        kind = self.type
        return self.writer.call(f"llvm.copysign.{self.suffix}", kind, (kind, self.of(x)), (kind, sign))

    def compare(self, how: str, x: str | float, y: str | float) -> str:
        """A vector of truth values; `how` as fcmp names it."""
        return self._two(f"fcmp {how}", x, y)

    def select(self, condition: str, x: str | float, y: str | float) -> str:
        return self.writer.let(f"select {self.truth} {condition}, {self.type} {self.of(x)}, {self.type} {self.of(y)}")

    def at_most(self, x: str, bound: float) -> str:
        """min(x, bound); NaN stays."""
        return self.select(self.compare("ogt", x, bound), bound, x)

    def at_least(self, x: str, bound: float) -> str:
        """max(x, bound); NaN stays."""
        return self.select(self.compare("olt", x, bound), bound, x)

    def bits(self, x: str) -> str:
        """The same bits as an integer."""
        return self.writer.let(f"bitcast {self.type} {x} to {self.integer}")

    def from_bits(self, x: str) -> str:
        return self.writer.let(f"bitcast {self.integer} {x} to {self.type}")

    def whole_op(self, op: str, x: str | int, y: str | int) -> str:
        """An integer instruction: add, sub, and, or, xor, shl, lshr, ashr; or `icmp ..`."""
        return self.writer.let(f"{op} {self.integer} {self.whole_of(x)}, {self.whole_of(y)}")

    def int_select(self, condition: str, x: str | int, y: str | int) -> str:
        left, right = self.whole_of(x), self.whole_of(y)
        return self.writer.let(f"select {self.truth} {condition}, {self.integer} {left}, {self.integer} {right}")

    def both(self, p: str, q: str) -> str:
        return self.writer.let(f"and {self.truth} {p}, {q}")

    def either(self, p: str, q: str) -> str:
        return self.writer.let(f"or {self.truth} {p}, {q}")

    def to_float(self, x: str) -> str:
        """An integer of the element's size as a float."""
        return self.writer.let(f"sitofp {self.integer} {x} to {self.type}")

    def poly(self, x: str, coefficients: tuple[float, ...]) -> str:
        """A polynomial, highest power first (Horner, fused)."""
        value: str | float = coefficients[0]
        for c in coefficients[1:]:
            value = self.fma(value, x, c)
        assert isinstance(value, str)
        return value
