"""What a Loop means, in NumPy: slow and plain, the measure of what `emit` makes. Not here: matrix products and their
like (reference_cores.py)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
from numpy.lib.stride_tricks import as_strided

from lamina.compiler.kernels import REDUCTIONS, Access, Inst, Loop, carried

_NARROW = ("float16", "bfloat16")


def dtype_of(name: str) -> np.dtype[Any]:
    """NumPy's dtype of a name in kernels.SIZES."""
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def interpret(loop: Loop, operands: Sequence[np.ndarray], functions: dict[str, Callable[..., Any]]) -> None:
    """Execute `loop` on flat arrays, each beginning at the operand's address; `functions`: the transcendental operations."""
    for d in carried(loop):
        for at in range(loop.dims[d]):
            interpret(*_at(loop, operands, d, at), functions)
        return
    keep = loop.keep if any(i.op in REDUCTIONS for i in loop.body) else len(loop.dims)
    rank = len(loop.dims)
    if 0 in loop.dims[:keep]:
        return
    values: list[Any] = []
    stores: list[tuple[Access, Any]] = []
    with np.errstate(all="ignore"):
        for inst in loop.body:
            args = [values[a] for a in inst.args]
            result = None
            if inst.op == "load":
                result = view(operands, inst.data, _extents(inst.data, loop.dims))
                result = result.astype(np.float32) if inst.data.dtype in _NARROW else result.copy()
            elif inst.op == "gather":
                result = _gather(operands, inst, args, loop.dims)
            elif inst.op == "const":
                result = np.array(inst.data).astype(dtype_of(inst.dtype))
            elif inst.op == "index":
                along = [1] * rank
                along[inst.data] = -1
                result = np.arange(loop.dims[inst.data]).astype(dtype_of(inst.dtype)).reshape(along)
            elif inst.op == "store":
                stores.append((inst.data, args[0]))
            elif inst.op in REDUCTIONS:
                result = _reduce(inst, np.broadcast_to(args[0], loop.dims), keep)
            else:
                result = _scalar(inst, args, functions)
            values.append(result)
        for access, value in stores:
            if value.dtype == np.float64 and access.dtype in _NARROW:
                value = value.astype(np.float32)
            once = keep < rank and not any(access.strides[keep:]) and not _along(value, keep, rank)
            dims = loop.dims[:keep] + (1,) * (rank - keep) if once else loop.dims
            view(operands, access, dims)[...] = value.astype(dtype_of(access.dtype))


def _at(loop: Loop, operands: Sequence[np.ndarray], d: int, at: int) -> tuple[Loop, list[np.ndarray]]:
    """The loop at one index of dimension d, each access with an operand of its own."""
    body, moved = [], []
    for inst in loop.body:
        op, args, dtype, data = inst
        access = data[0] if op == "gather" else data
        if op in ("load", "store", "gather"):
            moved.append(operands[access.operand][access.strides[d] * at :])
            access = Access(len(moved) - 1, (*access.strides[:d], 0, *access.strides[d + 1 :]), access.dtype)
            inst = Inst(op, args, dtype, (access, data[1]) if op == "gather" else access)
        elif op == "index" and data == d:
            inst = Inst("const", (), dtype, at)
        body.append(inst)
    return Loop((*loop.dims[:d], 1, *loop.dims[d + 1 :]), loop.keep, tuple(body)), moved


def _along(value: Any, keep: int, rank: int) -> bool:
    """Whether a value has an extent along the reduced dimensions."""
    return bool(value.ndim == rank and any(n != 1 for n in value.shape[keep:]))


