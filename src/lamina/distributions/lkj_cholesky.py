"""LKJCholesky: Cholesky factors of random correlation matrices."""

from __future__ import annotations

import math
from typing import Any

import lamina
from lamina import Size, Tensor
from lamina.distributions import constraints
from lamina.distributions.beta import Beta
from lamina.distributions.distribution import Distribution
from lamina.distributions.utils import broadcast_all


class LKJCholesky(Distribution):
    """The factor of a `dim` x `dim` correlation matrix M with density proportional to det(M)**(concentration - 1)."""

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        # The onion method: row i of the factor is a direction in i dimensions, with a Beta distributed square of its length.
        like = {"dtype": self.concentration.dtype, "device": self.concentration.device}
        steps = lamina.cat([lamina.zeros((1,), **like), lamina.arange(dim - 1, **like)])
        rest = (self.concentration + 0.5 * (dim - 2)).unsqueeze(-1)
        self._beta = Beta(steps + 0.5, rest - 0.5 * steps)
        super().__init__(self.concentration.size(), Size((dim, dim)), validate_args=validate_args)

    def _expand_inner(self, new: Any, batch_shape: Size) -> None:
        new._beta = self._beta.expand((*batch_shape, self.dim))

    def sample(self, sample_shape: Any = Size()) -> Tensor:
        with lamina.no_grad():
            squares = self._beta.sample(sample_shape).unsqueeze(-1)
            shape = self._extended_shape(sample_shape)
            direction = lamina.randn(shape, dtype=squares.dtype, device=squares.device).tril(-1)
            direction = direction / direction.norm(dim=-1, keepdim=True)
            direction[..., 0, :].fill_(0.0)
            rows = lamina.sqrt(squares) * direction
            left = lamina.clamp(1 - lamina.sum(rows**2, dim=-1), min=lamina.finfo(rows.dtype).tiny)
            return rows + lamina.diag_embed(left.sqrt())

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = lamina.arange(2, self.dim + 1, device=self.concentration.device)
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - order
        density = lamina.sum(order * diagonal.log(), dim=-1)
        less = self.dim - 1
        alpha = self.concentration + 0.5 * less
        norm = 0.5 * less * math.log(math.pi) + lamina.mvlgamma(alpha - 0.5, less) - lamina.lgamma(alpha) * less
        return density - norm
