"""torch's top-level forms of functions whose arguments differ from nn.functional's: reductions are numbers, switches are required.

Here: the other order of arguments. Not here: any computing, checks of values (the functions they stand for).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.nn.functional import (
    batch_normalization,
    ctc,
    loss,
    loss_classification,
    loss_margin,
    normalization,
    pooling,
    rectifier,
    vision,
)
from lamina.nn.functional._checks import check_tensor
from lamina.nn.functional._pool_arguments import Ints
from lamina.nn.functional.dropout import alpha_dropout as _alpha_dropout
from lamina.nn.functional.dropout import drop_channels
from lamina.nn.functional.dropout import dropout as _dropout
from lamina.nn.functional.dropout import feature_alpha_dropout as _feature_alpha_dropout
from lamina.nn.functional.embedding import bag_of_each
from lamina.nn.functional.embedding import embedding as _embedding
from lamina.nn.functional.embedding import embedding_bag as _embedding_bag
from lamina.primitives import embedding as kernels

_REDUCTIONS = ("none", "mean", "sum")
MEAN = 1


def _reduction(number: int) -> str:
    """The name of a reduction's number, which torch's enum gives at the top level."""
    if not 0 <= number <= 2:
        raise ValueError(f"{number} is not a valid value for reduction")
    return _REDUCTIONS[number]


# ---- normalisation -------------------------------------------------------------------------------------------------------


def batch_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None, running_var: Tensor | None,
    training: bool, momentum: float, eps: float, cudnn_enabled: bool,
) -> Tensor:  # fmt: skip
    """`nn.functional.batch_norm`, without its check for a single value per channel."""
    return batch_normalization.native_batch_norm(
        input, weight, bias, running_mean, running_var, training, momentum, eps
    )[0]  # fmt: skip


def instance_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None, running_var: Tensor | None,
    use_input_stats: bool, momentum: float, eps: float, cudnn_enabled: bool,
) -> Tensor:  # fmt: skip
    """`nn.functional.instance_norm`."""
    return batch_normalization.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:  # fmt: skip
    """`nn.functional.group_norm`."""
    return normalization.group_norm(input, num_groups, weight, bias, eps)


def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5, cudnn_enable: bool = True,
) -> Tensor:  # fmt: skip
    """`nn.functional.layer_norm`."""
    return normalization.layer_norm(input, normalized_shape, weight, bias, eps)


# ---- dropout -------------------------------------------------------------------------------------------------------------


def _checked_p(p: float) -> float:
    if not 0 <= p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p:g}")
    return p


def dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.dropout`."""
    return _dropout(input, _checked_p(p), train)


def dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`dropout` in place."""
    return _dropout(input, _checked_p(p), train, inplace=True)


def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.alpha_dropout`."""
    return _alpha_dropout(input, _checked_p(p), train)


def alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`alpha_dropout` in place."""
    return _alpha_dropout(input, _checked_p(p), train, inplace=True)


def feature_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """`dropout` of whole channels, input (N, C, *)."""
    check_tensor(input, "feature_dropout")
    return drop_channels(input, _checked_p(p), train, inplace=False)


def feature_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`feature_dropout` in place."""
    check_tensor(input, "feature_dropout_")
    return drop_channels(input, _checked_p(p), train, inplace=True)


def feature_alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.feature_alpha_dropout`."""
    return _feature_alpha_dropout(input, _checked_p(p), train)


def feature_alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`feature_alpha_dropout` in place."""
    return _feature_alpha_dropout(input, _checked_p(p), train, inplace=True)


def native_dropout(input: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """`dropout`, and a bool mask of what it kept."""
    check_tensor(input, "native_dropout")
    if train is False or input.numel() == 0:
        return input.clone(), lamina.ones_like(input, dtype=lamina.bool)
    kept = lamina.empty(input.shape).bernoulli_(1 - p).bool()
    return input * kept * (0.0 if p == 1 else 1.0 / (1.0 - p)), kept


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, generator: Any = None
) -> Tensor:
    """`nn.functional.rrelu`; it draws from the default generator only."""
    _refuse_generator(generator)
    return rectifier.rrelu(input, lower, upper, training)


def rrelu_(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, generator: Any = None
) -> Tensor:
    """`rrelu` in place."""
    _refuse_generator(generator)
    return rectifier.rrelu_(input, lower, upper, training)


def _refuse_generator(generator: Any) -> None:
    if generator is not None:
        raise NotImplementedError("rrelu with a generator is not in lamina; seed the default one by manual_seed")


# ---- tables --------------------------------------------------------------------------------------------------------------


def embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Tensor:
    """`nn.functional.embedding`, the table first; `padding_idx` -1 means none."""
    check_tensor(weight, "embedding", "weight", 1)
    check_tensor(indices, "embedding", "indices", 2)
    return _embedding(
        indices, weight, None if padding_idx < 0 else padding_idx, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse
    )


def embedding_bag(
    weight: Tensor, indices: Tensor, offsets: Tensor, scale_grad_by_freq: bool = False, mode: int = 0,
    sparse: bool = False, per_sample_weights: Tensor | None = None, include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """`nn.functional.embedding_bag` (mode 0 sum, 1 mean, 2 max), the bag of each index, and the bags' sizes twice.

    The last two are what PyTorch keeps for itself; in mode 2 it has the winning indices in the last place, lamina not.
    """
    if mode not in (0, 1, 2):
        raise RuntimeError(f"embedding_bag: mode must be 0 (sum), 1 (mean) or 2 (max), got {mode}")
    out = _embedding_bag(
        indices, weight, offsets, scale_grad_by_freq=scale_grad_by_freq, mode=("sum", "mean", "max")[mode],
        sparse=sparse, per_sample_weights=per_sample_weights, include_last_offset=include_last_offset,
        padding_idx=padding_idx,
    )  # fmt: skip
    bags, count = bag_of_each(indices, offsets, include_last_offset)
    sizes = lamina.zeros(count, dtype=lamina.int64).index_add(0, bags, lamina.ones_like(bags))
    return out, bags, sizes, sizes.clone()


def embedding_renorm_(input: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> Tensor:
    """Scale, in place, the rows of `input` at `indices` whose norm exceeds `max_norm`."""
    check_tensor(input, "embedding_renorm_")
    with lamina.no_grad():
        kernels.embedding_renorm_(input, indices.contiguous(), max_norm, norm_type)
    return input


# ---- losses --------------------------------------------------------------------------------------------------------------


def ctc_loss(
    log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: int = MEAN,
    zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """`nn.functional.ctc_loss`."""
    return ctc.ctc_loss(
        log_probs, targets, input_lengths, target_lengths, blank, _reduction(reduction), zero_infinity
    )  # fmt: skip


def kl_div(input: Tensor, target: Tensor, reduction: int = MEAN, *, log_target: bool = False) -> Tensor:
    """`nn.functional.kl_div`."""
    if reduction == MEAN:  # without the warning: at the top level the number has no better name
        return lamina.mean(loss.kl_div(input, target, reduction="none", log_target=log_target))
    return loss.kl_div(input, target, reduction=_reduction(reduction), log_target=log_target)


def poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int) -> Tensor:
    """`nn.functional.poisson_nll_loss`."""
    return loss.poisson_nll_loss(
        input, target, log_input=log_input, full=full, eps=eps, reduction=_reduction(reduction)
    )  # fmt: skip


def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, pos_weight: Tensor | None = None, reduction: int = MEAN
) -> Tensor:
    """`nn.functional.binary_cross_entropy_with_logits`."""
    return loss_classification.binary_cross_entropy_with_logits(
        input, target, weight, reduction=_reduction(reduction), pos_weight=pos_weight
    )


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: int = MEAN) -> Tensor:
    """`nn.functional.hinge_embedding_loss`."""
    return loss_margin.hinge_embedding_loss(input, target, margin, reduction=_reduction(reduction))


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = MEAN
) -> Tensor:
    """`nn.functional.cosine_embedding_loss`."""
    return loss_margin.cosine_embedding_loss(input1, input2, target, margin, reduction=_reduction(reduction))


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = MEAN
) -> Tensor:
    """`nn.functional.margin_ranking_loss`."""
    return loss_margin.margin_ranking_loss(input1, input2, target, margin, reduction=_reduction(reduction))


def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2, eps: float = 1e-6,
    swap: bool = False, reduction: int = MEAN,
) -> Tensor:  # fmt: skip
    """`nn.functional.triplet_margin_loss`."""
    return loss_margin.triplet_margin_loss(
        anchor, positive, negative, margin, p, eps, swap, reduction=_reduction(reduction)
    )  # fmt: skip


# ---- pooling, without `return_indices` -------------------------------------------------------------------------------------


def max_pool1d(
    input: Tensor, kernel_size: Ints, stride: Ints = (), padding: Ints = 0, dilation: Ints = 1, ceil_mode: bool = False
) -> Tensor:
    """`nn.functional.max_pool1d`."""
    return pooling.max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode)  # type: ignore[no-any-return]


def max_pool1d_with_indices(
    input: Tensor, kernel_size: Ints, stride: Ints = (), padding: Ints = 0, dilation: Ints = 1, ceil_mode: bool = False
) -> tuple[Tensor, Tensor]:
    """`nn.functional.max_pool1d`, and the place of each maximum in its row."""
    return pooling.max_pool1d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d(
    input: Tensor, kernel_size: Ints, stride: Ints = (), padding: Ints = 0, dilation: Ints = 1, ceil_mode: bool = False
) -> Tensor:
    """`nn.functional.max_pool2d`."""
    return pooling.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode)  # type: ignore[no-any-return]


def max_pool3d(
    input: Tensor, kernel_size: Ints, stride: Ints = (), padding: Ints = 0, dilation: Ints = 1, ceil_mode: bool = False
) -> Tensor:
    """`nn.functional.max_pool3d`."""
    return pooling.max_pool3d(input, kernel_size, stride, padding, dilation, ceil_mode)  # type: ignore[no-any-return]


def adaptive_max_pool1d(input: Tensor, output_size: Ints) -> tuple[Tensor, Tensor]:
    """`nn.functional.adaptive_max_pool1d`, and the place of each maximum in its row."""
    return pooling.adaptive_max_pool1d_with_indices(input, output_size)


# ---- other names -----------------------------------------------------------------------------------------------------------


def affine_grid_generator(theta: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """`nn.functional.affine_grid`."""
    return vision.affine_grid(theta, list(size), align_corners)
