"""Sums of a weight's gradient along vectors of pixels: a few filters by a few taps in a register tile.

Both images are read in vectors; each accumulator is folded to a number after some images. It wastes nothing where filters are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from .. import costs
from ..kernels import ConvWeight
from .builder import Index
from .conv import forward_taps
from .correlate import Grid, Run, runs
from .image import Image, base_of, clear, image, room
from .tile import multiply_add, zeros
from .vectors import Vec, fold, read, write
from .weight_common import WeightWriter


class Chunk(NamedTuple):
    """Taps of a tile: so many channels, and of each the taps of some rows of the window (all, or one) and some of its columns."""

    channels: int
    rows: int
    columns: tuple[int, int]  # from, to


class Plan(NamedTuple):
    """How the gradient is carried out."""

    v: Vec
    image: Image
    grad: Image
    grid: Grid
    filters: int  # of a tile
    chunks: tuple[Chunk, ...]
    block: tuple[int, int]  # filters, channels
    blocks: tuple[int, int]
    lines: int
    pictures: int  # images whose sums are folded together
    nanoseconds: float


def plan(kernel: ConvWeight, v: Vec, machine: costs.Machine) -> Plan:
    """Tiles as square as the registers allow; blocks so that there are units to share."""
    w = kernel.window
    height, width = w.out
    _, _, reach = forward_taps(w)
    filters, channels = w.filters // w.groups, w.channels // w.groups
    tile, chunks = _tile(machine, filters, channels, w.kernel)

    # Before it is known how pixels lie in vectors: for the number of units only.
    total = w.batch * w.filters * height * width * channels * prod(w.kernel) / (v.lanes * machine.fma) / machine.ghz
    wanted = max(1, min(8, int(total / costs.WEIGHT_BLOCK_NS)) // w.groups)
    cut_filters, cut_channels = _cuts(
        wanted, -(-filters // tile), -(-channels // chunks[0].channels), filters / channels
    )
    block_channels = costs.share(channels, cut_channels, chunks[0].channels)
    block_filters = costs.share(filters, cut_filters, tile)
    blocks = -(-filters // block_filters), -(-channels // block_channels)

    parts = 1
    while True:
        lines = -(-height // parts)
        im = image(kernel.input, w.size, w.padding, w.stride, lines + reach[0], width + reach[1], v)
        grad = image(kernel.grad, w.out, (0, 0), (1, 1), lines, width, v)
        by_row = grad.direct and width % v.lanes == 0 and height % lines == 0
        if not by_row:  # flat: between the rows of the gradient stand zeros, and the input must have numbers there
            im = im._replace(direct=False, pitch=width + reach[1])
            grad = grad._replace(direct=False, pitch=im.pitch, slack=-lines * im.pitch % v.lanes)
        bytes_both = room(im, block_channels, v) + room(grad, block_filters, v)
        if lines <= 4 or bytes_both <= 0.7 * machine.l2:
            break
        parts += 1
    g = Grid(lines, width, im.pitch, v.lanes, not by_row)
    pictures = 1
    if lines == height:  # few pixels: the folding of sums would count, if every image had one of its own
        pictures = max(1, min(w.batch, -(-256 // g.vectors), int(0.5 * machine.l2 // max(bytes_both, 1))))
    vectors = w.batch * -(-height // lines) * g.vectors
    total = vectors * w.filters * channels * prod(w.kernel) / machine.fma * costs.coefficients().crossing / machine.ghz
    return Plan(v, im, grad, g, tile, chunks, (block_filters, block_channels), blocks, lines, pictures, total)


def _cuts(wanted: int, most_filters: int, most_channels: int, ratio: float) -> tuple[int, int]:
    """Blocks of filters and of channels, about `wanted` together: each block of the one copies all images of the other."""
    best = (1, 1)
    costs_of = []
    for channels in range(1, min(wanted, most_channels) + 1):
        filters = min(-(-wanted // channels), most_filters)
        costs_of.append((-min(filters * channels, wanted), filters + ratio * channels, (filters, channels)))
    if costs_of:
        best = min(costs_of)[2]
    return best


def _tile(
    machine: costs.Machine, filters: int, channels: int, kernel: tuple[int, int]
) -> tuple[int, tuple[Chunk, ...]]:
    """Filters and taps of a tile."""
    down, along = kernel
    room = machine.registers - 2
    most = room // 3
    if down * along <= most:
        chunks = [Chunk(max(1, min(channels, most // 2 // (down * along))), down, (0, along))]
    else:
        pieces = -(-along // most)
        edges = [along * i // pieces for i in range(pieces + 1)]
        chunks = [Chunk(1, 1, (a, z)) for a, z in zip(edges, edges[1:], strict=False)]
    taps = max(c.channels * c.rows * (c.columns[1] - c.columns[0]) for c in chunks)
    tile = max(1, min(filters, room // (taps + 1)))
    return tile, tuple(chunks)


class Pixels(WeightWriter):
    """Writes the gradient."""

    def __init__(self, kernel: ConvWeight, p: Plan) -> None:
        super().__init__(kernel)
        self.p, self.v, self.image, self.pictures, self.lines = p, p.v, p.image, p.pictures, p.lines
        self.block, self.blocks = p.block, p.blocks
        size = p.v.size
        block_filters, block_channels = min(p.block[0], self.filters), min(p.block[1], self.channels)
        image_bytes, grad_bytes = (
            -(-n // 64) * 64 for n in (room(p.image, block_channels, p.v), room(p.grad, block_filters, p.v))
        )
        self.at_image = self.scratch.take(p.pictures * image_bytes)
        self.at_grad = self.scratch.take(p.pictures * grad_bytes)
        self.image_apart = kernel.input.strides[0] * size if p.image.direct else image_bytes
        self.grad_apart = kernel.grad.strides[0] * size if p.grad.direct else grad_bytes
        self.per_filter = prod(self.window.kernel)
        self.cells = block_channels * self.per_filter
        self.cell = (self.cells, self.per_filter, self.window.kernel[1], 1)
        self.at_sums = self.scratch.take((block_filters * self.cells + 2 * p.v.lanes) * p.v.size)

    def _grads(self, n: Index, group: Index, first: Index, filters: Index, line: Index, count: Index) -> str:
        grads = base_of(self.b, self.kernel.grad, (n, self.b.add(self.b.mul(group, self.filters), first)))
        return self._copied(self.p.grad, self.kernel.grad, grads, self.at_grad, self.grad_apart, line, count, filters)

    def _clear(self) -> None:
        b, v = self.b, self.p.v
        for place, size in ((self.at_image, self.at_grad - self.at_image), (self.at_grad, self.at_sums - self.at_grad)):
            clear(b, v, b.at("%scratch", place), size)

    def _tiles(self, filters: Index, channels: Index, grads: str, images: str, pictures: Index) -> None:
        """All sums of some images (or a block of lines of one)."""
        b, p, v = self.b, self.p, self.p.v
        size, im = v.size, p.image

        def some(c: Index, count: int) -> None:
            picture = b.at(images, b.mul(c, im.channel * size))

            def tile(f: Index, height: int) -> None:
                grad = b.at(grads, b.mul(f, p.grad.channel * size))
                cell = b.add(b.mul(f, self.cells), b.mul(c, self.per_filter))
                for chunk in p.chunks:
                    self._chunk(chunk, height, count, grad, picture, cell, pictures)

            b.split(filters, p.filters, self.filters % p.filters, tile)

        step = p.chunks[0].channels
        b.split(channels, step, self.channels % step, some)

    def _chunk(
        self, chunk: Chunk, height: int, count: int, grad: str, picture: str, cell: Index, pictures: Index
    ) -> None:
        b, p, v = self.b, self.p, self.p.v
        along = self.along[chunk.columns[0] : chunk.columns[1]]
        if chunk.rows > 1 or len(self.down) == 1:
            places, cells = [], []
            for c in range(count):
                for offset, i in self.down:
                    for across, j in along:
                        places.append(c * p.image.channel + p.image.at(offset, 0) + p.image.at(0, across))
                        cells.append(c * self.per_filter + i * self.window.kernel[1] + j)
            self._sums(height, places, cells, grad, picture, cell, pictures)
            return
        places = [p.image.at(0, across) for across, _ in along]
        cells = [j for _, j in along]
        for run in runs([(p.image.at(offset, 0), i * self.window.kernel[1]) for offset, i in self.down]):

            def row(i: Index, _: list[str], run: Run = run) -> list[str]:
                pixel = b.add(run.start[0], b.mul(i, run.step[0]))
                target = b.add(b.add(run.start[1], b.mul(i, run.step[1])), cell)
                self._sums(height, places, cells, grad, b.at(picture, b.mul(pixel, v.size)), target, pictures)
                return []

            b.loop(0, run.times, 1, row)

    def _sums(
        self,
        height: int,
        places: Sequence[int],
        cells: Sequence[int],
        grad: str,
        picture: str,
        cell: Index,
        pictures: Index,
    ) -> None:
        """One register tile: over the pixels, folded, added to what earlier images gave."""
        b, p, v = self.b, self.p, self.p.v
        wide = len(places)

        def step(g: str, x: str, accs: Sequence[str], vector: int = 0) -> list[str]:
            grads = [
                read(b, v.lanes, v.dtype, b.at(g, (r * p.grad.channel + vector * v.lanes) * v.size))
                for r in range(height)
            ]
            after = list(accs)
            for c, place in enumerate(places):
                pixels = read(b, v.lanes, v.dtype, b.at(x, (place + vector * v.lanes) * v.size))
                for r in range(height):
                    after[r * wide + c] = multiply_add(b, v, grads[r], pixels, after[r * wide + c])
            return after

        def pixel(_: Index, values: list[str]) -> list[str]:
            g, x, *accs = values
            return [b.at(g, v.bytes), b.at(x, v.bytes), *step(g, x, accs)]

        def row(_: Index, values: list[str]) -> list[str]:
            g, x, *accs = values
            start = [("ptr", g), ("ptr", x), *((v.type, acc) for acc in accs)]
            if p.grid.in_row * len(accs) <= 64:
                for vector in range(p.grid.in_row):
                    accs = step(g, x, accs, vector)
            else:
                accs = b.loop(0, p.grid.in_row, 1, pixel, start)[2:]
            return [b.at(g, p.grad.pitch * v.size), b.at(x, p.image.pitch * v.size), *accs]

        def one(_: Index, values: list[str]) -> list[str]:
            g, x, *accs = values
            start = [("ptr", g), ("ptr", x), *((v.type, acc) for acc in accs)]
            if p.grid.flat:
                accs = b.loop(0, p.grid.vectors, 1, pixel, start)[2:]
            else:
                accs = b.loop(0, p.grid.rows, 1, row, start)[2:]
            return [b.at(g, self.grad_apart), b.at(x, self.image_apart), *accs]

        start = [("ptr", grad), ("ptr", picture), *((v.type, acc) for acc in zeros(height * wide))]
        accs = b.loop(0, pictures, 1, one, start, some=True)[2:]
        goal = b.at("%scratch", b.add(self.at_sums, b.mul(cell, v.size)))
        for first in range(0, len(accs), v.lanes):
            sums = fold(b, v, accs[first : first + v.lanes])
            for lane in range(min(v.lanes, len(accs) - first)):
                r, c = divmod(first + lane, wide)
                place = b.at(goal, (r * self.cells + cells[c]) * v.size)
                total = b.let(f"extractelement {v.type} {sums}, i64 {lane}")
                before = read(b, 1, v.dtype, place)
                write(b, 1, v.dtype, b.let(f"fadd {v.scalar} {before}, {total}"), place)
