"""Resizing images and reading them at the places of a grid.

Here: the named operators with PyTorch's checks. Not here: tables and loops (kernels/resize.py, kernels/sampling.py), modes and
sizes (nn/functional/vision.py), antialiased resizing (nn/functional/_antialias.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.autograd import errors
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.fused import fused
from lamina.primitives.inplace import of_tensors
from lamina.primitives.kernels import resize, sampling
from lamina.primitives.registry import primitive

# ---- resizing ------------------------------------------------------------------------------------------------------------


def _resizing(name: str, node: str, mode: str) -> Any:
    """A linear map and its adjoint, each the other's gradient."""
    back = primitive(
        f"{name}_grad",
        lambda g, *, inputs, align_corners, scales: resize.resize_grad(g, mode, inputs, align_corners, scales),
        grads=(lambda h, g_shape, align_corners, scales: forth(
            h, outputs=g_shape[2:], align_corners=align_corners, scales=scales),),
        meta=lambda g, *, inputs, align_corners, scales: _spaced(g, inputs), node=f"{node}BackwardBackward0", follows=True)  # fmt: skip
    forth = primitive(
        name, lambda x, *, outputs, align_corners, scales: resize.resize(x, mode, outputs, align_corners, scales),
        grads=(lambda g, x_shape, align_corners, scales, outputs: back(  # (outputs: shown to users)
            g, inputs=x_shape[2:], align_corners=align_corners, scales=scales),),
        meta=lambda x, *, outputs, align_corners, scales: _spaced(x, outputs), node=node, follows=True)  # fmt: skip
    return forth


def _spaced(x: Array, space: Sequence[int]) -> Array:
    return np.broadcast_to(np.zeros((), x.dtype), (*x.shape[:2], *space))


def _check(input: Tensor, outputs: tuple[int, ...], kernel: str, bytes_too: bool) -> None:
    shape, dims = input._array.shape, len(outputs)
    if len(shape) != dims + 2:
        raise RuntimeError(f"It is expected input_size equals to {dims + 2}, but got size {len(shape)}")
    if min(*shape[2:], *outputs) <= 0:
        was, wanted = (
            ", ".join(f"{axis}: {n}" for axis, n in zip("DHW"[-dims:], space, strict=True))
            for space in (shape[2:], outputs)
        )
        joint = " and output" if dims == 1 else " output"
        raise RuntimeError(f"Input and output sizes should be greater than 0, but got input ({was}){joint} ({wanted})")
    if shape[1] == 0 and shape[0]:
        raise RuntimeError(f"Non-empty {dims + 2}D data tensor expected but got a tensor with sizes {list(shape)}")
    found = errors.scalar_name(input)
    if input._kind.dtype.category != 2 and not (found == "Byte" and bytes_too):
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{found}'")


def _length(output_size: Sequence[int], scales: Sequence[float | None] | None, dims: int) -> tuple[Any, Any]:
    outputs = tuple(output_size)
    if len(outputs) != dims:
        raise RuntimeError(f"It is expected output_size equals to {dims}, but got size {len(outputs)}")
    return outputs, (None,) * dims if scales is None else tuple(scales)


def _by_nearest(name: str, node: str, dims: int, mode: str) -> Callable[..., Tensor]:
    op = _resizing(name, node, mode)
    kernel = "upsample_nearest2d_channels_last" if dims == 2 else "compute_indices_weights_nearest"

    def function(input: Tensor, output_size: Sequence[int], scales: Sequence[float | None] | None = None) -> Tensor:
        outputs, scales = _length(output_size, scales, dims)
        _check(input, outputs, kernel, True)
        return op(input, outputs=outputs, align_corners=False, scales=scales)  # type: ignore[no-any-return]

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""(N, C, {dims} spatial dimensions) resized to `output_size`, each output the nearest input.

    scales: output sizes per input size, where they shall not follow from the sizes.
    """
    return function


def _by_weights(name: str, node: str, dims: int, mode: str) -> Callable[..., Tensor]:
    op = _resizing(name, node, mode)
    kernel = "upsample_bilinear2d_channels_last" if name == "upsample_bilinear2d" else f"compute_indices_weights_{mode}"

    def function(
        input: Tensor, output_size: Sequence[int], align_corners: bool, scales: Sequence[float | None] | None = None
    ) -> Tensor:
        outputs, scales = _length(output_size, scales, dims)
        _check(input, outputs, kernel, dims == 2)
        return op(input, outputs=outputs, align_corners=bool(align_corners), scales=scales)  # type: ignore[no-any-return]

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""(N, C, {dims} spatial dimensions) resized to `output_size` by {mode} interpolation.

    align_corners: the corner pixels stay in place. scales: as for nearest; uint8 (2 dimensions) is rounded after each axis.
    """
    return function


