"""Batch, instance, group, layer, root-mean-square and local response normalisation.

Here: statistics, running averages, scale and shift. Not here: unit vectors (`normalize`, distance.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.nn.functional._checks import check_floating, check_tensor, refuse_grad
from lamina.primitives import fused
from lamina.primitives import pooling as kernels


def _standardise(input: Tensor, dims: tuple[int, ...], eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """input - mean, mean, variance (without correction) and 1 / standard deviation over `dims`, in three passes."""
    mean = lamina.mean(input, dims, keepdim=True)
    centered = input - mean
    var = lamina.mean(centered * centered, dims, keepdim=True)
    return centered, mean, var, lamina.rsqrt(var + eps)


def _affine(value: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        value = value * weight
    return value if bias is None else value + bias


@fused("NativeBatchNorm")
def _batch_norm_training(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dims = tuple(dim for dim in range(input.ndim) if dim != 1)
    shape = (-1,) + (1,) * (input.ndim - 2)
    centered, mean, var, rstd = _standardise(input, dims, eps)
    # The weight joins the small factor, so that the big array is multiplied once.
    factor = rstd if weight is None else rstd * lamina.reshape(weight, shape)
    out = centered * factor
    if bias is not None:
        out = out + lamina.reshape(bias, shape)
    flat = tuple(lamina.reshape(lamina.detach(part), (-1,)) for part in (mean, rstd, var))
    return out, *flat


@fused("NativeBatchNorm")
def _batch_norm_eval(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor, running_var: Tensor, eps: float
) -> Tensor:
    shape = (-1,) + (1,) * (input.ndim - 2)
    factor = lamina.rsqrt(running_var + eps)
    if weight is not None:
        factor = factor * weight
    out = (input - lamina.reshape(running_mean, shape)) * lamina.reshape(factor, shape)
    return out if bias is None else out + lamina.reshape(bias, shape)


def native_batch_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None, running_var: Tensor | None,
    training: bool, momentum: float, eps: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """`batch_norm`, and the mean and 1 / standard deviation that it used in training (empty otherwise)."""
    check_tensor(input, "native_batch_norm")
    if input.dim() < 2:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-max(input.dim(), 1)}, "
            f"{max(input.dim(), 1) - 1}], but got 1)"
        )
    _check_channels(input.shape[1], running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if not training:
        for name, value in (("running_mean", running_mean), ("running_var", running_var)):
            if value is None:
                raise RuntimeError(f"{name} must be defined in evaluation mode")
    check_floating(input, "batch_norm", "batch_norm")
    refuse_grad("native_batch_norm", running_mean=running_mean, running_var=running_var)
    if not training:
        out = _batch_norm_eval(input, weight, bias, running_mean, running_var, eps)
        empty = input.new_empty(0)
        return out.to(input.dtype), empty, empty
    out, mean, rstd, var = _batch_norm_training(input, weight, bias, eps)
    with lamina.no_grad():
        count = input.numel() // max(input.shape[1], 1)
        if running_mean is not None:
            running_mean.mul_(1 - momentum).add_(mean, alpha=momentum)
        if running_var is not None:
            running_var.mul_(1 - momentum).add_(var, alpha=momentum * count / max(count - 1, 1))
    return out.to(input.dtype), mean, rstd


def _check_channels(channels: int, **named: Tensor | None) -> None:
    for name, value in named.items():
        if value is not None and value.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {value.numel()}")


def batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """(input - mean) / sqrt(var + eps) * weight + bias per channel (dimension 1).

    Training: mean and variance of the batch, and the running ones (updated in place, the variance with Bessel's
    correction)
    if given; otherwise the running ones. Raises ValueError for a batch of one value per channel.
    """
    if training:
        count = input.shape[0] if input.dim() else 1
        for size in input.shape[2:]:
            count *= size
        if count == 1 and input.dim() > 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
    check_tensor(input, "batch_norm")
    if input.dim() and input.shape[0] == 0:
        return _affine(input.clone(), *(None if p is None else p[0] for p in (weight, bias)))
    return native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)[0]


def instance_norm(
    input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None, weight: Tensor | None = None,
    bias: Tensor | None = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """`batch_norm` of every sample by itself; input (N, C, *)."""
    check_tensor(input, "instance_norm")
    if use_input_stats:
        count = 1
        for size in input.shape[2:]:
            count *= size
        if count == 1:
            raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    elif running_mean is None or running_var is None:
        raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats is false")
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean and running_var must either both be None or neither be None")
    batch, channels = input.shape[:2]
    together = input.contiguous().view(1, batch * channels, *input.shape[2:])
    weight, bias = (None if value is None else value.repeat(batch) for value in (weight, bias))
    means, variances = (None if value is None else value.repeat(batch) for value in (running_mean, running_var))
    out = native_batch_norm(together, weight, bias, means, variances, use_input_stats, momentum, eps)[0]
    with lamina.no_grad():
        for running, updated in ((running_mean, means), (running_var, variances)):
            if running is not None and use_input_stats:
                running.copy_(updated.view(batch, channels).mean(0))
    return out.view(input.shape)


@fused("NativeGroupNorm")
def _group_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, batch: int, channels: int, groups: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    grouped = lamina.reshape(input, (batch, groups, channels // groups, -1))
    centered, mean, _, rstd = _standardise(grouped, (2, 3), eps)
    per_channel = (1, groups, channels // groups, 1)
    factor = rstd if weight is None else rstd * lamina.reshape(weight, per_channel)
    out = centered * factor
    if bias is not None:
        out = out + lamina.reshape(bias, per_channel)
    return lamina.reshape(out, input.shape), *(lamina.reshape(part, (batch, groups)) for part in (mean, rstd))


def native_group_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`group_norm` of (N, C, *), and the mean and 1 / standard deviation (N, group)."""
    check_floating(input, "native_group_norm", "GroupNormKernelImpl")
    if group <= 0 or C % group:
        raise RuntimeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input.shape)} and num_groups={group}"
        )
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and (value.dim() != 1 or value.numel() != C):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of "
                f"shape {list(value.shape)} and input of shape {list(input.shape)}"
            )
    if input.numel() == 0:
        out = _affine(input.clone(), *(None if p is None else p.sum() for p in (weight, bias)))
        return out, input.new_zeros((N, group)), input.new_zeros((N, group))
    out, mean, rstd = _group_norm(input, weight, bias, N, C, group, eps)
    return out.to(input.dtype), mean, rstd


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalisation of (N, C, *) over each sample's groups of channels, then weight and bias (C) per channel."""
    check_tensor(input, "group_norm")
    if input.dim() < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.dim()}")
    batch, channels = input.shape[:2]
    spatial = 1
    for size in input.shape[2:]:
        spatial *= size
    if batch * (channels // num_groups) * spatial == 1:
        shown = [batch * channels // num_groups, num_groups, *input.shape[2:]]
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {shown}")
    return native_group_norm(input, weight, bias, batch, channels, spatial, num_groups, eps)[0]


@fused("NativeLayerNorm")
def _layer_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, rank: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    centered, mean, _, rstd = _standardise(input, tuple(range(-rank, 0)), eps)
    return _affine(centered * rstd, weight, bias), lamina.detach(mean), lamina.detach(rstd)


def _normalized_shape(
    input: Tensor, normalized_shape: Any, star: str, function: str, **named: Tensor | None
) -> list[int]:
    if not isinstance(normalized_shape, Sequence):
        raise TypeError(
            f"{function}(): argument 'normalized_shape' (position 2) must be tuple of ints, "
            f"not {type(normalized_shape).__name__}"
        )
    shape = list(normalized_shape)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, "
            "but got normalized_shape = []"
        )
    for name, value in named.items():
        if value is not None and list(value.shape) != shape:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(value.shape)} and normalized_shape = {shape}"
            )
    if input.dim() < len(shape) or list(input.shape[-len(shape) :]) != shape:
        listed = ", ".join(map(str, shape))
        raise RuntimeError(
            f"Given normalized_shape={shape}, expected input with shape [*{star}{listed}], "
            f"but got input of size{list(input.shape)}"
        )
    return shape


