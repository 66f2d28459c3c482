"""Pooling to a given number of outputs: adaptive average and maximum, and fractional maximum.

Arrays are (..., *space). Adaptive windows have bounds floor(o * size / outputs) and ceil((o + 1) * size / outputs), and
may overlap. Where they all have one size this is ordinary pooling (pooling.py), whose `max_pool_grad` also is
both maxima's gradient.
"""

import math

import numpy as np

from lamina.core.size import check_room
from lamina.primitives.kernels.pooling import (
    avg_pool_forward,
    avg_pool_grad,
    max_pool_forward,
    on_axis,
    resized,
    take_larger,
)
from lamina.primitives.kernels.windows import Array, Sizes


def adaptive_avg_pool_forward(x: Array, outputs: Sizes) -> Array:
    """The mean of each window: x (..., *space) -> (..., *outputs)."""
    space = x.shape[x.ndim - len(outputs) :]
    kernel = _even_windows(space, outputs)
    if kernel is not None and kernel <= outputs:
        return avg_pool_forward(x, kernel, kernel, (0,) * len(outputs))
    if set(outputs) == {1} and math.prod(space):
        whole: Array = x.reshape(*x.shape[: x.ndim - len(space)], *outputs, -1).mean(-1, dtype=x.dtype)
        return whole
    for i, (size, count) in reversed(list(enumerate(zip(space, outputs, strict=True)))):
        dim = i - len(outputs)
        means = np.empty(resized(x.shape, dim, count), x.dtype)
        for o, (start, stop) in enumerate(_bounds(size, count)):
            np.mean(x[on_axis(dim, slice(start, stop))], axis=dim, out=means[on_axis(dim, o)])
        x = means
    return x


def adaptive_avg_pool_grad(g: Array, x_shape: Sizes, outputs: Sizes) -> Array:
    """The adjoint of `adaptive_avg_pool_forward`: g (..., *outputs) -> `x_shape`."""
    space = x_shape[len(x_shape) - len(outputs) :]
    kernel = _even_windows(space, outputs)
    if kernel is not None and kernel <= outputs:
        return avg_pool_grad(g, x_shape, kernel, kernel, (0,) * len(outputs))
    for i, (size, count) in enumerate(zip(space, outputs, strict=True)):
        dim = i - len(outputs)
        total = np.zeros(resized(g.shape, dim, size), g.dtype)
        for o, (start, stop) in enumerate(_bounds(size, count)):
            part = total[on_axis(dim, slice(start, stop))]
            part += g[on_axis(dim, slice(o, o + 1))] / (stop - start)
        g = total
    return g


def adaptive_max_pool_forward(x: Array, outputs: Sizes) -> tuple[Array, Array]:
    """The maximum of each window and its int64 index in the flattened space."""
    space = x.shape[x.ndim - len(outputs) :]
    kernel = _even_windows(space, outputs)
    if kernel is not None:
        y, indices = max_pool_forward(x, kernel, kernel, (0,) * len(outputs), (1,) * len(outputs))
        assert indices is not None
        return y, indices
    check_room((*x.shape[: x.ndim - len(outputs)], *outputs), x.itemsize)
    careful = x.dtype.kind not in "iu" and bool(np.isnan(x).any())
    places = np.arange(math.prod(space)).reshape(space)
    places = np.broadcast_to(places, x.shape)
    for i, (size, count) in reversed(list(enumerate(zip(space, outputs, strict=True)))):
        x, places = _adaptive_max_pass(x, places, i - len(outputs), _bounds(size, count), careful)
    return np.ascontiguousarray(x), np.ascontiguousarray(places)  # indexing by an array turns the order of memory


def fractional_max_pool_forward(x: Array, kernel: Sizes, outputs: Sizes, samples: Array) -> tuple[Array, Array]:
    """Maxima of windows whose starts are drawn: x (N, C, *space), samples (N, C, dims) in [0, 1).

    As in PyTorch the samples are in the order of the dimensions in 3d, but in 2d the last dimension uses the first one.
    Returns the maxima and their int64 flat indices.
    """
    dims, space = len(kernel), x.shape[2:]
    planes = x.reshape(math.prod(x.shape[:2]), math.prod(space))
    draws = samples.reshape(len(planes), dims)
    if dims == 2:
        draws = draws[:, ::-1]
    starts = [
        _fractional_starts(draws[:, i], size, count, k).reshape(len(planes), *_on(i, dims, count))
        for i, (size, count, k) in enumerate(zip(space, outputs, kernel, strict=True))
    ]
    rows = np.arange(len(planes)).reshape(len(planes), *[1] * dims)
    pitch = [math.prod(space[i + 1 :]) for i in range(dims)]
    start: Array = sum(s * p for s, p in zip(starts, pitch, strict=True))
    best, places = planes[rows, start], start.copy()
    for tap in np.ndindex(kernel):
        place = start + sum(t * p for t, p in zip(tap, pitch, strict=True))
        take_larger(best, places, planes[rows, place], place, careful=x.dtype.kind not in "iu")
    shape = (*x.shape[:2], *outputs)
    return best.reshape(shape), places.reshape(shape)


def _even_windows(space: Sizes, outputs: Sizes) -> Sizes | None:
    """The windows' sizes, if every dimension divides."""
    if any(count == 0 or size % count for size, count in zip(space, outputs, strict=True)) or 0 in space:
        return None
    return tuple(size // count for size, count in zip(space, outputs, strict=True))


def _bounds(size: int, outputs: int) -> list[tuple[int, int]]:
    return [(o * size // outputs, -((o + 1) * -size // outputs)) for o in range(outputs)]


def _adaptive_max_pass(
    x: Array, places: Array, dim: int, bounds: list[tuple[int, int]], careful: bool
) -> tuple[Array, Array]:
    starts = np.array([start for start, _ in bounds], np.intp)
    lengths = np.array([stop - start for start, stop in bounds], np.intp)
    best, best_places = x[on_axis(dim, starts)], places[on_axis(dim, starts)]
    for t in range(1, lengths.max(initial=0)):
        # A window that has ended meets its last element again, which changes nothing.
        source = on_axis(dim, starts + np.minimum(t, lengths - 1))
        take_larger(best, best_places, x[source], places[source], careful)
    return best, best_places


def _fractional_starts(draw: Array, size: int, outputs: int, kernel: int) -> Array:
    """(planes, outputs): where the windows start. The last one always ends with the input."""
    starts = np.full((len(draw), outputs), size - kernel, np.int64)
    if outputs > 1:
        # In the samples' precision: the truncation below is PyTorch's only then.
        step = draw.dtype.type(size - kernel) / draw.dtype.type(outputs - 1)
        begun = (draw * step).astype(np.int64)[:, None]
        inner = ((np.arange(outputs - 1).astype(draw.dtype) + draw[:, None]) * step).astype(np.int64)
        starts[:, :-1] = inner - begun
    return starts


def _on(i: int, dims: int, count: int) -> Sizes:
    return tuple(count if d == i else 1 for d in range(dims))
