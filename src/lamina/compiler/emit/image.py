"""Images as convolutions read them: every tap of every output pixel at a fixed distance, and a vector of neighbours contiguous.

An image that is padded, strided over or stored narrow is copied into scratch: with its border of zeros, and split by the window's
stride into planes, so that pixels `stride` apart become neighbours. Any other is read where it lies. Not here: the sums (correlate.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..kernels import SIZES, Access
from .builder import Builder, Index
from .ir import number
from .pack import copy
from .vectors import Vec, write


class Image(NamedTuple):
    """A stack of channels as it is read: element (channel, row, column) of plane (a, b) in elements of v.dtype."""

    source: Access  # strides over (batch, channels, height, width)
    size: tuple[int, int]  # of the source
    origin: tuple[int, int]  # how many rows and columns of zeros stand before it
    split: tuple[int, int]  # planes by row and by column
    rows: int  # of a plane, in a block
    pitch: int
    direct: bool  # read where it lies: one plane, no border
    slack: int = 0  # zeros behind a plane

    @property
    def plane(self) -> int:
        return self.rows * self.pitch + self.slack

    @property
    def channel(self) -> int:
        """From channel to channel."""
        return self.source.strides[1] if self.direct else self.split[0] * self.split[1] * self.plane

    def at(self, row: int, column: int) -> int:
        """Where the pixel that lies `row` rows and `column` columns behind a multiple of the split stands."""
        (y, a), (x, b) = divmod(row, self.split[0]), divmod(column, self.split[1])
        return (a * self.split[1] + b) * self.plane + y * self.pitch + x


def image(
    source: Access,
    size: tuple[int, int],
    origin: tuple[int, int],
    split: tuple[int, int],
    rows: int,
    width: int,
    v: Vec,
) -> Image:
    """The image that a block of output rows reads `rows` rows of, each `width` wide, in each plane."""
    plain = origin == (0, 0) and split == (1, 1) and source.dtype == v.dtype and source.strides[3] == 1
    direct = plain and width <= size[1] and size[1] <= source.strides[2] <= size[1] * 5 // 4
    return Image(source, size, origin, split, rows, source.strides[2] if direct else width, direct)


def room(im: Image, channels: int, v: Vec) -> int:
    """Bytes of scratch: the copy, and a vector behind it that is read but does not matter."""
    return 0 if im.direct else (channels * im.channel + 2 * v.lanes) * v.size


def clear(b: Builder, v: Vec, start: str, size: int, value: float = 0.0) -> None:
    """Zeros (or another number) in `size` bytes, or up to a vector more."""

    def one(i: Index, _: list[str]) -> list[str]:
        write(b, v.lanes, v.dtype, number(v.scalar, v.lanes, value), b.at(start, i))
        return []

    b.loop(0, size, v.bytes, one)


def fill(
    b: Builder, v: Vec, im: Image, base: str, channels: Index, first: Index, target: str, exact: bool = False
) -> None:
    """Copy the rows of each plane from row `first` on. `base`: the first channel's first pixel. The border is there already.

    Behind a row's end up to a vector of zeros is written, into what comes later or is zero anyway; not if `exact`.
    """
    size = SIZES[im.source.dtype]
    _, along, down, across = im.source.strides

    (top, first_column), (down_by, along_by) = im.origin, im.split

    def channel(c: Index, _: list[str]) -> list[str]:
        if down_by * along_by <= 4:
            for a in range(down_by):
                for z in range(along_by):
                    plane(c, a, z)
            return []

        def one(p: Index, _: list[str]) -> list[str]:
            plane(c, b.div(p, along_by), b.mod(p, along_by))
            return []

        return b.loop(0, down_by * along_by, 1, one)

    def begin(before: int, offset: Index, by: int) -> Index:
        """The first row (or column) of a plane that is one of the source."""
        return b.div(b.add(b.max(b.sub(before, offset), 0), by - 1), by)

    def plane(c: Index, a: Index, z: Index) -> None:
        # Row r of the plane is the source's row (first + r) * split + a - origin.
        lo = b.max(b.sub(begin(top, a, down_by), first), 0)
        hi = b.min(b.sub(begin(im.size[0] + top, a, down_by), first), im.rows)
        left = begin(first_column, z, along_by)
        length = b.sub(b.min(begin(im.size[1] + first_column, z, along_by), im.pitch), left)
        place = b.add(b.mul(c, im.channel), b.mul(b.add(b.mul(a, along_by), z), im.plane))
        goal = b.at(target, b.mul(b.add(place, left), v.size))
        start = b.at(base, b.mul(b.mul(c, along), size))
        column = b.sub(b.add(b.mul(left, along_by), z), first_column)

        def row(r: Index, _: list[str]) -> list[str]:
            y = b.sub(b.add(b.mul(b.add(first, r), down_by), a), top)
            pixel = b.at(start, b.mul(b.add(b.mul(y, down), b.mul(column, across)), size))
            there = b.at(goal, b.mul(r, im.pitch * v.size))
            copy(b, v, im.source.dtype, pixel, across * along_by, length, there, exact)
            return []

        b.when(length, "sgt", 0, lambda: b.loop(lo, hi, 1, row))

    b.loop(0, channels, 1, channel)


def base_of(b: Builder, access: Access, index: Sequence[Index]) -> str:
    """The address of the element of an operand at `index` (the last dimensions at 0)."""
    pointer = b.let(f"load ptr, ptr {b.at('%operands', 8 * access.operand)}, align 8")
    return b.at(pointer, b.mul(b.dot(index, access.strides[: len(index)]), SIZES[access.dtype]))
