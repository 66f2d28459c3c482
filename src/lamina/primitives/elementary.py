"""Elementary functions, one input each: exponentials, roots, trigonometry, rounding, signs, complex parts.

Here: value, gradients, lowering. Not here: gamma, error and Bessel functions (special_functions.py), public signatures
(functions.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina.primitives.elementwise import exp, lacks, mul, refuse_derivative, where_, zeros_
from lamina.primitives.registry import elementwise, primitive

_PI2 = math.pi**2
_LN2, _LN10 = math.log(2.0), math.log(10.0)


def _is_complex(x: Any) -> bool:
    return x.dtype.kind == "c" if isinstance(x, (np.ndarray, np.generic)) else x.is_complex()


# ---- exponentials and logarithms -------------------------------------------------------------------------------------

exp2 = elementwise(
    "exp2", np.exp2, grads=(lambda g, out: g * out * _LN2,), emit=lambda b, x: b.exp2(x), promote="float"
)
expm1 = elementwise(
    "expm1", np.expm1, grads=(lambda g, out: g * (out + 1.0),), emit=lambda b, x: b.expm1(x), promote="float"
)
log2 = elementwise("log2", np.log2, grads=(lambda g, x: g / (x * _LN2),), emit=lambda b, x: b.log2(x), promote="float")
log10 = elementwise(
    "log10", np.log10, grads=(lambda g, x: g / (x * _LN10),), emit=lambda b, x: b.log10(x), promote="float"
)
log1p = elementwise(
    "log1p", np.log1p, grads=(lambda g, x: g / (x + 1.0),), emit=lambda b, x: b.log1p(x), promote="float", node="Log1P"
)


def _sigmoid(x: Any) -> Any:
    out = np.exp(np.negative(x))
    out += 1.0
    return np.reciprocal(out)


sigmoid = elementwise(
    "sigmoid", _sigmoid,
    grads=(lambda g, out: g * (out * (1.0 - out)),),
    emit=lambda b, x: b.div(1.0, b.add(1.0, b.exp(b.neg(x)))), promote="float", large=True)  # fmt: skip

logit = elementwise(
    "logit", lambda x: np.log(x / (1 - x)),
    grads=(lambda g, x: where_((x < 0.0) | (x > 1.0), math.nan, g / (x * (1.0 - x))),),
    emit=lambda b, x: _emit_logit(b, x), promote="float",
    refuses={3: lacks("logit_cpu")})  # fmt: skip


def _emit_logit(b: Any, x: Any) -> Any:
    return b.log(b.div(x, b.sub(1.0, x)))


logit_clamped = primitive(
    "logit_clamped", lambda x, *, eps: np.log(np.clip(x, eps, 1 - eps) / (1 - np.clip(x, eps, 1 - eps))),
    grads=(lambda g, x, eps: where_((x >= eps) & (x <= 1.0 - eps), g / (x * (1.0 - x)), 0.0),),
    emit=lambda b, x, eps: _emit_logit(b, b.minimum(b.maximum(x, eps), 1.0 - eps)),
    node="Logit")  # fmt: skip


def _logaddexp(x: Any, y: Any) -> Any:
    if x.dtype.kind != "c":
        return np.logaddexp(x, y)
    big, small = np.where(x.real >= y.real, x, y), np.where(x.real >= y.real, y, x)
    return np.where(x == y, x + _LN2, big + np.log1p(np.exp(small - big))).astype(x.dtype)


def _emit_logaddexp(b: Any, x: Any, y: Any, double: float, smaller: Any) -> Any:
    """The greater, and what the smaller adds to it; where they are equal also two infinities, which have no difference."""
    added = b.log1p(smaller(b.neg(b.abs(b.sub(x, y)))))
    if double == 1.0:
        added = b.mul(added, 1 / _LN2)
    return b.select(b.eq(x, y), b.add(x, double), b.add(b.maximum(x, y), added))


logaddexp = elementwise(
    "logaddexp", _logaddexp,
    emit=lambda b, x, y: _emit_logaddexp(b, x, y, _LN2, b.exp),
    grads=(lambda g, x, y: g / (exp(y - x) + 1.0), lambda g, x, y: g / (exp(x - y) + 1.0)),
    refuses={c: lacks("logaddexp_cpu") for c in (0, 1)})  # fmt: skip

logaddexp2 = elementwise(
    "logaddexp2", lambda x, y: np.logaddexp2(x, y) if x.dtype.kind != "c" else _logaddexp(x * _LN2, y * _LN2) / _LN2,
    emit=lambda b, x, y: _emit_logaddexp(b, x, y, 1.0, b.exp2),
    grads=(lambda g, x, y: g / (exp2(y - x) + 1.0), lambda g, x, y: g / (exp2(x - y) + 1.0)),
    refuses={c: lacks("logaddexp2_cpu") for c in (0, 1, 3)})  # fmt: skip

# ---- roots -----------------------------------------------------------------------------------------------------------

sqrt = elementwise(
    "sqrt", np.sqrt, grads=(lambda g, out: g / (out * 2.0),), emit=lambda b, x: b.sqrt(x), promote="float"
)
rsqrt = elementwise(
    "rsqrt", lambda x: np.reciprocal(np.sqrt(x)),
    grads=(lambda g, out: g * (out * out * out * -0.5),),
    emit=lambda b, x: b.div(1.0, b.sqrt(x)), promote="float")  # fmt: skip
reciprocal = elementwise(
    "reciprocal", np.reciprocal,
    grads=(lambda g, out: g * -(out * out),),
    emit=lambda b, x: b.div(1.0, x), promote="float")  # fmt: skip

# ---- trigonometry ----------------------------------------------------------------------------------------------------

sin = elementwise("sin", np.sin, grads=(lambda g, x: g * cos(x),), emit=lambda b, x: b.sin(x), promote="float")
cos = elementwise("cos", np.cos, grads=(lambda g, x: g * -sin(x),), emit=lambda b, x: b.cos(x), promote="float")
tan = elementwise(
    "tan", np.tan, grads=(lambda g, out: g * (out * out + 1.0),), emit=lambda b, x: b.tan(x), promote="float"
)
asin = elementwise(
    "asin", np.arcsin, grads=(lambda g, x: g * rsqrt(1.0 - x * x),), emit=lambda b, x: b.asin(x), promote="float"
)
acos = elementwise(
    "acos", np.arccos, grads=(lambda g, x: g * -rsqrt(1.0 - x * x),), emit=lambda b, x: b.acos(x), promote="float"
)
atan = elementwise(
    "atan", np.arctan, grads=(lambda g, x: g / (x * x + 1.0),), emit=lambda b, x: b.atan(x), promote="float"
)
sinh = elementwise("sinh", np.sinh, grads=(lambda g, x: g * cosh(x),), emit=lambda b, x: b.sinh(x), promote="float")
cosh = elementwise("cosh", np.cosh, grads=(lambda g, x: g * sinh(x),), emit=lambda b, x: b.cosh(x), promote="float")
tanh = elementwise(
    "tanh", np.tanh, grads=(lambda g, out: g * (1.0 - out * out),), emit=lambda b, x: b.tanh(x), promote="float"
)
asinh = elementwise(
    "asinh", np.arcsinh, grads=(lambda g, x: g * rsqrt(x * x + 1.0),), emit=lambda b, x: b.asinh(x), promote="float"
)
acosh = elementwise(
    "acosh", np.arccosh,
    # the product of the roots has the right branch of a complex square root; one root does for real numbers
    grads=(lambda g, x: g * (rsqrt(x + 1.0) * rsqrt(x - 1.0) if _is_complex(x) else rsqrt(x * x - 1.0)),),
    emit=lambda b, x: b.acosh(x), promote="float")  # fmt: skip
atanh = elementwise(
    "atanh", np.arctanh, grads=(lambda g, x: g / (1.0 - x * x),), emit=lambda b, x: b.atanh(x), promote="float"
)

_NO_ATAN2 = {3: lacks("atan2_cpu")}


def _over_square(g: Any, x: Any, y: Any) -> Any:
    """g / (x^2 + y^2), and 0 at the origin."""
    square = x * x + y * y
    return where_(square == 0, 0.0, g / square)


atan2 = elementwise(
    "atan2", np.arctan2,
    grads=(lambda g, x, y: _over_square(g, x, y) * y, lambda g, x, y: _over_square(g, x, y) * -x),
    emit=lambda b, x, y: b.atan2(x, y), promote="float", refuses=_NO_ATAN2)  # fmt: skip


def _emit_hypot(b: Any, x: Any, y: Any) -> Any:
    """By the quotient of the smaller and the greater, whose square neither overflows nor vanishes."""
    one, other = b.abs(x), b.abs(y)
    big, small = b.maximum(one, other), b.minimum(one, other)
    ratio = b.div(small, b.select(b.eq(big, 0.0), 1.0, big))
    length = b.mul(big, b.sqrt(b.add(1.0, b.mul(ratio, ratio))))
    return b.select(b.or_(b.isinf(x), b.isinf(y)), math.inf, length)


hypot = elementwise(
    "hypot", np.hypot, emit=_emit_hypot,
    grads=(lambda g, x, out: g * (x / out), lambda g, y, out: g * (y / out)),
    refuses={c: lacks("hypot_cpu") for c in (0, 1, 3)})  # fmt: skip

sinc = elementwise(
    "sinc", lambda x: _sinc(x * math.pi),
    grads=(lambda g, x: g * sinc_slope(x),), emit=lambda b, x: _emit_sinc(b, b.mul(x, math.pi)), promote="float")  # fmt: skip


def _sinc(x: Any) -> Any:
    return np.where(x == 0, 1, np.sin(x) / x).astype(x.dtype)


def _emit_sinc(b: Any, x: Any) -> Any:
    return b.select(b.eq(x, 0.0), 1.0, b.div(b.sin(x), x))


sinc_slope = elementwise(
    "sinc_slope", lambda x: _sinc_slope(x),
    grads=(lambda g, x: g * where_(x == 0, -_PI2 / 3, -_PI2 * sinc(x) - sinc_slope(x) * 2.0 / x),),
    emit=lambda b, x: _emit_sinc_slope(b, x))  # fmt: skip


_NEAR_ZERO = [(-1) ** k * 2 * k / math.factorial(2 * k + 1) for k in range(7, 0, -1)]


def _sinc_slope(x: Any) -> Any:
    """(cos - sinc) / x, which cancels near 0: there by its Taylor series."""
    turned = x * math.pi
    square = turned * turned
    series = np.zeros_like(x)
    for c in _NEAR_ZERO:
        series = series * square + c
    far = (np.cos(turned) - np.sin(turned) / turned) / x
    return np.where(np.abs(turned) < 0.5, series * turned * math.pi + 0.0, far).astype(x.dtype)


def _emit_sinc_slope(b: Any, x: Any) -> Any:
    turned = b.mul(x, math.pi)
    square, series = b.mul(turned, turned), b.const(0.0, x.dtype)
    for c in _NEAR_ZERO:
        series = b.add(b.mul(series, square), c)
    far = b.div(b.sub(b.cos(turned), b.div(b.sin(turned), turned)), x)
    return b.select(b.lt(b.abs(turned), 0.5), b.add(b.mul(b.mul(series, turned), math.pi), 0.0), far)


_DEGREE = math.pi / 180
deg2rad = elementwise(
    "deg2rad", lambda x: x * _DEGREE, grads=(lambda g: g * _DEGREE,),
    emit=lambda b, x: b.mul(x, _DEGREE), promote="float", node="Deg2Rad",
    refuses={3: (RuntimeError, "deg2rad is not supported for complex tensors.")})  # fmt: skip
rad2deg = elementwise(
    "rad2deg", lambda x: x * (180 / math.pi), grads=(lambda g: g * (180 / math.pi),),
    emit=lambda b, x: b.mul(x, 180 / math.pi), promote="float", node="Rad2Deg",
    refuses={3: (RuntimeError, "rad2deg is not supported for complex tensors.")})  # fmt: skip

# ---- rounding --------------------------------------------------------------------------------------------------------


def _flat(name: str, ufunc: Any) -> Any:
    """A step function: integers stay what they are, the gradient is zero."""
    return elementwise(
        name, lambda x: ufunc(x) if x.dtype.kind == "f" else x.copy(), grads=(lambda g: zeros_(g),),
        emit=lambda b, x: getattr(b, name)(x), refuses={0: lacks(f"{name}_vml_cpu"), 3: f"{name} is not supported for complex inputs"})  # fmt: skip


ceil, floor, trunc, round_ = (
    _flat("ceil", np.ceil),
    _flat("floor", np.floor),
    _flat("trunc", np.trunc),
    _flat("round", np.rint),
)

round_decimals = primitive(
    "round_decimals", lambda x, *, decimals: _round_decimals(x, decimals),
    grads=(lambda g: zeros_(g),), emit=lambda b, x, decimals: _emit_round(b, x, decimals), node="RoundBackward1")  # fmt: skip


def _round_decimals(x: Any, decimals: int) -> Any:
    scale = 10.0 ** abs(decimals)
    return np.rint(x * scale) / scale if decimals >= 0 else np.rint(x / scale) * scale


def _emit_round(b: Any, x: Any, decimals: int) -> Any:
    scale = 10.0 ** abs(decimals)
    return b.div(b.round(b.mul(x, scale)), scale) if decimals >= 0 else b.mul(b.round(b.div(x, scale)), scale)


frac = elementwise(
    "frac", lambda x: x - np.trunc(x), grads=(lambda g: g,),
    emit=lambda b, x: b.sub(x, b.trunc(x)), refuses={c: lacks("frac_cpu") for c in (0, 1, 3)})  # fmt: skip

frexp_ = primitive(
    "frexp", lambda x: np.frexp(x), grads=(lambda g, out_1: scaled(g, -out_1),), outputs=2, nondiff=(1,), restores=True
)
scaled = primitive("scaled", lambda x, n: np.ldexp(x, n), grads=(lambda g, n: scaled(g, n), None))
"""x * 2**n, exactly: n integers."""

ldexp = elementwise(
    "ldexp", lambda x, y: x * np.power(2.0, y).astype(x.dtype),
    grads=(lambda g, y: g * exp2(y), lambda g, out: g * (out * _LN2)),
    emit=lambda b, x, y: b.mul(x, b.pow(2.0, y)), promote="float")  # fmt: skip

nextafter = elementwise(
    "nextafter", np.nextafter,
    grads=(lambda g, x, y: where_(x == y, 0.0, g), lambda g: zeros_(g)),
    refuses={c: lacks("nextafter_cpu") for c in (0, 1, 3)}, native=True)  # fmt: skip

# ---- signs -----------------------------------------------------------------------------------------------------------


def _sign(x: Any) -> Any:
    """-1, 0, 1; 0 for a NaN, as PyTorch has it; z / |z| for complex numbers."""
    if x.dtype.kind == "c":
        return np.sign(x)
    return x.copy() if x.dtype.kind == "b" else np.subtract(x > 0, x < 0, dtype=x.dtype)


def _sgn_back(g: Any, x: Any) -> Any:
    """The part of g across the direction of x, over |x|."""
    if not _is_complex(x):
        return zeros_(g)
    size, unit = absolute(x), sgn(x)
    return where_(size == 0, 0.0, (g - unit * (conj_(unit) * g).real) / size)


sgn = elementwise("sgn", _sign, grads=(lambda g, x: _sgn_back(g, x),), holomorphic=False, emit=lambda b, x: b.sign(x))
sign = elementwise(
    "sign", _sign, grads=(lambda g: zeros_(g),), emit=lambda b, x: b.sign(x),
    refuses={3: "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use torch.sgn instead."},
)  # fmt: skip
absolute = elementwise(
    "abs", np.absolute, grads=(lambda g, x: g * sgn(x),), holomorphic=False, emit=lambda b, x: b.abs(x),
    refuses={0: lacks("abs_cpu")})  # fmt: skip
copysign = elementwise(
    "copysign", lambda x, y: np.copysign(x, y),
    grads=(lambda g, x, out: where_(x == 0, 0.0, g * (out / x)), lambda g: zeros_(g)),
    emit=lambda b, x, y: b.copysign(x, y), promote="float", number="CopysignBackward1", refuses={3: lacks("copysign_cpu")})  # fmt: skip
heaviside = elementwise(
    "heaviside", lambda x, y: np.where(x == 0, y, x > 0).astype(x.dtype),
    emit=lambda b, x, y: b.select(b.eq(x, 0), y, b.cast(b.gt(x, 0), x.dtype)),
    grads=(refuse_derivative("derivative for aten::heaviside is not implemented"),) * 2, node="NotImplemented",
    refuses={3: (RuntimeError, "heaviside is not yet implemented for complex tensors.")})  # fmt: skip
signbit = elementwise(
    "signbit", lambda x: np.signbit(x) if x.dtype.kind == "f" else x < 0, promote="bool",
    emit=lambda b, x: b.lt(b.copysign(1.0, x) if x.dtype.startswith("float") else x, 0),
    refuses={3: "signbit is not implemented for complex tensors."})  # fmt: skip

# ---- complex numbers -------------------------------------------------------------------------------------------------

conj_ = elementwise(
    "conj_physical", np.conjugate, grads=(lambda g: conj_(g),), emit=lambda b, x: x, holomorphic=False, node="Conj")  # fmt: skip


def _turn(g: Any, x: Any) -> Any:
    """The gradient of an angle: across x, over |x|; 0 at 0 and for real numbers."""
    if not _is_complex(x):
        return zeros_(g)
    size = absolute(x)
    return where_(size == 0, 0.0, mul(g / (size * size), x * 1j))


def _angle(x: Any) -> Any:
    if x.dtype.kind == "c":
        return np.angle(x)
    return np.where(np.isnan(x), x, np.where(x < 0, math.pi, 0)).astype(x.dtype)


angle = elementwise(
    "angle", _angle, grads=(lambda g, x: _turn(g, x),), holomorphic=False, promote="float",
    emit=lambda b, x: b.select(b.isnan(x), x, b.select(b.lt(x, 0.0), math.pi, b.const(0.0, x.dtype))))  # fmt: skip

polar_ = elementwise(
    "polar", lambda x, y: x * np.exp(1j * y),
    grads=(lambda g, out: (conj_(g) * sgn(out)).real, lambda g, out: (conj_(g) * (out * 1j)).real),
    promote="complex", holomorphic=False)  # fmt: skip
complex_ = elementwise(
    "complex", lambda x, y: _complex(x, y),
    grads=(lambda g, x, y: g.real, lambda g, x, y: g.imag),  # both are saved, and may not be written to: as PyTorch has it
    promote="complex", holomorphic=False)  # fmt: skip


def _complex(x: Any, y: Any) -> Any:
    out = np.empty(np.broadcast_shapes(np.shape(x), np.shape(y)), np.result_type(x, np.complex64))
    out.real, out.imag = x, y
    return out


# ---- kinds of values -------------------------------------------------------------------------------------------------


def _no_complex(name: str) -> dict[int, Any]:
    return {3: (RuntimeError, f"{name} does not support complex inputs.")}


isnan = elementwise("isnan", np.isnan, promote="bool", emit=lambda b, x: b.ne(x, x))
isinf = elementwise("isinf", np.isinf, promote="bool", emit=lambda b, x: b.isinf(x))
isfinite = elementwise("isfinite", np.isfinite, promote="bool", emit=lambda b, x: b.isfinite(x))
isposinf = elementwise(
    "isposinf", lambda x: x == math.inf, promote="bool", emit=lambda b, x: b.and_(b.isinf(x), b.gt(x, 0)),
    refuses=_no_complex("isposinf"))  # fmt: skip
isneginf = elementwise(
    "isneginf", lambda x: x == -math.inf, promote="bool", emit=lambda b, x: b.and_(b.isinf(x), b.lt(x, 0)),
    refuses=_no_complex("isneginf"))  # fmt: skip
isreal = elementwise(
    "isreal", lambda x: x.imag == 0 if x.dtype.kind == "c" else np.ones(x.shape, np.bool_), promote="bool",
    emit=lambda b, x: b.const(True, "bool"))  # fmt: skip

nan_to_num_ = primitive(
    "nan_to_num", lambda x, *, nan, posinf, neginf: np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf),
    grads=(lambda g, x: where_(isfinite(x), g, 0.0),),
    emit=lambda b, x, nan, posinf, neginf: b.select(
        b.isnan(x), nan, b.select(b.isinf(x), b.select(b.gt(x, 0.0), b.const(posinf, x.dtype), neginf), x)))  # fmt: skip
