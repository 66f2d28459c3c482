"""Rows of scores, and the number of a class for each: what nll_loss and cross_entropy are made of.

Here: kernels, gradients, nodes. Not here: the losses, their checks and other shapes (loss_classification.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

import lamina
from lamina.autograd.graph import make
from lamina.autograd.saved import SavedOutput
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, version, wrap
from lamina.nn.functional._reduction import apply_reduction
from lamina.nn.functional.softmax import log_softmax
from lamina.primitives import fused
from lamina.primitives.folded import Folded
from lamina.primitives.kernels import rows as kernels
from lamina.primitives.kernels.precision import widened
from lamina.primitives.softmax import log_softmax_, softmax_


def _chosen(input: Tensor, dim: int, target: Tensor) -> Tensor:
    """The entry of each sample's class. Raises IndexError for a target out of range."""
    try:
        return lamina.squeeze(lamina.gather(input, dim, lamina.unsqueeze(target, dim)), dim)
    except RuntimeError:
        wrong = target[(target < 0) | (target >= input.shape[dim])]
        if wrong.numel() == 0:
            raise
        raise IndexError(f"Target {int(wrong[0])} is out of bounds.") from None


def nll_body(input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str) -> Tensor:
    """Minus the chosen entries along the class dimension: 0 of a vector, else 1."""
    dim = 1 if input.ndim > 1 else 0
    ignored = target == ignore_index
    safe = lamina.where(ignored, 0, target)
    chosen = _chosen(input, dim, safe)
    if weight is None:
        loss = lamina.where(ignored, 0.0, -chosen)
        if reduction == "mean":
            return lamina.sum(loss) / lamina.sum(~ignored)
        return apply_reduction(loss, reduction)
    weights = lamina.reshape(lamina.index_select(weight, 0, lamina.reshape(safe, (-1,))), target.shape)
    weights = lamina.where(ignored, 0.0, weights)
    loss = lamina.where(ignored, 0.0, -chosen * weights)
    if reduction == "mean":
        return lamina.sum(loss) / lamina.sum(weights)
    return apply_reduction(loss, reduction)


def _counted(
    target: Array, weight: Array | None, classes: int, ignore_index: int, reduction: str, dtype: Any
) -> tuple[Array, Array]:
    """Targets that can be indexed with, and each sample's share of the loss, or one share for all.

    Raises IndexError for a target out of range.
    """
    some = False
    if target.size and not (
        target.dtype == np.int64 and _largest(target) < classes and not 0 <= ignore_index < classes
    ):
        ignored = target == ignore_index
        some = bool(ignored.any())
        safe = np.where(ignored, 0, target) if some else target
        wrong = (safe < 0) | (safe >= classes)
        if wrong.any():
            raise IndexError(f"Target {safe[wrong][0]} is out of bounds.")
    if not some:
        safe = target
    if not some and weight is None:
        return safe, _equal_share(len(target) if reduction == "mean" else 1, dtype)
    share = np.ones(len(target), dtype) if weight is None else weight[safe]
    if some:
        share = np.where(ignored, dtype.type(0), share)
    return safe, share / share.sum() if reduction == "mean" and share.any() else share


@lru_cache(64)
def _equal_share(count: int, dtype: Any) -> Array:
    """What each of `count` samples has of their mean: asked for at every step, with the same number."""
    share = np.asarray(1 / max(count, 1), dtype)
    share.flags.writeable = False
    return share


def _largest(target: Array) -> Any:
    """The largest target, which a negative one exceeds."""
    unsigned = target.view(np.uint64)
    return unsigned[unsigned.argmax()]  # a third of the time of a reduction


def _summed(losses: Array, share: Array, reduction: str) -> Array:
    """Losses with their shares; what counts nothing counts nothing though it be infinite. A mean of nothing is NaN."""
    if not share.ndim and losses.size and reduction != "none":
        whole_sum = kernels.summed(losses)
        return np.asarray(whole_sum * share, losses.dtype)
    if reduction == "mean" and not (losses.size and share.any()):
        return np.asarray(np.nan, losses.dtype)
    if share.ndim and not share.all():
        losses = np.where(share == 0, losses.dtype.type(0), losses)
    if reduction == "none":
        return losses * share
    total: Array = np.asarray((losses * share).sum() if share.ndim else losses.sum() * share, losses.dtype)
    return total


def _nll_kernel(
    x: Array, target: Array, weight: Array | None, *, ignore_index: int, reduction: str
) -> tuple[Array, Array, Array]:
    wide, w = widened(x, weight)
    safe, share = _counted(target, w, x.shape[1], ignore_index, reduction, wide.dtype)
    losses = -wide[np.arange(len(safe)), safe]
    return _summed(losses, share, reduction).astype(x.dtype, copy=False), share, safe


