"""What all loss layers share: `reduction`, the two arguments it replaced, and a weight per class."""

from __future__ import annotations

from lamina.core.explained import noted
from lamina.core.tensor import Tensor
from lamina.nn.functional._reduction import resolve_reduction
from lamina.nn.modules.module import Module


def _reduction_of(size_average: bool | None, reduce: bool | None, reduction: str, layer: str) -> str:
    """`reduction`, or what the two arguments that it replaced mean."""
    if size_average is None and reduce is None:
        return reduction
    try:
        return resolve_reduction(size_average, reduce, reduction)
    except RuntimeError as error:  # a tensor that means neither True nor False
        raise noted(
            RuntimeError(str(error)), ("fix", f"make the layer first, then call it: nn.{layer}()(input, target)")
        ) from None


class _Loss(Module):
    reduction: str

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = _reduction_of(size_average, reduce, reduction, type(self).__name__)


class _WeightedLoss(_Loss):
    """A loss with a weight per class, a buffer so that it moves with the module."""

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
