"""lamina.distributions against torch.distributions: densities, entropies, moments, draws of one seed, divergences, sentences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special

import lamina

LOC, SCALE = [[0.3, -1.2, 2.0]], [[0.7], [1.6]]
POSITIVE, PROBS, LOGITS = [0.4, 1.5, 6.0], [0.2, 0.5, 0.9], [[-1.0, 0.3, 2.0], [0.1, 0.2, 0.3]]
WEIGHTS = [[0.2, 0.3, 0.5], [0.7, 0.2, 0.1]]
MATRIX = [[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.5]]


def _t(lib, values):
    return lib.tensor(values)


def _transformed(lib):
    d = lib.distributions
    base = d.Normal(_t(lib, LOC), _t(lib, SCALE))
    return d.TransformedDistribution(base, [d.AffineTransform(0.5, -2.0), d.SigmoidTransform(), d.PowerTransform(2.0)])


def _tanh(lib):
    d = lib.distributions
    chain = d.ComposeTransform([d.AffineTransform(_t(lib, LOC[0]), 0.3, event_dim=1), d.TanhTransform(cache_size=1)])
    return d.TransformedDistribution(d.MultivariateNormal(_t(lib, [0.1, 0.2, 0.3]), _t(lib, MATRIX)), [chain])


def _mixture(lib):
    d = lib.distributions
    return d.MixtureSameFamily(d.Categorical(_t(lib, WEIGHTS)), d.Normal(_t(lib, LOGITS), _t(lib, SCALE)))


def _mixture_of_vectors(lib):
    d = lib.distributions
    parts = d.Independent(d.Laplace(_t(lib, LOGITS), 1.0), 1)
    return d.MixtureSameFamily(d.Categorical(logits=_t(lib, [0.2, 0.9])), parts)


def _named(name, *args, **kwargs):
    def make(lib):
        def of(v):
            return _t(lib, v) if isinstance(v, list) else v

        return getattr(lib.distributions, name)(*map(of, args), **{k: of(v) for k, v in kwargs.items()})

    return make


CASES = {
    "Normal": _named("Normal", LOC, SCALE), "Normal of numbers": _named("Normal", 0, 2.0), "LogNormal": _named("LogNormal", LOC, SCALE),
    "Uniform": _named("Uniform", LOC, [[3.0], [4.5]]), "Bernoulli": _named("Bernoulli", PROBS),
    "Bernoulli by logits": _named("Bernoulli", logits=LOGITS), "Categorical": _named("Categorical", WEIGHTS),
    "Categorical by logits": _named("Categorical", logits=LOGITS), "OneHotCategorical": _named("OneHotCategorical", WEIGHTS),
    "OneHotCategoricalStraightThrough": _named("OneHotCategoricalStraightThrough", logits=LOGITS),
    "Exponential": _named("Exponential", POSITIVE), "Laplace": _named("Laplace", LOC, SCALE), "Gamma": _named("Gamma", POSITIVE, SCALE),
    "Beta": _named("Beta", POSITIVE, SCALE), "Dirichlet": _named("Dirichlet", [POSITIVE, PROBS]),
    "Poisson": _named("Poisson", [0.5, 4.0, 30.0]),
    "Geometric": _named("Geometric", PROBS), "Geometric by logits": _named("Geometric", logits=LOGITS),
    "Binomial": _named("Binomial", 7, PROBS), "Binomial by logits": _named("Binomial", [3.0, 20.0, 90.0], logits=LOGITS),
    "Multinomial": _named("Multinomial", 9, WEIGHTS), "Cauchy": _named("Cauchy", LOC, SCALE), "HalfNormal": _named("HalfNormal", POSITIVE),
    "HalfCauchy": _named("HalfCauchy", POSITIVE), "StudentT": _named("StudentT", [0.8, 1.5, 6.0], LOC, SCALE),
    "Chi2": _named("Chi2", POSITIVE),
    "Gumbel": _named("Gumbel", LOC, SCALE), "MultivariateNormal": _named("MultivariateNormal", LOGITS, MATRIX),
    "MultivariateNormal by precision": _named("MultivariateNormal", LOGITS, precision_matrix=MATRIX),
    "MultivariateNormal by factor": _named("MultivariateNormal", LOGITS, scale_tril=[[1.4, 0.0, 0.0], [0.2, 0.9, 0.0], [0.1, -0.2, 0.6]]),
    "FisherSnedecor": _named("FisherSnedecor", POSITIVE, [[1.0], [9.0]]),
    "GeneralizedPareto": _named("GeneralizedPareto", LOC, SCALE, [-0.4, 0.0, 0.3]), "InverseGamma": _named("InverseGamma", POSITIVE, SCALE),
    "Kumaraswamy": _named("Kumaraswamy", POSITIVE, SCALE), "LKJCholesky": _named("LKJCholesky", 3, [0.6, 2.0]),
    "LogisticNormal": _named("LogisticNormal", LOC, SCALE), "LogisticNormal of numbers": _named("LogisticNormal", 0.2, 1.0),
    "LowRankMultivariateNormal": _named("LowRankMultivariateNormal", LOGITS, [[0.4, 1.0], [0.2, -0.3], [1.0, 0.1]], POSITIVE),
    "NegativeBinomial": _named("NegativeBinomial", 4.0, PROBS),
    "NegativeBinomial by logits": _named("NegativeBinomial", [0.0, 2.5, 9.0], logits=LOGITS),
    "Pareto": _named("Pareto", [[0.7], [1.6]], [0.9, 1.5, 6.0]), "RelaxedBernoulli": _named("RelaxedBernoulli", [0.7], PROBS),
    "RelaxedBernoulli by logits": _named("RelaxedBernoulli", [2.0], logits=LOGITS),
    "RelaxedOneHotCategorical": _named("RelaxedOneHotCategorical", [0.7], WEIGHTS),
    "RelaxedOneHotCategorical by logits": _named("RelaxedOneHotCategorical", [2.0], logits=LOGITS),
    "VonMises": _named("VonMises", LOC, [[0.4], [30.0]]), "Weibull": _named("Weibull", POSITIVE, [[0.7], [1.6]]),
    "Wishart": _named("Wishart", [4.0, 9.0], MATRIX), "Wishart by precision": _named("Wishart", 5.0, precision_matrix=MATRIX),
    "ContinuousBernoulli": _named("ContinuousBernoulli", [0.2, 0.4999, 0.9]),
    "ContinuousBernoulli by logits": _named("ContinuousBernoulli", logits=LOGITS),
    "Independent": lambda lib: lib.distributions.Independent(_named("Normal", LOC, SCALE)(lib), 1),
    "transformed": _transformed, "tanh of a vector": _tanh, "mixture": _mixture, "mixture of vectors": _mixture_of_vectors,
}  # fmt: skip


def same(ours, theirs, rtol=2e-5):
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=rtol, atol=2e-6)


def alike(ours, theirs, rtol=2e-5):
    """Both give the same tensor, or both refuse by the same type."""
    try:
        expected = theirs()
    except (
        AttributeError,
        IndexError,
    ):  # an expanded Multinomial of PyTorch has lost a part; its masks do not broadcast
        return
    except Exception as error:
        with pytest.raises(type(error)):
            ours()
        return
    same(ours(), expected, rtol)


@pytest.fixture(params=CASES)
def pair(request):
    make = CASES[request.param]
    return make(lamina), make(torch)


def drawn(pair, sample_shape=(40,)):
    if type(pair[1]).__name__ == "Wishart":  # PyTorch takes good samples for singular ones, and draws anew
        values = pair[0].sample(sample_shape)
        return values, torch.from_numpy(values.numpy())
    lamina.manual_seed(7)
    torch.manual_seed(7)
    return pair[0].sample(sample_shape), pair[1].sample(sample_shape)


def test_same_draws(pair):
    same(*drawn(pair))
    same(*drawn(pair, ()))


def test_densities(pair):
    _, values = drawn(pair)
    ours = lamina.from_numpy(values.numpy())
    alike(lambda: pair[0].log_prob(ours), lambda: pair[1].log_prob(values))
    alike(lambda: pair[0].cdf(ours), lambda: pair[1].cdf(values))
    alike(pair[0].entropy, pair[1].entropy)
    if pair[1].event_shape == ():
        shares = np.linspace(0.01, 0.99, 5, dtype=np.float32).reshape((5,) + (1,) * len(pair[1].batch_shape))
        alike(lambda: pair[0].icdf(lamina.tensor(shares)), lambda: pair[1].icdf(torch.tensor(shares)))


@pytest.mark.parametrize("name", ["mean", "variance", "stddev", "mode"])
def test_moments(pair, name):
    # cancellation in single precision: both are as far from the true value
    rtol = 5e-4 if type(pair[1]).__name__ in ("VonMises", "ContinuousBernoulli") else 2e-5
    alike(lambda: getattr(pair[0], name), lambda: getattr(pair[1], name), rtol)


def test_shapes_text_and_expansion(pair):
    ours, theirs = pair
    assert repr(ours) == repr(theirs)
    assert (ours.batch_shape, ours.event_shape) == (tuple(theirs.batch_shape), tuple(theirs.event_shape))
    assert ours.has_rsample == theirs.has_rsample
    assert repr(ours.support) == repr(theirs.support)
    shape = (4, *theirs.batch_shape)
    larger = ours.expand(shape), theirs.expand(shape)
    assert larger[0].batch_shape == tuple(larger[1].batch_shape)
    same(*drawn(larger, (2,)))
    alike(larger[0].entropy, larger[1].entropy)
    alike(lambda: larger[0].mean, lambda: larger[1].mean)


PAIRS = [
    *((name, name) for name in CASES if "mixture" not in name),
    ("Chi2", "Gamma"),
    *(
        (p.__name__, q.__name__)
        for p, q in torch.distributions.kl._KL_REGISTRY
        if p is not q and {p.__name__, q.__name__} <= CASES.keys()
    ),
]


def _other(name, lib):
    """The distribution again, with other parameters where there are simple ones."""
    parameters = {
        "Normal": (LOC, [[2.0], [0.4]]), "Laplace": ([[1.0, 1.0, 1.0]], SCALE), "Gamma": ([2.0, 0.3, 1.0], SCALE),
        "Beta": (SCALE, POSITIVE),
        "Exponential": ([1.0, 0.1, 7.0],), "Bernoulli": ([0.6, 0.1, 1.0],), "Categorical": ([[0.1, 0.9, 0.0], [0.3, 0.3, 0.4]],),
        "Dirichlet": ([PROBS, POSITIVE],), "Poisson": ([1.0, 5.0, 2.0],), "Geometric": ([0.5, 0.1, 0.3],),
        "Cauchy": ([[1.0, 0.0, 3.0]], SCALE),
        "Gumbel": ([[1.0, 0.0, 3.0]], [[2.0], [1.0]]), "MultivariateNormal": (WEIGHTS, [[1.0, 0, 0], [0, 2.0, 0.5], [0, 0.5, 1.0]]),
        "Pareto": ([[0.3], [1.6]], [1.0, 2.0, 2.5]), "ContinuousBernoulli": ([0.7, 0.3, 0.5001],),
        "Wishart": ([5.0, 3.5], [[1.0, 0, 0], [0, 2.0, 0.5], [0, 0.5, 1.0]]),
        "LowRankMultivariateNormal": (WEIGHTS, [[0.4, 1.0], [0.2, 0.0], [0.5, 0.1]], [1.0, 0.5, 2.0]),
        "Uniform": ([0.0, -2.0, 1.0], 5.0), "Binomial": (7, [0.3, 0.3, 0.3]),
    }.get(name)  # fmt: skip
    return _named(name, *parameters)(lib) if parameters else CASES[name](lib)


@pytest.mark.parametrize("p, q", PAIRS)
def test_divergences(p, q):
    def divergence(lib):
        return lib.distributions.kl_divergence(CASES[p](lib), _other(q, lib))

    alike(lambda: divergence(lamina), lambda: divergence(torch))


WRONG = {
    "a scale below 0": lambda lib, d: d.Normal(0.0, -1.0),
    "a list": lambda lib, d: d.Normal([0.0], 1.0),
    "an empty interval": lambda lib, d: d.Uniform(1.0, 0.0),
    "neither": lambda lib, d: d.Bernoulli(),
    "both": lambda lib, d: d.Categorical(lib.ones(2), lib.ones(2)),
    "no dimension": lambda lib, d: d.Categorical(lib.tensor(1.0)),
    "a number for a value": lambda lib, d: d.Normal(0.0, 1.0).log_prob(0.5),
    "another shape": lambda lib, d: d.Normal(lib.ones(3), 1.0).log_prob(lib.ones(2)),
    "another event": lambda lib, d: d.Dirichlet(lib.ones(3)).log_prob(lib.ones(2)),
    "outside": lambda lib, d: d.Categorical(lib.ones(3)).log_prob(lib.tensor(5)),
    "not positive definite": lambda lib, d: d.MultivariateNormal(lib.zeros(2), -lib.eye(2)),
    "a vector for a matrix": lambda lib, d: d.MultivariateNormal(lib.zeros(2), scale_tril=lib.ones(2)),
    "no matrix": lambda lib, d: d.MultivariateNormal(lib.zeros(2)),
    "no chance": lambda lib, d: d.Geometric(0.0),
    "no formula": lambda lib, d: d.kl_divergence(d.Cauchy(0.0, 1.0), d.Normal(0.0, 1.0)),
    "too many dimensions": lambda lib, d: d.Independent(d.Normal(0.0, 1.0), 1),
    "no transforms": lambda lib, d: d.TransformedDistribution(d.Normal(0.0, 1.0), 3),
    "a scalar for a vector": lambda lib, d: d.TransformedDistribution(d.Normal(0.0, 1.0), d.SoftmaxTransform()),
    "a subclass of its own": lambda lib, d: type(
        "Mine", (d.Normal,), {"__init__": lambda self: d.Normal.__init__(self, lib.zeros(2), 1.0)}
    )().expand((3, 2)),
    "a small correlation": lambda lib, d: d.LKJCholesky(1),
    "a low df": lambda lib, d: d.Wishart(1.0, lib.eye(3)),
    "a cov_factor": lambda lib, d: d.LowRankMultivariateNormal(lib.zeros(3), lib.zeros(2, 1), lib.ones(3)),
    "a reshape": lambda lib, d: d.ReshapeTransform((2, 3), (5,)),
    "a flattened triangle": lambda lib, d: d.CorrCholeskyTransform().forward_shape((5,)),
    "no constraint": lambda lib, d: d.biject_to.register(3, lambda c: None),
    "components": lambda lib, d: d.MixtureSameFamily(d.Categorical(lib.ones(3)), d.Normal(lib.ones(2), 1.0)),
}


@pytest.mark.parametrize("case", WRONG)
def test_sentences(case):
    with pytest.raises(Exception) as theirs:
        WRONG[case](torch, torch.distributions)
    with pytest.raises(type(theirs.value)) as ours:
        WRONG[case](lamina, lamina.distributions)
    assert str(ours.value) == str(theirs.value)


GRADIENTS = {
    **dict.fromkeys(("Normal", "LogNormal", "Uniform", "Laplace", "Cauchy", "Gumbel", "Weibull", "Pareto", "Kumaraswamy"), 2),
    **dict.fromkeys(("Exponential", "HalfNormal", "HalfCauchy", "ContinuousBernoulli"), 1),
    "GeneralizedPareto": 3,
}  # fmt: skip
IMPLICIT = {"Gamma": 2, "Chi2": 1, "StudentT": 1, "Beta": 2, "Dirichlet": 1, "FisherSnedecor": 2, "InverseGamma": 2}


def gradients(lib, name, leaves, loss):
    lib.manual_seed(3)
    values = [[0.5, 0.8, 0.2], [2.0, 3.0, 30.0], [0.1, 0.0, -0.2]][:leaves]
    if name == "Uniform":
        values[1] = [2.0, 3.0, 4.0]
    parameters = [lib.tensor(v, requires_grad=True) for v in values]
    loss(getattr(lib.distributions, name)(*parameters)).backward()
    return [p.grad for p in parameters]


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_of_draws(name):
    def loss(made):
        return made.rsample((5,)).sin().sum() + (0.0 if name == "HalfCauchy" else made.entropy().sum())

    for ours, theirs in zip(*(gradients(lib, name, GRADIENTS[name], loss) for lib in (lamina, torch)), strict=True):
        same(ours, theirs)


@pytest.mark.parametrize("name", IMPLICIT)
def test_implicit_gradients_of_draws(name):
    """PyTorch's slope is an approximation, good to a thousandth."""
    ours, theirs = (
        gradients(lib, name, IMPLICIT[name], lambda made: (made.rsample((50,)) ** 2).sum()) for lib in (lamina, torch)
    )
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=2e-3, atol=1e-4)


