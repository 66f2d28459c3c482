"""Losses over classes: negative log-likelihood, cross entropy and its binary forms.

Here: one label, or a distribution, per sample. Not here: several labels and margins (loss_margin.py), softmax
(softmax.py).
"""

from __future__ import annotations

import math
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.nn.functional._checks import check_floating, check_tensor, refuse_grad, scalar_name
from lamina.nn.functional._reduction import REDUCTIONS, apply_reduction, check_reduction, resolve_reduction
from lamina.nn.functional.activation import log_sigmoid_values
from lamina.nn.functional.class_rows import _cross_entropy_rows, _nll_rows, is_plain, nll_body
from lamina.nn.functional.softmax import log_softmax
from lamina.primitives import fused
from lamina.primitives.expected import expect_none
from lamina.primitives.inplace import loosely
from lamina.primitives.levels import whole

_nll_loss = fused("NllLoss")(nll_body)
_nll_loss2d = fused("NllLoss2D")(nll_body)


def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
    ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Minus the log-probability of each target, times the weight of its class; the mean is over the sum of the weights.

    Shapes: input (N, C, *) or (C), target (N, *) or () of class numbers, weight (C). Targets equal to `ignore_index`
    count
    nothing. Raises IndexError for a target out of range.
    """
    reduction = resolve_reduction(size_average, reduce, reduction)
    check_tensor(input, "nll_loss_nd")
    check_tensor(target, "nll_loss_nd", "target", 2)
    if input.dim() < 1:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if input.dim() != 1 and (target.dim() == 0 or input.size(0) != target.size(0)):
        got = target.size(0) if target.dim() else 0
        raise ValueError(f"Expected input batch_size ({input.size(0)}) to match target batch_size ({got}).")
    if target.dtype not in (lamina.int64, lamina.uint8):
        raise RuntimeError(f"expected target dtype to be Long or Byte, but got {scalar_name(target)}")
    flat = input.dim() <= 2
    refuse_grad("nll_loss_forward" if flat else "nll_loss2d_forward", weight=weight)
    _check_nll_shapes(input, target)
    classes = input.size(1 if input.dim() > 1 else 0)
    if weight is not None:
        if tuple(weight.shape) != (classes,):
            raise RuntimeError(
                f"weight tensor should be defined either for all {classes} classes or no classes but got weight tensor "
                f"of shape: {list(weight.shape)}"
            )
        if weight.dtype != input.dtype:
            raise RuntimeError(f"expected scalar type {scalar_name(input)} but found {scalar_name(weight)}")
    check_floating(input, "nll_loss", "nll_loss_out_frame")
    if target.dtype == lamina.uint8:
        target = target.long()
    if input.dim() == 1 and target.dim() == 1:
        target = target.squeeze(0)
    if classes == 0:
        return apply_reduction(input.new_zeros(target.shape), reduction)
    if input.dim() == 2 and target.dim() == 1:
        return _nll_rows(input, target, weight, ignore_index=ignore_index, reduction=reduction)[0]  # type: ignore[no-any-return]
    body = _nll_loss if flat else _nll_loss2d
    return body(input, target, weight, ignore_index, reduction)


def _check_nll_shapes(input: Tensor, target: Tensor) -> None:
    shapes = f"(got input: {list(input.shape)}, target: {list(target.shape)})"
    if input.dim() <= 2:
        if target.dim() > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if input.dim() == 1 and target.dim() == 1 and target.size(0) != 1:
            raise ValueError(f"For 1D input, 1D target must have size 1, but got target size: {target.size(0)}")
        return
    if input.dim() == 4:
        if target.dim() != 3:
            raise RuntimeError(
                f"only batches of spatial targets supported (3D tensors) but got targets of dimension: {target.dim()}"
            )
        if input.size()[2:] != target.size()[1:]:
            raise RuntimeError(f"size mismatch {shapes.replace(', target', ' , target')[:-1]}")
    elif input.size()[2:] != target.size()[1:]:
        wanted = [input.size(0), *input.size()[2:]]
        raise RuntimeError(f"Expected target size {wanted}, got {list(target.shape)}")


# ---- cross entropy ---------------------------------------------------------------------------------------------------


def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
    ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean", label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """`nll_loss` of `log_softmax`; `target` may also hold class probabilities, in the shape of `input`.

    Shapes: input (N, C, *) or (C), target (N, *), () or as input. `label_smoothing`: the share of the uniform
    distribution
    mixed into the targets.
    """
    if size_average is not None or reduce is not None or reduction not in REDUCTIONS:
        reduction = resolve_reduction(size_average, reduce, reduction)
    if label_smoothing == 0.0 and is_plain(input, target, weight):
        return _cross_entropy_rows(  # type: ignore[no-any-return]
            input, target, weight, ignore_index=ignore_index, reduction=reduction
        )[0]
    check_tensor(input, "cross_entropy_loss")
    check_tensor(target, "cross_entropy_loss", "target", 2)
    dim = 0 if input.dim() <= 1 else 1
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing:g}")
    if input.shape == target.shape:
        if not target.is_floating_point():
            raise RuntimeError(
                f"Expected floating point type for target with class probabilities, got {scalar_name(target)}"
            )
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        _check_class_weight(weight, input, dim)
        return _against_distribution(log_softmax(input, dim), target, weight, dim, reduction, label_smoothing)
    scores = log_softmax(input, dim)
    loss = nll_loss(scores, target, weight, ignore_index=ignore_index, reduction=reduction)
    if label_smoothing == 0.0:
        return loss
    return _smoothed(loss, scores, target, weight, dim, ignore_index, reduction, label_smoothing)


def _check_class_weight(weight: Tensor | None, input: Tensor, dim: int) -> None:
    if weight is not None and (weight.dim() != 1 or weight.numel() != input.size(dim)):
        raise RuntimeError(
            "cross_entropy: weight tensor should be defined either for all "
            f"{input.size(dim)} classes or no classes but got weight tensor of shape: {list(weight.shape)}"
        )


def _by_class(weight: Tensor, input: Tensor, dim: int) -> Tensor:
    shape = [1] * input.dim()
    shape[dim] = -1
    return weight.view(shape)


def _against_distribution(
    scores: Tensor, target: Tensor, weight: Tensor | None, dim: int, reduction: str, smoothing: float
) -> Tensor:
    classes = scores.size(dim)
    if smoothing > 0.0:
        target = target * (1 - smoothing) + smoothing / classes
    loss = scores * target
    if weight is not None:
        loss = loss * _by_class(weight, scores, dim)
    if reduction == "none":
        return -loss.sum(dim)
    if reduction == "sum":
        return -loss.sum()
    if scores.dim() == 1:
        return -loss.sum()
    samples = scores.numel() // classes if classes else 0
    return -loss.sum() / samples if samples else -loss.sum() * math.nan


def _smoothed(
    loss: Tensor, scores: Tensor, target: Tensor, weight: Tensor | None, dim: int, ignore_index: int, reduction: str,
    smoothing: float,
) -> Tensor:  # fmt: skip
    """`loss`, mixed with the loss against the uniform distribution."""
    uniform = -(scores if weight is None else scores * _by_class(weight, scores, dim)).sum(dim)
    ignored = target == ignore_index
    uniform = uniform.masked_fill(ignored, 0.0)
    if reduction == "mean":
        if weight is None:
            count = (~ignored).sum()
        else:
            count = weight[target.masked_fill(ignored, 0)].masked_fill(ignored, 0.0).sum()
        uniform = uniform.sum() / count
    else:
        uniform = apply_reduction(uniform, reduction)
    return loss * (1 - smoothing) + uniform * (smoothing / scores.size(dim))


def _bce_scale(g: Tensor, input: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    if reduction == "mean":
        g = g / math.prod(input.shape)
    return g if weight is None else g * weight


def _bce_grad(g: Tensor, input: Tensor, target: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    # Bounded below, as PyTorch's: the body's own derivative would be NaN at 0 and 1, where the log is clamped.
    slope = (input - target) / lamina.clamp((1 - input) * input, min=1e-12)
    return _bce_scale(g, input, weight, reduction) * slope


def _bce_target_grad(g: Tensor, input: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    return _bce_scale(g, input, weight, reduction) * (lamina.log1p(-input) - lamina.log(input))


@fused("BinaryCrossEntropy", grads=(_bce_grad, _bce_target_grad, None))
def _binary_cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    loss = (target - 1) * lamina.clamp(lamina.log1p(-input), min=-100.0)
    loss = loss - target * lamina.clamp(lamina.log(input), min=-100.0)
    return apply_reduction(loss if weight is None else loss * weight, reduction)


@loosely
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """-(target * log(input) + (1 - target) * log(1 - input)), each logarithm at least -100.

    Raises ValueError for different sizes, RuntimeError for an input outside [0, 1].
    """
    reduction = resolve_reduction(size_average, reduce, reduction)
    if target.size() != input.size():
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}) is "
            "deprecated. "
            "Please ensure they have the same size."
        )
    check_floating(input, "binary_cross_entropy", "binary_cross_entropy")
    if target.dtype != input.dtype:
        raise RuntimeError(f"Found dtype {scalar_name(target)} but expected {scalar_name(input)}")
    expect_none(lambda: ~((input.detach() >= 0) & (input.detach() <= 1)))
    values = whole(input)
    if values.size and not (values.min() >= 0.0 and values.max() <= 1.0):
        raise RuntimeError("all elements of input should be between 0 and 1")
    refuse_grad("binary_cross_entropy", weight=weight)
    if weight is not None:
        weight = weight.expand(lamina.broadcast_shapes(target.shape, weight.shape))
    return _binary_cross_entropy(input, target, weight, reduction)


def _logits_grad(
    g: Tensor, input: Tensor, target: Tensor, weight: Tensor | None, pos_weight: Tensor | None, reduction: str
) -> Tensor:
    pull = lamina.sigmoid(-input)
    if pos_weight is not None:
        pull = ((pos_weight - 1) * target + 1) * pull
    return _bce_scale(g, input, weight, reduction) * (1 - target - pull)


def _logits_target_grad(
    g: Tensor, input: Tensor, weight: Tensor | None, pos_weight: Tensor | None, reduction: str
) -> Tensor:
    slope = -input if pos_weight is None else -input - (pos_weight - 1) * log_sigmoid_values(input)
    return _bce_scale(g, input, weight, reduction) * slope


@fused("BinaryCrossEntropyWithLogits", grads=(_logits_grad, _logits_target_grad, None, None))
def _bce_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None, pos_weight: Tensor | None, reduction: str
) -> Tensor:
    log_sigmoid = log_sigmoid_values(input)
    if pos_weight is not None:
        log_sigmoid = ((pos_weight - 1) * target + 1) * log_sigmoid
    loss = (1 - target) * input - log_sigmoid
    return apply_reduction(loss if weight is None else loss * weight, reduction)


@loosely
def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean", pos_weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`binary_cross_entropy` of sigmoid(input), without overflow; `pos_weight` multiplies the positives' part."""
    reduction = resolve_reduction(size_average, reduce, reduction)
    if target.size() != input.size():
        raise ValueError(f"Target size ({target.size()}) must be the same as input size ({input.size()})")
    if not target.is_floating_point():
        raise RuntimeError(
            f"result type {scalar_name(input)} can't be cast to the desired output type {scalar_name(target)}"
        )
    check_floating(input, "binary_cross_entropy_with_logits", "log_sigmoid_cpu")
    refuse_grad("binary_cross_entropy_with_logits", weight=weight, pos_weight=pos_weight)
    return _bce_with_logits(input, target, weight, pos_weight, reduction)