def native_layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`layer_norm`, and the mean and 1 / standard deviation of each row."""
    check_tensor(input, "layer_norm")
    shape = _normalized_shape(input, normalized_shape, ", ", "layer_norm", weight=weight, bias=bias)
    check_floating(input, "layer_norm", "LayerNormKernelImpl")
    if input.numel() == 0:
        rows = [*input.shape[: -len(shape)], *[1] * len(shape)]
        return _affine(input.clone(), weight, bias), input.new_zeros(rows), input.new_zeros(rows)
    out, mean, rstd = _layer_norm(input, weight, bias, len(shape), eps)
    return out.to(input.dtype), mean, rstd


def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalisation over the last dimensions (`normalized_shape`), then elementwise weight and bias of that shape."""
    return native_layer_norm(input, normalized_shape, weight, bias, eps)[0]


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """`input` over the root of its mean square in the last dimensions; `eps`: by default the type's machine epsilon."""
    check_tensor(input, "rms_norm")
    shape = _normalized_shape(input, normalized_shape, "", "rms_norm", weight=weight)
    wide = input.float() if input.dtype in (lamina.float16, lamina.bfloat16) else input
    if eps is None:
        eps = lamina.finfo(wide.dtype).eps
    squares = wide.pow(2).mean(tuple(range(-len(shape), 0)), keepdim=True)
    out = wide * lamina.rsqrt(squares + eps)
    if weight is not None:
        out = out * weight
    return out if wide is input else out.to(input.dtype)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """`input` over (k + alpha * mean of squares of the `size` channels around) ** beta; input (N, C, *)."""
    check_tensor(input, "local_response_norm")
    if input.dim() < 3:
        gap = " " * 25  # PyTorch's sentence holds a line of its source
        raise ValueError(f"Expected 3D or higher dimensionality{gap} input (got {input.dim()} dimensions)")
    if input.numel() == 0:
        return input
    squares = (input * input).unsqueeze(1)
    if input.dim() == 3:
        padded = lamina.constant_pad_nd(squares, [0, 0, size // 2, (size - 1) // 2], 0)
        means = kernels.avg_pool2d(padded, [size, 1], [1, 1], [0, 0], False, True, None).squeeze(1)
    else:
        flat = squares.view(input.shape[0], 1, input.shape[1], input.shape[2], -1)
        padded = lamina.constant_pad_nd(flat, [0, 0, 0, 0, size // 2, (size - 1) // 2], 0)
        pooled = kernels.avg_pool3d(padded, [size, 1, 1], [1, 1, 1], [0, 0, 0], False, True, None)
        means = pooled.squeeze(1).view(input.shape)
    return input / means.mul(alpha).add(k).pow(beta)
