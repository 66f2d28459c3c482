"""Reading images at places given by a grid: where a coordinate lies, and gathering one pixel per place.

Arrays are (N, C, pixels) and indices (N, places), -1 meaning outside (which reads zero). Weights and their gradients are
algebra over these (primitives/vision.py).
"""

from typing import Any

import numpy as np

from lamina.primitives.kernels.windows import Array

ZEROS, BORDER, REFLECTION = range(3)


def place(c: Array, size: int, padding: int, align_corners: bool) -> tuple[Array, Array]:
    """Coordinates in [-1, 1] as pixels of an axis, brought inside as `padding` says, and the slope of that."""
    scale = (size - 1) / 2 if align_corners else size / 2
    x = (c + 1) * scale if align_corners else ((c + 1) * size - 1) / 2
    slope = np.full_like(x, scale)
    return (x, slope) if padding == ZEROS else inside(x, slope, size, padding, align_corners)


def inside(x: Array, slope: Array, size: int, padding: int, align_corners: bool) -> tuple[Array, Array]:
    """Pixel places moved into an axis; the slope is 0 where they stop at its ends."""
    if padding == REFLECTION:
        low, high = (0.0, size - 1.0) if align_corners else (-0.5, size - 0.5)
        span = high - low
        if span == 0:
            return np.zeros_like(x), np.zeros_like(slope)
        sign = np.where(x < low, -1.0, 1.0).astype(x.dtype)
        distance = np.abs(x - low)
        flips = np.floor(distance / span)
        rest = distance - flips * span
        odd = flips % 2 == 1
        x = np.where(odd, high - rest, rest + low).astype(x.dtype)
        slope = slope * np.where(odd, -sign, sign)
    if padding != ZEROS:
        stopped = ~((x > 0) & (x < size - 1))
        x = np.clip(x, 0, size - 1)
        slope = np.where(stopped, 0, slope).astype(x.dtype)
    return x, slope


def flat_index(corners: list[Array], sizes: tuple[int, ...]) -> Array:
    """Whole coordinates, one array per axis (slowest first), as indices of the flattened pixels; -1 outside."""
    index: Any = 0
    fits: Any = True
    for corner, size in zip(corners, sizes, strict=True):
        fits = fits & (corner >= 0) & (corner < size)
        index = index * size + np.where(fits, corner, 0).astype(np.int64)
    return np.where(fits, index, -1)


def pick(x: Array, index: Array) -> Array:
    """x (N, C, M) at index (N, P): (N, C, P)."""
    y = np.empty((*x.shape[:2], index.shape[1]), x.dtype)
    for n in range(len(x)):
        np.take(x[n], index[n], axis=1, out=y[n], mode="clip")
        outside = index[n] < 0
        if outside.any():
            y[n][:, outside] = 0
    return y


def put(g: Array, index: Array, size: int) -> Array:
    """The adjoint of `pick`: g (N, C, P) added up at index: (N, C, size)."""
    n, channels, _ = g.shape
    x = np.zeros((n, channels, size), g.dtype)
    for image, (values, places) in enumerate(zip(g, index, strict=True)):
        kept = places >= 0
        whole = bool(kept.all())
        target = places if whole else places[kept]
        for channel in range(channels):
            np.add.at(x[image, channel], target, values[channel] if whole else values[channel][kept])
    return x
