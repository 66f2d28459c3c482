"""Maxima of windows, and their gradient. (Averages are convolutions by channel with a weight of one element.)

A unit is some channels of images. The image is read as a convolution's (image.py), with a border that never wins.
"""

from __future__ import annotations

from math import prod

from .. import costs
from ..kernels import SIZES, MaxPool, MaxPoolInput, NotNative
from .builder import Builder, Index
from .code import Code
from .epilogue import Epilogue, Row
from .image import base_of, clear, fill, image, room
from .ir import number, vector
from .names import symbol_of
from .scratch import Scratch
from .vectors import FLOATS, Vec, computed, read, splat, write


def emit_max_pool(kernel: MaxPool | MaxPoolInput, machine: costs.Machine | None = None) -> Code:
    """The kernel's text. Raises NotNative where the dtypes or the epilogue have no native form."""
    machine = machine or costs.machine()
    symbol = symbol_of(kernel, machine)
    access = kernel.input if isinstance(kernel, MaxPool) else kernel.grad
    if access.dtype not in FLOATS:
        raise NotNative(f"maxima of {access.dtype}")
    dtype = computed(access.dtype)
    v = Vec(dtype, machine.vector // SIZES[dtype])
    b, scratch = Builder(), Scratch()
    one: Forward | Backward
    if isinstance(kernel, MaxPool):
        w = kernel.window
        batch, channels = w.batch, w.channels
        each = costs.coefficients().pool_ns * (prod(w.size) + prod(w.out) * prod(w.kernel))
        one = Forward(b, v, kernel, scratch)
    else:
        batch, channels = kernel.batch, kernel.channels
        each = costs.coefficients().pool_ns * prod(kernel.size) + costs.coefficients().scatter_ns * prod(kernel.out)
        one = Backward(b, v, kernel, scratch)
    planes = batch * channels
    if not planes or not each:
        return Code(b.finish(symbol), symbol, 0, 0, 0.0)
    group = costs.group(planes, each * planes)

    def plane(index: Index, _: list[str]) -> list[str]:
        n, c = b.unravel(index, (batch, channels))
        one(n, c)
        return []

    first, last = b.mul("%lo", group), b.min(b.mul("%hi", group), planes)
    b.loop(first, last, 1, plane)
    return Code(b.finish(symbol), symbol, -(-planes // group), scratch.bytes, each * planes)


class Forward:
    """Writes the maxima of one channel of an image."""

    def __init__(self, b: Builder, v: Vec, kernel: MaxPool, scratch: Scratch) -> None:
        self.b, self.v, self.kernel, self.window = b, v, kernel, kernel.window
        w = kernel.window
        reach = [(k - 1) * d // s for k, d, s in zip(w.kernel, w.dilation, w.stride, strict=True)]
        height, width = w.out[0] + reach[0], w.out[1] + reach[1]
        self.image = image(kernel.input, w.size, w.padding, w.stride, height, width, v)
        if self.image.direct and w.out[1] % v.lanes:  # a row's last vector would read beyond it
            self.image = self.image._replace(direct=False, pitch=width)
        self.room = room(self.image, 1, v)
        self.at = scratch.take(self.room)
        if not self.image.direct:
            clear(b, v, b.at("%scratch", self.at), self.room - v.bytes, float("-inf"))
        self.epilogue = Epilogue(b, v, kernel.body, 4, False)
        self.placed = any(inst.op == "place" for inst in kernel.body)
        self.whole = "i64" if v.size == 8 else "i32"  # places are counted in integers of a lane's size

    def __call__(self, n: Index, c: Index) -> None:
        b, v, w = self.b, self.v, self.window
        base = base_of(b, self.kernel.input, (n, c))
        if not self.image.direct:
            start = b.at("%scratch", self.at)
            fill(b, v, self.image, base, 1, 0, start, exact=True)
            base = start

        def row(y: Index, _: list[str]) -> list[str]:
            line = b.at(base, b.mul(y, self.image.pitch * v.size))

            def some(x: Index, live: int) -> None:
                best, place = self._window(b.at(line, b.mul(x, v.size)), y, x)
                at = Row((n, c), y, x, [live])
                self.epilogue.write(self.epilogue.pointers(at), at, 0, [best], {}, [place])

            b.split(w.out[1], v.lanes, w.out[1] % v.lanes, some)
            return []

        b.loop(0, w.out[0], 1, row)

    def _window(self, pixels: str, y: Index, x: Index) -> tuple[str, str]:
        """The greatest pixels of a vector of windows, and (as int64) where they stand."""
        b, v, w = self.b, self.v, self.window
        kind, truth, wide = v.type, vector("i1", v.lanes), vector(self.whole, v.lanes)
        best = number(v.scalar, v.lanes, float("-inf"))
        if self.placed:
            row = self._first(b.sub(b.mul(y, w.stride[0]), w.padding[0]), w.dilation[0])
            lanes = f"<{', '.join(f'i64 {i * w.stride[1]}' for i in range(v.lanes))}>"
            column = b.sub(b.mul(x, w.stride[1]), w.padding[1])
            columns = b.let(f"add <{v.lanes} x i64> {splat(b, v.lanes, str(column), 'i64')}, {lanes}")
            if self.whole != "i64":
                columns = b.let(f"trunc <{v.lanes} x i64> {columns} to {wide}")
            origin = self._add(columns, self._splat(b.mul(b.sub(b.mul(y, w.stride[0]), w.padding[0]), w.size[1])))
            place = self._add(self._splat(b.mul(row, w.size[1])), self._firsts(columns))
        for i in range(w.kernel[0]):
            for j in range(w.kernel[1]):
                down, along = i * w.dilation[0], j * w.dilation[1]
                pixel = read(b, v.lanes, v.dtype, b.at(pixels, self.image.at(down, along) * v.size))
                greater = b.let(f"fcmp ogt {kind} {pixel}, {best}")
                nan = b.let(f"fcmp uno {kind} {pixel}, {pixel}")
                wins = b.let(f"or {truth} {greater}, {nan}")
                best = b.let(f"select {truth} {wins}, {kind} {pixel}, {kind} {best}")
                if self.placed:
                    here = number(self.whole, v.lanes, down * w.size[1] + along)
                    place = b.let(f"select {truth} {wins}, {wide} {here}, {wide} {place}")
        if not self.placed:
            return best, ""
        place = self._add(place, origin)
        return best, place if self.whole == "i64" else b.let(f"sext {wide} {place} to <{v.lanes} x i64>")

    def _add(self, x: str, y: str) -> str:
        return self.b.let(f"add {vector(self.whole, self.v.lanes)} {x}, {y}")

    def _splat(self, x: Index) -> str:
        if isinstance(x, int):
            return number(self.whole, self.v.lanes, x)
        if self.whole != "i64":
            x = self.b.let(f"trunc i64 {x} to {self.whole}")
        return splat(self.b, self.v.lanes, x, self.whole)

    def _first(self, start: Index, dilation: int) -> Index:
        """How far behind `start` the first row of a window's lies that is inside of the image."""
        b = self.b
        missing = b.max(b.sub(0, start), 0)
        return b.mul(b.div(b.add(missing, dilation - 1), dilation), dilation)

    def _firsts(self, columns: str) -> str:
        """The same along rows, for a vector."""
        b, lanes, dilation = self.b, self.v.lanes, self.window.dilation[1]
        if not self.window.padding[1]:
            return number(self.whole, lanes, 0)
        wide, zero = vector(self.whole, lanes), number(self.whole, lanes, 0)
        negative = b.let(f"icmp slt {wide} {columns}, {zero}")
        missing = b.let(
            f"select {vector('i1', lanes)} {negative}, {wide} {b.let(f'sub {wide} {zero}, {columns}')}, {wide} {zero}"
        )
        if dilation == 1:
            return missing
        up = b.let(f"add {wide} {missing}, {number(self.whole, lanes, dilation - 1)}")
        steps = b.let(f"udiv {wide} {up}, {number(self.whole, lanes, dilation)}")
        return b.let(f"mul {wide} {steps}, {number(self.whole, lanes, dilation)}")


class Backward:
    """Writes the gradient of one channel of an image."""

    def __init__(self, b: Builder, v: Vec, kernel: MaxPoolInput, scratch: Scratch) -> None:
        self.b, self.v, self.kernel = b, v, kernel
        self.pixels = prod(kernel.size)
        # One place more, for gradients of places that are none.
        self.at = scratch.take((self.pixels + 1 + v.lanes) * v.size)
        self.epilogue = Epilogue(b, v, kernel.body, 4, False)

    def __call__(self, n: Index, c: Index) -> None:
        b, v, k = self.b, self.v, self.kernel
        sums = b.at("%scratch", self.at)
        clear(b, v, sums, self.pixels * v.size)
        grads, places = base_of(b, k.grad, (n, c)), base_of(b, k.places, (n, c))

        def window(y: Index, x: Index) -> None:
            grad = read(b, 1, k.grad.dtype, self._at(grads, k.grad.strides, k.grad.dtype, y, x))
            place = read(b, 1, "int64", self._at(places, k.places.strides, "int64", y, x))
            inside = b.let(f"icmp ult i64 {place}, {self.pixels}")
            place = b.let(f"select i1 {inside}, i64 {place}, i64 {self.pixels}")
            cell = b.at(sums, b.mul(place, v.size))
            write(b, 1, v.dtype, b.let(f"fadd {v.scalar} {read(b, 1, v.dtype, cell)}, {grad}"), cell)

        def line(y: Index, _: list[str]) -> list[str]:
            def one(x: Index, _: list[str]) -> list[str]:
                window(y, x)
                return []

            return b.loop(0, k.out[1], 1, one)

        b.loop(0, k.out[0], 1, line)

        def row(y: Index, _: list[str]) -> list[str]:
            def some(x: Index, live: int) -> None:
                at = Row((n, c), y, x, [live])
                place = b.at(sums, b.mul(b.add(b.mul(y, k.size[1]), x), v.size))
                self.epilogue.write(self.epilogue.pointers(at), at, 0, [read(b, v.lanes, v.dtype, place)], {})

            b.split(k.size[1], v.lanes, k.size[1] % v.lanes, some)
            return []

        b.loop(0, k.size[0], 1, row)

    def _at(self, base: str, strides: tuple[int, ...], dtype: str, y: Index, x: Index) -> str:
        b = self.b
        return b.at(base, b.mul(b.dot((y, x), strides[2:]), SIZES[dtype]))
