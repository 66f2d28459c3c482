"""Public arithmetic: signatures with alpha, rounding_mode and out on the primitives of elementwise.py."""

from __future__ import annotations

from typing import Any

from lamina.core.promotion import common_dtype
from lamina.core.tensor import Tensor
from lamina.primitives import elementwise as e
from lamina.primitives.inplace import with_out


def _check_alpha(alpha: Any, *operands: Any) -> None:
    d = common_dtype([o for o in operands if isinstance(o, Tensor) or not isinstance(o, str)])
    if d.category == 0 and not isinstance(alpha, bool):
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if d.category == 1 and isinstance(alpha, float):
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    if d.category < 3 and isinstance(alpha, complex):
        raise RuntimeError("For non-complex input tensors, argument alpha must not be a complex number.")


def plus(input: Any, other: Any, alpha: Any = 1) -> Tensor:
    if alpha == 1 and alpha is not True:
        return e._add(input, other)  # type: ignore[no-any-return]
    _check_alpha(alpha, input, other)
    return e.add_scaled(input, other, alpha)  # type: ignore[no-any-return]


@with_out
def add(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """input + alpha * other."""
    return plus(input, other, alpha)


@with_out
def sub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """input - alpha * other. Raises RuntimeError for bool."""
    if alpha == 1:
        return e._sub(input, other)  # type: ignore[no-any-return]
    _check_alpha(alpha, input, other)
    return e.sub_scaled(input, other, alpha)  # type: ignore[no-any-return]

