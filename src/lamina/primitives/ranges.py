"""Evenly spaced numbers: arange, linspace, logspace, range. Computed as PyTorch does, so that they are equal to the last bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core import device as devices
from lamina.core import dtype as dtypes
from lamina.core.device import Kind
from lamina.core.factories import kind_of
from lamina.core.strided import Array, counted
from lamina.core.tensor import Tensor, meta_array
from lamina.core.warn import warn
from lamina.primitives.creation import made
from lamina.primitives.inplace import of_tensors
from lamina.primitives.signature import no_overload, not_implemented


def _ends(start: Any, end: Any, steps: Any, dtype: Any, device: Any, out: Any, name: str) -> tuple[Any, Any, int, Kind]:
    if not all(isinstance(v, (Tensor, bool, int, float, complex, np.generic)) for v in (start, end)):
        raise no_overload(name, (start, end, steps), "Number start, Number end, int steps")
    for v in (start, end):
        if isinstance(v, Tensor) and v._array.ndim:
            parts = [
                f"{which} with {w._array.ndim} dimension(s)"
                for which, w in (("start", start), ("end", end))
                if isinstance(w, Tensor)
            ]
            raise RuntimeError(
                f"{name} only supports 0-dimensional start and end tensors, but got {' and '.join(parts)}."
            )
    if (
        isinstance(steps, bool)
        or not hasattr(steps, "__index__")
        or (isinstance(steps, Tensor) and steps.is_floating_point())
    ):
        raise no_overload(name, (start, end, steps), "Number start, Number end, int steps")
    start, end, steps = (v.item() if isinstance(v, Tensor) else v for v in (start, end, steps))
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    if dtype is None and out is not None:
        dtype = out.dtype
    if isinstance(start, complex) or isinstance(end, complex):
        if dtype is None:
            dtype = dtypes.default_complex()
        elif dtype.category < 3:
            raise RuntimeError(
                f"torch.{name}(): inferred dtype {dtypes.default_complex()} can't be safely cast to passed dtype {dtype}"
            )
    return start, end, int(steps), kind_of(dtype, device)


def _spaced(start: Any, end: Any, steps: int, kind: Any) -> Array:
    """From both ends to the middle, each in the dtype itself."""
    if steps == 0:
        return np.empty(0, kind)
    first, last = kind.type(start), kind.type(end)
    if steps == 1:
        return np.full(1, first, kind)
    half = steps // 2
    if kind.kind in "iu":
        step = np.float64(float(last) - float(first)) / (steps - 1)
        count = counted(steps)
        parts = _multiply_add(step, count[:half], first), _multiply_add(-step, count[: steps - half][::-1], last)
        return np.concatenate(parts).astype(np.int64).astype(kind)
    count = counted(steps).astype(np.empty(0, kind).real.dtype)
    step = (last - first) / count[-1]
    return np.concatenate(
        (_multiply_add(step, count[:half], first), _multiply_add(-step, count[: steps - half][::-1], last))
    )


def _multiply_add(step: Any, count: Array, start: Any) -> Array:
    """start + step * count, rounded once in float32 and float64, as the processor's fused operation does it."""
    wide = _WIDE.get(step.dtype.char)
    if wide is None:
        return start + step * count  # type: ignore[no-any-return]
    return (wide(start) + wide(step) * count.astype(wide)).astype(step.dtype)  # type: ignore[no-any-return]


_WIDE = {"f": np.float64, "d": np.longdouble}


