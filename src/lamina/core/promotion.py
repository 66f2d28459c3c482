"""Type promotion: the dtype in which operands meet.

PyTorch's rule: operands fall in three groups, tensors with dimensions, 0-d tensors, Python numbers; a group with a higher
category (bool < integer < floating < complex) than the ones before it decides, else the first that is there does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from lamina.core import dtype as dtypes
from lamina.core.device import cpu
from lamina.core.dtype import dtype
from lamina.core.tensor import Tensor, wrap

_WIDE = ("uint16", "uint32", "uint64")
"""They meet floating types only."""


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype to which both can go. Raises TypeError unless both are dtypes."""
    for position, t in (("type1", type1), ("type2", type2)):
        if not isinstance(t, dtype):
            raise TypeError(f"promote_types(): argument '{position}' must be torch.dtype, not {type(t).__name__}")
    if type1 is type2:
        return type1
    if (type1.name in _WIDE and type2.category != 2) or (type2.name in _WIDE and type1.category != 2):
        raise RuntimeError(
            "Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
            f"{type1.alias[:-6]} and {type2.alias[:-6]}"
        )
    a, b = (type1, type2) if type1.category <= type2.category else (type2, type1)
    if b.category == 0 or a.category == 0:
        return b
    if a.category == b.category == 1:
        if a.is_signed and b.is_signed:
            return a if a.itemsize > b.itemsize else b
        signed = a if a.is_signed else b
        return signed if signed.itemsize > 1 else dtypes.int16
    if a.category == 1:
        return b
    if a.category == b.category == 2:
        if a.name.startswith("float8") or b.name.startswith("float8"):
            raise RuntimeError(f"Promotion for Float8 Types is not supported, attempted to promote {type1} and {type2}")
        if a.itemsize == b.itemsize:
            return dtypes.float32
        return a if a.itemsize > b.itemsize else b
    if a.category == 2:
        return dtypes.complex128 if b.itemsize == 16 or a is dtypes.float64 else dtypes.complex64
    return dtypes.complex128


def as_operand(value: Any) -> Any:
    """A Python number, or a NumPy one, as an operand. Raises TypeError for anything else."""
    cls = value.__class__
    if cls is float or cls is int or cls is bool or cls is complex:
        return value
    if isinstance(value, (bool, int, float, complex)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return wrap(value)
    raise TypeError(f"unsupported operand: expected a Tensor or a number, got {cls.__name__}")


def number_dtype(value: Any) -> dtype:
    if isinstance(value, bool):
        return dtypes.bool_
    if isinstance(value, int):
        return dtypes.int64
    if isinstance(value, complex):
        return dtypes.default_complex()
    return dtypes.get_default_dtype()


def common_dtype(operands: Iterable[Any]) -> dtype:
    """The dtype of a result of `operands`: Tensors and Python numbers."""
    groups: list[dtype | None] = [None, None, None]
    for value in operands:
        if isinstance(value, Tensor):
            d, rank = value._kind.dtype, 0 if value._array.ndim else 1
        else:
            d, rank = number_dtype(value), 2
        groups[rank] = d if groups[rank] is None else promote_types(groups[rank], d)  # type: ignore[arg-type]
    result: dtype | None = None
    for group in groups:
        if group is not None:
            if result is None:
                result = group
            elif group.category > result.category:
                # a complex number does not widen a float tensor, but gives it its complex type
                result = result.to_complex() if group.category == 3 and result.category == 2 else group
    assert result is not None
    return result


def result_type(tensor1: Any, tensor2: Any) -> dtype:
    """The dtype that an operation on the two would have."""
    return common_dtype((tensor1, tensor2))


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether values may go from one dtype to the other under the promotion rules."""
    return from_.category <= to.category


def where_of(t: Any) -> Any:
    return t._kind.device if isinstance(t, Tensor) else cpu
