"""torch.nn.grad: the gradients of convolutions by input and by weight, as functions."""

from __future__ import annotations

from typing import Any

import lamina
from lamina import Tensor
from lamina.nn.modules.utils import _pair, _single, _triple

__all__ = ["conv1d_input", "conv1d_weight", "conv2d_input", "conv2d_weight", "conv3d_input", "conv3d_weight"]


def _gradient(
    dims: int, input: Tensor, weight: Tensor, g: Tensor, options: tuple[Any, ...], groups: int, by: str
) -> Tensor:
    spread = (_single, _pair, _triple)[dims - 1]
    stride, padding, dilation = map(spread, options)
    with lamina.enable_grad():
        asked = (input if by == "input" else weight).detach().requires_grad_()
        pair = (asked, weight) if by == "input" else (input, asked)
        out = lamina.convolution(*pair, None, stride, padding, dilation, False, (0,) * dims, groups)
        (found,) = lamina.autograd.grad(out, asked, g, create_graph=lamina.is_grad_enabled())
    return found.detach()


def _by_input(dims: int) -> Any:
    def function(
        input_size: Any, weight: Tensor, grad_output: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
    ) -> Tensor:  # fmt: skip
        like = grad_output.new_zeros(tuple(input_size))
        return _gradient(dims, like, weight, grad_output, (stride, padding, dilation), groups, "input")

    function.__name__ = function.__qualname__ = f"conv{dims}d_input"
    function.__doc__ = f"The gradient of conv{dims}d by its input, of `input_size`."
    return function


def _by_weight(dims: int) -> Any:
    def function(
        input: Tensor, weight_size: Any, grad_output: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
    ) -> Tensor:  # fmt: skip
        like = grad_output.new_zeros(tuple(weight_size))
        return _gradient(dims, input, like, grad_output, (stride, padding, dilation), groups, "weight")

    function.__name__ = function.__qualname__ = f"conv{dims}d_weight"
    function.__doc__ = f"The gradient of conv{dims}d by its weight, of `weight_size`."
    return function


conv1d_input, conv2d_input, conv3d_input = map(_by_input, (1, 2, 3))
conv1d_weight, conv2d_weight, conv3d_weight = map(_by_weight, (1, 2, 3))
