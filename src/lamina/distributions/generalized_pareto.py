"""GeneralizedPareto: excesses over a threshold, by place, scale and the weight of the tail."""

from __future__ import annotations

from typing import Any

import lamina
from lamina import Size, Tensor
from lamina.distributions import constraints
from lamina.distributions.distribution import Distribution
from lamina.distributions.utils import broadcast_all


class GeneralizedPareto(Distribution):
    """Survival (1 + concentration * z)**(-1 / concentration) with z = (x - loc) / scale; exp(-z) where concentration is 0."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive, "concentration": constraints.real}
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.size(), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        end = lamina.where(self.concentration < 0, self.loc - self.scale / self.concentration, lamina.inf)
        return constraints.interval(self.loc, end)

    def _by_tail(self, exponential: Tensor, formula: Any) -> Tensor:
        """`formula(concentration)`, or `exponential` where the concentration is 0 and the formula would divide by it."""
        zero = lamina.isclose(self.concentration, lamina.zeros_like(self.concentration))
        return lamina.where(zero, exponential, formula(lamina.where(zero, 1.0, self.concentration)))

    def _z(self, x: Tensor) -> Tensor:
        return (x - self.loc) / self.scale

    def rsample(self, sample_shape: Any = Size()) -> Tensor:
        u = lamina.rand(self._extended_shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        return self.icdf(u)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        z = self._z(value)
        falls = self._by_tail(-z, lambda c: -(1 / c + 1) * lamina.log1p(c * z))
        return falls - lamina.log(self.scale)

    def log_survival_function(self, value: Tensor) -> Tensor:
        """log(1 - cdf(value))."""
        if self._validate_args:
            self._validate_sample(value)
        z = self._z(value)
        return self._by_tail(-z, lambda c: -lamina.log1p(c * z) / c)

    def log_cdf(self, value: Tensor) -> Tensor:
        """log(cdf(value))."""
        return lamina.log1p(-lamina.exp(self.log_survival_function(value)))

    def cdf(self, value: Tensor) -> Tensor:
        return lamina.exp(self.log_cdf(value))

    def icdf(self, value: Tensor) -> Tensor:
        log_rest = lamina.log1p(-value)
        z = self._by_tail(-log_rest, lambda c: lamina.expm1(-c * log_rest) / c)
        return self.loc + self.scale * z

    @property
    def mean(self) -> Tensor:
        finite = self.concentration < 1
        room = lamina.where(finite, 1 - self.concentration, 0.5)
        return lamina.where(finite, self.loc + self.scale / room, lamina.nan)

    @property
    def variance(self) -> Tensor:
        finite = self.concentration < 0.5
        c = lamina.where(finite, self.concentration, 0.25)
        return lamina.where(finite, self.scale.pow(2) / ((1 - c).pow(2) * (1 - 2 * c)), lamina.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    def entropy(self) -> Tensor:
        return lamina.log(self.scale) + self.concentration + 1
