"""Connectionist temporal classification: the likelihood of a label sequence over all its alignments.

Graves et al., 2006: forward and backward recursions over the labels with blanks between them, in logarithms.
"""

from __future__ import annotations

import math
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.nn.functional._checks import check_tensor, scalar_name
from lamina.nn.functional._reduction import check_reduction
from lamina.primitives import fused

# Stands for log(0): finite, so that no difference of two is NaN; sums of a few thousand stay within float32.
_NEVER = -1e30
_IMPOSSIBLE = -1e29


def _log_add(*terms: Tensor) -> Tensor:
    top = terms[0]
    for term in terms[1:]:
        top = lamina.maximum(top, term)
    total = lamina.exp(terms[0] - top)
    for term in terms[1:]:
        total = total + lamina.exp(term - top)
    return top + lamina.log(total)


def _shifted(row: Tensor, by: int) -> Tensor:
    """`row` (N, L) moved `by` places to the right (left if negative), with log(0) moving in."""
    return lamina.constant_pad_nd(row, [by, -by], _NEVER)


def _emissions(log_probs: Tensor, labels: Tensor) -> Tensor:
    """(T, N, L): the log-probability of each extended label at each time."""
    steps = log_probs.shape[0]
    index = lamina.broadcast_to(lamina.unsqueeze(labels, 0), (steps, *labels.shape))
    return lamina.clamp(lamina.gather(log_probs, 2, index), min=_NEVER)


def _forward(emitted: Tensor, start: Tensor, skip: Tensor) -> list[Tensor]:
    """For each time, the log-probability of all prefixes of alignments that end in each extended label."""
    row = lamina.where(start, emitted[0], _NEVER)
    rows = [row]
    for step in range(1, emitted.shape[0]):
        jumped = lamina.where(skip, _shifted(row, 2), _NEVER)
        row = _log_add(row, _shifted(row, 1), jumped) + emitted[step]
        rows.append(row)
    return rows


def _backward(emitted: Tensor, end: Tensor, skip: Tensor, last: Tensor) -> list[Tensor]:
    """For each time, the log-probability of all suffixes that begin in each label; `last` (T, N) marks the end."""
    jumps = lamina.constant_pad_nd(skip, [-2, 2], 0)
    row = lamina.where(end, emitted[-1], _NEVER)
    rows = [row]
    for step in range(emitted.shape[0] - 2, -1, -1):
        jumped = lamina.where(jumps, _shifted(row, -2), _NEVER)
        onward = _log_add(row, _shifted(row, -1), jumped) + emitted[step]
        row = lamina.where(last[step], lamina.where(end, emitted[step], _NEVER), onward)
        rows.append(row)
    return rows[::-1]


def _ctc_grad(
    g: Tensor,
    log_probs: Tensor,
    labels: Tensor,
    start: Tensor,
    end: Tensor,
    skip: Tensor,
    last: Tensor,
    alive: Tensor,
    zero_infinity: bool,
) -> Tensor:
    """exp(log_probs) minus the share of each class in the alignments: PyTorch's convention, which takes the inputs for
    normalised; NaN where no alignment is possible."""
    emitted = _emissions(log_probs, labels)
    # A row of `_forward` beyond a sample's length meets no `_backward` row that is alive: masked at the end.
    before = lamina.stack(_forward(emitted, start, skip))
    after = lamina.stack(_backward(emitted, end, skip, last))
    both = before + after - emitted
    top = lamina.amax(both, 2, keepdim=True)
    shares = lamina.exp(both - top)
    shares = shares / lamina.sum(shares, 2, keepdim=True)
    steps = log_probs.shape[0]
    index = lamina.broadcast_to(lamina.unsqueeze(labels, 0), (steps, *labels.shape))
    occupied = lamina.scatter_add(lamina.zeros_like(log_probs), 2, index, shares)
    impossible = 0.0 if zero_infinity else math.nan
    gradient = lamina.where(top > _IMPOSSIBLE, lamina.exp(log_probs) - occupied, impossible)
    return lamina.where(alive, gradient * lamina.unsqueeze(lamina.unsqueeze(g, 0), 2), 0.0)


@fused("CtcLoss", grads=(_ctc_grad, None, None, None, None, None, None))
def _ctc(
    log_probs: Tensor,
    labels: Tensor,
    start: Tensor,
    end: Tensor,
    skip: Tensor,
    last: Tensor,
    alive: Tensor,
    zero_infinity: bool,
) -> Tensor:
    """Minus the log-likelihood of each sample (N); inf where no alignment is possible."""
    before = lamina.stack(_forward(_emissions(log_probs, labels), start, skip))
    finals = lamina.sum(lamina.where(last, before, 0.0), 0)
    finals = lamina.where(end, finals, _NEVER)
    top = lamina.amax(finals, 1)
    total = top + lamina.log(lamina.sum(lamina.exp(finals - lamina.unsqueeze(top, 1)), 1))
    return lamina.where(total > _IMPOSSIBLE, -total, math.inf)


