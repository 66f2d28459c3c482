"""Max and average pooling on arrays (..., *space), one dimension after the other.

A maximum or a sum over a window is taken along the last dimension first, then along the one before it: k + k steps on
whole slices instead of k * k. The place of a maximum travels along as its offset from the window's start, in the
smallest integer type, chosen by arithmetic (a masked copy is ten times slower). Ties go to the first element and NaNs
win, the last one over the others, as in PyTorch; both rules survive the split, because the order of a window's elements
is lexicographic. Adaptive and fractional pooling: adaptive.py.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamina.primitives.kernels.windows import Array, Index, Sizes, window_outputs

PLANE_BYTES = 1 << 18  # of input per group of planes: the passes over a group stay in cache


@dataclass(frozen=True)
class Axis:
    """The windows along one dimension: window o has the elements o * stride - padding + t * dilation, t < kernel."""

    size: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    dilation: int = 1

    def taps(self) -> Iterator[tuple[int, int, int, slice]]:
        """(t, first, stop, source): at position t the windows first..stop have an element, those at `source`."""
        for t in range(self.kernel):
            shift = t * self.dilation - self.padding
            first = max(0, -(shift // self.stride))
            stop = min(self.outputs, (self.size - 1 - shift) // self.stride + 1)
            if first < stop:
                start = first * self.stride + shift
                yield t, first, stop, slice(start, start + (stop - first - 1) * self.stride + 1, self.stride)

    def starts(self) -> Array:
        starts: Array = np.arange(self.outputs) * self.stride - self.padding
        return starts

    def counts(self, include_padding: bool) -> Array:
        """Elements per window; never those that hang over the padding (`ceil_mode`)."""
        starts = self.starts()
        stops: Array = np.minimum(starts + self.kernel, self.size + self.padding)
        if include_padding:
            return stops - starts
        counts: Array = np.minimum(stops, self.size) - np.maximum(starts, 0)
        return counts


def max_pool_forward(
    x: Array,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool = False,
    indices: bool = True,
) -> tuple[Array, Array | None]:
    """The maximum of each window and its int64 index in the flattened space (without `indices` None, and faster)."""
    axes = _axes(x, kernel, stride, padding, dilation, ceil_mode)
    planes = x.reshape(_planes(x, axes), *(axis.size for axis in axes))
    outputs = tuple(axis.outputs for axis in axes)
    y = np.empty((len(planes), *outputs), x.dtype)
    places = np.empty(y.shape, np.int64) if indices else None
    start = _flat_starts(axes)
    for group in _plane_groups(planes):
        values, offsets = _max_pool(planes[group], axes, indices, careful=False)
        if indices and x.dtype.kind in "fV" and np.isnan(values).any():
            values, offsets = _max_pool(planes[group], axes, indices, careful=True)
        y[group] = values
        if places is not None and offsets is not None:
            np.add(start, offsets, out=places[group])
    shape = (*x.shape[: x.ndim - len(axes)], *outputs)
    return y.reshape(shape), None if places is None else places.reshape(shape)


def max_pool_grad(g: Array, indices: Array, x_shape: Sizes, dims: int, disjoint: bool = False) -> Array:
    """Add each element of g (..., *outputs) to where its maximum was: -> `x_shape`, the last `dims` of it space.

    disjoint: no element is the maximum of two windows, which makes adding putting.
    """
    x = np.zeros(x_shape, g.dtype)
    if g.size and disjoint:
        x.reshape(-1)[_flat(indices, x_shape, dims)] = g.reshape(-1)
    elif g.size:
        np.add.at(x.reshape(-1), _flat(indices, x_shape, dims), g.reshape(-1))
    return x


def max_pool_grad_grad(x: Array, indices: Array, dims: int) -> Array:
    """The adjoint of `max_pool_grad`: the elements of x (..., *space) at `indices` (..., *outputs)."""
    if not indices.size:
        return np.empty(indices.shape, x.dtype)
    return x.reshape(-1)[_flat(indices, x.shape, dims)].reshape(indices.shape)


def max_unpool(x: Array, indices: Array, space: Sizes) -> Array:
    """Put each element of x (..., *inputs) at its index of a space of zeros; of several at one place the last stays.

    Raises RuntimeError for an index outside the space. The gradient is `max_pool_grad_grad`.
    """
    limit = math.prod(space)
    wrong = indices[(indices < 0) | (indices >= limit)]
    if wrong.size:
        raise RuntimeError(
            f"Found an invalid max index: {wrong[0]} (output volumes are of size {'x'.join(map(str, space))})"
        )
    y = np.zeros((*x.shape[: x.ndim - len(space)], *space), x.dtype)
    if x.size:
        y.reshape(-1)[_flat(indices, y.shape, len(space))] = x.reshape(-1)
    return y


def avg_pool_forward(
    x: Array,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """The mean of each window. Integers divide towards zero, as in PyTorch."""
    axes = _axes(x, kernel, stride, padding, (1,) * len(kernel), ceil_mode)
    planes = x.reshape(_planes(x, axes), *(axis.size for axis in axes))
    y = np.empty((len(planes), *(axis.outputs for axis in axes)), x.dtype)
    divisor = _divisor(axes, count_include_pad, divisor_override, x.dtype)
    for group in _plane_groups(planes):
        total = planes[group]
        for i, axis in reversed(list(enumerate(axes))):
            total = _window_sums(total, i - len(axes), axis)
        y[group] = _divided(total, divisor)
    return y.reshape(*x.shape[: x.ndim - len(axes)], *y.shape[1:])


def avg_pool_grad(
    g: Array,
    x_shape: Sizes,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """The adjoint of `avg_pool_forward`: g (..., *outputs) -> `x_shape`."""
    x = np.zeros(x_shape, g.dtype)
    axes = _axes(x, kernel, stride, padding, (1,) * len(kernel), ceil_mode)
    planes = x.reshape(_planes(x, axes), *(axis.size for axis in axes))
    shares = g.reshape(len(planes), *(axis.outputs for axis in axes))
    divisor = _divisor(axes, count_include_pad, divisor_override, g.dtype)
    for group in _plane_groups(planes):
        part = shares[group] / divisor
        for i, axis in enumerate(axes):
            part = _spread_sums(part, i - len(axes), axis)
        planes[group] = part
    return x


def on_axis(axis: int, index: slice | Array | int) -> Index:
    """The subscript that applies `index` to the dimension `axis` (negative)."""
    return (..., index, *[slice(None)] * (-axis - 1))


def resized(shape: Sizes, axis: int, size: int) -> Sizes:
    """`shape` with another size at `axis`."""
    sizes = list(shape)
    sizes[axis] = size
    return tuple(sizes)


def offset_dtype(largest: int) -> np.dtype[Any]:
    """The smallest signed integer type that holds offsets up to `largest`."""
    return np.min_scalar_type(-largest - 1)


def take_larger(best: Array, offsets: Array | None, value: Array, offset: Array | int, careful: bool) -> None:
    """Where `value` is larger than `best`, or (if `careful`) is NaN, put it there and its offset into `offsets`."""
    if offsets is not None:
        mask = value > best
        if careful:
            mask |= value != value
        change = np.subtract(offset, offsets, dtype=offsets.dtype)
        change *= mask
        offsets += change
    np.maximum(best, value, out=best)


def _max_pool(x: Array, axes: list[Axis], indices: bool, careful: bool) -> tuple[Array, Array | None]:
    pitch = [math.prod(axis.size for axis in axes[i + 1 :]) for i in range(len(axes))]
    reach = sum((axis.kernel - 1) * axis.dilation * p for axis, p in zip(axes, pitch, strict=True))
    offsets: Array | None = None
    for i in reversed(range(len(axes))):
        x, offsets = _max_pass(x, offsets, i - len(axes), axes[i], pitch[i], offset_dtype(reach), indices, careful)
    return x, offsets


def _max_pass(
    x: Array,
    offsets: Array | None,
    dim: int,
    axis: Axis,
    pitch: int,
    dtype: np.dtype[Any],
    indices: bool,
    careful: bool,
) -> tuple[Array, Array | None]:
    shape = resized(x.shape, dim, axis.outputs)
    best = np.empty(shape, x.dtype)
    if axis.dilation > 1 and axis.padding:  # a window can step over a tiny input altogether
        best[...] = -np.inf if x.dtype.kind not in "iu" else np.iinfo(x.dtype).min
    places = np.zeros(shape, dtype) if indices else None
    begun = axis.outputs  # the windows from here on have met their first element
    for t, first, stop, source in axis.taps():
        value = x[on_axis(dim, source)]
        offset: Array | int = t * axis.dilation * pitch
        if offsets is not None:
            offset = offsets[on_axis(dim, source)] + dtype.type(offset)
        split = max(first, min(begun, stop))
        if first < split:
            target = on_axis(dim, slice(first, split))
            best[target] = value[on_axis(dim, slice(0, split - first))]
            if places is not None:
                places[target] = offset if isinstance(offset, int) else offset[on_axis(dim, slice(0, split - first))]
        if split < stop:
            target, rest = on_axis(dim, slice(split, stop)), on_axis(dim, slice(split - first, None))
            known = None if places is None else places[target]
            take_larger(best[target], known, value[rest], offset if isinstance(offset, int) else offset[rest], careful)
        begun = min(begun, first)
    return best, places


def _window_sums(x: Array, dim: int, axis: Axis) -> Array:
    total = np.zeros(resized(x.shape, dim, axis.outputs), x.dtype)
    for _, first, stop, source in axis.taps():
        part = total[on_axis(dim, slice(first, stop))]
        part += x[on_axis(dim, source)]
    return total


def _spread_sums(g: Array, dim: int, axis: Axis) -> Array:
    total = np.zeros(resized(g.shape, dim, axis.size), g.dtype)
    for _, first, stop, source in axis.taps():
        part = total[on_axis(dim, source)]
        part += g[on_axis(dim, slice(first, stop))]
    return total


def _divisor(axes: list[Axis], include_padding: bool, override: int | None, dtype: np.dtype[Any]) -> Array:
    if override is not None:
        return np.asarray(override, dtype)
    divisor: Array = np.ones((), np.int64)
    for axis in axes:
        divisor = np.multiply.outer(divisor, axis.counts(include_padding))
    if divisor.size and (divisor == divisor.flat[0]).all():
        divisor = divisor.reshape(-1)[0]
    return np.asarray(divisor, dtype)


def _divided(total: Array, divisor: Array) -> Array:
    if total.dtype.kind in "iu":  # towards zero
        whole: Array = np.sign(total) * np.sign(divisor) * (np.abs(total) // np.abs(divisor))
        return whole
    return np.divide(total, divisor, out=total)


def _axes(x: Array, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool) -> list[Axis]:
    space = x.shape[x.ndim - len(kernel) :]
    outputs = window_outputs(space, kernel, stride, padding, dilation, ceil_mode)
    return [Axis(*sizes) for sizes in zip(space, outputs, kernel, stride, padding, dilation, strict=True)]


def _planes(x: Array, axes: list[Axis]) -> int:
    return math.prod(x.shape[: x.ndim - len(axes)])


def _plane_groups(planes: Array) -> Iterator[slice]:
    group = max(1, PLANE_BYTES // max(1, planes[:1].nbytes))
    for start in range(0, len(planes), group):
        yield slice(start, start + group)


def _flat_starts(axes: list[Axis]) -> Array:
    """The flat index at which each window starts (in the padding it may be negative)."""
    starts: Array = np.zeros((), np.int64)
    for axis in axes:
        starts = np.add.outer(starts * axis.size, axis.starts())
    return starts


def _flat(indices: Array, shape: Sizes, dims: int) -> Array:
    """Indices per plane of an array of `shape` (`dims` of it space) as indices into the whole flattened array."""
    planes, room = math.prod(shape[: len(shape) - dims]), math.prod(shape[len(shape) - dims :])
    return (indices.reshape(planes, -1) + np.arange(planes)[:, None] * room).reshape(-1)
