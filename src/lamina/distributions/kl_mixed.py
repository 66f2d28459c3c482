"""The divergences of two distributions of different families.

Not here: the registry and pairs of one family (kl.py).
"""

from __future__ import annotations

import math

import lamina
from lamina import Tensor
from lamina.distributions.bernoulli import Bernoulli
from lamina.distributions.beta import Beta
from lamina.distributions.binomial import Binomial
from lamina.distributions.continuous_bernoulli import ContinuousBernoulli
from lamina.distributions.distribution import Distribution
from lamina.distributions.exponential import Exponential
from lamina.distributions.gamma import Gamma
from lamina.distributions.gumbel import Gumbel
from lamina.distributions.kl import register_kl
from lamina.distributions.laplace import Laplace
from lamina.distributions.normal import Normal
from lamina.distributions.pareto import Pareto
from lamina.distributions.poisson import Poisson
from lamina.distributions.uniform import Uniform
from lamina.distributions.utils import euler_constant

_LOG_2PI = math.log(2 * math.pi)


def _from_normal(p_entropy: Tensor, p_mean: Tensor, p_variance: Tensor, q: Normal) -> Tensor:
    """Divergence to a normal distribution of what has this entropy, mean and variance."""
    spread = (p_variance + (p_mean - q.loc).pow(2)) / q.scale.pow(2)
    return -p_entropy + 0.5 * (_LOG_2PI + spread) + q.scale.log()


def _from_gamma(p_entropy: Tensor, p_mean: Tensor, p_mean_log: Tensor, q: Gamma) -> Tensor:
    """Divergence to a gamma distribution of what has this entropy, mean and mean logarithm."""
    a, b = q.concentration, q.rate
    return -p_entropy + a.lgamma() - a * b.log() + (1 - a) * p_mean_log + b * p_mean


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Bernoulli, q: Poisson) -> Tensor:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Beta, ContinuousBernoulli)
def _beta_continuous_bernoulli(p: Beta, q: ContinuousBernoulli) -> Tensor:
    return -p.entropy() - p.mean * q.logits - lamina.log1p(-q.probs) - q._log_norm()


@register_kl(Beta, Exponential)
def _beta_exponential(p: Beta, q: Exponential) -> Tensor:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(Beta, Gamma)
def _beta_gamma(p: Beta, q: Gamma) -> Tensor:
    mean_log = p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    return _from_gamma(p.entropy(), p.mean, mean_log, q)


@register_kl(Beta, Uniform)
def _beta_uniform(p: Beta, q: Uniform) -> Tensor:
    found = -p.entropy() + (q.high - q.low).log()
    return lamina.where((q.low > p.support.lower_bound) | (q.high < p.support.upper_bound), lamina.inf, found)


@register_kl(ContinuousBernoulli, Exponential)
def _continuous_bernoulli_exponential(p: ContinuousBernoulli, q: Exponential) -> Tensor:
    return -p.entropy() - lamina.log(q.rate) + q.rate * p.mean


@register_kl(ContinuousBernoulli, Uniform)
def _continuous_bernoulli_uniform(p: ContinuousBernoulli, q: Uniform) -> Tensor:
    found = -p.entropy() + (q.high - q.low).log()
    return lamina.where(
        lamina.max(lamina.ge(q.low, p.support.lower_bound), lamina.le(q.high, p.support.upper_bound)), lamina.inf, found
    )


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Exponential, q: Gamma) -> Tensor:
    ratio = q.rate / p.rate
    return (
        -q.concentration * ratio.log()
        + ratio
        + q.concentration.lgamma()
        + q.concentration * euler_constant
        - (1 + euler_constant)
    )


@register_kl(Gamma, Exponential)
def _gamma_exponential(p: Gamma, q: Exponential) -> Tensor:
    return -p.entropy() - q.rate.log() + q.rate * p.concentration / p.rate


@register_kl(Laplace, Normal)
def _laplace_normal(p: Laplace, q: Normal) -> Tensor:
    spread = (p.scale.pow(2) + 0.5 * (p.loc - q.loc).pow(2)) / q.scale.pow(2)
    return spread + 0.5 * math.log(2 * math.pi) + q.scale.log() - (2 * p.scale).log() - 1


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p: Exponential, q: Gumbel) -> Tensor:
    spread = p.rate * q.scale
    tail = (q.loc / q.scale).exp() * spread / (spread + 1)
    return spread.log() - q.loc / q.scale - 1 + spread.reciprocal() + tail


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p: Gamma, q: Gumbel) -> Tensor:
    spread, ratio = p.rate * q.scale, q.loc / q.scale
    norm = (p.concentration - 1) * p.concentration.digamma() - p.concentration.lgamma() - p.concentration
    tail = ratio.exp() * (1 + spread.reciprocal()).pow(-p.concentration)
    return norm + spread.log() + p.concentration / spread - ratio + tail


@register_kl(Gumbel, Normal)
def _gumbel_normal(p: Gumbel, q: Normal) -> Tensor:
    return _from_normal(p.entropy(), p.mean, p.variance, q)


@register_kl(Normal, Gumbel)
def _normal_gumbel(p: Normal, q: Gumbel) -> Tensor:
    away = (p.loc - q.loc) / q.scale
    tail = lamina.exp(-away + 0.5 * (p.scale / q.scale).pow(2))
    return away + tail - (p.scale / q.scale).log() - 0.5 * (1.0 + _LOG_2PI)


