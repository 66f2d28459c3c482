"""Convolutions, forward and towards the input: every block of output rows of an image is one walk of the register tile.

The two are one thing: the gradient of the input is a convolution of the output's gradient with the taps turned round, for each of
the stride's phases by itself. A unit is a block of rows of one image (or a few small images). Not here: the weight's gradient
(conv_weight.py).
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from .. import costs
from ..kernels import SIZES, Access, Conv, ConvInput, Inst, NotNative, Window
from .builder import Builder, Index
from .code import Code
from .correlate import Grid, Taps, Weights, correlate, grid, runs
from .epilogue import Epilogue, Row
from .image import Image, base_of, clear, fill, image, room
from .names import symbol_of
from .pack import copy
from .scratch import Scratch
from .vectors import FLOATS, Vec, read, write

MOST_PHASES = 9


class Phase(NamedTuple):
    """Output pixels (origin + step * i) that share their taps: offsets in rows and columns of the image, numbers of the tap."""

    origin: tuple[int, int]
    step: tuple[int, int]
    size: tuple[int, int]
    taps: tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]  # (offset, tap), down and along


class Task(NamedTuple):
    """What both directions come to."""

    source: Access  # the images that are read
    size: tuple[int, int]
    origin: tuple[int, int]
    split: tuple[int, int]
    reach: tuple[int, int]  # how far behind its own pixel a tap reads, in rows and columns of a plane
    phases: tuple[Phase, ...]
    rows: int  # of the result, of a group: its channels
    depth: int  # channels that are summed over
    weight: Access
    turned: bool  # rows of the tile are the weight's second dimension
    body: tuple[Inst, ...]


Offsets = tuple[tuple[int, int], ...]
"""Taps in one direction: (how far from the window's beginning, in pixels; number of the tap)."""


def forward_taps(w: Window) -> tuple[Offsets, Offsets, tuple[int, int]]:
    """Taps down and along, in an order that makes few runs of evenly spaced ones; their reach in rows and columns of planes."""
    taps, reach = [], []
    for k, stride, dilation in zip(w.kernel, w.stride, w.dilation, strict=True):
        pairs = [(i * dilation, i) for i in range(k)]
        if k * dilation > stride * min(stride, k):  # fewer planes than taps in one: plane by plane
            pairs = [pair for plane in range(stride) for pair in pairs if pair[0] % stride == plane]
        taps.append(tuple(pairs))
        reach.append((k - 1) * dilation // stride)
    return taps[0], taps[1], (reach[0], reach[1])


def forward(kernel: Conv) -> Task:
    """One phase: every output pixel has all taps."""
    w = kernel.window
    down, along, reach = forward_taps(w)
    phase = Phase((0, 0), (1, 1), w.out, (down, along))
    return Task(
        kernel.input, w.size, w.padding, w.stride, reach, (phase,), w.filters // w.groups, w.channels // w.groups,
        kernel.weight, False, kernel.body,
    )  # fmt: skip


def backward(kernel: ConvInput) -> Task:
    """One phase for each pixel of the stride's square; the image is the output's gradient."""
    w = kernel.window
    if prod(w.stride) > MOST_PHASES:
        raise NotNative(f"a gradient through strides of {w.stride}: each phase of them would be code of its own")
    choices, margins, reach = [], [], []
    for k, stride, padding, dilation, size in zip(w.kernel, w.stride, w.padding, w.dilation, w.size, strict=True):
        found = []
        for a in range(min(stride, size)):
            taps = [
                ((a + padding - i * dilation) // stride, i)
                for i in range(k)
                if (a + padding - i * dilation) % stride == 0
            ]
            found.append((a, -(-(size - a) // stride), taps))
        offsets = [offset for _, _, taps in found for offset, _ in taps] or [0]
        margin = max(0, -min(offsets))
        choices.append([(a, count, tuple(sorted((o + margin, i) for o, i in taps))) for a, count, taps in found])
        margins.append(margin)
        reach.append(max(0, max(offsets) + margin))
    phases = tuple(
        Phase((a, z), w.stride, (rows, columns), (down, along))
        for a, rows, down in choices[0]
        for z, columns, along in choices[1]
    )
    return Task(
        kernel.grad, w.out, (margins[0], margins[1]), (1, 1), (reach[0], reach[1]), phases, w.channels // w.groups,
        w.filters // w.groups, kernel.weight, True, kernel.body,
    )  # fmt: skip


class Plan(NamedTuple):
    """How a task is carried out."""

    v: Vec
    image: Image
    grids: tuple[Grid, ...]  # one for each phase
    tiles: tuple[tuple[int, int], ...]  # rows, vectors
    lines: int  # rows of pixels in a block
    filters: int  # rows of the tile in a block
    blocks: tuple[int, int]  # of filters, of lines
    group: int
    nanoseconds: float  # of everything


def plan(task: Task, window: Window, machine: costs.Machine) -> Plan:
    """Blocks that leave the image in the second cache, and enough of them."""
    dtype = task.body[0].dtype
    if dtype not in ("float32", "float64") or not {task.source.dtype, task.weight.dtype} <= FLOATS:
        raise NotNative(f"a convolution of {task.source.dtype} and {task.weight.dtype} in {dtype}")
    v = Vec(dtype, machine.vector // SIZES[dtype])
    height = max(phase.size[0] for phase in task.phases)
    width = max(phase.size[1] for phase in task.phases) + task.reach[1]
    units, lines = window.batch * window.groups, height
    parts = 1
    while True:
        lines = -(-height // parts)
        im = image(task.source, task.size, task.origin, task.split, lines + task.reach[0], width, v)
        if im.direct and (height % lines or height + task.reach[0] > task.size[0]):
            im = im._replace(direct=False, pitch=width)
        pixels = (lines + task.reach[0]) * im.pitch * v.size
        big = pixels * task.depth * prod(task.split) > 0.4 * machine.l2 or pixels > machine.l1 / 4
        if lines <= 4 or not big:
            break
        parts += 1
    grids = [grid(lines, phase.size[1], im.pitch, v.lanes, im.direct) for phase in task.phases]
    cycles, tiles = 0.0, []
    for phase, g in zip(task.phases, grids, strict=True):
        steps = len(phase.taps[0]) * len(phase.taps[1]) * task.depth
        rows, vectors, one = costs.best_tile(machine, task.rows, g.vectors, steps, g.even)
        tiles.append((rows, vectors))
        cycles += one + 2.0 * task.rows * g.vectors
    if not im.direct:
        cycles += costs.pack_cycles(task.depth * (im.rows * im.pitch) * prod(task.split), v.lanes, True, False)
    each = cycles / machine.ghz
    parts = -(-height // lines)
    heights = {rows for rows, _ in tiles}
    # A block holds whole tiles, but for the last one: of every phase.
    cut = costs.filter_blocks(task.rows, max(heights), units * parts, each) if len(heights) == 1 else 1
    filters = costs.share(task.rows, cut, tiles[0][0])
    cut = -(-task.rows // filters)
    total = units * parts * each
    count = units * parts * cut
    group = costs.group(count, total)
    return Plan(v, im, tuple(grids), tuple(tiles), lines, filters, (cut, parts), group, total)


def emit_conv(kernel: Conv | ConvInput, machine: costs.Machine | None = None) -> Code:
    """The kernel's text. Raises NotNative where the dtypes or the epilogue have no native form."""
    machine = machine or costs.machine()
    task = forward(kernel) if isinstance(kernel, Conv) else backward(kernel)
    window = kernel.window
    symbol = symbol_of(kernel, machine)
    whole = [prod(phase.size) for phase in task.phases]
    if not (window.batch and task.rows and sum(whole)) or not task.depth:
        b = Builder()
        if window.batch and task.rows and sum(whole):
            raise NotNative("a convolution of no channels")
        return Code(b.finish(symbol), symbol, 0, 0, 0.0)
    p = plan(task, window, machine)
    writer = Writer(task, window, p)
    return Code(
        writer.text(symbol),
        symbol,
        -(-writer.blocks // p.group),
        writer.scratch.bytes,
        p.nanoseconds,
    )


class Writer:
    """Writes one task."""

    def __init__(self, task: Task, window: Window, p: Plan) -> None:
        self.task, self.window, self.p = task, window, p
        self.b = Builder()
        self.blocks = window.batch * window.groups * prod(p.blocks)
        self.scratch = Scratch()
        self.at_image = self.scratch.take(room(p.image, task.depth, p.v))
        weight = task.weight
        self.packed = weight.dtype != p.v.dtype
        self.taps = prod(window.kernel)
        self.at_weight = self.scratch.take(p.filters * task.depth * self.taps * p.v.size if self.packed else 0)
        most = max(rows * (g.vectors + 1) for (rows, _), g in zip(p.tiles, p.grids, strict=True))
        self.at_sums = self.scratch.take(most * p.v.bytes)
        if self.packed:
            self.strides = (task.depth * self.taps, self.taps, window.kernel[1], 1)
        else:
            first, second, down, along = weight.strides
            self.strides = (second, first, down, along) if task.turned else (first, second, down, along)

    def text(self, symbol: str) -> str:
        b, p = self.b, self.p
        if not p.image.direct and p.blocks[1] == 1:
            self._clear()  # its border stays as it is from block to block
        first, last = b.mul("%lo", p.group), b.min(b.mul("%hi", p.group), self.blocks)
        b.loop(first, last, 1, lambda index, _: self._block(index))
        return b.finish(symbol)

    def _clear(self) -> None:
        clear(self.b, self.p.v, self.b.at("%scratch", self.at_image), self.at_weight - self.at_image - self.p.v.bytes)

    def _block(self, index: Index) -> list[str]:
        b, p, task, v = self.b, self.p, self.task, self.p.v
        n, group, part, line = b.unravel(index, (self.window.batch, self.window.groups, *p.blocks))
        line, filters = b.mul(line, p.lines), b.mul(part, p.filters)
        base = base_of(b, task.source, (n, b.mul(group, task.depth)))
        if p.image.direct:
            pixels = b.at(base, b.mul(line, p.image.pitch * v.size))
        else:
            pixels = b.at("%scratch", self.at_image)
            if p.blocks[1] > 1:
                self._clear()
            fill(b, v, p.image, base, task.depth, line, pixels)
        count = task.rows if p.blocks[0] == 1 else b.min(b.sub(task.rows, filters), p.filters)
        weight = self._weight(group, filters, count)
        for number in range(len(task.phases)):
            self._phase(number, n, group, filters, count, line, pixels, weight)
        return []

    def _weight(self, group: Index, filters: Index, count: Index) -> str:
        """The address of the block's first row of weights."""
        b, task, v = self.b, self.task, self.p.v
        access = task.weight
        if task.turned:
            base = base_of(b, access, (b.mul(group, task.depth), filters))
        else:
            base = base_of(b, access, (b.add(b.mul(group, task.rows), filters),))
        if not self.packed:
            return base
        row, channel = (access.strides[1], access.strides[0]) if task.turned else (access.strides[0], access.strides[1])
        size, (down, along) = SIZES[access.dtype], access.strides[2:]
        goal = b.at("%scratch", self.at_weight)

        def rows(r: Index, _: list[str]) -> list[str]:
            def channels(c: Index, _: list[str]) -> list[str]:
                def lines(i: Index, _: list[str]) -> list[str]:
                    source = b.at(base, b.mul(b.dot((r, c, i), (row, channel, down)), size))
                    place = b.at(goal, b.mul(b.dot((r, c, i), self.strides[:3]), v.size))
                    copy(b, v, access.dtype, source, along, self.window.kernel[1], place, exact=True)
                    return []

                return b.loop(0, self.window.kernel[0], 1, lines)

            return b.loop(0, task.depth, 1, channels)

        b.loop(0, count, 1, rows)
        return goal

    def _phase(
        self, number: int, n: Index, group: Index, filters: Index, count: Index, line: Index, pixels: str, weight: str
    ) -> None:
        b, p, task, v = self.b, self.p, self.task, self.p.v
        phase, g, (rows, vectors) = task.phases[number], p.grids[number], p.tiles[number]
        down = runs([(p.image.at(offset, 0), tap * self.strides[2]) for offset, tap in phase.taps[0]])
        along = runs([(p.image.at(0, offset), tap * self.strides[3]) for offset, tap in phase.taps[1]])
        epilogue = Epilogue(b, v, task.body, 4, False, phase.origin, phase.step)
        lines = phase.size[0] if p.blocks[1] == 1 else b.max(b.min(b.sub(phase.size[0], line), p.lines), 0)
        row_bytes = (g.vectors + 1) * v.bytes
        sums = b.at("%scratch", self.at_sums)
        whole = g.vectors - g.vectors % vectors

        def tile(r: Index, height: int) -> None:
            factors = b.at(weight, b.mul(r, self.strides[0] * v.size))

            def columns(t: Index, wide: int, last: bool) -> list[str]:
                lives = [v.lanes] * wide
                if last and g.flat and p.image.direct:
                    lives[-1] = g.pixels - (g.vectors - 1) * v.lanes
                place = b.at(pixels, b.mul(g.place(b, t), v.size))
                accs = self._sums(height, lives, g.places(wide), (down, along), place, factors)
                goal = b.at(sums, b.mul(t, v.bytes))
                for i, acc in enumerate(accs):
                    write(b, v.lanes, v.dtype, acc, b.at(goal, i // wide * row_bytes + i % wide * v.bytes))
                return []

            rest = g.vectors - whole
            masked = not rest and g.flat and p.image.direct and g.pixels % v.lanes
            end = whole - vectors if masked else whole
            b.loop(0, end, vectors, lambda t, _: columns(t, vectors, False))
            if masked:
                columns(end, vectors, True)
            if rest:
                columns(whole, rest, True)

            def channel(i: Index, _: list[str]) -> list[str]:
                index = n, b.add(b.add(b.mul(group, task.rows), filters), b.add(r, i))
                start = b.at(sums, b.mul(i, row_bytes))

                def stripe(x: Index, width: int) -> None:
                    at = Row(index, line, x, [min(v.lanes, width - c) for c in range(0, width, v.lanes)])
                    pointers = epilogue.pointers(at)

                    def pixel_row(y: Index, _: list[str]) -> list[str]:
                        place = b.at(start, b.mul(b.add(b.mul(y, g.out_pitch), x), v.size))
                        products = [read(b, v.lanes, v.dtype, b.at(place, c * v.bytes)) for c in range(len(at.lives))]
                        epilogue.write(pointers, at, y, products, {})
                        return []

                    b.loop(0, lines, 1, pixel_row)

                b.split(g.columns, 4 * v.lanes, g.columns % (4 * v.lanes), stripe)
                return []

            b.loop(0, height, 1, channel)

        b.split(count, rows, task.rows % rows, tile)

    def _sums(
        self, height: int, lives: list[int], places: list[int], taps: Taps, pixels: str, factors: str
    ) -> list[str]:
        reach = sum((k - 1) * s for k, s in zip(self.window.kernel, self.strides[2:], strict=True))
        weights = Weights(self.strides[0], self.strides[1], reach + 1)
        im = self.p.image
        return correlate(
            self.b, self.p.v, height, lives, places, taps, self.task.depth, im.channel, weights, pixels, factors
        )