@of_tensors
def linspace(
    start: Any, end: Any, steps: Any, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`steps` numbers from start to end, both among them. Raises RuntimeError for steps < 0."""
    start, end, steps, kind = _ends(start, end, steps, dtype, device, out, "linspace")
    return _placed(_spaced(start, end, steps, kind.np), kind, requires_grad, out)


def _placed(array: Array, kind: Kind, requires_grad: bool, out: Any) -> Tensor:
    if kind.device is devices.meta:
        array = meta_array(array.shape, kind)
    return made(array, kind, requires_grad, out)


@of_tensors
def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, out: Any = None, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """base to the powers of `steps` numbers from start to end. Raises RuntimeError for steps < 0."""
    start, end, steps, kind = _ends(start, end, steps, dtype, device, out, "logspace")
    wide = np.dtype(np.complex128 if kind.dtype.category == 3 else np.float64)
    if kind.dtype.category == 1:
        powers = _spaced(int(start), int(end), steps, np.dtype(np.float32)).astype(wide)
    else:
        powers = _spaced(start, end, steps, wide)
    return _placed(np.power(wide.type(base), powers).astype(kind.np), kind, requires_grad, out)


def arange(
    *bounds: Any, start: Any = None, end: Any = None, step: Any = None, out: Any = None, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """arange(end), arange(start, end, step=1): start, start + step, ... before end. int64 when all are integers.

    Raises RuntimeError for a step of 0, and for one in the wrong direction.
    """
    start, end, step = _bounds("arange", bounds, start, end, step)
    kind = _range_kind((start, end, step), dtype, device, out)
    if kind.dtype.category in (0, 3):
        raise not_implemented("arange_cpu", kind.dtype)
    _check_range(start, end, step)
    if kind.dtype.category == 1:
        exact = kind.dtype is dtypes.int64
        n = 0 if exact or step == 0 else max(0, math.ceil((float(end) - float(start)) / float(step)))
        start, end, step = int(start), int(end), int(step)
        if step == 0:
            raise ValueError("step must be nonzero")
        n = max(0, -((start - end) // step)) if exact else n  # the others count in double, then go by whole steps
        array = (start + step * counted(n)).astype(kind.np)
    else:
        n = max(0, math.ceil((end - start) / step))
        array = (start + step * counted(n, np.float64)).astype(kind.np)
    return _placed(array, kind, requires_grad, out)


def range(
    *bounds: Any, start: Any = None, end: Any = None, step: Any = None, out: Any = None, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """start, start + step, ... up to end, which is among them. Deprecated: arange does it, without the end."""
    warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is inconsistent with Python's range "
        "builtin. Instead, use torch.arange, which produces values in [start, end).",
    )  # fmt: skip
    if len(bounds) + (start is not None) + (end is not None) < 2:
        raise TypeError('range() missing 1 required positional arguments: "end"')
    start, end, step = _bounds("range", bounds, start, end, step)
    kind = kind_of(dtype if dtype is not None or out is None else out.dtype, device)
    _check_range(start, end, step)
    if kind.dtype.category == 1:
        start, end, step = int(start), int(end), int(step)
    n = int((end - start) / step) + 1
    array = (start + step * counted(n, np.float64)).astype(kind.np)
    return _placed(array, kind, requires_grad, out)


def _bounds(name: str, given: tuple[Any, ...], start: Any, end: Any, step: Any) -> list[Any]:
    """start, end and step from the forms of a call, as Python numbers."""
    rest = list(given)
    if len(rest) == 1 and end is None and start is None:
        end = rest.pop()
    named = {"start": start, "end": end, "step": step}
    for which, value in named.items():
        if value is None and rest:
            named[which] = rest.pop(0)
    if rest or named["end"] is None:
        raise TypeError(
            f"{name}() received an invalid combination of arguments - got ({', '.join(type(v).__name__ for v in given)})"
        )
    found = []
    for which, default in (("start", 0), ("end", None), ("step", 1)):
        value = default if named[which] is None else named[which]
        if isinstance(value, (Tensor, np.generic)):
            value = value.item()
        if isinstance(value, complex):
            if value.imag:
                raise RuntimeError("value cannot be converted to type double without overflow")
            value = value.real
        if not isinstance(value, (int, float)):
            raise TypeError(f"{name}(): argument '{which}' (position 1) must be Number, not {type(value).__name__}")
        found.append(value)
    return found


def _range_kind(bounds: Sequence[Any], dtype: Any, device: Any, out: Any) -> Kind:
    if dtype is None and out is not None:
        dtype = out.dtype
    if dtype is None and all(isinstance(v, int) for v in bounds):
        dtype = dtypes.int64
    return kind_of(dtype, device)


def _check_range(start: Any, end: Any, step: Any) -> None:
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (step > 0 and start > end) or (step < 0 and start < end):
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
