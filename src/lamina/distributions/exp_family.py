"""`ExponentialFamily`: densities exp(<t(x), theta> - F(theta) + k(x)), whose entropy follows from F.

Not here: the members; they declare `_natural_params`, `_log_normalizer` and `_mean_carrier_measure`.
"""

from __future__ import annotations

from typing import Any

import lamina
from lamina import Tensor
from lamina.distributions.distribution import Distribution


class ExponentialFamily(Distribution):
    """A distribution with natural parameters theta and log-normaliser F."""

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Any) -> Tensor:
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> Any:
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """F(theta) - <theta, grad F(theta)> - E[k]: the gradient of F is the mean of the statistic."""
        naturals = [p.detach().requires_grad_() for p in self._natural_params]
        with lamina.enable_grad():
            normalizer = self._log_normalizer(*naturals)
            slopes = lamina.autograd.grad(normalizer.sum(), naturals, create_graph=True)
        result = -self._mean_carrier_measure + normalizer
        for natural, slope in zip(naturals, slopes, strict=True):
            result = result - (natural * slope).reshape(tuple(self._batch_shape) + (-1,)).sum(-1)
        return result
