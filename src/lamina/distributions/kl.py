"""kl_divergence(p, q): the registry of pairs, and the formulas of two distributions of one family.

Not here: two families (kl_mixed.py). Users add their own pairs by `register_kl`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lamina
from lamina import Tensor
from lamina.distributions import lowrank_multivariate_normal as low_rank
from lamina.distributions import multivariate_normal as mvn
from lamina.distributions.bernoulli import Bernoulli
from lamina.distributions.beta import Beta
from lamina.distributions.binomial import Binomial
from lamina.distributions.categorical import Categorical
from lamina.distributions.cauchy import Cauchy
from lamina.distributions.continuous_bernoulli import ContinuousBernoulli
from lamina.distributions.dirichlet import Dirichlet
from lamina.distributions.distribution import Distribution
from lamina.distributions.exp_family import ExponentialFamily
from lamina.distributions.exponential import Exponential
from lamina.distributions.gamma import Gamma
from lamina.distributions.geometric import Geometric
from lamina.distributions.gumbel import Gumbel
from lamina.distributions.half_normal import HalfNormal
from lamina.distributions.independent import Independent
from lamina.distributions.laplace import Laplace
from lamina.distributions.normal import Normal
from lamina.distributions.one_hot_categorical import OneHotCategorical
from lamina.distributions.pareto import Pareto
from lamina.distributions.poisson import Poisson
from lamina.distributions.transformed_distribution import TransformedDistribution
from lamina.distributions.uniform import Uniform
from lamina.distributions.utils import euler_constant, sum_rightmost

_KL_REGISTRY: dict[tuple[type, type], Callable[[Any, Any], Tensor]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Any], Any]:
    """A decorator: the function computes KL(p || q) for these types and their subclasses. Raises TypeError for what is no class.

    Any class will do: packages register bases of their own, whose subclasses are distributions.
    """
    for given, name in ((type_p, "type_p"), (type_q, "type_q")):
        if not isinstance(given, type):
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {given}")

    def decorator(function: Any) -> Any:
        _KL_REGISTRY[type_p, type_q] = function
        return function

    return decorator


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p || q), of the shape batch_shape. Raises NotImplementedError for a pair without a formula."""
    found = _closest(type(p), type(q))
    if found is None:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {p.__class__.__name__} and q type {q.__class__.__name__}"
        )
    return found(p, q)


def _closest(p: type, q: type) -> Callable[[Any, Any], Tensor] | None:
    """The formula registered for the nearest base classes; those of p count first."""
    for base_p in p.__mro__:
        for base_q in q.__mro__:
            if (base_p, base_q) in _KL_REGISTRY:
                return _KL_REGISTRY[base_p, base_q]
    return None


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    softplus = lamina.nn.functional.softplus
    success = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    success = lamina.where(p.probs == 0, 0.0, lamina.where(q.probs == 0, lamina.inf, success))
    failure = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    failure = lamina.where(p.probs == 1, 0.0, lamina.where(q.probs == 1, lamina.inf, failure))
    return success + failure


@register_kl(Beta, Beta)
def _beta(p: Beta, q: Beta) -> Tensor:
    a, b, c, d = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    total = a + b
    norms = (c.lgamma() + d.lgamma() + total.lgamma()) - ((c + d).lgamma() + a.lgamma() + b.lgamma())
    return norms + (a - c) * a.digamma() + (b - d) * b.digamma() + (c + d - total) * total.digamma()


@register_kl(Binomial, Binomial)
def _binomial(p: Binomial, q: Binomial) -> Tensor:
    if (p.total_count < q.total_count).any():
        raise NotImplementedError("KL between Binomials where q.total_count > p.total_count is not implemented")
    found = p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p())
    return lamina.where(p.total_count > q.total_count, lamina.inf, found)


