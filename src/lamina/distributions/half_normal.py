"""HalfNormal: the absolute value of a centred normal value."""

from __future__ import annotations

import math
from typing import Any

from lamina import Tensor
from lamina.distributions.folded import Folded
from lamina.distributions.normal import Normal


class HalfNormal(Folded):
    """|N(0, scale**2)|."""

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Normal(0, scale, validate_args=False), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Tensor:
        return self.scale.pow(2) * (1 - 2 / math.pi)
