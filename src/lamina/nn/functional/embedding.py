"""Rows of a table, alone or summed in bags, and one-hot rows.

Here: embedding, embedding_bag, one_hot. Not here: picking rows with its gradient (primitives/indexing.py).
"""

from __future__ import annotations

import lamina
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.nn.functional._checks import check_tensor
from lamina.primitives import embedding as kernels
from lamina.primitives import fused
from lamina.primitives.argument_types import asks
from lamina.primitives.inplace import loosely, of_tensors
from lamina.primitives.levels import whole

_INDEX_TYPES = (lamina.int64, lamina.int32)


def _check_indices(indices: Tensor, name: str, function: str) -> None:
    if indices.dtype not in _INDEX_TYPES:
        raise RuntimeError(
            f"Expected tensor for argument #1 '{name}' to have one of the following scalar types: Long, Int; "
            f"but got {indices.type()} instead (while checking arguments for {function})"
        )


def _refuse_sparse(sparse: bool, weight: Tensor, function: str) -> None:
    """`sparse` speaks of the gradient only: without one there is nothing to refuse."""
    if sparse and weight.requires_grad and lamina.is_grad_enabled():
        raise NotImplementedError(f"{function}: sparse gradients are not in lamina; call it with sparse=False")


def _renorm(weight: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> None:
    with lamina.no_grad():
        kernels.embedding_renorm_(weight, indices, max_norm, norm_type)


def embedding(
    input: Tensor, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Tensor:  # fmt: skip
    """The rows of `weight` (num, dim) that `input` (*, int64 or int32) names: (*, dim).

    `padding_idx`: a row without gradient. `max_norm`: rows used are first scaled, in place, to at most this norm.
    Raises IndexError out of range, AssertionError for a `padding_idx` out of range.
    """
    check_tensor(input, "embedding", "indices", 2)
    check_tensor(weight, "embedding", "weight", 1)
    _refuse_sparse(sparse, weight, "embedding")
    skipped = -1
    if padding_idx is not None:
        rows = weight.shape[0]
        if not -rows <= padding_idx < rows:
            raise AssertionError("Padding_idx must be within num_embeddings")
        skipped = padding_idx % rows
    if max_norm is not None:
        _renorm(weight, input.contiguous(), max_norm, norm_type)
    if weight.dim() != 2:
        raise RuntimeError("'weight' must be 2-D")
    _check_indices(input, "indices", "embedding")
    return kernels.embedding(weight, input, skipped, scale_grad_by_freq)


@fused("EmbeddingBag")
def _bag_sum(
    weight: Tensor, indices: Tensor, bags: Tensor, per_sample_weights: Tensor | None, count: int, scale: bool
) -> Tensor:
    rows = kernels.embedding(weight, indices, -1, scale)
    if per_sample_weights is not None:
        rows = rows * lamina.unsqueeze(per_sample_weights, 1)
    empty = lamina.zeros((count, weight.shape[1]), dtype=weight.dtype)
    return lamina.index_add(empty, 0, bags, rows)


@fused("EmbeddingBag")
def _bag_mean(weight: Tensor, indices: Tensor, bags: Tensor, sizes: Tensor, scale: bool) -> Tensor:
    empty = lamina.zeros((sizes.shape[0], weight.shape[1]), dtype=weight.dtype)
    total = lamina.index_add(empty, 0, bags, kernels.embedding(weight, indices, -1, scale))
    return total / lamina.unsqueeze(lamina.clamp(sizes, min=1), 1)


@fused("EmbeddingBag")
def _bag_max(weight: Tensor, indices: Tensor, winners: Tensor, filled: Tensor) -> Tensor:
    rows = kernels.embedding(weight, indices, -1, False)
    return lamina.where(lamina.unsqueeze(filled, 1), lamina.gather(rows, 0, winners), 0.0)


def _winners(weight: Tensor, indices: Tensor, bags: Tensor, count: int) -> Tensor:
    """For each bag and column, which index holds the maximum: the first at a tie, 0 for an empty bag."""
    with lamina.no_grad():
        rows = kernels.embedding(weight.detach(), indices, -1, False)
        where = bags.unsqueeze(1).expand_as(rows)
        best = lamina.zeros((count, rows.shape[1]), dtype=rows.dtype).scatter_reduce(
            0, where, rows, "amax", include_self=False
        )
        places = lamina.arange(rows.shape[0]).unsqueeze(1).expand_as(rows)
        last = rows.shape[0]
        # A NaN equals nothing, yet wins.
        holds = (rows == best.gather(0, where)) | (rows != rows)
        candidates = lamina.where(holds, places, last)
        first = lamina.full((count, rows.shape[1]), last).scatter_reduce(0, where, candidates, "amin")
        return lamina.where(first == last, 0, first)


def bag_of_each(indices: Tensor, offsets: Tensor, include_last_offset: bool) -> tuple[Tensor, int]:
    """The bag that each index falls in, and the number of bags."""
    total = indices.shape[0]
    first, last = (int(offsets[0]), int(offsets[-1])) if offsets.numel() else (0, 0)
    if first != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. "
            f"However, got {first}"
        )
    if last > total:
        raise RuntimeError(f"offsets[-1] can not be greater than input's length {total} but got offsets[-1] of {last}")
    if include_last_offset:
        if offsets.numel() == 0:
            raise RuntimeError("include_last_offset: number of offset should be at least 1")
        starts, end = offsets[:-1], last
    else:
        starts, end = offsets, total
    steps = lamina.zeros(total + 1, dtype=lamina.int64).index_add(0, starts.long(), lamina.ones_like(starts).long())
    bags = steps.cumsum(0)[:total] - 1
    if end < total:
        bags = bags[:end]
    return bags, starts.shape[0]


@loosely
@asks("dtype")
def embedding_bag(
    input: Tensor, weight: Tensor, offsets: Tensor | None = None, max_norm: float | None = None, norm_type: float = 2,
    scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False,
    per_sample_weights: Tensor | None = None, include_last_offset: bool = False, padding_idx: int | None = None,
) -> Tensor:  # fmt: skip
    """Sums, means or maxima of bags of rows of `weight` (num, dim): (bags, dim).

    `input`: (bags, length), or 1-d with `offsets` saying where each bag begins. An empty bag gives zeros. Indices
    equal to
    `padding_idx` do not count. `per_sample_weights` (as `input`) multiply the rows, in mode "sum" only.
    """
    check_tensor(input, "embedding_bag", "input", 1)
    check_tensor(weight, "embedding_bag", "weight", 2)
    if weight.dtype == lamina.int64 and input.is_floating_point():
        warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage `embedding_bag(weight, input, ...)` is "
            "deprecated, and should now be `embedding_bag(input, weight, ...)`.",
        )
        input, weight = weight, input
    if per_sample_weights is not None and per_sample_weights.shape != input.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, then it must have the "
            f"same shape as the input ({input.shape})"
        )
    if weight.dim() != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}")
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    fixed = input.dim() == 2
    if fixed:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
                f"sequences. However, found offsets of type {type(offsets)}"
            )
        if include_last_offset:
            raise ValueError("include_last_offset is not supported with 2D input")
    elif input.dim() == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        if offsets.dim() != 1:
            raise ValueError("offsets has to be a 1D Tensor")
    else:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    _refuse_sparse(sparse, weight, "embedding_bag")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' "
            f"(got mode='{mode}'). Please open a feature request on GitHub."
        )
    if per_sample_weights is not None and per_sample_weights.dtype != weight.dtype:
        raise RuntimeError(
            "Expected tensor for argument #1 'weight' to have the same type as tensor for argument #1 "
            f"'per_sample_weights'; but type {weight.type()} does not equal {per_sample_weights.type()} "
            "(while checking arguments for embedding_bag)"
        )
    _check_indices(input, "indices", "embedding_bag")
    rows = weight.shape[0]
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise RuntimeError(
                f"padding_idx must be within the number of embeddings, {-rows} through {rows - 1}, but got "
                f"{padding_idx}"
            )
        padding_idx %= rows

    indices = input.reshape(-1).long()
    weights = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    if fixed:
        count, length = input.shape
        bags = lamina.arange(count).repeat_interleave(length)
    else:
        bags, count = bag_of_each(indices, offsets, include_last_offset)
        indices = indices[: bags.shape[0]]
        weights = None if weights is None else weights[: bags.shape[0]]
    if max_norm is not None:
        _renorm(weight, indices, max_norm, norm_type)
    if padding_idx is not None:
        kept = (indices != padding_idx).nonzero().squeeze(1)
        indices, bags = indices[kept], bags[kept]
        weights = None if weights is None else weights[kept]
    try:
        return _reduce_bags(weight, indices, bags, count, mode, weights, scale_grad_by_freq)
    except IndexError as error:
        wrong = ((indices < 0) | (indices >= rows)).nonzero()
        if wrong.numel() == 0:
            raise
        place = int(wrong[0])
        raise RuntimeError(
            f"Index {place} of input takes value {int(indices[place])} which is not in the valid range [0, {rows})"
        ) from error


