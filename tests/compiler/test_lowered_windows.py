"""Convolutions, pooling and sums of rows inside compiled functions: as kernels, with eager's values."""

import numpy as np
import pytest

import lamina
import lamina.nn.functional as F

pytestmark = pytest.mark.full

x = lamina.randn(2, 3, 12, 12, generator=lamina.Generator().manual_seed(0))
table = lamina.randn(7, 5, generator=lamina.Generator().manual_seed(1))
rows = lamina.tensor([[3, 0, 3], [6, 3, 1]])

NATIVE = {
    "max_pool2d": (x, lambda x: F.max_pool2d(x, 2)),
    "max_pool2d, overlapping, padded": (x, lambda x: F.max_pool2d(x, 3, 2, 1)),
    "max_pool2d, its indices": (
        x,
        lambda x: lamina.where(F.max_pool2d(x, 2, return_indices=True)[1] > 50, F.max_pool2d(x, 2), 0.0),
    ),
    "max_pool2d of one image, dilated": (x[0], lambda x: F.max_pool2d(x, 2, 1, dilation=2)),
    "avg_pool2d": (x, lambda x: F.avg_pool2d(x, (2, 3))),
    "avg_pool2d, overlapping": (x, lambda x: F.avg_pool2d(x, 3, 2, 1)),
    "avg_pool2d, of pixels inside": (x, lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)),
    "adaptive_avg_pool2d": (x, lambda x: F.adaptive_avg_pool2d(x, (3, 1))),
    "embedding": (table, lambda w: F.embedding(rows, w)),
    "embedding, padded": (table, lambda w: F.embedding(rows, w, padding_idx=3)),
    "index_select": (table, lambda t: t.index_select(1, lamina.tensor([4, 4, 0]))),
    "index": (table, lambda t: t[lamina.tensor([-1, 2, 2])]),
    "conv1d": (x[:, :, 0], lambda x: F.conv1d(x, x[:, :, :3].detach(), padding=1)),
}
CALLS = {
    "max_pool2d, ceil_mode": (x, lambda x: F.max_pool2d(x, 5, 2, ceil_mode=True)),
}


def both(value, function):
    """Values and gradients, eagerly and by replay; what `explain` says."""
    leaf = value.detach().clone().requires_grad_()

    def step():
        leaf.grad = None
        y = function(leaf).sin()
        y.square().sum().backward()
        return y

    eager = step().detach().numpy().copy(), leaf.grad.numpy().copy()
    compiled = lamina.compile(step, verify="never")
    for _ in range(3):
        y = compiled()
    return eager, (y.detach().numpy(), leaf.grad.numpy()), str(compiled.explain())


@pytest.mark.parametrize("name", [*NATIVE, *CALLS])
def test_compiled_as_eager(name):
    eager, replayed, story = both(*(NATIVE | CALLS)[name])
    for a, b in zip(eager, replayed, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)
    assert "0 replayed" not in story
    assert ("  call" in story) == (name in CALLS), story
