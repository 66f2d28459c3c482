"""Sizes that no memory has: refused in PyTorch's type at once, and never taken for another size."""

from __future__ import annotations

import pytest

import lamina

F = lamina.nn.functional
BEYOND = 2**63 - 1  # the largest that is a number for PyTorch; NumPy's own sums of it wrap around
HUGE = 2**62

REFUSED = {
    "zeros": lambda n: lamina.zeros(n),
    "rand": lambda n: lamina.rand(n),
    "randint": lambda n: lamina.randint(5, (n,)),
    "randperm": lambda n: lamina.randperm(n),
    "Tensor": lambda n: lamina.Tensor(n),
    "arange": lambda n: lamina.arange(n),
    "arange of floats": lambda n: lamina.arange(0.0, float(n)),
    "linspace": lambda n: lamina.linspace(0, 1, n),
    "logspace": lambda n: lamina.logspace(0, 1, n),
    "eye": lambda n: lamina.eye(n),
    "tril_indices": lambda n: lamina.tril_indices(n, n),
    "kaiser_window": lambda n: lamina.kaiser_window(n),
    "hann_window": lambda n: lamina.hann_window(n),
    "fftfreq": lambda n: lamina.fft.fftfreq(n),
    "repeat": lambda n: lamina.ones(3).repeat(n),
    "expand twice": lambda n: lamina.ones(1).expand(n, n),
    "resize_": lambda n: lamina.ones(3).resize_(n),
    "empty_strided": lambda n: lamina.empty_strided((2,), (n,)),
    "bincount": lambda n: lamina.bincount(lamina.tensor([n])),
    "interpolate": lambda n: F.interpolate(lamina.ones(1, 1, 3), size=n),
    "adaptive_max_pool2d": lambda n: F.adaptive_max_pool2d(lamina.ones(1, 1, 3, 3), n),
    "adaptive_avg_pool1d": lambda n: F.adaptive_avg_pool1d(lamina.ones(1, 1, 3), n),
    "zeros of none": lambda n: lamina.zeros(n, n, 0),
    "rand of none": lambda n: lamina.rand(n, n, 0),
}


@pytest.mark.parametrize("size", [HUGE, BEYOND])
@pytest.mark.parametrize("name", REFUSED)
def test_no_such_memory(name, size):
    with pytest.raises(RuntimeError):
        REFUSED[name](size)


@pytest.mark.parametrize("size", [2**63, 10**30])
@pytest.mark.parametrize("function", [lamina.zeros, lamina.rand, lamina.empty, lamina.ones(1).new_zeros])
def test_no_such_number(function, size):
    with pytest.raises(TypeError, match="Overflow when unpacking long long"):
        function(size)


def test_the_least_number_is_one():
    x = lamina.ones(2, 2)
    with pytest.raises(IndexError, match="but got -9223372036854775808"):
        x.sum(-(2**63))


@pytest.mark.parametrize("at", [(0, (2,), (-1,)), (-1, (2,), (1,)), (0, (-1,), (0,))])
def test_nothing_before_a_storage(at):
    x = lamina.ones(3)
    with pytest.raises(RuntimeError):
        x.set_(lamina.ones(3).untyped_storage(), *at)
    assert x.tolist() == [1, 1, 1]


@pytest.mark.parametrize("offset", [-(2**40), -2, 0, 1, 2**40])
def test_triangles_cost_what_they_hold(offset):
    mask = lamina.ones(3, 4, dtype=lamina.bool)
    assert lamina.tril_indices(3, 4, offset).equal(mask.tril(offset).nonzero().T)
    assert lamina.triu_indices(3, 4, offset).equal(mask.triu(offset).nonzero().T)


def test_rows_that_hold_nothing_cost_nothing():
    assert lamina.triu_indices(2**40, 2).tolist() == [[0, 0, 1], [0, 1, 1]]