def test_slope_of_beta():
    """Against central differences of the inverse distribution function."""
    rng = np.random.default_rng(5)
    a, b = np.exp(rng.uniform(-2, 4, (2, 40)))
    x = rng.beta(a, b)
    step = 1e-5 * a
    moved = [special.betaincinv(c, b, special.betainc(a, b, x)) for c in (a - step, a + step)]
    expected = (moved[1] - moved[0]) / (2 * step) / (1 - x)
    found = lamina._dirichlet_grad(*(lamina.from_numpy(v) for v in (x, a, a + b)))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def _maps(d, lib):
    return {
        "stick": (d.StickBreakingTransform(), (3,)), "correlation": (d.CorrCholeskyTransform(), (6,)),
        "lower": (d.LowerCholeskyTransform(), (3, 3)), "definite": (d.PositiveDefiniteTransform(), (3, 3)),
        "reshape": (d.ReshapeTransform((2, 3), (6,)), (2, 3)),
        "cat": (d.CatTransform([d.ExpTransform(), d.AffineTransform(1.0, -2.0)], dim=-1, lengths=[1, 2]), (3,)),
        "cat of vectors": (d.CatTransform([d.StickBreakingTransform().inv, d.ExpTransform()], dim=0, lengths=[1, 2]), (3, 4)),
        "stack": (d.StackTransform([d.ExpTransform(), d.TanhTransform(), d.SigmoidTransform()], dim=-1), (2, 3)),
        "cdf": (d.transforms.CumulativeDistributionTransform(d.Normal(0.5, 2.0)), (3,)),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["stick", "correlation", "lower", "definite", "reshape", "cat", "stack", "cdf"])
