"""Folding a batch normalisation (in eval mode) into the convolution or linear layer before it."""

from __future__ import annotations

import copy
from typing import Any

import lamina
from lamina.core.parameter import Parameter
from lamina.core.tensor import Tensor

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A copy of `conv` that computes bn(conv(x)).

    Both must be in eval mode, and `bn` must have its running statistics.
    """
    _check_eval(conv, bn)
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of the convolution that includes the normalisation; `transpose`: of a transposed convolution."""
    conv_b, bn_w, bn_b = _with_defaults(bn_rm, conv_b, bn_w, bn_b)
    scale = bn_w * lamina.rsqrt(bn_rv + bn_eps)
    shape = [1] * conv_w.dim()
    shape[1 if transpose else 0] = -1
    return _as_parameters(conv_w, conv_w * scale.reshape(shape), conv_b, (conv_b - bn_rm) * scale + bn_b)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A copy of `linear` that computes bn(linear(x)).

    Both must be in eval mode, and `bn` must have its running statistics.
    """
    _check_eval(linear, bn)
    if bn.num_features not in (linear.out_features, 1):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"linear.out_features={linear.out_features} and bn.num_features={bn.num_features}"
        )
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of the linear layer that includes the normalisation."""
    linear_b, bn_w, bn_b = _with_defaults(bn_rm, linear_b, bn_w, bn_b)
    scale = bn_w * lamina.rsqrt(bn_rv + bn_eps)
    return _as_parameters(linear_w, linear_w * scale.unsqueeze(-1), linear_b, (linear_b - bn_rm) * scale + bn_b)


def _check_eval(layer: Any, bn: Any) -> None:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")


def _with_defaults(like: Tensor, bias: Any, scale: Any, shift: Any) -> tuple[Tensor, Tensor, Tensor]:
    return (
        lamina.zeros_like(like) if bias is None else bias,
        lamina.ones_like(like) if scale is None else scale,
        lamina.zeros_like(like) if shift is None else shift,
    )


def _as_parameters(old_w: Tensor, w: Tensor, old_b: Tensor, b: Tensor) -> tuple[Parameter, Parameter]:
    return (
        Parameter(w.detach().to(old_w.dtype), old_w.requires_grad),
        Parameter(b.detach().to(old_b.dtype), old_b.requires_grad),
    )
