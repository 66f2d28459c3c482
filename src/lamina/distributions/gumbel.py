"""Gumbel: the largest of many, by place and scale."""

from __future__ import annotations

import math
from typing import Any

import lamina
from lamina import Size, Tensor
from lamina.distributions import constraints
from lamina.distributions.transformed_distribution import TransformedDistribution
from lamina.distributions.transforms import AffineTransform, ExpTransform
from lamina.distributions.uniform import Uniform
from lamina.distributions.utils import broadcast_all, euler_constant


class Gumbel(TransformedDistribution):
    """loc - scale * log(-log(U)) with U uniform on (0, 1)."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real  # type: ignore[assignment]

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        limits = lamina.finfo(self.loc.dtype)
        low, high = (lamina.full_like(self.loc, end) for end in (limits.tiny, 1 - limits.eps))
        base = Uniform(low, high, validate_args=validate_args)
        ones = lamina.ones_like(self.scale)
        transforms = [
            ExpTransform().inv, AffineTransform(loc=0, scale=-ones),
            ExpTransform().inv, AffineTransform(loc=self.loc, scale=-self.scale),
        ]  # fmt: skip
        super().__init__(base, transforms, validate_args=validate_args)

    def _expand_inner(self, new: Any, batch_shape: Size) -> None:
        new.__dict__.update(type(self)(new.loc, new.scale, validate_args=False).__dict__)
        new._validate_args = self._validate_args

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * euler_constant

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return (math.pi / math.sqrt(6)) * self.scale

    @property
    def variance(self) -> Tensor:
        return self.stddev.pow(2)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        y = (self.loc - value) / self.scale
        return (y - y.exp()) - self.scale.log()

    def entropy(self) -> Tensor:
        return self.scale.log() + (1 + euler_constant)
