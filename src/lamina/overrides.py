"""`torch.overrides`: questions about `__torch_function__`, and the mode that sees every call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lamina.autograd import modes
from lamina.core.tensor import Tensor
from lamina.primitives.overridable import asks
from lamina.primitives.overrides import no_subclass_functions, override, plain_results

__all__ = [
    "TorchFunctionMode", "enable_reentrant_dispatch", "get_default_nowrap_functions", "handle_torch_function", "has_torch_function",
    "has_torch_function_unary", "has_torch_function_variadic", "is_tensor_like", "is_tensor_method_or_property", "wrap_torch_function",
]  # fmt: skip

DisableTorchFunctionSubclass = no_subclass_functions


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether one of the arguments, or a mode, wants to answer."""
    now = modes.current()
    return bool(now is not None and now.function_modes) or asks(relevant_args)


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


def enable_reentrant_dispatch() -> Any:
    """Raises NotImplementedError: it belongs to __torch_dispatch__, which lamina has not."""
    raise NotImplementedError(
        "enable_reentrant_dispatch needs __torch_dispatch__, which lamina has not; use __torch_function__"
    )
