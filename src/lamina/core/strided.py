"""Memory under arrays: owners, bytes, element strides, and arrays of any geometry over given bytes.

Here: facts about NumPy arrays as strided memory. Not here: tensors and autograd of views (tensor.py, primitives/shape.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core.size import check_room

Array = np.ndarray[Any, Any]


def owner_of(array: Array) -> Array:
    """The array whose bytes `array` looks at: itself, or the end of its chain of bases."""
    while True:
        base = array.base
        if not isinstance(base, np.ndarray):
            base = getattr(base, "base", None)  # np.lib.stride_tricks puts an object of its own between
            if not isinstance(base, np.ndarray):
                return array
        array = base


def address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def bytes_of(owner: Array) -> Array:
    """The owner's memory from its lowest address on, as uint8. Its elements must lie densely, in any order."""
    if owner.nbytes == 0:
        return np.empty(0, np.uint8)
    if owner.flags.c_contiguous:
        flat = owner.reshape(-1)
    else:
        order = sorted(range(owner.ndim), key=lambda d: -abs(owner.strides[d]))
        upright = owner[tuple(slice(None, None, -1) if s < 0 else slice(None) for s in owner.strides)]
        flat = upright.transpose(order).reshape(-1)
        if not np.shares_memory(flat, owner):
            raise RuntimeError("a storage needs memory that lies densely; this array has gaps: copy it first")
    return flat.view(np.uint8)


