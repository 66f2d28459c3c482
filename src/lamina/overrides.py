"""`torch.overrides`: questions about `__torch_function__`, and the mode that sees every call."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from lamina.autograd import modes
from lamina.core.tensor import Tensor
from lamina.primitives.methods import NOT_ASKED
from lamina.primitives.overridable import asked, is_overridable
from lamina.primitives.overrides import no_subclass_functions, override, plain_results

__all__ = [
    "BaseTorchFunctionMode", "TorchFunctionMode", "enable_reentrant_dispatch", "get_default_nowrap_functions", "get_ignored_functions",
    "get_overridable_functions", "get_testing_overrides", "handle_torch_function", "has_torch_function",
    "has_torch_function_unary", "has_torch_function_variadic", "is_tensor_like", "is_tensor_method_or_property", "resolve_name",
    "wrap_torch_function",
]  # fmt: skip

DisableTorchFunctionSubclass = no_subclass_functions


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether one of the arguments, or a mode, wants to answer."""
    if not isinstance(relevant_args, Iterable):
        raise TypeError("expected a sequence")
    return asked(tuple(relevant_args), {})


def has_torch_function_unary(arg: Any) -> bool:
    """The same for one argument."""
    return has_torch_function((arg,))


def has_torch_function_variadic(*args: Any) -> bool:
    """The same for several arguments."""
    return has_torch_function(args)


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """Let modes and arguments answer a call of `public_api`. Raises TypeError when all decline."""
    return override(public_api, args, kwargs)


def wrap_torch_function(dispatcher: Callable[..., Iterable[Any]]) -> Callable[..., Any]:
    """Decorator: the arguments that `dispatcher` names may answer calls of the function."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if has_torch_function(dispatcher(*args, **kwargs)):
                return override(wrapped, args, kwargs)
            return function(*args, **kwargs)

        wrapped.__name__, wrapped.__doc__ = function.__name__, function.__doc__
        return wrapped

    return decorate


def is_tensor_like(inp: Any) -> bool:
    """Whether `inp` is a Tensor, or of a class with `__torch_function__`."""
    return isinstance(inp, Tensor) or hasattr(type(inp), "__torch_function__")


def is_tensor_method_or_property(func: Callable[..., Any]) -> bool:
    """Whether `func` is what a name of Tensor stands for."""
    return any(func is value for value in vars(Tensor).values()) or getattr(func, "__name__", "") == "__get__"


def get_overridable_functions() -> dict[Any, list[Callable[..., Any]]]:
    """The functions that ask `__torch_function__`, by the module or class that has them."""
    found: dict[Any, list[Callable[..., Any]]] = {}
    for home in ("lamina", "lamina.nn.functional", "lamina.nn.init", "lamina.linalg", "lamina.fft", "lamina.special"):
        module = importlib.import_module(home)
        found[module] = [f for n, f in vars(module).items() if not n.startswith("_") and is_overridable(f)]
    members = {name: inspect.getattr_static(Tensor, name) for name in dir(Tensor) if name not in NOT_ASKED}
    found[Tensor] = [
        member.__get__ if isinstance(member, property) else member
        for name, member in members.items()
        if isinstance(member, property) or (isinstance(member, FunctionType) and not hasattr(object, name))
    ]
    return found


def get_ignored_functions() -> set[Callable[..., Any]]:
    """Public functions in which the classes of arguments have no say: those that make tensors from none, and switches."""
    asking = {f for functions in get_overridable_functions().values() for f in functions}
    module = importlib.import_module("lamina")
    functions = (f for n, f in vars(module).items() if isinstance(f, FunctionType) and not n.startswith("_"))
    return {f for f in functions if f not in asking} | {getattr(Tensor, name) for name in NOT_ASKED}


def get_testing_overrides() -> dict[Callable[..., Any], Callable[..., int]]:
    """For each function that asks, one of the same signature that returns -1."""
    return {f: _stand_in(f) for functions in get_overridable_functions().values() for f in functions}


def _stand_in(function: Callable[..., Any]) -> Callable[..., int]:
    def made(*args: Any, **kwargs: Any) -> int:
        return -1

    if getattr(function, "__name__", "") == "__get__":
        made.__signature__ = inspect.Signature([inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)])  # type: ignore[attr-defined]
    else:
        made.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return made


def resolve_name(f: Any) -> str | None:
    """The path by which programs reach a function that asks; None for any other."""
    for home, functions in get_overridable_functions().items():
        if f in functions:
            path = home.__name__ if home is Tensor else home.__name__.replace("lamina", "torch", 1)
            member = f.__self__ if getattr(f, "__name__", "") == "__get__" else f
            members = {n: inspect.getattr_static(Tensor, n) for n in dir(Tensor)} if home is Tensor else vars(home)
            name = next(n for n, m in members.items() if m is member)
            if member is not f:
                name += ".__get__"
            return f"torch.Tensor.{name}" if home is Tensor else f"{path}.{name}"
    return None


def get_default_nowrap_functions() -> set[Any]:
    """Functions whose results keep their class."""
    return set(plain_results())


class TorchFunctionMode:
    """A context in which every call of a public function goes through `__torch_function__` of this object."""

    def __init__(self) -> None:
        self._tokens: list[Any] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError("TorchFunctionMode: a subclass must define __torch_function__")

    def __enter__(self) -> Any:
        if "_tokens" not in self.__dict__:
            self._tokens = []
        self._tokens.append(modes.change(function_modes=(*modes.mode().function_modes, self)))
        return self

    def __exit__(self, *error: object) -> None:
        modes.reset(self._tokens.pop())


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that lets every call through."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def _get_current_function_mode() -> Any:
    """The mode that was entered last; None: none."""
    entered = modes.mode().function_modes
    return entered[-1] if entered else None


def _get_current_function_mode_stack() -> list[Any]:
    """The modes that are entered, the last one last."""
    return list(modes.mode().function_modes)


@contextmanager
def _enable_torch_function() -> Iterator[None]:
    """A context in which modes and subclasses are asked, whatever is said outside."""
    token = modes.change(no_overrides="")
    try:
        yield
    finally:
        modes.reset(token)


def enable_reentrant_dispatch() -> Any:
    """Raises NotImplementedError: it belongs to __torch_dispatch__, which lamina has not."""
    raise NotImplementedError(
        "enable_reentrant_dispatch needs __torch_dispatch__, which lamina has not; use __torch_function__"
    )