@loosely
def linear_cross_entropy(
    input: Tensor, linear_weight: Tensor, target: Tensor, *, linear_bias: Tensor | None = None,
    weight: Tensor | None = None, reduction: str = "mean", ignore_index: int | None = None,
    label_smoothing: float = 0.0, options: Any = None,
) -> Tensor:  # fmt: skip
    """`cross_entropy` of `linear(input, linear_weight, linear_bias)`.

    Shapes: input (N, in) or (in), linear_weight (C, *, in), linear_bias (C, *): logits (N, C, *). `options` (how to
    divide
    the work) does not change the result.
    """
    check_reduction(reduction)
    if not len(linear_weight.shape) > 1:
        raise RuntimeError(f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}")
    if input.dim() not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    if input.shape[-1] != linear_weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), "
            f"got {input.shape[-1]} and {linear_weight.shape[-1]}, respectively"
        )
    if linear_bias is not None and linear_bias.shape != linear_weight.shape[:-1]:
        raise RuntimeError(
            f"expected linear_bias shape {tuple(linear_weight.shape[:-1])}, got {tuple(linear_bias.shape)}"
        )
    if linear_weight.dim() > 2 and input.dim() == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires batched input, "
            f"(N, {input.shape[-1]}), got unbatched input with shape {tuple(input.shape)}"
        )
    if ignore_index is not None and target.is_floating_point():
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    rows = linear_weight.reshape(-1, linear_weight.shape[-1])
    logits = lamina.matmul(input, rows.t())
    if linear_bias is not None:
        logits = logits + linear_bias.reshape(-1)
    logits = logits.view((*input.shape[:-1], *linear_weight.shape[:-1]))
    return cross_entropy(
        logits, target, weight, ignore_index=-100 if ignore_index is None else ignore_index, reduction=reduction,
        label_smoothing=label_smoothing,
    )  # fmt: skip
