"""Writes of given values: copy_, fill_, zero_, set_ and resize_."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.autograd import modes, views
from lamina.autograd.errors import c_type
from lamina.core import device as devices
from lamina.core import strided
from lamina.core.parameter import Parameter
from lamina.core.size import check_room, listed, shape_of
from lamina.core.storage import UntypedStorage
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, meta_array, version, wrap
from lamina.core.version import users_place
from lamina.primitives.conversion import _cast
from lamina.primitives.functions import number_tensor
from lamina.primitives.index_checks import number_as
from lamina.primitives.inplace import is_direct, write, written_directly
from lamina.primitives.nodes import of_number, overload
from lamina.primitives.out_dtypes import NAMES, in_c
from lamina.primitives.registry import primitive
from lamina.primitives.shape import unbroadcast


def _copied(x: Array, source: Array) -> Array:
    return np.broadcast_to(_cast(source, to=x.dtype), x.shape)


copied = primitive(
    "copy", _copied,
    grads=(lambda g: _nothing(g), lambda g, source_shape, source_dtype: _to_source(g, source_shape, source_dtype)),
    holomorphic=False)  # fmt: skip
copied.primitive.node.__name__, copied.primitive.node._family = "CopyBackwards", "torch::autograd::"


def _nothing(g: Any) -> Any:
    """No gradient: zeros whatever g holds (infinite ones too)."""
    return g.new_zeros(g.shape) if isinstance(g, Tensor) else np.zeros(g.shape, g.dtype)


def _to_source(g: Any, shape: Any, d: Any) -> Any:
    g = unbroadcast(g, shape)
    if isinstance(g, Tensor):
        return g.to(d)
    return _cast(g, to=d.np)


def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Write the values of `src`, broadcast and converted, into this tensor."""
    mode = modes.current()
    if (
        (src.__class__ is Tensor or src.__class__ is Parameter)
        and src._kind is self._kind
        and src._array.shape == self._array.shape
        and (src._node is None or (mode is not None and not mode.grad))
        and (src._more is None or src._more.base is None)  # else they may share memory
        and is_direct(self, mode)
    ):
        return written_directly(self, src._array, "copy_")
    if isinstance(src, (int, float, complex)):
        src = number_tensor(src)
    if not isinstance(src, Tensor):
        raise TypeError(f"copy_(): argument 'other' (position 1) must be Tensor, not {type(src).__name__}")
    shape, given = self._array.shape, src._array.shape
    if given != shape and (
        len(given) > len(shape) or any(n not in (1, m) for n, m in zip(given[::-1], shape[::-1], strict=False))
    ):
        k = next((i for i in range(1, min(len(given), len(shape)) + 1) if given[-i] not in (1, shape[-i])), None)
        if k is None:
            raise RuntimeError(f"output with shape {list(shape)} doesn't match the broadcast shape {list(given)}")
        raise RuntimeError(
            f"The size of tensor a ({shape[-k]}) must match the size of tensor b ({given[-k]}) at non-singleton dimension {len(shape) - k}"
        )
    if src._kind.device is devices.meta and self._kind.device is not devices.meta:
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")
    return (
        write(self, "copy_", lambda old: copied(old, src), (src,))
        if mode is None or mode.grad or mode.transforms
        else _plain_copy(self, src)
    )


def _plain_copy(self: Tensor, src: Tensor) -> Tensor:
    views.check_inplace(self, "copy_", False)
    views.check_memory(self, "copy_", (src,))
    if self._kind.device is not devices.meta:
        source = src._array
        mode = modes.current()
        if mode is not None and mode.listener is not None:
            mode.listener.write(self._array, source)
        np.copyto(self._array, source if source.dtype == self._array.dtype else _cast(source, to=self._array.dtype))
    version(self).bump("copy_", users_place(2))
    views.written(self)
    return self


def fill_(self: Tensor, value: Any) -> Tensor:
    """Write one value (a number or a 0-d tensor) everywhere."""
    if value.__class__ is float and self._kind.category == 2 and is_direct(self, modes.current()):
        return written_directly(self, value, "fill_")
    given = _filler(self, value)
    if isinstance(value, Tensor):
        views.check_memory(self, "copy_", ())

    def compute(old: Tensor) -> Tensor:  # the numbers of its overloads come after those of fill
        out = filled_(old, given)
        return overload(out, 3) if isinstance(value, Tensor) else of_number(overload(out, 2))

    return write(self, "fill_", compute, (given,))


