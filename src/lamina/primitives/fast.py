"""Elementwise calls with one or two inputs: as public functions, as operators, and as what rules call.

Here: what they take. Not here: the call (ways.py); elementwise calls with more inputs (straight.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.core.tensor import Tensor
from lamina.primitives.dispatch import apply
from lamina.primitives.primitive import Primitive
from lamina.primitives.ways import way

Put = Callable[[Any, Any], Any]
"""put(result, out): writes to what was given as `out=`."""


def unary(p: Primitive, fallback: Callable[..., Any] = apply, takes_arrays: bool = True, put: Put | None = None) -> Any:
    """The function of a primitive with one input. takes_arrays: rules call it, with arrays; put: it takes `out=`."""
    return way(p, ("input",), fallback=fallback, takes_arrays=takes_arrays, put=put)


def binary(
    p: Primitive,
    fallback: Callable[..., Any] = apply,
    takes_arrays: bool = True,
    numbers: bool = True,
    put: Put | None = None,
) -> Any:
    """The function of a primitive with two inputs. numbers: whether the second may be a Python number; the rest: see `unary`."""
    return way(p, ("input", "other"), fallback=fallback, takes_arrays=takes_arrays, takes_numbers=numbers, put=put)


def apply_operator(p: Primitive, tensors: Sequence[Any], params: dict[str, Any]) -> Any:
    """`apply` for an operator: an operand of a foreign class may answer itself."""
    other = tensors[1]
    if not isinstance(other, _OPERANDS) and not hasattr(other.__class__, "__torch_function__"):
        return NotImplemented
    return apply(p, tensors, params)


_OPERANDS = (Tensor, int, float, complex, np.ndarray, np.generic)
