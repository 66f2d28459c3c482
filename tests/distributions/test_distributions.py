"""Distributions by their own laws: densities sum to one, draws have the moments, rsample has the gradient of the mean."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
import lamina.distributions as d

CONTINUOUS = {
    "Normal": lambda: d.Normal(0.5, 1.5), "LogNormal": lambda: d.LogNormal(0.1, 0.4), "Uniform": lambda: d.Uniform(-1.0, 2.0),
    "Exponential": lambda: d.Exponential(1.7), "Laplace": lambda: d.Laplace(0.3, 0.8), "Gamma": lambda: d.Gamma(2.5, 1.3),
    "Beta": lambda: d.Beta(2.0, 3.0), "HalfNormal": lambda: d.HalfNormal(1.2), "StudentT": lambda: d.StudentT(8.0, 0.5, 1.1),
    "Chi2": lambda: d.Chi2(4.0), "Gumbel": lambda: d.Gumbel(0.2, 0.9),
    "MixtureSameFamily": lambda: d.MixtureSameFamily(d.Categorical(lamina.tensor([0.3, 0.7])), d.Normal(lamina.tensor([-1.0, 2.0]), 0.7)),
}  # fmt: skip
DISCRETE = {
    "Bernoulli": lambda: d.Bernoulli(0.3), "Poisson": lambda: d.Poisson(3.5), "Geometric": lambda: d.Geometric(0.4),
    "Binomial": lambda: d.Binomial(9, 0.35),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTINUOUS)
def test_density_has_area_one_and_the_moments(name):
    made = CONTINUOUS[name]()
    x = lamina.linspace(-60.0, 60.0, 1_200_001, dtype=lamina.float64)
    inside = x[made.support.check(x)]
    density = made.log_prob(inside).exp().double()
    density = density.where(density.isfinite(), 0.0)  # an end of the support
    step = float(x[1] - x[0])
    mean = float((density * inside).sum() * step)
    assert float(density.sum() * step) == pytest.approx(1, abs=2e-3)
    assert mean == pytest.approx(float(made.mean), abs=5e-3)
    assert float((density * (inside - mean) ** 2).sum() * step) == pytest.approx(float(made.variance), rel=1e-2)


@pytest.mark.parametrize("name", DISCRETE)
def test_chances_sum_to_one(name):
    made = DISCRETE[name]()
    k = lamina.arange(200.0)
    k = k[made.support.check(k)]
    chances = made.log_prob(k).exp()
    assert float(chances.sum()) == pytest.approx(1, abs=1e-5)
    assert float((chances * k).sum()) == pytest.approx(float(made.mean), rel=1e-4)


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
def test_draws_have_the_moments(name):
    made = (CONTINUOUS | DISCRETE)[name]()
    lamina.manual_seed(1)
    drawn = made.sample((40_000,))
    assert drawn.shape == (40_000,)
    assert not drawn.requires_grad
    assert made.support.check(drawn).all()
    spread = float(made.stddev)
    assert float(drawn.mean()) == pytest.approx(float(made.mean), abs=5 * spread / 200)
    assert float(drawn.std()) == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize("name", ["Normal", "LogNormal", "Uniform", "Laplace", "Gumbel"])
def test_gradient_of_rsample_is_that_of_the_mean(name):
    a, b = (lamina.tensor(v, requires_grad=True) for v in (0.2, 0.7))
    lamina.manual_seed(2)
    made = getattr(d, name)(a, b)
    drawn = lamina.autograd.grad(made.rsample((40_000,)).mean(), (a, b), allow_unused=True)
    exact = lamina.autograd.grad(made.mean, (a, b), allow_unused=True)
    for one, other in zip(drawn, exact, strict=True):
        assert float(one) == pytest.approx(0.0 if other is None else float(other), abs=0.05)


@pytest.mark.parametrize("transform", [
    d.ExpTransform(), d.SigmoidTransform(), d.TanhTransform(), d.SoftplusTransform(), d.AffineTransform(0.5, -2.0),
    d.ComposeTransform([d.AffineTransform(0.1, 0.5), d.ExpTransform(), d.PowerTransform(2.0)]), d.ExpTransform().inv.inv,
], ids=lambda t: type(t).__name__)  # fmt: skip
def test_transform_inverts_and_knows_its_slope(transform):
    x = lamina.linspace(-2.0, 2.0, 9, dtype=lamina.float64, requires_grad=True)
    y = transform(x)
    (slope,) = lamina.autograd.grad(y.sum(), x)
    np.testing.assert_allclose(transform.inv(y).detach().numpy(), x.detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(
        transform.log_abs_det_jacobian(x, y).detach().numpy(), slope.abs().log().numpy(), atol=1e-6
    )


def test_divergence_is_the_mean_of_the_difference():
    p, q = d.Gamma(2.0, 1.5), d.Gamma(3.0, 1.0)
    lamina.manual_seed(3)
    drawn = p.sample((40_000,))
    assert float(d.kl_divergence(p, q)) == pytest.approx(
        float((p.log_prob(drawn) - q.log_prob(drawn)).mean()), abs=0.02
    )


def test_a_pair_of_ones_own():
    class Mine(d.Normal):
        pass

    @d.register_kl(Mine, d.Normal)
    def _(p, q):
        return lamina.tensor(42.0)

    assert d.kl_divergence(Mine(0.0, 1.0), d.Normal(0.0, 1.0)) == 42
    assert d.kl_divergence(d.Normal(0.0, 1.0), Mine(0.0, 1.0)) == 0


@pytest.mark.parametrize("a", [0.05, 0.7, 3.0, 40.0])
def test_slope_of_gamma_draws(a):
    """A draw moves with the concentration so that its share of the distribution stays."""
    lamina.manual_seed(4)
    concentration = lamina.full((200,), a, dtype=lamina.float64, requires_grad=True)
    drawn = d.Gamma(concentration, 1.0).rsample()
    drawn.sum().backward()
    x, slope, h = drawn.detach(), concentration.grad, 1e-5 * a
    share = lamina.special.gammainc
    moved = share(lamina.tensor(a + h, dtype=lamina.float64), x + h * slope)
    back = share(lamina.tensor(a - h, dtype=lamina.float64), x - h * slope)
    np.testing.assert_allclose(((moved - back) / (2 * h)).numpy(), 0.0, atol=1e-5)


@pytest.mark.parametrize("a", [0.3, 2.0, 9.0])
def test_slope_of_beta_draws(a):
    """For b = 2 the distribution function is (a + 1) x**a - a x**(a + 1): its share stays."""
    lamina.manual_seed(4)
    concentration = lamina.full((200,), a, dtype=lamina.float64, requires_grad=True)
    drawn = d.Beta(concentration, lamina.tensor(2.0, dtype=lamina.float64)).rsample()
    drawn.sum().backward()
    x, slope, h = drawn.detach(), concentration.grad, 1e-5 * a

    def share(c, end):
        return (c + 1) * end**c - c * end ** (c + 1)

    change = (share(a + h, x + h * slope) - share(a - h, x - h * slope)) / (2 * h)
    np.testing.assert_allclose(change.numpy(), 0.0, atol=1e-6)
