"""Evenly spaced numbers: linspace, logspace, range. Computed as PyTorch does, from both ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core import device as devices
from lamina.core import dtype as dtypes
from lamina.core.device import Kind
from lamina.core.factories import kind_of
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.creation import made


def _ends(start: Any, end: Any, steps: Any, dtype: Any, device: Any, out: Any, name: str) -> tuple[Any, Any, int, Kind]:
    for v in (start, end):
        if isinstance(v, Tensor) and v._array.ndim:
            parts = [
                f"{which} with {w._array.ndim} dimension(s)" for which, w in (("start", start), ("end", end)) if isinstance(w, Tensor)
            ]
            raise RuntimeError(f"{name} only supports 0-dimensional start and end tensors, but got {' and '.join(parts)}.")
    if not hasattr(steps, "__index__"):
        kinds = ", ".join(type(v).__name__ for v in (start, end, steps))
        raise TypeError(f"{name}() received an invalid combination of arguments - got ({kinds}), but expected a whole number of steps")
    start, end, steps = (v.item() if isinstance(v, Tensor) else v for v in (start, end, steps))
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    if dtype is None and out is not None:
        dtype = out.dtype
    if isinstance(start, complex) or isinstance(end, complex):
        if dtype is None:
            dtype = dtypes.default_complex()
        elif dtype.category < 3:
            raise RuntimeError(f"torch.{name}(): inferred dtype {dtypes.default_complex()} can't be safely cast to passed dtype {dtype}")
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
        count = np.arange(steps)
        parts = _multiply_add(step, count[:half], first), _multiply_add(-step, count[: steps - half][::-1], last)
        return np.concatenate(parts).astype(np.int64).astype(kind)
    count = np.arange(steps).astype(np.empty(0, kind).real.dtype)
    step = (last - first) / count[-1]
    return np.concatenate((_multiply_add(step, count[:half], first), _multiply_add(-step, count[: steps - half][::-1], last)))


def _multiply_add(step: Any, count: Array, start: Any) -> Array:
    """start + step * count, rounded once in float32 and float64, as the processor's fused operation does it."""
    wide = _WIDE.get(step.dtype.char)
    if wide is None:
        return start + step * count  # type: ignore[no-any-return]
    return (wide(start) + wide(step) * count.astype(wide)).astype(step.dtype)  # type: ignore[no-any-return]


_WIDE = {"f": np.float64, "d": np.longdouble}


def linspace(
    start: Any, end: Any, steps: int, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`steps` numbers from start to end, both among them. Raises RuntimeError for steps < 0."""
    start, end, steps, kind = _ends(start, end, steps, dtype, device, out, "linspace")
    array = _spaced(start, end, steps, kind.np)
    if kind.device is devices.meta:
        array = np.broadcast_to(np.zeros((), kind.np), array.shape)
    return made(array, kind, requires_grad, out)