def _lengths(value: Any, name: str, batch: int) -> list[int]:
    if isinstance(value, Tensor):
        if value.is_floating_point() or value.is_complex() or value.dtype == lamina.bool:
            raise RuntimeError(f"{name} must be integral")
        value = value.reshape(-1).tolist()
    lengths = [int(item) for item in value] if not isinstance(value, int) else [value]
    if len(lengths) != batch:
        raise RuntimeError(f"{name} must be of size batch_size")
    return lengths


_WHERE = "(while checking arguments for ctc_loss_allocate_outputs)"


def _check(log_probs: Tensor, targets: Tensor, inputs: list[int], labels: list[int], blank: int) -> None:
    steps, classes = log_probs.shape[0], log_probs.shape[2]
    if log_probs.dtype not in (lamina.float32, lamina.float64):
        raise NotImplementedError(f"\"ctc_loss_cpu\" not implemented for '{scalar_name(log_probs)}'")
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    for name, lengths in (("input_lengths", inputs), ("target_lengths", labels)):
        for length in lengths:
            if length < 0:
                raise RuntimeError(f"Expected {name} to have value at least 0, but got value {length} {_WHERE}")
    for length in inputs:
        if length > steps:
            raise RuntimeError(f"Expected input_lengths to have value at most {steps}, but got value {length} {_WHERE}")
    dim, needed = (0, sum(labels)) if targets.dim() == 1 else (1, max(labels, default=0))
    if targets.size(dim) < needed:
        raise RuntimeError(
            f"Expected tensor to have size at least {needed} at dimension {dim}, but got size {targets.size(dim)} "
            f"for argument #2 'targets' {_WHERE}"
        )


def ctc_loss(
    log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any, blank: int = 0,
    reduction: str = "mean", zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """Minus the log-likelihood of `targets` over all alignments, with blanks, to the times of `log_probs`.

    Shapes: log_probs (T, N, C) or (T, C), from `log_softmax`; targets (N, S), or all one after another; lengths (N).
    reduction "mean": each loss over its target's length, then the mean. `zero_infinity`: a target longer than its input
    counts 0, with gradient 0, instead of inf and NaN.
    """
    check_reduction(reduction)
    check_tensor(log_probs, "ctc_loss", "log_probs", 1)
    check_tensor(targets, "ctc_loss", "targets", 2)
    batched = log_probs.dim() == 3
    if not batched:
        log_probs = log_probs.unsqueeze(1)
        targets = targets.unsqueeze(0) if targets.dim() == 1 else targets
    if log_probs.dim() != 3:
        raise RuntimeError(f"Expected log_probs to have 2 or 3 dimensions, but got {log_probs.dim() - 1}")
    steps, batch, _ = log_probs.shape
    inputs = _lengths(input_lengths, "input_lengths", batch)
    lengths = _lengths(target_lengths, "target_lengths", batch)
    _check(log_probs, targets, inputs, lengths, blank)

    device = log_probs.device
    longest = max(lengths, default=0)
    lengths_column = lamina.tensor(lengths, device=device).unsqueeze(1)
    plain = _padded_targets(targets.long(), lengths, longest, blank)
    labels = lamina.full((batch, 2 * longest + 1), blank, dtype=lamina.int64, device=device)
    labels[:, 1::2] = plain
    place = lamina.arange(2 * longest + 1, device=device).unsqueeze(0)
    repeated = lamina.constant_pad_nd(labels[:, 2:] == labels[:, :-2], [2, 0], 1)
    start = (place < 2) & (place < 2 * lengths_column + 1)
    end = (place == 2 * lengths_column) | (place == 2 * lengths_column - 1)
    skip = (place % 2 == 1) & ~repeated
    time = lamina.arange(steps, device=device).view(-1, 1, 1)
    ends = lamina.tensor(inputs, device=device).view(1, -1, 1)
    loss = _ctc(log_probs, labels, start, end, skip, time == (ends - 1).clamp(min=0), time < ends, zero_infinity)
    if zero_infinity:
        loss = lamina.where(loss == math.inf, 0.0, loss)
    if reduction == "mean":
        return (loss / lengths_column.squeeze(1).clamp(min=1)).mean()
    if reduction == "sum":
        return loss.sum()
    return loss if batched else loss.squeeze(0)


def _padded_targets(targets: Tensor, lengths: list[int], longest: int, blank: int) -> Tensor:
    """(N, longest) from either form of targets."""
    if targets.dim() == 2:
        rows = targets[:, :longest]
    else:
        rows = lamina.full((len(lengths), longest), blank, dtype=lamina.int64, device=targets.device)
        first = 0
        for row, length in enumerate(lengths):
            rows[row, :length] = targets[first : first + length]
            first += length
    beyond = lamina.arange(longest, device=targets.device) >= lamina.tensor(lengths, device=targets.device).unsqueeze(1)
    return rows.masked_fill(beyond, blank)
