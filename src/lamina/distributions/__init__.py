"""torch.distributions: densities, draws and divergences, written on lamina's public operations.

Here: names. A distribution that is not here is absent by name: the AttributeError says so.
"""

from __future__ import annotations

from typing import Any

from lamina.distributions import constraints as constraints
from lamina.distributions.bernoulli import Bernoulli
from lamina.distributions.beta import Beta
from lamina.distributions.binomial import Binomial
from lamina.distributions.categorical import Categorical
from lamina.distributions.cauchy import Cauchy
from lamina.distributions.chi2 import Chi2
from lamina.distributions.dirichlet import Dirichlet
from lamina.distributions.distribution import Distribution
from lamina.distributions.exp_family import ExponentialFamily
from lamina.distributions.exponential import Exponential
from lamina.distributions.gamma import Gamma
from lamina.distributions.geometric import Geometric
from lamina.distributions.gumbel import Gumbel
from lamina.distributions.half_cauchy import HalfCauchy
from lamina.distributions.half_normal import HalfNormal
from lamina.distributions.independent import Independent
from lamina.distributions.kl import kl_divergence, register_kl
from lamina.distributions.laplace import Laplace
from lamina.distributions.log_normal import LogNormal
from lamina.distributions.mixture_same_family import MixtureSameFamily
from lamina.distributions.multinomial import Multinomial
from lamina.distributions.multivariate_normal import MultivariateNormal
from lamina.distributions.normal import Normal
from lamina.distributions.one_hot_categorical import OneHotCategorical, OneHotCategoricalStraightThrough
from lamina.distributions.poisson import Poisson
from lamina.distributions.studentT import StudentT
from lamina.distributions.transformed_distribution import TransformedDistribution
from lamina.distributions.transforms import (
    AbsTransform,
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    IndependentTransform,
    PowerTransform,
    SigmoidTransform,
    SoftmaxTransform,
    SoftplusTransform,
    TanhTransform,
    Transform,
    identity_transform,
)
from lamina.distributions.uniform import Uniform

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ComposeTransform",
    "Dirichlet",
    "Distribution",
    "ExpTransform",
    "Exponential",
    "ExponentialFamily",
    "Gamma",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "IndependentTransform",
    "Laplace",
    "LogNormal",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Poisson",
    "PowerTransform",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StudentT",
    "TanhTransform",
    "Transform",
    "TransformedDistribution",
    "Uniform",
    "identity_transform",
    "kl_divergence",
    "register_kl",
]

_ABSENT = frozenset((
    "CatTransform", "ContinuousBernoulli", "CorrCholeskyTransform", "CumulativeDistributionTransform", "FisherSnedecor",
    "GeneralizedPareto", "InverseGamma", "Kumaraswamy", "LKJCholesky", "LogisticNormal", "LowRankMultivariateNormal",
    "LowerCholeskyTransform", "NegativeBinomial", "Pareto", "PositiveDefiniteTransform", "RelaxedBernoulli",
    "RelaxedOneHotCategorical", "ReshapeTransform", "StackTransform", "StickBreakingTransform", "VonMises", "Weibull",
    "Wishart", "biject_to", "transform_to",
))  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _ABSENT:
        raise AttributeError(
            f"module 'torch.distributions' has no attribute '{name}': PyTorch has it, lamina does not; "
            "TransformedDistribution, or a subclass of Distribution, can express it"
        )
    raise AttributeError(f"module 'torch.distributions' has no attribute '{name}'")
