"""Max, average, adaptive, fractional and power-average pooling, and the inverse of max pooling.

Here: the arguments' forms and the one-dimensional cases, which run as two-dimensional. Not here: the windows
(primitives/pooling.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.nn.functional._checks import check_tensor, int_list
from lamina.nn.functional._out import write_out
from lamina.nn.functional._pool_arguments import Ints, sizes, with_defaults
from lamina.primitives import pooling as kernels
from lamina.primitives.inplace import loosely, of_tensors
from lamina.primitives.signature import not_implemented

_ADAPTIVE_MAX = {2: kernels.adaptive_max_pool2d, 3: kernels.adaptive_max_pool3d}


def _max_pool(
    rank: int, input: Tensor, kernel_size: Ints, stride: Ints | None, padding: Ints, dilation: Ints, ceil_mode: bool,
    indices: bool = True,
) -> Any:  # fmt: skip
    name = f"max_pool{rank}d"
    check_tensor(input, name)
    kernel = sizes(kernel_size, rank, name, "kernel_size", 2)
    steps = sizes(stride, rank, name, "stride", 3, omissible=True) or kernel
    pads = sizes(padding, rank, name, "padding", 4)
    dilations = sizes(dilation, rank, name, "dilation", 5)
    return kernels.max_pool(input, kernel, steps, pads, dilations, ceil_mode, indices)


def max_pool1d_with_indices(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`max_pool1d`, with the place of each maximum in its row."""
    name = "max_pool1d"
    check_tensor(input, name)
    if input.dim() not in (2, 3) or any(size == 0 for size in input.shape[-2 if input.dim() == 2 else 1 :]):
        raise RuntimeError(
            "max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for input, "
            f"but got:{list(input.shape)}"
        )
    window = {}
    for key, value in (("kernel_size", kernel_size), ("stride", stride), ("padding", padding), ("dilation", dilation)):
        if isinstance(value, Sequence) and len(value) > 1:
            raise RuntimeError(
                f"max_pool1d() {key} must be an int, list of ints or tuple of ints of size 1 but got size {len(value)}"
            )
        window[key] = sizes(value, 1, name, key, 2, omissible=key == "stride")
    window["stride"] = window["stride"] or window["kernel_size"]
    for key in ("kernel_size", "stride", "dilation"):
        if window[key][0] <= 0:
            raise RuntimeError(f"max_pool1d() {key} must be greater than zero, but got {window[key][0]}")
    kernel, pad, gap = window["kernel_size"][0], window["padding"][0], window["dilation"][0]
    if pad < 0:
        raise RuntimeError(f"pad must be non-negative, but got pad: {pad}")
    if pad > ((kernel - 1) * gap + 1) // 2:
        raise RuntimeError(
            "pad should be at most half of effective kernel size, "
            f"but got pad={pad}, kernel_size={kernel} and dilation={gap}"
        )
    reach = input.shape[-1] + 2 * pad - gap * (kernel - 1) - 1
    length = (reach + (window["stride"][0] - 1 if ceil_mode else 0)) // window["stride"][0] + 1
    if length <= 0:
        raise RuntimeError(f"max_pool1d() Invalid computed output size: {length}")
    values, indices = kernels.max_pool2d_with_indices(
        input.unsqueeze(-2), [1, kernel], [1, window["stride"][0]], [0, pad], [1, gap], ceil_mode
    )
    return values.squeeze(-2), indices.squeeze(-2)


def max_pool2d_with_indices(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`max_pool2d`, with the place of each maximum in its flattened plane."""
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode)  # type: ignore[no-any-return]


def max_pool3d_with_indices(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`max_pool3d`, with the place of each maximum in its flattened volume."""
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode)  # type: ignore[no-any-return]


@of_tensors
def max_pool1d(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: Any = False,
) -> Any:  # fmt: skip
    """Maxima of windows of (N, C, L) or (C, L); `return_indices`: with their places; stride: `kernel_size` if None."""
    pair = max_pool1d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return pair if return_indices else pair[0]


@of_tensors
def max_pool2d(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: Any = False,
) -> Any:  # fmt: skip
    """Maxima of windows of (N, C, H, W) or (C, H, W); `return_indices`: with their places."""
    pair = _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return pair if return_indices else pair[0]


@of_tensors
def max_pool3d(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: Any = False,
) -> Any:  # fmt: skip
    """Maxima of windows of (N, C, D, H, W) or (C, D, H, W); `return_indices`: with their places."""
    pair = _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return pair if return_indices else pair[0]


@of_tensors
def avg_pool1d(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """Means of windows of (N, C, L) or (C, L)."""
    check_tensor(input, "avg_pool1d")
    kernel = sizes(kernel_size, 1, "avg_pool1d", "kernel_size", 2)
    steps = sizes(stride, 1, "avg_pool1d", "stride", 3, omissible=True) or kernel
    pads = sizes(padding, 1, "avg_pool1d", "padding", 4)
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {input.dim()}-dimensional tensor for argument #1 'self'"
        )
    result = kernels.avg_pool2d(
        input.unsqueeze(-2), [1, *kernel], [1, *steps], [0, *pads], ceil_mode, count_include_pad, None
    )
    return result.squeeze(-2)


