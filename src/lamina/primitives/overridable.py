"""Public functions that ask first: an argument's class with `__torch_function__`, or a mode, may answer a call in their place.

Here: who has a say, and the decorator. Not here: how they are asked and what Tensor answers (overrides.py). A function that finds out
below, in the primitive that it calls (such as sum), says `asks_below` and pays nothing here.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Container, Iterable
from types import FunctionType
from typing import Any, TypeVar

import numpy as np

from lamina.autograd import modes
from lamina.core.device import device
from lamina.core.dtype import dtype
from lamina.core.parameter import Parameter
from lamina.core.size import Size
from lamina.core.tensor import Tensor
from lamina.primitives.primitive import Slots

F = TypeVar("F", bound=Callable[..., Any])

SILENT = frozenset((
    Tensor, Parameter, int, float, bool, complex, str, type(None), slice, type(...), dtype, device, Size, np.ndarray, FunctionType,
))  # fmt: skip
"""Classes of arguments that have no say."""
current = modes.current


def has_say(cls: type) -> bool:
    """Whether objects of this class are asked."""
    return getattr(cls, "__torch_function__", None) is not None and getattr(cls, "_overrides", True)


def asks(values: Iterable[Any]) -> bool:
    """Whether one of the arguments, or of what they list, has a say."""
    for v in values:
        cls = v.__class__
        if cls in SILENT:
            continue
        if cls is list or cls is tuple:
            if asks(v):
                return True
        elif has_say(cls):
            return True
    return False


def asked(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call with these arguments is to be answered by somebody else, as modes stand."""
    mode = current()
    if mode is not None:
        if mode.asked is not None:
            return True
        if mode.no_overrides:
            return False
    return asks(args) or asks(kwargs.values())


def asks_below(*ops: Any) -> Callable[[F], F]:
    """Decorator: the function's arguments are asked in the primitives `ops`, one of which it calls first, and in its name."""

    def decorate(function: F) -> F:
        for op in ops:
            if op.primitive.public is op.primitive.function:
                op.primitive.public = function
        function.__dict__["asks_below"] = True
        return function

    return decorate


def overridable(function: Callable[..., Any], by_arguments: bool = True) -> Any:
    """The function, asking first. The same each time; a function that asks below is its own. by_arguments=False: modes alone have a say."""
    facts = getattr(function, "__dict__", {})
    if "asks_below" in facts:
        return function
    if "overridable" in facts:
        return facts["overridable"]

    @functools.wraps(function)
    def public(*args: Any, **kwargs: Any) -> Any:
        if current() is not None:
            if asked(args, kwargs):
                return Slots.override(public, args, kwargs)
            return function(*args, **kwargs)
        for v in args:
            if v.__class__ not in SILENT and asks((v,)):
                return Slots.override(public, args, kwargs)
        if kwargs and asks(kwargs.values()):
            return Slots.override(public, args, kwargs)
        return function(*args, **kwargs)

    @functools.wraps(function)
    def made(*args: Any, **kwargs: Any) -> Any:
        mode = current()
        if mode is not None and mode.asked is not None:
            return Slots.override(made, args, kwargs)
        return function(*args, **kwargs)

    chosen = public if by_arguments else made
    chosen.__dict__["asks_below"] = True
    if not by_arguments:
        chosen.__dict__["silent"] = True
    function.__dict__["overridable"] = chosen
    return chosen


def is_overridable(function: Any) -> bool:
    """Whether the classes of this function's arguments have a say."""
    return (
        function.__class__ is FunctionType and "asks_below" in function.__dict__ and "silent" not in function.__dict__
    )


def publish(namespace: dict[str, Any], silent: Container[str] = (), spelled: Container[str] = ()) -> None:
    """Let the operations among a module's names be overridable, and known by its name and theirs: so they are shown and pickled.

    silent: those in which arguments have no say. spelled: those that PyTorch writes in Python: who is asked gets all arguments,
    those with a default by name.
    """
    for name, value in tuple(namespace.items()):
        namespace[name] = function = published(value, namespace["__name__"], name, name not in silent)
        if name in spelled:
            function.spelled = True


def spelled_out(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call as those who are asked get them."""
    if not getattr(function, "spelled", False):
        return args, kwargs
    signature = inspect.signature(function)
    try:
        given = signature.bind(*args, **kwargs)
    except TypeError:  # the function itself will say so
        return args, kwargs
    given.apply_defaults()
    optional = {n for n, p in signature.parameters.items() if p.default is not p.empty}
    named = {n: v for n, v in given.arguments.items() if n in optional}
    return tuple(v for n, v in given.arguments.items() if n not in optional), named


def published(value: Any, room: str, name: str, by_arguments: bool = True) -> Any:
    """The operation `value` as the name of the module `room`. Anything else, and what has been published, is given back."""
    if (
        value.__class__ is not FunctionType
        or value in _PUBLISHED
        or not value.__globals__["__name__"].startswith(_ROOMS)
    ):
        return value
    function = overridable(value, by_arguments)
    function.__module__, function.__name__, function.__qualname__ = room, name, name
    _PUBLISHED.add(function)
    return function


_PUBLISHED: set[Any] = set()
_ROOMS = ("lamina.primitives.", "lamina.nn.functional.", "lamina.core.factories")
"""Where operations are written."""
