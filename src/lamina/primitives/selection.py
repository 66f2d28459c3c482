"""Public functions that choose or compare values: where, clamp, isclose, equal and the like.

Here: argument checks, and comparisons of whole tensors. Not here: values and gradients of the choices (elementwise.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core import dtype as dtypes
from lamina.core.device import CPU
from lamina.core.promotion import common_dtype
from lamina.core.size import broadcast
from lamina.core.tensor import Tensor, looked_at, wrap
from lamina.core.warn import warn
from lamina.primitives import elementary, elementwise
from lamina.primitives.functions import is_number, is_tensor
from lamina.primitives.inplace import of_tensors, put_out, with_out
from lamina.primitives.levels import differs
from lamina.primitives.out_dtypes import NAMES
from lamina.primitives.registry import primitive
from lamina.primitives.signature import no_overload, not_implemented, not_tensor

BOOL = CPU[dtypes.bool_]


def _positions(condition: Tensor) -> tuple[Tensor, ...]:
    return tuple(wrap(i.astype(np.int64)) for i in np.nonzero(np.atleast_1d(condition._array)))


def where(condition: Tensor, input: Any = None, other: Any = None, *, out: Tensor | None = None) -> Any:
    """`input` where `condition` holds, `other` elsewhere; without the two, the positions where it holds, an index
    tensor per dimension.

    Shape: the three broadcast. dtype: that of input and other, promoted. Raises RuntimeError unless the condition is
    bool.
    """
    if (
        condition.__class__ is Tensor
        and condition._kind is BOOL
        and input is not None
        and other is not None
        and out is None
    ):
        return elementwise.where_(condition, input, other)
    if not is_tensor(condition):
        raise not_tensor("where", "condition", 1, condition)
    if input is None and other is None:
        return _positions(condition)
    if not all(is_tensor(v) or is_number(v) for v in (input, other)):
        raise TypeError(
            "where() received an invalid combination of arguments - got "
            f"({', '.join(type(v).__name__ for v in (condition, input, other) if v is not None)}), but expected one "
            "of: (Tensor condition), (Tensor condition, Tensor input, Tensor other), where the last two may be numbers"
        )
    if condition.dtype is dtypes.uint8:
        warn(
            "where received a uint8 condition tensor. This behavior is deprecated and will be removed in a future "
            "version of PyTorch. Use a boolean condition instead.",
            UserWarning,
        )
        condition = condition != 0
    elif condition.dtype is not dtypes.bool_:
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{NAMES[condition.dtype.name]}"
        )
    result = elementwise.where_(condition, input, other)
    return result if out is None else put_out("where", result, out)


def where_method(self: Tensor, condition: Tensor, other: Any) -> Any:
    """self where `condition` holds, `other` elsewhere."""
    return where(condition, self, other)


def clamp(input: Tensor, min: Any = None, max: Any = None, *, out: Tensor | None = None) -> Tensor:
    """`input` held between `min` and `max`, each a number or a tensor; `max` wins where they cross, NaN stays.

    Gradient: passes at the bounds. Raises RuntimeError where both are None.
    """
    result = _clamped(input, min, max)
    return result if out is None else put_out("clamp", result, out)


def _clamped(input: Tensor, min: Any, max: Any) -> Tensor:
    if min.__class__ is float and max.__class__ is float and input.__class__ is Tensor:
        return elementwise.clamp_numbers(input, min, max)  # type: ignore[no-any-return]
    if not is_tensor(input):
        raise not_tensor("clamp", "input", 1, input)
    low, high = _bound(min), _bound(max)
    if low == high == _NONE:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if _OTHER in (low, high) or (low != high and _NONE not in (low, high)):
        given = ", ".join(type(v).__name__ for v in (input, min, max))
        raise TypeError(
            f"clamp() received an invalid combination of arguments - got ({given}), but expected one of: "
            "(Tensor input, Tensor min = None, Tensor max = None), (Tensor input, Number min = None, Number max = None)"
        )
    if _NUMBER in (low, high):
        if input.dtype.category == 2 and (isinstance(min, complex) or isinstance(max, complex)):
            raise RuntimeError("value cannot be converted to type double without overflow")
        _refuse_bool(input, min, max)
    if high == _NONE:
        return elementwise.clamp_below(input, min)  # type: ignore[no-any-return]
    if low == _NONE:
        return elementwise.clamp_above(input, max)  # type: ignore[no-any-return]
    return (elementwise.clamp_tensors if low == _TENSOR else elementwise.clamp_numbers)(input, min, max)  # type: ignore[no-any-return]


def _refuse_bool(input: Tensor, min: Any, max: Any) -> None:
    """Bool is not held between numbers of its kind."""
    if common_dtype([v for v in (input, min, max) if v is not None]).category == 0:
        side = "clamp" if min is not None and max is not None else "clamp_max" if min is None else "clamp_min"
        raise not_implemented(f"{side}_scalar_cpu", input.dtype)


_NONE, _NUMBER, _TENSOR, _OTHER = range(4)


def _bound(value: Any) -> int:
    if value is None:
        return _NONE
    if value.__class__ is float or value.__class__ is int:
        return _NUMBER
    return _TENSOR if is_tensor(value) else _NUMBER if is_number(value) else _OTHER


@with_out
def clamp_min(input: Tensor, min: Any) -> Tensor:
    """`input`, at least `min`."""
    if not is_tensor(input):
        raise no_overload("clamp_min", (input, min), "Tensor input, Tensor min", "Tensor input, Number min")
    if not is_tensor(min) and input.dtype.category == 0:
        _refuse_bool(input, min, None)
    return elementwise.clamp_min(input, min)  # type: ignore[no-any-return]


@with_out
def clamp_max(input: Tensor, max: Any) -> Tensor:
    """`input`, at most `max`."""
    if not is_tensor(input):
        raise no_overload("clamp_max", (input, max), "Tensor input, Tensor max", "Tensor input, Number max")
    if not is_tensor(max) and input.dtype.category == 0:
        _refuse_bool(input, None, max)
    return elementwise.clamp_max(input, max)  # type: ignore[no-any-return]


@with_out
def threshold(input: Tensor, threshold: float, value: float) -> Tensor:
    """`input` where it exceeds `threshold`, `value` elsewhere."""
    return elementwise.threshold_(input, threshold, value)  # type: ignore[no-any-return]


@with_out
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 below 0, 1 above, `values` at 0. Raises RuntimeError unless both have one dtype."""
    for i, (name, t) in enumerate((("input", input), ("values", values))):
        if not is_tensor(t):
            raise not_tensor("heaviside", name, i + 1, t)
    if input.dtype is not values.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    return elementary.heaviside(input, values)  # type: ignore[no-any-return]


