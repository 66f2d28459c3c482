"""Composites that have a kernel: kernel and rules compute what the body does, values, gradients and second gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina.nn.functional import activation, batch_normalization, class_rows, loss, normalization

RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, 5, 6)


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape)


LOSS = {"ignore_index": -100, "reduction": "mean"}
SOME = LOSS | {"ignore_index": int(CLASSES[0])}
CASES: dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]] = {
    "gelu": (activation._gelu, (normal(7, 3),), {"keep": True}),
    "mse": (loss._mse_alike, (normal(4, 3), normal(4, 3)), {"reduction": "mean"}),
    "mse, each": (loss._mse_alike, (normal(4, 3), normal(4, 3)), {"reduction": "none"}),
    "nll": (class_rows._nll_rows, (normal(6, 5), CLASSES, None), LOSS),
    "nll, weighted": (class_rows._nll_rows, (normal(6, 5), CLASSES, RNG.random(5)), SOME),
    "cross entropy": (class_rows._cross_entropy_rows, (normal(6, 5), CLASSES, None), LOSS),
    "cross entropy, each": (class_rows._cross_entropy_rows, (normal(6, 5), CLASSES, None), LOSS | {"reduction": "none"}),
    "cross entropy, some": (class_rows._cross_entropy_rows, (normal(6, 5), CLASSES, RNG.random(5)), SOME),
    "layer norm": (normalization._layer_norm, (normal(3, 2, 4), normal(2, 4), normal(2, 4)), {"rank": 2, "eps": 1e-3}),
    "layer norm, plain": (normalization._layer_norm, (normal(3, 2, 4), None, None), {"rank": 1, "eps": 1e-3}),
    "group norm": (normalization._group_norm, (normal(2, 6, 3), normal(6), normal(6)), {"batch": 2, "channels": 6, "groups": 3, "eps": 1e-3}),
    "batch norm": (batch_normalization._batch_norm_training, (normal(4, 3, 2, 5), normal(3), normal(3)), {"eps": 1e-3}),
    "batch norm, wide": (batch_normalization._batch_norm_training, (normal(3, 2, 9, 9), None, normal(2)), {"eps": 1e-3}),
    "batch norm, flat": (batch_normalization._batch_norm_training, (normal(5, 3), normal(3), None), {"eps": 1e-3}),
    "batch norm, running": (
        batch_normalization._batch_norm_eval, (normal(4, 3, 2), normal(3), normal(3), normal(3), RNG.random(3) + 0.5), {"eps": 1e-3},
    ),
}  # fmt: skip
FIXED = {"nll": 1, "cross": 1, "batch norm, running": 3}  # how many of the tensors in front may require gradients


def run(function: Any, name: str, args: tuple[Any, ...], params: dict[str, Any]) -> list[Any]:
    asked = next((n for start, n in FIXED.items() if name.startswith(start)), len(args))
    tensors = [None if a is None else lamina.tensor(a) for a in args]
    leaves = [t.requires_grad_() for t in tensors[:asked] if t is not None]
    results = function(*tensors, **params)
    outs = [t for t in (results if isinstance(results, tuple) else (results,)) if t is not None and t.requires_grad]
    mixed = sum((o * lamina.linspace(0.3, 1.7, o.numel(), dtype=o.dtype).view(o.shape)).sum() for o in outs)
    first = lamina.autograd.grad(mixed, leaves, create_graph=True)
    plain = lamina.autograd.grad(
        mixed, leaves, retain_graph=True
    )  # the rules on arrays, where those above ran on Tensors
    curved = sum((g * g.detach().cos()).sum() for g in first)
    second = lamina.autograd.grad(curved, leaves, allow_unused=True) if curved.requires_grad else [None] * len(leaves)
    return [
        *outs,
        *first,
        *plain,
        *(lamina.zeros_like(x) if s is None else s for s, x in zip(second, leaves, strict=True)),
    ]


@pytest.mark.parametrize("name", CASES)
def test_kernel_is_body(name: str) -> None:
    function, args, params = CASES[name]
    found, wanted = run(function, name, args, params), run(function.fused, name, args, params)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-10)
