"""Filled tensors: zeros, ones, full, empty, eye ... and their `_like` and `new_` forms. No gradients are born here.

Not here: evenly spaced numbers (ranges.py), memory from elsewhere (buffers.py), random numbers (random.py).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core import device as devices
from lamina.core import dtype as dtypes
from lamina.core import factories, strided
from lamina.core.device import Kind
from lamina.core.factories import kind_of, leaf_like
from lamina.core.size import INT64_MAX, check_room, not_ints, refused, shape_of
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, meta_array, refuse_layout
from lamina.primitives.conversion import in_order
from lamina.primitives.index_checks import number_as
from lamina.primitives.inplace import of_tensors, store
from lamina.primitives.levels import Batched, alike
from lamina.primitives.out_dtypes import NAMES


def made(array: Array, kind: Kind, requires_grad: bool, out: Any = None) -> Tensor:
    """A new leaf, or `out` filled with it."""
    if out is not None:
        return store(out, leaf_like(Tensor, array, kind, False))
    return leaf_like(Tensor, array, kind, requires_grad)  # type: ignore[no-any-return]


def sized(args: tuple[Any, ...], size: Any, name: str) -> tuple[int, ...]:
    """The shape from `f(2, 3)`, `f((2, 3))` or `f(size=...)`. Raises TypeError, and RuntimeError for negative ones."""
    if size is not None:
        args = (size,)
    elif not args:
        raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
    dims = args[0] if len(args) == 1 and isinstance(args[0], (tuple, list)) else args
    for i, n in enumerate(dims):
        if n.__class__ is int and n <= INT64_MAX:
            continue
        if isinstance(n, bool) or not hasattr(n, "__index__"):
            if dims is args and i == 0:
                raise TypeError(f"{name}(): argument 'size' (position 1) must be tuple of ints, not {type(n).__name__}")
            raise not_ints(dims, f"{name}(): argument 'size'", " (position 1)")
        if int(n) > INT64_MAX:
            raise TypeError(
                f"{name}(): argument 'size' failed to unpack the object at pos {i + 1} with error \"Overflow when unpacking long long\""
            )
    shape = shape_of((dims,), name)
    if any(n < 0 for n in shape):
        if name == "zeros":
            raise RuntimeError("zeros: Dimension size must be non-negative.")
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    return shape


def kind_with(dtype: Any, device: Any, out: Any) -> Kind:
    """The kind for a call with `out=`, whose dtype must be the one that is asked for."""
    if out is None:
        return kind_of(dtype, device)
    if dtype is not None and kind_of(dtype, None).dtype is not out.dtype:
        names = NAMES[kind_of(dtype, None).dtype.name], NAMES[out.dtype.name]
        raise RuntimeError(f"dtype {names[0]} does not match dtype of out parameter ({names[1]})")
    return kind_of(out.dtype, device if device is not None else out.device)


_LAST = (devices.channels_last, devices.channels_last_3d)


def allocate(shape: tuple[int, ...], kind: Kind, fill: Any = None, order: Any = None) -> Array:
    """Memory for a tensor; the meta device takes none. Raises RuntimeError when there is not enough."""
    if kind.device is devices.meta:
        return in_order(shape, kind.np, order.name) if order in _LAST else meta_array(shape, kind)
    try:
        if order in _LAST:
            array = in_order(shape, kind.np, order.name)
            if fill is not None:
                array[...] = fill
            return array
        if fill is None:
            return np.empty(shape, kind.np)
        if fill.__class__ is int and not fill:
            return np.zeros(shape, kind.np)
        return np.full(shape, fill, kind.np)
    except ValueError as error:
        check_room(shape, kind.np.itemsize)
        raise refused(error) from None
    except MemoryError:
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
        shape = sized(args, size, name)
        kind = kind_with(dtype, device, out)
        return made(allocate(shape, kind, value, memory_format), kind, requires_grad, out)

    function.__name__ = function.__qualname__ = name
    return function


zeros, ones, empty = filled("zeros", 0), filled("ones", 1), filled("empty", None)


def full(
    size: Any, fill_value: Any, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False, names: Any = None,
) -> Tensor:  # fmt: skip
    """A tensor of one value; dtype from the value unless given."""
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}")
    value = _number(fill_value, "full")
    if dtype is None and out is None:
        dtype = (
            dtypes.bool_ if isinstance(value, bool) else dtypes.int64 if isinstance(value, int)
            else dtypes.default_complex() if isinstance(value, complex) else None
        )  # fmt: skip
    kind = kind_with(dtype, device, out)
    return made(allocate(sized((size,), None, "full"), kind, number_as(value, kind)), kind, requires_grad, out)


def _number(value: Any, name: str) -> Any:
    """A number to fill with, from Python, NumPy or a 0-d tensor. Raises TypeError."""
    if isinstance(value, np.generic) or (isinstance(value, Tensor) and not value._array.ndim and value._node is None):
        return value.item()
    if not isinstance(value, (bool, int, float, complex)):
        raise TypeError(f"{name}(): argument 'fill_value' (position 2) must be Number, not {type(value).__name__}")
    return value


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


def _kind_like(input: Tensor, dtype: Any, device: Any) -> Kind:
    if dtype is None and device is None:
        return input._kind
    return kind_of(dtype or input.dtype, device if device is not None else input.device)


def like_tensor(input: Tensor, value: Any, dtype: Any, device: Any, requires_grad: bool, memory_format: Any) -> Tensor:
    kind = _kind_like(input, dtype, device)
    source = input._array
    if input.__class__ is Batched:
        return alike(input, source.shape, lambda shape: made(allocate(shape, kind, value), kind, requires_grad))
    if memory_format is devices.preserve_format and not source.flags.c_contiguous:
        array = strided.empty_as(source, kind.np)
        if value is not None and kind.device is devices.cpu:
            array[...] = value
    else:
        array = allocate(source.shape, kind, value, memory_format)
    return leaf_like(Tensor, array, kind, requires_grad)  # type: ignore[no-any-return]


zeros_like, ones_like, empty_like = like("zeros_like", 0), like("ones_like", 1), like("empty_like", None)


@of_tensors
def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False, memory_format: Any = devices.preserve_format,
) -> Tensor:  # fmt: skip
    """A tensor of one value in the shape of `input`."""
    value = number_as(_number(fill_value, "full_like"), _kind_like(input, dtype, device))
    return like_tensor(input, value, dtype, device, requires_grad, memory_format)


def new_(name: str, value: Any) -> Any:
    """The method `new_zeros`, `new_ones` or `new_empty`."""

    def method(
        self: Tensor, *args: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False,
        layout: Any = None, pin_memory: bool = False,
    ) -> Tensor:  # fmt: skip
        kind = kind_of(dtype or self.dtype, device if device is not None else self.device)
        return alike(
            self, sized(args, size, name), lambda shape: made(allocate(shape, kind, value), kind, requires_grad)
        )

    method.__name__ = method.__qualname__ = name
    return method


new_zeros, new_ones, new_empty = new_("new_zeros", 0), new_("new_ones", 1), new_("new_empty", None)


def new_full(
    self: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
    layout: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor of one value, with this tensor's dtype and device unless given."""
    kind = _kind_like(self, dtype, device)
    value = number_as(_number(fill_value, "new_full"), kind)
    return made(allocate(sized((size,), None, "new_full"), kind, value), kind, requires_grad)


