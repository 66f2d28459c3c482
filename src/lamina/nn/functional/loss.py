"""Losses of regression and of distributions: squared, absolute, Huber's, negative log-likelihoods, divergence.

Here: losses that compare element by element. Not here: classes (loss_classification.py), margins (loss_margin.py),
alignments (ctc.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import lamina
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.nn.functional._checks import check_real_pair
from lamina.nn.functional._reduction import apply_reduction, check_reduction, resolve_reduction
from lamina.primitives import fused
from lamina.primitives.inplace import loosely, of_tensors
from lamina.primitives.kernels.precision import widened


def warn_broadcast(input: Tensor, target: Tensor) -> None:
    """Warn that the sizes differ: most often a forgotten dimension."""
    if target.size() != input.size():
        warn(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}). This will "
            "likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
        )


def _check_weight(input: Tensor, weight: Tensor) -> None:
    if weight.size() != input.size():
        raise ValueError("Weights and input must have the same size.")


def _weighted_mean(loss: Tensor, weight: Tensor, reduction: str) -> Tensor:
    """`loss * weight`, whose mean is over the sum of the weights."""
    weighted = loss * weight
    if reduction == "mean":
        return lamina.sum(weighted) / lamina.sum(weight)
    return apply_reduction(weighted, reduction)


@fused("MseLoss")
def _mse_loss(input: Tensor, target: Tensor, reduction: str) -> Tensor:
    return apply_reduction(lamina.square(input - target), reduction)


def _mse_kernel(x: Array, y: Array, *, reduction: str) -> tuple[Array, Array]:
    wide, other = widened(x, y)
    difference = np.subtract(wide, other)
    if reduction == "none":
        return np.square(difference).astype(x.dtype, copy=False), difference
    flat = difference.reshape(-1)
    loss = np.dot(flat, flat) / flat.size if reduction == "mean" else np.dot(flat, flat)
    return np.asarray(loss, x.dtype), difference


def _mse_grad(g: Any, x: Any, y: Any, out_1: Any, reduction: str) -> Any:
    if reduction == "mean":
        g = g / math.prod(x.shape)
    return g * 2.0 * (x - y if isinstance(g, Tensor) or out_1 is None else out_1)


@fused(
    "MseLoss", kernel=_mse_kernel, outputs=2, nondiff=(1,), native=True,
    grads=(_mse_grad, lambda g, x, y, out_1, reduction: -_mse_grad(g, x, y, out_1, reduction)),
)  # fmt: skip
def _mse_alike(input: Tensor, target: Tensor, *, reduction: str) -> tuple[Tensor, None]:
    return apply_reduction(lamina.square(input - target), reduction), None


def mse_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """(input - target)^2, reduced; with `weight`, the mean is over the sum of the weights."""
    warn_broadcast(input, target)
    reduction = resolve_reduction(size_average, reduce, reduction)
    if weight is None:
        if input.shape == target.shape and input.dtype is target.dtype and input.is_floating_point() and input.numel():
            return _mse_alike(input, target, reduction=reduction)[0]  # type: ignore[no-any-return]
        check_real_pair(input, target, "mse_cpu")
        return _mse_loss(input, target, reduction)
    _check_weight(input, weight)
    return _weighted_mean(_mse_loss(input, target, "none"), weight, reduction)


def l1_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """|input - target|, reduced; with `weight`, the mean is over the sum of the weights."""
    warn_broadcast(input, target)
    reduction = resolve_reduction(size_average, reduce, reduction)
    loss = lamina.abs(input - target)
    if weight is None:
        return apply_reduction(loss, reduction)
    _check_weight(input, weight)
    return _weighted_mean(loss, weight, reduction)


@fused("SmoothL1Loss")
def _smooth_l1_loss(input: Tensor, target: Tensor, reduction: str, beta: float) -> Tensor:
    difference = input - target
    size = lamina.abs(difference)
    loss = lamina.where(size < beta, difference * difference * (0.5 / beta), size - 0.5 * beta)
    return apply_reduction(loss, reduction)


def smooth_l1_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", beta: float = 1.0,
) -> Tensor:  # fmt: skip
    """(input - target)^2 / (2 beta) where the difference is below `beta`, |input - target| - beta / 2 elsewhere."""
    warn_broadcast(input, target)
    reduction = resolve_reduction(size_average, reduce, reduction)
    if beta == 0.0:
        return apply_reduction(lamina.abs(input - target), reduction)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    check_real_pair(input, target, "smooth_l1_cpu")
    return _smooth_l1_loss(input, target, reduction, beta)


@fused("HuberLoss")
def _huber_loss(input: Tensor, target: Tensor, reduction: str, delta: float) -> Tensor:
    difference = input - target
    size = lamina.abs(difference)
    loss = lamina.where(size <= delta, difference * difference * 0.5, (size - 0.5 * delta) * delta)
    return apply_reduction(loss, reduction)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """(input - target)^2 / 2 within `delta`, delta * (|input - target| - delta / 2) beyond."""
    warn_broadcast(input, target)
    check_reduction(reduction)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    check_real_pair(input, target, "huber_cpu")
    if weight is None:
        return _huber_loss(input, target, reduction, delta)
    _check_weight(input, weight)
    return apply_reduction(_huber_loss(input, target, "none", delta) * weight, reduction)


@of_tensors
def kl_div(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", log_target: bool = False,
) -> Tensor:  # fmt: skip
    """target * (log target - input), the divergence of exp(input) from `target`; "batchmean": sum over size 0."""
    if size_average is not None or reduce is not None:
        reduction = resolve_reduction(size_average, reduce, reduction)
    elif reduction == "mean":
        warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
        )
    elif reduction != "batchmean":
        check_reduction(reduction)
    if log_target:
        loss = lamina.exp(target) * (target - input)
    else:
        loss = lamina.xlogy(target, target) - target * input
    if reduction == "batchmean":
        total = lamina.sum(loss)
        return total / input.shape[0] if input.dim() else total
    return apply_reduction(loss, reduction)


@of_tensors
def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool = True, full: bool = False, size_average: bool | None = None,
    eps: float = 1e-8, reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """exp(input) - target * input, or input - target * log(input + eps); `full` adds Stirling's term."""
    reduction = resolve_reduction(size_average, reduce, reduction)
    if log_input:
        loss = lamina.exp(input) - target * input
    else:
        loss = input - target * lamina.log(input + eps)
    if full:
        term = target * lamina.log(target) - target + 0.5 * lamina.log(2 * math.pi * target)
        loss = loss + term.masked_fill(target <= 1, 0)
    return apply_reduction(loss, reduction)


@loosely
def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Tensor | float, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """(log var + (input - target)^2 / var) / 2, reduced; `full` adds log(2 pi) / 2.

    `var`: a number, or a tensor as `input`, or without its last dimension, or with that of size 1; below `eps` it
    counts as
    `eps`, unseen by autograd. Raises ValueError for negative ones and other shapes.
    """
    if isinstance(var, Tensor):
        if bool((var < 0).any()):
            raise ValueError("var has negative entry/entries")
        if var.size() != input.size():
            if input.size()[:-1] == var.size():
                var = var.unsqueeze(-1)
            elif not _broadcasts(input, var):
                raise ValueError("var is of incorrect size")
    else:
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * lamina.ones_like(input)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    var = var.clone()
    with lamina.no_grad():
        var.clamp_(min=eps)
    loss = 0.5 * (lamina.log(var) + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return apply_reduction(loss, reduction)


def _broadcasts(input: Tensor, var: Tensor) -> bool:
    """Whether `var` stands for one variance per row, or broadcasts with sizes of 1 only."""
    return var.dim() == input.dim() and all(
        own in (size, 1) for own, size in zip(var.size(), input.size(), strict=True)
    )
