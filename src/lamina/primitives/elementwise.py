"""Elementwise arithmetic and comparison: an output element depends on one element of each input.

Here: value, gradients, lowering. Not here: broadcasting, promotion, saving (registry.py); exp, sin & co (elementary.py); public
signatures with alpha, rounding_mode and out (arithmetic.py).
"""

from __future__ import annotations

import numpy as np

from lamina.primitives.registry import elementwise

# ---- arithmetic ------------------------------------------------------------------------------------------------------

_add = elementwise(
    "add", np.add,
    grads=(lambda g: g, lambda g: g),
    emit=lambda b, x, y: b.add(x, y))  # fmt: skip

_sub = elementwise(
    "sub", lambda x, y: np.subtract(x, y),
    grads=(lambda g: g, lambda g: -g),
    emit=lambda b, x, y: b.sub(x, y))  # fmt: skip

add_scaled = elementwise(
    "add_scaled", lambda x, y, z: x + z * y,
    grads=(lambda g: g, lambda g, z: g * z, None),
    emit=lambda b, x, y, z: b.add(x, b.mul(z, y)), node="Add")  # fmt: skip

sub_scaled = elementwise(
    "sub_scaled", lambda x, y, z: x - z * y,
    grads=(lambda g: g, lambda g, z: -g * z, None),
    emit=lambda b, x, y, z: b.sub(x, b.mul(z, y)), node="Sub")  # fmt: skip

mul = elementwise(
    "mul", np.multiply,
    grads=(lambda g, y: g * y, lambda g, x: g * x),
    emit=lambda b, x, y: b.mul(x, y))  # fmt: skip

true_divide = elementwise(
    "true_divide", np.true_divide,
    grads=(lambda g, y: g / y, lambda g, x, y: -g * ((x / y) / y)),
    emit=lambda b, x, y: b.div(x, y), promote="float", node="Div")  # fmt: skip

neg = elementwise("neg", np.negative, grads=(lambda g: -g,), emit=lambda b, x: b.neg(x))

where_ = elementwise(
    "where", lambda x, y, z: np.where(x, y, z),
    grads=(None, lambda g, x: where_(x, g, 0.0), lambda g, x: where_(x, 0.0, g)),
    emit=lambda b, x, y, z: b.select(x, y, z), promote="none")  # fmt: skip

maximum = elementwise(
    "maximum", np.maximum,
    grads=(lambda g, x, y: _winner(g, x, y), lambda g, x, y: _winner(g, y, x)),
    emit=lambda b, x, y: b.maximum(x, y))  # fmt: skip

minimum = elementwise(
    "minimum", np.minimum,
    grads=(lambda g, x, y: _winner(g, y, x), lambda g, x, y: _winner(g, x, y)),
    emit=lambda b, x, y: b.minimum(x, y))  # fmt: skip


def _winner(g, a, b):  # type: ignore[no-untyped-def]
    """Half to each at a tie, all to both at a NaN: PyTorch's rule."""
    return where_(a == b, g / 2, where_(a < b, 0.0, g))


# ---- comparison ------------------------------------------------------------------------------------------------------

eq = elementwise("eq", np.equal, promote="bool", emit=lambda b, x, y: b.eq(x, y))
ne = elementwise("ne", np.not_equal, promote="bool", emit=lambda b, x, y: b.ne(x, y))
lt = elementwise("lt", np.less, promote="bool", emit=lambda b, x, y: b.lt(x, y))
le = elementwise("le", np.less_equal, promote="bool", emit=lambda b, x, y: b.le(x, y))
gt = elementwise("gt", np.greater, promote="bool", emit=lambda b, x, y: b.gt(x, y))
ge = elementwise("ge", np.greater_equal, promote="bool", emit=lambda b, x, y: b.ge(x, y))

tanh = elementwise("tanh", np.tanh, grads=(lambda g, out: g * (1.0 - out * out),), emit=lambda b, x: b.tanh(x), promote="float")
exp = elementwise("exp", np.exp, grads=(lambda g, out: g * out,), emit=lambda b, x: b.exp(x), promote="float")
