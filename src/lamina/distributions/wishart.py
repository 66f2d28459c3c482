"""Wishart: random covariance matrices, by degrees of freedom and a scale matrix."""

from __future__ import annotations

import math
from typing import Any

import lamina
from lamina import Size, Tensor
from lamina.core.warn import warn
from lamina.distributions import constraints
from lamina.distributions.chi2 import Chi2
from lamina.distributions.exp_family import ExponentialFamily
from lamina.distributions.multivariate_normal import _factor_of_inverse
from lamina.distributions.utils import lazy_property

_LOG2 = math.log(2)


def _digammas(x: Tensor, p: int) -> Tensor:
    """The derivative of log mvlgamma(x, p)."""
    return lamina.digamma(x.unsqueeze(-1) - lamina.arange(p, dtype=x.dtype, device=x.device).div(2)).sum(-1)


class Wishart(ExponentialFamily):
    """The sum of `df` outer products of N(0, covariance_matrix) vectors; `df` may be any real number above the dimension - 1."""

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:  # type: ignore[override]
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self._event_shape[-1] - 1),
        }

    def __init__(
        self, df: Any, covariance_matrix: Tensor | None = None, precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None, validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        given = {"covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril}
        given = {name: matrix for name, matrix in given.items() if matrix is not None}
        if len(given) != 1:
            raise AssertionError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError("scale_tril must be at least two-dimensional, with optional leading batch dimensions")
        if isinstance(df, (int, float)):
            df = lamina.tensor(df, dtype=matrix.dtype, device=matrix.device)
        batch, event = lamina.broadcast_shapes(matrix.shape[:-2], df.shape), matrix.shape[-2:]
        if df.le(event[-1] - 1).any():
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {event[-1] - 1}.")
        self.df = df.expand(batch)
        setattr(self, name, matrix.expand((*batch, -1, -1)))
        super().__init__(batch, event, validate_args=validate_args)
        if self.df.lt(event[-1]).any():
            warn(
                "Low df values detected. Singular samples are highly likely to occur for ndim - 1 < df < ndim.",
            )
        if name == "scale_tril":
            self._unbroadcasted_scale_tril = matrix
        elif name == "covariance_matrix":
            self._unbroadcasted_scale_tril = lamina.linalg.cholesky(matrix)
        else:
            self._unbroadcasted_scale_tril = _factor_of_inverse(matrix)
        # squares of Bartlett's diagonal are Chi2 values of df, df - 1, ...
        steps = lamina.arange(event[-1], dtype=matrix.dtype, device=matrix.device)
        self._dist_chi2 = Chi2(df=self.df.unsqueeze(-1) - steps.expand((*batch, -1)))

    def _expand_inner(self, new: Any, batch_shape: Size) -> None:
        new._dist_chi2 = self._dist_chi2.expand((*batch_shape, self._event_shape[-1]))

    def _whole(self, matrix: Tensor) -> Tensor:
        return matrix.expand(tuple(self._batch_shape) + tuple(self._event_shape))

    @lazy_property
    def scale_tril(self) -> Tensor:
        return self._whole(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        return self._whole(self._unbroadcasted_scale_tril @ self._unbroadcasted_scale_tril.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        return self._whole(lamina.cholesky_inverse(self._unbroadcasted_scale_tril))

    @property
    def mean(self) -> Tensor:
        return self.df.view((*self._batch_shape, 1, 1)) * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        factor = self.df - self.covariance_matrix.shape[-1] - 1
        factor = lamina.where(factor > 0, factor, lamina.nan)
        return factor.view((*self._batch_shape, 1, 1)) * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        products = lamina.einsum("...i,...j->...ij", diagonal, diagonal)
        return self.df.view((*self._batch_shape, 1, 1)) * (v.pow(2) + products)

    def _bartlett_sampling(self, sample_shape: Any = Size()) -> Tensor:
        n = self._event_shape[-1]
        roots = self._dist_chi2.rsample(sample_shape).clamp_min(lamina.finfo(self.df.dtype).tiny).sqrt()
        factor = roots.diag_embed()
        i, j = lamina.tril_indices(n, n, offset=-1)
        batch = tuple(sample_shape) + tuple(self._batch_shape)
        factor[..., i, j] = lamina.randn((*batch, n * (n - 1) // 2), dtype=self.df.dtype, device=self.df.device)
        factor = self._unbroadcasted_scale_tril @ factor
        return factor @ factor.mT

    def rsample(self, sample_shape: Any = Size(), max_try_correction: int | None = None) -> Tensor:
        """Draws by Bartlett's decomposition; what is singular by rounding is drawn anew, `max_try_correction` times at most.

        Other draws than PyTorch's of the same seed: it draws what is not singular anew, ten times.
        """
        tries = 10 if max_try_correction is None else max_try_correction
        sample_shape = Size(sample_shape)
        sample = self._bartlett_sampling(sample_shape)
        singular = ~self.support.check(sample)
        if not singular.any():
            return sample
        warn("Singular sample detected.")
        for _ in range(tries):
            again = self._bartlett_sampling(sample_shape)
            sample = lamina.where(singular.unsqueeze(-1).unsqueeze(-1), again, sample)
            singular = singular & ~self.support.check(again)
            if not singular.any():
                break
        return sample

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        nu, p = self.df, self._event_shape[-1]
        log_det = self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        solved = lamina.cholesky_solve(value, self._unbroadcasted_scale_tril)
        return (
            -nu * (p * _LOG2 / 2 + log_det) - lamina.mvlgamma(nu / 2, p=p)
            + (nu - p - 1) / 2 * lamina.linalg.slogdet(value).logabsdet - solved.diagonal(dim1=-2, dim2=-1).sum(dim=-1) / 2
        )  # fmt: skip

    def entropy(self) -> Tensor:
        nu, p = self.df, self._event_shape[-1]
        log_det = self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return (
            (p + 1) * (p * _LOG2 / 2 + log_det) + lamina.mvlgamma(nu / 2, p=p)
            - (nu - p - 1) / 2 * _digammas(nu / 2, p=p) + nu * p / 2
        )  # fmt: skip

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2

    def _log_normalizer(self, x: Tensor, y: Tensor) -> Tensor:
        p = self._event_shape[-1]
        log_det = -lamina.linalg.slogdet(-2 * x).logabsdet
        return (y + (p + 1) / 2) * (log_det + _LOG2 * p) + lamina.mvlgamma(y + (p + 1) / 2, p=p)
