"""Rows added up by index: gradients of embeddings and of selections.

Each unit owns a block of the result's rows. It strings together, in scratch, the indices of each of its rows, and adds up the rows
they name in the order they stand: every sum has one order, no row of the result is touched twice, and none needs to be zero before.
"""

from __future__ import annotations

from math import prod

from .. import costs
from ..kernels import SIZES, NotNative, Scatter
from .builder import Builder, Index
from .code import Code
from .epilogue import Epilogue, Row
from .image import base_of, clear
from .names import symbol_of
from .pack import fetch
from .scalars import cast
from .scratch import Scratch
from .vectors import FLOATS, Vec, computed, read, write

INTEGERS = ("uint8", "int8", "int16", "int32", "int64")


def emit_scatter(kernel: Scatter, machine: costs.Machine | None = None) -> Code:
    """The kernel's text. Raises NotNative where the dtypes or the epilogue have no native form."""
    machine = machine or costs.machine()
    symbol = symbol_of(kernel, machine)
    if kernel.values.dtype not in FLOATS or kernel.indices.dtype not in INTEGERS:
        raise NotNative(f"rows of {kernel.values.dtype} added at {kernel.indices.dtype}")
    dtype = computed(kernel.values.dtype)
    writer = Writer(kernel, Vec(dtype, machine.vector // SIZES[dtype]))
    total = prod(kernel.batch) * (kernel.rows + kernel.picks) * (kernel.width / writer.v.lanes * 3 + 8) / machine.ghz
    wanted = max(1, min(16, int(total / costs.unit_ns()))) if prod(kernel.batch) < 16 else 1
    rows = max(1, -(-kernel.rows // wanted))
    return writer.write(symbol, rows, total)


class Writer:
    """Writes one kernel."""

    def __init__(self, kernel: Scatter, v: Vec) -> None:
        self.kernel, self.v, self.b = kernel, v, Builder()
        self.epilogue = Epilogue(self.b, v, kernel.body, len(kernel.batch) + 2, False)
        self.pitch = -(-kernel.width // v.lanes) * v.lanes

    def write(self, symbol: str, rows: int, nanoseconds: float) -> Code:
        b, k = self.b, self.kernel
        parts = -(-k.rows // rows)
        units = prod(k.batch) * parts if k.width else 0
        scratch = Scratch()
        self.at_heads = scratch.take(8 * rows)
        self.at_links = scratch.take(8 * k.picks)
        self.at_sums = scratch.take((self.pitch + self.v.lanes) * self.v.size)
        if units:
            b.loop("%lo", b.min("%hi", units), 1, lambda index, _: self._block(index, parts, rows))
        return Code(b.finish(symbol), symbol, units, scratch.bytes, nanoseconds if units else 0.0)

    def _block(self, index: Index, parts: int, rows: int) -> list[str]:
        b, k = self.b, self.kernel
        *batch, part = b.unravel(index, (*k.batch, parts))
        first = b.mul(part, rows)
        count = b.min(b.sub(k.rows, first), rows)
        heads, links = b.at("%scratch", self.at_heads), b.at("%scratch", self.at_links)
        indices, values = base_of(b, k.indices, batch), base_of(b, k.values, batch)

        def empty(r: Index, _: list[str]) -> list[str]:
            write(b, 1, "int64", "-1", b.at(heads, b.mul(r, 8)))
            return []

        b.loop(0, count, 1, empty)

        def string(i: Index, _: list[str]) -> list[str]:
            i = b.sub(k.picks - 1, i)  # from the last on: so that the first comes first
            place = b.at(indices, b.mul(i, k.indices.strides[-1] * SIZES[k.indices.dtype]))
            target = cast(b, k.indices.dtype, "int64", 1, read(b, 1, k.indices.dtype, place))
            wrapped = b.let(f"add i64 {target}, {k.rows}")
            target = b.let(f"select i1 {b.let(f'icmp slt i64 {target}, 0')}, i64 {wrapped}, i64 {target}")
            row = b.sub(target, first)
            inside = b.let(f"icmp ult i64 {row}, {count}")
            if k.skip is not None:
                inside = b.let(f"and i1 {inside}, {b.let(f'icmp ne i64 {target}, {k.skip % max(k.rows, 1)}')}")

            def link() -> None:
                head = b.at(heads, b.mul(row, 8))
                write(b, 1, "int64", read(b, 1, "int64", head), b.at(links, b.mul(i, 8)))
                write(b, 1, "int64", str(i), head)

            b.when(b.let(f"zext i1 {inside} to i64"), "ne", 0, link)
            return []

        b.loop(0, k.picks, 1, string)

        def row(r: Index, _: list[str]) -> list[str]:
            self._row(batch, b.add(first, r), read(b, 1, "int64", b.at(heads, b.mul(r, 8))), links, values)
            return []

        b.loop(0, count, 1, row)
        return []

    def _row(self, batch: list[Index], row: Index, head: str, links: str, values: str) -> None:
        b, k, v = self.b, self.kernel, self.v
        sums = b.at("%scratch", self.at_sums)
        clear(b, v, sums, self.pitch * v.size)
        size, (along, across) = SIZES[k.values.dtype], k.values.strides[-2:]

        def add(i: str) -> str:
            source = b.at(values, b.mul(i, along * size))

            def some(x: Index, live: int) -> None:
                value = fetch(b, v, k.values.dtype, b.at(source, b.mul(x, across * size)), across, live)
                cell = b.at(sums, b.mul(x, v.size))
                write(b, v.lanes, v.dtype, b.let(f"fadd {v.type} {read(b, v.lanes, v.dtype, cell)}, {value}"), cell)

            b.split(k.width, v.lanes, k.width % v.lanes, some)
            return read(b, 1, "int64", b.at(links, b.mul(i, 8)))

        b.follow(head, add)

        def finish(x: Index, live: int) -> None:
            at = Row(batch, row, x, [live])
            self.epilogue.write(
                self.epilogue.pointers(at), at, 0, [read(b, v.lanes, v.dtype, b.at(sums, b.mul(x, v.size)))], {}
            )

        b.split(k.width, v.lanes, k.width % v.lanes, finish)
