"""Max pooling over random windows, and the inverse of max pooling.

Here: the output sizes and the random samples. Not here: the windows (primitives/pooling.py), the other pools
(pooling.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.nn.functional._checks import check_tensor
from lamina.nn.functional._pool_arguments import Ints, sizes
from lamina.primitives import pooling as kernels
from lamina.primitives.inplace import loosely, of_tensors


def _fractional(
    rank: int, input: Tensor, kernel_size: Ints, output_size: Any, output_ratio: Any, samples: Tensor | None
) -> tuple[Tensor, Tensor]:
    name = f"fractional_max_pool{rank}d"
    check_tensor(input, name)
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if output_size is None:
        ratios = [output_ratio] * rank if isinstance(output_ratio, (int, float)) else list(output_ratio)
        if len(ratios) != rank:
            raise ValueError(f"{name} requires output_ratio to either be a single Int or tuple of Ints.")
        output_size = [int(size * ratio) for size, ratio in zip(input.shape[-rank:], ratios, strict=True)]
    if samples is None:
        batch = input.shape[0] if input.dim() == rank + 2 else 1
        channels = input.shape[-rank - 1]
        samples = lamina.rand(batch, channels, rank, dtype=input.dtype, device=input.device)
    kernel = kernels.fractional_max_pool2d if rank == 2 else kernels.fractional_max_pool3d
    window = sizes(kernel_size, rank, name, "kernel_size", 2)
    return kernel(input, window, sizes(output_size, rank, name, "output_size", 3), samples)


def fractional_max_pool2d_with_indices(
    input: Tensor, kernel_size: Ints, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`fractional_max_pool2d`, with the place of each maximum in its flattened plane."""
    return _fractional(2, input, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool3d_with_indices(
    input: Tensor, kernel_size: Ints, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`fractional_max_pool3d`, with the place of each maximum in its flattened volume."""
    return _fractional(3, input, kernel_size, output_size, output_ratio, _random_samples)


@loosely
def fractional_max_pool2d(
    input: Tensor, kernel_size: Ints, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:  # fmt: skip
    """Maxima of windows at randomly spaced places of (N, C, H, W) or (C, H, W); give the output's size or ratio."""
    pair = _fractional(2, input, kernel_size, output_size, output_ratio, _random_samples)
    return pair if return_indices else pair[0]


@loosely
def fractional_max_pool3d(
    input: Tensor, kernel_size: Ints, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:  # fmt: skip
    """Maxima of windows at randomly spaced places of (N, C, D, H, W) or (C, D, H, W)."""
    pair = _fractional(3, input, kernel_size, output_size, output_ratio, _random_samples)
    return pair if return_indices else pair[0]


def _unpooled_size(
    input: Tensor, kernel: list[int], stride: list[int], padding: list[int], wanted: Sequence[int] | None
) -> list[int]:
    """The output size of an unpooling: the natural one, or `wanted` if within one stride of it."""
    rank = len(kernel)
    natural = [
        (size - 1) * step + window - 2 * pad
        for size, window, step, pad in zip(input.shape[-rank:], kernel, stride, padding, strict=True)
    ]
    if wanted is None:
        return natural
    if len(wanted) == rank + 2:
        wanted = wanted[2:]
    if len(wanted) != rank:
        raise ValueError(
            f"output_size should be a sequence containing {rank} or {rank + 2} elements, "
            f"but it has a length of '{len(wanted)}'"
        )
    for dim, (size, middle, step) in enumerate(zip(wanted, natural, stride, strict=True)):
        if not middle - step < size < middle + step:
            raise ValueError(
                f'invalid output_size "{wanted}" (dim {dim} must be between {middle - step} and {middle + step})'
            )
    return list(wanted)


def _window(rank: int, kernel_size: Ints, stride: Ints | None, padding: Ints) -> tuple[list[int], list[int], list[int]]:
    name = f"max_unpool{rank}d"
    kernel = sizes(kernel_size, rank, name, "kernel_size", 3)
    steps = sizes(stride, rank, name, "stride", 4, omissible=True) or kernel
    return kernel, steps, sizes(padding, rank, name, "padding", 5)


def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Zeros, with `input` at the places that `max_pool1d` gave."""
    check_tensor(input, "max_unpool1d")
    kernel, steps, pads = _window(1, kernel_size, stride, padding)
    size = _unpooled_size(input, kernel, steps, pads, output_size)
    return kernels.max_unpool2d(input.unsqueeze(-1), indices.unsqueeze(-1), [*size, 1]).squeeze(-1)


@of_tensors
def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Zeros, with `input` at the places that `max_pool2d` gave."""
    check_tensor(input, "max_unpool2d")
    kernel, steps, pads = _window(2, kernel_size, stride, padding)
    return kernels.max_unpool2d(input, indices, _unpooled_size(input, kernel, steps, pads, output_size))


@of_tensors
def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Zeros, with `input` at the places that `max_pool3d` gave."""
    check_tensor(input, "max_unpool3d")
    kernel, steps, pads = _window(3, kernel_size, stride, padding)
    return kernels.max_unpool3d(input, indices, _unpooled_size(input, kernel, steps, pads, output_size), steps, pads)
