"""Sums with a factor, written straight into the first operand's memory: what an optimizer's step is made of.

Here: how `add_`, `addcmul_`, `addcdiv_` and `lerp_` are computed where nothing is recorded and the operands are plain tensors of one
kind and shape. Not here: everything else about writing in place (inplace.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.autograd import views
from lamina.core.parameter import Parameter
from lamina.core.strided import Array
from lamina.core.tensor import Tensor


def update(kernel: Callable[..., None], count: int, factor: str | None) -> Callable[..., bool]:
    """Whether a call in place was carried out by `kernel(memory, number, *arrays)`.

    count: of operands beside the first; factor: the name of the number's argument (None: it is the last positional one).
    """

    def carried_out(self: Any, args: tuple[Any, ...], named: dict[str, Any], mode: Any) -> bool:
        if factor is None:
            if named or len(args) != count + 1:
                return False
            number = args[count]
            args = args[:count]
        elif len(args) == count and len(named) == 1 and factor in named:
            number = named[factor]
        else:
            return False
        if (number.__class__ is not float and number.__class__ is not int) or (
            self.__class__ is not Tensor and self.__class__ is not Parameter
        ):
            return False
        kind, array = self._kind, self._array
        if kind.category != 2 or not kind.plain or not array.ndim or not array.flags.c_contiguous:
            return False
        free = mode is not None and not mode.grad
        if not free and self._node is not None:
            return False
        shape, arrays = array.shape, []
        for t in args:
            if (
                (t.__class__ is not Tensor and t.__class__ is not Parameter)
                or t._kind is not kind
                or not (free or t._node is None)
                or not (t._more is None or t._more.base is None)  # else they may share memory
                or t._array.shape != shape
            ):
                return False
            arrays.append(t._array)
        if not views.lone(self):
            return False
        # an array of the dtype: a Python number takes NumPy twice the time of a small operation
        kernel(array, np.asarray(number, kind.np), *arrays)
        return True

    return carried_out


def add(x: Array, number: Array, y: Array) -> None:
    np.add(x, np.multiply(y, number), x)


def subtract(x: Array, number: Array, y: Array) -> None:
    np.subtract(x, np.multiply(y, number), x)


def add_product(x: Array, number: Array, y: Array, z: Array) -> None:
    product = np.multiply(y, number)
    np.add(x, np.multiply(product, z, product), x)


def add_quotient(x: Array, number: Array, y: Array, z: Array) -> None:
    quotient = np.multiply(y, number)
    np.add(x, np.true_divide(quotient, z, quotient), x)


def approach(x: Array, weight: Array, y: Array) -> None:
    """From whichever end is nearer, so that weights 0 and 1 give the ends exactly."""
    way = np.subtract(y, x)
    if abs(weight) < 0.5:
        np.add(x, np.multiply(way, weight, way), x)
    else:
        np.subtract(y, np.multiply(way, 1 - weight, way), x)


added, subtracted = update(add, 1, "alpha"), update(subtract, 1, "alpha")
product_added, quotient_added = update(add_product, 2, "value"), update(add_quotient, 2, "value")
approached = update(approach, 1, None)
