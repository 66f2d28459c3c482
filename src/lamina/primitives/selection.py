"""Public functions that choose or compare values: where, clamp, isclose, equal and the like.

Here: argument checks, and comparisons of whole tensors. Not here: values and gradients of the choices (elementwise.py).
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from lamina.core import dtype as dtypes
from lamina.core.size import broadcast
from lamina.core.tensor import Tensor, wrap
from lamina.primitives import elementary, elementwise
from lamina.primitives.functions import is_number, is_tensor
from lamina.primitives.inplace import NAMES, with_out
from lamina.primitives.registry import primitive
from lamina.primitives.signature import not_tensor


def _positions(condition: Tensor) -> tuple[Tensor, ...]:
    return tuple(wrap(i.astype(np.int64)) for i in np.nonzero(np.atleast_1d(condition._array)))


@with_out
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """`input` where `condition` holds, `other` elsewhere; without the two, the positions where it holds, an index tensor per dimension.

    Shape: the three broadcast. dtype: that of input and other, promoted. Raises RuntimeError unless the condition is bool.
    """
    if not is_tensor(condition):
        raise not_tensor("where", "condition", 1, condition)
    if input is None and other is None:
        return _positions(condition)
    if not all(is_tensor(v) or is_number(v) for v in (input, other)):
        raise TypeError(
            "where() received an invalid combination of arguments - got "
            f"({', '.join(type(v).__name__ for v in (condition, input, other) if v is not None)}), but expected one of: (Tensor condition), "
            "(Tensor condition, Tensor input, Tensor other), with numbers in place of the last two"
        )
    if condition.dtype is dtypes.uint8:
        warnings.warn(
            "where received a uint8 condition tensor. This behavior is deprecated and will be removed in a future version of PyTorch. Use "
            "a boolean condition instead.",
            UserWarning, stacklevel=3,
        )  # fmt: skip
        condition = condition != 0  # type: ignore[assignment]
    elif condition.dtype is not dtypes.bool_:
        raise RuntimeError(
            f"where expected condition to be a boolean tensor, but got a tensor with dtype {NAMES[condition.dtype.name]}"
        )
    return elementwise.where_(condition, input, other)


def where_method(self: Tensor, condition: Tensor, other: Any) -> Any:
    """self where `condition` holds, `other` elsewhere."""
    return where(condition, self, other)


def _invalid_clamp(*given: Any) -> TypeError:
    return TypeError(
        f"clamp() received an invalid combination of arguments - got ({', '.join(type(v).__name__ for v in given)}), but expected one of: "
        "(Tensor input, Tensor min = None, Tensor max = None), (Tensor input, Number min = None, Number max = None)"
    )


@with_out
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """`input` held between `min` and `max`, each a number or a tensor; `max` wins where they cross, NaN stays.

    Gradient: passes at the bounds. Raises RuntimeError where both are None.
    """
    if not is_tensor(input):
        raise not_tensor("clamp", "input", 1, input)
    if max is None:
        if min is None:
            raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
        if not is_tensor(min) and not is_number(min):
            raise _invalid_clamp(input, min)
        return elementwise.clamp_below(input, min)  # type: ignore[no-any-return]
    if not is_tensor(max) and not is_number(max):
        raise _invalid_clamp(input, min, max)
    if min is None:
        return elementwise.clamp_above(input, max)  # type: ignore[no-any-return]
    if is_tensor(min) and is_tensor(max):
        return elementwise.clamp_tensors(input, min, max)  # type: ignore[no-any-return]
    if is_number(min) and is_number(max):
        return elementwise.clamp_numbers(input, min, max)  # type: ignore[no-any-return]
    raise _invalid_clamp(input, min, max)


@with_out
def clamp_min(input: Tensor, min: Any) -> Tensor:
    """`input`, at least `min`."""
    if not is_tensor(input):
        raise not_tensor("clamp_min", "input", 1, input)
    return elementwise.clamp_min(input, min)  # type: ignore[no-any-return]


@with_out
def clamp_max(input: Tensor, max: Any) -> Tensor:
    """`input`, at most `max`."""
    if not is_tensor(input):
        raise not_tensor("clamp_max", "input", 1, input)
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


# ---- comparison of whole tensors ---------------------------------------------------------------------------------------


def _close(x: Any, y: Any, *, rtol: float, atol: float, equal_nan: bool) -> Any:
    close = x == y
    if equal_nan:
        close = close | ((x != x) & (y != y))
    if rtol == 0 and atol == 0:
        return close
    if x.dtype.kind in "biu":
        x, y = x.astype(np.int64), y.astype(np.int64)
        allowed = atol + np.abs(rtol * y.astype(np.float32 if dtypes.get_default_dtype() is dtypes.float32 else np.float64))
    else:
        allowed = atol + np.abs(rtol * y)
    error = np.abs(x - y)
    return close | (np.isfinite(error) & (error <= allowed))


isclose_ = primitive("isclose", _close)


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


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether all elements are close, as in `isclose`."""
    return bool(isclose(input, other, rtol, atol, equal_nan)._array.all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and the same elements (a NaN equals nothing)."""
    for i, (name, t) in enumerate((("input", input), ("other", other))):
        if not is_tensor(t):
            raise not_tensor("equal", name, i + 1, t)
    return input._array.shape == other._array.shape and bool((input._array == other._array).all())
