"""The same elements in another order, or several times: flip, roll, rot90, repeat, tile, repeat_interleave. Always copies.

Here: primitives and public functions. Not here: views (shape.py, rearrange.py), picking by an index (gathering.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core import device as devices
from lamina.core import strided
from lamina.core.size import listed, shape_of, wrap_dim, wrap_dims
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, wrap
from lamina.primitives.argument_types import Ints
from lamina.primitives.gathering import index_select
from lamina.primitives.inplace import of_tensors
from lamina.primitives.rearrange import expand, reshape, unsqueeze
from lamina.primitives.registry import primitive
from lamina.primitives.signature import not_implemented, parsed

# ---- flip ------------------------------------------------------------------------------------------------------------


def _flip(x: Array, *, dims: tuple[int, ...]) -> Array:
    out = strided.empty_as(x)
    np.copyto(out, np.flip(x, dims) if dims else x)
    return out


flip_ = primitive("flip", _flip, grads=(lambda g, dims: flip_(g, dims=dims),))


@parsed
def flip(input: Tensor, *axes: Any, dims: Any = None) -> Tensor:
    """The order of entries reversed in the given dimensions."""
    found = wrap_dims(shape_of(listed(axes, dims, "flip", "dims"), "flip", "dims"), input._array.ndim)
    return flip_(input, dims=found if input._array.ndim else ())  # type: ignore[no-any-return]


@parsed
def fliplr(input: Tensor) -> Tensor:
    """The order of columns (dimension 1) reversed."""
    if input._array.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip_(input, dims=(1,))  # type: ignore[no-any-return]


@parsed
def flipud(input: Tensor) -> Tensor:
    """The order of rows (dimension 0) reversed."""
    if input._array.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip_(input, dims=(0,))  # type: ignore[no-any-return]


# ---- roll, rot90 -----------------------------------------------------------------------------------------------------

roll_ = primitive(
    "roll", lambda x, *, shifts, dims: np.roll(np.asarray(x, order="C"), shifts, dims or None),
    grads=(lambda g, shifts, dims: roll_(g, shifts=tuple(-k for k in shifts), dims=dims),))  # fmt: skip


@parsed
def roll(input: Tensor, shifts: Ints, dims: Ints = ()) -> Tensor:
    """Entries moved by `shifts` along `dims`, around the end; without dims: along the flattened tensor."""
    by = tuple(shifts) if isinstance(shifts, (tuple, list)) else (shifts,)
    along = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
    if not by:
        raise RuntimeError("`shifts` required")
    if not along and len(by) == 1:
        return roll_(input, shifts=by, dims=())  # type: ignore[no-any-return]
    if len(by) != len(along):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(by)}, dims:{len(along)}")
    if not input._array.ndim:
        raise IndexError(f"Dimension specified as {along[0]} but tensor has no dimensions")
    found = tuple(wrap_dim(d, input._array.ndim) for d in along)
    return roll_(input, shifts=by, dims=found)  # type: ignore[no-any-return]


def _turn(x: Array, *, k: int, dims: tuple[int, int]) -> Array:
    a, b = dims
    if k == 1:
        return _flip(x, dims=(b,)).swapaxes(a, b)
    if k == 2:
        return _flip(x, dims=dims)
    if k == 3:
        return _flip(x, dims=(a,)).swapaxes(a, b)
    return np.array(x, order="C")


rot90_ = primitive("rot90", _turn, grads=(lambda g, k, dims: rot90_(g, k=-k % 4, dims=dims),))


@parsed
def rot90(input: Tensor, k: int = 1, dims: Any = (0, 1)) -> Tensor:
    """Turned by k quarters in the plane of two dimensions, from the first towards the second."""
    n = input._array.ndim
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if n < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {n}")
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == n:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    a, b = wrap_dim(dims[0], n), wrap_dim(dims[1], n)
    return rot90_(input, k=k % 4, dims=(a, b))  # type: ignore[no-any-return]


# ---- repeat ----------------------------------------------------------------------------------------------------------


def _unrepeated(g: Any, shape: tuple[int, ...], repeats: tuple[int, ...]) -> Any:
    lead = len(repeats) - len(shape)
    full = (1,) * lead + shape
    split = tuple(n for pair in zip(repeats, full, strict=True) for n in pair)
    axes = tuple(range(0, 2 * len(repeats), 2))
    if not axes:
        return g
    # the size is spelled out: -1 is not told where it is 0
    total = g.reshape(split).sum(axes)
    return total.reshape(shape)


repeat_ = primitive(
    "repeat", lambda x, *, repeats: np.tile(x, repeats),
    grads=(lambda g, x_shape, repeats: _unrepeated(g, x_shape, repeats),))  # fmt: skip


def repeat(self: Tensor, *times: Any, repeats: Any = None) -> Tensor:
    """The tensor `repeats` times in each dimension; more of them than dimensions: new ones in front. Always a copy."""
    times, shape = shape_of(listed(times, repeats, "repeat", "repeats"), "repeat"), self._array.shape
    if len(times) < len(shape):
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    full = [n * k for n, k in zip((1,) * (len(times) - len(shape)) + shape, times, strict=True)]
    if any(k < 0 for k in times):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(full)}: {full}")
    return repeat_(self, repeats=times)  # type: ignore[no-any-return]


@parsed
def tile(input: Tensor, *times: Any, dims: Any = None) -> Tensor:
    """The tensor `dims` times in each dimension; fewer of them than dimensions: for the last ones."""
    times = shape_of(listed(times, dims, "tile", "dims"), "tile")
    return repeat(input, (1,) * (input._array.ndim - len(times)) + times)


@of_tensors
def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each entry of a dimension `repeats` times (a number, or a count for each); without `dim`: of the flattened tensor.

    repeat_interleave(repeats): the index i repeats[i] times. output_size is checked.
    """
    if repeats is None:
        return wrap(
            _counted(input, output_size).astype(input._kind.np if input._kind.dtype.name == "int32" else np.int64)
        )
    if dim is None:
        input, dim = input.reshape(-1), 0
    elif not input._array.ndim:
        if not isinstance(repeats, (Tensor, tuple, list)):
            raise IndexError("Dimension out of range (expected to be in range of [-1, 0], but got 1)")
        input = input.reshape(1)
    d = wrap_dim(dim, input._array.ndim)
    n = input._array.shape[d]
    if not isinstance(repeats, Tensor):
        if isinstance(repeats, (tuple, list)):
            repeats = wrap(np.array(repeats, np.int64))
        else:
            return _stretched(input, d, repeats)
    if repeats._array.ndim > 1:
        raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
    if repeats._array.size != 1 and repeats._array.shape[0] != n:
        raise RuntimeError(
            f"repeats must have the same size as input along dim, but got repeats.size(0) = {repeats._array.shape[0]} and "
            f"input.size({d}) = {n}"
        )
    counts = wrap(np.broadcast_to(repeats._array.reshape(-1), (n,)))
    return index_select(input, d, wrap(_counted(counts, output_size)))  # type: ignore[no-any-return]


def _stretched(input: Tensor, dim: int, times: int) -> Tensor:
    """Each entry of a dimension as often: stretched along a new dimension, copied, and the two made one."""
    if times < 0:
        raise RuntimeError("Repeats must be non-negative")
    shape = input._array.shape
    wide = expand(unsqueeze(input, dim + 1), (*shape[: dim + 1], times, *shape[dim + 1 :]))
    copy = wide.clone(memory_format=devices.contiguous_format)
    return reshape(copy, (*shape[:dim], shape[dim] * times, *shape[dim + 1 :]))


def _counted(repeats: Tensor, output_size: int | None) -> Array:
    counts = repeats._array
    if counts.ndim != 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    if repeats._kind.dtype.name not in ("int64", "int32"):
        raise not_implemented("repeat_interleave_cpu", repeats._kind.dtype)
    if counts.size and counts.min() < 0:
        raise RuntimeError("repeats can not be negative")
    if output_size is not None and int(counts.sum()) != output_size:
        raise RuntimeError("allocated size does not match required size")
    return np.repeat(np.arange(counts.size), counts)
