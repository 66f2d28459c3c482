"""NegativeBinomial: successes before a number of failures."""

from __future__ import annotations

from typing import Any

import lamina
import lamina.nn.functional as F
from lamina import Size, Tensor
from lamina.distributions import constraints
from lamina.distributions.distribution import Distribution
from lamina.distributions.gamma import Gamma
from lamina.distributions.utils import (
    broadcast_all,
    lazy_property,
    logits_to_probs,
    one_probs_or_logits,
    probs_to_logits,
)


class NegativeBinomial(Distribution):
    """The number of successes, of probability `probs` each, before `total_count` failures."""

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        one_probs_or_logits(probs, logits)
        if probs is not None:
            self.total_count, self.probs = broadcast_all(total_count, probs)
            self.total_count = self.total_count.type_as(self.probs)
        else:
            self.total_count, self.logits = broadcast_all(total_count, logits)
            self.total_count = self.total_count.type_as(self.logits)
        self._param = self.probs if probs is not None else self.logits
        super().__init__(self._param.size(), validate_args=validate_args)

    def _expand_inner(self, new: Any, batch_shape: Size) -> None:
        new._param = self._param.expand(batch_shape)
        new.__dict__.pop("_gamma", None)

    @lazy_property
    def logits(self) -> Tensor:
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def param_shape(self) -> Size:
        """The shape of the parameter."""
        return self._param.size()

    @property
    def mean(self) -> Tensor:
        return self.total_count * lamina.exp(self.logits)

    @property
    def mode(self) -> Tensor:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Tensor:
        return self.mean / lamina.sigmoid(-self.logits)

    @lazy_property
    def _gamma(self) -> Gamma:
        # the rate of a Poisson value, which makes that one negative binomial
        return Gamma(concentration=self.total_count, rate=lamina.exp(-self.logits), validate_args=False)

    def sample(self, sample_shape: Any = Size()) -> Tensor:
        with lamina.no_grad():
            return lamina.poisson(self._gamma.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        total = self.total_count + value
        density = self.total_count * F.logsigmoid(-self.logits) + value * F.logsigmoid(self.logits)
        norm = -lamina.lgamma(total) + lamina.lgamma(1.0 + value) + lamina.lgamma(self.total_count)
        return density - norm.masked_fill(total == 0.0, 0.0)
