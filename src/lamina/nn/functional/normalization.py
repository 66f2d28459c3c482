"""Group, layer, root-mean-square and local response normalisation.

Here: the composites, their gradients, PyTorch's checks. Not here: batch and instance normalisation (batch_normalization.py), the
loops (primitives/kernels/normalization.py), unit vectors (`normalize`, distance.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import lamina
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.nn.functional._checks import check_floating, check_tensor
from lamina.primitives import fused
from lamina.primitives import pooling as pools
from lamina.primitives.inplace import loosely, of_tensors
from lamina.primitives.kernels import normalization as kernels
from lamina.primitives.kernels.precision import widened

Needs = tuple[bool, ...]


def standardise(input: Tensor, dims: tuple[int, ...], eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """input - mean, mean, variance (without correction) and 1 / standard deviation over `dims`."""
    mean = lamina.mean(input, dims, keepdim=True)
    centered = input - mean
    var = lamina.mean(centered * centered, dims, keepdim=True)
    return centered, mean, var, lamina.rsqrt(var + eps)


def affine(value: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """value * weight + bias, where they are given."""
    if weight is not None:
        value = value * weight
    return value if bias is None else value + bias


def as_parameters(kept: Sequence[Tensor], input: Tensor, weight: Tensor | None) -> tuple[Tensor, ...]:
    """Statistics in the type in which PyTorch shows them: the parameters'."""
    wanted = (input if weight is None else weight).dtype
    return tuple(t if t.dtype is wanted else t.to(wanted) for t in kept)


def differentiable_grads(
    g: Tensor,
    x: Tensor,
    weight: Tensor | None,
    dims: tuple[int, ...],
    kept: tuple[int, ...],
    eps: float,
    known: tuple[Tensor, Tensor],
) -> list[Any]:
    """The gradients of x_hat * weight + bias in x, weight and bias, on Tensors; `kept`: the dimensions that the weight has.

    known: mean and reciprocal deviation, which depend on x: they serve where nothing is recorded.
    """
    if lamina.is_grad_enabled():
        centered, _, _, rstd = standardise(x, dims, eps)
    else:
        centered, rstd = x - known[0], known[1]
    unit = centered * rstd
    rest = tuple(d for d in range(x.ndim) if d not in kept)
    sums = [lamina.sum(value, rest, keepdim=True) if rest else value for value in (g * unit, g)]
    if rest == tuple(
        sorted(dims)
    ):  # the weight is the same for all that is normalised together: these sums serve for both
        count = math.prod(x.shape[d] for d in dims)
        along, mean = (value / count for value in sums)
        scale = rstd if weight is None else rstd * weight
        return [scale * (g - mean - unit * along), *sums]
    inner = g if weight is None else g * weight
    mean, along = (lamina.mean(value, dims, keepdim=True) for value in (inner, inner * unit))
    return [rstd * (inner - mean - unit * along), *sums]


def check_parameters(input: Tensor, *parameters: Tensor | None) -> None:
    """Raise RuntimeError unless each parameter is where `input` is and of its type, or all are float32 and `input` is of low precision."""
    for p in parameters:
        if p is not None and p.device != input.device:
            raise RuntimeError(f"Tensor on device {p.device} is not on the expected device {input.device}!")
    given = [p.dtype for p in parameters if p is not None]
    if any(d is not input.dtype for d in given):
        if not input.dtype.is_low:
            raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")
        if any(d is not lamina.float32 for d in given):
            raise RuntimeError("mixed dtype (CPU): expect parameter to have scalar type of Float")


# ---- layers ----------------------------------------------------------------------------------------------------------


def _layer_norm_kernel(
    x: Array, weight: Array | None, bias: Array | None, *, rank: int, eps: float
) -> tuple[Array, Array, Array]:
    wide, w, b = widened(x, weight, bias)
    lead = x.shape[: x.ndim - rank]
    w, b = (None if v is None else v.reshape(-1) for v in (w, b))
    y, mean, rstd = kernels.row_norm(wide.reshape(math.prod(lead), -1), w, b, eps)
    shape = (*lead, *(1,) * rank)
    return y.reshape(x.shape).astype(x.dtype, copy=False), mean.reshape(shape), rstd.reshape(shape)


