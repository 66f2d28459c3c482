"""Eager's native kernels: near NumPy's results, and the same bits at each call, the first included."""

import numpy as np
import pytest

import lamina
from lamina.compiler import pipeline
from lamina.compiler.available import available
from lamina.core import warn
from lamina.primitives.primitive import Slots

F = lamina.nn.functional
pytestmark = [pytest.mark.full, pytest.mark.skipif(not available(), reason="no native code here")]

ROWS, WIDTH = 96, 517  # of a size for which there are kernels


def layers(x, w, b):
    return F.layer_norm(x, (WIDTH,), w, b)


def groups(x, w, b):
    return F.group_norm(x.view(ROWS // 2, 2, WIDTH), 2, w[:2], b[:2])


def channels(x, w, b):
    return F.batch_norm(x, None, None, w, b, training=True)


CASES = {
    "layer_norm": layers,
    "group_norm": groups,
    "batch_norm": channels,
    "rms_norm": lambda x, w, b: F.rms_norm(x, (WIDTH,), w),
    "softmax": lambda x, w, b: lamina.softmax(x, 1) * w,
    "log_softmax": lambda x, w, b: lamina.log_softmax(x, 1) * w,
    "gelu": lambda x, w, b: F.gelu(x),
    "cross_entropy": lambda x, w, b: F.cross_entropy(x, lamina.arange(ROWS), reduction="none"),
    "twice": lambda x, w, b: F.layer_norm(x, (WIDTH,), w, w),
}


def results(function):
    lamina.manual_seed(0)
    x, w, b = lamina.randn(ROWS, WIDTH), lamina.rand(WIDTH) + 0.5, lamina.randn(WIDTH)
    for t in (x, w, b):
        t.requires_grad_()
    out = function(x, w, b)
    return [out, *lamina.autograd.grad(out, [x, w, b], lamina.randn(out.shape), allow_unused=True)]


@pytest.mark.parametrize("name", CASES)
def test_bits_and_values(name, monkeypatch):
    first, *others = (results(CASES[name]) for _ in range(4))
    for again in others:
        for one, other in zip(first, again, strict=True):
            assert one is other is None or lamina.equal(one, other)
    monkeypatch.setattr(Slots, "fuser", None)
    for one, other in zip(first, results(CASES[name]), strict=True):
        if one is not None:
            np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), rtol=2e-5, atol=2e-5)


def test_numpy_computes_where_native_code_cannot_be_made(monkeypatch):
    def damaged(*_):
        raise OSError("llvmlite is damaged")

    x = lamina.ones(ROWS, WIDTH + 1)  # a shape that no program was made for
    monkeypatch.setattr(pipeline, "planned", damaged)
    monkeypatch.setattr(warn, "said", set())
    with pytest.warns(UserWarning, match=r"native code cannot be made \(OSError: llvmlite is damaged\)"):
        first = lamina.softmax(x, 1)
    assert lamina.softmax(x, 1).equal(first)
    lamina.testing.assert_close(first, lamina.full_like(x, 1 / (WIDTH + 1)))
