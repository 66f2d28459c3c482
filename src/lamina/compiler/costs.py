"""What the machine can do, and what work costs on it: the one place where the back end's choices get their numbers from.

Here: the description of a machine, the coefficients (shipped for each kind of CPU, or fitted by `lamina tune`), the time of a register tile,
the sizes of blocks, which of two algorithms is quicker. Not here: who asks (emit/, lowering/, runtime/program.py), how it is measured
(tune.py), where the fitted ones are kept (runtime/tuned.py). Times are in cycles of one core unless they are called nanoseconds.

A coefficient decides which algorithm runs, and how work is cut into independent units; never the order in which numbers are added within
an algorithm. So fitting them changes a result only where another algorithm is chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import prod
from typing import NamedTuple

from .kernels import NotNative, Window
from .runtime import cpu, tuned


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


class Coefficients(NamedTuple):
    """What is measured. Efficiencies are shares of the arithmetic peak at `ghz`; rates are bytes in a nanosecond."""

    ghz: float = 3.5  # cycles of the tiles' model in a nanosecond: all times of products and convolutions
    vector_ns: float = 0.2  # a cycle of the loops' model: their times
    cache_rate: float = 100.0  # what a loop reads and writes within the second cache
    memory_rate: float = 20.0  # the same beyond
    share_ns: float = (
        5_000.0  # one thread or many: what a thread must have to do to be worth waking; units are no smaller
    )
    release_ns: float = 10_000.0  # a segment that takes longer lets other Python threads run
    own_product: float = 0.78  # a large product by the own micro-kernel, or
    blas_product: float = 0.92  # by NumPy's BLAS
    direct: float = 0.7  # a convolution directly, or
    columns: float = 0.35  # by columns and BLAS
    direct_points: float = 0.5  # the same with a kernel of one by one
    columns_points: float = 0.5
    crossing: float = 1.6  # the gradient of a convolution's weight along pixels: tiles whose vectors lie across two lines of the cache, or
    turn_cycles: float = 0.7  # along filters: to transpose an element
    pool_ns: float = 0.05  # to look at a pixel for a maximum (among others, in a vector)
    scatter_ns: float = 1.0  # to add one number at an index


SHIPPED = {
    "AVX2": Coefficients(),
    "AVX512": Coefficients(
        own_product=0.85, blas_product=0.9, direct=0.85, columns=0.45, direct_points=0.7, columns_points=0.7
    ),
}
"""By kind of CPU."""

WORTH_A_CALL = 1.1
"""How much quicker what runs as a call into NumPy must be: it ends a native segment, and nothing is fused to it."""

LARGE_PRODUCT = 1 << 32
"""Multiplications of a product from which on BLAS is thought of."""

BLOCK_NS = 120_000.0
"""A large product is cut into blocks of about this, or more: smaller ones read and pack their operands too often."""

WEIGHT_BLOCK_NS = 100_000.0
"""The same for the gradient of a convolution's weight, where each block copies all images."""

STRIDED = 4.0
"""Cycles to load or store an element of a vector whose elements are apart."""


@cache
def machine() -> Machine:
    """The machine that this runs on. Raises NotNative where nothing multiplies and adds in one instruction."""
    if not {"avx2", "fma"} <= cpu.host().features:
        raise NotNative("products without AVX2 and FMA")
    return (AVX512 if kind() == "AVX512" else AVX2)._replace(ghz=coefficients().ghz)


def kind() -> str:
    """Which of the shipped coefficients are this CPU's."""
    return "AVX512" if cpu.host().vector_bits == 512 else "AVX2"


@cache
def coefficients() -> Coefficients:
    """The fitted coefficients of this machine where `lamina tune` has left sound ones, else those shipped."""
    shipped = SHIPPED[kind()]
    found = tuned.load(shipped._asdict())
    return shipped if found is None else Coefficients(**found)


def forget() -> None:
    """Ask again which coefficients there are: they have been fitted, or thrown away."""
    coefficients.cache_clear()
    machine.cache_clear()


def unit_ns() -> float:
    """A unit of work that threads share is not made smaller than this."""
    return 1.6 * coefficients().share_ns


def loop_unit_ns() -> float:
    """The same for loops, whose units are rows."""
    return 2.0 * coefficients().share_ns


def memory_ns(moved: int) -> float:
    """To read and write so many bytes."""
    c = coefficients()
    return moved / (c.cache_rate if moved < 1 << 21 else c.memory_rate)


# ---- one algorithm or another ----------------------------------------------------------------------------------------


def peak_ns(multiplications: int, size: int) -> float:
    """So many multiplications and additions of elements of `size` bytes, at the arithmetic peak of one core."""
    m = machine()
    return multiplications / (m.vector / size * m.fma * m.ghz)


def blas_wins(entries: int, m: int, n: int, k: int, size: int) -> bool:
    """Whether products by BLAS, called through NumPy and copied to their place, are quicker than by the own micro-kernel."""
    if min(m, n, k) < 256 or m * n * k < LARGE_PRODUCT:
        return False
    c, least = coefficients(), peak_ns(entries * m * n * k, size)
    return WORTH_A_CALL * (least / c.blas_product + memory_ns(2 * entries * m * n * size)) < least / c.own_product


def columns_win(window: Window, size: int) -> bool:
    """Whether a convolution by columns and BLAS, called through NumPy, is quicker than directly."""
    if window.groups > 1:
        return False
    c = coefficients()
    points = prod(window.kernel) == 1
    direct, columns = (c.direct_points, c.columns_points) if points else (c.direct, c.columns)
    pixels = window.batch * window.filters * prod(window.out)
    least = peak_ns(pixels * window.channels * prod(window.kernel), size)
    return WORTH_A_CALL * (least / columns + memory_ns(2 * pixels * size)) < least / direct


# ---- tiles and blocks of products ------------------------------------------------------------------------------------


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
    wanted = max(1.0, min(16.0, max(total / BLOCK_NS, min(4.0, total / (2 * unit_ns())))) / products)
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
    wanted = min(8, int(units * nanoseconds / unit_ns()))
    return max(1, min(-(-wanted // max(units, 1)), -(-rows // tile_rows)))


def group(count: int, nanoseconds: float) -> int:
    """How many of `count` equal blocks, which take so long together, make one unit."""
    return max(1, min(count, round(unit_ns() * count / max(nanoseconds, 1.0))))


def share(total: int, parts: int, step: int) -> int:
    """The size of a block, a multiple of `step`, when `total` is cut into about `parts`; all of it for one part."""
    return total if parts == 1 else -(-total // (parts * step)) * step
