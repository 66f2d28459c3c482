"""Convolutions of 1 to 3 spatial dimensions, and the sliding blocks they are made of.

Here: the arguments' forms (integers, "same", unbatched input). Not here: the sums (primitives/convolution.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import lamina
from lamina.core.tensor import Tensor
from lamina.core.warn import warn_once
from lamina.nn.functional._checks import check_tensor, int_list
from lamina.primitives import convolution as kernels
from lamina.primitives import fused
from lamina.primitives.inplace import of_tensors
from lamina.primitives.signature import not_implemented

Ints = int | Sequence[int]


def _batched(input: Tensor, rank: int, name: str) -> tuple[Tensor, bool]:
    """`input` with a batch dimension, and whether it had one."""
    check_tensor(input, name)
    if input.dim() == rank + 2:
        return input, True
    if input.dim() == rank + 1:
        return input.unsqueeze(0), False
    raise RuntimeError(
        f"Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input to {name}, "
        f"but got input of size: {list(input.shape)}"
    )


def _check_types(input: Tensor, bias: Tensor | None) -> None:
    if bias is not None and bias.dtype != input.dtype:
        raise RuntimeError(f"Input type ({_c_name(input)}) and bias type ({_c_name(bias)}) should be the same")


def _c_name(tensor: Tensor) -> str:
    names = {
        lamina.float32: "float", lamina.float64: "double",
        lamina.float16: "c10::Half", lamina.bfloat16: "c10::BFloat16",
        lamina.int64: "long int", lamina.int32: "int", lamina.int16: "short int", lamina.int8: "signed char",
        lamina.uint8: "unsigned char", lamina.bool: "bool",
        lamina.complex64: "c10::complex<float>", lamina.complex128: "c10::complex<double>",
    }  # fmt: skip
    return names.get(tensor.dtype, str(tensor.dtype))


def _same_padding(
    input: Tensor, weight: Tensor, stride: list[int], dilation: list[int], rank: int
) -> tuple[Tensor, list[int]]:
    """What padding="same" means: symmetric padding, and `input` already padded by the odd rest on the right."""
    if any(s != 1 for s in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    totals = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    if any(total % 2 for total in totals):
        warn_once(
            "Using padding='same' with even kernel lengths and odd dilation may require a zero-padded copy of the input be created"
        )
        uneven = [side for total in reversed(totals) for side in (0, total % 2)]
        input = lamina.constant_pad_nd(input, uneven, 0)
    return input, [total // 2 for total in totals]


def _convolve(
    rank: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Ints, padding: Ints | str, dilation: Ints,
    groups: int,
) -> Tensor:  # fmt: skip
    name = f"conv{rank}d"
    check_tensor(weight, name, "weight", 2)
    input, has_batch = _batched(input, rank, name)
    _check_types(input, bias)
    if weight.dim() != rank + 2 and isinstance(padding, str):
        raise RuntimeError(
            f"Expected {weight.dim()}-dimensional input for {weight.dim()}-dimensional weight{list(weight.shape)}, "
            f"but got {rank + 2}-dimensional input of size {list(input.shape)} instead"
        )
    strides = int_list(stride, rank, name, "stride")
    dilations = int_list(dilation, rank, name, "dilation")
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise RuntimeError(f"Invalid padding string: '{padding}'")
        if padding == "same":
            input, pads = _same_padding(input, weight, strides, dilations, rank)
        else:
            pads = [0] * rank
    else:
        pads = int_list(padding, rank, name, "padding")
    result = kernels.convolution(input, weight, bias, strides, pads, dilations, False, [0] * rank, groups)
    return result if has_batch else result.squeeze(0)


@of_tensors
def conv1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = 1, padding: Ints | str = 0,
    dilation: Ints = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Cross-correlation over one dimension: input (N, C, L) or (C, L), weight (out, C / groups, k), bias (out)."""
    return _convolve(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = 1, padding: Ints | str = 0,
    dilation: Ints = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Cross-correlation over two dimensions: input (N, C, H, W) or (C, H, W), weight (out, C / groups, kh, kw)."""
    return _convolve(2, input, weight, bias, stride, padding, dilation, groups)


@of_tensors
def conv3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = 1, padding: Ints | str = 0,
    dilation: Ints = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Cross-correlation over three dimensions: input (N, C, D, H, W) or (C, D, H, W)."""
    return _convolve(3, input, weight, bias, stride, padding, dilation, groups)


def _convolve_transposed(
    rank: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Ints, padding: Ints, output_padding: Ints,
    groups: int, dilation: Ints,
) -> Tensor:  # fmt: skip
    name = f"conv_transpose{rank}d"
    check_tensor(weight, name, "weight", 2)
    input, has_batch = _batched(input, rank, name)
    _check_types(input, bias)
    result = kernels.convolution(
        input, weight, bias,
        int_list(stride, rank, name, "stride"),
        int_list(padding, rank, name, "padding"),
        int_list(dilation, rank, name, "dilation"),
        True,
        int_list(output_padding, rank, name, "output_padding"),
        groups,
    )  # fmt: skip
    return result if has_batch else result.squeeze(0)


@of_tensors
def conv_transpose1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = 1, padding: Ints = 0,
    output_padding: Ints = 0, groups: int = 1, dilation: Ints = 1,
) -> Tensor:  # fmt: skip
    """The adjoint of `conv1d` in its input: weight (C, out / groups, k)."""
    return _convolve_transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