def _layer_norm_grads(
    g: Any, x: Any, weight: Any, out_1: Any, out_2: Any, needs: Needs, rank: int, eps: float
) -> list[Any]:
    if isinstance(g, Tensor):
        last = tuple(range(x.ndim - rank, x.ndim))
        dx, dw, db = differentiable_grads(g, x, weight, last, last, eps, (out_1, out_2))
        shape = x.shape[x.ndim - rank :]
        return [dx, dw.reshape(shape) if needs[1] else None, db.reshape(shape) if needs[2] else None]
    n, width = out_1.size, math.prod(x.shape[x.ndim - rank :])
    w = None if weight is None else weight.reshape(-1)
    found = kernels.row_norm_grad(
        g.reshape(n, width), x.reshape(n, width), w, out_1.reshape(-1), out_2.reshape(-1), needs
    )  # fmt: skip
    shapes = (x.shape, x.shape[x.ndim - rank :], x.shape[x.ndim - rank :])
    return [None if v is None else v.reshape(shape) for v, shape in zip(found, shapes, strict=True)]


@fused(
    "NativeLayerNorm", kernel=_layer_norm_kernel, grads=_layer_norm_grads, variadic=True, outputs=3, nondiff=(1, 2),
    native=True,
)  # fmt: skip
def _layer_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, *, rank: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    centered, mean, _, rstd = standardise(input, tuple(range(-rank, 0)), eps)
    return affine(centered * rstd, weight, bias), mean.detach(), rstd.detach()


def _normalized_shape(
    input: Tensor, normalized_shape: Any, star: str, function: str, **named: Tensor | None
) -> list[int]:
    if not isinstance(normalized_shape, (tuple, list)) or not all(hasattr(n, "__index__") for n in normalized_shape):
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


@of_tensors
def native_layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`layer_norm`, and the mean and 1 / standard deviation of each row."""
    check_tensor(input, "layer_norm")
    shape = _normalized_shape(input, normalized_shape, ", ", "layer_norm", weight=weight, bias=bias)
    check_parameters(input, weight, bias)
    check_floating(input, "layer_norm", "LayerNormKernelImpl")
    if input.numel() == 0:
        rows = [*input.shape[: -len(shape)], *[1] * len(shape)]
        return affine(input.clone(), weight, bias), input.new_zeros(rows), input.new_zeros(rows)
    out, *kept = _layer_norm(input, weight, bias, rank=len(shape), eps=eps)
    return out, *as_parameters(kept, input, weight)


def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalisation over the last dimensions (`normalized_shape`), then elementwise weight and bias of that shape."""
    return native_layer_norm(input, normalized_shape, weight, bias, eps)[0]


# ---- groups ----------------------------------------------------------------------------------------------------------


def _group_norm_kernel(
    x: Array, weight: Array | None, bias: Array | None, *, batch: int, channels: int, groups: int, eps: float
) -> tuple[Array, Array, Array]:
    wide, w, b = widened(x, weight, bias)
    y, mean, rstd = kernels.group_norm(wide.reshape(batch, channels, math.prod(x.shape[2:])), w, b, groups, eps)
    return y.reshape(x.shape).astype(x.dtype, copy=False), mean, rstd


