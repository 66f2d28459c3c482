"""Parametrized and normalised weights: what they promise of their values, and that they can be taken off again."""

import copy

import pytest

import lamina
from lamina import nn
from lamina.nn.utils import parametrizations, parametrize


def singular(matrix):
    return lamina.linalg.svdvals(matrix.detach().double())


@pytest.mark.parametrize("shape", [(3, 3), (5, 2), (2, 5)])
@pytest.mark.parametrize("trivialization", [True, False])
@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley", "householder"])
def test_orthogonal_stays_orthogonal_while_it_learns(shape, trivialization, orthogonal_map):
    lamina.manual_seed(0)
    m = parametrizations.orthogonal(nn.Linear(*shape), orthogonal_map=orthogonal_map, use_trivialization=trivialization)
    original = m.parametrizations.weight.original
    before = m.weight.detach().clone()
    m(lamina.arange(float(shape[0])).unsqueeze(0)).square().sum().backward()
    with lamina.no_grad():
        original -= 0.05 * original.grad
    assert lamina.allclose(singular(m.weight), lamina.ones(min(shape), dtype=lamina.float64), atol=1e-5)
    assert not m.weight.equal(before)


@pytest.mark.parametrize("make", [parametrizations.spectral_norm, nn.utils.spectral_norm])
def test_spectral_norm_finds_the_largest_singular_value(make):
    lamina.manual_seed(0)
    m = nn.Linear(6, 4)
    largest = singular(m.weight)[0]
    plain = m.weight.detach().clone()
    make(m)
    for _ in range(60):
        m(lamina.ones(1, 6))
    assert lamina.allclose(m.weight.detach() * largest.float(), plain, rtol=1e-4)
    m.eval()
    x = lamina.ones(1, 6)
    assert m(x).equal(m(x))


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("make", ["parametrized", "hook"])
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_weight_norm_separates_size_and_direction(dim, make):
    m = nn.Linear(3, 4)
    plain = m.weight.detach().clone()
    if make == "hook":
        nn.utils.weight_norm(m, dim=dim)
        size, direction = m.weight_g, m.weight_v
    else:
        parametrizations.weight_norm(m, dim=dim)
        size, direction = m.parametrizations.weight.original0, m.parametrizations.weight.original1
    assert lamina.allclose(m.weight, plain)
    with lamina.no_grad():
        size *= 2
        direction *= 3  # of no effect
    m(lamina.ones(1, 3))
    assert lamina.allclose(m.weight, plain * 2)
    if make == "hook":
        nn.utils.remove_weight_norm(m)
    else:
        parametrize.remove_parametrizations(m, "weight")
    assert [name for name, _ in m.named_parameters()] == ["bias", "weight"]
    assert lamina.allclose(m.weight, plain * 2)


class Doubled(nn.Module):
    def forward(self, x):
        return x * 2

    def right_inverse(self, x):
        return x / 2


def test_assignment_goes_through_the_inverses_and_back():
    m = nn.Linear(2, 2)
    value = lamina.tensor([[1.0, 2.0], [3.0, 4.0]])
    weight = m.weight
    for _ in range(2):
        parametrize.register_parametrization(m, "weight", Doubled())
    m.weight = value
    assert m.weight.equal(value)
    assert m.parametrizations.weight.original.equal(value / 4)
    assert m.parametrizations.weight.original is weight  # an optimizer may hold it
    value.zero_()
    assert m.weight[0, 0] == 1.0  # what was assigned was copied


def test_a_copy_is_independent():
    m = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Doubled())
    twin = copy.deepcopy(m)
    parametrize.remove_parametrizations(m, "weight")
    assert type(m) is nn.Linear
    assert parametrize.is_parametrized(twin, "weight")
    assert twin.weight.equal(m.weight)
    parametrize.remove_parametrizations(twin, "weight")
    assert twin.weight.equal(m.weight)


def test_a_refused_parametrization_changes_nothing():
    m = nn.Linear(2, 3)
    weight, before = m.weight, m.weight.detach().clone()

    class Flat(nn.Module):
        def forward(self, x):
            return x.flatten()

    with pytest.raises(ValueError, match="may not change the shape"):
        parametrize.register_parametrization(m, "weight", Flat())
    assert type(m) is nn.Linear
    assert m.weight is weight
    assert weight.equal(before)


def test_cached_computes_once():
    count = []

    class Counted(nn.Module):
        def forward(self, x):
            count.append(1)
            return x * 1

    m = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Counted())
    count.clear()
    with parametrize.cached():
        assert m.weight is m.weight
    assert len(count) == 1
    assert m.weight is not m.weight
