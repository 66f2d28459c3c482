"""Smooth activations and gates: gelu, silu, mish, softplus, glu and their relatives.

Here: functions without a kink. Not here: rectifiers and shrinkages (rectifier.py), softmax (softmax.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import lamina
from lamina.core.size import wrap_dim
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.nn.functional._checks import check_floating, check_tensor
from lamina.nn.functional._out import write_out
from lamina.primitives import fused, inplace
from lamina.primitives.elementary import log1p as log1p_
from lamina.primitives.elementary import sigmoid as sigmoid_
from lamina.primitives.elementary import tanh as tanh_
from lamina.primitives.elementwise import exp as exp_
from lamina.primitives.elementwise import minimum as minimum_
from lamina.primitives.inplace import loosely, of_tensors
from lamina.primitives.kernels import activations as kernels
from lamina.primitives.kernels.precision import widened
from lamina.primitives.special_functions import erf


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-input))."""
    return lamina.sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return lamina.tanh(input)


@loosely
def tanhshrink(input: Tensor) -> Tensor:
    """input - tanh(input)."""
    return input - input.tanh()


@loosely
def softsign(input: Tensor) -> Tensor:
    """input / (1 + |input|)."""
    return input / (input.abs() + 1)


def _gelu_kernel(x: Array, *, keep: bool) -> tuple[Array, Array | None]:
    (wide,) = widened(x)
    y, phi = kernels.gelu(wide, erf.primitive.forward, keep)
    return y.astype(x.dtype, copy=False), phi


def _gelu_grad(g: Any, x: Any, out_1: Any) -> Any:
    if not isinstance(g, Tensor):
        return kernels.gelu_grad(g, x, out_1)
    density = lamina.exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))
    return g * ((1.0 + lamina.erf(x * math.sqrt(0.5))) * 0.5 + x * density)


@fused("Gelu", kernel=_gelu_kernel, grads=(_gelu_grad,), outputs=2, nondiff=(1,), native=True)
def _gelu(input: Tensor, *, keep: bool) -> tuple[Tensor, Tensor]:
    phi = 0.5 * (1.0 + lamina.erf(input * math.sqrt(0.5)))
    return input * phi, phi.detach()


_GELU_SCALE, _GELU_CUBIC = math.sqrt(2.0 / math.pi), 0.044715


def _gelu_tanh_kernel(x: Array) -> Array:
    inner = x * x
    inner *= _GELU_CUBIC
    inner += 1.0
    inner *= x
    inner *= _GELU_SCALE
    np.tanh(inner, out=inner)
    inner += 1.0
    inner *= x
    inner *= 0.5
    return inner


def _gelu_tanh_grad(g: Any, x: Any) -> Any:
    square = x * x
    bent = tanh_(x * (square * _GELU_CUBIC + 1.0) * _GELU_SCALE)
    slope = (square * (3.0 * _GELU_CUBIC) + 1.0) * _GELU_SCALE
    return g * ((bent + 1.0 + x * ((1.0 - bent * bent) * slope)) * 0.5)


@fused("Gelu", kernel=_gelu_tanh_kernel, grads=(_gelu_tanh_grad,))
def _gelu_tanh(input: Tensor) -> Tensor:
    inner = (input + input * input * input * _GELU_CUBIC) * _GELU_SCALE
    return input * 0.5 * (1.0 + lamina.tanh(inner))


def gelu(input: Tensor, *, approximate: str = "none", out: Tensor | None = None) -> Tensor:
    """input * Phi(input), Phi the normal distribution function; approximate="tanh" replaces Phi's erf by a tanh.

    Raises RuntimeError for any other `approximate`.
    """
    check_tensor(input, "gelu")
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    check_floating(input, "gelu", "GeluKernelImpl")
    if approximate == "tanh":
        return write_out(_gelu_tanh(input), out)
    return write_out(_gelu(input, keep=input.requires_grad and lamina.is_grad_enabled())[0], out)


