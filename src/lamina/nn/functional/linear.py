"""Affine and bilinear maps of the last dimension, and grouped products.

Here: linear, bilinear, grouped_mm. Not here: attention (attention.py), convolution (convolution.py).
"""

from __future__ import annotations

import enum
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.nn.functional._checks import check_tensor
from lamina.nn.functional._out import write_out
from lamina.primitives import fused
from lamina.primitives.affine import affine
from lamina.primitives.inplace import of_tensors
from lamina.primitives.overridable import asked, asks_below
from lamina.primitives.primitive import Slots


@asks_below()
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None, *, out: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias.

    Shapes: input (*, in), weight (out, in) or (in), bias (out) or (): result (*, out) or (*).
    """
    if out is None:
        quick = affine(input, weight, bias)
        if quick is not None:
            return quick
    if asked((input, weight, bias), {}):
        given = (input, weight) if bias is None else (input, weight, bias)
        return Slots.override(linear, given, {} if out is None else {"out": out})  # type: ignore[no-any-return]
    check_tensor(input, "linear")
    check_tensor(weight, "linear", "weight", 2)
    if bias is None:
        return write_out(lamina.matmul(input, weight.t()), out)
    if weight.dim() != 2:
        return write_out(lamina.matmul(input, weight.t()) + bias, out)
    if input.dim() == 2:
        return write_out(lamina.addmm(bias, input, weight.t()), out)
    if input.dim() > 2 and input.is_contiguous() and input.numel():
        flat = lamina.addmm(bias, input.view(-1, input.shape[-1]), weight.t())
        return write_out(flat.view(*input.shape[:-1], weight.shape[0]), out)
    if input.dim() == 1:
        row = lamina.addmm(bias, input.unsqueeze(0), weight.t())
        return write_out(row.view(weight.shape[0]), out)
    return write_out(lamina.matmul(input, weight.t()) + bias, out)


@fused("Trilinear")
def _bilinear(input1: Tensor, input2: Tensor, weight: Tensor) -> Tensor:
    rows, first = input1.shape
    outputs, second = weight.shape[0], weight.shape[2]
    by_first = lamina.reshape(lamina.permute(weight, (1, 0, 2)), (first, outputs * second))
    half = lamina.reshape(lamina.matmul(input1, by_first), (rows, outputs, second))
    # A product, not a sum: a sum of integers would change their type.
    return lamina.squeeze(lamina.bmm(half, lamina.unsqueeze(input2, 2)), 2)


@of_tensors
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input1' W_o input2 for each output o, plus bias.

    Shapes: input1 (*, in1), input2 (*, in2), weight (out, in1, in2), bias (out): result (*, out).
    """
    for position, (name, value) in enumerate((("input1", input1), ("input2", input2), ("weight", weight)), 1):
        check_tensor(value, "bilinear", name, position)
    if input1.dim() != input2.dim():
        raise RuntimeError(f"bilinear(): input dimensions do not match: got {input1.dim()} and {input2.dim()}")
    for dim, (one, two) in enumerate(zip(input1.shape[:-1], input2.shape[:-1], strict=True)):
        if one != two:
            raise RuntimeError(f"bilinear(): input batch dimensions do not match at dim {dim}: got {one} and {two}")
    for number, given in ((1, input1), (2, input2)):
        if given.shape[-1] != weight.shape[number]:
            raise RuntimeError(
                f"bilinear(): input{number} size does not match weight size: "
                f"got {given.shape[-1]} but expected {weight.shape[number]}"
            )
    if bias is not None and bias.shape[0] != weight.shape[0]:
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {bias.shape[0]} but expected {weight.shape[0]}"
        )
    rows = (-1, input1.shape[-1]), (-1, input2.shape[-1])
    if input1.numel() == 0 or input2.numel() == 0:
        count = 1
        for size in input1.shape[:-1]:
            count *= size
        rows = (count, input1.shape[-1]), (count, input2.shape[-1])
    flat = _bilinear(input1.reshape(rows[0]), input2.reshape(rows[1]), weight)
    result = flat.reshape(*input1.shape[:-1], weight.shape[0])
    return result if bias is None else result + bias


@fused("GroupedMm")
def _grouped_mm(mat_a: Tensor, mat_b: Tensor, ends: tuple[int, ...] | None) -> Tensor:
    if ends is None:
        return lamina.bmm(mat_a, mat_b)
    bounds = list(zip((0, *ends[:-1]), ends, strict=True))
    if mat_a.ndim == 2 and mat_b.ndim == 2:
        return lamina.stack([lamina.matmul(mat_a[:, a:b], mat_b[a:b]) for a, b in bounds])
    if mat_a.ndim == 2:
        return lamina.cat([lamina.matmul(mat_a[a:b], mat_b[k]) for k, (a, b) in enumerate(bounds)])
    return lamina.cat([lamina.matmul(mat_a[k], mat_b[:, a:b]) for k, (a, b) in enumerate(bounds)], 1)


def grouped_mm(
    mat_a: Tensor, mat_b: Tensor, *, offs: Tensor | None = None, bias: Tensor | None = None, out_dtype: Any = None
) -> Tensor:
    """Matrix products of groups: 3-d operands group by their first dimension, 2-d ones by `offs`, the groups' ends.

    2-d x 3-d: rows of `mat_a` are grouped; 3-d x 2-d: columns of `mat_b`; 2-d x 2-d: the dimension summed over.
    """
    if bias is not None:
        raise RuntimeError("Bias not supported yet")
    ragged = mat_a.dim() == 2 or mat_b.dim() == 2
    if ragged != (offs is not None):
        raise RuntimeError("Have to provide offsets if there is a 2d matrix, no offset if both are 3d")
    ends = None if offs is None else tuple(offs.tolist())
    result = _grouped_mm(mat_a, mat_b, ends)
    return result if out_dtype is None else result.to(out_dtype)


class ScalingType(enum.Enum):
    """How a float8 matrix is scaled: named for programs that mention it; `scaled_mm` itself is not in lamina."""

    TensorWise = 0
    RowWise = 1
    BlockWise1x16 = 2
    BlockWise1x32 = 3
    BlockWise1x128 = 4
    BlockWise128x128 = 5


class SwizzleType(enum.Enum):
    """How the scales of a float8 matrix are laid out."""

    NO_SWIZZLE = 0
    SWIZZLE_32_4_4 = 1


def scaled_mm(*args: Any, **kwargs: Any) -> Tensor:
    """Products of float8 matrices with scales: not in lamina."""
    raise NotImplementedError("scaled_mm needs float8 kernels of a GPU; multiply the unscaled matrices with matmul")


def scaled_grouped_mm(*args: Any, **kwargs: Any) -> Tensor:
    """Grouped products of float8 matrices with scales: not in lamina."""
    raise NotImplementedError("scaled_grouped_mm needs float8 kernels of a GPU; use grouped_mm on unscaled matrices")
