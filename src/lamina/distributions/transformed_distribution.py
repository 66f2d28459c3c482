"""TransformedDistribution: draws of a base distribution, sent through transforms."""

from __future__ import annotations

from typing import Any

import lamina
from lamina import Size, Tensor
from lamina.distributions import constraints
from lamina.distributions.distribution import Distribution
from lamina.distributions.independent import Independent
from lamina.distributions.transforms import ComposeTransform, Transform
from lamina.distributions.utils import sum_rightmost


class TransformedDistribution(Distribution):
    """The distribution of transforms(x) with x from `base_distribution`."""

    arg_constraints: dict[str, constraints.Constraint] = {}  # type: ignore[assignment]

    def __init__(self, base_distribution: Distribution, transforms: Any, validate_args: bool | None = None) -> None:
        if isinstance(transforms, Transform):
            self.transforms = [transforms]
        elif isinstance(transforms, list):
            if not all(isinstance(t, Transform) for t in transforms):
                raise ValueError("transforms must be a Transform or a list of Transforms")
            self.transforms = transforms
        else:
            raise ValueError(f"transforms must be a Transform or list, but was {transforms}")
        shape = tuple(base_distribution.batch_shape) + tuple(base_distribution.event_shape)
        event = len(base_distribution.event_shape)
        chain = ComposeTransform(self.transforms)
        if len(shape) < chain.domain.event_dim:
            raise ValueError(
                f"base_distribution needs to have shape with size at least {chain.domain.event_dim}, but got {Size(shape)}."
            )
        after = tuple(chain.forward_shape(shape))
        inner = tuple(chain.inverse_shape(after))
        if shape != inner:  # the parameters of a transform enlarge the batch
            base_distribution = base_distribution.expand(inner[: len(inner) - event])
        more = chain.domain.event_dim - event
        self.base_dist = Independent(base_distribution, more) if more > 0 else base_distribution
        dims = chain.codomain.event_dim + max(event - chain.domain.event_dim, 0)
        super().__init__(after[: len(after) - dims], after[len(after) - dims :], validate_args=validate_args)

    def _expand_inner(self, new: Any, batch_shape: Size) -> None:
        shape = ComposeTransform(self.transforms).inverse_shape((*batch_shape, *self._event_shape))
        new.base_dist = self.base_dist.expand(tuple(shape)[: len(shape) - len(self.base_dist.event_shape)])

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_rsample

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> constraints.Constraint:
        if not self.transforms:
            return self.base_dist.support
        last, more = self.transforms[-1].codomain, len(self._event_shape) - self.transforms[-1].codomain.event_dim
        return constraints.independent(last, more) if more > 0 else last

    def sample(self, sample_shape: Any = Size()) -> Tensor:
        with lamina.no_grad():
            return self._sent(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = Size()) -> Tensor:
        return self._sent(self.base_dist.rsample(sample_shape))

    def _sent(self, x: Tensor) -> Tensor:
        for transform in self.transforms:
            x = transform(x)
        return x

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        dims, y, result = len(self._event_shape), value, 0.0
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            dims += transform.domain.event_dim - transform.codomain.event_dim
            result = result - sum_rightmost(transform.log_abs_det_jacobian(x, y), dims - transform.domain.event_dim)
            y = x
        return result + sum_rightmost(self.base_dist.log_prob(y), dims - len(self.base_dist.event_shape))

    def _turned(self, value: Tensor) -> Tensor:
        # a decreasing map sends the probability below to the probability above
        sign: Any = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        return value if isinstance(sign, int) and sign == 1 else sign * (value - 0.5) + 0.5

    def cdf(self, value: Tensor) -> Tensor:
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        if self._validate_args:
            self.base_dist._validate_sample(value)
        return self._turned(self.base_dist.cdf(value))

    def icdf(self, value: Tensor) -> Tensor:
        return self._sent(self.base_dist.icdf(self._turned(value)))
