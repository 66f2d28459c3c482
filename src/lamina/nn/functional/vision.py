"""Resizing and sampling images: interpolate, grid_sample, affine_grid, and moves between channels and pixels.

Here: modes, sizes and their checks. Not here: the resampling kernels (primitives/vision.py), antialiasing
(_antialias.py),
sliding blocks (convolution.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.nn.functional._antialias import FILTERS, resize_antialiased
from lamina.nn.functional._checks import check_same_dtype, check_tensor
from lamina.nn.functional.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from lamina.primitives import fused
from lamina.primitives import vision as kernels
from lamina.primitives.inplace import loosely, of_tensors

_NEAREST = {
    ("nearest", 1): kernels.upsample_nearest1d,
    ("nearest", 2): kernels.upsample_nearest2d,
    ("nearest", 3): kernels.upsample_nearest3d,
    ("nearest-exact", 1): kernels.upsample_nearest_exact1d,
    ("nearest-exact", 2): kernels.upsample_nearest_exact2d,
    ("nearest-exact", 3): kernels.upsample_nearest_exact3d,
}
_SMOOTH = {  # mode -> spatial dimensions, kernel
    "linear": (1, kernels.upsample_linear1d),
    "bilinear": (2, kernels.upsample_bilinear2d),
    "trilinear": (3, kernels.upsample_trilinear3d),
    "bicubic": (2, kernels.upsample_bicubic2d),
}
_AREA = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}
_ALIGNABLE = (*_SMOOTH, "lanczos")


def _wanted(
    input: Tensor, size: Any, scale_factor: Any, recompute: bool | None, mode: str
) -> tuple[list[int], list[float] | None]:
    """The output's spatial sizes, and the scale factors if the kernel shall sample by them."""
    spatial = list(input.shape[2:])
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is not None:
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        if isinstance(size, Sequence):
            if len(size) != len(spatial):
                raise ValueError(
                    "Input and output must have the same number of spatial dimensions, but got input with spatial "
                    f"dimensions of {spatial} and output size of {size}. Please provide input tensor in (N, C, d1, d2, "
                    "...,dK) format and output size in (o1, o2, ...,oK) format."
                )
            wanted = list(size)
        else:
            wanted = [size] * len(spatial)
        for item in wanted:
            if not hasattr(item, "__index__"):
                raise TypeError(
                    f"interpolate() received an invalid combination of arguments: size must be integers, not {wanted}"
                )
        return [item.__index__() for item in wanted], None
    if scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    if isinstance(scale_factor, Sequence):
        if len(scale_factor) != len(spatial):
            raise ValueError(
                "Input and scale_factor must have the same number of spatial dimensions, but got input with spatial "
                f"dimensions of {spatial} and scale_factor of shape {scale_factor}. Please provide input tensor in "
                "(N, C, d1, d2, ...,dK) format and scale_factor in (s1, s2, ...,sK) format."
            )
        scales = [float(scale) for scale in scale_factor]
    else:
        scales = [float(scale_factor)] * len(spatial)
    if recompute or mode == "area":
        return [math.floor(size * scale) for size, scale in zip(spatial, scales, strict=True)], None
    return [int(size * scale) for size, scale in zip(spatial, scales, strict=True)], scales


