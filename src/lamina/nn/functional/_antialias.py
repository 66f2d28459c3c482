"""Antialiased resizing: a weighted mean of all pixels under a filter as wide as the shrinking, axis by axis.

Here: the weights and their two products. Not here: `interpolate`, which calls it (vision.py).
"""

from __future__ import annotations

from collections.abc import Callable

import lamina
from lamina.core.tensor import Tensor
from lamina.primitives import fused


def _triangle(x: Tensor) -> Tensor:
    return (1.0 - x.abs()).clamp(min=0.0)


def _cubic(x: Tensor) -> Tensor:
    """Keys' cubic with a = -0.5, the antialiased mode's (the plain bicubic mode has -0.75)."""
    a, x = -0.5, x.abs()
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * a
    return lamina.where(x < 1.0, near, lamina.where(x < 2.0, far, 0.0))


def _lanczos(x: Tensor) -> Tensor:
    return lamina.where(x.abs() < 3.0, lamina.sinc(x) * lamina.sinc(x / 3.0), 0.0)


# mode -> filter, half its width in pixels, name of the node
FILTERS: dict[str, tuple[Callable[[Tensor], Tensor], int, str]] = {
    "bilinear": (_triangle, 1, "UpsampleBilinear2DAa"),
    "bicubic": (_cubic, 2, "UpsampleBicubic2DAa"),
    "lanczos": (_lanczos, 3, "UpsampleLanczos2DAa"),
}


def _weights(mode: str, size: int, wanted: int, align_corners: bool, scale_factor: float | None) -> Tensor:
    """(wanted, size): how much each input pixel counts in each output pixel, in float64."""
    if align_corners:
        scale = (size - 1) / (wanted - 1) if wanted > 1 else 0.0
    else:
        scale = 1.0 / scale_factor if scale_factor else size / wanted
    shape, radius, _ = FILTERS[mode]
    stretch = max(scale, 1.0)
    support = radius * stretch
    centre = (lamina.arange(wanted, dtype=lamina.float64).unsqueeze(1) + 0.5) * scale
    pixel = lamina.arange(size, dtype=lamina.float64).unsqueeze(0)
    first = (centre - support + 0.5).trunc().clamp(min=0.0)
    past = (centre + support + 0.5).trunc().clamp(max=float(size))
    weights = lamina.where((pixel >= first) & (pixel < past), shape((pixel - centre + 0.5) / stretch), 0.0)
    total = weights.sum(1, keepdim=True)
    return weights / lamina.where(total == 0.0, 1.0, total)


def _resize(input: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Width first, as PyTorch does."""
    return lamina.matmul(rows, lamina.matmul(input, columns))


_RESIZE = {mode: fused(name)(_resize) for mode, (_, _, name) in FILTERS.items()}


def resize_antialiased(
    input: Tensor, output_size: list[int], mode: str, align_corners: bool, scales: list[float] | None
) -> Tensor:
    """`input` (N, C, H, W) resized; uint8 is rounded after each axis.

    Raises RuntimeError for empty sizes.
    """
    height, width = input.shape[2:]
    if min(height, width, *output_size) <= 0:
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input (H: {height}, W: {width}) "
            f"output (H: {output_size[0]}, W: {output_size[1]})"
        )
    by_height, by_width = scales or (None, None)
    rows = _weights(mode, height, output_size[0], align_corners, by_height).to(input.device)
    columns = _weights(mode, width, output_size[1], align_corners, by_width).to(input.device).t()
    if input.dtype == lamina.uint8:
        return _as_bytes(lamina.matmul(rows, _as_bytes(lamina.matmul(input.double(), columns)).double()))
    wide = lamina.float32 if lamina.finfo(input.dtype).bits < 32 else input.dtype
    return _RESIZE[mode](input, rows.to(wide), columns.to(wide)).to(input.dtype)


def _as_bytes(values: Tensor) -> Tensor:
    return (values + 0.5).floor().clamp(0.0, 255.0).to(lamina.uint8)