@register_kl(Categorical, Categorical)
def _categorical(p: Categorical, q: Categorical) -> Tensor:
    terms = p.probs * (p.logits - q.logits)
    terms = lamina.where(q.probs == 0, lamina.inf, terms)
    return lamina.where(p.probs == 0, 0.0, terms).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    return _categorical(p._categorical, q._categorical)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p: ContinuousBernoulli, q: ContinuousBernoulli) -> Tensor:
    norms = p._log_norm() + lamina.log1p(-p.probs) - q._log_norm() - lamina.log1p(-q.probs)
    return p.mean * (p.logits - q.logits) + norms


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    norms = a.sum(-1).lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1)
    return norms + ((a - b) * (a.digamma() - a.sum(-1, True).digamma())).sum(-1)


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(ExponentialFamily, ExponentialFamily)
def _exponential_family(p: ExponentialFamily, q: ExponentialFamily) -> Tensor:
    """The Bregman divergence of the log-normaliser."""
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families cannot be computed using Bregman divergences"
        )
    naturals = [n.detach().requires_grad_() for n in p._natural_params]
    others = q._natural_params
    with lamina.enable_grad():
        norm = p._log_normalizer(*naturals)
        slopes = lamina.autograd.grad(norm.sum(), naturals, create_graph=True)
    result = q._log_normalizer(*others) - norm
    for mine, other, slope in zip(naturals, others, slopes, strict=True):
        result = result - sum_rightmost((other - mine) * slope, len(q.event_shape))
    return result


@register_kl(Gamma, Gamma)
def _gamma(p: Gamma, q: Gamma) -> Tensor:
    return (
        q.concentration * (p.rate / q.rate).log() + lamina.lgamma(q.concentration) - lamina.lgamma(p.concentration)
        + (p.concentration - q.concentration) * lamina.digamma(p.concentration)
        + (q.rate - p.rate) * (p.concentration / p.rate)
    )  # fmt: skip


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Gumbel, q: Gumbel) -> Tensor:
    ratio, shift = p.scale / q.scale, (q.loc - p.loc) / q.scale
    return (
        -ratio.log() - shift + ratio * euler_constant + lamina.exp(shift + (1 + ratio).lgamma()) - (1 + euler_constant)
    )


@register_kl(Geometric, Geometric)
def _geometric(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - lamina.log1p(-q.probs) / p.probs - q.logits


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: HalfNormal, q: HalfNormal) -> Tensor:
    return _normal(p.base_dist, q.base_dist)  # type: ignore[arg-type]


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Tensor:
    ratio, away = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + away / q.scale + ratio * lamina.exp(-away / p.scale) - 1


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(mvn.MultivariateNormal, mvn.MultivariateNormal)
def _multivariate_normal(p: mvn.MultivariateNormal, q: mvn.MultivariateNormal) -> Tensor:
    _same_event(p, q, "two Multivariate Normals")
    solved = lamina.linalg.solve_triangular(q._unbroadcasted_scale_tril, p._unbroadcasted_scale_tril, upper=False)
    trace = _batch_trace(solved)
    distance = mvn._mahalanobis(q._unbroadcasted_scale_tril, q.loc - p.loc)
    return q._half_log_det() - p._half_log_det() + 0.5 * (trace + distance - p.event_shape[0])


def _batch_trace(factor: Tensor) -> Tensor:
    """The trace of factor @ factor.mT."""
    return factor.pow(2).sum((-2, -1))


def _same_event(p: Distribution, q: Distribution, whose: str) -> None:
    if p.event_shape != q.event_shape:
        raise ValueError(f"KL-divergence between {whose} with different event shapes cannot be computed")


def _trace_by_woodbury(q: low_rank.LowRankMultivariateNormal, whole: Tensor, over_diagonal: Tensor) -> Tensor:
    """trace(q.covariance**-1 @ whole @ whole.mT); over_diagonal: the trace with q's diagonal alone."""
    scaled = q._unbroadcasted_cov_factor.mT / q._unbroadcasted_cov_diag.unsqueeze(-2)
    solved = lamina.linalg.solve_triangular(q._capacitance_tril, scaled, upper=False)
    return over_diagonal - _batch_trace(solved @ whole)


