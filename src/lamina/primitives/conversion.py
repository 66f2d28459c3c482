"""Copies and conversions: clone, to, contiguous memory, other dtypes of the same bytes, real and imaginary parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.autograd import errors, modes
from lamina.autograd.views import Strided, geometry
from lamina.core import device as devices
from lamina.core import dtype as dtypes
from lamina.core import strided
from lamina.core.device import BY_NUMPY, KINDS
from lamina.core.dtype import BY_TYPE
from lamina.core.dtype import dtype as dtype_class
from lamina.core.factories import kind_of
from lamina.core.strided import Array, element_strides
from lamina.core.tensor import Tensor, wrap
from lamina.core.warn import warn
from lamina.primitives.inplace import of_tensors
from lamina.primitives.out_dtypes import NAMES
from lamina.primitives.registry import apply, primitive


def _cloned(x: Array, *, order: str) -> Array:
    out = _ordered(x, order=order)
    np.copyto(out, x)
    return out


def _ordered(x: Array, *, order: str) -> Array:
    if order == "preserve":
        return strided.empty_as(x)
    return np.empty(x.shape, x.dtype) if order == "contiguous" else in_order(x.shape, x.dtype, order)


def in_order(shape: tuple[int, ...], kind: Any, order: str) -> Array:
    """New memory for a channels-last tensor."""
    n = len(shape)
    if n != (4 if order == "channels_last" else 5):
        raise RuntimeError(f"required rank {4 if order == 'channels_last' else 5} tensor to use {order} format")
    back = (0, n - 1, *range(1, n - 1))
    return np.empty((shape[0], *shape[2:], shape[1]), kind).transpose(back)


clone_ = primitive("clone", _cloned, grads=(lambda g: g,), native=True, meta=_ordered)


_ORDERS = {"preserve_format": "preserve", "contiguous_format": "contiguous"}


@of_tensors
def clone(input: Tensor, *, memory_format: Any = devices.preserve_format) -> Tensor:
    """A copy, recorded. memory_format: the stride order (default: the input's, where dense)."""
    order = memory_format.name
    return clone_(input, _ORDERS.get(order, order))  # type: ignore[no-any-return]


def _cast(x: Array, *, to: Any) -> Array:
    if x.dtype.kind == "c" and to.kind not in "cb":
        x = x.real
    if x.dtype.kind in "fV" and to.kind in "iu":
        return _to_integer(x, to)
    if x.dtype.kind == "V" and to.kind == "b":
        return x.astype(np.float32) != 0  # type: ignore[no-any-return]
    if 0 in x.strides and not x.flags.c_contiguous:
        # NumPy would put a stretched dimension innermost
        out = strided.empty_as(x, to)
        np.copyto(out, x, casting="unsafe")
        return out
    return x.astype(to)


_BY_INT32 = frozenset(("int8", "int16", "uint16", "int32"))


def _to_integer(x: Array, to: Any) -> Array:
    """Truncation, as C does it: by way of int32, where NaN and what does not fit is the least number, or of int64, as PyTorch goes."""
    if x.dtype.kind == "V":
        x = x.astype(np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        return x.astype(np.int32 if to.name in _BY_INT32 else np.int64).astype(to, copy=False)


to_copy = primitive(
    "to_copy", _cast,
    grads=(lambda g, x_dtype: _back(g, x_dtype),), holomorphic=False, native=True,
    meta=lambda x, *, to: strided.empty_as(x, to))  # fmt: skip


def _back(g: Any, d: dtype_class) -> Any:
    if isinstance(g, Tensor):
        return to_copy(g, to=d.np) if g._kind.dtype is not d else g
    return _cast(np.asarray(g), to=d.np)


def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """This tensor in another dtype, on another device, or in another stride order; itself when nothing differs.

    to(dtype), to(device, dtype=None), to(other); non_blocking is accepted; copy=True copies always.
    """
    dtype, device, memory_format, copy = read_to(args, kwargs)
    kind = KINDS[dtype or self._kind.dtype, self._kind.device if device is None else devices.as_device(device)]
    same = (
        kind.dtype is self._kind.dtype
        and kind.device is self._kind.device
        and (memory_format is devices.preserve_format or self.is_contiguous(memory_format))
    )
    if same and not copy:
        return self
    if kind.device is not self._kind.device:
        if self._kind.device is devices.meta:
            raise NotImplementedError("Cannot copy out of meta tensor; no data!")
        return wrap(strided.empty_as(self._array, kind.np), kind)
    if kind is self._kind:
        return clone(self, memory_format=memory_format)
    if 0 < kind.dtype.category < 3 and self._kind.dtype.category == 3 and self._array.size:
        warn("Casting complex values to real discards the imaginary part")
    out: Tensor = to_copy(self, to=kind.np)
    if kind.dtype.category < 2 and self._node is not None:
        errors.note_cut(out, f"cast to {kind.dtype}, which has no gradient", self)
    return clone(out, memory_format=memory_format) if memory_format is not devices.preserve_format else out


def read_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, Any, bool]:
    """dtype, device, memory_format and copy from the forms of Tensor.to and Module.to. Raises TypeError."""
    dtype, device = kwargs.get("dtype"), kwargs.get("device")
    memory_format, copy = kwargs.get("memory_format") or devices.preserve_format, bool(kwargs.get("copy", False))
    other = kwargs.get("other")
    for name in kwargs:
        if name not in ("dtype", "device", "memory_format", "copy", "non_blocking", "other"):
            raise TypeError(
                f"to() received an invalid combination of arguments - got unexpected keyword argument '{name}'"
            )
    flags = []
    for i, a in enumerate(args):
        if isinstance(a, dtype_class) or a.__class__ is type and a in BY_TYPE:
            dtype = a
        elif isinstance(a, (str, devices.device)) or (i == 0 and isinstance(a, int) and not isinstance(a, bool)):
            device = a
        elif isinstance(a, Tensor):
            other = a
        elif isinstance(a, bool):
            flags.append(a)
        elif isinstance(a, devices.memory_format):
            memory_format = a
        elif a is not None:
            raise TypeError(
                f"to() received an invalid combination of arguments - got ({type(a).__name__}), but expected one of: "
                "(torch.device device, torch.dtype dtype), (torch.dtype dtype), (Tensor other)"
            )
    if other is not None:
        dtype, device = other.dtype, other.device
    if len(flags) == 2:
        copy = flags[1]
    if dtype is not None and not isinstance(dtype, dtype_class):
        dtype = kind_of(dtype, None).dtype
    return dtype, device, memory_format, copy


def caster(d: dtype_class) -> Any:
    """The method `float`, `long` ...: this tensor as `d`."""

    def method(self: Tensor, memory_format: Any = devices.preserve_format) -> Tensor:
        return to(self, d, memory_format=memory_format)

    return method


def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of this tensor's legacy type, or this tensor as another."""
    if dtype is None:
        return f"torch.{self._kind.dtype.alias}"
    if isinstance(dtype, str):
        found = [d for d in dtypes.DTYPES if dtype == f"torch.{d.alias}"]
        if not found:
            raise ValueError(f"invalid type: '{dtype}'")
        return to(self, found[0])
    return to(self, getattr(dtype, "dtype", dtype))


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """This tensor in the dtype of `other`."""
    return to(self, other.dtype)


# ---- complex parts and other dtypes of the same bytes: views ---------------------------------------------------------

real_ = primitive(
    "real", lambda x: x.real, grads=(lambda g: _complexed(g, 1.0),), view=True, holomorphic=False, node="Select"
)
imag_ = primitive(
    "imag", lambda x: x.imag, grads=(lambda g: _complexed(g, 1.0j),), view=True, holomorphic=False, node="Select"
)
view_as_real_ = primitive(
    "view_as_real", lambda x: _parts(x),
    grads=(lambda g: view_as_complex_copy(g),), view=True, holomorphic=False)  # fmt: skip
view_as_complex_ = primitive(
    "view_as_complex", lambda x: x.view(np.complex64 if x.dtype == np.float32 else np.complex128)[..., 0],
    grads=(lambda g: view_as_real_copy(g),), view=True, holomorphic=False)  # fmt: skip
view_as_complex_copy = primitive(
    "view_as_complex_copy", lambda x: x[..., 0] + 1j * x[..., 1] if x.dtype == np.float64 else (x[..., 0] + np.complex64(1j) * x[..., 1]),
    grads=(lambda g: view_as_real_copy(g),), holomorphic=False)  # fmt: skip
view_as_real_copy = primitive(
    "view_as_real_copy", lambda x: np.stack((x.real, x.imag), -1),
    grads=(lambda g: view_as_complex_copy(g),), holomorphic=False)  # fmt: skip


def _complexed(g: Any, unit: complex) -> Any:
    return g * (unit if isinstance(g, Tensor) else np.result_type(g.dtype, np.complex64).type(unit))


def _parts(x: Array) -> Array:
    part = np.float32 if x.dtype == np.complex64 else np.float64
    if not x.ndim:
        return x.reshape(1).view(part)
    return x[..., None].view(part) if x.strides[-1] else np.stack((x.real, x.imag), -1)


@of_tensors
def real(input: Tensor) -> Tensor:
    """The real part of a complex tensor, as a view; a real tensor itself."""
    return _part(real_, input, 0) if input.is_complex() else input


@of_tensors
def imag(input: Tensor) -> Tensor:
    """The imaginary part of a complex tensor, as a view. Raises RuntimeError for real ones."""
    if not input.is_complex():
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return _part(imag_, input, 1)


def set_real(self: Tensor, value: Any) -> None:
    """`x.real = value`: written into the real part."""
    part: Any = real(self)
    part.copy_(value) if isinstance(value, Tensor) else part.fill_(value)


def set_imag(self: Tensor, value: Any) -> None:
    """`x.imag = value`: written into the imaginary part."""
    part: Any = imag(self)
    part.copy_(value) if isinstance(value, Tensor) else part.fill_(value)


def _part(op: Any, input: Tensor, nr: int) -> Tensor:
    out: Tensor = op(input)
    size, stride = out._array.shape, element_strides(out._array)
    return _remembered(out, lambda z: Strided.take(view_as_real_(z), size, stride, nr), input)


def _replayed(op: Any, input: Tensor) -> Tensor:
    return _remembered(op(input), op, input)


def _remembered(out: Tensor, op: Any, input: Tensor) -> Tensor:
    """Let the view `out` know how it comes from its base again: by `op`, from what `input` is there."""
    if out._more is not None and out._more.view is not None and out._more.view.replay is None:
        base_view = input._more.view.replay if input._more is not None and input._more.view is not None else None
        if input._more is None or input._more.base is None:
            out._more.view.replay = op
        elif base_view is not None:
            out._more.view.replay = lambda b: op(base_view(b))
        else:
            where = geometry(input, input._more.base)
            out._more.view.replay = lambda b: op(Strided.take(b, *where))
    return out


@of_tensors
def view_as_real(input: Tensor) -> Tensor:
    """A complex tensor as a real one with a last dimension of 2, the same memory."""
    if not input.is_complex():
        raise RuntimeError("view_as_real is only supported for complex tensors")
    return _replayed(view_as_real_, input)


@of_tensors
def view_as_complex(input: Tensor) -> Tensor:
    """A real tensor with a last dimension of 2 as a complex one, the same memory."""
    if input.dtype not in (dtypes.float32, dtypes.float64, dtypes.float16):
        raise RuntimeError(
            f"view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar type: {input.dtype.alias[:-6]}"
        )
    if not input.dim() or input.size(-1) != 2:
        raise RuntimeError(
            "Tensor must have a last dimension of size 2"
            if input.dim()
            else "Input tensor must have one or more dimensions"
        )
    if input.stride(-1) != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(stride % 2 for stride in input.stride()[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    if input.storage_offset() % 2:
        raise RuntimeError("Tensor must have a storage_offset divisible by 2")
    if input.dtype is dtypes.float16:
        raise NotImplementedError(
            "view_as_complex() of float16 makes complex32, which lamina has not; convert to float32 before"
        )
    return _replayed(view_as_complex_, input)


view_bytes = primitive("view_dtype", lambda x, *, to: _bytes_as(x, to), view=True)


def _bytes_as(x: Array, to: Any, offset: int = 0) -> Array:
    """The memory of `x`, which begins `offset` elements into its storage, as elements of the dtype `to`."""
    if not x.ndim:
        if to.itemsize != x.itemsize:
            raise RuntimeError(
                f"self.dim() cannot be 0 to view {BY_NUMPY[x.dtype].dtype} as {BY_NUMPY[to].dtype} (different element sizes)"
            )
        return x.view(to)
    if to.itemsize == x.itemsize:
        return x.view(to)
    ends = " as ".join(NAMES[BY_NUMPY[d].dtype.name] for d in (x.dtype, to)) + " (different element sizes)"
    strides, ratio = element_strides(x), max(1, to.itemsize // x.itemsize)
    named = [("size(-1)", x.shape[-1]), ("storage_offset()", offset)]
    named += [(f"stride({i})", stride) for i, stride in enumerate(strides[:-1])]
    for what, value in named[:2]:
        if value % ratio:
            raise RuntimeError(f"self.{what} must be divisible by {ratio} to view {ends}, but got {value}")
    if strides[-1] != 1:
        raise RuntimeError(f"self.stride(-1) must be 1 to view {ends}, but got {strides[-1]}")
    for what, value in named[2:]:
        if value % ratio:
            raise RuntimeError(f"self.{what} must be divisible by {ratio} to view {ends}, but got {value}")
    return x.view(to) if x.size else np.empty((*x.shape[:-1], x.shape[-1] * x.itemsize // to.itemsize), to)


def view_dtype(self: Tensor, d: dtype_class) -> Tensor:
    """The same bytes as elements of another dtype."""
    mode = modes.current()
    if mode is not None and mode.transforms:
        return view_bytes(self, to=d.np)  # type: ignore[no-any-return]
    out: Tensor = self.detach()  # as PyTorch: no view in the eyes of autograd
    out._array, out._kind = _bytes_as(self._array, d.np, self.storage_offset()), KINDS[d, self._kind.device]
    return out


_ = apply


# ---- places ----------------------------------------------------------------------------------------------------------


def cpu(self: Tensor, memory_format: Any = devices.preserve_format) -> Tensor:
    """This tensor in the CPU's memory: itself."""
    return to(self, devices.cpu, memory_format=memory_format)


def cuda(
    self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = devices.preserve_format
) -> Tensor:
    """Raises as a PyTorch without CUDA does."""
    return to(self, devices.as_device("cuda"))


def to_dense(self: Tensor, dtype: Any = None, *, masked_grad: Any = None) -> Tensor:
    """A dense tensor: itself, or as `dtype`."""
    return self if dtype is None else to(self, dtype)


def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both look at the same memory in the same way."""
    a, b = self._array, tensor._array
    return self.data_ptr() == tensor.data_ptr() and a.shape == b.shape and self.stride() == tensor.stride()


def get_device(input: Tensor) -> int:
    """The number of the device: -1 for the CPU."""
    return -1


def is_signed(input: Tensor) -> bool:
    """Whether the dtype has a sign."""
    return input.is_signed()


def detach(input: Tensor) -> Tensor:
    """The same memory and version, without history (`torch.detach`)."""
    return input.detach()


METHODS: dict[str, Any] = {
    "cpu": cpu,
    "cuda": cuda,
    "xpu": cuda,
    "ipu": cuda,
    "mtia": cuda,
    "to_dense": to_dense,
    "is_set_to": is_set_to,
}
