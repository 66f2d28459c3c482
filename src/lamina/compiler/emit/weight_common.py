"""The gradient of a convolution's weight, but for its sums: blocks, images, what is done with the sums.

A unit is a block of filters and channels, through all images: no sum is split between threads. Not here: the sums (weight_pixels.py,
weight_filters.py).
"""

from __future__ import annotations

from math import prod

from ..kernels import SIZES, Access, ConvWeight
from .builder import Builder, Index
from .conv import forward_taps
from .epilogue import Epilogue, Row
from .image import Image, base_of, clear, fill
from .scratch import Scratch
from .vectors import Vec, read


class WeightWriter:
    """Writes one gradient; what both ways have in common."""

    v: Vec
    image: Image
    block: tuple[int, int]  # filters, channels
    blocks: tuple[int, int]
    lines: int
    pictures = 1  # images at a time
    at_image: int
    image_apart: int  # from image to image, in bytes
    at_sums: int
    cell: tuple[
        int, int, int, int
    ]  # where a sum stands: from filter to filter, channel, row and column of taps, in elements

    def __init__(self, kernel: ConvWeight) -> None:
        self.kernel, self.window = kernel, kernel.window
        self.b, self.scratch = Builder(), Scratch()
        self.down, self.along, _ = forward_taps(self.window)
        w = self.window
        self.filters, self.channels = w.filters // w.groups, w.channels // w.groups

    def _clear(self) -> None:
        """Give the images their border."""
        raise NotImplementedError

    def _grads(self, n: Index, group: Index, first: Index, filters: Index, line: Index, count: Index) -> str:
        """The address of the output gradients of a block of filters, in the form that `_tiles` reads."""
        raise NotImplementedError

    def _tiles(self, filters: Index, channels: Index, grads: str, images: str, pictures: Index) -> None:
        """Add to all sums what some images (or a block of lines of one) give."""
        raise NotImplementedError

    def text(self, symbol: str) -> str:
        b, w = self.b, self.window
        count = w.groups * prod(self.blocks)
        b.loop("%lo", b.min("%hi", count), 1, lambda index, _: self._block(index))
        return b.finish(symbol)

    def _block(self, index: Index) -> list[str]:
        b, w, v = self.b, self.window, self.v
        group, part, piece = b.unravel(index, (w.groups, *self.blocks))
        first, channel = b.mul(part, self.block[0]), b.mul(piece, self.block[1])
        filters = self.filters if self.blocks[0] == 1 else b.min(b.sub(self.filters, first), self.block[0])
        channels = self.channels if self.blocks[1] == 1 else b.min(b.sub(self.channels, channel), self.block[1])
        clear(b, v, b.at("%scratch", self.at_sums), self.scratch.bytes - self.at_sums)
        parts = -(-w.out[0] // self.lines)
        if parts == 1:
            self._clear()

        def pictures(n: Index, _: list[str]) -> list[str]:
            whole = w.batch % self.pictures == 0
            count = self.pictures if whole else b.min(b.sub(w.batch, n), self.pictures)
            images = base_of(b, self.kernel.input, (n, b.add(b.mul(group, self.channels), channel)))

            def lines(line: Index, _: list[str]) -> list[str]:
                if parts > 1:
                    self._clear()
                g = self._grads(n, group, first, filters, line, count)
                x = self._copied(
                    self.image, self.kernel.input, images, self.at_image, self.image_apart, line, count, channels
                )
                self._tiles(filters, channels, g, x, count)
                return []

            return b.loop(0, w.out[0], self.lines, lines)

        b.loop(0, w.batch, self.pictures, pictures)
        self._finish(b.add(b.mul(group, self.filters), first), filters, channel, channels)
        return []

    def _copied(
        self, im: Image, access: Access, base: str, place: int, apart: int, line: Index, count: Index, channels: Index
    ) -> str:
        """Where the images are to be read, after they were copied there if need be."""
        b, v = self.b, self.v
        if im.direct:
            return b.at(base, b.mul(line, im.pitch * v.size))
        start = b.at("%scratch", place)

        def one(i: Index, _: list[str]) -> list[str]:
            source = b.at(base, b.mul(i, access.strides[0] * SIZES[access.dtype]))
            fill(b, v, im, source, channels, line, b.at(start, b.mul(i, apart)))
            return []

        b.loop(0, count, 1, one)
        return start

    def _finish(self, first: Index, filters: Index, channel: Index, channels: Index) -> None:
        b, v = self.b, self.v
        epilogue = Epilogue(b, v, self.kernel.body, 4, False)
        down, along = self.window.kernel
        lives = [min(v.lanes, along - c) for c in range(0, along, v.lanes)]

        def filter_(f: Index, _: list[str]) -> list[str]:
            def one(c: Index, _: list[str]) -> list[str]:
                at = Row((b.add(first, f), b.add(channel, c)), 0, 0, lives)
                pointers = epilogue.pointers(at)
                cell = b.dot((f, c), self.cell[:2])
                start = b.at("%scratch", b.add(self.at_sums, b.mul(cell, v.size)))

                def row(i: Index, _: list[str]) -> list[str]:
                    place = b.at(start, b.mul(i, self.cell[2] * v.size))
                    products = [
                        read(b, v.lanes, v.dtype, b.at(place, k * v.bytes * self.cell[3]), self.cell[3], live)
                        for k, live in enumerate(lives)
                    ]
                    epilogue.write(pointers, at, i, products, {})
                    return []

                return b.loop(0, down, 1, row)

            return b.loop(0, channels, 1, one)

        b.loop(0, filters, 1, filter_)
