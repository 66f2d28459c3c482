"""Recurrent layers by native code give what NumPy's loops give, and their gradients too."""

import numpy as np
import pytest

import lamina
from lamina.compiler import recurrent
from lamina.compiler.available import available
from lamina.primitives.primitive import Slots

pytestmark = [pytest.mark.full, pytest.mark.skipif(not available(), reason="no native code here")]


def results(layer, dtype, sizes):
    steps, batch, features, width = sizes
    lamina.manual_seed(7)
    net = layer(features, width, bidirectional=True, dtype=dtype)
    x = lamina.randn(steps, batch, features, dtype=dtype, requires_grad=True)
    out, last = net(x)
    outs = [out, *(last if isinstance(last, tuple) else (last,))]
    given = [lamina.randn(o.shape, dtype=dtype) for o in outs]
    return [*outs, *lamina.autograd.grad(outs, [x, *net.parameters()], given)]


@pytest.mark.parametrize("dtype", (lamina.float32, lamina.float64), ids=str)
@pytest.mark.parametrize("sizes", ((5, 3, 4, 7), (3, 9, 5, 32)), ids=str)
@pytest.mark.parametrize("name", ("LSTM", "GRU", "RNN", "relu"))
def test_native_loops(name, sizes, dtype, monkeypatch):
    def layer(*args, **options):
        if name == "relu":
            return lamina.nn.RNN(*args, nonlinearity="relu", **options)
        return getattr(lamina.nn, name)(*args, **options)

    monkeypatch.setattr(Slots, "recurrent", None)
    expected = results(layer, dtype, sizes)
    ran = []

    def run(name, order, arrays):
        ran.append(recurrent.run(name, order, arrays))
        return ran[-1]

    monkeypatch.setattr(recurrent, "WORTH", 0)
    monkeypatch.setattr(Slots, "recurrent", staticmethod(run))
    found = results(layer, dtype, sizes)
    assert ran == [True] * 4
    tolerance = 1e-5 if dtype is lamina.float32 else 1e-12
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), rtol=tolerance, atol=tolerance)
