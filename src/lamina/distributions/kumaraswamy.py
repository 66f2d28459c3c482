"""Kumaraswamy: a share of (0, 1) whose distribution function is elementary."""

from __future__ import annotations

from typing import Any

import lamina
from lamina import Size, Tensor
from lamina.distributions import constraints
from lamina.distributions.transformed_distribution import TransformedDistribution
from lamina.distributions.transforms import AffineTransform, PowerTransform
from lamina.distributions.uniform import Uniform
from lamina.distributions.utils import broadcast_all, euler_constant


class Kumaraswamy(TransformedDistribution):
    """(1 - U**(1 / concentration0))**(1 / concentration1) with U uniform on (0, 1)."""

    arg_constraints = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval  # type: ignore[assignment]
    has_rsample = True  # type: ignore[assignment]

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        base = Uniform(
            lamina.full_like(self.concentration0, 0),
            lamina.full_like(self.concentration0, 1),
            validate_args=validate_args,
        )
        transforms = [
            PowerTransform(exponent=self.concentration0.reciprocal()),
            AffineTransform(loc=1.0, scale=-1.0),
            PowerTransform(exponent=self.concentration1.reciprocal()),
        ]
        super().__init__(base, transforms, validate_args=validate_args)

    def _expand_inner(self, new: Any, batch_shape: Size) -> None:
        new.__dict__.update(type(self)(new.concentration1, new.concentration0, validate_args=False).__dict__)
        new._validate_args = self._validate_args

    def _moment(self, n: int) -> Tensor:
        a, b = 1 + n / self.concentration1, self.concentration0
        return b * lamina.exp(lamina.lgamma(a) + lamina.lgamma(b) - lamina.lgamma(a + b))

    @property
    def mean(self) -> Tensor:
        return self._moment(1)

    @property
    def mode(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        found = b.reciprocal() * (-b).log1p() - (-b * a).log1p()
        return lamina.where((a < 1) | (b < 1), lamina.nan, found).exp()

    @property
    def variance(self) -> Tensor:
        return self._moment(2) - self.mean.pow(2)

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        harmonic = lamina.digamma(b + 1) + euler_constant
        return 1 - b.reciprocal() + (1 - a.reciprocal()) * harmonic - lamina.log(a) - lamina.log(b)