def _silu_grad(g: Any, x: Any) -> Any:
    gate = sigmoid_(x)
    return g * (gate * (1.0 + x * (1.0 - gate)))


@fused("Silu", kernel=lambda x: x * sigmoid_(x), grads=(_silu_grad,))
def _silu(input: Tensor) -> Tensor:
    return input * lamina.sigmoid(input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """input * sigmoid(input); floating or complex."""
    check_floating(input, "silu", "silu_cpu", complex_too=True)
    return (_silu_ if inplace else _silu)(input)


def _mish_kernel(x: Array) -> Array:
    out = np.minimum(x, 20.0, out=...)  # an array of a 0-d one, too
    np.log1p(np.exp(out, out=out), out=out)
    np.tanh(out, out=out)
    out *= x
    return out


def _mish_grad(g: Any, x: Any) -> Any:
    bent = tanh_(log1p_(exp_(minimum_(x, 20.0))))
    return g * (bent + x * ((1.0 - bent * bent) * sigmoid_(x)))


@fused("Mish", kernel=_mish_kernel, grads=(_mish_grad,))
def _mish(input: Tensor) -> Tensor:
    # Beyond 20, tanh(softplus(x)) is 1 in double too; unclamped, exp would overflow and its gradient be 0 * inf.
    return input * lamina.tanh(lamina.log1p(lamina.exp(lamina.clamp(input, max=20.0))))


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """input * tanh(log(1 + exp(input)))."""
    check_floating(input, "mish", "mish_cpu")
    return (_mish_ if inplace else _mish)(input)


def _softplus_grad(g: Tensor, input: Tensor, beta: float, threshold: float) -> Tensor:
    # Not left to the body: its second derivative is a difference of two numbers near 1.
    scaled = input * beta
    return lamina.where(scaled > threshold, g, g * lamina.sigmoid(scaled))


@fused("Softplus", grads=(_softplus_grad,))
def _softplus(input: Tensor, beta: float, threshold: float) -> Tensor:
    scaled = input * beta
    smooth = lamina.log1p(lamina.exp(lamina.clamp(scaled, max=threshold))) / beta
    return lamina.where(scaled > threshold, input, smooth)


@of_tensors
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0, *, out: Tensor | None = None) -> Tensor:
    """log(1 + exp(beta * input)) / beta, and `input` itself where beta * input > threshold."""
    check_floating(input, "softplus", "softplus_cpu")
    return write_out(_softplus(input, beta, threshold), out)


def log_sigmoid_values(input: Tensor) -> Tensor:
    """log(sigmoid(input)) without overflow, smooth in the eyes of autograd at 0 too: no abs, no minimum."""
    # Below -40 the two sides agree in double; above, exp(40) still fits float32.
    near = -lamina.log1p(lamina.exp(-lamina.clamp(input, min=-40.0)))
    return lamina.where(input < -40.0, input, near)


@fused("LogSigmoid", grads=(lambda g, input: g * lamina.sigmoid(-input),))
def _logsigmoid(input: Tensor) -> Tensor:
    return lamina.clamp(input, max=0.0) - lamina.log1p(lamina.exp(-lamina.abs(input)))


@of_tensors
def logsigmoid(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """log(1 / (1 + exp(-input)))."""
    check_floating(input, "log_sigmoid", "log_sigmoid_cpu")
    return write_out(_logsigmoid(input), out)


@fused("Glu")
def _glu(input: Tensor, dim: int) -> Tensor:
    half = input.shape[dim] // 2
    return lamina.narrow(input, dim, 0, half) * lamina.sigmoid(lamina.narrow(input, dim, half, half))


@loosely
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along `dim` times the sigmoid of the second half.

    Raises RuntimeError for a 0-d input or an odd size.
    """
    if input.dim() == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    dim = wrap_dim(dim, input.dim())
    if input.size(dim) % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {input.size(dim)}")
    check_floating(input, "glu", "glu_cpu")
    return _glu(input, dim)


_silu_ = inplace(_silu)
_mish_ = inplace(_mish)
