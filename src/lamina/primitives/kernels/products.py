"""Products of matrices by BLAS, large ones in blocks that several threads share.

BLAS itself is held to one thread (core/blas.py). The blocks follow from the sizes alone, never from the number of threads, so that a
result has the same bits for any number. Here: `dot` and `matmul` on arrays. Not here: the primitives (matmul.py, addmm.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.core.strided import Array
from lamina.core.threads import share
from lamina.primitives.primitive import Slots

SMALL = 1 << 15
"""Elements: a product of two arrays with fewer is left to BLAS as it is."""
LEAST = 1 << 24
"""Multiplications of a product, or of a batch, that native threads share: a seventh of a millisecond on one."""
THREADED = 1 << 28
"""The same for Python's threads, which take longer to begin."""
SIDE = 128
"""A block's least rows and columns."""
MOST = 32
"""Blocks of a product, or groups of a batch."""


def dot(x: Array, y: Array) -> Array:
    """x.dot(y) of a matrix and a matrix or vector: what np.matmul computes, in a third of its time for small ones."""
    if (x.size < SMALL and y.size < SMALL) or x.ndim != 2 or y.ndim != 2:
        return x.dot(y)  # type: ignore[no-any-return]
    m, n, k = x.shape[0], y.shape[1], x.shape[1]
    if m * n * k < _least() or x.dtype.kind not in "fc" or x.dtype is not y.dtype or y.shape[0] != k:
        return x.dot(y)  # type: ignore[no-any-return]
    rows, columns = _parts(m, n, k)
    if rows == columns == 1:
        return x.dot(y)  # type: ignore[no-any-return]
    out = np.empty((m, n), x.dtype)
    _share(_blocks(x, y, out, rows, columns), m * n * k)
    return out


def matmul(x: Array, y: Array, out: Array | None = None) -> Array:
    """np.matmul of arrays of two or more dimensions; entries of a large batch, or blocks of large entries, are shared."""
    if (
        (x.size < SMALL and y.size < SMALL)
        or x.dtype.kind not in "fc"
        or x.dtype is not y.dtype
        or min(x.ndim, y.ndim) < 2
    ):
        return np.matmul(x, y, out=out)
    if x.ndim == 2 == y.ndim and out is None:
        return dot(x, y)
    m, n, k = x.shape[-2], y.shape[-1], x.shape[-1]
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    entries = math.prod(batch)
    work = entries * m * n * k
    if work < _least() or y.shape[-2] != k or n == 1 or m == 1:
        return np.matmul(x, y, out=out)
    if out is None:
        out = np.empty((*batch, m, n), x.dtype)
    xs, ys = np.broadcast_to(x, (*batch, m, k)), np.broadcast_to(y, (*batch, k, n))
    rows, columns = _parts(m, n, k) if m * n * k >= _least() else (1, 1)
    if rows * columns > 1 or entries <= MOST:
        _share([job for at in np.ndindex(batch) for job in _blocks(xs[at], ys[at], out[at], rows, columns)], work)
        return out
    # Many small entries are independent of each other, so that it does not show how many go together: along the longest dimension.
    d = max(range(len(batch)), key=batch.__getitem__)
    groups = min(batch[d], MOST)
    jobs = []
    for i in range(groups):
        at = (slice(None),) * d + (slice(batch[d] * i // groups, batch[d] * (i + 1) // groups),)
        jobs.append((xs[at], ys[at], out[at]))
    if work >= THREADED:
        share(_into, jobs)
    else:
        np.matmul(x, y, out=out)
    return out


def _least() -> int:
    return THREADED if Slots.products is None else LEAST


def _share(jobs: list[tuple[Array, Array, Array]], work: int) -> None:
    """Each job's product to its place."""
    if Slots.products is None or not Slots.products(jobs):
        each(_into, jobs, work)


def each(work: Callable[..., None], jobs: Sequence[tuple[Any, ...]], multiplications: int) -> None:
    """work(*job) for every job, shared where together they are large. No two may write to the same place."""
    if multiplications < THREADED:
        for job in jobs:
            work(*job)
    else:
        share(work, jobs)


def _parts(m: int, n: int, k: int) -> tuple[int, int]:
    """Into how many rows and columns of blocks a product is cut: halved along the longer side, as long as blocks stay large.

    BLAS copies its operands anew for each block: two blocks cost 4 % of the least product's time, eight cost 6 % at a side of 2048.
    """
    rows = columns = 1
    most = min(MOST, 2 * (m * n * k / LEAST) ** 0.25)
    while 2 * rows * columns <= most:
        tall = m * columns > n * rows
        if (m // rows if tall else n // columns) < 2 * SIDE:
            break
        rows, columns = (2 * rows, columns) if tall else (rows, 2 * columns)
    return rows, columns


def _blocks(x: Array, y: Array, out: Array, rows: int, columns: int) -> list[tuple[Array, Array, Array]]:
    x, y = _for_blas(x), _for_blas(y)
    downs, acrosses = _slices(len(x), rows), _slices(y.shape[1], columns)
    return [(x[down], y[:, across], out[down, across]) for across in acrosses for down in downs]


def _for_blas(x: Array) -> Array:
    """The matrix, or a copy where neither its rows nor its columns are contiguous: np.matmul would leave BLAS."""
    (down, across), (rows, columns), size = x.strides, x.shape, x.itemsize
    if (across == size and down >= columns * size) or (down == size and across >= rows * size):
        return x
    return np.ascontiguousarray(x)


def _slices(size: int, parts: int) -> list[slice]:
    step = -(-size // (parts * 64)) * 64  # whole vectors and lines of the cache
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


def _into(x: Array, y: Array, out: Array) -> Any:
    return np.matmul(x, y, out)