def _reduce_bags(
    weight: Tensor, indices: Tensor, bags: Tensor, count: int, mode: str, weights: Tensor | None, scale: bool
) -> Tensor:
    if mode == "sum":
        return _bag_sum(weight, indices, bags, weights, count, scale)
    sizes = lamina.zeros(count, dtype=lamina.int64).index_add(0, bags, lamina.ones_like(bags))
    if mode == "mean":
        return _bag_mean(weight, indices, bags, sizes, scale)
    if indices.shape[0] == 0:
        return _bag_sum(weight, indices, bags, None, count, False)  # only empty bags
    return _bag_max(weight, indices, _winners(weight, indices, bags, count), sizes > 0)


@of_tensors
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Rows of zeros with a one where `tensor` (*, int64) says: (*, num_classes), by default as many as needed.

    Raises RuntimeError for negative values, values beyond `num_classes`, and other types.
    """
    check_tensor(tensor, "one_hot", "tensor", 1)
    if tensor.dtype != lamina.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return lamina.empty((*tensor.shape, num_classes), dtype=lamina.int64)
    values = whole(tensor)
    if values.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    largest = int(values.max())
    if num_classes == -1:
        num_classes = int(tensor.max()) + 1  # inside vmap: refused
    elif largest >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    zeros = lamina.zeros((*tensor.shape, num_classes), dtype=lamina.int64)
    return zeros.scatter(-1, tensor.unsqueeze(-1), 1)
