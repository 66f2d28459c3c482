"""Elementwise arithmetic, selection and comparison: an output element depends on one element of each input.

Here: value, gradients, lowering. Not here: broadcasting, promotion, saving (registry.py); quotients and powers
(division.py); sin, tanh & co (elementary.py); public signatures with alpha, rounding_mode and out (arithmetic.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core.tensor import Tensor
from lamina.primitives.kernels.select import select, zero_of
from lamina.primitives.registry import elementwise


def lacks(kernel: str) -> str:
    """PyTorch's message for a dtype that a kernel does not have; the registry fills in the dtype."""
    return f"\"{kernel}\" not implemented for '{{}}'"


def refuse_derivative(sentence: str) -> Any:
    """A gradient rule for what PyTorch does not differentiate: raises when backward gets there; `absent`: it has no formula for it."""
    absent = sentence.startswith("the ")

    def rule(g: Any) -> Any:
        raise NotImplementedError(sentence) if absent else RuntimeError(sentence)

    rule.absent = absent  # type: ignore[attr-defined]
    return rule


zeros_ = elementwise("zeros", lambda x: np.zeros(x.shape, x.dtype))
"""The gradient of what is flat: zeros, whatever comes from above (0.0 * inf would be NaN)."""

# ---- arithmetic ------------------------------------------------------------------------------------------------------


def _refuse_bool(operands: Sequence[Any]) -> None:
    flags = [t.dtype.category == 0 if isinstance(t, Tensor) else isinstance(t, bool) for t in operands[:2]]
    if all(flags):
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
            "operator instead."
        )
    if any(flags):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, "
            "use the `~` or `logical_not()` operator instead."
        )


_add = elementwise(
    "add", np.add,
    grads=(lambda g: g, lambda g: g),
    emit=lambda b, x, y: b.add(x, y))  # fmt: skip

_sub = elementwise(
    "sub", np.subtract,
    grads=(lambda g: g, lambda g: -g),
    emit=lambda b, x, y: b.sub(x, y), check=_refuse_bool)  # fmt: skip

_rsub = elementwise(
    "rsub", lambda x, y: np.subtract(y, x),
    grads=(lambda g: -g, lambda g: g),
    emit=lambda b, x, y: b.sub(y, x), check=_refuse_bool, number="RsubBackward1")  # fmt: skip

add_scaled = elementwise(
    "add_scaled", lambda x, y, alpha: x + alpha * y,
    grads=(lambda g: g, lambda g, alpha: g * alpha, None),
    emit=lambda b, x, y, z: b.add(x, b.mul(z, y)), node="Add")  # fmt: skip

sub_scaled = elementwise(
    "sub_scaled", lambda x, y, alpha: x - alpha * y,
    grads=(lambda g: g, lambda g, alpha: -g * alpha, None),
    emit=lambda b, x, y, z: b.sub(x, b.mul(z, y)), node="Sub", check=_refuse_bool)  # fmt: skip

mul = elementwise(
    "mul", np.multiply,
    grads=(lambda g, y: g * y, lambda g, x: g * x),
    emit=lambda b, x, y: b.mul(x, y))  # fmt: skip

true_divide = elementwise(
    "true_divide", np.true_divide,
    grads=(lambda g, y: g / y, lambda g, x, y: -g * ((x / y) / y)),
    emit=lambda b, x, y: b.div(x, y), promote="float", node="Div")  # fmt: skip

neg = elementwise(
    "neg", np.negative,
    grads=(lambda g: -g,),
    emit=lambda b, x: b.neg(x),
    refuses={0: (
        RuntimeError,
        "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the "
        "`~` or `logical_not()` operator instead.")})  # fmt: skip

_addcmul = elementwise(
    "addcmul", lambda x, y, z, value: x + (y if value.__class__ is float and value == 1.0 else value * y) * z,
    grads=(lambda g: g, lambda g, z, value: g * (z * value), lambda g, y, value: g * (y * value), None),
    emit=lambda b, x, y, z, value: b.add(x, b.mul(b.mul(value, y), z)),
    refuses={0: lacks("addcmul_cpu_out")})  # fmt: skip

