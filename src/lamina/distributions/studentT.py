"""StudentT: a normal value over the root of a Chi2 average."""

from __future__ import annotations

import math
from typing import Any

import lamina
from lamina import Size, Tensor
from lamina.distributions import constraints
from lamina.distributions.chi2 import Chi2
from lamina.distributions.distribution import Distribution
from lamina.distributions.utils import broadcast_all, standard_normal


class StudentT(Distribution):
    """loc + scale * N(0, 1) / sqrt(Chi2(df) / df)."""

    arg_constraints = {"df": constraints.positive, "loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        self._chi2 = Chi2(self.df)
        super().__init__(self.df.size(), validate_args=validate_args)

    def _expand_inner(self, new: Any, batch_shape: Size) -> None:
        new._chi2 = self._chi2.expand(batch_shape)

    @property
    def mean(self) -> Tensor:
        return lamina.where(self.df > 1, self.loc, lamina.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        finite = self.scale.pow(2) * self.df / (self.df - 2)
        return lamina.where(self.df > 2, finite, lamina.where(self.df > 1, lamina.inf, lamina.nan))

    def rsample(self, sample_shape: Any = Size()) -> Tensor:
        x = standard_normal(self._extended_shape(sample_shape), self.df.dtype, self.df.device)
        z = self._chi2.rsample(sample_shape)
        return self.loc + self.scale * (x * lamina.rsqrt(z / self.df))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        y = (value - self.loc) / self.scale
        normalizer = (
            self.scale.log() + 0.5 * self.df.log() + 0.5 * math.log(math.pi)
            + lamina.lgamma(0.5 * self.df) - lamina.lgamma(0.5 * (self.df + 1.0))
        )  # fmt: skip
        return -0.5 * (self.df + 1.0) * lamina.log1p(y**2.0 / self.df) - normalizer

    def entropy(self) -> Tensor:
        beta = lamina.lgamma(0.5 * self.df) + math.lgamma(0.5) - lamina.lgamma(0.5 * (self.df + 1))
        slope = lamina.digamma(0.5 * (self.df + 1)) - lamina.digamma(0.5 * self.df)
        return self.scale.log() + 0.5 * (self.df + 1) * slope + 0.5 * self.df.log() + beta
