"""Rounded quotients, remainders and powers: elementwise primitives whose integer forms have rules of their own.

Here: values and gradients. Not here: true division (elementwise.py); public signatures (arithmetic.py).
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core.tensor import Tensor
from lamina.primitives.elementwise import lacks, log, refuse_derivative, where_, zeros_
from lamina.primitives.registry import elementwise


def _is_whole(x: Any) -> bool:
    return isinstance(x, int) if not hasattr(x, "dtype") else x.dtype.kind in "iu"


def _refuse_zero(y: Any) -> None:
    if not np.all(y):
        raise RuntimeError("ZeroDivisionError")


def _floor_quotient(x: Any, y: Any) -> Any:
    if _is_whole(x):
        _refuse_zero(y)
    return np.floor_divide(x, y)


def _trunc_quotient(x: Any, y: Any) -> Any:
    if not _is_whole(x):
        return np.trunc(np.true_divide(x, y))
    _refuse_zero(y)
    return np.floor_divide(x - np.fmod(x, y), y)  # exact, so that flooring it changes nothing


def _remainder(x: Any, y: Any) -> Any:
    if _is_whole(x):
        _refuse_zero(y)
        return np.remainder(x, y)
    out = np.remainder(x, y)
    zero = out == 0
    return np.where(zero, np.copysign(out, x), out) if zero.any() else out  # PyTorch's zeros have the sign of x


def _fmod(x: Any, y: Any) -> Any:
    if _is_whole(x):
        _refuse_zero(y)
    return np.fmod(x, y)


def _emit_whole(op: str) -> Any:
    """Integers only by a number that is known not to be 0: a division by 0 raises, and kernels cannot."""

    def emit(b: Any, x: Any, y: Any) -> Any:
        if not x.dtype.startswith("float") and not b.known(y):
            raise b.refused("a division of integers")
        return getattr(b, op)(x, y)

    return emit


def _neither(kernel: str) -> dict[int, Any]:
    return {c: lacks(kernel) for c in (0, 3)}


floor_divide = elementwise(
    "floor_divide", _floor_quotient,
    grads=(refuse_derivative("derivative for aten::floor_divide is not implemented"),) * 2,
    emit=_emit_whole("floor_div"), node="NotImplemented", refuses=_neither("div_floor_cpu"))  # fmt: skip

div_floor = elementwise(
    "div_floor", _floor_quotient,
    grads=(lambda g: zeros_(g), lambda g: zeros_(g)), emit=_emit_whole("floor_div"), node="DivBackward2",
    refuses=_neither("div_floor_cpu"))  # fmt: skip

div_trunc = elementwise(
    "div_trunc", _trunc_quotient,
    grads=(lambda g: zeros_(g), lambda g: zeros_(g)), emit=_emit_whole("trunc_div"), node="DivBackward2",
    refuses=_neither("div_trunc_cpu"))  # fmt: skip

remainder = elementwise(
    "remainder", _remainder,
    grads=(lambda g: g, lambda g, x, y: -g * div_floor(x, y)), emit=_emit_whole("mod"),
    node="RemainderBackward1", number="RemainderBackward0", refuses=_neither("remainder_cpu"))  # fmt: skip

fmod = elementwise(
    "fmod", _fmod,
    grads=(lambda g: g, lambda g, x, y: -g * div_trunc(x, y)), emit=_emit_whole("fmod"),
    node="FmodBackward1", number="FmodBackward0", refuses=_neither("fmod_cpu"))  # fmt: skip

# ---- powers ----------------------------------------------------------------------------------------------------------


def _power(x: Any, y: Any) -> Any:
    if y.__class__ is int and y < 0 and _is_whole(x):
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    if y.__class__ is np.ndarray and not y.ndim:
        y = y.item()
    if y.__class__ is bool:
        return x.copy() if y else np.ones_like(x)
    if not _is_whole(x) or not _is_whole(y):
        return _float_power(x, y)
    if np.less(y, 0).any():
        return _reciprocal_power(np.asarray(x), np.asarray(y))
    return np.square(x) if y.__class__ is int and y == 2 else np.power(x, y)


def _float_power(x: Any, y: Any) -> Any:
    """x ** y; the exponents that have a function of their own are much faster by it."""
    if y.__class__ is np.ndarray or x.__class__ is not np.ndarray:
        return np.power(x, y)
    if y == 2:
        return np.square(x)
    if y == 3:
        return np.square(x) * x
    if y == 1:
        return x.copy()
    if y == -1:
        return np.reciprocal(x)
    if y == -2:
        return np.reciprocal(np.square(x))
    if y == 0.5:
        return np.sqrt(x)
    if y == -0.5:
        return np.reciprocal(np.sqrt(x))
    return np.power(x, y)


def _emit_power(b: Any, x: Any, y: Any) -> Any:
    """As _float_power, where the exponent is a number in the program."""
    exponent = b.known(y)
    if exponent == 2:
        return b.mul(x, x)
    if exponent == 1:
        return x
    if exponent == 3:
        return b.mul(b.mul(x, x), x)
    if not x.dtype.startswith("float"):
        return b.pow(x, y)
    if exponent == -1:
        return b.div(1.0, x)
    if exponent == -2:
        return b.div(1.0, b.mul(x, x))
    if exponent == 0.5:
        return b.sqrt(x)
    if exponent == -0.5:
        return b.div(1.0, b.sqrt(x))
    return b.pow(x, y)


def _reciprocal_power(x: Any, y: Any) -> Any:
    """Integers to powers of which some are negative: 0 unless the base is 1 or -1."""
    of_one = np.where(x == 1, 1, np.where(x == -1, 1 - 2 * (y & 1), 0))
    return np.where(y < 0, of_one, np.power(x, np.maximum(y, 0))).astype(np.result_type(x, y) if y.ndim else x.dtype)


def _check_exponent(operands: Sequence[Any]) -> None:
    x, y = operands
    if isinstance(x, Tensor) and isinstance(y, Tensor) and x.dtype.category == y.dtype.category == 0:
        raise NotImplementedError(lacks("pow").format("Bool"))
    if isinstance(y, int) and y < 0 and isinstance(x, Tensor) and x.dtype.category < 2:
        raise RuntimeError("Integers to negative integer powers are not allowed.")


def _check_base(operands: Sequence[Any]) -> None:
    y, x = operands
    if isinstance(x, bool) and isinstance(y, Tensor) and y.dtype.category == 0:
        raise NotImplementedError(lacks("pow").format("Bool"))


def _by_base(g: Any, x: Any, y: Any) -> Any:
    if isinstance(y, (int, float, complex)):
        if y == 0:
            return zeros_(g)
        # recorded, every derivative depends on x as PyTorch's does: down to the power of 0
        return g * (x * 2.0) if y == 2 and not isinstance(x, Tensor) else g * (pow(x, y - 1) * y)
    return where_(y == 0, 0.0, g * (y * pow(x, y - 1)))


def _by_exponent(g: Any, x: Any, y: Any, out: Any) -> Any:
    """g * out * log(x), and 0 where a zero stays a zero."""
    if not isinstance(x, (int, float, complex)):
        return where_((x == 0) & (y.real >= 0), 0.0, g * (out * log(x)))
    if x == 0:
        return where_(y.real >= 0, 0.0, g * (out * -math.inf))
    if isinstance(x, complex):
        return g * (out * cmath.log(x))
    return g * (out * (math.log(x) if x > 0 else math.nan))


pow = elementwise(
    "pow", _power,
    grads=(lambda g, x, y: _by_base(g, x, y), lambda g, x, y, out: _by_exponent(g, x, y, out)),
    emit=lambda b, x, y: _emit_power(b, x, y),
    node="PowBackward1", number="PowBackward0", check=_check_exponent)  # fmt: skip

rpow = elementwise(
    "rpow", lambda x, y: _power(y, x),
    grads=(lambda g, x, y, out: _by_exponent(g, y, x, out), lambda g, x, y: _by_base(g, y, x)),
    emit=lambda b, x, y: _emit_power(b, y, x),
    node="PowBackward1", number="PowBackward2", check=_check_base)  # fmt: skip

square = elementwise(
    "square", np.square,
    grads=(lambda g, x: _by_base(g, x, 2),),
    emit=lambda b, x: b.mul(x, x), node="Pow")  # fmt: skip
