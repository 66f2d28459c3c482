"""Order along the last axis of arrays: stable positions, NaN above all.

Where values fit in 32 bits, value and position are packed into one int64: no two are equal, so NumPy's fast unstable
sort and partition give the stable order, several times faster than its stable argsort. Here: computing on arrays. Not
here: dimensions, checks, gradients (sorting.py, selection.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.strided import Array

_SMALL = 1024  # elements up to which building keys costs more than it saves
_LOW = np.int64(0xFFFFFFFF)


def _ranks(x: Array) -> Array | None:
    """int64 numbers within 32 bits, in the order of x and equal where x is; None where there are none."""
    kind = x.dtype.kind
    if kind in "bu" and x.dtype.itemsize <= 4:
        return x.astype(np.int64)
    if kind == "i" and x.dtype.itemsize <= 4:
        return x.astype(np.int64)
    if x.dtype == np.float32:
        bits = (x + np.float32(0)).view(np.int32)  # + 0: the zeros are equal
        ranks = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
        nan = np.isnan(x)
        if nan.any():
            ranks[nan] = 0x7FFFFFFF
        return ranks
    if kind == "i" and x.size:
        low, high = int(x.min()), int(x.max())
        if high - low < 1 << 31:
            return x - low
    return None


def _keys(x: Array, descending: bool) -> Array | None:
    """Numbers that order like (x, position); descending: like (-x, position)."""
    if x.size <= _SMALL or x.shape[-1] >= 1 << 32:
        return None
    ranks = _ranks(x)
    if ranks is None:
        return None
    if descending:
        np.invert(ranks, out=ranks)
    np.left_shift(ranks, 32, out=ranks)
    np.bitwise_or(ranks, np.arange(x.shape[-1]), out=ranks)
    return ranks


def sorted_positions(x: Array, descending: bool = False) -> Array:
    """Where the elements of the sorted last axis come from; equal ones stay in order. Descending: NaN first."""
    keys = _keys(x, descending)
    if keys is not None:
        keys.sort(axis=-1)
        return np.bitwise_and(keys, _LOW, out=keys)
    if not descending:
        return x.argsort(axis=-1, kind="stable")
    return x.shape[-1] - 1 - x[..., ::-1].argsort(axis=-1, kind="stable")[..., ::-1]  # type: ignore[no-any-return]


def first_positions(x: Array, k: int, descending: bool = False) -> Array:
    """The first k of `sorted_positions`."""
    n = x.shape[-1]
    if k == n or x.size <= _SMALL or k == 0:
        return np.ascontiguousarray(sorted_positions(x, descending)[..., :k])
    if x.dtype.kind == "f":
        if k == 1 and descending:
            return x.argmax(axis=-1, keepdims=True)  # type: ignore[no-any-return]
        found = _beyond_edge(x, k, descending)
        if found is not None:
            return found
    keys = _keys(x, descending)
    if keys is None:
        return np.ascontiguousarray(sorted_positions(x, descending)[..., :k])
    keys.partition(k - 1, axis=-1)
    keys = np.sort(keys[..., :k], axis=-1)
    return np.bitwise_and(keys, _LOW, out=keys)  # type: ignore[no-any-return]


def _beyond_edge(x: Array, k: int, descending: bool) -> Array | None:
    """The first k by comparing with the k-th; None where there are ties at the k-th, or NaN."""
    n = x.shape[-1]
    at = n - k if descending else k - 1
    edge = np.partition(x, at, axis=-1)[..., at : at + 1]
    found = np.flatnonzero(x >= edge if descending else x <= edge)
    if found.size * n != x.size * k:
        return None
    found = found.reshape(*x.shape[:-1], k)
    order = sorted_positions(x.reshape(-1)[found], descending)
    return np.take_along_axis(found, order, -1) % n  # type: ignore[no-any-return]


def position_of_rank(x: Array, k: Any) -> Array:
    """Where the entry `k` (an int, or one for each row) of the sorted last axis stands; of equal ones any, always "
    "the same."""
    if not isinstance(k, int):
        return np.take_along_axis(sorted_positions(x), k[..., None], -1)[..., 0]
    if x.size <= _SMALL:
        return sorted_positions(x)[..., k]
    value = np.partition(x, k, axis=-1)[..., k : k + 1]
    return ((x == value) | (value != value) & (x != x)).argmax(-1) if x.dtype.kind == "f" else (x == value).argmax(-1)  # type: ignore[no-any-return]
