"""MixtureSameFamily: one of several components of one family, chosen by a Categorical."""

from __future__ import annotations

from typing import Any

import lamina
from lamina import Size, Tensor
from lamina.distributions import constraints
from lamina.distributions.categorical import Categorical
from lamina.distributions.distribution import Distribution


class MixtureSameFamily(Distribution):
    """A draw of the component that `mixture_distribution` chooses among the last batch dimension of `component_distribution`."""

    arg_constraints: dict[str, constraints.Constraint] = {}  # type: ignore[assignment]

    def __init__(
        self, mixture_distribution: Categorical, component_distribution: Distribution, validate_args: bool | None = None
    ) -> None:
        self._mixture_distribution, self._component_distribution = mixture_distribution, component_distribution
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(" The Mixture distribution needs to be an  instance of torch.distributions.Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ValueError("The Component distribution needs to be an instance of torch.distributions.Distribution")
        mixed, parts = mixture_distribution.batch_shape, component_distribution.batch_shape
        for a, b in zip(reversed(mixed), reversed(parts[:-1]), strict=False):
            if a != 1 and b != 1 and a != b:
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({mixed}) is not compatible with "
                    f"`component_distribution.batch_shape`({parts})"
                )
        ways = mixture_distribution.logits.shape[-1]
        if ways != parts[-1]:
            raise ValueError(
                f"`mixture_distribution component` ({ways}) does not equal `component_distribution.batch_shape[-1]` ({parts[-1]})"
            )
        self._num_component = ways
        self._event_ndims = len(component_distribution.event_shape)
        super().__init__(parts[:-1], component_distribution.event_shape, validate_args=validate_args)

    def _expand_inner(self, new: Any, batch_shape: Size) -> None:
        new._component_distribution = self._component_distribution.expand((*batch_shape, self._num_component))
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)

    @constraints.dependent_property
    def support(self) -> constraints.Constraint:
        return constraints.MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def mixture_distribution(self) -> Categorical:
        """Who chooses."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Distribution:
        """The components."""
        return self._component_distribution

    def _weights(self) -> Tensor:
        probs = self.mixture_distribution.probs
        return probs.reshape(tuple(probs.shape) + (1,) * self._event_ndims)

    @property
    def mean(self) -> Tensor:
        return (self._weights() * self.component_distribution.mean).sum(-1 - self._event_ndims)

    @property
    def variance(self) -> Tensor:
        weights, dim = self._weights(), -1 - self._event_ndims
        within = (weights * self.component_distribution.variance).sum(dim)
        between = (weights * (self.component_distribution.mean - self.mean.unsqueeze(dim)).pow(2.0)).sum(dim)
        return within + between

    def sample(self, sample_shape: Any = Size()) -> Tensor:
        with lamina.no_grad():
            dim = len(sample_shape) + len(self._batch_shape)
            chosen = self.mixture_distribution.sample(sample_shape)
            drawn = self.component_distribution.sample(sample_shape)
            index = chosen.reshape(tuple(chosen.shape) + (1,) * (self._event_ndims + 1))
            repeats = (1,) * (dim + 1) + tuple(self._event_shape)
            return lamina.gather(drawn, dim, index.repeat(repeats)).squeeze(dim)

    def log_prob(self, x: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(x)
        parts = self.component_distribution.log_prob(x.unsqueeze(-1 - self._event_ndims))
        return lamina.logsumexp(parts + lamina.log_softmax(self.mixture_distribution.logits, dim=-1), dim=-1)

    def cdf(self, x: Tensor) -> Tensor:
        parts = self.component_distribution.cdf(x.unsqueeze(-1 - self._event_ndims))
        return (parts * self.mixture_distribution.probs).sum(-1)

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self.mixture_distribution!r},\n  {self.component_distribution!r})"
