"""Sums down columns beside loops over rows: where they are made so, and that they are right."""

import numpy as np
import pytest

import lamina
from lamina.compiler.available import available
from lamina.compiler.passes import columns

pytestmark = [pytest.mark.full, pytest.mark.skipif(not available(), reason="no native code here")]


def rows(x, g):
    y = lamina.softmax(x, 1)
    return y, (g * y).sum(0)


def backward(x, g):
    leaf = x.detach().requires_grad_()
    weight = lamina.ones(x.shape[1]).requires_grad_()
    out = lamina.nn.functional.layer_norm(leaf, x.shape[1:], weight)
    return lamina.autograd.grad(out, (leaf, weight), g)


def needed(x, g):
    """The rows need the sums: one after the other."""
    mean = x.mean(0)
    return mean, x - mean


def between(x, g):
    """What lies between the sums and the rows needs the ones and is needed by the others."""
    y = x * g
    total = y.sum(0).sum()
    return total, lamina.softmax(y, 1) + total


CASES = {rows: True, backward: True, needed: False, between: False}


@pytest.mark.parametrize("shape", ((48, 33), (96, 5), (47, 20)), ids=str)
@pytest.mark.parametrize("program", CASES, ids=lambda program: program.__name__)
def test_columns_beside(program, shape, monkeypatch):
    lamina.manual_seed(1)
    x, g = lamina.randn(shape), lamina.randn(shape)
    expected = program(x, g)
    joined = []
    reordered = columns._reordered
    monkeypatch.setattr(columns, "LEAST", 0)
    monkeypatch.setattr(columns, "_reordered", lambda *args: joined.append(args) or reordered(*args))
    compiled = lamina.compile(program, verify="never")
    for _ in range(3):
        found = compiled(x, g)
    assert bool(joined) == (CASES[program] and shape != (47, 20))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), rtol=1e-4, atol=1e-5)
