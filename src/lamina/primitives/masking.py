"""Writing by a mask: masked_fill, masked_scatter; the parts of a matrix above and below a diagonal: tril, triu.

Here: what a mask decides. Not here: `where` (comparison's), picking by a mask (gathering.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.strided import Array
from lamina.core.tensor import Tensor, wrap
from lamina.primitives.inplace import with_out
from lamina.primitives.registry import elementwise, primitive

# ---- masked_fill -----------------------------------------------------------------------------------------------------

_kept = elementwise(
    "masked_kept", lambda x, mask: np.where(mask, x, np.zeros((), x.dtype)),
    grads=(lambda g, mask: _kept(g, mask), None), promote="none", node="MaskedFill")  # fmt: skip

_dropped = elementwise(
    "masked_dropped", lambda x, mask: np.where(mask, np.zeros((), x.dtype), x),
    grads=(lambda g, mask: _dropped(g, mask), None), promote="none", node="MaskedFill")  # fmt: skip

masked_filled = elementwise(
    "masked_fill", lambda x, mask, value: np.where(mask, value, x),
    grads=(lambda g, mask: _dropped(g, mask), None, lambda g, mask: _kept(g, mask)), promote="none")  # fmt: skip


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """`input` with `value` (a number or a 0-d tensor) where `mask` (bool) holds; input and mask broadcast."""
    if mask._kind.dtype.category:
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {_C_NAMES.get(mask.dtype.name, mask.dtype.name)}")
    return masked_filled(input, mask, fill_value(input, value))  # type: ignore[no-any-return]


def fill_value(self: Tensor, value: Any, name: str = "masked_fill_") -> Tensor:
    """A number or 0-d tensor as a 0-d tensor of self's dtype. Raises RuntimeError for what does not fit."""
    kind = self._kind
    if isinstance(value, Tensor):
        if value._array.ndim:
            raise RuntimeError(
                f"{name} only supports a 0-dimensional value tensor, but got tensor with {value._array.ndim} dimension(s)."
            )
        if value._kind.dtype.category == 3 and kind.dtype.category < 3:
            raise RuntimeError("result type ComplexFloat can't be cast to the desired output type Float")
        return value if value._kind.dtype is kind.dtype else value.to(kind.dtype)  # type: ignore[attr-defined,no-any-return]
    return wrap(number_as(value, kind))


def number_as(value: Any, kind: Any) -> Array:
    """A Python number as a 0-d array of a dtype. Raises RuntimeError where it does not fit."""
    d = kind.dtype
    if isinstance(value, complex) and d.category < 3:
        raise RuntimeError(f"value cannot be converted to type {_C_TYPES.get(d.name, d.name)} without overflow")
    if d.category == 1:
        bounds = np.iinfo(kind.np)
        if value != value or not bounds.min <= value <= bounds.max:
            raise RuntimeError(f"value cannot be converted to type {_C_TYPES[d.name]} without overflow")
        value = int(value)
    return np.asarray(value).astype(kind.np)


_C_TYPES = {
    "float32": "float", "float64": "double", "float16": "at::Half", "bfloat16": "at::BFloat16", "bool": "bool", "int64": "int64_t",
    "int32": "int", "int16": "int16_t", "int8": "int8_t", "uint8": "uint8_t", "uint16": "uint16_t", "uint32": "uint32_t",
    "uint64": "uint64_t",
}  # fmt: skip
_C_NAMES = {
    "int64": "long int", "uint8": "unsigned char", "int32": "int", "float32": "float", "float64": "double", "int8": "signed char",
    "int16": "short int",
}  # fmt: skip


# ---- triangles -------------------------------------------------------------------------------------------------------

tril_ = primitive("tril", lambda x, *, diagonal: np.tril(x, diagonal), grads=(lambda g, diagonal: tril_(g, diagonal=diagonal),))
triu_ = primitive("triu", lambda x, *, diagonal: np.triu(x, diagonal), grads=(lambda g, diagonal: triu_(g, diagonal=diagonal),))


@with_out
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of a matrix, or of each in a batch, zeros above. diagonal: the last one kept (0: the main one)."""
    return tril_(_matrix(input, "tril"), diagonal=diagonal)  # type: ignore[no-any-return]


@with_out
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of a matrix, or of each in a batch, zeros below. diagonal: the first one kept (0: the main one)."""
    return triu_(_matrix(input, "triu"), diagonal=diagonal)  # type: ignore[no-any-return]


def _matrix(input: Tensor, name: str) -> Tensor:
    if input._array.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
    return input
