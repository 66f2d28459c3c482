"""lamina.distributions against torch.distributions: densities, entropies, moments, draws of one seed, divergences, sentences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

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
    "Independent": lambda lib: lib.distributions.Independent(_named("Normal", LOC, SCALE)(lib), 1),
    "transformed": _transformed, "tanh of a vector": _tanh, "mixture": _mixture, "mixture of vectors": _mixture_of_vectors,
}  # fmt: skip


def same(ours, theirs):
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=2e-5, atol=2e-6)


def alike(ours, theirs):
    """Both give the same tensor, or both refuse by the same type."""
    try:
        expected = theirs()
    except AttributeError:  # an expanded Multinomial of PyTorch has lost a part
        return
    except Exception as error:
        with pytest.raises(type(error)):
            ours()
        return
    same(ours(), expected)


@pytest.fixture(params=CASES)
def pair(request):
    make = CASES[request.param]
    return make(lamina), make(torch)


def drawn(pair, sample_shape=(40,)):
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
    alike(lambda: getattr(pair[0], name), lambda: getattr(pair[1], name))


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
    ("Exponential", "Gamma"), ("Gamma", "Exponential"), ("Laplace", "Normal"), ("Uniform", "Normal"), ("Normal", "Uniform"),
    ("Exponential", "Uniform"), ("Gumbel", "Beta"), ("Poisson", "Bernoulli"), ("Chi2", "Gamma"),
]  # fmt: skip


def _other(name, lib):
    """The distribution again, with other parameters where there are simple ones."""
    parameters = {
        "Normal": (LOC, [[2.0], [0.4]]), "Laplace": ([[1.0, 1.0, 1.0]], SCALE), "Gamma": ([2.0, 0.3, 1.0], SCALE),
        "Beta": (SCALE, POSITIVE),
        "Exponential": ([1.0, 0.1, 7.0],), "Bernoulli": ([0.6, 0.1, 1.0],), "Categorical": ([[0.1, 0.9, 0.0], [0.3, 0.3, 0.4]],),
        "Dirichlet": ([PROBS, POSITIVE],), "Poisson": ([1.0, 5.0, 2.0],), "Geometric": ([0.5, 0.1, 0.3],),
        "Cauchy": ([[1.0, 0.0, 3.0]], SCALE),
        "Gumbel": ([[1.0, 0.0, 3.0]], [[2.0], [1.0]]), "MultivariateNormal": (WEIGHTS, [[1.0, 0, 0], [0, 2.0, 0.5], [0, 0.5, 1.0]]),
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
    "components": lambda lib, d: d.MixtureSameFamily(d.Categorical(lib.ones(3)), d.Normal(lib.ones(2), 1.0)),
}


@pytest.mark.parametrize("case", WRONG)
def test_sentences(case):
    with pytest.raises(Exception) as theirs:
        WRONG[case](torch, torch.distributions)
    with pytest.raises(type(theirs.value)) as ours:
        WRONG[case](lamina, lamina.distributions)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize(
    "name", ["Normal", "LogNormal", "Uniform", "Exponential", "Laplace", "Cauchy", "HalfNormal", "Gumbel"]
)
def test_gradients_of_draws(name):
    def gradients(lib):
        lib.manual_seed(3)
        leaves = [lib.tensor([0.5, 1.0], requires_grad=True), lib.tensor([2.0, 3.0], requires_grad=True)]
        leaves = leaves[1:] if name in ("Exponential", "HalfNormal") else leaves
        made = getattr(lib.distributions, name)(*leaves)
        (made.rsample((5,)).sin().sum() + made.entropy().sum()).backward()
        return [leaf.grad for leaf in leaves]

    for ours, theirs in zip(gradients(lamina), gradients(torch), strict=True):
        same(ours, theirs)


@pytest.mark.parametrize("name", ["Gamma", "Chi2", "StudentT"])
def test_implicit_gradients_of_draws(name):
    """PyTorch's slope is an approximation, good to a thousandth."""

    def gradient(lib):
        lib.manual_seed(3)
        leaf = lib.tensor([0.3, 1.0, 2.5, 30.0], requires_grad=True)
        getattr(lib.distributions, name)(leaf, *((1.5,) if name == "Gamma" else ())).rsample((5,)).sum().backward()
        return leaf.grad.numpy()

    np.testing.assert_allclose(gradient(lamina), gradient(torch), rtol=1e-3, atol=1e-5)
