"""Trust in replays: the same bits for any number of threads, a wrong kernel found out, forks."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest

import lamina as torch
from lamina import nn
from lamina.compiler.available import available
from lamina.primitives.primitive import PRIMITIVES

pytestmark = [pytest.mark.full, pytest.mark.skipif(not available(), reason="no native code here")]


def trained(threads):
    """Parameters after some compiled steps of a net that is large enough to be spread over threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # the first calls are eager: their products are the BLAS library's
    try:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(300, 400), nn.GELU(), nn.LayerNorm(400), nn.Linear(400, 10))
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

        @torch.compile
        def step(x, y):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        losses = []
        for i in range(8):
            if i == 3:
                torch.set_num_threads(threads)
            losses.append(step(torch.randn(256, 300), torch.randint(0, 10, (256,))).item())
        assert step.calls["replayed"] >= 3
        return losses, [p.detach().numpy().copy() for p in model.parameters()]
    finally:
        torch.set_num_threads(before)


def test_threads_do_not_show():
    trained(1)  # eager calls on large arrays go over to native kernels after some
    one, two, again = trained(1), trained(2), trained(2)
    for other in (two, again):
        assert one[0] == other[0]
        for a, b in zip(one[1], other[1], strict=True):
            assert np.array_equal(a, b)


def test_a_wrong_kernel_is_found_out(monkeypatch):
    monkeypatch.setattr(PRIMITIVES["tanh"], "emit", lambda b, x: b.sin(x))
    weight = torch.randn(3, requires_grad=True)
    f = torch.compile(lambda x: torch.tanh(x * weight).sum().backward())
    with pytest.warns(RuntimeWarning, match="a replay gave another result than an eager run"):
        for i in range(4):
            weight.grad = None
            x = torch.full((3,), float(i + 1))
            f(x)
            expected = torch.autograd.grad(torch.tanh(x * weight).sum(), weight)[0]
            assert torch.allclose(weight.grad, expected)


def test_a_child_goes_on():
    f = torch.compile(lambda x: (x @ x).tanh().sum())
    x = torch.randn(200, 200)
    expected = [f(x).item() for _ in range(4)][-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 says that a process with threads forks
        child = os.fork()
    if child == 0:
        os._exit(0 if f(x).item() == expected and f(x + 0).item() == expected else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
