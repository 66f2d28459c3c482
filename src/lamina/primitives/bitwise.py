"""Bits, shifts, truth values and divisors: elementwise primitives of integers and bools. None has a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.primitives.elementwise import lacks
from lamina.primitives.registry import elementwise


def _inexact(kernel: str, *more: int) -> dict[int, Any]:
    return {c: lacks(kernel) for c in (2, 3, *more)}


bitwise_and = elementwise(
    "bitwise_and", np.bitwise_and, emit=lambda b, x, y: b.and_(x, y), refuses=_inexact("bitwise_and_cpu")
)
bitwise_or = elementwise(
    "bitwise_or", np.bitwise_or, emit=lambda b, x, y: b.or_(x, y), refuses=_inexact("bitwise_or_cpu")
)
bitwise_xor = elementwise(
    "bitwise_xor", np.bitwise_xor, emit=lambda b, x, y: b.xor(x, y), refuses=_inexact("bitwise_xor_cpu")
)
bitwise_not = elementwise("bitwise_not", np.invert, emit=lambda b, x: b.not_(x), refuses=_inexact("bitwise_not_cpu"))
invert = elementwise(
    "invert", np.invert, emit=lambda b, x: b.not_(x),
    refuses=dict.fromkeys((2, 3), (
        TypeError, "~ (operator.invert) is only implemented on integer and Boolean-type tensors")))  # fmt: skip
left_shift = elementwise(
    "bitwise_left_shift", np.left_shift, emit=lambda b, x, y: b.shl(x, y), refuses=_inexact("lshift_cpu", 0)
)
right_shift = elementwise(
    "bitwise_right_shift", np.right_shift, emit=lambda b, x, y: b.shr(x, y), refuses=_inexact("rshift_cpu", 0)
)

gcd = elementwise("gcd", np.gcd, refuses=_inexact("gcd_cpu", 0))
lcm = elementwise("lcm", np.lcm, refuses=_inexact("lcm_cpu", 0))

logical_and = elementwise(
    "logical_and", np.logical_and, emit=lambda b, x, y: b.and_(b.cast(x, "bool"), b.cast(y, "bool")), promote="bool"
)
logical_or = elementwise(
    "logical_or", np.logical_or, emit=lambda b, x, y: b.or_(b.cast(x, "bool"), b.cast(y, "bool")), promote="bool"
)
logical_xor = elementwise(
    "logical_xor", np.logical_xor, emit=lambda b, x, y: b.xor(b.cast(x, "bool"), b.cast(y, "bool")), promote="bool"
)
logical_not = elementwise("logical_not", np.logical_not, emit=lambda b, x: b.not_(b.cast(x, "bool")), promote="bool")
