"""`Values`: what an optimizer's update works on where only arithmetic is left to do.

It has those methods of Tensor that updates are written in, and carries them out on an array, with Tensor's arithmetic. Here: these
methods. Not here: when values may stand for tensors (_together.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.core.strided import Array
from lamina.primitives import updates
from lamina.primitives.primitive import PRIMITIVES


class Values:
    """An array, and how often it was written."""

    __slots__ = ("array", "writes")

    def __init__(self, array: Any) -> None:
        self.array: Array = np.asarray(array)  # NumPy gives scalars for 0-d arrays
        self.writes = 0

    def _operand(self, other: Any) -> Array:
        # an array of the dtype: a Python number takes NumPy twice the time of a small operation
        return other.array if other.__class__ is Values else np.asarray(other, self.array.dtype)

    def _changed(self, kernel: Callable[..., None], number: Any, *others: Values) -> Values:
        kernel(self.array, self._operand(number), *[other.array for other in others])
        self.writes += 1
        return self

    def add_(self, other: Any, *, alpha: Any = 1) -> Values:
        if alpha == 1:
            np.add(self.array, self._operand(other), self.array)
            self.writes += 1
            return self
        return self._changed(updates.add, alpha, other)

    def add(self, other: Any, *, alpha: Any = 1) -> Values:
        return self.clone().add_(other, alpha=alpha)

    def addcmul_(self, one: Values, two: Values, *, value: Any = 1) -> Values:
        return self._changed(updates.add_product, value, one, two)

    def addcmul(self, one: Values, two: Values, *, value: Any = 1) -> Values:
        return self.clone().addcmul_(one, two, value=value)

    def addcdiv_(self, one: Values, two: Values, *, value: Any = 1) -> Values:
        return self._changed(updates.add_quotient, value, one, two)

    def lerp_(self, end: Values, weight: Any) -> Values:
        return self._changed(updates.approach, weight, end)

    def copy_(self, other: Values) -> Values:
        self.array[...] = other.array
        self.writes += 1
        return self

    def clone(self) -> Values:
        return Values(self.array.copy())

    def masked_fill_(self, mask: Values, value: Any) -> Values:
        self.array[mask.array] = value
        self.writes += 1
        return self

    def masked_fill(self, mask: Values, value: Any) -> Values:
        return self.clone().masked_fill_(mask, value)

    def clamp_(self, low: Any, high: Any) -> Values:
        array = self.array
        np.minimum(np.maximum(array, self._operand(low), out=array), self._operand(high), out=array)
        self.writes += 1
        return self


def _method(compute: Callable[..., Any]) -> Callable[..., Values]:
    def method(self: Values, *operands: Any) -> Values:
        return Values(compute(self.array, *[self._operand(o) for o in operands]))

    return method


def _writing_method(compute: Callable[..., Any]) -> Callable[..., Values]:
    direct = isinstance(compute, np.ufunc)

    def method(self: Values, *operands: Any) -> Values:
        array = self.array
        given = [self._operand(o) for o in operands]
        if direct:
            compute(array, *given, out=array)
        else:
            array[...] = compute(array, *given)
        self.writes += 1
        return self

    return method


for _name, _primitive in {
    "mul": "mul", "sub": "sub", "div": "true_divide", "maximum": "maximum", "minimum": "minimum", "sqrt": "sqrt", "abs": "abs",
    "square": "square", "reciprocal": "reciprocal", "sign": "sign", "__neg__": "neg", "__truediv__": "true_divide",
    "__lt__": "lt", "__gt__": "gt", "__eq__": "eq",
}.items():  # fmt: skip
    _compute = PRIMITIVES[_primitive].forward
    setattr(Values, _name, _method(_compute))
    if not _name.startswith("__"):
        setattr(Values, f"{_name}_", _writing_method(_compute))