@loosely
def interpolate(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Tensor:  # fmt: skip
    """`input` (N, C, 1 to 3 spatial dimensions) resized to `size`, or by `scale_factor`.

    mode: "nearest", "nearest-exact", "area"; "linear" (1 dimension), "bilinear", "bicubic" (2), "trilinear" (3); with
    `antialias`, for shrinking: "bilinear", "bicubic", "lanczos". `align_corners`: corner pixels stay in place.
    Raises ValueError and NotImplementedError for arguments that do not go together.
    """
    if mode in _ALIGNABLE:
        if not isinstance(align_corners, (bool, type(None))):
            raise TypeError(f"interpolate(): argument 'align_corners' must be bool, not {type(align_corners).__name__}")
        align_corners = bool(align_corners)
    elif align_corners is not None and mode in ("nearest", "area", "nearest-exact"):
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear"
        )
    output_size, scales = _wanted(input, size, scale_factor, recompute_scale_factor, mode)
    if antialias and not (mode in FILTERS and input.dim() == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor as input"
        )
    rank = input.dim() - 2
    if (mode, rank) in _NEAREST:
        return _NEAREST[mode, rank](input, output_size, scales)
    if mode == "area" and rank in _AREA:
        return _AREA[rank](input, output_size)
    if mode in _SMOOTH and rank in (1, 2, 3):
        needed, kernel = _SMOOTH[mode]
        if rank != needed and mode != "bicubic":
            raise NotImplementedError(f"Got {input.dim()}D input, but {mode} mode needs {needed + 2}D input")
        if rank == needed:
            if antialias:
                return resize_antialiased(input, output_size, mode, bool(align_corners), scales)
            return kernel(input, output_size, align_corners, scales)
    if mode == "lanczos" and rank == 2:
        if not antialias:
            raise ValueError("Lanczos mode requires antialias=True")
        return resize_antialiased(input, output_size, mode, bool(align_corners), scales)
    raise NotImplementedError(
        f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.dim()}D) for the modes: nearest | "
        "linear | "
        f"bilinear | bicubic | trilinear | lanczos | area | nearest-exact (got {mode})"
    )


