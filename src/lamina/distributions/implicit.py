"""The derivative of a Gamma(a, 1) draw by its concentration a: implicit, as -(dF/da) / (dF/dx) of the distribution function F.

Here: the formula and its autograd function. Not here: the draw (lamina.primitives.random).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import lamina
from lamina import Tensor

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(100)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2  # for the interval (0, 1)


def gamma_slope(x: Tensor, concentration: Tensor) -> Tensor:
    """dx/da of draws x of Gamma(a, 1), in the dtype of `x`.

    From dF/da = integral over t < x of p(t) (log t - digamma(a)), which is minus the integral over t > x:
    below a + 1 as a series of positive terms, above by quadrature of exp(-s) (1 + s/x)**(a-1) (log(x+s) - digamma(a)).
    """
    drawn = x.detach().double()
    a = concentration.detach().double().expand(drawn.shape)
    mean_log = lamina.digamma(a)
    values, shapes, centres = (t.numpy().ravel() for t in (drawn, a, mean_log))
    low = values <= shapes + 1
    slopes = np.empty_like(values)
    slopes[low] = _series(values[low], shapes[low], centres[low])
    slopes[~low] = _quadrature(values[~low], shapes[~low], centres[~low])
    return lamina.from_numpy(slopes.reshape(tuple(drawn.shape))).to(x.dtype)


def _series(x: np.ndarray, a: np.ndarray, mean_log: np.ndarray) -> np.ndarray:
    # sum over n of x**(n+1) / (a (a+1) ... (a+n)) * (digamma(a) - log x + 1/a + ... + 1/(a+n))
    term, harmonic = x / a, 1 / a
    offset = mean_log - np.log(np.maximum(x, np.finfo(x.dtype).tiny))
    total, n = term * (offset + harmonic), 0
    while term.size and (term > 1e-17 * np.abs(total)).any():
        n += 1
        term = term * x / (a + n)
        harmonic = harmonic + 1 / (a + n)
        total = total + term * (offset + harmonic)
    return total


def _quadrature(x: np.ndarray, a: np.ndarray, mean_log: np.ndarray) -> np.ndarray:
    length = 45 + 10 * np.sqrt(a)  # beyond it exp(-s) (1 + s/x)**(a-1) is below 1e-16
    s = length[:, None] * _NODES
    x, a, mean_log = x[:, None], a[:, None], mean_log[:, None]
    density = np.exp((a - 1) * np.log1p(s / x) - s)
    return length * ((density * (np.log(x + s) - mean_log)) @ _WEIGHTS)


class StandardGamma(lamina.autograd.Function):
    """Draws of Gamma(concentration, 1) with their implicit gradient."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor) -> Tensor:
        drawn = lamina._standard_gamma(concentration)
        ctx.save_for_backward(concentration, drawn)
        return drawn

    @staticmethod
    @lamina.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        concentration, drawn = ctx.saved_tensors
        return grad * gamma_slope(drawn, concentration)


def standard_gamma(concentration: Tensor) -> Tensor:
    """Draws of Gamma(concentration, 1), differentiable in `concentration`."""
    if lamina.is_grad_enabled() and concentration.requires_grad:
        return StandardGamma.apply(concentration)
    return lamina._standard_gamma(concentration)