def _group_norm_grads(
    gs: Any,
    x: Any,
    weight: Any,
    out_1: Any,
    out_2: Any,
    needs: Needs,
    batch: int,
    channels: int,
    groups: int,
    eps: float,
) -> list[Any]:
    g, g_mean, g_rstd = gs
    grouped = (batch, groups, channels // groups, math.prod(x.shape[2:]))
    found: list[Any] = [None, None, None]
    if isinstance(next(v for v in gs if v is not None), Tensor):
        w = None if weight is None else weight.reshape(1, groups, channels // groups, 1)
        if g is not None:
            known = out_1.reshape(batch, groups, 1, 1), out_2.reshape(batch, groups, 1, 1)
            found = differentiable_grads(g.reshape(grouped), x.reshape(grouped), w, (2, 3), (1, 2), eps, known)
            found[1:] = [v.reshape(-1) if need else None for v, need in zip(found[1:], needs[1:], strict=True)]
        centered, _, _, rstd = standardise(x.reshape(grouped), (2, 3), eps)
    else:
        shape = (batch, channels, math.prod(x.shape[2:]))
        if g is not None:
            found = list(kernels.group_norm_grad(g.reshape(shape), x.reshape(shape), weight, out_1, out_2, needs))
        mean, rstd = (v.reshape(batch, groups, 1, 1) for v in (out_1, out_2))
        centered = x.reshape(grouped) - mean if g_rstd is not None else None
    dx = found[0]
    if needs[0] and (g_mean is not None or g_rstd is not None):
        count = channels // groups * math.prod(x.shape[2:])
        dx = 0.0 if dx is None else dx.reshape(grouped)
        if g_mean is not None:
            dx = dx + g_mean.reshape(batch, groups, 1, 1) / count
        if g_rstd is not None:
            dx = dx - centered * (g_rstd.reshape(batch, groups, 1, 1) * rstd**3 / count)
        if g is None and g_rstd is None:
            dx = dx + x.reshape(grouped) * 0.0
    return [None if dx is None else dx.reshape(x.shape), *found[1:]]


@fused(
    "NativeGroupNorm", kernel=_group_norm_kernel, grads=_group_norm_grads, variadic=True, outputs=3, native=True, follows=True,
)  # fmt: skip
def _group_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, *, batch: int, channels: int, groups: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    grouped = lamina.reshape(input, (batch, groups, channels // groups, math.prod(input.shape[2:])))
    centered, mean, _, rstd = standardise(grouped, (2, 3), eps)
    per_channel = (1, groups, channels // groups, 1)
    w, b = (None if v is None else lamina.reshape(v, per_channel) for v in (weight, bias))
    out = lamina.reshape(affine(centered * rstd, w, b), input.shape)
    return out, *(lamina.reshape(part, (batch, groups)) for part in (mean, rstd))


@of_tensors
def native_group_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`group_norm` of (N, C, *), and the mean and 1 / standard deviation (N, group)."""
    if input.numel() != N * C * HxW:
        raise RuntimeError(f"Expected input to have N * C * HxW = {N * C * HxW} elements, but it has {input.numel()}")
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
    check_parameters(input, weight, bias)
    check_floating(input, "native_group_norm", "GroupNormKernelImpl")
    if C * HxW == 0:
        out = affine(input.clone(), *(None if p is None else p.sum() for p in (weight, bias)))
        return out, input.new_zeros((N, group)), input.new_zeros((N, group))
    out, *kept = _group_norm(input, weight, bias, batch=N, channels=C, groups=group, eps=eps)
    return out, *as_parameters(kept, input, weight)


@loosely
def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalisation of (N, C, *) over each sample's groups of channels, then weight and bias (C) per channel."""
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


# ---- others ----------------------------------------------------------------------------------------------------------


@of_tensors
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


@loosely
def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """`input` over (k + alpha * mean of squares of the `size` channels around) ** beta; input (N, C, *)."""
    if input.dim() < 3:
        gap = " " * 25  # PyTorch's sentence holds a line of its source
        raise ValueError(f"Expected 3D or higher dimensionality{gap} input (got {input.dim()} dimensions)")
    if input.numel() == 0:
        return input
    squares = (input * input).unsqueeze(1)
    if input.dim() == 3:
        padded = lamina.constant_pad_nd(squares, [0, 0, size // 2, (size - 1) // 2], 0)
        means = pools.avg_pool2d(padded, [size, 1], [1, 1], [0, 0], False, True, None).squeeze(1)
    else:
        flat = squares.view(input.shape[0], 1, input.shape[1], input.shape[2], -1)
        padded = lamina.constant_pad_nd(flat, [0, 0, 0, 0, size // 2, (size - 1) // 2], 0)
        pooled = pools.avg_pool3d(padded, [size, 1, 1], [1, 1, 1], [0, 0, 0], False, True, None)
        means = pooled.squeeze(1).view(input.shape)
    return input / means.mul(alpha).add(k).pow(beta)
