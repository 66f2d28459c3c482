"""Matrix products with their epilogue: register tiles over blocks, operands packed where that pays.

One side of the product runs along vectors (`w`), the other is broadcast (`u`); which is which, the tile's shape and the blocks are
chosen by costs.py from the sizes alone. A unit is one block of rows and columns of one product, or a few small products.
The depth is never split between units: each element is summed by one thread, in one order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .. import costs
from ..kernels import SIZES, Matmul, NotNative
from . import pack
from .builder import Builder, Index
from .code import Code
from .epilogue import Epilogue, Row
from .names import symbol_of
from .scratch import Scratch
from .tile import Operand, run, zeros
from .vectors import FLOATS, Vec, read, write


class Side(NamedTuple):
    """One operand: strides in elements along the batch, the steps (k), and the result's rows or columns."""

    operand: int
    dtype: str
    batch: tuple[int, ...]
    step: int
    apart: int


class Plan(NamedTuple):
    """How a product is carried out. Rows: the broadcast side; columns: the vector side."""

    swapped: bool  # columns are m's
    rows: int
    columns: int
    depth: int
    v: Vec
    tile: tuple[int, int]  # rows, vectors
    block: tuple[int, int]  # rows, columns
    steps: int  # the depth of a block
    group: int  # blocks in a unit
    pack_rows: bool
    pack_columns: bool
    nanoseconds: float

    @property
    def width(self) -> int:
        """Columns of a tile."""
        return self.tile[1] * self.v.lanes

    @property
    def grid(self) -> tuple[int, int]:
        """Blocks: along columns, along rows."""
        return -(-self.columns // self.block[1]), -(-self.rows // self.block[0])


def sides(kernel: Matmul, swapped: bool) -> tuple[Side, Side]:
    """(u, w): what is broadcast and what lies in vectors."""
    *batch_a, a_m, a_k = kernel.a.strides
    *batch_b, b_k, b_n = kernel.b.strides
    # Strides along what has one element mean nothing.
    a = Side(kernel.a.operand, kernel.a.dtype, tuple(batch_a), a_k if kernel.k > 1 else 1, a_m if kernel.m > 1 else 1)
    b = Side(kernel.b.operand, kernel.b.dtype, tuple(batch_b), b_k if kernel.k > 1 else 1, b_n if kernel.n > 1 else 1)
    return (b, a) if swapped else (a, b)


def plan(kernel: Matmul, machine: costs.Machine) -> Plan:
    """The quicker of the two ways round."""
    dtype = kernel.body[0].dtype
    if dtype not in ("float32", "float64") or not {kernel.a.dtype, kernel.b.dtype} <= FLOATS:
        raise NotNative(f"a product of {kernel.a.dtype} and {kernel.b.dtype} in {dtype}")
    return min((_plan(kernel, machine, dtype, swapped) for swapped in (False, True)), key=lambda p: p.nanoseconds)


def _plan(kernel: Matmul, machine: costs.Machine, dtype: str, swapped: bool) -> Plan:
    u, w = sides(kernel, swapped)
    rows, columns, depth = (kernel.n, kernel.m, kernel.k) if swapped else (kernel.m, kernel.n, kernel.k)
    v = Vec(dtype, machine.vector // SIZES[dtype])
    vectors = -(-columns // v.lanes)
    tile_rows, tile_vectors, cycles = costs.best_tile(machine, max(rows, 1), max(vectors, 1), depth)
    products = 1
    for size in kernel.batch:
        products *= size

    width = tile_vectors * v.lanes
    steps = costs.depth_block(depth)
    far = w.step * SIZES[w.dtype] >= 2048 and depth >= 64 and rows >= 4 * tile_rows
    pack_columns = w.dtype != dtype or w.apart != 1 or far
    # Rows a page apart share a set of the first cache; steps far apart share few sets of the second one.
    apart, ahead = u.apart * SIZES[u.dtype], u.step * SIZES[u.dtype]
    crowded = apart % 4096 == 0 and tile_rows > 8 if u.step == 1 else ahead >= 2048
    crowded = crowded and depth >= 64 and columns >= 4 * width
    pack_rows = u.dtype != dtype or crowded or steps < depth
    if pack_columns:
        cycles += costs.pack_cycles(columns * depth, v.lanes, w.apart == 1, w.step == 1 and depth >= v.lanes)
    for inst in kernel.body:
        if inst.op in ("load", "store") and inst.data.strides[-2 if swapped else -1] not in (0, 1):
            cycles += costs.STRIDED * rows * columns
    each = cycles / machine.ghz

    block = (rows, columns)
    group = 1
    if each < costs.unit_ns():
        group = max(1, min(max(products, 1), round(costs.unit_ns() / max(each, 1.0))))
    else:
        weights = (1.0 if pack_rows else 0.3), (0.3 if not pack_columns else 1.0 if w.apart == 1 else 3.0)
        tile = tile_rows, width
        block = costs.blocks(machine, rows, columns, steps, tile, v.size, each, max(products, 1), weights)
    return Plan(
        swapped, rows, columns, depth, v, (tile_rows, tile_vectors), block, steps, group, pack_rows, pack_columns, each
    )


def emit_matmul(kernel: Matmul, machine: costs.Machine | None = None) -> Code:
    """The kernel's text. Raises NotNative where the dtypes or the epilogue have no native form."""
    machine = machine or costs.machine()
    symbol = symbol_of(kernel, machine)
    p = plan(kernel, machine)
    products = 1
    for size in kernel.batch:
        products *= size
    blocks = products * p.grid[0] * p.grid[1] if p.rows and p.columns else 0
    writer = Writer(kernel, p, blocks)
    text = writer.write(symbol)
    return Code(text, symbol, -(-blocks // p.group), writer.scratch.bytes, blocks and p.nanoseconds * products)


class Writer:
    """Writes one product."""

    def __init__(self, kernel: Matmul, p: Plan, blocks: int) -> None:
        self.kernel, self.p, self.blocks = kernel, p, blocks
        self.b = Builder()
        self.u, self.w = sides(kernel, p.swapped)
        self.epilogue = Epilogue(self.b, p.v, kernel.body, len(kernel.batch) + 2, p.swapped)
        self.several = p.steps < p.depth
        self.scratch = Scratch()
        size = p.v.size
        panel_count = -(-min(p.block[1], p.columns) // p.width)
        self.at_panels = self.scratch.take(panel_count * p.steps * p.width * size if p.pack_columns else 0)
        # A row's pitch is an odd number of vectors, so that rows spread over the cache's sets.
        self.pitch = (-(-p.steps // p.v.lanes) | 1) * p.v.lanes
        most = min(p.block[0], p.rows)
        room = most * self.pitch if self.u.step == 1 else (most + p.tile[0]) * p.steps + p.v.lanes
        self.at_rows = self.scratch.take(room * size if p.pack_rows else 0)
        self.tile_bytes = p.tile[0] * p.width * size
        self.tiles = -(-min(p.block[0], p.rows) // p.tile[0])
        self.at_sums = self.scratch.take(self.tile_bytes * (self.tiles * panel_count if self.several else 1))

    def write(self, symbol: str) -> str:
        b, p = self.b, self.p
        if self.blocks:
            first = b.mul("%lo", p.group)
            last = b.min(b.mul("%hi", p.group), self.blocks)
            b.loop(first, last, 1, lambda index, _: self._block(index))
        return b.finish(symbol)

    def _block(self, index: Index) -> list[str]:
        b, p = self.b, self.p
        across, down = p.grid
        *batch, column, row = b.unravel(index, (*self.kernel.batch, across, down))
        row, column = b.mul(row, p.block[0]), b.mul(column, p.block[1])
        rows = p.rows if down == 1 else b.min(b.sub(p.rows, row), p.block[0])
        columns = p.columns if across == 1 else b.min(b.sub(p.columns, column), p.block[1])
        u = self._pointer(self.u, batch)
        w = self._pointer(self.w, batch)
        if self.several:
            self._clear()

        def slab(k: Index, _: list[str]) -> list[str]:
            steps = b.min(b.sub(p.depth, k), p.steps) if self.several else p.depth
            self._slab(batch, row, rows, column, columns, k, steps, u, w)
            return []

        if self.several:
            b.loop(0, p.depth, p.steps, slab, some=True)
        else:
            slab(0, [])
        return []

    def _pointer(self, side: Side, batch: Sequence[Index]) -> str:
        base = self.b.let(f"load ptr, ptr {self.b.at('%operands', 8 * side.operand)}, align 8")
        return self.b.at(base, self.b.mul(self.b.dot(batch, side.batch), SIZES[side.dtype]))

    def _clear(self) -> None:
        b, v = self.b, self.p.v
        start = b.at("%scratch", self.at_sums)

        def one(i: Index, _: list[str]) -> list[str]:
            write(b, v.lanes, v.dtype, "zeroinitializer", b.at(start, i))
            return []

        b.loop(0, self.scratch.bytes - self.at_sums, v.bytes, one)

    def _slab(
        self,
        batch: Sequence[Index],
        row: Index,
        rows: Index,
        column: Index,
        columns: Index,
        k: Index,
        steps: Index,
        u: str,
        w: str,
    ) -> None:
        """One block of the result, `steps` deep from k on."""
        b, p, v = self.b, self.p, self.p.v
        u = b.at(u, b.mul(k, self.u.step * SIZES[self.u.dtype]))
        w = b.at(w, b.mul(k, self.w.step * SIZES[self.w.dtype]))
        down, across = (
            Operand(u, self.u.step * v.size, self.u.apart * v.size),
            Operand(w, self.w.step * v.size, v.bytes),
        )
        u_row, w_panel = self.u.apart * v.size, p.width * v.size
        if p.pack_columns:
            place = b.at("%scratch", self.at_panels)
            strides = self.w.step, self.w.apart
            pack.panels(b, v, self.w.dtype, w, strides, steps, column, columns, p.columns, p.tile[1], p.steps, place)
            across = Operand(place, p.width * v.size, v.bytes)
            w_panel = p.steps * p.width * v.size
        else:
            across = across._replace(pointer=b.at(w, b.mul(column, v.size)))
        if p.pack_rows:
            place = b.at("%scratch", self.at_rows)
            source = b.at(u, b.mul(row, self.u.apart * SIZES[self.u.dtype]))
            if self.u.step == 1:
                pack.rows(b, v, self.u.dtype, source, self.u.apart, rows, steps, self.pitch, place)
                down, u_row = Operand(place, v.size, self.pitch * v.size), self.pitch * v.size
            else:
                strides = self.u.step, self.u.apart
                pack.strips(b, v, self.u.dtype, source, strides, steps, rows, p.rows, p.tile[0], p.steps, place)
                down, u_row = Operand(place, p.tile[0] * v.size, v.size), p.steps * v.size
        else:
            down = down._replace(pointer=b.at(u, b.mul(row, self.u.apart * v.size)))

        def panel(j: Index, width: int) -> None:
            lives = [min(v.lanes, width - start) for start in range(0, width, v.lanes)]
            number = b.div(j, p.width)
            w_at = b.at(across.pointer, b.mul(number, w_panel))

            def tile(i: Index, height: int) -> None:
                u_at = b.at(down.pointer, b.mul(i, u_row))
                slot: Index = 0
                if self.several:
                    slot = b.mul(b.add(b.mul(number, self.tiles), b.div(i, p.tile[0])), self.tile_bytes)
                sums = b.at("%scratch", b.add(self.at_sums, slot))
                operands = down._replace(pointer=u_at), across._replace(pointer=w_at)
                here = Row(batch, b.add(row, i), b.add(column, j), lives)
                self._tile(height, steps, operands, sums, here, k)

            b.split(rows, p.tile[0], p.rows % p.tile[0], tile)

        b.split(columns, p.width, p.columns % p.width, panel)

    def _tile(
        self, height: int, steps: Index, operands: tuple[Operand, Operand], sums: str, here: Row, k: Index
    ) -> None:
        b, p, v = self.b, self.p, self.p.v
        wide = len(here.lives)
        row_bytes = p.width * v.size
        accs = zeros(height * wide)
        if self.several:
            accs = [
                read(b, v.lanes, v.dtype, b.at(sums, r * row_bytes + c * v.bytes))
                for r in range(height)
                for c in range(wide)
            ]
        down, across = operands
        lives = [v.lanes] * wide if p.pack_columns else list(here.lives)
        accs = run(b, v, height, lives, steps, down, across, accs)
        few = height * wide * self.epilogue.weight() <= 120
        if self.several or not few:
            for r in range(height):
                for c in range(wide):
                    write(b, v.lanes, v.dtype, accs[r * wide + c], b.at(sums, r * row_bytes + c * v.bytes))

        def finish() -> None:
            pointers = self.epilogue.pointers(here)
            shared: dict[tuple[int, int], str] = {}
            if few and not self.several:
                for r in range(height):
                    self.epilogue.write(pointers, here, r, accs[r * wide : r * wide + wide], shared)
                return

            def row(r: Index, _: list[str]) -> list[str]:
                start = b.at(sums, b.mul(r, row_bytes))
                products = [read(b, v.lanes, v.dtype, b.at(start, c * v.bytes)) for c in range(wide)]
                self.epilogue.write(pointers, here, r, products, {})
                return []

            b.loop(0, height, 1, row)

        if self.several:
            b.when(b.add(k, steps), "eq", p.depth, finish)
        else:
            finish()
