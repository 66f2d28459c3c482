"""Resizing arrays (N, C, *space): each axis on its own, every output a weighted sum of a few places of the axis.

A table says which places and how much each counts. Its transpose is a table too, so that the way back is the same loop. Places
are gathered, not multiplied by a matrix with zeros: an infinity stays with its neighbours.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamina.core.strided import counted
from lamina.primitives.kernels.windows import Array, Sizes

Scales = tuple[float | None, ...]


@dataclass(frozen=True, eq=False)
class Table:
    """Output o is the sum over t of weights[o, t] * input[places[o, t]]; weights None: one place, weight 1."""

    places: Array
    weights: Array | None
    empty: Array | None = None  # outputs that meet no input


def resize(x: Array, mode: str, outputs: Sizes, align_corners: bool, scales: Scales) -> Array:
    """`x` (N, C, *space) resized to (N, C, *outputs), the last axis first. uint8 in fixed point, rounded after each axis."""
    inputs = x.shape[2:]
    for i in reversed(range(len(outputs))):
        wanted = table(mode, inputs[i], outputs[i], align_corners, scales[i], precision(x.ndim, x.dtype, mode))
        if x.dtype != np.uint8 or wanted.weights is None:
            x = _along(x, wanted, i - len(outputs))
        elif inputs[i] != outputs[i]:  # an axis that keeps its size keeps its bytes, whatever the scale
            x = _along_bytes(x, wanted, i - len(outputs))
    return x


def resize_grad(g: Array, mode: str, inputs: Sizes, align_corners: bool, scales: Scales) -> Array:
    """The adjoint of `resize`: g (N, C, *outputs) -> (N, C, *inputs)."""
    outputs = g.shape[2:]
    for i in range(len(inputs)):
        g = _along(
            g,
            transposed(mode, inputs[i], outputs[i], align_corners, scales[i], precision(g.ndim, g.dtype, mode)),
            i - len(inputs),
        )
    return g


def precision(ndim: int, dtype: Any, mode: str) -> str:
    """What places are computed in: as it decides between two pixels, it is PyTorch's."""
    if mode in _NEAREST and ndim == 4:
        return "float32"
    return "float64" if dtype == np.float64 or (dtype == np.uint8 and mode not in _NEAREST) else "float32"


def _along(x: Array, wanted: Table, axis: int) -> Array:
    places, weights = wanted.places, wanted.weights
    total: Array = np.take(x, places[:, 0], axis)
    if weights is None:
        return total
    columns = weights.astype(x.dtype).reshape(*weights.shape, *(1,) * (-axis - 1))
    total *= columns[:, 0]
    for t in range(1, places.shape[1]):
        part = np.take(x, places[:, t], axis)
        part *= columns[:, t]
        total += part
    if wanted.empty is not None:
        behind: Any = (slice(None),) * (-axis - 1)
        total[(..., wanted.empty, *behind)] = 0
    return total


def _along_bytes(x: Array, wanted: Table, axis: int) -> Array:
    """Weights in 16 bits with as many binary places as fit; half is rounded up."""
    assert wanted.weights is not None
    weights = wanted.weights.astype(np.float64)
    for t in reversed(range(1, weights.shape[1])):  # at an end several places are one, and round as one
        same = wanted.places[:, t] == wanted.places[:, t - 1]
        weights[same, t - 1] += weights[same, t]
        weights[same, t] = 0.0
    digits, largest = 0, float(weights.max())
    while digits < 22 and int(0.5 + largest * (1 << (digits + 1))) < 1 << 15:
        digits += 1
    scaled = weights * (1 << digits)
    whole = np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int32).reshape(*scaled.shape, *(1,) * (-axis - 1))
    total = np.take(x, wanted.places[:, 0], axis) * whole[:, 0]
    for t in range(1, wanted.places.shape[1]):
        total += np.take(x, wanted.places[:, t], axis) * whole[:, t]
    total += 1 << (digits - 1)
    return np.clip(total >> digits, 0, 255).astype(np.uint8)  # type: ignore[no-any-return]


# ---- tables ----------------------------------------------------------------------------------------------------------


