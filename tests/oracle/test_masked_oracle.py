"""torch.masked of lamina against PyTorch's: values, gradients, sentences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lamina

SHAPE = (3, 4, 5)
RNG = np.random.default_rng(2)
VALUES = RNG.standard_normal(SHAPE).astype(np.float32)
MASK = RNG.random(SHAPE) < 0.6
MASK[1, 2] = False  # a row without elements

CALLS = {
    **{f"{name} {dim}": (name, (), {"dim": dim}) for name in ("sum", "prod", "amax", "amin", "mean", "var", "std", "logsumexp")
       for dim in (None, 1, (0, -1))},
    "keepdim": ("sum", (), {"dim": 1, "keepdim": True}), "double": ("mean", (), {"dim": 1, "dtype": "float64"}),
    "not unbiased": ("var", (-1, False), {}), "correction": ("std", (-1,), {"correction": 2}),
    **{name: (name, (-1,), {}) for name in ("median", "softmax", "log_softmax", "softmin", "cumsum", "cumprod", "argmax", "argmin")},
    "norm": ("norm", (3.0, 1), {}), "greatest": ("norm", (float("inf"), 1), {}), "normalize": ("normalize", (2.0, 1), {}),
    "twice a dim": ("sum", ((1, 1),), {}), "no such dim": ("sum", (4,), {}),
}  # fmt: skip


def called(lib, name, args, kwargs, mask):
    x = lib.tensor(VALUES, requires_grad=True)
    kwargs = {k: getattr(lib, v) if k == "dtype" else v for k, v in kwargs.items()}
    result = getattr(lib.masked, name)(x, *args, mask=None if mask is None else lib.tensor(mask), **kwargs)
    if result.requires_grad:
        lib.nan_to_num(result, 0.0, 0.0, 0.0).sin().sum().backward()
    return result.detach().numpy(), x.grad


@pytest.mark.parametrize("mask", [None, MASK, MASK[0]], ids=["no mask", "mask", "stretched"])
@pytest.mark.parametrize("case", CALLS)
def test_masked(case, mask):
    try:
        expected, slope = called(torch, *CALLS[case], mask)
    except Exception as error:
        with pytest.raises(type(error)) as ours:
            called(lamina, *CALLS[case], mask)
        assert str(ours.value) == str(error)
        return
    found, gradient = called(lamina, *CALLS[case], mask)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)
    assert (slope is None) == (gradient is None)
    if slope is not None:
        np.testing.assert_allclose(gradient.numpy(), slope.numpy(), rtol=2e-5, atol=1e-6)
