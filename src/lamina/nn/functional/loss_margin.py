"""Losses with a margin, between pairs, triplets and classes, and losses over several labels.

Here: hinges. Not here: likelihoods (loss_classification.py), distances (distance.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import lamina
from lamina.core.tensor import Tensor
from lamina.nn.functional._checks import check_floating, check_same_dtype, check_tensor, refuse_grad, scalar_name
from lamina.nn.functional._reduction import apply_reduction, check_reduction, resolve_reduction
from lamina.nn.functional.activation import logsigmoid
from lamina.nn.functional.distance import pairwise_distance
from lamina.primitives import fused
from lamina.primitives.inplace import of_tensors
from lamina.primitives.levels import whole

_NON_EMPTY = "Expected non-empty vector or matrix with optional 0-dim batch size, but got: {}"


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, -target * (input1 - input2) + margin): target 1 wants the first larger, -1 the second."""
    reduction = resolve_reduction(size_average, reduce, reduction)
    if not input1.dim() == input2.dim() == target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    return apply_reduction((-target * (input1 - input2) + margin).clamp_min(0), reduction)


def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`input` where target is 1, max(0, margin - input) where it is -1."""
    reduction = resolve_reduction(size_average, reduce, reduction)
    apart = lamina.where(target != 1, (margin - input).clamp_min(0), 0)
    together = lamina.where(target != -1, input, 0)
    return apply_reduction(apart + together, reduction)


@of_tensors
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """1 - cosine where target is 1, max(0, cosine - margin) where it is -1.

    Shapes: inputs (N, D) with target (N), or inputs (D) with target ().
    """
    reduction = resolve_reduction(size_average, reduce, reduction)
    if target.dim() not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if input1.dim() != target.dim() + 1 or input2.dim() != target.dim() + 1:
        raise RuntimeError(
            f"{target.dim()}D target tensor expects {target.dim() + 1}D input tensors, but found inputs with sizes "
            f"{list(input1.size())} and {list(input2.size())}."
        )
    last, tiny = target.dim(), 1e-12
    size1 = (input1 * input1).sum(last) + tiny
    size2 = (input2 * input2).sum(last) + tiny
    cosine = (input1 * input2).sum(last) / (size1 * size2).sqrt()
    together = lamina.where(target == 1, 1 - cosine, 0)
    apart = lamina.where(target == -1, (cosine - margin).clamp_min(0), 0)
    return apply_reduction(together + apart, reduction)


def _soft_margin_grad(g: Tensor, input: Tensor, target: Tensor, reduction: str) -> Tensor:
    # Not left to the body: its second derivative is a difference of two numbers near 1.
    if reduction == "mean":
        g = g / math.prod(lamina.broadcast_shapes(tuple(input.shape), tuple(target.shape)))
    return g * -target * lamina.sigmoid(-target * input)


@fused("SoftMarginLoss", grads=(_soft_margin_grad, None))
def _soft_margin(input: Tensor, target: Tensor, reduction: str) -> Tensor:
    return apply_reduction(lamina.log1p(lamina.exp(-target * input)), reduction)


@of_tensors
def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """log(1 + exp(-target * input)), target 1 or -1."""
    reduction = resolve_reduction(size_average, reduce, reduction)
    refuse_grad("soft_margin_loss", target=target)
    if lamina.result_type(input, target).category < 2:
        raise RuntimeError(f"result type Float can't be cast to the desired output type {scalar_name(input)}")
    return _soft_margin(input, target, reduction)


def _check_triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float, reduction: str) -> None:
    check_reduction(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {anchor.dim()}D, positive {positive.dim()}D, and negative {negative.dim()}D inputs"
        )


@of_tensors
def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2, eps: float = 1e-6,
    swap: bool = False, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, |anchor - positive|_p - |anchor - negative|_p + margin); `swap`: the nearer of the two to the negative."""
    if size_average is not None or reduce is not None:
        reduction = resolve_reduction(size_average, reduce, reduction)
    _check_triplet(anchor, positive, negative, margin, reduction)
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = lamina.minimum(far, pairwise_distance(positive, negative, p, eps))
    return apply_reduction((margin + near - far).clamp_min(0), reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None, margin: float = 1.0, swap: bool = False,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`triplet_margin_loss` with any distance, by default `pairwise_distance`."""
    _check_triplet(anchor, positive, negative, margin, reduction)
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = lamina.minimum(far, distance(positive, negative))
    return apply_reduction((margin + (near - far)).clamp_min(0), reduction)


@fused("MultiMarginLoss")
def _multi_margin(
    input: Tensor, target: Tensor, others: Tensor, weight: Tensor | None, p: int, margin: float, reduction: str
) -> Tensor:
    # relu, not clamp: at the hinge itself PyTorch's gradient is 0.
    rows = lamina.relu(margin - lamina.gather(input, 1, lamina.unsqueeze(target, 1)) + input)
    if p == 2:
        rows = rows * rows
    if weight is not None:
        rows = rows * lamina.unsqueeze(lamina.index_select(weight, 0, target), 1)
    return apply_reduction(lamina.mean(lamina.where(others, rows, 0.0), 1), reduction)


@of_tensors
def multi_margin_loss(
    input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None,
    size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """The sum over the other classes of max(0, margin - input[target] + input[other])^p, over the number of classes.

    Shapes: input (N, C) or (C), target (N) or (), weight (C), applied by target.
    """
    reduction = resolve_reduction(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.dim() != 1:
        raise ValueError("weight must be one-dimensional")
    check_tensor(input, "multi_margin_loss")
    if input.dim() > 2 or input.numel() == 0 and (input.dim() == 1 or input.shape[1] == 0):
        raise RuntimeError(_NON_EMPTY.format(list(input.shape)))
    classes = input.shape[-1] if input.dim() else 1
    samples = input.shape[0] if input.dim() == 2 else 1
    if target.dim() > 1 or target.numel() != samples:
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input samples "
            "(batch size). "
            f"Expected target size [{samples}], but got {list(target.shape)}. Input has shape {list(input.shape)}."
        )
    if weight is not None and weight.numel() != classes:
        raise RuntimeError(f"inconsistent weight size, expected {classes} but got {list(weight.shape)}")
    check_floating(input, "multi_margin_loss", "multi_margin_loss_cpu_kernel", low=False)
    if target.dtype != lamina.int64:
        raise RuntimeError(f"expected scalar type Long but found {scalar_name(target)}")
    if weight is not None:
        check_same_dtype(input, weight)
    refuse_grad("multi_margin_loss", weight=weight)
    rows, labels = (input, target) if input.dim() == 2 else (input.reshape(1, -1), target.reshape(1))
    others = lamina.arange(classes, device=input.device) != labels.unsqueeze(1)
    single = target.dim() == 0 or input.dim() == 1
    try:
        loss = _multi_margin(rows, labels, others, weight, p, margin, "sum" if single else reduction)
    except (IndexError, RuntimeError) as error:
        if not bool(((labels < 0) | (labels >= classes)).any()):
            raise
        raise RuntimeError("target out of range") from error
    return loss.reshape(1) if single and reduction == "none" and target.dim() == 1 else loss


@fused("MultilabelMarginLoss")
def _multilabel_margin(input: Tensor, target: Tensor, listed: Tensor, others: Tensor, reduction: str) -> Tensor:
    wanted = lamina.unsqueeze(lamina.gather(input, 1, target), 2)
    gaps = lamina.relu(1 - wanted + lamina.unsqueeze(input, 1))
    counted = lamina.unsqueeze(listed, 2) & lamina.unsqueeze(others, 1)
    rows = lamina.sum(lamina.where(counted, gaps, 0.0), (1, 2)) / input.shape[1]
    return apply_reduction(rows, reduction)


@of_tensors
def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """The sum, over each sample's labels and its other classes, of max(0, 1 - input[label] + input[other]), over C.

    Shapes: input and target (N, C) or (C). A sample's labels are its target's entries before the first -1.
    """
    reduction = resolve_reduction(size_average, reduce, reduction)
    check_tensor(input, "multilabel_margin_loss")
    if input.dim() > 2 or input.numel() == 0 and (input.dim() < 2 or input.shape[1] == 0):
        raise RuntimeError(_NON_EMPTY.format(list(input.shape)))
    if target.shape != input.shape and not (input.dim() <= 1 and target.dim() <= 1 and target.numel() == input.numel()):
        raise RuntimeError(f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}")
    check_floating(input, "multilabel_margin_loss", "multilabel_margin_loss_forward_out_frame", low=False)
    if target.dtype != lamina.int64:
        raise RuntimeError(f"expected scalar type Long but found {scalar_name(target)}")
    rows = input if input.dim() == 2 else input.reshape(1, -1)
    labels = target.reshape(rows.shape)
    values = whole(target)
    if values.size and (values.min() < -1 or values.max() >= rows.shape[1]):
        raise RuntimeError("argument #2 'target' is out of range")
    listed = (labels < 0).cumsum(1) == 0
    safe = lamina.where(listed, labels, 0)
    counts = lamina.zeros(rows.shape, dtype=lamina.int64, device=input.device).scatter_add(1, safe, listed.long())
    loss = _multilabel_margin(rows, safe, listed, counts == 0, reduction if input.dim() == 2 else "sum")
    return loss


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """The mean over the classes (last dimension) of the binary cross entropies with logits."""
    reduction = resolve_reduction(size_average, reduce, reduction)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return apply_reduction(loss.sum(input.dim() - 1) / input.size(-1), reduction)
