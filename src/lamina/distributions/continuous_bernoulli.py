"""ContinuousBernoulli: a value of [0, 1] with density proportional to p**x * (1 - p)**(1 - x)."""

from __future__ import annotations

import math
from typing import Any

import lamina
from lamina import Size, Tensor
from lamina.distributions import constraints
from lamina.distributions.exp_family import ExponentialFamily
from lamina.distributions.utils import (
    broadcast_all,
    clamp_probs,
    lazy_property,
    logits_to_probs,
    one_probs_or_logits,
    probs_to_logits,
)
from lamina.nn.functional import binary_cross_entropy_with_logits


class ContinuousBernoulli(ExponentialFamily):
    """By `probs` or `logits`; for probabilities within `lims`, around 1/2, Taylor series stand for formulas that divide by 0 there."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    _mean_carrier_measure = 0
    has_rsample = True

    def __init__(
        self, probs: Any = None, logits: Any = None, lims: tuple[float, float] = (0.499, 0.501), validate_args: bool | None = None
    ) -> None:  # fmt: skip
        one_probs_or_logits(probs, logits)
        if probs is not None:
            (self.probs,) = broadcast_all(probs)
            if validate_args is not None and not self.arg_constraints["probs"].check(self.probs).all():
                raise ValueError("The parameter probs has invalid values")
            self.probs = clamp_probs(self.probs)
        else:
            (self.logits,) = broadcast_all(logits)
        self._param = self.probs if probs is not None else self.logits
        self._lims = lims
        super().__init__(self._param.size(), validate_args=validate_args)

    def _expand_inner(self, new: Any, batch_shape: Size) -> None:
        new._param = self._param.expand(batch_shape)

    @lazy_property
    def logits(self) -> Tensor:
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    @property
    def param_shape(self) -> Size:
        """The shape of the parameter."""
        return self._param.size()

    def _plain(self) -> Tensor:
        """Where the closed formulas hold."""
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _safe(self) -> Tensor:
        return lamina.where(self._plain(), self.probs, self._lims[0])

    def _log_norm(self) -> Tensor:
        p = self._safe()
        # the logarithm of a ratio of two numbers of the same sign: each is taken where it is positive
        below, above = lamina.where(p <= 0.5, p, 0.0), lamina.where(p >= 0.5, p, 1.0)
        closed = lamina.log(lamina.abs(lamina.log1p(-p) - lamina.log(p))) - lamina.where(
            p <= 0.5, lamina.log1p(-2.0 * below), lamina.log(2.0 * above - 1.0)
        )
        x = (self.probs - 0.5).pow(2)
        return lamina.where(self._plain(), closed, math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x)

    @property
    def mean(self) -> Tensor:
        p, x = self._safe(), self.probs - 0.5
        closed = p / (2.0 * p - 1.0) + 1.0 / (lamina.log1p(-p) - lamina.log(p))
        return lamina.where(self._plain(), closed, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.pow(2)) * x)

    @property
    def stddev(self) -> Tensor:
        return lamina.sqrt(self.variance)

    @property
    def variance(self) -> Tensor:
        p, x = self._safe(), (self.probs - 0.5).pow(2)
        closed = p * (p - 1.0) / (1.0 - 2.0 * p).pow(2) + 1.0 / (lamina.log1p(-p) - lamina.log(p)).pow(2)
        return lamina.where(self._plain(), closed, 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x)

    def rsample(self, sample_shape: Any = Size()) -> Tensor:
        return self.icdf(
            lamina.rand(self._extended_shape(sample_shape), dtype=self.probs.dtype, device=self.probs.device)
        )

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none") + self._log_norm()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        p = self._safe()
        closed = (p.pow(value) * (1.0 - p).pow(1.0 - value) + p - 1.0) / (2.0 * p - 1.0)
        inside = lamina.where(self._plain(), closed, value)
        return lamina.where(value <= 0.0, 0.0, lamina.where(value >= 1.0, 1.0, inside))

    def icdf(self, value: Tensor) -> Tensor:
        p = self._safe()
        closed = (lamina.log1p(-p + value * (2.0 * p - 1.0)) - lamina.log1p(-p)) / (lamina.log(p) - lamina.log1p(-p))
        return lamina.where(self._plain(), closed, value)

    def entropy(self) -> Tensor:
        log_odds_against = lamina.log1p(-self.probs)
        return self.mean * (log_odds_against - lamina.log(self.probs)) - self._log_norm() - log_odds_against

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (self.logits,)

    def _log_normalizer(self, x: Tensor) -> Tensor:
        plain = (x <= self._lims[0] - 0.5) | (x > self._lims[1] - 0.5)
        safe = lamina.where(plain, x, self._lims[0] - 0.5)
        closed = lamina.log(lamina.abs(lamina.special.expm1(safe))) - lamina.log(lamina.abs(safe))
        return lamina.where(plain, closed, 0.5 * x + x.pow(2) / 24.0 - x.pow(4) / 2880.0)
