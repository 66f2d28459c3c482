"""Filled tensors: zeros, ones, full, arange, linspace, eye ... and their `_like` and `new_` forms. No gradients are born here."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from lamina.core import device as devices
from lamina.core import dtype as dtypes
from lamina.core import factories, strided
from lamina.core.device import Kind
from lamina.core.factories import kind_of, leaf_like
from lamina.core.size import shape_of
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, meta_array, refuse_layout
from lamina.primitives.conversion import in_order
from lamina.primitives.inplace import store


def made(array: Array, kind: Kind, requires_grad: bool, out: Any = None) -> Tensor:
    """A new leaf, or `out` filled with it."""
    if out is not None:
        return store(out, leaf_like(Tensor, array, kind, False))
    return leaf_like(Tensor, array, kind, requires_grad)  # type: ignore[no-any-return]


def sized(args: tuple[Any, ...], size: Any, name: str) -> tuple[int, ...]:
    """The shape from `f(2, 3)`, `f((2, 3))` or `f(size=...)`. Raises RuntimeError for negative ones."""
    shape = shape_of(args, name) if size is None else shape_of((size,), name)
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    return shape


def allocate(shape: tuple[int, ...], kind: Kind, fill: Any = None, order: Any = None) -> Array:
    """Memory for a tensor; the meta device takes none. Raises RuntimeError when there is not enough."""
    if kind.device is devices.meta:
        return np.broadcast_to(np.zeros((), kind.np), shape)
    try:
        if order in (devices.channels_last, devices.channels_last_3d):
            array = in_order(shape, kind.np, order.name)
            if fill is not None:
                array[...] = fill
            return array
        if fill is None:
            return np.empty(shape, kind.np)
        if isinstance(fill, (bool, int, float)) and fill == 0:
            return np.zeros(shape, kind.np)
        return np.full(shape, fill, kind.np)
    except (MemoryError, ValueError):
        need = math.prod(shape) * kind.np.itemsize
        raise RuntimeError(
            f"DefaultCPUAllocator: can't allocate memory: you tried to allocate {need} bytes for a tensor of shape {list(shape)}"
        ) from None


def filled(name: str, value: Any) -> Any:
    """The function `zeros`, `ones` or `empty`."""

    def function(
        *args: Any, size: Any = None, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
        pin_memory: bool = False, requires_grad: bool = False, memory_format: Any = None, names: Any = None,
    ) -> Tensor:  # fmt: skip
        if layout is not None and layout is not devices.strided:
            refuse_layout(str(layout))
        kind = kind_of(out.dtype if out is not None and dtype is None else dtype, device)
        return made(allocate(sized(args, size, name), kind, value, memory_format), kind, requires_grad, out)

    function.__name__ = function.__qualname__ = name
    return function


zeros, ones, empty = filled("zeros", 0), filled("ones", 1), filled("empty", None)


def full(
    size: Any, fill_value: Any, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False, names: Any = None,
) -> Tensor:  # fmt: skip
    """A tensor of one value; dtype from the value unless given."""
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    if dtype is None and out is None:
        dtype = (
            dtypes.bool_ if isinstance(fill_value, bool) else dtypes.int64 if isinstance(fill_value, int)
            else dtypes.default_complex() if isinstance(fill_value, complex) else None
        )  # fmt: skip
    kind = kind_of(dtype if out is None or dtype is not None else out.dtype, device)
    return made(allocate(sized((size,) if not isinstance(size, int) else (size,), None, "full"), kind, fill_value), kind, requires_grad, out)


def like(name: str, value: Any) -> Any:
    """The function `zeros_like`, `ones_like` or `empty_like`."""

    def function(
        input: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
        requires_grad: bool = False, memory_format: Any = devices.preserve_format,
    ) -> Tensor:  # fmt: skip
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        return like_tensor(input, value, dtype, device, requires_grad, memory_format)

    function.__name__ = function.__qualname__ = name
    return function


def like_tensor(input: Tensor, value: Any, dtype: Any, device: Any, requires_grad: bool, memory_format: Any) -> Tensor:
    kind = input._kind if dtype is None and device is None else kind_of(dtype or input.dtype, device if device is not None else input.device)
    source = input._array
    if memory_format is devices.preserve_format and kind.device is devices.cpu and not source.flags.c_contiguous:
        array = strided.empty_as(source if source.dtype == kind.np else source.astype(kind.np, order="K", copy=False))
        if value is not None:
            array[...] = value
    else:
        array = allocate(source.shape, kind, value, memory_format)
    return leaf_like(Tensor, array, kind, requires_grad)  # type: ignore[no-any-return]


zeros_like, ones_like, empty_like = like("zeros_like", 0), like("ones_like", 1), like("empty_like", None)


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False, memory_format: Any = devices.preserve_format,
) -> Tensor:  # fmt: skip
    """A tensor of one value in the shape of `input`."""
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    return like_tensor(input, fill_value, dtype, device, requires_grad, memory_format)


def new_(name: str, value: Any) -> Any:
    """The method `new_zeros`, `new_ones` or `new_empty`."""

    def method(
        self: Tensor, *args: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False,
        layout: Any = None, pin_memory: bool = False,
    ) -> Tensor:  # fmt: skip
        kind = kind_of(dtype or self.dtype, device if device is not None else self.device)
        return made(allocate(sized(args, size, name), kind, value), kind, requires_grad)

    method.__name__ = method.__qualname__ = name
    return method


new_zeros, new_ones, new_empty = new_("new_zeros", 0), new_("new_ones", 1), new_("new_empty", None)


def new_full(self: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None, pin_memory: bool = False) -> Tensor:
    """A tensor of one value, with this tensor's dtype and device unless given."""
    kind = kind_of(dtype or self.dtype, device if device is not None else self.device)
    return made(allocate(sized((size,), None, "new_full"), kind, fill_value), kind, requires_grad)