def _nll_grads(g: Any, x_shape: Any, out_1: Any, out_2: Any, weight: Any, ignore_index: int, reduction: str) -> Any:
    if isinstance(g, Tensor):
        rows = (g * out_1).broadcast_to((x_shape[0],)).unsqueeze(1)
        zeros = lamina.zeros(x_shape, dtype=rows.dtype)
        return -zeros.scatter_add(1, out_2.unsqueeze(1), rows)
    dx = np.zeros(x_shape, g.dtype)
    dx[np.arange(x_shape[0]), out_2] -= g * out_1
    return dx


@fused(
    "NllLoss", kernel=_nll_kernel, grads=(_nll_grads, None, None), outputs=3, nondiff=(1, 2), native=True,
)  # fmt: skip
def _nll_rows(
    input: Tensor, target: Tensor, weight: Tensor | None, *, ignore_index: int, reduction: str
) -> tuple[Tensor, None, None]:
    return nll_body(input, target, weight, ignore_index, reduction), None, None


def _cross_entropy_kernel(
    x: Array, target: Array, weight: Array | None, *, ignore_index: int, reduction: str
) -> tuple[Array, Array, Array, Array]:
    wide, w = (x, weight) if x.itemsize >= 4 else widened(x, weight)
    safe, share = _counted(target, w, x.shape[1], ignore_index, reduction, wide.dtype)
    losses, shares = kernels.cross_entropy(wide, safe)
    loss = _summed(losses, share, reduction)
    return loss if wide is x else loss.astype(x.dtype), share, safe, shares


def _cross_entropy_grads(
    g: Any, x_dtype: Any, out_1: Any, out_2: Any, out_3: Any, weight: Any, ignore_index: int, reduction: str
) -> Any:
    if isinstance(g, Tensor):
        rows = (g * out_1).broadcast_to((out_3.shape[0],)).unsqueeze(1)
        return (out_3 * rows).scatter_add(1, out_2.unsqueeze(1), -rows)
    return kernels.cross_entropy_grad(g * out_1, out_3, out_2)


class CrossEntropyNode(Folded):
    """The node of `_cross_entropy_rows`: PyTorch's of nll_loss, and before it that of log_softmax.

    What it keeps of the scores are their shares exp(x) / sum(exp(x)): the scores themselves may be written to.
    """

    __slots__ = ()

    def _kept(self) -> dict[str, Any]:
        names = self._primitive.saves
        return dict(zip(names, zip(self._saved, self._versions, strict=True), strict=True))  # type: ignore[arg-type]

    def _before(self, op: Any, values: Callable[[Array], Array]) -> tuple[Any, Tensor | None]:
        """A node between the scores and this one that keeps its result, values(shares); and that result."""
        node = make(
            op.primitive.node,
            self._edges[:1],
            (None, 1),
            (None, None),
            (self._code, self._lasti) if self._code else None,
        )
        node._seq = self._seq - 1
        if self._saved is None:
            node._saved = node._versions = None
            return node, None
        kept = self._kept()
        with np.errstate(divide="ignore"):
            result = wrap(values(kept["out_3"][0]._array).astype(kept["x_dtype"][0].np, copy=False))
        node._saved, node._versions = (SavedOutput(result, version(result)), 1), (0, None)
        result._node = node
        return node, result

    def _parted(self) -> Any:
        node, _ = self._before(log_softmax_, np.log)
        saved, versions = self._saved, self._versions
        if saved is not None:
            kept = self._kept()
            shape = kept["out_3"][0]._array.shape
            facts = kept | {"x_shape": (shape, None)}
            saved, versions = zip(*[facts[name] for name in _nll_rows.primitive.saves], strict=True)
        return self._become(_nll_rows.primitive.node, (node, *self._edges[1:]), saved, versions)

    def saved_values(self, create: bool) -> list[Any]:
        values = super().saved_values(create)
        if create:  # the gradient is to be differentiated: through the shares to the scores
            values[self._primitive.saves.index("out_3")] = self._before(softmax_, lambda shares: shares)[1]
        return values


@fused(
    "NllLoss", kernel=_cross_entropy_kernel, grads=(_cross_entropy_grads, None, None), outputs=4, nondiff=(1, 2, 3),
    native=True, family=CrossEntropyNode,
)  # fmt: skip
def _cross_entropy_rows(
    input: Tensor, target: Tensor, weight: Tensor | None, *, ignore_index: int, reduction: str
) -> tuple[Tensor, None, None, None]:
    return nll_body(log_softmax(input, 1), target, weight, ignore_index, reduction), None, None, None


def is_plain(input: Tensor, target: Tensor, weight: Tensor | None) -> bool:
    """Rows of scores and a class number each: the case that one node carries out."""
    if not isinstance(input, Tensor) or not isinstance(target, Tensor):
        return False
    x, t, kind = input._array, target._array, input._kind
    return (
        x.ndim == 2
        and t.ndim == 1
        and len(x) == len(t) > 0
        and x.shape[1] > 0
        and target._kind.dtype is lamina.int64
        and kind.category == 2
        and (
            weight is None or (weight._array.shape == x.shape[1:] and weight._kind is kind and not weight.requires_grad)
        )
    )
