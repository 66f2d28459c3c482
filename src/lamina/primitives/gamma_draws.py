"""Draws of the gamma and Dirichlet distributions, differentiable in their concentrations.

Here: the draws as primitives with implicit gradients, and PyTorch's names of the slopes. Not here: how they are drawn
(core/draws_rejection.py), the slopes' formulas (kernels/implicit.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core import draws_rejection
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.histograms import refused
from lamina.primitives.kernels import implicit
from lamina.primitives.random import generator_of
from lamina.primitives.randomness import draw
from lamina.primitives.registry import primitive
from lamina.primitives.special_functions import digamma


def _gamma_slope(alpha: Array, drawn: Array) -> Array:
    a, x = np.broadcast_arrays(alpha.astype(np.float64), drawn.astype(np.float64))
    return implicit.gamma_slope(x, a, digamma(a)).astype(drawn.dtype)


def _beta_slope(x: Array, alpha: Array, total: Array) -> Array:
    """dx/da of Beta(a, total - a), divided by 1 - x: PyTorch's `_dirichlet_grad`."""
    wide, a, whole = np.broadcast_arrays(*(v.astype(np.float64) for v in (x, alpha, total)))
    slope = implicit.beta_slope(wide, a, whole - a, digamma(a) - digamma(whole))
    scaled: Array = (slope / (1 - wide)).astype(x.dtype)
    return scaled


standard_gamma_grad_ = primitive(
    "standard_gamma_grad", _gamma_slope, grads=(refused("_standard_gamma_grad"),) * 2, node="NotImplemented")  # fmt: skip
dirichlet_grad_ = primitive(
    "dirichlet_grad", _beta_slope, grads=(refused("_dirichlet_grad"),) * 3, node="NotImplemented")  # fmt: skip

standard_gamma_ = primitive(
    "standard_gamma", lambda alpha, *, generator: draws_rejection.standard_gamma(generator, alpha),
    grads=(lambda g, alpha, out: g * standard_gamma_grad_(alpha, out),), node="StandardGamma")  # fmt: skip


def _dirichlet_rule(g: Any, alpha: Any, out: Any) -> Any:
    slope = dirichlet_grad_(out, alpha, alpha.sum(-1, keepdims=True) + alpha * 0.0)
    return slope * (g - (out * g).sum(-1, keepdims=True))


sample_dirichlet_ = primitive(
    "sample_dirichlet", lambda alpha, *, generator: draws_rejection.dirichlet(generator, alpha),
    grads=(_dirichlet_rule,), node="SampleDirichlet")  # fmt: skip


def _standard_gamma(alpha: Tensor, generator: Any = None) -> Tensor:
    """Draws of Gamma(alpha, 1), with the implicit gradient by `alpha`."""
    return draw((alpha,), lambda alpha: standard_gamma_(alpha, generator=generator_of(generator)))


def _sample_dirichlet(alpha: Tensor, generator: Any = None) -> Tensor:
    """Draws of Dirichlet(alpha) along the last dimension, with the implicit gradient by `alpha`."""
    return draw((alpha,), lambda alpha: sample_dirichlet_(alpha, generator=generator_of(generator)))


def _standard_gamma_grad(input: Tensor, output: Tensor) -> Tensor:
    """d(output)/d(input) of draws `output` of Gamma(input, 1)."""
    slope: Tensor = standard_gamma_grad_(input, output)
    return slope


def _dirichlet_grad(x: Tensor, alpha: Tensor, total: Tensor) -> Tensor:
    """dx/d(alpha) of draws x of Beta(alpha, total - alpha), divided by 1 - x."""
    slope: Tensor = dirichlet_grad_(x, alpha, total)
    return slope
