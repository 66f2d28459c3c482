"""Reductions inside a row: how one is begun, fed with vectors, and finished. Not here: the loops around (loops.py)."""

from __future__ import annotations

from lamina.compiler.emit.ir import BITS, TYPES, Writer, number, suffix, vector
from lamina.compiler.emit.scalars import FLOATING, cast, extreme, signed

POSITIONS = ("argmax", "argmin")

State = list[list[str]]
"""The registers of several reductions."""


def registers(op: str, source: str, result: str, row: int) -> tuple[str, ...]:
    """The dtypes of what a reduction of a row of so many elements carries: the value; its position, or NaN where there was one."""
    # Sums are made in the result's dtype; bytes are compared instead of truth values.
    own = result if op in ("sum", "prod") else "bool" if op in ("any", "all") else source
    if op in POSITIONS:
        return "uint8" if own == "bool" else own, "int32" if row < 1 << 31 else "int64"
    return (own, own) if op in ("max", "min") and own in FLOATING else (own,)


class Reduction:
    """One reduction, in accumulators of `lanes` lanes. Its state is a list of registers."""

    def __init__(self, writer: Writer, op: str, source: str, result: str, lanes: int, row: int) -> None:
        self.writer, self.op, self.source, self.result, self.lanes = writer, op, source, result, lanes
        self.registers = registers(op, source, result, row)
        self.dtype, self.place = self.registers[0], self.registers[-1]
        self.element = TYPES[self.dtype]
        self.types = [vector(TYPES[dtype], lanes) for dtype in self.registers]
        self.type, self.truth = self.types[0], vector("i1", lanes)
        self.extreme = {"max": "maximum", "argmax": "maximum", "min": "minimum", "argmin": "minimum"}.get(op)
        self.blocked = op == "sum" and self.dtype in FLOATING

    def neutral(self) -> float | int | bool:
        """What an accumulator begins with. -0.0 + x is x for every x."""
        floating = self.dtype in FLOATING
        if self.op == "sum":
            return -0.0 if floating else 0
        if self.op in ("prod", "all"):
            return 1
        if self.op == "any":
            return False
        low = self.extreme == "maximum"
        if floating:
            return float("-inf") if low else float("inf")
        if not signed(self.dtype):
            return 0 if low else (1 << BITS[self.dtype]) - 1
        half = 1 << (BITS[self.dtype] - 1)
        return -half if low else half - 1

    def begin(self, positions: str) -> list[str]:
        """The first state; `positions`: where in the row the first element of each lane stands."""
        first = number(self.element, self.lanes, self.neutral())
        if self.op in POSITIONS:
            return [first, positions]
        return [first, number(self.element, self.lanes, 0)] if len(self.registers) > 1 else [first]

    def convert(self, lanes: int, x: str) -> str:
        """An argument as what is accumulated."""
        return cast(self.writer, self.source, self.dtype, lanes, x)

    def pad(self, lanes: int, x: str) -> str:
        """A vector of fewer lanes, filled up with what changes nothing."""
        if lanes == self.lanes:
            return x
        kind = vector(self.element, lanes)
        fill = number(self.element, lanes, self.neutral())
        if lanes == 1:
            whole = number(self.element, self.lanes, self.neutral())
            return self.writer.let(f"insertelement {self.type} {whole}, {self.element} {x}, i64 0")
        mask = ", ".join([f"i32 {min(i, lanes)}" for i in range(self.lanes)])
        return self.writer.let(f"shufflevector {kind} {x}, {kind} {fill}, <{self.lanes} x i32> <{mask}>")

    def feed(self, state: list[str], x: str, positions: str) -> list[str]:
        """The state after one more vector of all lanes."""
        let, kind, held = self.writer.let, self.type, state[0]
        if self.op in ("sum", "prod", "any", "all"):
            if held == number(self.element, self.lanes, self.neutral()):
                return [x]
            op = {"sum": "add", "prod": "mul", "any": "or", "all": "and"}[self.op]
            return [let(f"f{op} contract {kind} {held}, {x}" if self.dtype in FLOATING else f"{op} {kind} {held}, {x}")]
        assert self.extreme is not None
        if self.op in POSITIONS:
            return self._position(state, x, positions)
        if self.dtype not in FLOATING:
            return [extreme(self.writer, self.extreme, self.dtype, self.lanes, x, held)]
        # Kept apart, NaN does not lengthen the chain from one turn to the next.
        wins = let(f"fcmp o{'gt' if self.op == 'max' else 'lt'} {kind} {x}, {held}")
        nan = let(f"fcmp uno {kind} {x}, {x}")
        return [
            let(f"select {self.truth} {wins}, {kind} {x}, {kind} {held}"),
            let(f"select {self.truth} {nan}, {kind} {x}, {kind} {state[1]}"),
        ]

    def _position(self, state: list[str], x: str, positions: str) -> list[str]:
        let, kind, held = self.writer.let, self.type, state[0]
        better = "gt" if self.extreme == "maximum" else "lt"
        if self.dtype in FLOATING:
            number_held = let(f"fcmp ord {kind} {held}, {held}")  # the first NaN stays
            wins = let(f"and {self.truth} {let(f'fcmp u{better} {kind} {x}, {held}')}, {number_held}")
        else:
            wins = let(f"icmp {'s' if signed(self.dtype) else 'u'}{better} {kind} {x}, {held}")
        return [
            let(f"select {self.truth} {wins}, {kind} {x}, {kind} {held}"),
            let(f"select {self.truth} {wins}, {self.types[1]} {positions}, {self.types[1]} {state[1]}"),
        ]

    def merge(self, state: list[str], inner: list[str]) -> list[str]:
        """A sum of sums."""
        return self.feed(state, inner[0], "")

    def finish(self, state: list[str], across: bool) -> str:
        """The result; `across`: of all lanes together, else one for each."""
        lanes = 1 if across else self.lanes
        if self.op in POSITIONS:
            return cast(self.writer, self.place, self.result, lanes, self._across(state) if across else state[1])
        x = self._across(state) if across else state[0]
        if len(self.registers) > 1:
            nans = self.writer.let(f"fcmp uno {self.type} {state[1]}, {state[1]}")
            nans = self._truth("or", nans) if across else nans
            kind, truth = vector(self.element, lanes), vector("i1", lanes)
            nan = number(self.element, lanes, float("nan"))
            x = self.writer.let(f"select {truth} {nans}, {kind} {nan}, {kind} {x}")
        return cast(self.writer, self.dtype, self.result, lanes, x)

    def _across(self, state: list[str]) -> str:
        writer, held, kind, short = self.writer, state[0], self.type, suffix(self.element, self.lanes)
        if self.lanes == 1:
            return state[1] if self.op in POSITIONS else held
        if self.op in ("any", "all"):
            return self._truth("or" if self.op == "any" else "and", held)
        if self.op in ("sum", "prod"):
            op = "add" if self.op == "sum" else "mul"
            if self.dtype not in FLOATING:
                return writer.call(f"llvm.vector.reduce.{op}.{short}", self.element, (kind, held))
            name, first = f"llvm.vector.reduce.f{op}.{short}", number(self.element, 1, -0.0 if op == "add" else 1.0)
            declared = f"declare {self.element} @{name}({self.element}, {kind})"
            writer.helpers.setdefault(name, declared)
            return writer.let(f"call reassoc {self.element} @{name}({self.element} {first}, {kind} {held})")
        assert self.extreme is not None
        if self.dtype not in FLOATING:
            name = f"llvm.vector.reduce.{'s' if signed(self.dtype) else 'u'}{self.extreme[:3]}.{short}"
            best = writer.call(name, self.element, (kind, held))
            return best if self.op not in POSITIONS else self._first("icmp eq", best, state[1], held)
        name = f"llvm.vector.reduce.f{self.extreme[:3]}.{short}"
        writer.helpers.setdefault(name, f"declare {self.element} @{name}({kind})")
        best = writer.let(f"call {self.element} @{name}({kind} {held})")
        if self.op not in POSITIONS:
            return best
        nans = writer.let(f"fcmp uno {kind} {held}, {held}")
        return self._first("fcmp oeq", best, state[1], held, nans, self._truth("or", nans))

    def _truth(self, op: str, x: str) -> str:
        if self.lanes == 1:
            return x
        return self.writer.call(f"llvm.vector.reduce.{op}.{suffix('i1', self.lanes)}", "i1", (self.truth, x))

    def _first(self, same: str, best: str, positions: str, held: str, nans: str = "", any_nan: str = "") -> str:
        """The least position among the lanes that hold the best value, or NaN."""
        writer, where, element = self.writer, self.types[1], TYPES[self.place]
        all_best = splat(writer, self.element, self.lanes, best)
        found = writer.let(f"{same} {self.type} {held}, {all_best}")
        if nans:
            found = writer.let(f"select i1 {any_nan}, {self.truth} {nans}, {self.truth} {found}")
        none = number(element, self.lanes, (1 << (BITS[self.place] - 1)) - 1)
        there = writer.let(f"select {self.truth} {found}, {where} {positions}, {where} {none}")
        return writer.call(f"llvm.vector.reduce.smin.{suffix(element, self.lanes)}", element, (where, there))


def splat(writer: Writer, element: str, lanes: int, x: str) -> str:
    """One value in all lanes."""
    if lanes == 1:
        return x
    kind = vector(element, lanes)
    one = writer.let(f"insertelement {kind} poison, {element} {x}, i64 0")
    return writer.let(f"shufflevector {kind} {one}, {kind} poison, <{lanes} x i32> zeroinitializer")
