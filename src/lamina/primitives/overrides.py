"""`__torch_function__`: operations on subclasses of Tensor, on foreign classes, and in TorchFunctionMode.

Here: who is asked, in which order, and what the default answer is. Not here: the transforms of func (transforms.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from lamina.autograd import modes
from lamina.core.parameter import Parameter, UninitializedTensorMixin
from lamina.core.tensor import Tensor
from lamina.primitives.registry import Slots
from lamina.primitives.shape import alias_

_BUILTINS = frozenset((int, float, bool, complex, str, type(None), slice, Tensor, Parameter))


def disabled(cls: type, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """A `__torch_function__` that does nothing special: results are plain tensors."""
    with no_subclass_functions():
        return func(*args, **(kwargs or {}))


def asks(values: Iterable[Any]) -> bool:
    """Whether one of the arguments has a say."""
    for v in values:
        cls = v.__class__
        if cls in _BUILTINS:
            continue
        if cls is list or cls is tuple:
            if asks(v):
                return True
        elif getattr(cls, "__torch_function__", None) is not None and getattr(cls, "_overrides", True):
            return True
    return False


def overridable(function: Callable[..., Any]) -> Any:
    """A public function that lets its arguments' `__torch_function__` answer."""

    @functools.wraps(function)
    def public(*args: Any, **kwargs: Any) -> Any:
        for v in args:
            cls = v.__class__
            if cls in _BUILTINS:
                continue
            if asks((v,)):
                return override(public, args, kwargs)
        mode = modes.current()
        if mode is not None and mode.function_modes:
            return override(public, args, kwargs)
        return function(*args, **kwargs)

    return public


def _collect(values: Iterable[Any], found: list[Any]) -> None:
    for v in values:
        cls = v.__class__
        if cls is list or cls is tuple:
            _collect(v, found)
        elif (
            getattr(cls, "__torch_function__", None) is not None
            and getattr(cls, "_overrides", True)
            and cls is not Tensor
        ):
            if all(type(o) is not cls for o in found):
                # a subclass is asked before its base
                at = next((i for i, o in enumerate(found) if issubclass(cls, type(o))), len(found))
                found.insert(at, v)


def override(function: Any, args: Any, kwargs: Any) -> Any:
    """Ask the modes, then the arguments' classes. Raises TypeError when all decline."""
    kwargs = kwargs or {}
    mode = modes.mode()
    found: list[Any] = []
    _collect((*args, *kwargs.values()), found)
    types = tuple(type(o) for o in found)
    if mode.function_modes and mode.no_overrides != "all":
        asked = mode.function_modes[-1]
        token = modes.change(function_modes=mode.function_modes[:-1])
        try:
            return asked.__torch_function__(function, types, tuple(args), kwargs)
        finally:
            modes.reset(token)
    if mode.no_overrides or not found:
        return function(*args, **kwargs)
    for o in found:
        result = type(o).__torch_function__(function, types, tuple(args), kwargs)
        if result is not NotImplemented:
            return result
    raise TypeError(
        f"no implementation found for 'torch.{getattr(function, '__name__', function)}' on types that implement __torch_function__: "
        f"{[t.__name__ for t in types]}"
    )


Slots.override = staticmethod(override)


class no_subclass_functions:
    """In this context subclasses' `__torch_function__` is not asked."""

    def __enter__(self) -> None:
        self.token = modes.change(no_overrides="subclasses")

    def __exit__(self, *error: object) -> None:
        modes.reset(self.token)


class no_functions:
    """In this context neither modes nor subclasses are asked."""

    def __enter__(self) -> None:
        self.token = modes.change(no_overrides="all")

    def __exit__(self, *error: object) -> None:
        modes.reset(self.token)


def default_torch_function(cls: type[Tensor], func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """Tensor's answer: run the function as on plain tensors, and give results the subclass."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    with no_subclass_functions():
        result = func(*args, **(kwargs or {}))
    return result if getattr(func, "__name__", "") in _PLAIN_RESULTS else converted(result, cls)


_WITHOUT_SHAPE = frozenset((
    "__hash__", "size", "copy_", "is_complex", "is_floating_point", "half", "float", "double", "char", "short", "int", "long", "cuda",
    "cpu", "to", "to_copy", "get_device", "_has_compatible_shallow_copy_type",
))  # fmt: skip


def without_shape(cls: type[Tensor], func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """The answer of a parameter that has no shape yet: it may be converted; whatever else is asked is a ValueError."""
    if func.__name__ not in _WITHOUT_SHAPE:
        raise ValueError(
            f"Attempted to use an uninitialized parameter in {func}. This error happens when you are using a `LazyModule` or explicitly "
            f"manipulating `torch.nn.parameter.{cls.__name__}` objects. When using LazyModules Call `forward` with a dummy batch to "
            "initialize the parameters before calling torch functions"
        )
    result = disabled(cls, func, types, args, kwargs)
    return result if issubclass(cls, Parameter) else converted(result, cls)  # a buffer is replaced by what it becomes


UninitializedTensorMixin.__torch_function__ = classmethod(without_shape)  # type: ignore[attr-defined]

_PLAIN_RESULTS = frozenset(("as_subclass", "numpy", "item"))


def converted(result: Any, cls: type[Tensor]) -> Any:
    """Tensors in a result as objects of `cls`."""
    if cls is Tensor:
        return result
    if isinstance(result, Tensor):
        return result if isinstance(result, cls) or isinstance(result, Parameter) else as_subclass(result, cls)
    if isinstance(result, (tuple, list)):
        items = [converted(r, cls) for r in result]
        return type(result)(*items) if hasattr(result, "_fields") else type(result)(items)
    return result


def as_subclass(self: Tensor, cls: type[Tensor]) -> Any:
    """A view of the whole tensor as an object of `cls`. Its class is given: `cls` has no `__slots__`."""
    with no_functions():
        made: Any = alias_(self)
    made.__class__ = cls
    return made
