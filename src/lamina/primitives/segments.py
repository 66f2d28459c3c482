"""segment_reduce: a dimension cut into pieces of given lengths, each reduced.

Here: the checks, and the reduction as a scatter by segment. Not here: scatter_reduce itself.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina.core.tensor import Tensor, wrap
from lamina.primitives.conversion import to
from lamina.primitives.creation import full
from lamina.primitives.fused import fused
from lamina.primitives.inplace import of_tensors
from lamina.primitives.out_dtypes import NAMES
from lamina.primitives.rearrange import broadcast_to, reshape
from lamina.primitives.scatter_reduce import scatter_reduce
from lamina.primitives.selection import clamp, where

_IDENTITY = {"sum": 0.0, "prod": 1.0, "mean": float("nan"), "amax": -float("inf"), "amin": float("inf")}
_NAMES = {"max": "amax", "min": "amin"}


def _lengths(data: Tensor, lengths: Any, offsets: Any, axis: int, unsafe: bool) -> Any:
    if lengths is None:
        found = np.diff(offsets._array, axis=-1)
    else:
        found = lengths._array
    if axis != found.ndim - 1:
        raise RuntimeError(f"segment_reduce(): Expected axis to be the last dimension of lengths but got {axis}.")
    if found.dtype.kind not in "iu":
        raise NotImplementedError(
            f"\"_segment_reduce_lengths_cpu_kernel1\" not implemented for '{NAMES[(lengths if lengths is not None else offsets).dtype.name]}'"
        )
    if not unsafe and lengths is not None:
        if (found < 0).any():
            raise RuntimeError("lengths contains negative value!")
        if (found.sum(-1) != data._array.shape[axis]).any():
            raise RuntimeError(
                "segment_reduce(): Expected all rows of lengths along axis to sum to data.size(lengths.dim()-1) when !unsafe."
            )
    return found


@fused("SegmentReduce")
def _reduced(
    data: Tensor, index: Tensor, counts: Tensor, shape: tuple[int, ...], axis: int, reduce: str, initial: Any
) -> Tensor:
    rows, segments = counts._array.shape
    rest = math.prod(shape[axis + 1 :])
    flat = reshape(data, (rows, -1, rest))
    mean = reduce == "mean"
    start = _IDENTITY["sum" if mean else reduce] if initial is None else float(initial)
    base = full((rows, segments, rest), start, dtype=data.dtype, device=data.device)
    found = scatter_reduce(base, 1, broadcast_to(index, flat._array.shape), flat, "sum" if mean else reduce)
    if mean:
        size = reshape(to(counts, data.dtype), (rows, segments, 1))
        found = where(
            size == 0.0, _IDENTITY[reduce] if initial is None else float(initial), found / clamp(size, min=1.0)
        )
    return reshape(found, shape)


@of_tensors
def segment_reduce(
    data: Tensor, reduce: str, *, lengths: Tensor | None = None, indices: Tensor | None = None, offsets: Tensor | None = None,
    axis: int = 0, unsafe: bool = False, initial: Any = None,
) -> Tensor:  # fmt: skip
    """Reduce ("sum", "mean", "max", "min", "prod") consecutive pieces of dimension `axis`, whose `lengths` or `offsets` are given.

    A piece without elements gives `initial`, or what does not count in the reduction (NaN for a mean).
    """
    if lengths is None and offsets is None and indices is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    name = _NAMES.get(reduce, reduce)
    if name not in _IDENTITY:
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    ndim = max(data._array.ndim, 1)
    if not -ndim <= axis < ndim:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got {axis})")
    if data._kind.dtype.category != 2:
        raise NotImplementedError(f"\"_segment_reduce_cpu\" not implemented for '{NAMES[data.dtype.name]}'")
    if indices is not None:
        raise RuntimeError("segment_reduce(): indices based reduction is not supported yet.")
    counts = _lengths(data, lengths, offsets, axis % ndim, unsafe)
    shape, axis = data._array.shape, axis % ndim
    rows, segments = math.prod(shape[:axis]), counts.shape[-1]
    flat = counts.reshape(rows, segments)
    ends = flat.cumsum(1)
    if offsets is not None and lengths is None:
        ends = offsets._array.reshape(rows, -1)[:, 1:]
    place = np.stack([np.searchsorted(row, np.arange(shape[axis]), side="right") for row in ends])
    index = wrap(np.minimum(place, segments - 1).astype(np.int64)[:, :, None])
    used = int(ends.max(initial=0))
    first = int(offsets._array.min()) if offsets is not None and offsets._array.size else 0
    if used < shape[axis] or first:  # what lies outside of all pieces is left out
        data = data.narrow(axis, first, used - first)
        index = wrap(index._array[:, first:used])
    wanted = (*shape[:axis], segments, *shape[axis + 1 :])
    return _reduced(data, index, wrap(flat.astype(np.int64)), wanted, axis, name, initial)  # type: ignore[no-any-return]


@of_tensors
def hash_tensor(input: Tensor, dim: Any = (), *, keepdim: bool = False, mode: int = 0, out: Any = None) -> Tensor:
    """The exclusive or of the elements' bits along `dim`, as uint64: each as int64 or float64. Raises RuntimeError for mode != 0."""
    if mode != 0:
        raise RuntimeError(f"hash_tensor: Unknown mode {mode}")
    if input._kind.dtype.category == 3:
        raise NotImplementedError(f"\"xor_sum_cpu\" not implemented for '{NAMES[input.dtype.name]}'")
    array, ndim = input._array, input._array.ndim
    dims = (
        tuple(range(ndim)) if dim is None or dim == () or dim == [] else (dim,) if isinstance(dim, int) else tuple(dim)
    )
    for d in dims:
        if not -max(ndim, 1) <= d < max(ndim, 1):
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-max(ndim, 1)}, {max(ndim, 1) - 1}], but got {d})"
            )
    if not array.size and len(dims) == ndim:
        raise RuntimeError(
            "hash_tensor: Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."
        )
    wide = array.astype(np.float64 if input._kind.dtype.category == 2 else np.int64)
    bits = np.ascontiguousarray(wide).view(np.uint64).reshape(array.shape)
    folded: Any = np.bitwise_xor.reduce(bits, axis=dims if ndim else None, keepdims=keepdim and ndim > 0)  # type: ignore[call-overload]
    found = wrap(np.asarray(folded))
    return found if out is None else out.copy_(to(found, out.dtype))


def slice_inverse(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """The memory of `input` in the sizes and strides of `src`: what `input` would be a slice of."""
    return input.as_strided(src.size(), src.stride(), src.storage_offset())


_segment_reduce = segment_reduce