upsample_nearest1d = _by_nearest("upsample_nearest1d", "UpsampleNearest1D", 1, "nearest")
upsample_nearest2d = _by_nearest("upsample_nearest2d", "UpsampleNearest2D", 2, "nearest_2d")
upsample_nearest3d = _by_nearest("upsample_nearest3d", "UpsampleNearest3D", 3, "nearest")
upsample_nearest_exact1d = _by_nearest("upsample_nearest_exact1d", "UpsampleNearestExact1D", 1, "nearest_exact")
upsample_nearest_exact2d = _by_nearest("upsample_nearest_exact2d", "UpsampleNearestExact2D", 2, "nearest_exact")
upsample_nearest_exact3d = _by_nearest("upsample_nearest_exact3d", "UpsampleNearestExact3D", 3, "nearest_exact")
upsample_linear1d = _by_weights("upsample_linear1d", "UpsampleLinear1D", 1, "linear")
upsample_bilinear2d = _by_weights("upsample_bilinear2d", "UpsampleBilinear2D", 2, "linear")
upsample_trilinear3d = _by_weights("upsample_trilinear3d", "UpsampleTrilinear3D", 3, "linear")
upsample_bicubic2d = _by_weights("upsample_bicubic2d", "UpsampleBicubic2D", 2, "cubic")

# ---- reading at the places of a grid -------------------------------------------------------------------------------------

pick_ = primitive(
    "grid_pick", lambda x, index: sampling.pick(x, index),
    grads=(lambda g, index, x_shape: put_(g, index, size=x_shape[2]), None),
    meta=lambda x, index: np.broadcast_to(np.zeros((), x.dtype), (*x.shape[:2], index.shape[1])))  # fmt: skip

put_ = primitive(
    "grid_put", lambda g, index, *, size: sampling.put(g, index, size),
    grads=(lambda h, index: pick_(h, index), None),
    meta=lambda g, index, *, size: np.broadcast_to(np.zeros((), g.dtype), (*g.shape[:2], size)))  # fmt: skip

place_ = primitive(
    "grid_place", lambda c, *, size, padding, align_corners: sampling.place(c, size, padding, align_corners)[0],
    grads=(lambda g, c, size, padding, align_corners: g * slope_(c, size=size, padding=padding, align_corners=align_corners),),
    meta=lambda c, **_: c)  # fmt: skip

slope_ = primitive(
    "grid_slope", lambda c, *, size, padding, align_corners: sampling.place(c, size, padding, align_corners)[1],
    meta=lambda c, **_: c)  # fmt: skip

whole_ = primitive("grid_whole", lambda x, *, nearest: (np.rint if nearest else np.floor)(x), meta=lambda x, **_: x)

nothing_ = primitive(
    "grid_nothing", lambda grid: np.zeros_like(grid), grads=(lambda g, grid: nothing_(grid),), meta=lambda grid: grid)  # fmt: skip

# What nearest pixels do not depend on has a gradient of zeros, not none.
unmoved_ = primitive(
    "grid_unmoved", lambda y, grid: y, grads=(lambda g: g, lambda g, grid: nothing_(grid)), meta=lambda y, grid: y)  # fmt: skip


def _index(*corners: Array, steps: tuple[int, ...], sizes: tuple[int, ...], padding: int, align_corners: bool) -> Array:
    """The pixels `steps` from the corners; padding other than zeros brings back those outside."""
    places = []
    for corner, step, size in zip(corners, steps, sizes, strict=True):
        place = corner + step
        if padding != sampling.ZEROS:
            place = np.trunc(sampling.inside(place, place, size, padding, align_corners)[0])
        places.append(place)
    return sampling.flat_index(places, sizes)


def _meta_index(*corners: Array, **_: Any) -> Array:
    return np.broadcast_to(np.zeros((), np.int64), corners[0].shape)


index_2d_ = primitive("grid_index_2d", lambda y, x, *, steps, sizes, padding, align_corners: _index(
    y, x, steps=steps, sizes=sizes, padding=padding, align_corners=align_corners), meta=_meta_index)  # fmt: skip
index_3d_ = primitive("grid_index_3d", lambda z, y, x, *, steps, sizes, padding, align_corners: _index(
    z, y, x, steps=steps, sizes=sizes, padding=padding, align_corners=align_corners), meta=_meta_index)  # fmt: skip

BILINEAR, NEAREST, BICUBIC = range(3)