@register_kl(low_rank.LowRankMultivariateNormal, low_rank.LowRankMultivariateNormal)
def _low_rank(p: low_rank.LowRankMultivariateNormal, q: low_rank.LowRankMultivariateNormal) -> Tensor:
    _same_event(p, q, "two Low Rank Multivariate Normals")
    diagonal = q._unbroadcasted_cov_diag
    log_dets = low_rank._log_det(diagonal, q._capacitance_tril) - low_rank._log_det(
        p._unbroadcasted_cov_diag, p._capacitance_tril
    )
    distance = low_rank._distance(q._unbroadcasted_cov_factor, diagonal, q.loc - p.loc, q._capacitance_tril)
    roots = p._unbroadcasted_cov_diag.sqrt().diag_embed()
    traces = _trace_by_woodbury(q, roots, (p._unbroadcasted_cov_diag / diagonal).sum(-1)) + _trace_by_woodbury(
        q, p._unbroadcasted_cov_factor, _batch_trace(p._unbroadcasted_cov_factor / diagonal.sqrt().unsqueeze(-1))
    )
    return 0.5 * (log_dets + distance + traces - p.event_shape[0])


@register_kl(mvn.MultivariateNormal, low_rank.LowRankMultivariateNormal)
def _full_low_rank(p: mvn.MultivariateNormal, q: low_rank.LowRankMultivariateNormal) -> Tensor:
    _same_event(p, q, "two (Low Rank) Multivariate Normals")
    diagonal = q._unbroadcasted_cov_diag
    log_dets = low_rank._log_det(diagonal, q._capacitance_tril) - 2 * p._half_log_det()
    distance = low_rank._distance(q._unbroadcasted_cov_factor, diagonal, q.loc - p.loc, q._capacitance_tril)
    factor = p._unbroadcasted_scale_tril
    trace = _trace_by_woodbury(q, factor, _batch_trace(factor / diagonal.sqrt().unsqueeze(-1)))
    return 0.5 * (log_dets + distance + trace - p.event_shape[0])


@register_kl(low_rank.LowRankMultivariateNormal, mvn.MultivariateNormal)
def _low_rank_full(p: low_rank.LowRankMultivariateNormal, q: mvn.MultivariateNormal) -> Tensor:
    _same_event(p, q, "two (Low Rank) Multivariate Normals")
    log_dets = 2 * q._half_log_det() - low_rank._log_det(p._unbroadcasted_cov_diag, p._capacitance_tril)
    distance = mvn._mahalanobis(q._unbroadcasted_scale_tril, q.loc - p.loc)
    trace = lamina.zeros(())
    for part in (p._unbroadcasted_cov_factor, p._unbroadcasted_cov_diag.sqrt().diag_embed()):
        trace = trace + _batch_trace(lamina.linalg.solve_triangular(q._unbroadcasted_scale_tril, part, upper=False))
    return 0.5 * (log_dets + distance + trace - p.event_shape[0])


@register_kl(Pareto, Pareto)
def _pareto(p: Pareto, q: Pareto) -> Tensor:
    ratio = q.alpha / p.alpha
    found = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return lamina.where(p.support.lower_bound < q.support.lower_bound, lamina.inf, found)


@register_kl(Poisson, Poisson)
def _poisson(p: Poisson, q: Poisson) -> Tensor:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: TransformedDistribution, q: TransformedDistribution) -> Tensor:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError("KL(p || q) of transformed distributions needs the same transforms and event shapes")
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Tensor:
    found = ((q.high - q.low) / (p.high - p.low)).log()
    return lamina.where((q.low > p.low) | (q.high < p.high), lamina.inf, found)


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("KL(p || q) of Independent needs the same reinterpreted_batch_ndims")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Cauchy, q: Cauchy) -> Tensor:
    distance = (p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)
    return distance.log() - (4 * p.scale * q.scale).log()
