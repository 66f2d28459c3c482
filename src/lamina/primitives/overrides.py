"""`__torch_function__`: operations on subclasses of Tensor, on foreign classes, and in TorchFunctionMode.

Here: in which order they are asked, and what the default answer is. Not here: which calls ask (overridable.py); the transforms of func
(transforms.py).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

from lamina.autograd import modes
from lamina.core.parameter import Parameter, UninitializedTensorMixin
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.primitives.overridable import SILENT, asked, has_say, overridable, spelled_out
from lamina.primitives.registry import Slots
from lamina.primitives.shape import alias_

OWN, STAND_IN = "lamina", "torch"


def disabled(cls: type, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """A `__torch_function__` that does nothing special: results are plain tensors."""
    with no_subclass_functions():
        return func(*args, **(kwargs or {}))


def _collect(values: Iterable[Any], found: list[Any]) -> None:
    for v in values:
        cls = v.__class__
        if cls is list or cls is tuple:
            _collect(v, found)
        elif cls not in SILENT and has_say(cls):
            if all(type(o) is not cls for o in found):
                # a subclass is asked before its base
                at = next((i for i, o in enumerate(found) if issubclass(cls, type(o))), len(found))
                found.insert(at, v)


def override(function: Any, args: Any, kwargs: Any) -> Any:
    """Ask the modes, then the arguments' classes. Raises TypeError when all decline."""
    args, kwargs = spelled_out(function, args, kwargs or {})
    mode = modes.mode()
    found: list[Any] = []
    if not mode.no_overrides:
        _collect((*args, *kwargs.values()), found)
    types = tuple(type(o) for o in found)
    if mode.asked is not None:
        result = _ask_mode(mode, function, types, args, kwargs)
        if result is not NotImplemented:
            return result
    elif not found:
        return function(*args, **kwargs)
    for o in found:
        handler = o.__torch_function__
        if getattr(handler, "__self__", None) is o:
            warn(
                "Defining your `__torch_function__` as a plain method is deprecated and will be an error in future, please define it as "
                "a classmethod."
            )
        result = handler(function, types, tuple(args), kwargs)
        if result is not NotImplemented:
            return result
    raise TypeError(_declined(function, found, mode.asked))


def _declined(function: Any, found: list[Any], asked: Any) -> str:
    """What a call says that everybody asked has declined; of what PyTorch writes in Python it says it in other words."""
    room, name = getattr(function, "__module__", None) or OWN, getattr(function, "__name__", str(function))
    if name == "__get__":
        name = f"{function.__self__.fget.__name__}.__get__"
    inner = name.startswith("__") or room.startswith(f"{OWN}.primitives")
    path = f"{STAND_IN}.Tensor.{name}" if inner else f"{room}.{name}".replace(OWN, STAND_IN, 1)
    if getattr(function, "spelled", False):
        within = "" if asked is None else f" nor in mode {asked}"
        types = [type(o) for o in found]
        return f"no implementation found for '{path}' on types that implement __torch_function__: {types}{within}"
    told = [] if asked is None else [f"  - mode object {asked}"]
    told += [f"  - tensor subclass {type(o)}" for o in found]
    return (
        f"Multiple dispatch failed for '{path}'; all __torch_function__ handlers returned NotImplemented:\n\n"
        + "\n".join(told)
        + "\n\nFor more information, try re-running with TORCH_LOGS=not_implemented"
    )


def _ask_mode(mode: modes.Mode, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """What the innermost mode answers, while those outside of it stand."""
    if mode.asked.__torch_function__.__self__ is not mode.asked:
        raise RuntimeError(
            "Defining your mode's `__torch_function__` as a classmethod is not supported, please make it a plain method"
        )
    token = modes.change(function_modes=mode.function_modes[:-1])
    try:
        return mode.asked.__torch_function__(function, types, tuple(args), kwargs)
    finally:
        modes.reset(token)


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
    return result if func in plain_results() else converted(result, cls)


def _subclassed(cls: type[Tensor], /, **options: Any) -> None:
    """A subclass with a `__torch_function__` of its own gets those members that do not ask on Tensor itself: they are its facts,
    and cost nothing there."""
    super(Tensor, cls).__init_subclass__(**options)
    answer = cls.__torch_function__  # type: ignore[attr-defined]
    if cls._overrides and getattr(answer, "__func__", None) is not default_torch_function:
        for name, member in _asking().items():
            home = next(base for base in cls.__mro__ if name in vars(base))
            if home is Tensor:
                setattr(cls, name, member)


@functools.cache
def _asking() -> dict[str, Any]:
    """What of Tensor is a property, or a method of its class body, in a form that asks first."""
    made: dict[str, Any] = {}
    for name, member in vars(Tensor).items():
        if isinstance(member, property):
            read, write, delete = map(_asked_as, (member.__get__, member.__set__, member.__delete__))
            made[name] = property(read, write, delete, member.__doc__)
        elif member.__class__ is FunctionType and "asks_below" not in vars(member) and not _OWN_AFFAIR(name):
            made[name] = overridable(member)
    return made


def _asked_as(access: Any) -> Callable[..., Any]:
    """What a property does for an object, asked as PyTorch does: by the `__get__`, `__set__` or `__delete__` of Tensor's."""

    def public(self: Any, *values: Any) -> Any:
        return override(access, (self, *values), {}) if asked((self,), {}) else access(self, *values)

    return public


_OWN_AFFAIR = re.compile("_[^_]|__(new|init_subclass|dir|hash|iter)__$").match
"""Methods that belong to classes, or to Tensor alone."""
Tensor.__init_subclass__ = classmethod(_subclassed)  # type: ignore[assignment]

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


@functools.cache
def plain_results() -> frozenset[Any]:
    """Members of Tensor whose results keep their class."""
    return frozenset((Tensor._base.__get__, Tensor.grad.__get__, Tensor._grad.__get__, Tensor.as_subclass))


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
