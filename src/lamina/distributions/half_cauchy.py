"""HalfCauchy: the absolute value of a centred cauchy value."""

from __future__ import annotations

import math
from typing import Any

import lamina
from lamina import Tensor
from lamina.distributions.cauchy import Cauchy
from lamina.distributions.folded import Folded


class HalfCauchy(Folded):
    """|Cauchy(0, scale)|."""

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Cauchy(0, scale, validate_args=False), validate_args)

    @property
    def mean(self) -> Tensor:
        return lamina.full(self._extended_shape(), math.inf, dtype=self.scale.dtype, device=self.scale.device)

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance
