"""The register tile: acc[r][c] += U[r] (a scalar, broadcast) * V[c] (a vector), step after step. Products and convolutions run on it.

Here: one step, the loop over steps. Not here: where the operands lie (pack.py, matmul.py, conv.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .builder import Builder, Index
from .ir import suffix
from .vectors import Vec, read, splat


class Operand(NamedTuple):
    """Where one side of a tile lies: a pointer, and how far apart (bytes) steps and rows (or vectors) are."""

    pointer: str
    step: int
    apart: int


def zeros(count: int) -> list[str]:
    """Accumulators at their beginning."""
    return ["zeroinitializer"] * count


def multiply_add(b: Builder, v: Vec, x: str, y: str, z: str) -> str:
    """x * y + z, rounded once."""
    return b.call(f"llvm.fma.{suffix(v.scalar, v.lanes)}", v.type, (v.type, x), (v.type, y), (v.type, z))


def turn(b: Builder, v: Vec, scalars: Sequence[str], vectors: Sequence[str], accs: Sequence[str]) -> list[str]:
    """One step: `scalars` are addresses, `vectors` values; the accumulators stand row after row."""
    after = []
    for r, address in enumerate(scalars):
        scalar = splat(b, v.lanes, b.let(f"load {v.scalar}, ptr {address}, align {v.size}"), v.scalar)
        for c, vector in enumerate(vectors):
            after.append(multiply_add(b, v, scalar, vector, accs[r * len(vectors) + c]))
    return after


def run(
    b: Builder, v: Vec, rows: int, lives: Sequence[int], steps: Index, u: Operand, w: Operand, accs: Sequence[str]
) -> list[str]:
    """The tile over `steps` steps. `lives`: the lanes in use of each vector."""

    def one(up: str, wp: str, accs: Sequence[str], k: int) -> list[str]:
        scalars = [b.at(up, k * u.step + r * u.apart) for r in range(rows)]
        vectors = [
            read(b, v.lanes, v.dtype, b.at(wp, k * w.step + c * w.apart), 1, live) for c, live in enumerate(lives)
        ]
        return turn(b, v, scalars, vectors, accs)

    # About 24 multiply-adds in a turn of the loop keep its own instructions out of the way.
    unroll = max(1, min(4, 24 // (rows * len(lives)))) if isinstance(steps, int) else 1
    rest = steps % unroll if isinstance(steps, int) else 0
    whole: Index = steps - rest if isinstance(steps, int) else steps

    def body(_: Index, values: list[str]) -> list[str]:
        up, wp, *accs = values
        for k in range(unroll):
            accs = one(up, wp, accs, k)
        return [b.at(up, unroll * u.step), b.at(wp, unroll * w.step), *accs]

    start = [("ptr", u.pointer), ("ptr", w.pointer), *((v.type, acc) for acc in accs)]
    up, wp, *accs = b.loop(0, whole, unroll, body, start, some=not isinstance(steps, int))
    for k in range(rest):
        accs = one(up, wp, accs, k)
    return list(accs)