@register_kl(Normal, Laplace)
def _normal_laplace(p: Normal, q: Laplace) -> Tensor:
    away = p.loc - q.loc
    z = away / p.scale
    mean_distance = p.scale * math.sqrt(2 / math.pi) * lamina.exp(-0.5 * z.pow(2)) + away * lamina.erf(
        math.sqrt(0.5) * z
    )
    return -p.entropy() + mean_distance / q.scale + (2 * q.scale).log()


@register_kl(Pareto, Exponential)
def _pareto_exponential(p: Pareto, q: Exponential) -> Tensor:
    reach = p.scale * q.rate
    found = (p.alpha / reach).log() - p.alpha.reciprocal() + p.alpha * reach / (p.alpha - 1) - 1
    return lamina.where(p.alpha <= 1, lamina.inf, found)


@register_kl(Pareto, Gamma)
def _pareto_gamma(p: Pareto, q: Gamma) -> Tensor:
    mean_log = p.scale.log() + p.alpha.reciprocal()
    norm = p.alpha.log() - p.scale.log() - p.alpha.reciprocal() - 1
    found = _from_gamma(-norm, p.mean, mean_log, q)
    return lamina.where(p.alpha <= 1, lamina.inf, found)


@register_kl(Pareto, Normal)
def _pareto_normal(p: Pareto, q: Normal) -> Tensor:
    return lamina.where(p.alpha <= 2, lamina.inf, _from_normal(p.entropy(), p.mean, p.variance, q))


for _p in (Beta, Exponential, Gamma, Uniform, ContinuousBernoulli):
    register_kl(_p, Normal)(lambda p, q: _from_normal(p.entropy(), p.mean, p.variance, q))


@register_kl(Uniform, Beta)
def _uniform_beta(p: Uniform, q: Beta) -> Tensor:
    width = p.high - p.low
    norm = q.concentration1.lgamma() + q.concentration0.lgamma() - (q.concentration1 + q.concentration0).lgamma()
    low = (q.concentration1 - 1) * (_x_log_x(p.high) - _x_log_x(p.low) - width) / width
    high = (q.concentration0 - 1) * (_x_log_x(1 - p.high) - _x_log_x(1 - p.low) + width) / width
    outside = (p.high > q.support.upper_bound) | (p.low < q.support.lower_bound)
    return lamina.where(outside, lamina.inf, norm - width.log() - low + high)


def _x_log_x(x: Tensor) -> Tensor:
    return x * x.log()


@register_kl(Uniform, ContinuousBernoulli)
def _uniform_continuous_bernoulli(p: Uniform, q: ContinuousBernoulli) -> Tensor:
    found = -p.entropy() - p.mean * q.logits - lamina.log1p(-q.probs) - q._log_norm()
    return lamina.where((p.high > q.support.upper_bound) | (p.low < q.support.lower_bound), lamina.inf, found)


@register_kl(Uniform, Exponential)
def _uniform_exponential(p: Uniform, q: Exponential) -> Tensor:
    found = q.rate * (p.high + p.low) / 2 - ((p.high - p.low) * q.rate).log()
    return lamina.where(p.low < q.support.lower_bound, lamina.inf, found)


@register_kl(Uniform, Gamma)
def _uniform_gamma(p: Uniform, q: Gamma) -> Tensor:
    width = p.high - p.low
    mean_log = (_x_log_x(p.high) - _x_log_x(p.low) - width) / width
    found = _from_gamma(width.log(), (p.high + p.low) / 2, mean_log, q)
    return lamina.where(p.low < q.support.lower_bound, lamina.inf, found)


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p: Uniform, q: Gumbel) -> Tensor:
    ratio = q.scale / (p.high - p.low)
    high, low = (p.high - q.loc) / q.scale, (p.low - q.loc) / q.scale
    return ratio.log() + 0.5 * (high + low) - ratio * (lamina.exp(-high) - lamina.exp(-low))


@register_kl(Uniform, Pareto)
def _uniform_pareto(p: Uniform, q: Pareto) -> Tensor:
    width = p.high - p.low
    mean_log = (_x_log_x(p.high) - _x_log_x(p.low) - width) / width
    found = mean_log * (q.alpha + 1) - q.alpha.log() - q.alpha * q.scale.log() - width.log()
    return lamina.where(p.low < q.support.lower_bound, lamina.inf, found)


def _beyond(p: Distribution, q: Distribution) -> Tensor:
    """p has values that q has not: infinite."""
    return p.mean.new_full(p.batch_shape, lamina.inf)


_BEYOND = (
    ((Beta, ContinuousBernoulli), (Pareto,)),
    ((Exponential, Gamma, Gumbel, Laplace, Normal), (Beta, ContinuousBernoulli, Pareto, Uniform)),
    ((Gumbel, Laplace, Normal), (Exponential, Gamma)),
    ((Pareto,), (Beta, ContinuousBernoulli, Uniform)),
    ((Poisson,), (Bernoulli, Binomial)),
)
for _ps, _qs in _BEYOND:
    for _p in _ps:
        for _q in _qs:
            register_kl(_p, _q)(_beyond)