@of_tensors
def avg_pool2d(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None, *, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Means of windows of (N, C, H, W) or (C, H, W); with `divisor_override`, sums over it."""
    check_tensor(input, "avg_pool2d")
    kernel = sizes(kernel_size, 2, "avg_pool2d", "kernel_size", 2)
    steps = sizes(stride, 2, "avg_pool2d", "stride", 3, omissible=True) or kernel
    pads = sizes(padding, 2, "avg_pool2d", "padding", 4)
    return write_out(
        kernels.avg_pool2d(input, kernel, steps, pads, ceil_mode, count_include_pad, divisor_override), out
    )


@of_tensors
def avg_pool3d(
    input: Tensor, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None, *, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Means of windows of (N, C, D, H, W) or (C, D, H, W); with `divisor_override`, sums over it."""
    check_tensor(input, "avg_pool3d")
    if input.dtype.is_low:
        raise not_implemented("avg_pool3d_out_frame", input.dtype)
    kernel = sizes(kernel_size, 3, "avg_pool3d", "kernel_size", 2)
    steps = sizes(stride, 3, "avg_pool3d", "stride", 3, omissible=True) or kernel
    pads = sizes(padding, 3, "avg_pool3d", "padding", 4)
    return write_out(
        kernels.avg_pool3d(input, kernel, steps, pads, ceil_mode, count_include_pad, divisor_override), out
    )


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: int, stride: Ints | None = None, ceil_mode: bool = False
) -> Tensor:
    """The `norm_type`-norm of each window of (N, C, L) or (C, L)."""
    means = avg_pool1d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return _root_of_sum(means, sizes(kernel_size, 1, "avg_pool1d", "kernel_size", 2), norm_type)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
) -> Tensor:
    """The `norm_type`-norm of each window of (N, C, H, W) or (C, H, W)."""
    means = avg_pool2d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return _root_of_sum(means, sizes(kernel_size, 2, "avg_pool2d", "kernel_size", 2), norm_type)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
) -> Tensor:
    """The `norm_type`-norm of each window of (N, C, D, H, W) or (C, D, H, W)."""
    means = avg_pool3d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return _root_of_sum(means, sizes(kernel_size, 3, "avg_pool3d", "kernel_size", 2), norm_type)


def _root_of_sum(means: Tensor, kernel: list[int], norm_type: float) -> Tensor:
    count = 1
    for size in kernel:
        count *= size
    return (lamina.sign(means) * lamina.relu(lamina.abs(means))).mul(count).pow(1.0 / norm_type)


def adaptive_avg_pool1d(input: Tensor, output_size: Ints) -> Tensor:
    """Means of (N, C, L) or (C, L) over as many windows as `output_size` says."""
    check_tensor(input, "adaptive_avg_pool1d")
    length = int_list(output_size, 1, "adaptive_avg_pool1d", "output_size")
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {input.dim()}-dimensional tensor for argument #1 'self'"
        )
    return _adaptive_mean(input.unsqueeze(-2), [1, *length]).squeeze(-2)


@loosely
def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means of (N, C, H, W) or (C, H, W) over `output_size` windows; None keeps a dimension."""
    wanted = with_defaults(output_size, input, 2)
    if len(wanted) != 2:
        raise RuntimeError("adaptive_avg_pool2d: output_size must be 2")
    return _adaptive_mean(input, wanted)


@loosely
def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Means of (N, C, D, H, W) or (C, D, H, W) over `output_size` windows; None keeps a dimension."""
    wanted = with_defaults(output_size, input, 3)
    if len(wanted) != 3:
        raise RuntimeError("adaptive_avg_pool3d: output_size must be 3")
    return _adaptive_mean(input, wanted)


def _adaptive_mean(input: Tensor, wanted: list[int]) -> Tensor:
    rank = len(wanted)
    if any(size < 0 for size in wanted):
        # The uneven spacing is PyTorch's own.
        listed = ", ".join(map(str, wanted)) if rank == 2 else f"{wanted[0]}, {wanted[1]},{wanted[2]}"
        raise RuntimeError(
            f"adaptive_avg_pool{rank}d: elements of output_size must be greater than or equal to 0 "
            f"but received {{{listed}}}"
        )
    if all(size == 1 for size in wanted):
        return lamina.mean(input, tuple(range(-rank, 0)), keepdim=True)
    return (kernels.adaptive_avg_pool2d if rank == 2 else kernels.adaptive_avg_pool3d)(input, wanted)


def _adaptive_max(rank: int, input: Tensor, output_size: Any) -> tuple[Tensor, Tensor]:
    wanted = with_defaults(output_size, input, rank)
    if len(wanted) != rank:
        raise RuntimeError(f"adaptive_max_pool{rank}d(): internal error: output_size.size() must be {rank}")
    return _ADAPTIVE_MAX[rank](input, wanted)


def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: Ints, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool1d`, with the place of each maximum in its row."""
    check_tensor(input, "adaptive_max_pool1d")
    length = int_list(output_size, 1, "adaptive_max_pool1d", "output_size")
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {input.dim()}-dimensional tensor for argument #1 'self'"
        )
    values, indices = kernels.adaptive_max_pool2d(input.unsqueeze(-2), [1, *length])
    return values.squeeze(-2), indices.squeeze(-2)


def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool2d`, with the place of each maximum in its flattened plane."""
    return _adaptive_max(2, input, output_size)


def adaptive_max_pool3d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool3d`, with the place of each maximum in its flattened volume."""
    return _adaptive_max(3, input, output_size)


def adaptive_max_pool1d(input: Tensor, output_size: Ints, return_indices: bool = False) -> Any:
    """Maxima of (N, C, L) or (C, L) over as many windows as `output_size` says."""
    pair = adaptive_max_pool1d_with_indices(input, output_size)
    return pair if return_indices else pair[0]


@loosely
def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of (N, C, H, W) or (C, H, W) over `output_size` windows; None keeps a dimension."""
    pair = _adaptive_max(2, input, output_size)
    return pair if return_indices else pair[0]


@loosely
def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of (N, C, D, H, W) or (C, D, H, W) over `output_size` windows; None keeps a dimension."""
    pair = _adaptive_max(3, input, output_size)
    return pair if return_indices else pair[0]
