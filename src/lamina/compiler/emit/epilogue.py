"""What is done with a tile of results before it leaves the registers: the body of a Matmul or Conv, on vectors.

Here: scalar instructions of kernels.py on vectors, at one row of a tile. Not here: memory and dtypes (vectors.py), the tile (tile.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..kernels import SCALAR_OPS, SIZES, Access, Inst, NotNative
from .builder import Builder, Index
from .ir import TYPES, number
from .scalars import scalar
from .vectors import Vec, read, splat, write

SIMPLE = frozenset(
    (
        "product",
        "load",
        "store",
        "const",
        "add",
        "sub",
        "mul",
        "div",
        "neg",
        "fma",
        "select",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
    )
)


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
        total = 0
        for inst in self.body:
            if inst.op in ("load", "store") and self.strides(inst.data)[1] not in (0, 1):
                total += 2 * self.v.lanes
            else:
                total += 1 if inst.op in SIMPLE else 10
        return total

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

    def write(
        self,
        pointers: Sequence[str],
        at: Row,
        offset: Index,
        products: Sequence[str],
        shared: Shared,
        places: Sequence[str] = (),
    ) -> None:
        """The body on one row of vectors, `offset` rows behind the tile's first. `places`: what instructions of that name give."""
        for c, product in enumerate(products):
            given = {"product": product, "place": places[c] if places else ""}
            values: list[str] = []
            for i, inst in enumerate(self.body):
                if inst.op in given:
                    values.append(given[inst.op])
                elif inst.op == "load":
                    values.append(self._load(i, inst.data, pointers[i], at, offset, c, shared))
                elif inst.op == "store":
                    self._store(inst.data, values[inst.args[0]], pointers[i], at, offset, c)
                    values.append("")
                elif inst.op == "const":
                    values.append(number(TYPES[inst.dtype], self.v.lanes, inst.data))
                elif inst.op == "index":
                    values.append(self._index(inst.data, at, offset, c))
                else:
                    values.append(self._scalar(inst, [values[arg] for arg in inst.args]))

    def _scalar(self, inst: Inst, arguments: list[str]) -> str:
        if inst.op not in SCALAR_OPS:
            raise NotNative(f"{inst.op} behind a product")
        try:
            return scalar(self.b, inst.op, self.body[inst.args[-1]].dtype, inst.dtype, self.v.lanes, arguments)
        except NotImplementedError as error:
            raise NotNative(str(error)) from error

    def _place(self, access: Access, offset: Index, c: int) -> Index:
        along, across = self.strides(access)
        size = SIZES[access.dtype]
        return self.b.add(self.b.mul(offset, along * size), c * self.v.lanes * across * size)

    def _load(self, i: int, access: Access, pointer: str, at: Row, offset: Index, c: int, shared: Shared) -> str:
        along, across = self.strides(access)
        key = (i, c if across else 0)
        if along or key not in shared:
            place = self.b.at(pointer, self._place(access, offset, c))
            shared[key] = read(self.b, self.v.lanes, access.dtype, place, across, at.lives[c])
        return shared[key]

    def _store(self, access: Access, value: str, pointer: str, at: Row, offset: Index, c: int) -> None:
        place = self.b.at(pointer, self._place(access, offset, c))
        write(self.b, self.v.lanes, access.dtype, value, place, self.strides(access)[1], at.lives[c])

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