def _sample(input: Tensor, grid: Tensor, mode: int, padding: int, align_corners: bool) -> Any:
    images: Any = input
    sizes = tuple(images.shape[2:])
    wanted = grid.shape[1:-1]
    pixels = images.reshape(*images.shape[:2], -1)
    places: Any = grid.reshape(grid.shape[0], -1, len(sizes))
    index = index_2d_ if len(sizes) == 2 else index_3d_
    options: dict[str, Any] = {"sizes": sizes, "padding": sampling.ZEROS, "align_corners": align_corners}
    if mode == BICUBIC:  # reads outside, and brings back each pixel that it reads
        options["padding"] = padding
        padding = sampling.ZEROS
    # the grid's last dimension begins with the fastest axis
    at = [
        place_(places[..., -1 - i], size=size, padding=padding, align_corners=align_corners)
        for i, size in enumerate(sizes)
    ]
    corner = [whole_(x, nearest=mode == NEAREST) for x in at]
    if mode == NEAREST:
        total = unmoved_(pick_(pixels, index(*corner, steps=(0,) * len(sizes), **options)), grid)
    else:
        rest = [x - c for x, c in zip(at, corner, strict=True)]
        weights = [resize.cubic_weights(r) if mode == BICUBIC else [1.0 - r, r] for r in rest]
        first = -1 if mode == BICUBIC else 0
        total = None
        for steps in itertools.product(range(len(weights[0])), repeat=len(sizes)):
            weight = weights[0][steps[0]]
            for w, step in zip(weights[1:], steps[1:], strict=True):
                weight = weight * w[step]
            part = pick_(pixels, index(*corner, steps=tuple(s + first for s in steps), **options)) * weight.unsqueeze(1)
            total = part if total is None else total + part
    return total.reshape(*images.shape[:2], *wanted)


@fused("GridSampler2D")
def _grid_2d(input: Tensor, grid: Tensor, mode: int, padding: int, align_corners: bool) -> Tensor:
    return _sample(input, grid, mode, padding, align_corners)  # type: ignore[no-any-return]


@fused("GridSampler3D")
def _grid_3d(input: Tensor, grid: Tensor, mode: int, padding: int, align_corners: bool) -> Tensor:
    return _sample(input, grid, mode, padding, align_corners)  # type: ignore[no-any-return]


@of_tensors
def grid_sampler_2d(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """`input` (N, C, H, W) read at the places `grid` (N, h, w, 2), x before y, in [-1, 1]: (N, C, h, w).

    interpolation_mode: 0 bilinear, 1 nearest, 2 bicubic. padding_mode, for places outside: 0 zeros, 1 border, 2 reflection.
    """
    _check_grid(input, grid, "grid_sampler_2d_cpu_kernel_impl")
    return _grid_2d(input, grid, interpolation_mode, padding_mode, align_corners)  # type: ignore[no-any-return]


@of_tensors
def grid_sampler_3d(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """`input` (N, C, D, H, W) read at the places `grid` (N, d, h, w, 3), x first: (N, C, d, h, w); not bicubic."""
    _check_grid(input, grid, "grid_sampler3d_cpu")
    if interpolation_mode == BICUBIC:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    return _grid_3d(input, grid, interpolation_mode, padding_mode, align_corners)  # type: ignore[no-any-return]


def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """`grid_sampler_2d` or `grid_sampler_3d`, as `input` has dimensions."""
    sampler = grid_sampler_2d if input._array.ndim == 4 else grid_sampler_3d
    return sampler(input, grid, interpolation_mode, padding_mode, align_corners)


def _check_grid(input: Tensor, grid: Tensor, kernel: str) -> None:
    x, places = input._array.shape, grid._array.shape
    sizes = f"but got input with sizes {list(x)} and grid with sizes {list(places)}"
    if x[:1] != places[:1]:
        raise RuntimeError(f"grid_sampler(): expected grid and input to have same batch size, {sizes}")
    if places and places[-1] != len(x) - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {len(x) - 2} in last dimension, but got grid with sizes {list(places)}"
        )
    if len(x) not in (4, 5) or len(x) != len(places):
        raise RuntimeError(f"grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, {sizes}")
    for i, size in enumerate(x[2:], 2):
        if not size:
            raise RuntimeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes "
                f"{list(x)} with dimension {i} being empty"
            )
    if grid._kind.dtype is not input._kind.dtype:
        raise RuntimeError(f"expected scalar type {errors.scalar_name(input)} but found {errors.scalar_name(grid)}")
    if input._kind.dtype.category != 2:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{errors.scalar_name(input)}'")
