"""VonMises: angles around a direction."""

from __future__ import annotations

import math
from typing import Any

import lamina
from lamina import Size, Tensor
from lamina.distributions import constraints
from lamina.distributions.distribution import Distribution
from lamina.distributions.utils import broadcast_all, lazy_property


def _log_bessel(x: Tensor, order: int) -> Tensor:
    """log of the modified Bessel function of order 0 or 1, for x >= 0 however large."""
    scaled = lamina.special.i0e(x) if order == 0 else lamina.special.i1e(x)
    return scaled.log() + x


class VonMises(Distribution):
    """Density proportional to exp(concentration * cos(x - loc))."""

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, lamina.Size(), validate_args=validate_args)

    def _expand_inner(self, new: Any, batch_shape: Size) -> None:
        for name in ("_loc", "_concentration", "_proposal_r"):
            new.__dict__.pop(name, None)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        around = self.concentration * lamina.cos(value - self.loc)
        return around - math.log(2 * math.pi) - _log_bessel(self.concentration, 0)

    # in double: the proposal loses its digits for a small concentration

    @lazy_property
    def _loc(self) -> Tensor:
        return self.loc.to(lamina.double)

    @lazy_property
    def _concentration(self) -> Tensor:
        return self.concentration.to(lamina.double)

    @lazy_property
    def _proposal_r(self) -> Tensor:
        kappa = self._concentration
        tau = 1 + (1 + 4 * kappa**2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
        near_zero = 1 / kappa + kappa
        return lamina.where(kappa < 1e-5, near_zero, (1 + rho**2) / (2 * rho))

    @lamina.no_grad()
    def sample(self, sample_shape: Any = Size()) -> Tensor:
        """Draws by Best and Fisher's rejection (1979), from a wrapped Cauchy proposal."""
        shape = self._extended_shape(sample_shape)
        concentration, r = self._concentration, self._proposal_r
        angles = lamina.zeros(shape, dtype=self._loc.dtype, device=self.loc.device)
        done = lamina.zeros(shape, dtype=lamina.bool, device=self.loc.device)
        while not done.all():
            u1, u2, u3 = lamina.rand((3, *shape), dtype=self._loc.dtype, device=self.loc.device).unbind()
            z = lamina.cos(math.pi * u1)
            f = (1 + r * z) / (r + z)
            c = concentration * (r - f)
            accepted = ((c * (2 - c) - u2) > 0) | ((c / u2).log() + 1 - c >= 0)
            if accepted.any():
                angles = lamina.where(accepted, (u3 - 0.5).sign() * f.acos(), angles)
                done = done | accepted
        return ((angles + math.pi + self._loc) % (2 * math.pi) - math.pi).to(self.loc.dtype)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:  # type: ignore[override]
        """The circular variance."""
        return 1 - (_log_bessel(self.concentration, 1) - _log_bessel(self.concentration, 0)).exp()
