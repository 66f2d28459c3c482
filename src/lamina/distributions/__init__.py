"""torch.distributions: densities, draws and divergences, written on lamina's public operations.

Here: names. A distribution that is not here is absent by name: the AttributeError says so.
"""

from __future__ import annotations

from lamina.distributions import constraints as constraints
from lamina.distributions.distribution import Distribution
from lamina.distributions.exp_family import ExponentialFamily
from lamina.distributions.normal import Normal

__all__ = ["Distribution", "ExponentialFamily", "Normal"]
