"""What is done with a tile of results before it leaves the registers: the body of a Matmul or Conv, on vectors.

Here: scalar instructions of kernels.py on vectors, at one row of a tile. Not here: memory and dtypes (vectors.py), the tile (tile.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..kernels import SIZES, Access, Inst
from .builder import Builder, Index
from .vectors import FLOATS, SUFFIX, TYPES, Vec, computed, constant, read, splat, write

COMPARE = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
FLOAT_OPS = {"add": "fadd contract", "sub": "fsub contract", "mul": "fmul contract", "div": "fdiv contract"}
INTEGER_OPS = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}
INTRINSICS = {"sqrt": "sqrt", "abs": "fabs", "floor": "floor", "ceil": "ceil", "trunc": "trunc", "round": "roundeven",
              "maximum": "maximum", "minimum": "minimum"}  # fmt: skip


class NotNative(Exception):
    """This kernel has no native form: the call stays in NumPy."""


class Row(NamedTuple):
    """Where in the iteration space the vectors of a tile's first row begin, and how many of their lanes are in use."""

    batch: Sequence[Index]
    row: Index
    column: Index
    lives: Sequence[int]


Shared = dict[tuple[int, int], str]
"""Loads that do not change from row to row: (instruction, vector) -> value."""


class Epilogue:
    """A body, ready to be written out at any place of the tile.

    `swapped`: the vectors run along the last dimension but one. `origin`, `step`: the tile's rows and columns are the iteration
    space's `origin + step * i`.
    """

    def __init__(
        self,
        b: Builder,
        v: Vec,
        body: Sequence[Inst],
        rank: int,
        swapped: bool,
        origin: tuple[int, int] = (0, 0),
        step: tuple[int, int] = (1, 1),
    ) -> None:
        self.b, self.v, self.body = b, v, tuple(body)
        self.rank, self.swapped = rank, swapped
        self.origin, self.step = origin, step

    def strides(self, access: Access) -> tuple[int, int]:
        """Elements from row to row, and from lane to lane."""
        row, column = access.strides[-2:]
        row, column = (column, row) if self.swapped else (row, column)
        return row * self.step[0], column * self.step[1]

    def weight(self) -> int:
        """About how many instructions a vector takes."""
        return sum(1 if inst.op in FLOAT_OPS or inst.op in ("load", "store", "product") else 3 for inst in self.body)

    def pointers(self, at: Row) -> list[str]:
        """Where each access of the body finds the first element of the tile."""
        b, found = self.b, []
        for inst in self.body:
            if inst.op not in ("load", "store"):
                found.append("")
                continue
            access: Access = inst.data
            along, across = self.strides(access)
            first = self.origin[0] * (along // self.step[0]) + self.origin[1] * (across // self.step[1])
            inside = b.add(b.add(b.mul(at.row, along), b.mul(at.column, across)), first)
            offset = b.add(b.dot(at.batch, access.strides[:-2]), inside)
            base = b.let(f"load ptr, ptr {b.at('%operands', 8 * access.operand)}, align 8")
            found.append(b.at(base, b.mul(offset, SIZES[access.dtype])))
        return found

    def write(self, pointers: Sequence[str], at: Row, offset: Index, products: Sequence[str], shared: Shared) -> None:
        """The body on one row of vectors, `offset` rows behind the tile's first."""
        for c, product in enumerate(products):
            values: list[str] = []
            for i, inst in enumerate(self.body):
                values.append(self._value(i, inst, values, pointers, at, offset, c, product, shared))

    def type(self, dtype: str) -> str:
        return f"<{self.v.lanes} x {TYPES[dtype]}>"

    def _value(
        self,
        i: int,
        inst: Inst,
        values: list[str],
        pointers: Sequence[str],
        at: Row,
        offset: Index,
        c: int,
        product: str,
        shared: Shared,
    ) -> str:
        if inst.op == "product":
            return product
        if inst.op in ("load", "store"):
            access: Access = inst.data
            along, across = self.strides(access)
            size = SIZES[access.dtype]
            place = self.b.add(self.b.mul(offset, along * size), c * self.v.lanes * across * size)
            if inst.op == "store":
                write(
                    self.b,
                    self.v.lanes,
                    access.dtype,
                    values[inst.args[0]],
                    self.b.at(pointers[i], place),
                    across,
                    at.lives[c],
                )
                return ""
            key = (i, c if across else 0)
            if along or key not in shared:
                shared[key] = read(
                    self.b, self.v.lanes, access.dtype, self.b.at(pointers[i], place), across, at.lives[c]
                )
            return shared[key]
        if inst.op == "const":
            return constant(self.v.lanes, inst.data, inst.dtype)
        if inst.op == "index":
            return self._index(inst.data, at, offset, c)
        return self._scalar(inst, [values[arg] for arg in inst.args], [self.body[arg].dtype for arg in inst.args])

    def _index(self, dimension: int, at: Row, offset: Index, c: int) -> str:
        b, lanes = self.b, self.v.lanes
        axis = dimension - (self.rank - 2)
        if axis < 0:
            return splat(b, lanes, str(at.batch[dimension]), "i64")
        if (axis == 0) != self.swapped:
            return splat(b, lanes, str(b.add(b.mul(b.add(at.row, offset), self.step[0]), self.origin[0])), "i64")
        first = b.add(b.mul(b.add(at.column, c * lanes), self.step[1]), self.origin[1])
        steps = "<" + ", ".join(f"i64 {lane * self.step[1]}" for lane in range(lanes)) + ">"
        return b.let(f"add <{lanes} x i64> {splat(b, lanes, str(first), 'i64')}, {steps}")

    def _scalar(self, inst: Inst, x: list[str], dtypes: list[str]) -> str:
        b, op, kind = self.b, inst.op, self.type(inst.dtype)
        floating = bool(dtypes) and dtypes[0] in FLOATS
        if op in COMPARE:
            sign = "" if op in ("eq", "ne") else "u" if dtypes[0] in ("uint8", "bool") else "s"
            test = f"fcmp {COMPARE[op]}" if floating else f"icmp {sign}{op}"
            return b.let(f"{test} {self.type(dtypes[0])} {x[0]}, {x[1]}")
        if op == "select":
            return b.let(f"select {self.type('bool')} {x[0]}, {kind} {x[1]}, {kind} {x[2]}")
        if op == "isnan" and floating:
            return b.let(f"fcmp uno {self.type(dtypes[0])} {x[0]}, zeroinitializer")
        if floating and op in FLOAT_OPS:
            return b.let(f"{FLOAT_OPS[op]} {kind} {x[0]}, {x[1]}")
        if not floating and op in INTEGER_OPS:
            return b.let(f"{INTEGER_OPS[op]} {kind} {x[0]}, {x[1]}")
        if op == "not" and inst.dtype == "bool":
            return b.let(f"xor {kind} {x[0]}, splat (i1 true)")
        if floating and op == "neg":
            return b.let(f"fneg {kind} {x[0]}")
        if floating and (op == "fma" or op in INTRINSICS):
            name = f"llvm.{INTRINSICS.get(op, op)}.v{self.v.lanes}{SUFFIX[TYPES[inst.dtype]]}"
            return b.call(name, kind, *((kind, y) for y in x))
        if floating and op == "reciprocal":
            return b.let(f"fdiv contract {kind} {constant(self.v.lanes, 1.0, inst.dtype)}, {x[0]}")
        if op == "cast" and {computed(dtypes[0]), computed(inst.dtype)} <= {"float32", "float64", "bool"}:
            return self._cast(x[0], computed(dtypes[0]), computed(inst.dtype))
        raise NotNative(f"{op} of {inst.dtype} behind a product")

    def _cast(self, value: str, source: str, target: str) -> str:
        if source == target:
            return value
        if target == "bool":
            return self.b.let(f"fcmp une {self.type(source)} {value}, zeroinitializer")
        op = "uitofp" if source == "bool" else "fpext" if target == "float64" else "fptrunc"
        return self.b.let(f"{op} {self.type(source)} {value} to {self.type(target)}")
