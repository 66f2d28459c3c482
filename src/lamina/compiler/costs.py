"""What the machine can do, and what work costs on it: the one place where the back end's choices get their numbers from.

Here: the description of a machine, the time of a register tile, the sizes of blocks. Not here: who asks (emit/), how it is measured.
Times are in cycles of one core unless they are called nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from .kernels import NotNative
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

BLOCK_NS = 120_000.0
"""A large product is cut into blocks of about this, or more: smaller ones read and pack their operands too often."""

WEIGHT_BLOCK_NS = 100_000.0
"""The same for the gradient of a convolution's weight, where each block copies all images."""

CROSSING = 1.6
"""How much longer a register tile takes whose vectors all lie across two lines of the cache."""

TURN_CYCLES = 0.7
"""To transpose an element."""

STRIDED = 4.0
"""Cycles to load or store an element of a vector whose elements are apart."""

POOL_NS, SCATTER_NS = 0.05, 1.0
"""To look at a pixel (among others, in a vector); to add one number at an index."""


@cache
def machine() -> Machine:
    """The machine that this runs on. Raises NotNative where nothing multiplies and adds in one instruction."""
    host = cpu.host()
    if not {"avx2", "fma"} <= host.features:
        raise NotNative("products without AVX2 and FMA")
    return AVX512 if host.vector_bits == 512 else AVX2


def tile_cycles(m: Machine, rows: int, vectors: int) -> float:
    """One step of a register tile: rows broadcasts, `vectors` loads, rows * vectors multiply-adds.

    A vector mostly lies across two lines of the cache. Loads are never quite hidden: hence the last two terms.
    """
    products = rows * vectors
    issued = products + rows + vectors + 2
    busy = max(products / m.fma, float(m.latency), (rows + 2 * vectors) / m.loads, issued / 6)
    return busy + 0.03 * rows + 0.25 * vectors


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


def depth_block(depth: int) -> int:
    """How deep a block of a product is. What it needs streams from the second cache; only sums that wait there cost time."""
    blocks = 1 if depth <= 1024 else -(-depth // 512)
    return depth if blocks == 1 else -(-depth // (blocks * 16)) * 16


def pack_cycles(elements: int, lanes: int, straight: bool, square: bool) -> float:
    """To copy, transpose or gather so many elements into panels."""
    return elements * (2.0 / lanes if straight else 6.0 / lanes if square else 1.5)


def blocks(
    m: Machine,
    rows: int,
    columns: int,
    steps: int,
    tile: tuple[int, int],
    size: int,
    nanoseconds: float,
    products: int,
    weights: tuple[float, float],
) -> tuple[int, int]:
    """The block (rows, columns) that is one unit: enough of them to share, that read (and pack) as little as possible.

    `tile`: its rows and columns; `nanoseconds`: of one product; `weights`: what it costs a block to bring in an element of the
    rows' side and of the columns' side.
    """
    total = nanoseconds * products
    wanted = max(1.0, min(16.0, max(total / BLOCK_NS, min(4.0, total / (2 * UNIT_NS)))) / products)
    best, least = (rows, columns), float("inf")
    for down in range(1, min(-(-rows // tile[0]), 64) + 1):
        block_rows = share(rows, down, tile[0])
        for across in range(1, min(-(-columns // tile[1]), 64) + 1):
            block_columns = share(columns, across, tile[1])
            count = -(-rows // block_rows) * -(-columns // block_columns)
            moved = across * rows * weights[0] + down * columns * weights[1]
            # Columns are gone through again for each panel of the other side: they must stay in the second cache.
            if block_columns * steps * size > m.l2 or block_rows * steps * size > 2 * m.l2:
                moved *= 4
            if count < wanted:
                moved *= wanted / count
            if moved < least:
                best, least = (block_rows, block_columns), moved
    return best


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