_addcdiv = elementwise(
    "addcdiv", lambda x, y, z, value: x + value * y / z,
    grads=(lambda g: g, lambda g, z, value: g * (value / z), lambda g, y, z, value: -g * (value * y / (z * z)), None),
    emit=lambda b, x, y, z, value: b.add(x, b.div(b.mul(value, y), z)))  # fmt: skip


def _lerp(x: Any, y: Any, z: Any) -> Any:
    """From whichever end is nearer, so that weights 0 and 1 give the ends exactly."""
    if z.__class__ is float or not z.ndim:
        return x + z * (y - x) if abs(z) < 0.5 else y - (y - x) * (1 - z)
    near = np.abs(z) < 0.5
    return np.where(near, x + z * (y - x), y - (y - x) * (1 - z))


_TO_ENDS = (lambda g, z: g * (1 - z), lambda g, z: g * z)


def _emit_lerp(b: Any, x: Any, y: Any, z: Any) -> Any:
    way = b.sub(y, x)
    return b.select(b.lt(b.abs(z), 0.5), b.add(x, b.mul(z, way)), b.sub(y, b.mul(way, b.sub(1.0, z))))


lerp_number = elementwise(
    "lerp_number", lambda x, y, alpha: _lerp(x, y, alpha),
    grads=(lambda g, alpha: g * (1 - alpha), lambda g, alpha: g * alpha, None), emit=_emit_lerp, node="LerpBackward0")  # fmt: skip
lerp_tensor = elementwise(
    "lerp_tensor", _lerp,
    grads=(*_TO_ENDS, lambda g, x, y: g * (y - x)), emit=_emit_lerp, node="LerpBackward1")  # fmt: skip

# Exponential and logarithm stand here because powers and reductions need them; their relatives are in elementary.py.
exp = elementwise("exp", np.exp, grads=(lambda g, out: g * out,), emit=lambda b, x: b.exp(x), promote="float")
log = elementwise("log", np.log, grads=(lambda g, x: g / x,), emit=lambda b, x: b.log(x), promote="float")

# ---- selection -------------------------------------------------------------------------------------------------------

where_ = elementwise(
    "where", lambda x, y, z: select(x, y, z),
    grads=(None, lambda g, x: where_(x, g, 0.0), lambda g, x: where_(x, 0.0, g)),
    emit=lambda b, x, y, z: b.select(b.cast(x, "bool"), y, z), promote="rest")  # fmt: skip


def _no_complex(name: str) -> dict[int, Any]:
    return {3: (RuntimeError, f"{name} not implemented for complex tensors.")}


maximum = elementwise(
    "maximum", np.maximum,
    grads=(lambda g, x, y: _winner(g, x, y), lambda g, x, y: _winner(g, y, x)),
    emit=lambda b, x, y: b.maximum(x, y), refuses=_no_complex("maximum"))  # fmt: skip

minimum = elementwise(
    "minimum", np.minimum,
    grads=(lambda g, x, y: _winner(g, y, x), lambda g, x, y: _winner(g, x, y)),
    emit=lambda b, x, y: b.minimum(x, y), refuses=_no_complex("minimum"))  # fmt: skip


def _winner(g: Any, a: Any, b: Any) -> Any:
    """Half to each at a tie, all to both at a NaN: PyTorch's rule."""
    return where_(a == b, g / 2, where_(a < b, 0.0, g))


fmax = elementwise(
    "fmax", np.fmax,
    grads=(lambda g, x, y: where_((x >= y) | (y != y), g, 0.0), lambda g, x, y: where_((x >= y) | (y != y), 0.0, g)),
    emit=lambda b, x, y: b.select(b.or_(b.ge(x, y), b.ne(y, y)), x, y),
    refuses=_no_complex("fmax"))  # fmt: skip

fmin = elementwise(
    "fmin", np.fmin,
    grads=(lambda g, x, y: where_((x <= y) | (y != y), g, 0.0), lambda g, x, y: where_((x <= y) | (y != y), 0.0, g)),
    emit=lambda b, x, y: b.select(b.or_(b.le(x, y), b.ne(y, y)), x, y),
    refuses=_no_complex("fmin"))  # fmt: skip

_AT_LEAST: Any = (lambda g, x, y: where_(x >= y, g, 0.0), lambda g, x, y: where_(x < y, g, 0.0))
_AT_MOST: Any = (lambda g, x, y: where_(x <= y, g, 0.0), lambda g, x, y: where_(x > y, g, 0.0))
_NO_CLAMP = {3: "clamp is not supported for complex types"}

