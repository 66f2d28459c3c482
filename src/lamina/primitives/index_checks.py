"""What operations that take an index, a mask or a number to fill with refuse, in PyTorch's words.

Here: checks, and what they read (a number as an element). Not here: the operations (gathering.py, scattering.py, masking.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.explained import IndexRangeError, noted
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, wrap

INDEX_DTYPES = frozenset(("int64", "int32"))
_C_TYPES = {
    "float32": "float", "float64": "double", "float16": "at::Half", "bfloat16": "at::BFloat16", "bool": "bool", "int64": "int64_t",
    "int32": "int", "int16": "int16_t", "int8": "int8_t", "uint8": "uint8_t", "uint16": "uint16_t", "uint32": "uint32_t",
    "uint64": "uint64_t",
}  # fmt: skip
_C_NAMES = {
    "int64": "long int", "uint8": "unsigned char", "int32": "int", "float32": "float", "float64": "double", "int8": "signed char",
    "int16": "short int",
}  # fmt: skip


def check_within(index: Array, n: int, message: str, error: type[Exception] = RuntimeError) -> None:
    """Raises `error` about the first index outside 0..n-1; `{index}` in the message is it."""
    if not index.size:
        return
    if index.dtype == np.int64:
        inside = int(index.view(np.uint64).max()) < n  # a negative one is huge
    else:
        inside = index.min() >= 0 and index.max() < n
    if not inside:
        bad = index[(index < 0) | (index >= n)].flat[0]
        if error is IndexError:
            raise IndexRangeError(message.format(index=bad), bad, n, from_end=False)
        raise error(message.format(index=bad))


def check_bounds(index: Array, dim: int, n: int, error: type[Exception] = RuntimeError, name: str = "") -> None:
    """Raises `error` unless all of an index along `dim`, of size n, are in 0..n-1."""
    check_within(index, n, f"{name}index {{index}} is out of bounds for dimension {dim} with size {n}", error)


def check_flat(index: Array, n: int, name: str = "take") -> Array:
    """Places in a flat tensor of n elements, negative ones counted from the end. Raises IndexError."""
    if index.size:
        if not n:
            raise IndexError(f"{name}(): tried to take from an empty tensor")
        if index.min() < -n or index.max() >= n:
            bad = index[(index < -n) | (index >= n)].flat[0]
            raise IndexError(f"out of range: tried to access index {bad} on a tensor of {n} elements.")
    return np.where(index < 0, index + n, index)


def check_along(self: Tensor, index: Tensor, dim: int, name: str, other: Tensor | None = None) -> None:
    """An index along `dim`: of integers, of self's number of dimensions, and nowhere else longer than self and `other`."""
    if index._kind.dtype.name not in INDEX_DTYPES and index._array.size:
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    shape, given = self._array.shape or (1,), index._array.shape or (1,)
    if 0 in given:
        return
    whom = "input" if name == "gather" else "self"
    if len(shape) != len(given):
        raise noted(
            RuntimeError(f"Index tensor must have the same number of dimensions as {whom} tensor"),
            ("fix", "index.unsqueeze(dim): one index for each row, as in q.gather(1, actions.unsqueeze(1))"),
        )
    if other is not None and len(other._array.shape or (1,)) != len(given):
        raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    wrong = next((d for d, (i, n) in enumerate(zip(given, shape, strict=True)) if d != dim and i > n), None)
    if other is None:
        if wrong is not None:
            verb = f"Size does not match at dimension {wrong} expected index" if name == "gather" else "Expected index"
            raise RuntimeError(
                f"{verb} {list(index._array.shape)} to be no larger than self {list(self._array.shape)} apart from dimension {dim}"
            )
    elif wrong is not None or any(i > s for i, s in zip(given, other._array.shape or (1,), strict=True)):
        raise RuntimeError(
            f"Expected index {list(index._array.shape)} to be no larger than self {list(self._array.shape)} apart from dimension {dim} "
            f"and to be no larger size than src {list(other._array.shape)}"
        )


def check_mask(mask: Tensor, name: str, spelling: dict[str, str] | None = None) -> None:
    """A mask is of bool. Raises RuntimeError."""
    if mask._kind.dtype.category:
        found = (spelling or _C_NAMES).get(mask.dtype.name, mask.dtype.name)
        raise RuntimeError(f"{name} only supports boolean masks, but got mask with dtype {found}")


# ---- numbers as elements ---------------------------------------------------------------------------------------------


def fill_value(self: Tensor, value: Any, name: str) -> Tensor:
    """A number or 0-d tensor as a 0-d tensor of self's dtype. Raises RuntimeError for what does not fit."""
    kind = self._kind
    if isinstance(value, Tensor):
        if value._array.ndim:
            raise RuntimeError(
                f"{name} only supports a 0-dimensional value tensor, but got tensor with {value._array.ndim} dimension(s)."
            )
        if value._kind.dtype.category == 3 and kind.dtype.category < 3:
            _real(value._array.item(), kind.dtype)
            value = value.real if kind.dtype.category else value
        out: Tensor = value if value._kind.dtype is kind.dtype else value.to(kind.dtype)
        return out
    return wrap(number_as(value, kind), kind)


def _real(value: complex, d: Any) -> Any:
    """A complex number as an element of a real dtype: bool takes any. Raises RuntimeError for an imaginary part."""
    if d.category and value.imag:
        raise RuntimeError(f"value cannot be converted to type {_C_TYPES.get(d.name, d.name)} without overflow")
    return value.real if d.category else value != 0


def number_as(value: Any, kind: Any) -> Array:
    """A Python number as a 0-d array of a dtype. Raises RuntimeError where it does not fit."""
    d = kind.dtype
    if isinstance(value, complex) and d.category < 3:
        value = _real(value, d)
    if d.category == 1:
        bounds = np.iinfo(kind.np)
        # a negative number wraps where it would fit the signed type of that size
        low = bounds.min if bounds.min else -bounds.max
        if value != value or not low <= value <= bounds.max:
            raise RuntimeError(f"value cannot be converted to type {_C_TYPES[d.name]} without overflow")
        return np.asarray(int(value)).astype(kind.np)
    return np.asarray(value).astype(kind.np)
