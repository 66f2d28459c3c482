"""Piecewise activations: relu, its leaky, clipped and exponential relatives, and the shrinkages.

Here: functions with a kink, each with PyTorch's subgradient at it. Not here: smooth activations and gates
(activation.py), softmax (softmax.py), prelu and hardshrink (primitives/rectifiers.py).
"""

from __future__ import annotations

import lamina
from lamina.core.tensor import Tensor
from lamina.nn.functional._checks import check_floating, check_tensor, scalar_name
from lamina.nn.functional._out import write_out
from lamina.primitives import fused, inplace
from lamina.primitives.inplace import of_tensors

_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0), element by element."""
    if not inplace:
        return lamina.relu(input)
    check_tensor(input, "relu")
    return lamina.relu_(input)


def relu_(input: Tensor) -> Tensor:
    """`relu` in place."""
    return relu(input, inplace=True)


def _threshold_grad(g: Tensor, input: Tensor, threshold: float) -> Tensor:
    return lamina.where(input <= threshold, 0.0, g)


@fused("Threshold", grads=(_threshold_grad,))
def _threshold(input: Tensor, threshold: float, value: float) -> Tensor:
    return lamina.where(input <= threshold, value, input)


def _checked_threshold(input: Tensor, limit: float, value: float, in_place: bool) -> Tensor:
    check_tensor(input, "threshold")
    if input.dtype == lamina.bool or input.is_complex():
        raise NotImplementedError(f"\"threshold_cpu\" not implemented for '{scalar_name(input)}'")
    if not input.is_floating_point():
        limit, value = int(limit), int(value)
    return (_threshold_ if in_place else _threshold)(input, limit, value)


@of_tensors
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """`input` where it exceeds `threshold`, `value` elsewhere; a NaN stays.

    Raises NotImplementedError for bool and complex.
    """
    return _checked_threshold(input, threshold, value, inplace)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """`threshold` in place."""
    return _checked_threshold(input, threshold, value, True)


def _hardtanh_grad(g: Tensor, input: Tensor, min_val: float, max_val: float) -> Tensor:
    return lamina.where((input <= min_val) | (input >= max_val), 0.0, g)


@fused("Hardtanh", grads=(_hardtanh_grad,))
def _hardtanh(input: Tensor, min_val: float, max_val: float) -> Tensor:
    return lamina.clamp(input, min_val, max_val)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` limited to [min_val, max_val]; its gradient is 0 at the limits.

    Raises ValueError if `min_val` exceeds `max_val`, RuntimeError for bool and for negative limits of unsigned types.
    """
    check_tensor(input, "hardtanh")
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if input.dtype == lamina.bool:
        raise RuntimeError("Bool inputs not supported for hardtanh")
    if input.is_complex():
        raise NotImplementedError("clamp is not supported for complex types")
    if not input.is_floating_point():
        min_val, max_val = int(min_val), int(max_val)
        if input.dtype == lamina.uint8 and (min_val < 0 or max_val < 0):
            raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
    return (_hardtanh_ if inplace else _hardtanh)(input, min_val, max_val)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`hardtanh` in place."""
    return hardtanh(input, min_val, max_val, inplace=True)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """`input` limited to [0, 6]."""
    return hardtanh(input, 0.0, 6.0, inplace)


def _leaky_relu_grad(g: Tensor, input: Tensor, negative_slope: float) -> Tensor:
    return lamina.where(input > 0, g, g * negative_slope)


def _leaky(input: Tensor, negative_slope: float) -> Tensor:
    return lamina.where(input > 0, input, input * negative_slope)


@fused("LeakyRelu", grads=(_leaky_relu_grad,))
def _leaky_relu(input: Tensor, negative_slope: float) -> Tensor:
    return _leaky(input, negative_slope)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`input` where positive, `negative_slope * input` elsewhere."""
    check_floating(input, "leaky_relu", "leaky_relu_cpu")
    return (_leaky_relu_ if inplace else _leaky_relu)(input, negative_slope)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`leaky_relu` in place."""
    return leaky_relu(input, negative_slope, inplace=True)


@fused("RreluWithNoise", grads=(lambda g, noise: g * noise, None))
def _rrelu_noisy(input: Tensor, noise: Tensor) -> Tensor:
    return input * noise


@fused("RreluWithNoise", grads=(_leaky_relu_grad,))
def _rrelu_mean(input: Tensor, negative_slope: float) -> Tensor:
    return _leaky(input, negative_slope)


@of_tensors
def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """Leaky relu whose slope is drawn per element from [lower, upper] in training, and is their mean otherwise."""
    check_floating(input, "rrelu", "rrelu_with_noise_cpu" if training else "leaky_relu_cpu")
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if not training:
        return (_rrelu_mean_ if inplace else _rrelu_mean)(input, (lower + upper) / 2)
    with lamina.no_grad():
        # PyTorch draws doubles, and only for the elements that need a slope: the stream depends on it.
        negative = input <= 0
        slopes = lamina.empty(int(negative.sum()), dtype=lamina.float64).uniform_(lower, upper)
        noise = lamina.ones_like(input).masked_scatter_(negative, slopes.to(input.dtype))
    return (_rrelu_noisy_ if inplace else _rrelu_noisy)(input, noise)


def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """`rrelu` in place."""
    return rrelu(input, lower, upper, training, inplace=True)


def _exponential_unit(input: Tensor, alpha: float, scale: float, input_scale: float) -> Tensor:
    # Clamped although `where` drops that side: a second derivative would meet 0 * inf = NaN in it.
    bounded = lamina.clamp(input, max=0.0) * input_scale
    return lamina.where(input > 0, input * scale, lamina.expm1(bounded) * (alpha * scale))


_elu = fused("Elu")(_exponential_unit)
_celu = fused("Celu")(_exponential_unit)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` where positive, alpha * (exp(input) - 1) elsewhere."""
    check_floating(input, "elu", "elu_cpu")
    return (_elu_ if inplace else _elu)(input, alpha, 1.0, 1.0)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`elu` in place."""
    return elu(input, alpha, inplace=True)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """`elu` scaled so that activations keep mean 0 and variance 1."""
    check_floating(input, "selu", "elu_cpu")
    return (_elu_ if inplace else _elu)(input, _SELU_ALPHA, _SELU_SCALE, 1.0)


def selu_(input: Tensor) -> Tensor:
    """`selu` in place."""
    return selu(input, inplace=True)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` where positive, alpha * (exp(input / alpha) - 1) elsewhere.

    Raises RuntimeError for alpha = 0.
    """
    check_tensor(input, "celu")
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    check_floating(input, "celu", "elu_cpu")
    return (_celu_ if inplace else _celu)(input, alpha, 1.0, 1.0 / alpha)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`celu` in place."""
    return celu(input, alpha, inplace=True)


def _hardsigmoid_grad(g: Tensor, input: Tensor) -> Tensor:
    return lamina.where((input > -3.0) & (input < 3.0), g / 6.0, 0.0)


@fused("Hardsigmoid", grads=(_hardsigmoid_grad,))
def _hardsigmoid(input: Tensor) -> Tensor:
    return lamina.clamp(input + 3.0, 0.0, 6.0) / 6.0


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """A piecewise linear sigmoid: input / 6 + 1 / 2 between -3 and 3, then 0 or 1."""
    check_floating(input, "hardsigmoid", "hardsigmoid_cpu")
    return (_hardsigmoid_ if inplace else _hardsigmoid)(input)


def _hardswish_grad(g: Tensor, input: Tensor) -> Tensor:
    return lamina.where(input < 3.0, lamina.where(input <= -3.0, 0.0, g * (input / 3.0 + 0.5)), g)


@fused("Hardswish", grads=(_hardswish_grad,))
def _hardswish(input: Tensor) -> Tensor:
    return input * lamina.clamp(input + 3.0, 0.0, 6.0) / 6.0


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """input * hardsigmoid(input)."""
    check_floating(input, "hardswish", "hardswish_cpu")
    return (_hardswish_ if inplace else _hardswish)(input)


def _shrink_grad(g: Tensor, input: Tensor, lambd: float) -> Tensor:
    return lamina.where((input >= -lambd) & (input <= lambd), 0.0, g)


@fused("Softshrink", grads=(_shrink_grad,))
def _softshrink(input: Tensor, lambd: float) -> Tensor:
    # A NaN compares as neither side and must stay; `input * 0` would also keep it but turn inf into NaN.
    return lamina.where(
        input > lambd,
        input - lambd,
        lamina.where(input < -lambd, input + lambd, lamina.where(input != input, input, 0.0)),
    )


@of_tensors
def softshrink(input: Tensor, lambd: float = 0.5, *, out: Tensor | None = None) -> Tensor:
    """`input` moved towards 0 by `lambd`, and 0 within it.

    Raises RuntimeError if `lambd` is negative or beyond the type's range.
    """
    check_floating(input, "softshrink", "softshrink_check")
    largest = lamina.finfo(input.dtype).max
    if not 0.0 <= lambd <= largest:
        raise RuntimeError(
            f"lambda must be in range [0, {largest:g}] for input dtype {scalar_name(input)}, but found {lambd:g}"
        )
    return write_out(_softshrink(input, lambd), out)


_threshold_ = inplace(_threshold)
_hardtanh_ = inplace(_hardtanh)
_leaky_relu_ = inplace(_leaky_relu)
_rrelu_noisy_ = inplace(_rrelu_noisy)
_rrelu_mean_ = inplace(_rrelu_mean)
_elu_ = inplace(_elu)
_celu_ = inplace(_celu)
_hardsigmoid_ = inplace(_hardsigmoid)
_hardswish_ = inplace(_hardswish)
