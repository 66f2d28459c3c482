"""A stack of channels times weights at every tap: the register tile of convolutions, and the grid of pixels it goes over.

Pixels lie along vectors, channels of the result are the tile's rows. A grid takes its pixels either row by row, or flat: as if the
image's rows were one, with the pixels between them computed and dropped, where that wastes less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from .builder import Builder, Index
from .tile import turn, zeros
from .vectors import Vec, read


class Run(NamedTuple):
    """Taps along one direction, evenly apart: (in the image, in the weights), in elements."""

    start: tuple[int, int]
    step: tuple[int, int]
    times: int


def runs(places: Sequence[tuple[int, int]]) -> list[Run]:
    """As few runs as neighbours in `places` allow."""
    found: list[Run] = []
    for place in places:
        if found:
            start, step, times = found[-1]
            ahead = (place[0] - start[0] - step[0] * (times - 1), place[1] - start[1] - step[1] * (times - 1))
            if times == 1 or ahead == step:
                found[-1] = Run(start, ahead if times == 1 else step, times + 1)
                continue
        found.append(Run(place, (0, 0), 1))
    return found


class Grid(NamedTuple):
    """rows x columns pixels of an image of `pitch`, in vectors."""

    rows: int
    columns: int
    pitch: int
    lanes: int
    flat: bool

    @property
    def in_row(self) -> int:
        """Vectors of a row, where rows are taken one by one."""
        return -(-self.columns // self.lanes)

    @property
    def pixels(self) -> int:
        """Lanes that matter, in flat order."""
        return (self.rows - 1) * self.pitch + self.columns

    @property
    def vectors(self) -> int:
        return -(-self.pixels // self.lanes) if self.flat else self.rows * self.in_row

    @property
    def out_pitch(self) -> int:
        """From row to row of the results, as they stand in the buffer."""
        return self.pitch if self.flat else self.in_row * self.lanes

    def even(self, vectors: int) -> bool:
        """Whether tiles of so many vectors have the same shape everywhere."""
        return self.flat or vectors % self.in_row == 0 or self.in_row % vectors == 0

    def places(self, vectors: int) -> list[int]:
        """Where a tile's vectors begin, from its first one on."""
        if self.flat or vectors < self.in_row:
            return [c * self.lanes for c in range(vectors)]
        return [c // self.in_row * self.pitch + c % self.in_row * self.lanes for c in range(vectors)]

    def place(self, b: Builder, vector: Index) -> Index:
        """Where a tile that begins with this vector begins."""
        if self.flat:
            return b.mul(vector, self.lanes)
        along = b.mul(b.mod(vector, self.in_row), self.lanes)
        return b.add(b.mul(b.div(vector, self.in_row), self.pitch), along)


def grid(rows: int, columns: int, pitch: int, lanes: int, whole_only: bool) -> Grid:
    """The way that takes fewer vectors; `whole_only`: nothing beyond a row's end may be read."""
    flat, by_row = (Grid(rows, columns, pitch, lanes, flat) for flat in (True, False))
    if whole_only and columns % lanes:
        return flat
    return by_row if by_row.vectors <= flat.vectors else flat


class Weights(NamedTuple):
    """Where the weights lie, in elements: from row to row of the tile, from channel to channel; how far all taps of one reach."""

    row: int
    channel: int
    taps: int


Taps = tuple[list[Run], list[Run]]
"""Down and along: the taps of a window are all pairs."""


def correlate(
    b: Builder,
    v: Vec,
    height: int,
    lives: Sequence[int],
    places: Sequence[int],
    taps: Taps,
    channels: int,
    channel: int,
    weights: Weights,
    image: str,
    weight: str,
) -> list[str]:
    """The sums of one tile; `image` and `weight` point to its first pixel and its first row, at tap and channel 0."""
    size = v.size

    def step(pixel: str, factor: str, accs: Sequence[str]) -> list[str]:
        scalars = [b.at(factor, r * weights.row * size) for r in range(height)]
        vectors = [
            read(b, v.lanes, v.dtype, b.at(pixel, p * size), 1, live) for p, live in zip(places, lives, strict=True)
        ]
        return turn(b, v, scalars, vectors, accs)

    wide = sum(run.times for run in taps[1])
    unrolled = height * len(lives) * wide <= 130
    # Weights whose channels are pages apart, as of a convolution turned round: nothing but this brings the next ones near in time.
    span = ((height - 1) * weights.row + max(weights.taps, 1)) * size
    ahead = range(0, span + 64, 64) if weights.channel * size >= 2048 and span <= 2048 else range(0)

    def along(pixel: str, factor: str, accs: Sequence[str]) -> list[str]:
        return over(b, v, taps[1], unrolled, pixel, factor, accs, step)

    def one(_: Index, values: list[str]) -> list[str]:
        pixel, factor, *accs = values
        for line in ahead:
            there = b.at(factor, weights.channel * size + line)
            b.do_call("llvm.prefetch.p0", ("ptr", there), ("i32", "0"), ("i32", "3"), ("i32", "1"))
        accs = over(b, v, taps[0], False, pixel, factor, accs, along)
        return [b.at(pixel, channel * size), b.at(factor, weights.channel * size), *accs]

    accs = zeros(height * len(lives))
    if not taps[0] or not taps[1]:
        return accs
    start = [("ptr", image), ("ptr", weight), *((v.type, acc) for acc in accs)]
    return b.loop(0, channels, 1, one, start)[2:]


def over(
    b: Builder, v: Vec, runs: Sequence[Run], unrolled: bool, pixel: str, factor: str, accs: Sequence[str],
    body: Callable[[str, str, Sequence[str]], list[str]],
) -> list[str]:  # fmt: skip
    """The body at every place of the runs."""
    accs = list(accs)
    for run in runs:
        places = [(run.start[0] + k * run.step[0], run.start[1] + k * run.step[1]) for k in range(run.times)]
        if unrolled or run.times == 1:
            for p, f in places:
                accs = body(b.at(pixel, p * v.size), b.at(factor, f * v.size), accs)
            continue

        def turn(_: Index, values: list[str], run: Run = run) -> list[str]:
            p, f, *accs = values
            return [b.at(p, run.step[0] * v.size), b.at(f, run.step[1] * v.size), *body(p, f, accs)]

        first = (b.at(pixel, run.start[0] * v.size), b.at(factor, run.start[1] * v.size))
        start = [("ptr", first[0]), ("ptr", first[1]), *((v.type, acc) for acc in accs)]
        accs = b.loop(0, run.times, 1, turn, start)[2:]
    return accs