def new_tensor(
    self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A leaf with a copy of `data`, with this tensor's dtype and device unless given."""
    if dtype is None:
        dtype = self.dtype
    return factories.tensor(data, dtype=dtype, device=device, requires_grad=requires_grad)


@of_tensors
def eye(
    n: Any, m: Any = None, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Ones on the diagonal. Shape (n, m), or (n, n)."""
    for i, (which, size) in enumerate((("n", n), ("m", n if m is None else m)), 1):
        if not hasattr(size, "__index__"):
            raise TypeError(f"eye(): argument '{which}' (position {i}) must be int, not {type(size).__name__}")
        if size < 0:
            raise RuntimeError(f"{which} must be greater or equal to 0, got {size}")
    rows, columns = operator.index(n), operator.index(n if m is None else m)
    kind = kind_with(dtype, device, out)
    array = meta_array((rows, columns), kind) if kind.device is devices.meta else np.eye(rows, columns, dtype=kind.np)
    return made(array, kind, requires_grad, out)


@of_tensors
def scalar_tensor(
    s: Any, *, dtype: Any = None, device: Any = None, layout: Any = None, requires_grad: bool = False
) -> Tensor:
    """A 0-d tensor of a number."""
    kind = kind_of(dtype, device)
    return made(number_as(_number(s, "scalar_tensor"), kind), kind, requires_grad)


@of_tensors
def empty_strided(
    size: Sequence[int], stride: Sequence[int], *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
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
    memory = laid_out(sized((size,), None, "new_empty_strided"), tuple(stride), kind)
    return leaf_like(Tensor, memory, kind, requires_grad)  # type: ignore[no-any-return]


def laid_out(shape: tuple[int, ...], steps: tuple[int, ...], kind: Kind) -> Array:
    """New memory of just the length that a shape with these strides reaches."""
    if len(shape) != len(steps):
        raise RuntimeError(
            f"dimensionality of sizes ({len(shape)}) must match dimensionality of strides ({len(steps)})"
        )
    if any(s < 0 for s in steps):
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(shape)} and strides={list(steps)}")
    if kind.device is devices.meta:
        return meta_array(shape, kind, steps)
    reach = 0 if 0 in shape else 1 + sum((n - 1) * s for n, s in zip(shape, steps, strict=True))
    check_room((reach,), kind.np.itemsize)
    return strided.over_bytes(np.empty(reach * kind.np.itemsize, np.uint8), kind.np, shape, steps, 0)


@of_tensors
def empty_permuted(
    size: Sequence[int], physical_layout: Sequence[int], *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
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
            raise RuntimeError(
                f"Dimension out of range (expected to be between 0 and {len(shape) - 1}, but got {outside[0]} at index "
                f"{order.index(outside[0])}).  NB: negative dims not currently supported; file an issue if you want it."
            )
        raise RuntimeError("Duplicate dim not allowed")
    dense = strided.contiguous_strides([shape[d] for d in order])
    steps = tuple(dense[order.index(d)] for d in range(len(shape)))
    return leaf_like(Tensor, laid_out(shape, steps, kind), kind, requires_grad)  # type: ignore[no-any-return]