def _filler(self: Tensor, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        if value._array.ndim:
            raise RuntimeError(
                f"fill_ only supports 0-dimension value tensor but got tensor with {value._array.ndim} dimensions."
            )
        return value
    if not isinstance(value, (bool, int, float, complex, np.generic)):
        raise TypeError(f"fill_(): argument 'value' (position 1) must be Number, not {type(value).__name__}")
    return wrap(number_as(value, self._kind), self._kind)


def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor of the shape and dtype of `input`, with one value everywhere."""
    out: Tensor = filled_(input, _filler(input, value), whole=True)
    return overload(out) if isinstance(value, Tensor) else of_number(out)


filled_ = primitive(
    "fill", lambda x, source, *, whole=False: _copied(x, source) if not whole else np.array(_copied(x, source), order="C"),
    grads=(lambda g: _nothing(g), lambda g, source_shape, source_dtype: _to_source(g, source_shape, source_dtype)),
    holomorphic=False)  # fmt: skip


def zero_(self: Tensor) -> Tensor:
    """Write zeros."""
    if is_direct(self, modes.current()):
        return written_directly(self, 0, "zero_")
    return write(self, "zero_", lambda old: zeroed(old))


zeroed = primitive("zero", lambda x: np.broadcast_to(np.zeros((), x.dtype), x.shape), grads=(lambda g: _nothing(g),))


def set_(self: Tensor, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None) -> Tensor:
    """Look at other memory from now on: a tensor's, or a storage's from `storage_offset` with `size` and `stride`.

    Raises RuntimeError for a leaf that requires grad.
    """
    views.check_inplace(self, "set_", self._node is not None)
    if source is None:
        self._array = np.empty(0, self._kind.np)
    elif isinstance(source, Tensor):
        if source._kind.dtype is not self._kind.dtype:
            given, own = (c_type(t) for t in (source, self))
            raise RuntimeError(f"Could not set tensor of type {given} to a tensor of type {own}")
        if size is None:
            self._array = source._array
        else:
            return set_(self, source.untyped_storage(), storage_offset, size, stride)
    else:
        held = self._kind.dtype
        theirs = getattr(source, "dtype", held)
        if theirs is not held:
            raise RuntimeError(
                f"Expected a Storage of type {in_c(held)} or an UntypedStorage, but got type {NAMES[theirs.name]} for argument 1 'storage'"
            )
        storage: UntypedStorage = source.untyped()
        shape = (storage.nbytes() // self.itemsize,) if size is None else tuple(size)
        steps = strided.contiguous_strides(shape) if stride is None else tuple(stride)
        self._array = strided.over_bytes(storage._bytes, self._kind.np, shape, steps, storage_offset)
    version(self).bump("set_", users_place(2))
    return self


def resize_(self: Tensor, *sizes: Any, size: Any = None, memory_format: Any = None) -> Tensor:
    """Change the shape in place; memory grows when it must, and elements keep their places in it."""
    shape = shape_of(listed(sizes, size, "resize_", "size"), "resize_")
    if self._node is not None:
        raise RuntimeError("cannot resize variables that require grad")
    views.check_inplace(self, "resize_", False)
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    if shape == self._array.shape and memory_format is None:
        return self
    version(self).bump("resize_", users_place(2))
    if self._kind.device is devices.meta:
        self._array = meta_array(shape, self._kind)
        return self
    check_room(shape, self.itemsize)
    if memory_format is devices.preserve_format:
        raise RuntimeError("Unsupported memory formatPreserve")
    last = memory_format in (devices.channels_last, devices.channels_last_3d)
    steps = strided.channels_last_strides(shape) if last else strided.contiguous_strides(shape)
    offset = self.storage_offset()
    data = strided.bytes_of(strided.owner_of(self._array)) if self._array.size else np.empty(0, np.uint8)
    need = (offset + strided.numel(shape)) * self.itemsize
    if need > data.nbytes:
        data = np.concatenate((data, np.empty(need - data.nbytes, np.uint8)))
        memory = np.empty(len(data), np.uint8)
        memory[:] = data
        data = memory
    self._array = strided.over_bytes(data, self._kind.np, shape, steps, offset)
    return self
