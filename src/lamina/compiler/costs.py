"""What the machine can do, and what work costs on it: the one place where the back end's choices get their numbers from.

Here: the description of a machine, the time of a register tile, the sizes of blocks. Not here: who asks (emit/), how it is measured.
Times are in cycles of one core unless they are called nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from .runtime import cpu


class Machine(NamedTuple):
    """A kind of CPU, as far as the choice of tiles and blocks goes."""

    vector: int = 32  # bytes of a vector register
    registers: int = 16
    fma: float = 2.0  # fused multiply-adds in a cycle
    latency: int = 4  # of one of them
    loads: float = 2.0  # vectors in a cycle, from the first cache
    l1: int = 32 << 10
    l2: int = 512 << 10
    ghz: float = 3.5


AVX2 = Machine()
AVX512 = Machine(vector=64, registers=32, l1=32 << 10, l2=1 << 20)

UNIT_NS = 8_000.0
"""A unit of work that threads share is not made smaller than this."""

POOL_NS, SCATTER_NS = 0.05, 1.0
"""To look at a pixel (among others, in a vector); to add one number at an index."""


@cache
def machine() -> Machine:
    """The machine that this runs on."""
    return AVX512 if cpu.host().vector_bits == 512 else AVX2


def tile_cycles(m: Machine, rows: int, vectors: int) -> float:
    """One step of a register tile: rows broadcasts, `vectors` loads, rows * vectors multiply-adds."""
    products = rows * vectors
    loads = rows + vectors
    return max(products / m.fma, float(m.latency), loads / m.loads, (products + loads + 2) / 6)


def tiles_fit(m: Machine, rows: int, vectors: int) -> bool:
    """Whether accumulators and operands of the tile fit the registers."""
    return rows * vectors + vectors + 1 < m.registers


def side_cycles(m: Machine, total_rows: int, total_vectors: int, rows: int, vectors: int, steps: int) -> float:
    """A product of total_rows x total_vectors, `steps` deep, in tiles of rows x vectors with smaller ones at the edges."""
    cycles = 0.0
    for count_r, r in ((total_rows // rows, rows), (1, total_rows % rows)):
        for count_v, v in ((total_vectors // vectors, vectors), (1, total_vectors % vectors)):
            if r and v:
                cycles += count_r * count_v * (steps * tile_cycles(m, r, v) + 8 + 1.5 * r * v)
    return cycles


def best_tile(
    m: Machine, total_rows: int, total_vectors: int, steps: int, even: Callable[[int], bool] = lambda vectors: True
) -> tuple[int, int, float]:
    """(rows, vectors, cycles) of the quickest register tile; `even` says which numbers of vectors will do."""
    best = (1, 1, float("inf"))
    for vectors in range(1, min(total_vectors, m.registers // 4) + 1):
        for rows in range(1, min(total_rows, m.registers - 3) + 1):
            if tiles_fit(m, rows, vectors) and even(vectors):
                cycles = side_cycles(m, total_rows, total_vectors, rows, vectors, steps)
                if cycles < best[2] * 0.999:
                    best = (rows, vectors, cycles)
    return best


def depth_block(m: Machine, depth: int, tile_bytes: int) -> int:
    """How deep a panel of `tile_bytes` for each step may be, so that it stays in the first cache (in even blocks)."""
    most = max(m.l1 // tile_bytes, 128)
    blocks = -(-depth // most)
    return depth if blocks <= 1 else -(-depth // (blocks * 16)) * 16


def pack_cycles(elements: int, lanes: int, straight: bool, square: bool) -> float:
    """To copy, transpose or gather so many elements into panels."""
    return elements * (2.0 / lanes if straight else 6.0 / lanes if square else 1.5)


def blocks(
    m: Machine,
    rows: int,
    columns: int,
    steps: int,
    tile_rows: int,
    width: int,
    size: int,
    nanoseconds: float,
    products: int,
) -> tuple[int, int]:
    """The block (rows, columns) that is one unit: halved until its operands fit the second cache and there are units to share."""
    block_rows, block_columns = rows, columns
    wanted = max(1, min(32, int(nanoseconds * products / UNIT_NS)))
    while True:
        count = -(-rows // block_rows) * -(-columns // block_columns)
        big_columns = steps * block_columns * size > 0.4 * m.l2
        big_rows = steps * block_rows * size > 0.3 * m.l2
        big_sums = block_rows * block_columns * size > 0.4 * m.l2
        if not (big_columns or big_rows or big_sums) and count * products >= wanted:
            return block_rows, block_columns
        cut_rows = block_rows > tile_rows and (big_rows or (not big_columns and block_rows >= block_columns / 2))
        if not cut_rows and block_columns <= width:
            cut_rows = block_rows > tile_rows
            if not cut_rows:
                return block_rows, block_columns
        if cut_rows:
            parts = -(-rows // block_rows) + 1
            block_rows = min(-(-rows // (parts * tile_rows)), -(-block_rows // tile_rows) - 1) * tile_rows
        else:
            parts = -(-columns // block_columns) + 1
            block_columns = min(-(-columns // (parts * width)), -(-block_columns // width) - 1) * width


def filter_blocks(rows: int, tile_rows: int, units: int, nanoseconds: float) -> int:
    """Into how many blocks the channels of a convolution's result are cut, so that there are some units of work to share."""
    wanted = min(8, int(units * nanoseconds / UNIT_NS))
    return max(1, min(-(-wanted // max(units, 1)), -(-rows // tile_rows)))


def group(count: int, nanoseconds: float) -> int:
    """How many of `count` equal blocks, which take so long together, make one unit."""
    return max(1, min(count, round(UNIT_NS * count / max(nanoseconds, 1.0))))


def share(total: int, parts: int, step: int) -> int:
    """The size of a block, a multiple of `step`, when `total` is cut into about `parts`; all of it for one part."""
    return total if parts == 1 else -(-total // (parts * step)) * step
