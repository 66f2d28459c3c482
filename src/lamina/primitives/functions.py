"""Public elementwise functions of one shape: `f(input, *, out=None)` and `f(input, other, *, out=None)`.

Here: what checks the arguments, and the functions that need nothing else. Not here: values and gradients
(elementwise.py, elementary.py, division.py, bitwise.py, special_functions.py), functions with more arguments
(arithmetic.py, selection.py, adjusted.py).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from lamina.core.promotion import as_operand, number_dtype
from lamina.core.tensor import Tensor, wrap
from lamina.primitives import bitwise, division, elementary, fast
from lamina.primitives import elementwise as e
from lamina.primitives import special_functions as s
from lamina.primitives.dispatch import apply
from lamina.primitives.inplace import of_tensors, put_out, with_out
from lamina.primitives.overridable import asks_below
from lamina.primitives.signature import no_overload, not_tensor


def is_tensor(value: Any) -> bool:
    """Whether `value` is a Tensor, or answers for one."""
    return isinstance(value, Tensor) or hasattr(value.__class__, "__torch_function__")


def is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float, complex, np.generic))


def unary(op: Any, name: str) -> Any:
    """The public function of a primitive with one input."""

    def checked(p: Any, tensors: Any, params: Any) -> Any:
        if not is_tensor(tensors[0]):
            raise not_tensor(name, "input", 1, tensors[0])
        return apply(p, tensors, params)

    p = op.primitive
    function = fast.unary(p, checked, takes_arrays=False, put=functools.partial(put_out, name))
    return _named(function, fast.unary(p, checked, takes_arrays=False), op, name)


def number_tensor(value: Any) -> Tensor:
    """A Python number as a 0-d tensor, for an operation of numbers alone."""
    return wrap(np.asarray(value, number_dtype(value).np))


_PAIR, _NUMBER_FIRST, _NUMBER_LAST = (
    "Tensor input, Tensor other",
    "Number self, Tensor other",
    "Tensor input, Number other",
)


def binary(op: Any, name: str, numbers: str = "other") -> Any:
    """The public function of a primitive with two inputs. numbers: which may be Python numbers: "none", "other",
    "either", "both".
    """
    forms = (
        ()
        if numbers == "none" or name == "mul"
        else (_PAIR, *((_NUMBER_FIRST,) if numbers == "either" else ()), _NUMBER_LAST)
    )

    def checked(p: Any, operands: Any, params: Any) -> Any:
        input, other = operands
        if numbers == "both" and is_number(input) and is_number(other):
            return apply(p, (number_tensor(as_operand(input)), other), params)
        first = is_tensor(input) or (numbers in ("either", "both") and is_number(input) and is_tensor(other))
        second = is_tensor(other) or (numbers != "none" and is_number(other))
        if not (first and second):
            if forms:
                raise no_overload(name, operands, *forms)
            raise not_tensor(name, "other" if first else "input", 2 if first else 1, other if first else input)
        return apply(p, operands, params)

    p, by_number = op.primitive, numbers != "none"
    function = fast.binary(p, checked, takes_arrays=False, numbers=by_number, put=functools.partial(put_out, name))
    return _named(function, fast.binary(p, checked, takes_arrays=False, numbers=by_number), op, name)


def _named(function: Any, plain: Any, op: Any, name: str) -> Any:
    """The public function, which knows its primitive, and the form without `out=` that is a method."""
    for f in (function, plain):
        f.__name__ = f.__qualname__ = name
        f.primitive = op.primitive
    function.__wrapped__ = plain
    plain.asks_below = True
    return asks_below(op)(function)


def bare(function: Any) -> Any:
    """A public function without the reading of `out=`: what is a method."""
    return getattr(function, "__wrapped__", function)


def reflected(op: Any) -> Any:
    """`other op self`, for the methods with an r in front."""

    def method(self: Any, other: Any) -> Any:
        if not is_tensor(other) and not is_number(other) and not isinstance(other, np.ndarray):
            return NotImplemented
        return op(other, self)

    return method


@of_tensors
def positive(input: Tensor) -> Tensor:
    """`input` itself. Raises RuntimeError for bool."""
    if input.dtype.category == 0:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


@of_tensors
def conj(input: Tensor) -> Tensor:
    """The complex conjugate; a real tensor itself."""
    return elementary.conj_(input) if input.is_complex() else input


def resolve_conj(input: Tensor) -> Tensor:
    """`input` itself: conjugates are computed at once."""
    return _itself("resolve_conj", input)


def resolve_neg(input: Tensor) -> Tensor:
    """`input` itself: negatives are computed at once."""
    return _itself("resolve_neg", input)


def _itself(name: str, input: Tensor) -> Tensor:
    if not is_tensor(input):
        raise not_tensor(name, "input", 1, input)
    return input


@with_out
def conj_physical(input: Tensor) -> Tensor:
    """`conj`."""
    return conj(input)


@with_out
def square(input: Tensor) -> Tensor:
    """input ** 2; a bool is squared as an integer."""
    if not is_tensor(input):
        raise not_tensor("square", "input", 1, input)
    return division.square(input) if input.dtype.category else division.pow(input, 2)  # type: ignore[no-any-return]


@with_out
def pow(input: Any, exponent: Any) -> Tensor:
    """input ** exponent: either may be a number. Raises RuntimeError for integers to a negative integer."""
    if is_tensor(input) and (is_tensor(exponent) or is_number(exponent)):
        return division.pow(input, exponent)  # type: ignore[no-any-return]
    if not is_tensor(exponent) or not is_number(input):
        raise not_tensor(
            "pow", "input" if is_tensor(exponent) else "exponent", 1, input if is_tensor(exponent) else exponent
        )
    return division.rpow(exponent, input)  # type: ignore[no-any-return]


pow.__wrapped__.primitive = division.pow.primitive  # its in-place form may write directly
square.__wrapped__.primitive = division.square.primitive

abs = absolute = unary(elementary.absolute, "abs")
neg = negative = unary(e.neg, "neg")
sign, sgn, signbit = unary(elementary.sign, "sign"), unary(elementary.sgn, "sgn"), unary(elementary.signbit, "signbit")
reciprocal, sqrt, rsqrt = (
    unary(elementary.reciprocal, "reciprocal"),
    unary(elementary.sqrt, "sqrt"),
    unary(elementary.rsqrt, "rsqrt"),
)
angle = unary(elementary.angle, "angle")
relu = unary(e.relu, "relu")

exp, exp2, expm1 = unary(e.exp, "exp"), unary(elementary.exp2, "exp2"), unary(elementary.expm1, "expm1")
log, log2, log10 = unary(e.log, "log"), unary(elementary.log2, "log2"), unary(elementary.log10, "log10")
log1p = unary(elementary.log1p, "log1p")
sigmoid = expit = unary(elementary.sigmoid, "sigmoid")

sin, cos, tan = unary(elementary.sin, "sin"), unary(elementary.cos, "cos"), unary(elementary.tan, "tan")
asin = arcsin = unary(elementary.asin, "asin")
acos = arccos = unary(elementary.acos, "acos")
atan = arctan = unary(elementary.atan, "atan")
sinh, cosh, tanh = unary(elementary.sinh, "sinh"), unary(elementary.cosh, "cosh"), unary(elementary.tanh, "tanh")
asinh = arcsinh = unary(elementary.asinh, "asinh")
acosh = arccosh = unary(elementary.acosh, "acosh")
atanh = arctanh = unary(elementary.atanh, "atanh")
sinc = unary(elementary.sinc, "sinc")
deg2rad, rad2deg = unary(elementary.deg2rad, "deg2rad"), unary(elementary.rad2deg, "rad2deg")

ceil, floor, frac = unary(elementary.ceil, "ceil"), unary(elementary.floor, "floor"), unary(elementary.frac, "frac")
trunc = fix = unary(elementary.trunc, "trunc")
isnan, isinf, isfinite = (unary(getattr(elementary, n), n) for n in ("isnan", "isinf", "isfinite"))
isposinf, isneginf, isreal = (unary(getattr(elementary, n), n) for n in ("isposinf", "isneginf", "isreal"))
logical_not, bitwise_not = unary(bitwise.logical_not, "logical_not"), unary(bitwise.bitwise_not, "bitwise_not")

erf, erfc, erfinv = unary(s.erf, "erf"), unary(s.erfc, "erfc"), unary(s.erfinv, "erfinv")
lgamma = gammaln = unary(s.lgamma, "lgamma")
digamma = psi = unary(s.digamma, "digamma")
i0 = unary(s.i0, "i0")

mul = multiply = binary(e.mul, "mul", "both")
true_divide = binary(e.true_divide, "true_divide", "both")
floor_divide = binary(division.floor_divide, "floor_divide", "both")
remainder = binary(division.remainder, "remainder", "either")
fmod = binary(division.fmod, "fmod")

eq, ne = binary(e.eq, "eq"), binary(e.ne, "ne")
lt, le, gt, ge = binary(e.lt, "lt"), binary(e.le, "le"), binary(e.gt, "gt"), binary(e.ge, "ge")
less, less_equal, greater, greater_equal, not_equal = lt, le, gt, ge, ne
maximum, minimum = binary(e.maximum, "maximum", "none"), binary(e.minimum, "minimum", "none")
fmax, fmin = binary(e.fmax, "fmax", "none"), binary(e.fmin, "fmin", "none")
atan2 = arctan2 = binary(elementary.atan2, "atan2", "none")
hypot, nextafter = binary(elementary.hypot, "hypot", "none"), binary(elementary.nextafter, "nextafter", "none")
copysign, ldexp = binary(elementary.copysign, "copysign"), binary(elementary.ldexp, "ldexp", "none")
logaddexp, logaddexp2 = (
    binary(elementary.logaddexp, "logaddexp", "none"),
    binary(elementary.logaddexp2, "logaddexp2", "none"),
)
xlogy = binary(s.xlogy, "xlogy", "either")
igamma = gammainc = binary(s.igamma, "igamma", "none")
igammac = gammaincc = binary(s.igammac, "igammac", "none")
logical_and, logical_or, logical_xor = (
    binary(getattr(bitwise, n), n, "none") for n in ("logical_and", "logical_or", "logical_xor")
)
bitwise_and, bitwise_or, bitwise_xor = (
    binary(getattr(bitwise, n), n, "either") for n in ("bitwise_and", "bitwise_or", "bitwise_xor")
)
bitwise_left_shift = binary(bitwise.left_shift, "bitwise_left_shift", "either")
bitwise_right_shift = binary(bitwise.right_shift, "bitwise_right_shift", "either")
gcd, lcm = binary(bitwise.gcd, "gcd", "none"), binary(bitwise.lcm, "lcm", "none")
