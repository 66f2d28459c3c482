"""Max pooling over random windows, and the inverse of max pooling.

Here: the output sizes and the random samples. Not here: the windows (primitives/pooling.py), the other pools
(pooling.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.nn.functional._checks import check_tensor, int_list
from lamina.nn.functional._pool_arguments import Ints, sizes
from lamina.primitives import pooling as kernels
from lamina.primitives.inplace import loosely


def _fractional(
    rank: int, input: Tensor, kernel_size: Ints, output_size: Any, output_ratio: Any, samples: Tensor | None
) -> tuple[Tensor, Tensor]:
    name = f"fractional_max_pool{rank}d"
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if output_size is None:
        ratios = [output_ratio] * rank if isinstance(output_ratio, (int, float)) else list(output_ratio)
        if len(ratios) != rank:
            raise ValueError(f"{name} requires output_ratio to either be a single Int or tuple of Ints.")
        output_size = [int(size * ratio) for size, ratio in zip(input.size()[-rank:], ratios, strict=True)]
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


def _each(value: Any, rank: int) -> tuple[Any, ...]:
    """`value` for each dimension. PyTorch reads the windows of an unpooling in Python: what they are, arithmetic finds out."""
    return tuple(value) if isinstance(value, Iterable) else (value,) * rank


def _unpooled_size(
    rank: int, input: Tensor, kernel_size: Ints, stride: Ints | None, padding: Ints, wanted: Sequence[int] | None
) -> list[int]:
    """The output size of an unpooling: the natural one, or `wanted` if within one stride of it."""
    kernel = _each(kernel_size, rank)
    steps, pads = kernel if stride is None else _each(stride, rank), _each(padding, rank)
    size = input.size()
    natural = [(size[len(size) - len(kernel) + d] - 1) * steps[d] + kernel[d] - 2 * pads[d] for d in range(len(kernel))]
    found = natural if wanted is None else list(wanted)
    if len(found) == len(kernel) + 2:
        found = found[2:]
    if len(found) != len(kernel):
        raise ValueError(
            f"output_size should be a sequence containing {len(kernel)} or {len(kernel) + 2} elements, "
            f"but it has a length of '{len(found)}'"
        )
    for d, (n, middle) in enumerate(zip(found, natural, strict=True)):
        if wanted is not None and not middle - steps[d] < n < middle + steps[d]:
            raise ValueError(
                f'invalid output_size "{wanted}" (dim {d} must be between {middle - steps[d]} and {middle + steps[d]})'
            )
    if len(found) != rank:
        raise RuntimeError(f"There should be exactly {rank} elements in output_size, but got {len(found)} elements.")
    return int_list(found, rank, f"max_unpool{rank}d", "output_size")


@loosely
def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Zeros, with `input` at the places that `max_pool1d` gave."""
    size = _unpooled_size(1, input, kernel_size, stride, padding, output_size)
    check_tensor(indices, "max_unpool2d", "indices", 2)
    return kernels.max_unpool2d(input.unsqueeze(-1), indices.unsqueeze(-1), [*size, 1]).squeeze(-1)


@loosely
def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Zeros, with `input` at the places that `max_pool2d` gave."""
    size = _unpooled_size(2, input, kernel_size, stride, padding, output_size)
    check_tensor(indices, "max_unpool2d", "indices", 2)
    return kernels.max_unpool2d(input, indices, size)


@loosely
def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Zeros, with `input` at the places that `max_pool3d` gave."""
    size = _unpooled_size(3, input, kernel_size, stride, padding, output_size)
    check_tensor(indices, "max_unpool3d", "indices", 2)
    steps, pads = sizes(stride, 3, "max_unpool3d", "stride", 4, omissible=True), _each(padding, 3)
    return kernels.max_unpool3d(input, indices, size, steps or list(_each(kernel_size, 3)), list(pads))
