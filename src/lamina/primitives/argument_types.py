"""What a public function's annotations say of its arguments, as PyTorch's argument parser would: looked at where a call stumbles.

A good call costs nothing more than a look at its `bool` arguments, which Python itself would take from anything. Here: the checks.
Not here: shapes, dtypes and values, which the functions look at themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.core.tensor import Tensor

Strict = tuple[tuple[int, str, bool], ...]


def type_name(value: Any) -> str:
    """The name of the type of a value, as messages show it."""
    kind = type(value)
    return kind.__name__ if kind.__module__ in ("builtins", "torch") else f"{kind.__module__}.{kind.__name__}"


def _is_int(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value._array.ndim == 0
    return (hasattr(value, "__index__") or isinstance(value, np.integer)) and not isinstance(value, (bool, np.ndarray))


def _is_float(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value._array.ndim == 0
    return isinstance(value, (int, float, np.floating, np.integer)) or hasattr(value, "__float__")


_WANTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "Tensor": (lambda v: isinstance(v, Tensor), "Tensor"),
    "bool": (lambda v: isinstance(v, (bool, np.bool_)), "bool"),
    "int": (_is_int, "int"),
    "float": (_is_float, "float"),
    "str": (lambda v: isinstance(v, str), "str"),
}


def _written(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function below its decorators."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def strict_arguments(function: Callable[..., Any]) -> Strict:
    """Place and name of each argument that is to be a bool (True) or an int (False): Python takes each for the other."""
    code = _written(function).__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    wanted = function.__annotations__
    found = [(i, n, str(wanted.get(n, ""))) for i, n in enumerate(names)]
    return tuple((i, n, kind == "bool") for i, n, kind in found if kind in ("bool", "int"))


def check_strict(function: Callable[..., Any], strict: Strict, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise TypeError for an argument that is to be a bool and is none, or is one and is to be an int."""
    count = len(args)
    for place, name, wanted in strict:
        if place < count:
            value = args[place]
        elif name in kwargs:
            value = kwargs[name]
        else:
            continue
        if (value.__class__ is bool) is not wanted and (not wanted or not isinstance(value, np.bool_)):
            check_arguments(function, args, kwargs)


def check_arguments(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise TypeError for the first argument that is not what the annotations of `function` say."""
    code = _written(function).__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    given = dict(zip(names, args, strict=False)) | kwargs
    for position, name in enumerate(names, 1):
        if name not in given:
            continue
        wanted, optional, _ = str(function.__annotations__.get(name, "")).partition(" | None")
        value = given[name]
        if wanted not in _WANTED or (value is None and optional):
            continue
        fits, text = _WANTED[wanted]
        if not fits(value):
            place = f" (position {position})" if position <= len(args) else ""
            raise TypeError(
                f"{function.__name__}(): argument '{name}'{place} must be {text}, not {type_name(value)}"
            ) from None