def _extents(access: Access, dims: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of what an Access reaches: 1 along the dimensions it does not vary along."""
    return tuple([n if stride else 1 for n, stride in zip(dims, access.strides, strict=True)])


def view(operands: Sequence[np.ndarray], access: Access, dims: tuple[int, ...]) -> np.ndarray:
    """What an Access reaches, at every index of `dims`."""
    array = operands[access.operand]
    assert array.dtype == dtype_of(access.dtype)
    return as_strided(array, dims, [s * array.itemsize for s in access.strides])


def _gather(operands: Sequence[np.ndarray], inst: Inst, args: list[Any], dims: tuple[int, ...]) -> Any:
    access, strides = inst.data
    place: Any = np.zeros((1,) * len(dims), np.int64)
    for d, stride in enumerate(access.strides):
        along = [1] * len(dims)
        along[d] = -1
        place = place + np.arange(_extents(access, dims)[d]).reshape(along) * stride
    for arg, stride in zip(args, strides, strict=True):
        place = place + arg.astype(np.int64) * stride
    found = operands[access.operand][place]
    return found.astype(np.float32) if access.dtype in _NARROW else found


def _reduce(inst: Inst, x: Any, keep: int) -> Any:
    axes = tuple(range(keep, x.ndim))
    dtype = dtype_of(inst.dtype)
    if inst.op in ("argmax", "argmin"):
        rows = x.reshape(*x.shape[:keep], prod(x.shape[keep:]))
        found = np.argmax(rows, -1) if inst.op == "argmax" else np.argmin(rows, -1)
        return np.asarray(found).reshape(x.shape[:keep] + (1,) * len(axes)).astype(dtype)
    if inst.op in ("sum", "prod"):
        wide = np.float64 if dtype.kind == "f" else dtype
        reduce = np.sum if inst.op == "sum" else np.prod
        return reduce(x.astype(dtype).astype(wide), axis=axes, keepdims=True).astype(dtype)
    extremes: dict[str, Callable[..., Any]] = {"max": np.max, "min": np.min, "any": np.any, "all": np.all}
    return extremes[inst.op](x, axis=axes, keepdims=True)


def _scalar(inst: Inst, args: list[Any], functions: dict[str, Callable[..., Any]]) -> Any:
    dtype = dtype_of(inst.dtype)
    if inst.op == "cast":
        return _cast(args[0], dtype)
    if inst.op == "select":
        return np.where(*args)
    rule = _RULES.get(inst.op)
    if rule is not None and not (inst.op in functions and args[0].dtype.kind == "f"):
        return np.asarray(rule(*args)).astype(dtype)
    return np.asarray(functions[inst.op](*args)).astype(dtype)


def _cast(x: Any, dtype: np.dtype[Any]) -> Any:
    """NaN and floats beyond the integers are the least one; narrow integers go by way of int32."""
    if x.dtype.kind != "f" or dtype.kind not in "iu":
        return x.astype(dtype)
    whole = dtype if dtype.itemsize >= 4 else np.dtype(np.int32)
    least = np.iinfo(whole).min
    inside = (x >= least) & (x < -float(least))
    return np.where(inside, np.where(inside, x, 0).astype(whole), least).astype(dtype)


def _guarded(divide: Callable[..., Any]) -> Callable[..., Any]:
    def divided(x: Any, y: Any) -> Any:
        if x.dtype.kind == "f":
            return divide(x, y)
        return np.where(y == 0, 0, divide(x, np.where(y == 0, 1, y)))

    return divided


def _trunc_div(x: Any, y: Any) -> Any:
    if x.dtype.kind == "f":
        return np.trunc(x / y)
    quotient = x // y
    return np.where((x % y != 0) & ((x < 0) != (y < 0)), quotient + 1, quotient)


def _int_pow(x: Any, y: Any) -> Any:
    x, y = np.broadcast_arrays(x, y)
    positive = np.power(x, np.where(y < 0, 0, y))
    below = np.where(x == 1, 1, np.where(x == -1, np.where(y & 1 != 0, -1, 1), 0)) if x.dtype.kind == "i" else positive
    return np.where(y < 0, below, positive)


def _shift(op: str) -> Callable[..., Any]:
    return lambda x, y: np.left_shift(x, y) if op == "shl" else np.right_shift(x, y)


_RULES: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": lambda x, y: x ^ y if x.dtype == bool else x - y, "mul": operator.mul, "div": operator.truediv,
    "floor_div": _guarded(operator.floordiv), "mod": _guarded(operator.mod), "trunc_div": _guarded(_trunc_div),
    "fmod": _guarded(np.fmod), "pow": _int_pow, "maximum": np.maximum, "minimum": np.minimum, "copysign": np.copysign,
    "fma": lambda x, y, z: (x.astype(np.longdouble) * y + z).astype(x.dtype) if x.dtype.kind == "f" else x * y + z,
    "neg": operator.neg, "abs": np.abs, "sign": lambda x: (x > 0).astype(np.int8) - (x < 0).astype(np.int8), "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x), "reciprocal": lambda x: 1 / x, "floor": np.floor, "ceil": np.ceil, "round": np.rint,
    "trunc": np.trunc, "and": operator.and_, "or": operator.or_, "xor": operator.xor, "not": operator.invert, "shl": _shift("shl"),
    "shr": _shift("shr"), "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt,
    "ge": operator.ge, "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite,
}  # fmt: skip
