"""Operands brought into the form that the register tile reads fast: contiguous, of the computed dtype, in the thread's scratch.

Rows (the broadcast side) are copied as they lie, with a pitch that spreads over the cache's sets; columns (the vector side) become
panels: [panel][step][lane]. Not here: when that pays (matmul.py, costs.py).
"""

from __future__ import annotations

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

    def straight(q: Index, live: int | None = None) -> list[str]:
        start, goal = b.at(source, b.mul(b.add(first, b.mul(q, v.lanes)), across * size)), place(q)

        def one(k: Index, _: list[str]) -> list[str]:
            value = fetch(b, v, dtype, b.at(start, b.mul(k, along * size)), across, live)
            write(b, v.lanes, v.dtype, value, b.at(goal, b.mul(k, pitch)))
            return []

        b.loop(0, steps, 1, one)
        return []

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
    b.split(columns, v.lanes, tail, lambda j, live: straight(b.div(j, v.lanes), live))
