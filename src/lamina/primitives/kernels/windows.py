"""What convolution and pooling share: sizes, padding, sliding windows, tiles and work buffers.

Arrays are (batch, channels, *space) with one to three (in fact any number of) spatial dimensions. Nothing here
knows what is done with a window.
"""

import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

Array = np.ndarray[Any, Any]
Sizes = tuple[int, ...]
Index = tuple[Any, ...]

TILE_BYTES = 1 << 20  # a tile's columns stay in a core's second-level cache


def window_outputs(
    space: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool = False
) -> Sizes:
    """How many windows fit along each dimension; with `ceil_mode` also those that start inside and hang over."""
    sizes = []
    for size, k, s, p, d in zip(space, kernel, stride, padding, dilation, strict=True):
        room = size + 2 * p - d * (k - 1) - 1
        count = room // s + 1
        if ceil_mode and room % s and count * s < size + p:  # a window must not start in the right padding
            count += 1
        sizes.append(count)
    return tuple(sizes)


def padded(x: Array, padding: Sizes) -> Array:
    """`x` with zeros around its spatial dimensions; `x` itself if there is nothing to add."""
    if not any(padding):
        return x
    space = x.shape[2:]
    larger = np.zeros((*x.shape[:2], *(size + 2 * p for size, p in zip(space, padding, strict=True))), x.dtype)
    larger[inner(space, padding)] = x
    return larger


def inner(space: Sizes, padding: Sizes) -> Index:
    """Where the unpadded array lies in the padded one."""
    return (..., *(slice(p, p + size) for size, p in zip(space, padding, strict=True)))


def corner(sizes: Sizes) -> Index:
    """The first elements of the last dimensions."""
    return (..., *(slice(size) for size in sizes))


def at_tap(tap: Sizes, leading: int) -> Index:
    """The kernel position `tap`, where the kernel's dimensions come after `leading` others."""
    return (*[slice(None)] * leading, *tap)


def windows(x: Array, kernel: Sizes, outputs: Sizes, stride: Sizes, dilation: Sizes) -> Array:
    """The view (batch, channels, *kernel, *outputs) of the windows of an already padded `x`."""
    steps = x.strides[2:]
    return as_strided(
        x,
        (*x.shape[:2], *kernel, *outputs),
        (
            *x.strides[:2],
            *(step * d for step, d in zip(steps, dilation, strict=True)),
            *(step * s for step, s in zip(steps, stride, strict=True)),
        ),
        writeable=False,
    )


def tap_slices(tap: Sizes, outputs: Sizes, stride: Sizes, dilation: Sizes) -> Index:
    """The elements of the padded array that kernel position `tap` meets, one per output."""
    sizes = zip(tap, outputs, stride, dilation, strict=True)
    return (..., *(slice(t * d, t * d + (o - 1) * s + 1, s) for t, o, s, d in sizes))


def tiles(images: int, rows: int, row_bytes: int) -> Iterator[tuple[slice, list[slice]]]:
    """Cut a batch into groups of images whose columns fit the cache, or single images into bands of rows."""
    budget = max(TILE_BYTES, row_bytes)
    if row_bytes * rows > budget:
        band = budget // row_bytes
        bands = [slice(start, min(start + band, rows)) for start in range(0, rows, band)]
        group = 1
    else:
        bands = [slice(0, rows)]
        group = budget // max(row_bytes * rows, 1)
    for start in range(0, images, group):
        yield slice(start, min(start + group, images)), bands


_buffers = threading.local()


def scratch(slot: str, shape: Sizes, dtype: np.dtype[Any]) -> Array:
    """Uninitialised work memory of this thread, valid until the same slot is asked for again.

    Fresh memory costs more than what is computed in it. A buffer grows to the largest tile seen, so some megabytes.
    """
    size = math.prod(shape) * dtype.itemsize
    buffer = getattr(_buffers, slot, None)
    if buffer is None or buffer.nbytes < size:
        buffer = np.empty(size, np.uint8)
        setattr(_buffers, slot, buffer)
    return buffer[:size].view(dtype).reshape(shape)
