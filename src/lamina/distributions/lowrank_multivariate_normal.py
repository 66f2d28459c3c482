"""LowRankMultivariateNormal: normal vectors whose covariance is a factor times itself, plus a diagonal."""

from __future__ import annotations

import math
from typing import Any

import lamina
from lamina import Size, Tensor
from lamina.distributions import constraints
from lamina.distributions.distribution import Distribution
from lamina.distributions.multivariate_normal import _mahalanobis, _times
from lamina.distributions.utils import lazy_property, standard_normal


def _capacitance_tril(factor: Tensor, diagonal: Tensor) -> Tensor:
    """The Cholesky factor of I + W' D**-1 W, by which the matrix determinant lemma and Woodbury's formula go."""
    scaled = factor.mT / diagonal.unsqueeze(-2)
    unit = lamina.eye(factor.size(-1), dtype=factor.dtype, device=factor.device)
    return lamina.linalg.cholesky(lamina.matmul(scaled, factor).contiguous() + unit)


def _log_det(diagonal: Tensor, capacitance_tril: Tensor) -> Tensor:
    return 2 * capacitance_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1) + diagonal.log().sum(-1)


def _distance(factor: Tensor, diagonal: Tensor, difference: Tensor, capacitance_tril: Tensor) -> Tensor:
    """Mahalanobis' distance squared, without the covariance matrix."""
    projected = _times(factor.mT / diagonal.unsqueeze(-2), difference)
    return (difference.pow(2) / diagonal).sum(-1) - _mahalanobis(capacitance_tril, projected)


class LowRankMultivariateNormal(Distribution):
    """N(loc, cov_factor @ cov_factor.mT + diag(cov_diag))."""

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, cov_factor: Tensor, cov_diag: Tensor, validate_args: bool | None = None) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event = tuple(loc.shape[-1:])
        if cov_factor.dim() < 2:
            raise ValueError("cov_factor must be at least two-dimensional, with optional leading batch dimensions")
        if tuple(cov_factor.shape[-2:-1]) != event:
            raise ValueError(f"cov_factor must be a batch of matrices with shape {event[0]} x m")
        if tuple(cov_diag.shape[-1:]) != event:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {Size(event)}")
        try:
            batch = lamina.broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        except RuntimeError as error:
            raise ValueError(
                f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, cov_diag {cov_diag.shape}"
            ) from error
        self.loc, self.cov_diag = loc.expand((*batch, *event)), cov_diag.expand((*batch, *event))
        self.cov_factor = cov_factor.expand((*batch, *cov_factor.shape[-2:]))
        self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag = cov_factor, cov_diag
        self._capacitance_tril = _capacitance_tril(cov_factor, cov_diag)
        super().__init__(batch, event, validate_args=validate_args)

    def _whole(self, matrix: Tensor) -> Tensor:
        return matrix.expand(tuple(self._batch_shape) + tuple(self._event_shape) * 2)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:  # type: ignore[override]
        found = self._unbroadcasted_cov_factor.pow(2).sum(-1) + self._unbroadcasted_cov_diag
        return found.expand(tuple(self._batch_shape) + tuple(self._event_shape))

    @lazy_property
    def scale_tril(self) -> Tensor:
        # the root of D stands outside, so that what is factored is near the unit matrix
        root = self._unbroadcasted_cov_diag.sqrt().unsqueeze(-1)
        scaled = self._unbroadcasted_cov_factor / root
        unit = lamina.eye(self._event_shape[0], dtype=root.dtype, device=root.device)
        return self._whole(root * lamina.linalg.cholesky(lamina.matmul(scaled, scaled.mT).contiguous() + unit))

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        factor = self._unbroadcasted_cov_factor
        return self._whole(lamina.matmul(factor, factor.mT) + lamina.diag_embed(self._unbroadcasted_cov_diag))

    @lazy_property
    def precision_matrix(self) -> Tensor:
        diagonal = self._unbroadcasted_cov_diag
        scaled = self._unbroadcasted_cov_factor.mT / diagonal.unsqueeze(-2)
        inner = lamina.linalg.solve_triangular(self._capacitance_tril, scaled, upper=False)
        return self._whole(lamina.diag_embed(diagonal.reciprocal()) - inner.mT @ inner)

    def rsample(self, sample_shape: Any = Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        inner = standard_normal((*shape[:-1], *self.cov_factor.shape[-1:]), self.loc.dtype, self.loc.device)
        outer = standard_normal(shape, self.loc.dtype, self.loc.device)
        return self.loc + _times(self._unbroadcasted_cov_factor, inner) + self._unbroadcasted_cov_diag.sqrt() * outer

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        factor, diagonal = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag
        distance = _distance(factor, diagonal, value - self.loc, self._capacitance_tril)
        log_det = _log_det(diagonal, self._capacitance_tril)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + log_det + distance)

    def entropy(self) -> Tensor:
        log_det = _log_det(self._unbroadcasted_cov_diag, self._capacitance_tril)
        found = 0.5 * (self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + log_det)
        return found.expand(self._batch_shape) if len(self._batch_shape) else found