@of_tensors
def conv_transpose2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = 1, padding: Ints = 0,
    output_padding: Ints = 0, groups: int = 1, dilation: Ints = 1,
) -> Tensor:  # fmt: skip
    """The adjoint of `conv2d` in its input: weight (C, out / groups, kh, kw)."""
    return _convolve_transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


@of_tensors
def conv_transpose3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = 1, padding: Ints = 0,
    output_padding: Ints = 0, groups: int = 1, dilation: Ints = 1,
) -> Tensor:  # fmt: skip
    """The adjoint of `conv3d` in its input: weight (C, out / groups, kd, kh, kw)."""
    return _convolve_transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


@fused("ConvTbc")
def _conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int) -> Tensor:
    rows = kernels.convolution(
        lamina.permute(input, (1, 2, 0)), lamina.permute(weight, (2, 1, 0)), bias, [1], [pad], [1], False, [0], 1
    )
    return lamina.permute(rows, (2, 0, 1))


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """`conv1d` for input (T, N, C), weight (k, C, out): result (T', N, out)."""
    check_tensor(input, "conv_tbc")
    if input.dim() != 3:
        raise RuntimeError("Input must have 3 dims: time, batch, in_channel")
    if weight.dim() != 3:
        raise RuntimeError("Weight tensor must have 3 dims: kernel_width, in_channels, out_channels.")
    if bias.dim() != 1:
        raise RuntimeError("Bias must be 1-D")
    return _conv_tbc(input, weight, bias, pad)


def _pair(value: Ints, name: str) -> list[int]:
    items = list(value) if isinstance(value, Sequence) else [value, value]
    if len(items) == 1:
        items *= 2
    if len(items) != 2:
        raise RuntimeError(f"It is expected {name} equals to 2, but got size {len(items)}")
    return items


def unfold(input: Tensor, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1) -> Tensor:
    """The sliding blocks of (N, C, H, W) as columns: (N, C * kh * kw, blocks)."""
    check_tensor(input, "im2col")
    if input.dtype.category == 1:
        raise not_implemented("im2col_out_cpu", input.dtype)
    return kernels.im2col(
        input, _pair(kernel_size, "kernel_size"), _pair(dilation, "dilation"), _pair(padding, "padding"),
        _pair(stride, "stride"),
    )  # fmt: skip


def fold(
    input: Tensor, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
) -> Tensor:
    """Blocks summed back at their places, the adjoint of `unfold`: (N, C * kh * kw, blocks) to (N, C, H, W)."""
    check_tensor(input, "col2im")
    return kernels.col2im(
        input, _pair(output_size, "output_size"), _pair(kernel_size, "kernel_size"), _pair(dilation, "dilation"),
        _pair(padding, "padding"), _pair(stride, "stride"),
    )  # fmt: skip