# ---- comparison of whole tensors -------------------------------------------------------------------------------------


def _close(x: Any, y: Any, *, rtol: float, atol: float, equal_nan: bool) -> Any:
    close = x == y
    if equal_nan:
        close = close | ((x != x) & (y != y))
    if rtol == 0 and atol == 0:
        return close
    if x.dtype.kind in "biu":
        x, y = x.astype(np.int64), y.astype(np.int64)
        allowed = atol + np.abs(
            rtol * y.astype(np.float32 if dtypes.get_default_dtype() is dtypes.float32 else np.float64)
        )
    else:
        allowed = atol + np.abs(rtol * y)
    error = np.abs(x - y)
    return close | (np.isfinite(error) & (error <= allowed))


def _emit_close(b: Any, x: Any, y: Any, rtol: float, atol: float, equal_nan: bool) -> Any:
    close = b.eq(x, y)
    if equal_nan:
        close = b.or_(close, b.and_(b.isnan(x), b.isnan(y)))
    if rtol == 0 and atol == 0:
        return close
    if not x.dtype.startswith("float"):
        x, y = b.cast(b.cast(x, "int64"), "float64"), b.cast(b.cast(y, "int64"), "float64")
    error = b.abs(b.sub(x, y))
    return b.or_(close, b.and_(b.isfinite(error), b.le(error, b.add(b.abs(b.mul(y, rtol)), atol))))


isclose_ = primitive("isclose", _close, emit=_emit_close)


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Whether |input - other| <= atol + rtol * |other|, element by element; equal_nan: a NaN is close to a NaN.

    Raises RuntimeError for different dtypes and negative tolerances.
    """
    for i, (name, t) in enumerate((("input", input), ("other", other))):
        if not is_tensor(t):
            raise not_tensor("isclose", name, i + 1, t)
    if input.dtype is not other.dtype:
        raise RuntimeError(f"{NAMES[input.dtype.name]} did not match {NAMES[other.dtype.name]}")
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if not tolerance >= 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {tolerance:g}")
    broadcast(input._array.shape, other._array.shape)
    return isclose_(input, other, rtol=rtol, atol=atol, equal_nan=bool(equal_nan))  # type: ignore[no-any-return]


@of_tensors
def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether all elements are close, as in `isclose`."""
    if differs(input) or differs(other):
        raise RuntimeError(
            "vmap over torch.allclose isn't supported yet. Please file an issue at https://github.com/pytorch/pytorch/issues if you need "
            "this feature."
        )
    looked_at(input, "allclose()")
    return bool(isclose(input, other, rtol, atol, equal_nan)._array.all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and the same elements (a NaN equals nothing)."""
    for i, (name, t) in enumerate((("input", input), ("other", other))):
        if not is_tensor(t):
            raise not_tensor("equal", name, i + 1, t)
    if differs(input) or differs(other):
        raise RuntimeError("Batching rule not implemented for aten::equal. We could not generate a fallback.")
    looked_at(input, "equal()")
    return input._array.shape == other._array.shape and bool((input._array == other._array).all())
