"""Converting a module in place: dtype, device, memory format. Parameters keep their identity, and `.grad` follows.

Here: `Convertible`, the part of `Module` with `to` and its relatives, and the reading of `to`'s arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import lamina
from lamina.core.parameter import Parameter
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.nn.modules.tree import Tree

_TO_FORMS = (
    "(device=None, dtype=None, non_blocking=False, *, memory_format=None)",
    "(dtype, non_blocking=False, *, memory_format=None)",
    "(tensor, non_blocking=False, *, memory_format=None)",
)
_TO_NAMES = (
    ("device", "dtype", "non_blocking", "copy"),
    ("dtype", "non_blocking", "copy"),
    ("tensor", "non_blocking", "copy"),
)


class Convertible(Tree):
    """The part of `Module` that converts its parameters and buffers."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replace the data of each parameter, of its gradient, and each buffer by `fn` of it."""
        if recurse:
            for child in self.children():
                child._apply(fn)
        for name, param in self._parameters.items():
            if param is not None:
                self._parameters[name] = _converted(param, fn)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move and cast parameters and buffers, in place: `to(device, dtype)`, `to(dtype)`, `to(tensor)`.

        A dtype is applied to floating and complex members only; `memory_format` to those of 4 and 5 dimensions.
        Raises TypeError for a dtype that is neither floating nor complex.
        """
        device, dtype, non_blocking, memory_format = _parse_to(args, kwargs)
        if dtype is not None:
            if not (dtype.is_floating_point or dtype.is_complex):
                raise TypeError(
                    f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
                )
            if dtype.is_complex:
                warn(
                    "Complex modules are a new feature under active development whose design may change, and some "
                    "modules might not work as expected when using complex tensors as parameters or buffers.",
                )

        def convert(t: Tensor) -> Tensor:
            target = dtype if t.is_floating_point() or t.is_complex() else None
            try:
                if memory_format is not None and t.dim() in (4, 5):
                    return t.to(device, target, non_blocking, memory_format=memory_format)
                return t.to(device, target, non_blocking)
            except NotImplementedError as error:
                if str(error).startswith("Cannot copy out of meta tensor"):
                    raise NotImplementedError(
                        "Cannot copy out of meta tensor; no data! Please use torch.nn.Module.to_empty() instead of "
                        "torch.nn.Module.to() when moving module from meta to a different device."
                    ) from None
                raise

        return self._apply(convert)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Move to `device` without copying: the values are whatever the memory holds."""
        return self._apply(lambda t: lamina.empty_like(t, device=device), recurse=recurse)

    def type(self, dst_type: Any) -> Self:
        """Cast all parameters and buffers to `dst_type`."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self) -> Self:
        """Cast floating parameters and buffers to float32."""
        return self._apply(lambda t: t.float() if t.is_floating_point() else t)

    def double(self) -> Self:
        """Cast floating parameters and buffers to float64."""
        return self._apply(lambda t: t.double() if t.is_floating_point() else t)

    def half(self) -> Self:
        """Cast floating parameters and buffers to float16."""
        return self._apply(lambda t: t.half() if t.is_floating_point() else t)

    def bfloat16(self) -> Self:
        """Cast floating parameters and buffers to bfloat16."""
        return self._apply(lambda t: t.bfloat16() if t.is_floating_point() else t)

    def cpu(self) -> Self:
        """Move to the CPU."""
        return self._apply(lambda t: t.cpu())

    def cuda(self, device: Any = None) -> Self:
        """Move to a GPU. Raises as a tensor's `cuda` does where there is none."""
        return self._apply(lambda t: t.cuda(device))

    def ipu(self, device: Any = None) -> Self:
        """Move to an IPU. Raises as a tensor's `to` does where there is none."""
        return self._apply(lambda t: t.to(_indexed("ipu", device)))

    def xpu(self, device: Any = None) -> Self:
        """Move to an XPU. Raises as a tensor's `to` does where there is none."""
        return self._apply(lambda t: t.to(_indexed("xpu", device)))

    def mtia(self, device: Any = None) -> Self:
        """Move to an MTIA device. Raises as a tensor's `to` does where there is none."""
        return self._apply(lambda t: t.to(_indexed("mtia", device)))

    def share_memory(self) -> Self:
        """Move parameters and buffers into memory that other processes can share."""
        return self._apply(lambda t: t.share_memory_())


def _converted(param: Parameter, fn: Callable[[Tensor], Tensor]) -> Parameter:
    """`param` itself holding `fn` of its data; a new parameter only where the data went to another kind of device."""
    with lamina.no_grad():
        applied = fn(param)
    in_place = applied.device.type == param.device.type
    grad = param.grad
    if in_place:
        param.data = applied
        converted = param
    else:
        converted = Parameter(applied, param.requires_grad)
    if grad is not None:
        with lamina.no_grad():
            applied = fn(grad)
        if in_place:
            grad.data = applied
        else:
            converted.grad = applied.requires_grad_(grad.requires_grad)
    return converted


def _indexed(kind: str, device: Any) -> Any:
    return lamina.device(kind, device) if isinstance(device, int) else kind if device is None else device


def _parse_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, bool, Any]:
    """device, dtype, non_blocking and memory_format from the arguments of `to`, in any of its three forms."""
    first = args[0] if args else None
    form = 2 if isinstance(first, Tensor) or "tensor" in kwargs else 1 if isinstance(first, lamina.dtype) else 0
    names = _TO_NAMES[form]
    given = dict(zip(names, args, strict=False))
    if len(args) > len(names) or given.keys() & kwargs.keys():
        raise _bad_to(args, kwargs)
    given.update(kwargs)
    memory_format = given.pop("memory_format", None)
    if given.pop("copy", False):
        raise RuntimeError(".to() does not accept copy argument")
    non_blocking = given.pop("non_blocking", False)
    tensor = given.pop("tensor", None)
    device, dtype = given.pop("device", None), given.pop("dtype", None)
    if (
        given
        or not isinstance(non_blocking, bool)
        or not isinstance(dtype, lamina.dtype | None)
        or not isinstance(device, lamina.device | str | int | None)
        or not isinstance(memory_format, lamina.memory_format | None)
        or (form == 2 and not isinstance(tensor, Tensor))
    ):
        raise _bad_to(args, kwargs)
    if tensor is not None:
        return tensor.device, tensor.dtype, non_blocking, memory_format
    return None if device is None else lamina.device(device), dtype, non_blocking, memory_format


def _bad_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> TypeError:
    given = ", ".join([*(type(a).__name__ for a in args), *(f"{k}={type(v).__name__}" for k, v in kwargs.items())])
    if kwargs:
        given += ", "
    forms = "".join(f"\n * {form}" for form in _TO_FORMS)
    return TypeError(
        f"to() received an invalid combination of arguments - got ({given}), but expected one of:{forms}\n"
    )
