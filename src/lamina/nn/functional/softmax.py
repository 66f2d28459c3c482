"""softmax and its relatives, along one dimension.

Here: softmax, softmin, log_softmax, gumbel_softmax. Not here: the losses on top of them (loss_classification.py).
"""

from __future__ import annotations

import warnings
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.nn.functional._checks import check_floating, check_tensor, wrap_dim
from lamina.primitives import fused


def _softmax_grad(g: Tensor, out: Tensor, dim: int) -> Tensor:
    weighted = g * out
    return weighted - out * lamina.sum(weighted, dim, keepdim=True)


@fused("Softmax", grads=(_softmax_grad,))
def _softmax(input: Tensor, dim: int) -> Tensor:
    powers = lamina.exp(input - lamina.amax(input, dim, keepdim=True))
    return powers / lamina.sum(powers, dim, keepdim=True)


def _log_softmax_grad(g: Tensor, out: Tensor, dim: int) -> Tensor:
    return g - lamina.exp(out) * lamina.sum(g, dim, keepdim=True)


@fused("LogSoftmax", grads=(_log_softmax_grad,))
def _log_softmax(input: Tensor, dim: int) -> Tensor:
    # Not input - logsumexp(input): that would round at the size of the maximum.
    shifted = input - lamina.amax(input, dim, keepdim=True)
    return shifted - lamina.log(lamina.sum(lamina.exp(shifted), dim, keepdim=True))


def _implicit_dim(name: str, ndim: int, stacklevel: int) -> int:
    """The dimension that PyTorch takes where none is given, with its warning."""
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if ndim in (0, 1, 3) else 1


def _along(body: Any, name: str, input: Tensor, dim: int | None, dtype: Any, stacklevel: int) -> Tensor:
    check_tensor(input, name)
    dim = wrap_dim(_implicit_dim(name, input.dim(), stacklevel + 2) if dim is None else dim, input.dim())
    if dtype is not None:
        input = input.to(dtype)
    place = "lastdim_" if dim == input.dim() - 1 else ""
    check_floating(input, name, f"{'log_softmax' if name == 'log_softmax' else 'softmax'}_{place}kernel_impl")
    if input.numel() == 0:
        return input.clone()  # there is no maximum to subtract
    return body(input, dim)


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(input) over its sum along `dim`; with `dtype`, of `input` cast to it.

    Shape as `input`. Without `dim` (deprecated): 0 for 0, 1 and 3 dimensions, else 1, with a warning.
    """
    return _along(_softmax, "softmax", input, dim, dtype, _stacklevel)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """softmax(-input)."""
    check_tensor(input, "softmin")
    if dim is None:
        dim = _implicit_dim("softmin", input.dim(), _stacklevel)
    return _along(_softmax, "softmax", -input, dim, dtype, _stacklevel)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """log(softmax(input, dim)), computed without forming the quotient."""
    return _along(_log_softmax, "log_softmax", input, dim, dtype, _stacklevel)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample of the relaxed categorical distribution with these logits; `hard`: one-hot, with the soft gradient."""
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    gumbels = -lamina.empty_like(logits).exponential_().log()
    soft = softmax((logits + gumbels) / tau, dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    one_hot = lamina.zeros_like(logits).scatter_(dim, index, 1.0)
    return one_hot - soft.detach() + soft