@functools.lru_cache(256)
def table(mode: str, size: int, outputs: int, align_corners: bool, scale: float | None, precision: str) -> Table:
    """How `outputs` places are made of `size`. scale: output per input, if it shall not follow from the sizes."""
    real: Any = np.dtype(precision).type
    if align_corners:
        step = real((size - 1) / (outputs - 1)) if outputs > 1 else real(0)
    else:
        step = real(1.0 / scale) if scale is not None and scale > 0 else real(size) / real(outputs)
    return _TABLES[mode](counted(outputs).astype(precision), step, size, align_corners, real)


@functools.lru_cache(256)
def transposed(mode: str, size: int, outputs: int, align_corners: bool, scale: float | None, precision: str) -> Table:
    """The table of the way back, from `outputs` places to `size`."""
    forward = table(mode, size, outputs, align_corners, scale, precision)
    source = forward.places.reshape(-1)
    target = np.repeat(np.arange(outputs), forward.places.shape[1])
    weight = np.ones(len(source), precision) if forward.weights is None else forward.weights.reshape(-1)
    order = np.argsort(source, kind="stable")
    source, target, weight = source[order], target[order], weight[order]
    counts = np.bincount(source, minlength=size)
    starts = np.cumsum(counts) - counts
    column = np.arange(len(source)) - starts[source]
    # Where an input meets fewer outputs than others, its first one again with weight 0: no stranger's infinity.
    places = np.repeat(target[np.minimum(starts, len(target) - 1)][:, None], counts.max(), 1)
    places[source, column] = target
    weights = np.zeros(places.shape, precision)
    weights[source, column] = weight
    return Table(places, weights, np.flatnonzero(counts == 0) if (counts == 0).any() else None)


def _nearest(o: Array, step: Any, size: int, align_corners: bool, real: Any) -> Table:
    return _at(o * step, size)


def _nearest_2d(o: Array, step: Any, size: int, align_corners: bool, real: Any) -> Table:
    """The same; but whatever the scale, in PyTorch an axis of the same or of twice the size has its own way."""
    return _at(o * real(size / len(o)), size) if len(o) in (size, 2 * size) else _at(o * step, size)


def _nearest_exact(o: Array, step: Any, size: int, align_corners: bool, real: Any) -> Table:
    return _at((o + real(0.5)) * step, size)


def _at(place: Array, size: int) -> Table:
    return Table(np.minimum(np.floor(place.astype(np.float32)).astype(np.int64), size - 1)[:, None], None)


def _place(o: Array, step: Any, align_corners: bool, real: Any) -> Array:
    return o * step if align_corners else (o + real(0.5)) * step - real(0.5)  # type: ignore[no-any-return]


def _linear(o: Array, step: Any, size: int, align_corners: bool, real: Any) -> Table:
    if len(o) == size:  # whatever the scale, as in PyTorch
        return Table(o.astype(np.int64)[:, None], None)
    place = np.maximum(_place(o, step, align_corners, real), real(0))
    first = np.minimum(place.astype(np.int64), size - 1)
    part = np.clip(place - first.astype(real), real(0), real(1))
    return Table(np.stack((first, np.minimum(first + 1, size - 1)), 1), np.stack((real(1) - part, part), 1))


def _cubic(o: Array, step: Any, size: int, align_corners: bool, real: Any) -> Table:
    place = _place(o, step, align_corners, real)
    first = np.minimum(np.floor(place).astype(np.int64), size - 1)
    part = np.clip(place - first.astype(real), real(0), real(1))
    places = np.clip(first[:, None] + np.arange(-1, 3), 0, size - 1)
    return Table(places, np.stack(cubic_weights(part), 1))


def cubic_weights(t: Any) -> list[Any]:
    """Keys' cubic with a = -0.75: the weights of the four pixels around a place, `t` behind the second."""
    a = -0.75

    def near(x: Any) -> Any:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0

    def far(x: Any) -> Any:
        return ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a

    return [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]


_NEAREST = ("nearest", "nearest_2d", "nearest_exact")
_TABLES: dict[str, Callable[..., Table]] = {
    "nearest": _nearest, "nearest_2d": _nearest_2d, "nearest_exact": _nearest_exact, "linear": _linear, "cubic": _cubic,
}  # fmt: skip
