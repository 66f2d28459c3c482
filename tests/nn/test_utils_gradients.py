"""Clipping, vectors of parameters, functional calls."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina import nn
from lamina.nn.utils.stateless import _functional_call

GRADS = st.lists(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=5), min_size=1, max_size=4)


def params_of(grads):
    params = [nn.Parameter(lamina.zeros(len(g))) for g in grads]
    for param, grad in zip(params, grads, strict=True):
        param.grad = lamina.tensor(grad)
    return [*params, nn.Parameter(lamina.zeros(1))]


def norm_of(values, order):
    sizes = [abs(v) for v in values]
    return max(sizes) if order == math.inf else sum(v**order for v in sizes) ** (1 / order)


@settings(max_examples=60, deadline=None)
@given(GRADS, st.sampled_from([1.0, 2.0, 3.0, math.inf]), st.floats(0.5, 200))
def test_clip_by_norm(grads, order, limit):
    params = params_of(grads)
    flat = [v for g in grads for v in g]
    total = norm_of(flat, order)
    assert nn.utils.clip_grad_norm_(iter(params), limit, order).item() == pytest.approx(total, rel=1e-4, abs=1e-6)
    scale = min(1.0, limit / (total + 1e-6))
    left = [v for p in params if p.grad is not None for v in p.grad.tolist()]
    assert left == pytest.approx([v * scale for v in flat], rel=1e-4, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(GRADS, st.floats(0.5, 50))
def test_clip_by_value(grads, limit):
    params = params_of(grads)
    nn.utils.clip_grad_value_(params, limit)
    left = [v for p in params if p.grad is not None for v in p.grad.tolist()]
    assert left == pytest.approx([max(-limit, min(limit, v)) for g in grads for v in g], rel=1e-6)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_not_finite_is_refused_and_nothing_changed(value):
    params = params_of([[1.0, value]])
    with pytest.raises(RuntimeError, match="non-finite, so it cannot be clipped"):
        nn.utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert params[0].grad[0] == 1.0


def test_vector_round_trip():
    lamina.manual_seed(0)
    m, other = nn.Linear(3, 2), nn.Linear(3, 2)
    vector = nn.utils.parameters_to_vector(m.parameters())
    vector.sum().backward()
    assert m.weight.grad.equal(lamina.ones(2, 3))
    nn.utils.vector_to_parameters(vector, other.parameters())
    assert other.weight.equal(m.weight)
    assert other.bias.equal(m.bias)
    assert other.weight.is_leaf


@pytest.mark.parametrize("fails", [False, True])
def test_functional_call_puts_everything_back(fails):
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    tensors = {k: v.detach().clone() for k, v in before.items()}
    tensors["0.weight"] = lamina.zeros(2, 5 if fails else 2, requires_grad=True)
    x = lamina.ones(3, 2)
    if fails:
        with pytest.raises(RuntimeError):
            _functional_call(net, tensors, x)
    else:
        _functional_call(net, tensors, x).sum().backward()
        assert tensors["0.weight"].grad is not None
        assert tensors["1.num_batches_tracked"].item() == 1
    after = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    assert all(after[name] is tensor for name, tensor in before.items())
    assert net[1].num_batches_tracked.item() == 0
