"""Adding up by index: where elements of an index along one dimension lie, and sums of what meets at one place.

Here: computing on arrays. Not here: checks of indices (checks are their operations').
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core.strided import Array, contiguous_strides


def flat_places(shape: tuple[int, ...], index: Array, dim: int) -> Array:
    """For each element of `index` (as many dimensions as `shape`), its place in a contiguous array of that shape.

    The coordinate in `dim` is the index, in all other dimensions the element's own.
    """
    strides = contiguous_strides(shape)
    places = index.astype(np.int64)
    if strides[dim] != 1:
        places *= strides[dim]
    for d, n in enumerate(index.shape):
        if d != dim and n > 1:
            places += (np.arange(n) * strides[d]).reshape(n, *(1,) * (index.ndim - d - 1))
    return places


def flat(shape: tuple[int, ...], index: Array, dim: int) -> Array:
    """The places of an index along `dim` as a flat array; scalars count as one element."""
    return (flat_places(shape, index, dim) if shape and index.ndim else index).reshape(-1)


def joined(indices: Sequence[Array], sizes: Sequence[int]) -> Array | None:
    """One index into dimensions of these sizes taken as one, for one into each; None unless all are alike and within."""
    first = indices[0]
    index: Any = None
    for i, n in zip(indices, sizes):  # noqa: B905 (sizes may go on)
        if i.dtype != np.int64 or i.shape != first.shape or not i.size or int(i.view(np.uint64).max()) >= n:
            return None  # a negative one is huge
        index = i if index is None else index * n + i
    return index  # type: ignore[no-any-return]


def line_of(index: Array, shape: tuple[int, ...], dim: int) -> Array | None:
    """The index of whole slices that `index` is, if it is one: stretched from one dimension over all others of `shape`."""
    if index.ndim < 2 or index.ndim != len(shape):
        return None
    for d, (n, step, size) in enumerate(zip(index.shape, index.strides, shape, strict=True)):
        if d != dim and (n != size or (step and n != 1)):
            return None
    return index[(0,) * dim + (slice(None),) + (0,) * (index.ndim - dim - 1)] if 0 not in index.shape else None


def along(x: Array, index: Array, dim: int) -> Array:
    """x at `index` along `dim`: out[i, j] = x[index[i, j], j] for dim 0. Scalars count as one element."""
    if x.ndim == 0 or index.ndim == 0:
        return np.atleast_1d(x)[np.atleast_1d(index)].reshape(index.shape)  # type: ignore[no-any-return]
    if not index.size:
        return np.empty(index.shape, x.dtype)
    line = line_of(index, x.shape, dim)
    if line is not None:
        return np.take(x, line, dim)
    return np.take(np.ascontiguousarray(x).reshape(-1), flat_places(x.shape, index, dim))


def add_along(shape: tuple[int, ...], index: Array, values: Array, dim: int) -> Array:
    """Zeros of `shape` with `values` added at `index` along `dim`: the adjoint of `along`."""
    line = line_of(index, shape, dim)
    if line is not None and worth_product(values):
        return np.moveaxis(add_rows(shape[dim], line, np.moveaxis(values, dim, 0)), 0, dim)
    out = np.zeros(shape, values.dtype)
    if index.size:
        # one dimension and one dtype: NumPy's fast way of add.at
        np.add.at(out.reshape(-1), flat(shape, index, dim), np.ascontiguousarray(values).reshape(-1))
    return out


_WORTH_SCIPY = 1 << 18
_scipy_sparse: list[Any] = []


def _sparse() -> Any:
    """scipy.sparse, or None: its product adds rows several times faster than NumPy can. Loaded for large sums only."""
    if not _scipy_sparse:
        _scipy_sparse.append(importlib.import_module("scipy.sparse") if importlib.util.find_spec("scipy") else None)
    return _scipy_sparse[0]


def worth_product(rows: Array) -> bool:
    """Whether `add_rows` of so much is done by a product."""
    wide = rows.ndim > 1 and rows.size > len(rows) and rows.dtype.kind in "fc" and rows.dtype.itemsize > 2
    return wide and rows.size >= _WORTH_SCIPY and _sparse() is not None


def add_rows(n: int, index: Array, rows: Array) -> Array:
    """Zeros of n rows, with rows[i] added to row index[i], in order. index: 1-d, in 0..n-1; rows: (len(index), ...)."""
    shape = (n, *rows.shape[1:])
    width = math.prod(rows.shape[1:])
    if not rows.size:
        return np.zeros(shape, rows.dtype)
    parts = np.ascontiguousarray(rows).reshape(len(index), width)
    if worth_product(parts):
        ones = np.ones(len(index), rows.dtype)
        chosen = _sparse().csc_matrix((ones, index, np.arange(len(index) + 1)), shape=(n, len(index)))
        return (chosen @ parts).reshape(shape)  # type: ignore[no-any-return]
    out = np.zeros(n * width, rows.dtype)
    at = index if width == 1 else (index[:, None] * width + np.arange(width)).reshape(-1)
    np.add.at(out, at, parts.reshape(-1))
    return out.reshape(shape)