def new_tensor(self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None, pin_memory: bool = False) -> Tensor:
    """A leaf with a copy of `data`, with this tensor's dtype and device unless given."""
    if isinstance(data, Tensor):
        data = data.numpy(force=True)
    return factories.tensor(data, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """start, start + step, ... below `end`. int64 when all arguments are integers. Raises RuntimeError for a step of 0."""
    if end is None:
        start, end = 0, start
    start, end, step = (v.item() if isinstance(v, Tensor) else v for v in (start, end, step))
    if dtype is None and out is not None:
        dtype = out.dtype
    if dtype is None and all(isinstance(v, int) for v in (start, end, step)):
        dtype = dtypes.int64
    kind = kind_of(dtype, device)
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not all(math.isfinite(v) for v in (start, end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (step > 0 and start > end) or (step < 0 and start < end):
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if kind.dtype.category == 1:
        start, end, step = int(start), int(end) if float(end).is_integer() or not isinstance(end, float) else end, int(step)
        n = max(0, math.ceil((end - start) / step))
        array = (start + step * np.arange(n, dtype=np.int64)).astype(kind.np)
    else:
        n = max(0, math.ceil((end - start) / step))
        array = (start + step * np.arange(n, dtype=np.float64)).astype(kind.np)
    return made(array, kind, requires_grad, out)


def eye(n: Any, m: Any = None, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal. Shape (n, m), or (n, n)."""
    rows, columns = operator.index(n), operator.index(n if m is None else m)
    if rows < 0 or columns < 0:
        raise RuntimeError(f"{'n' if rows < 0 else 'm'} must be greater or equal to 0, got {min(rows, columns)}")
    kind = kind_of(dtype if out is None or dtype is not None else out.dtype, device)
    return made(np.eye(rows, columns, dtype=kind.np), kind, requires_grad, out)


def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, layout: Any = None, requires_grad: bool = False) -> Tensor:
    """A 0-d tensor of a number."""
    kind = kind_of(dtype, device)
    return made(np.asarray(s).astype(kind.np), kind, requires_grad)


def empty_strided(
    size: Any, stride: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Uninitialised memory with the given strides (in elements). Raises RuntimeError for negative ones."""
    kind = kind_of(dtype, device)
    return leaf_like(Tensor, laid_out(sized((size,), None, "empty_strided"), tuple(stride), kind), kind, requires_grad)  # type: ignore[no-any-return]


def new_empty_strided(
    self: Tensor, size: Any, stride: Any, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Uninitialised memory with the given strides, with this tensor's dtype and device unless given."""
    kind = kind_of(dtype or self.dtype, device if device is not None else self.device)
    return leaf_like(Tensor, laid_out(sized((size,), None, "new_empty_strided"), tuple(stride), kind), kind, requires_grad)  # type: ignore[no-any-return]


def laid_out(shape: tuple[int, ...], steps: tuple[int, ...], kind: Kind) -> Array:
    """New memory of just the length that a shape with these strides reaches."""
    if len(shape) != len(steps):
        raise RuntimeError(f"dimensionality of sizes ({len(shape)}) must match dimensionality of strides ({len(steps)})")
    if any(s < 0 for s in steps):
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(shape)} and strides={list(steps)}")
    if kind.device is devices.meta:
        return meta_array(shape, kind, steps)
    reach = 0 if 0 in shape else 1 + sum((n - 1) * s for n, s in zip(shape, steps, strict=True))
    return strided.over_bytes(np.empty(reach * kind.np.itemsize, np.uint8), kind.np, shape, steps, 0)


def empty_permuted(
    size: Any, physical_layout: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Uninitialised dense memory, its dimensions in the order `physical_layout` from the outermost to the innermost."""
    kind, shape = kind_of(dtype, device), sized((size,), None, "empty_permuted")
    order = tuple(physical_layout)
    if len(order) != len(shape):
        raise RuntimeError(
            f"Number of dimensions in size does not match the length of the physical_layout; i.e. len(size) = {len(shape)} is not "
            f"equal to len(physical_layout) = {len(order)}"
        )
    if sorted(order) != list(range(len(shape))):
        outside = [d for d in order if not 0 <= d < len(shape)]
        if outside:
            raise RuntimeError(f"Dimension out of range (expected to be between 0 and {len(shape) - 1}, but got {outside[0]} at index {order.index(outside[0])}).  NB: negative dims not currently supported; file an issue if you want it.")
        raise RuntimeError("Duplicate dim not allowed")
    dense = strided.contiguous_strides([shape[d] for d in order])
    steps = tuple(dense[order.index(d)] for d in range(len(shape)))
    return leaf_like(Tensor, laid_out(shape, steps, kind), kind, requires_grad)  # type: ignore[no-any-return]
