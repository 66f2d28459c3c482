"""A linear layer and cross entropy in one layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import lamina
from lamina.core.tensor import Tensor
from lamina.nn import functional as F
from lamina.nn.modules.linear import Linear
from lamina.nn.modules.loss import _WeightedLoss

_POLICIES = ("accurate", "balanced", "compact", "auto")


@dataclass(slots=True)
class LinearCrossEntropyOptions:
    """PyTorch's hints on chunking and accumulation. Checked and kept; lamina computes the logits in one piece."""

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: Literal["accurate", "balanced", "compact", "auto"] = "auto"
    acc_dtype: lamina.dtype | None = None

    def __post_init__(self) -> None:
        size = self.batch_chunk_size
        if size is not None and (not isinstance(size, int) or size <= 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {size}")
        if self.chunking_method not in (None, "auto"):
            raise ValueError(f"invalid chunking_method: {self.chunking_method!r}")
        if self.acc_policy not in _POLICIES:
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")
        allowed = (None, lamina.float16, lamina.bfloat16, lamina.float32, lamina.float64)
        if self.acc_dtype not in allowed:
            names = ", ".join(map(str, allowed))
            raise ValueError(
                f"acc_dtype must be one of {{{names}}}, got {self.acc_dtype}. "
                "Pass acc_dtype=None to let the op pick automatically."
            )


class LinearCrossEntropyLoss(_WeightedLoss):
    """Cross entropy of the scores that a linear layer gives.

    Shapes: input (N, in_features) or (in_features); target class indices (N, *out_features), or probabilities
    (N, num_classes, *out_features), both without N for a single row; `out_features` are further output dimensions.
    """

    num_classes: int
    out_features: tuple[int, ...]
    ignore_index: int | None
    label_smoothing: float

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: LinearCrossEntropyOptions | None = None,
    ) -> None:
        super().__init__(weight=weight, reduction=reduction)
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise RuntimeError(f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}")
        if not 0 <= label_smoothing <= 1:
            raise RuntimeError(f"expected label_smoothing to be in range [0, 1], got {label_smoothing}")
        self.num_classes = num_classes
        self.out_features = tuple(out_features)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.options = options
        self.linear = Linear(
            in_features, num_classes * math.prod(self.out_features), bias=bias, device=device, dtype=dtype
        )

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        if input.dim() not in (1, 2):
            raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
        if input.shape[-1] != self.linear.in_features:
            raise RuntimeError(
                "expected equal input and linear_weight last dimensions (in_features), "
                f"got {input.shape[-1]} and {self.linear.in_features}, respectively"
            )
        scores = self.linear(input).unflatten(-1, (self.num_classes, *self.out_features))
        return F.cross_entropy(
            scores,
            target,
            weight=self.weight,
            ignore_index=-100 if self.ignore_index is None else self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, "
            f"out_features={self.out_features}, bias={self.linear.bias is not None}, reduction={self.reduction}, "
            f"ignore_index={self.ignore_index}, label_smoothing={self.label_smoothing}, options={self.options}"
        )