def _warn_deprecated(name: str) -> None:
    warn(f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.")


def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """`interpolate` under its older name; warns."""
    _warn_deprecated("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode "nearest"; warns."""
    _warn_deprecated("upsample_nearest")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode "bilinear" and aligned corners; warns."""
    _warn_deprecated("upsample_bilinear")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


_SAMPLE_MODES = {"bilinear": 0, "nearest": 1, "bicubic": 2}
_SAMPLE_PADDING = {"zeros": 0, "border": 1, "reflection": 2}


def _warn_align_corners() -> None:
    warn(
        "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. Please specify "
        "align_corners=True if the old behavior is desired. See the documentation of grid_sample for details.",
    )


def grid_sample(
    input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """`input` (N, C, H, W) read at the places `grid` (N, h, w, 2) in [-1, 1]: (N, C, h, w); or with one dimension more.

    `padding_mode` says what lies outside: "zeros", "border" or "reflection". mode "bicubic" for images only.
    """
    if mode not in _SAMPLE_MODES:
        raise ValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in _SAMPLE_PADDING:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', "
            f"but got: '{padding_mode}'"
        )
    check_tensor(input, "grid_sampler")
    check_tensor(grid, "grid_sampler", "grid", 2)
    if align_corners is None:
        _warn_align_corners()
    if input.shape[:1] != grid.shape[:1]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.dim() and grid.shape[-1] != input.dim() - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {input.dim() - 2} in last dimension, but got grid with sizes "
            f"{list(grid.shape)}"
        )
    if input.dim() not in (4, 5) or input.dim() != grid.dim():
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    for dim, size in enumerate(input.shape[2:], 2):
        if size <= 0:
            raise RuntimeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes "
                f"{list(input.shape)} with dimension {dim} being empty"
            )
    if mode == "bicubic" and input.dim() == 5:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    check_same_dtype(input, grid)
    sampler = kernels.grid_sampler_2d if input.dim() == 4 else kernels.grid_sampler_3d
    return sampler(input, grid, _SAMPLE_MODES[mode], _SAMPLE_PADDING[padding_mode], bool(align_corners))


@fused("AffineGridGenerator")
def _affine_grid(theta: Tensor, base: Tensor, shape: tuple[int, ...]) -> Tensor:
    return lamina.reshape(lamina.bmm(base, lamina.transpose(theta, 1, 2)), shape)


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The sampling places of affine maps: theta (N, 2, 3) and size (N, C, H, W) give (N, H, W, 2); one more in 3-d."""
    if align_corners is None:
        _warn_align_corners()
        align_corners = False
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    rank = len(size) - 2
    if rank not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. "
            f"Got size {size}."
        )
    if theta.dim() != 3 or tuple(theta.shape[-2:]) != (rank, rank + 1):
        raise ValueError(
            f"Expected a batch of {rank}D affine matrices of shape Nx{rank}x{rank + 1} for size {size}. "
            f"Got {theta.shape}."
        )
    spatial = list(size[2:])
    if align_corners and min(spatial) == 1:
        warn(
            "Since version 1.3.0, affine_grid behavior has changed for unit-size grids when align_corners=True. "
            "This is "
            "not an intended use case of affine_grid. See the documentation of affine_grid for details.",
        )
    elif min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    columns = []
    for place in reversed(range(rank)):
        count = spatial[place]
        if count <= 1:
            steps = lamina.zeros(count, dtype=theta.dtype, device=theta.device)
        else:
            steps = lamina.linspace(-1, 1, count, dtype=theta.dtype, device=theta.device)
            if not align_corners:
                steps = steps * (count - 1) / count
        shape = [1] * rank
        shape[place] = count
        columns.append(steps.view(shape).expand(spatial))
    columns.append(lamina.ones(spatial, dtype=theta.dtype, device=theta.device))
    base = lamina.stack(columns, -1).view(1, -1, rank + 1).expand(size[0], -1, -1)
    return _affine_grid(theta, base, (size[0], *spatial, rank))


@fused("PixelShuffle")
def _pixel_shuffle(input: Tensor, factor: int) -> Tensor:
    *front, channels, height, width = input.shape
    ahead = len(front)
    parts = lamina.reshape(input, (*front, channels // factor**2, factor, factor, height, width))
    order = (*range(ahead), *(ahead + place for place in (0, 3, 1, 4, 2)))
    return lamina.reshape(
        lamina.permute(parts, order), (*front, channels // factor**2, height * factor, width * factor)
    )


@of_tensors
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(*, C * r * r, H, W) as (*, C, H * r, W * r)."""
    check_tensor(input, "pixel_shuffle")
    if input.dim() < 3:
        raise RuntimeError(
            f"pixel_shuffle expects input to have at least 3 dimensions, but got input with {input.dim()} dimension(s)"
        )
    if upscale_factor <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {upscale_factor}")
    if input.shape[-3] % upscale_factor**2:
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of "
            "upscale_factor, but "
            f"input.size(-3)={input.shape[-3]} is not divisible by {upscale_factor**2}"
        )
    return _pixel_shuffle(input, upscale_factor)


@fused("PixelUnshuffle")
def _pixel_unshuffle(input: Tensor, factor: int) -> Tensor:
    *front, channels, height, width = input.shape
    ahead = len(front)
    parts = lamina.reshape(input, (*front, channels, height // factor, factor, width // factor, factor))
    order = (*range(ahead), *(ahead + place for place in (0, 2, 4, 1, 3)))
    return lamina.reshape(
        lamina.permute(parts, order), (*front, channels * factor**2, height // factor, width // factor)
    )


@of_tensors
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(*, C, H * r, W * r) as (*, C * r * r, H, W)."""
    check_tensor(input, "pixel_unshuffle")
    if input.dim() < 3:
        raise RuntimeError(
            f"pixel_unshuffle expects input to have at least 3 dimensions, but got input with {input.dim()} "
            "dimension(s)"
        )
    if downscale_factor <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {downscale_factor}")
    for name, dim in (("height", -2), ("width", -1)):
        if input.shape[dim] % downscale_factor:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but input.size({dim})="
                f"{input.shape[dim]} is not divisible by {downscale_factor}"
            )
    return _pixel_unshuffle(input, downscale_factor)


@fused("ChannelShuffle")
def _channel_shuffle(input: Tensor, groups: int) -> Tensor:
    batch, channels, *rest = input.shape
    parts = lamina.reshape(input, (batch, groups, channels // groups, *rest))
    return lamina.reshape(lamina.transpose(parts, 1, 2), input.shape)


@of_tensors
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """(N, C, *) with the channels of `groups` groups dealt out in turn."""
    check_tensor(input, "channel_shuffle")
    if input.dim() <= 2:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}")
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    if input.shape[1] % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {input.shape[1]} channels and {groups} groups."
        )
    return _channel_shuffle(input, groups)


def native_channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """`channel_shuffle`."""
    return channel_shuffle(input, groups)
