"""Sums of a weight's gradient along vectors of filters: a few taps, broadcast from the input, by filters side by side.

The output's gradient is turned first, so that a pixel's filters are neighbours; the sums wait in scratch from image to image. The
way of many filters: the input is read where its pixels are, and nothing is computed but what is asked for.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from .. import costs
from ..kernels import SIZES, ConvWeight
from .builder import Index
from .conv import forward_taps
from .correlate import Run, runs
from .image import Image, base_of, clear, image, room
from .pack import panels
from .tile import turn
from .vectors import Vec, read, write
from .weight_common import WeightWriter


class Plan(NamedTuple):
    """How the gradient is carried out."""

    v: Vec
    image: Image
    vectors: int  # of filters, in a tile
    channels: int  # in a tile
    whole: bool  # a tile has all taps of a channel, not one row of them
    block: tuple[int, int]  # filters, channels
    blocks: tuple[int, int]
    lines: int
    nanoseconds: float

    @property
    def width(self) -> int:
        """Filters of a tile."""
        return self.vectors * self.v.lanes


def plan(kernel: ConvWeight, v: Vec, machine: costs.Machine) -> Plan:
    """The quickest tile; blocks so that there are units to share."""
    w = kernel.window
    height, width = w.out
    _, _, reach = forward_taps(w)
    filters, channels = w.filters // w.groups, w.channels // w.groups
    cycles, vectors, together, whole = _tile(machine, -(-filters // v.lanes), channels, w.kernel)
    total = cycles * w.groups * w.batch * height * width / machine.ghz
    wanted = max(1, int(min(4.0, total / costs.WEIGHT_BLOCK_NS)) // w.groups)
    cut_filters = min(wanted, -(-filters // (vectors * v.lanes)), 2)
    cut_channels = min(-(-wanted // cut_filters), -(-channels // together))
    block = costs.share(filters, cut_filters, vectors * v.lanes), costs.share(channels, cut_channels, together)
    blocks = -(-filters // block[0]), -(-channels // block[1])
    turned = w.batch * w.filters * height * width * blocks[1] * costs.coefficients().turn_cycles / machine.ghz
    lines = next(
        n
        for n in range(height, 0, -1)
        if height % n == 0
        and (n * width * min(block[0], filters) * v.size <= machine.l2 // 2 or n * width <= 64 or n == 1)
    )
    im = image(kernel.input, w.size, w.padding, w.stride, lines + reach[0], width + reach[1], v)
    return Plan(v, im, vectors, together, whole, block, blocks, lines, total + turned)


def _tile(machine: costs.Machine, vectors: int, channels: int, kernel: tuple[int, int]) -> tuple[float, int, int, bool]:
    """(cycles of a pixel, vectors, channels, whether with all taps) of the quickest tile."""
    best = (float("inf"), 1, 1, False)
    for wide in range(1, min(vectors, 6) + 1):
        panels = [wide] * (vectors // wide) + [vectors % wide] * (vectors % wide > 0)
        for whole in (True, False):
            taps, turns = (prod(kernel), 1) if whole else (kernel[1], kernel[0])
            for together in range(1, channels + 1):
                if not costs.tiles_fit(machine, taps * together, wide):
                    break
                parts = [together] * (channels // together) + [channels % together] * (channels % together > 0)
                # Equal parts are counted, not gone through one by one.
                cycles = sum(
                    panels.count(p) * parts.count(c) * turns * (costs.tile_cycles(machine, taps * c, p) + 0.5)
                    for p in set(panels)
                    for c in set(parts)
                )
                best = min(best, (cycles, wide, together, whole))
    return best


class Filters(WeightWriter):
    """Writes the gradient."""

    def __init__(self, kernel: ConvWeight, p: Plan) -> None:
        super().__init__(kernel)
        self.p, self.v, self.image, self.lines = p, p.v, p.image, p.lines
        self.block, self.blocks = p.block, p.blocks
        block_filters, block_channels = min(p.block[0], self.filters), min(p.block[1], self.channels)
        self.at_image = self.scratch.take(room(p.image, block_channels, p.v))
        self.image_apart = 0
        self.pixels = p.lines * self.window.out[1]
        padded = -(-block_filters // p.width) * p.width
        self.at_grad = self.scratch.take(padded * self.pixels * p.v.size)
        taps = prod(self.window.kernel)
        self.cell = (1, taps * padded, self.window.kernel[1] * padded, padded)
        self.at_sums = self.scratch.take((block_channels * taps * padded) * p.v.size)

    def _clear(self) -> None:
        clear(self.b, self.v, self.b.at("%scratch", self.at_image), self.at_grad - self.at_image)

    def _grads(self, n: Index, group: Index, first: Index, filters: Index, line: Index, count: Index) -> str:
        b, v, p, access = self.b, self.v, self.p, self.kernel.grad
        _, across, down, along = access.strides
        source = base_of(b, access, (n, b.mul(group, self.filters)))
        goal = b.at("%scratch", self.at_grad)
        width, size = self.window.out[1], SIZES[access.dtype]
        # Rows that follow each other are one.
        rows, steps = (1, self.pixels) if down == width * along or p.lines == 1 else (p.lines, width)

        def some(y: Index, _: list[str]) -> list[str]:
            start = b.at(source, b.mul(b.mul(b.add(line, y), down), size))
            place = b.at(goal, b.mul(y, width * p.width * v.size))
            panels(
                b, v, access.dtype, start, (along, across), steps, first, filters, self.filters, p.vectors, self.pixels, place
            )  # fmt: skip
            return []

        b.loop(0, rows, 1, some)
        return goal

    def _tiles(self, filters: Index, channels: Index, grads: str, images: str, pictures: Index) -> None:
        b, p, v = self.b, self.p, self.v

        def panel(f: Index, width: int) -> None:
            grad = b.at(grads, b.mul(f, self.pixels * v.size))

            def some(c: Index, count: int) -> None:
                picture = b.at(images, b.mul(c, p.image.channel * v.size))
                sums = b.at("%scratch", b.add(self.at_sums, b.mul(b.dot((f, c), self.cell[:2]), v.size)))
                self._rows(count, -(-width // v.lanes), grad, picture, sums)

            b.split(channels, p.channels, self.channels % p.channels, some)

        b.split(filters, p.width, self.filters % p.width, panel)

    def _rows(self, channels: int, vectors: int, grad: str, picture: str, sums: str) -> None:
        """All taps of some channels."""
        b, p, v = self.b, self.p, self.v
        along = [(p.image.at(0, offset), j * self.cell[3]) for offset, j in self.along]
        down = [(p.image.at(offset, 0), i * self.cell[2]) for offset, i in self.down]
        stack = [(c * p.image.channel, c * self.cell[1]) for c in range(channels)]
        if p.whole:
            places = [(s[0] + y[0] + x[0], s[1] + y[1] + x[1]) for s in stack for y in down for x in along]
            self._sums(places, vectors, grad, picture, sums)
            return
        places = [(s[0] + x[0], s[1] + x[1]) for s in stack for x in along]
        for run in runs(down):

            def row(i: Index, _: list[str], run: Run = run) -> list[str]:
                pixel, cell = (b.add(start, b.mul(i, step)) for start, step in zip(run.start, run.step, strict=True))
                self._sums(places, vectors, grad, b.at(picture, b.mul(pixel, v.size)), b.at(sums, b.mul(cell, v.size)))
                return []

            b.loop(0, run.times, 1, row)

    def _sums(self, places: list[tuple[int, int]], vectors: int, grad: str, picture: str, sums: str) -> None:
        """One register tile, over all pixels of an image; the images' sums are added up apart, which rounds less than one long sum."""
        b, p, v = self.b, self.p, self.v
        cells = [b.at(sums, (cell + c * v.lanes) * v.size) for _, cell in places for c in range(vectors)]
        accs = ["zeroinitializer"] * len(cells)

        def pixel(_: Index, values: list[str]) -> list[str]:
            g, x, *accs = values
            scalars = [b.at(x, place * v.size) for place, _ in places]
            grads = [read(b, v.lanes, v.dtype, b.at(g, c * v.bytes)) for c in range(vectors)]
            return [b.at(g, p.width * v.size), b.at(x, v.size), *turn(b, v, scalars, grads, accs)]

        def row(_: Index, values: list[str]) -> list[str]:
            g, x, *accs = values
            start = [("ptr", g), ("ptr", x), *((v.type, acc) for acc in accs)]
            after = b.loop(0, self.window.out[1], 1, pixel, start)
            return [after[0], b.at(x, p.image.pitch * v.size), *after[2:]]

        start = [("ptr", grad), ("ptr", picture), *((v.type, acc) for acc in accs)]
        for cell, acc in zip(cells, b.loop(0, p.lines, 1, row, start)[2:], strict=True):
            total = b.let(f"fadd {v.type} {read(b, v.lanes, v.dtype, cell)}, {acc}")
            write(b, v.lanes, v.dtype, total, cell)