clamp_min = elementwise(
    "clamp_min", np.maximum, grads=_AT_LEAST,
    emit=lambda b, x, y: b.maximum(x, y), node="ClampMinBackward1", number="ClampMinBackward0",
    refuses=_NO_CLAMP)  # fmt: skip
clamp_max = elementwise(
    "clamp_max", np.minimum, grads=_AT_MOST,
    emit=lambda b, x, y: b.minimum(x, y), node="ClampMaxBackward1", number="ClampMaxBackward0",
    refuses=_NO_CLAMP)  # fmt: skip
clamp_below = elementwise(
    "clamp_below", np.maximum, grads=_AT_LEAST,
    emit=lambda b, x, y: b.maximum(x, y), node="ClampBackward0", number="ClampBackward1",
    refuses=_NO_CLAMP)  # fmt: skip
clamp_above = elementwise(
    "clamp_above", np.minimum, grads=_AT_MOST,
    emit=lambda b, x, y: b.minimum(x, y), node="ClampBackward0", number="ClampBackward1",
    refuses=_NO_CLAMP)  # fmt: skip

_between = lambda g, x, y, z: where_((x >= y) & (x <= z), g, 0.0)  # noqa: E731
clamp_tensors = elementwise(
    "clamp_tensors", lambda x, y, z: np.minimum(np.maximum(x, y), z),
    grads=(_between,
           lambda g, x, y, z: where_((y < z) & (x < y), g, 0.0),
           lambda g, x, y, z: where_((x > z) | (z < y), g, 0.0)),
    emit=lambda b, x, y, z: b.minimum(b.maximum(x, y), z), node="ClampBackward0", refuses=_NO_CLAMP)  # fmt: skip
clamp_numbers = elementwise(
    "clamp_numbers", lambda x, y, z: np.minimum(np.maximum(x, y), z),
    grads=(_between, None, None),
    emit=lambda b, x, y, z: b.minimum(b.maximum(x, y), z), node="ClampBackward1", refuses=_NO_CLAMP)  # fmt: skip

relu_adjoint = elementwise(
    "relu_adjoint", lambda g, out: select(out <= 0, g.dtype.type(0), g),
    grads=(lambda h, out: relu_adjoint(h, out), lambda h: h.new_zeros(h.shape) if isinstance(h, Tensor) else np.zeros_like(h)),
    emit=lambda b, g, out: b.select(b.le(out, 0.0), 0.0, g), node="ThresholdBackwardBackward0", large=True)  # fmt: skip

relu = elementwise(
    "relu", lambda x: np.maximum(x, zero_of(x)),
    grads=(lambda g, out: relu_adjoint(g, out),),
    emit=lambda b, x: b.maximum(x, 0.0), large=True,
    refuses={0: (RuntimeError, "Boolean inputs not supported for relu"), **_NO_CLAMP})  # fmt: skip

threshold_ = elementwise(
    "threshold", lambda x, y, z: select(x <= y, z, x),
    grads=(lambda g, x, y: where_(x <= y, 0.0, g), None, None),
    emit=lambda b, x, y, z: b.select(b.le(x, y), z, x),
    refuses={c: lacks("threshold_cpu") for c in (0, 3)})  # fmt: skip

# ---- comparison ------------------------------------------------------------------------------------------------------

eq = elementwise("eq", np.equal, promote="bool", emit=lambda b, x, y: b.eq(x, y))
ne = elementwise("ne", np.not_equal, promote="bool", emit=lambda b, x, y: b.ne(x, y))
lt = elementwise("lt", np.less, promote="bool", emit=lambda b, x, y: b.lt(x, y), refuses={3: lacks("lt_cpu")})
le = elementwise("le", np.less_equal, promote="bool", emit=lambda b, x, y: b.le(x, y), refuses={3: lacks("le_cpu")})
gt = elementwise("gt", np.greater, promote="bool", emit=lambda b, x, y: b.gt(x, y), refuses={3: lacks("gt_cpu")})
ge = elementwise("ge", np.greater_equal, promote="bool", emit=lambda b, x, y: b.ge(x, y), refuses={3: lacks("ge_cpu")})
