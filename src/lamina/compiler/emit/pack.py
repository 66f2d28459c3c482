"""Operands brought into the form that the register tile reads fast: contiguous, of the computed dtype, in the thread's scratch.

Rows (the broadcast side) are copied as they lie, with a pitch that spreads over the cache's sets; columns (the vector side) become
panels: [panel][step][lane]. Not here: when that pays (matmul.py, costs.py).
"""

from __future__ import annotations

from collections.abc import Callable

from ..kernels import SIZES
from .builder import Builder, Index
from .vectors import Vec, computed, read, transpose, write


def fetch(b: Builder, v: Vec, dtype: str, pointer: str, stride: int = 1, live: int | None = None) -> str:
    """A vector of elements of `dtype`, in the vector's own."""
    value = read(b, v.lanes, dtype, pointer, stride, live)
    if computed(dtype) == v.dtype:
        return value
    scalar = "float" if v.dtype == "float64" else "double"
    source = scalar if v.lanes == 1 else f"<{v.lanes} x {scalar}>"
    return b.let(
        f"{'fpext' if v.dtype == 'float64' else 'fptrunc'} {source} {value} to {v.scalar if v.lanes == 1 else v.type}"
    )


def copy(
    b: Builder, v: Vec, dtype: str, source: str, stride: int, length: Index, target: str, exact: bool = False
) -> None:
    """`length` elements, `stride` elements apart, to contiguous ones; beyond them up to a vector, unless `exact`."""
    size = SIZES[dtype]
    one = Vec(v.dtype, 1)

    def some(v: Vec, i: Index, live: int | None = None) -> list[str]:
        value = fetch(b, v, dtype, b.at(source, b.mul(i, stride * size)), stride, live)
        write(b, v.lanes, v.dtype, value, b.at(target, b.mul(i, v.size)), 1, live if exact else None)
        return []

    rest = b.mod(length, v.lanes)
    whole = b.sub(length, rest)
    b.loop(0, whole, v.lanes, lambda i, _: some(v, i))
    if isinstance(rest, int) and rest:
        some(v, whole, rest)
    else:
        b.loop(whole, length, 1, lambda i, _: some(one, i))


def rows(
    b: Builder, v: Vec, dtype: str, source: str, apart: int, count: Index, length: Index, pitch: int, target: str
) -> None:
    """`count` rows of contiguous elements, `apart` elements from each other, to rows `pitch` elements apart."""

    def row(i: Index, _: list[str]) -> list[str]:
        start = b.at(source, b.mul(i, apart * SIZES[dtype]))
        copy(b, v, dtype, start, 1, length, b.at(target, b.mul(i, pitch * v.size)))
        return []

    b.loop(0, count, 1, row)


def strips(
    b: Builder, v: Vec, dtype: str, source: str, strides: tuple[int, int], steps: Index, count: Index, total: int,
    height: int, depth: int, target: str,
) -> None:  # fmt: skip
    """`count` rows (element (step, row) at strides) as strips of `height`: [strip][step][row], with room for `depth` steps.

    `total`: how many rows there are at all, of which the last strip may lack some.
    """
    size, (along, across) = SIZES[dtype], strides

    def band(k: Index, depths: Index) -> None:
        def strip(i: Index, rows: int) -> None:
            start = b.at(source, b.mul(b.dot((k, i), strides), size))
            goal = b.at(target, b.mul(b.add(b.mul(i, depth), b.mul(k, height)), v.size))

            def step(k: Index, _: list[str]) -> list[str]:
                for first in range(0, rows, v.lanes):
                    place = b.at(start, b.add(b.mul(k, along * size), first * across * size))
                    value = fetch(b, v, dtype, place, across, rows - first)
                    goes = b.at(goal, b.add(b.mul(k, height * v.size), first * v.size))
                    write(b, v.lanes, v.dtype, value, goes, 1, rows - first)
                return []

            b.loop(0, depths, 1, step)

        b.split(count, height, total % height, strip)

    bands(b, steps, band)


def bands(b: Builder, steps: Index, body: Callable[[Index, Index], None]) -> None:
    """`body(k, n)` for steps k .. k + n - 1, a few at a time: so few lines of memory that all stay near until they are used up."""

    def band(k: Index, _: list[str]) -> list[str]:
        body(k, b.min(b.sub(steps, k), 8))
        return []

    b.loop(0, steps, 8, band)


def panels(
    b: Builder, v: Vec, dtype: str, source: str, strides: tuple[int, int], steps: Index, first: Index, columns: Index, total: int,
    width: int, depth: int, target: str,
) -> None:  # fmt: skip
    """Columns first .. first + columns of `source` (element (step, column) at strides), `steps` deep, as panels of `width` vectors.

    `total`: how many columns there are at all: what a last vector has beyond them is not read, and its lanes mean nothing.
    `depth`: the steps that a panel has room for.
    """
    size = SIZES[dtype]
    along, across = strides
    pitch = width * v.bytes
    tail = total % v.lanes

    def place(q: Index) -> str:
        offset = b.add(b.mul(b.div(q, width), depth * pitch), b.mul(b.mod(q, width), v.bytes))
        return b.at(target, offset)

    def straight(k: Index, depths: Index, j: Index, live: int) -> None:
        start = b.at(source, b.mul(b.dot((k, b.add(first, j)), strides), size))
        goal = b.at(place(b.div(j, v.lanes)), b.mul(k, pitch))

        def one(k: Index, _: list[str]) -> list[str]:
            value = fetch(b, v, dtype, b.at(start, b.mul(k, along * size)), across, live)
            write(b, v.lanes, v.dtype, value, b.at(goal, b.mul(k, pitch)))
            return []

        b.loop(0, depths, 1, one)

    def square(q: Index) -> list[str]:
        goal, column = place(q), b.add(first, b.mul(q, v.lanes))
        starts = []
        for r in range(v.lanes):
            j = b.add(column, r)
            starts.append(b.at(source, b.mul(b.min(j, total - 1) if tail else j, across * size)))

        def block(k: Index, _: list[str]) -> list[str]:
            k = b.min(k, b.sub(steps, v.lanes))  # the last block overlaps the one before
            rows = [fetch(b, v, dtype, b.at(start, b.mul(k, size))) for start in starts]
            corner = b.at(goal, b.mul(k, pitch))
            for r, row in enumerate(transpose(b, v, rows)):
                write(b, v.lanes, v.dtype, row, b.at(corner, r * pitch))
            return []

        b.loop(0, steps, v.lanes, block)
        return []

    if across != 1 and along == 1 and (not isinstance(steps, int) or steps >= v.lanes):
        b.loop(0, b.div(b.add(columns, v.lanes - 1), v.lanes), 1, lambda q, _: square(q))
        return
    bands(b, steps, lambda k, n: b.split(columns, v.lanes, tail, lambda j, live: straight(k, n, j, live)))