def test_maps(name):
    results = []
    for lib in (lamina, torch):
        made, shape = _maps(lib.distributions, lib)[name]
        x = lib.tensor(np.linspace(-1.5, 1.2, 2 * int(np.prod(shape)), dtype=np.float32).reshape(2, *shape))
        y = made(x)
        found = [y, made.inv(y)]
        assert tuple(made.forward_shape(x.shape)) == tuple(y.shape)
        assert tuple(made.inverse_shape(y.shape)) == tuple(x.shape)
        if name not in ("lower", "definite"):
            found.append(made.log_abs_det_jacobian(x, y))
        results.append((found, repr(made.domain), repr(made.codomain), made.bijective, made.with_cache(1)._cache_size))
    for ours, theirs in zip(results[0][0], results[1][0], strict=True):
        same(ours, theirs)
    assert results[0][1:] == results[1][1:]


CONSTRAINED = {
    "real": lambda c, lib: c.real, "positive": lambda c, lib: c.positive, "above": lambda c, lib: c.greater_than(2.0),
    "below": lambda c, lib: c.less_than(2.0), "unit": lambda c, lib: c.unit_interval, "interval": lambda c, lib: c.interval(-1.0, 2.0),
    "half open": lambda c, lib: c.half_open_interval(lib.tensor([0.0, 1.0]), 4.0), "simplex": lambda c, lib: c.simplex,
    "vector": lambda c, lib: c.independent(c.positive, 1), "lower": lambda c, lib: c.lower_cholesky,
    "definite": lambda c, lib: c.positive_definite, "correlation": lambda c, lib: c.corr_cholesky,
    "cat": lambda c, lib: c.cat([c.positive, c.unit_interval], dim=-1), "stack": lambda c, lib: c.stack([c.positive, c.real], dim=-1),
    "integer": lambda c, lib: c.nonnegative_integer,
}  # fmt: skip


@pytest.mark.parametrize("name", CONSTRAINED)
@pytest.mark.parametrize("registry", ["biject_to", "transform_to"])
def test_constraint_registry(registry, name):
    def sent(lib):
        constraint = CONSTRAINED[name](lib.distributions.constraints, lib)
        shape = (2, 2) if name in ("lower", "definite") else (3, 1) if name == "correlation" else (3, 2)
        y = getattr(lib.distributions, registry)(constraint)(lib.linspace(-2, 2, int(np.prod(shape))).reshape(shape))
        assert constraint.check(y).all()
        return y

    alike(lambda: sent(lamina), lambda: sent(torch))
