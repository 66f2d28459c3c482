"""Batch and instance normalisation: statistics of channels, running averages, scale and shift.

Here: the composites, their gradients, PyTorch's checks. Not here: normalisation within a sample (normalization.py), the loops
(primitives/kernels/normalization.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import lamina
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.nn.functional._checks import check_floating, check_tensor, refuse_grad
from lamina.nn.functional.normalization import (
    affine,
    as_parameters,
    check_parameters,
    differentiable_grads,
    standardise,
)
from lamina.primitives import fused
from lamina.primitives.inplace import loosely, of_tensors
from lamina.primitives.kernels import normalization as kernels
from lamina.primitives.kernels.precision import widened
from lamina.primitives.levels import Batched

Needs = tuple[bool, ...]


def _channels(x: Array) -> Array:
    """(N, C, *) as (N, C, L)."""
    return x.reshape(*x.shape[:2], math.prod(x.shape[2:]))


def _training_kernel(
    x: Array, weight: Array | None, bias: Array | None, *, eps: float
) -> tuple[Array, Array, Array, Array]:
    wide, w, b = widened(x, weight, bias)
    wide = _channels(wide)
    mean, var = kernels.channel_statistics(wide)
    rstd = 1 / np.sqrt(var + eps)
    scale = rstd if w is None else rstd * w
    shift = -mean * scale if b is None else b - mean * scale
    return kernels.scaled(wide, scale, shift).reshape(x.shape).astype(x.dtype, copy=False), mean, rstd, var


def _training_grads(g: Any, x: Any, weight: Any, out_1: Any, out_2: Any, needs: Needs, eps: float) -> list[Any]:
    if isinstance(g, Tensor):
        dims = tuple(d for d in range(x.ndim) if d != 1)
        w, *known = (None if v is None else v.reshape(-1, *(1,) * (x.ndim - 2)) for v in (weight, out_1, out_2))
        dx, *sums = differentiable_grads(g, x, w, dims, (1,), eps, tuple(known))
        return [dx, *(v.reshape(-1) if need else None for v, need in zip(sums, needs[1:], strict=True))]
    dx, dw, db = kernels.channel_norm_grad(_channels(g), _channels(x), weight, out_1, out_2, needs, moving=True)
    return [None if dx is None else dx.reshape(x.shape), dw, db]


@fused(
    "NativeBatchNorm", kernel=_training_kernel, grads=_training_grads, variadic=True, outputs=4, nondiff=(1, 2, 3), follows=True,
    native=True,
)  # fmt: skip
def _batch_norm_training(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, *, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dims = tuple(dim for dim in range(input.ndim) if dim != 1)
    shape = (-1,) + (1,) * (input.ndim - 2)
    centered, mean, var, rstd = standardise(input, dims, eps)
    w, b = (None if v is None else lamina.reshape(v, shape) for v in (weight, bias))
    flat = tuple(lamina.reshape(part, (-1,)).detach() for part in (mean, rstd, var))
    return affine(centered * rstd, w, b), *flat


def _eval_kernel(x: Array, weight: Array | None, bias: Array | None, mean: Array, var: Array, *, eps: float) -> Array:
    wide, w, b, m, v = widened(x, weight, bias, mean, var)
    scale = 1 / np.sqrt(v + eps)
    if w is not None:
        scale = scale * w
    shift = -m * scale if b is None else b - m * scale
    return kernels.scaled(_channels(wide), scale, shift).reshape(x.shape).astype(x.dtype, copy=False)


def _eval_grads(g: Any, x: Any, weight: Any, mean: Any, var: Any, needs: Needs, eps: float) -> list[Any]:
    if isinstance(g, Tensor):
        shape = (-1,) + (1,) * (x.ndim - 2)
        rest = tuple(d for d in range(x.ndim) if d != 1)
        rstd = lamina.rsqrt(var + eps)
        dx = g * (rstd if weight is None else rstd * weight).reshape(shape)
        unit = (x - mean.reshape(shape)) * rstd.reshape(shape)
        return [
            dx,
            lamina.sum(g * unit, rest) if needs[1] else None,
            lamina.sum(g, rest) if needs[2] else None,
            None,
            None,
        ]
    rstd = 1 / np.sqrt(var + eps)
    dx, dw, db = kernels.channel_norm_grad(_channels(g), _channels(x), weight, mean, rstd, needs, moving=False)
    return [None if dx is None else dx.reshape(x.shape), dw, db, None, None]


@fused("NativeBatchNorm", kernel=_eval_kernel, grads=_eval_grads, variadic=True, native=True, follows=True)
def _batch_norm_eval(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor, running_var: Tensor, *, eps: float
) -> Tensor:
    shape = (-1,) + (1,) * (input.ndim - 2)
    factor = lamina.rsqrt(running_var + eps)
    if weight is not None:
        factor = factor * weight
    out = (input - lamina.reshape(running_mean, shape)) * lamina.reshape(factor, shape)
    return out if bias is None else out + lamina.reshape(bias, shape)


@of_tensors
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
    check_parameters(input, weight, bias, running_mean, running_var)
    refuse_grad("native_batch_norm", running_mean=running_mean, running_var=running_var)
    if not training:
        out = _batch_norm_eval(input, weight, bias, running_mean, running_var, eps=eps)
        empty = input.new_empty(0)
        return out, empty, empty
    out, mean, rstd, var = _batch_norm_training(input, weight, bias, eps=eps)
    _check_running(mean, running_mean, running_var)
    if running_mean is not None or running_var is not None:
        momentum = float(momentum)
        with lamina.no_grad():
            count = input.numel() // max(input.shape[1], 1)
            if running_mean is not None:
                running_mean.mul_(1 - momentum).add_(mean, alpha=momentum)
            if running_var is not None:
                running_var.mul_(1 - momentum).add_(var, alpha=momentum * count / max(count - 1, 1))
    return out, *as_parameters((mean, rstd), input, weight)


def _native_batch_norm_legit(input: Tensor, weight: Tensor | None, bias: Tensor | None, *rest: Any) -> Any:
    """`native_batch_norm`; without the two running figures it always trains."""
    running = rest if len(rest) == 5 else (None, None, *rest)
    return native_batch_norm(input, weight, bias, *running)


def _check_running(mean: Tensor, *running: Tensor | None) -> None:
    """Inside vmap, entries have statistics of their own, and cannot share running ones."""
    if isinstance(mean, Batched) and any(t is not None and not isinstance(t, Batched) for t in running):
        raise RuntimeError(
            "Batch norm got a batched tensor as input while the running_mean or running_var, which will be updated in place, were not "
            "batched.\nIf you are using a module and do not need eval mode, please set `track_running_stats` to be False.If you are using "
            "a prebuilt module and do not need eval mode, please see the functorch website for resources on how to patch your module to "
            "work with vmap"
        )


def _check_channels(channels: int, **named: Tensor | None) -> None:
    for name, value in named.items():
        if value is not None and value.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {value.numel()}")


def _check_count(size: tuple[int, ...], first: int, of_what: str) -> None:
    """Raise unless there are several values to take statistics of, in the dimensions behind the second and in `first`."""
    if (size[0] if first == 0 else 1) * math.prod(size[2:]) == 1:
        raise ValueError(f"Expected more than 1 {of_what} when training, got input size {size}")


@loosely
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
        _check_count(input.size(), 0, "value per channel")
    if eps < 0 or (training and eps == 0):
        must = "positive during training" if training else "non-negative"
        raise ValueError(f"batch_norm eps must be {must}, but got {eps}")
    check_tensor(input, "batch_norm")
    if input.dim() and input.shape[0] == 0:
        return affine(input.clone(), *(None if p is None else p[0] for p in (weight, bias)))
    return native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)[0]


@loosely
def instance_norm(
    input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None, weight: Tensor | None = None,
    bias: Tensor | None = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """`batch_norm` of every sample by itself; input (N, C, *)."""
    if use_input_stats:
        _check_count(input.size(), 2, "spatial element")
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