def element_strides(array: Array) -> tuple[int, ...]:
    """Strides in elements, as PyTorch counts them: where NumPy gives a new dimension of size 1 the stride 0, its span.

    NumPy keeps none for an array without elements: those of a contiguous one.
    """
    item, shape = array.itemsize, array.shape
    if not array.size:
        return contiguous_strides(shape)
    out = [s // item for s in array.strides]
    if 0 in out:
        for d in range(len(out) - 1, -1, -1):
            if shape[d] == 1 and out[d] == 0:
                out[d] = out[d + 1] * shape[d + 1] if d + 1 < len(out) else 1
    return tuple(out)


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    strides, step = [0] * len(shape), 1
    for d in range(len(shape) - 1, -1, -1):
        strides[d] = step
        step *= max(shape[d], 1)
    return tuple(strides)


def channels_last_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides with dimension 1 innermost, for 4-d (NCHW) and 5-d (NCDHW) shapes."""
    strides, step = [0] * len(shape), 1
    for d in (1, *range(len(shape) - 1, 1, -1), 0):
        strides[d] = step
        step *= max(shape[d], 1)
    return tuple(strides)


def over_bytes(data: Array, kind: np.dtype[Any], shape: Sequence[int], strides: Sequence[int], offset: int) -> Array:
    """An array of `kind` over `data` (uint8, 1-d); strides and offset in elements. Raises RuntimeError when out of bounds."""
    if any(n < 0 for n in shape):
        raise RuntimeError(f"as_strided: negative dimensions are not allowed, got sizes: {list(shape)}")
    if any(s < 0 for s in strides):
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(shape)} and strides={list(strides)}")
    if offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {offset}")
    item = kind.itemsize
    need = 0 if 0 in shape else (offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + 1) * item
    if need > data.nbytes:
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset {offset}, and itemsize {item} "
            f"requiring a storage size of {need} are out of bounds for storage of size {data.nbytes}"
        )
    if 0 in shape:
        return np.empty(tuple(shape), kind)
    return np.ndarray(tuple(shape), kind, data, offset * item, tuple(s * item for s in strides))


def overlaps_itself(array: Array) -> bool:
    """Whether two elements certainly share memory: a dimension with stride 0."""
    return bool(array.size) and any(s == 0 and n > 1 for s, n in zip(array.strides, array.shape, strict=True))


def partly_overlap(written: Array, read: Array, whole: bool) -> bool:
    """Whether writing to one array changes another while it is read. whole: also when they are the same elements.

    PyTorch's rule: arrays with gaps are not looked at.
    """
    if (
        not np.may_share_memory(written, read)
        or not written.size
        or not read.size
        or not is_dense(written)
        or not is_dense(read)
    ):
        return False
    if (
        address(written) == address(read)
        and written.nbytes == read.nbytes
        and element_strides(written) == element_strides(read)
    ):
        return whole
    return True


def writable(array: Array) -> Array:
    """The array, or (of one that NumPy protects: it was broadcast) another with the same strides that may be written to."""
    if array.flags.writeable:
        return array
    own = array[tuple([slice(0, 1) if s == 0 else slice(None) for s in array.strides])].copy()
    made = np.broadcast_to(own, array.shape)
    made.flags.writeable = True
    return made


def is_dense(array: Array) -> bool:
    """Whether the elements lie side by side, each once, in any order of dimensions."""
    if not array.size:
        return True
    pairs = [(s, n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1]
    step = array.itemsize
    for s, n in sorted(pairs):
        if s != step:
            return False
        step *= n
    return True


def is_turned(array: Array) -> bool:
    """Whether matrices lie column by column."""
    strides = array.strides
    return len(strides) > 1 and 0 < strides[-2] < strides[-1]


def is_channels_last(array: Array) -> bool:
    """Whether a 4-d or 5-d array has dimension 1 innermost (PyTorch's stride order; ambiguous shapes included)."""
    n = array.ndim
    if n not in (4, 5):
        return False
    expected = 1
    strides = element_strides(array)
    for d in (1, *range(n - 1, 1, -1), 0):
        if array.shape[d] != 1:
            if strides[d] != expected:
                return False
            expected *= array.shape[d]
    return True


def empty_as(array: Array, kind: np.dtype[Any] | None = None) -> Array:
    """New memory in the shape and stride order of `array` (PyTorch's preserve_format). kind: another dtype."""
    if kind is None:
        kind = array.dtype
    if array.flags.c_contiguous:
        return np.empty(array.shape, kind)
    order = stride_order(array)
    back = [0] * len(order)
    for place, d in enumerate(order):
        back[d] = place
    return np.empty([array.shape[d] for d in order], kind).transpose(back)


def counted(n: int, kind: Any = np.int64) -> Array:
    """0, 1 ... n - 1. Raises RuntimeError for a length that cannot be: NumPy's arange gives an empty array for some of them."""
    check_room((n,), 8)
    return np.arange(n, dtype=kind)


def untouched(shape: Sequence[int], kind: np.dtype[Any], strides: Sequence[int] | None = None) -> Array:
    """What a meta tensor holds: memory that is never read or written, so that the system gives it addresses but no pages.

    strides: in elements (None: contiguous). Where there are not enough addresses: one zero, seen in that shape.
    """
    try:
        if strides is None:
            return np.empty(tuple(shape), kind)
        reach = 0 if 0 in shape else 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        return over_bytes(np.empty(reach * kind.itemsize, np.uint8), kind, shape, strides, 0)
    except (MemoryError, ValueError):
        return np.broadcast_to(np.zeros((), kind), tuple(shape))


def stride_order(array: Array) -> list[int]:
    """Dimensions from the outermost to the innermost. A stretched one (stride 0) stays beside its neighbours, as in PyTorch."""
    strides, shape = array.strides, array.shape
    inner_first = list(range(array.ndim - 1, -1, -1))
    for i in range(1, array.ndim):
        at = i
        for j in range(i - 1, -1, -1):
            a, b = inner_first[j], inner_first[at]
            if strides[a] and strides[b] and strides[a] != strides[b]:
                if strides[a] < strides[b]:
                    break
            elif not (strides[a] and strides[b]) or shape[a] <= shape[b]:
                continue
            inner_first[j], inner_first[at] = b, a
            at = j
    return inner_first[::-1]


def numel(shape: Sequence[int]) -> int:
    return math.prod(shape)
