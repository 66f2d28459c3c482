"""What a public function's annotations say of its arguments, as PyTorch's argument parser would: looked at where a call stumbles.

A good call costs no more than a look at the classes of some arguments: Python itself would take a `bool` from anything. Here: the checks.
Not here: shapes, dtypes and values, which the functions look at themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from lamina.core.dtype import BY_TYPE, dtype
from lamina.core.size import Size, is_int64, is_whole, not_ints, refused
from lamina.core.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])
Number = bool | int | float | complex
Ints = int | Sequence[int]
Strict = tuple[tuple[int, str, frozenset[type]], ...]


def type_name(value: Any) -> str:
    """The name of the type of a value, as messages show it."""
    kind = type(value)
    return kind.__name__ if kind.__module__ in ("builtins", "torch") else f"{kind.__module__}.{kind.__name__}"


def _is_int(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value._array.ndim == 0 and value._kind.dtype.category == 1
    return (hasattr(value, "__index__") or isinstance(value, np.integer)) and not isinstance(value, (bool, np.ndarray))


def _is_float(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value._array.ndim == 0
    return isinstance(value, (int, float, np.floating, np.integer)) or hasattr(value, "__float__")


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value._array.ndim == 0
    return isinstance(value, (bool, int, float, complex, np.generic))


def _is_ints(value: Any) -> bool:
    if not isinstance(value, (tuple, list)):
        return _is_int(value)
    return all(map(_is_int, value))


_WANTED: dict[str, tuple[Callable[[Any], bool], str, tuple[type, ...]]] = {
    "Tensor": (lambda v: isinstance(v, Tensor), "Tensor", ()),
    "bool": (lambda v: isinstance(v, (bool, np.bool_)), "bool", (bool,)),
    "int": (_is_int, "int", (int,)),
    "float": (_is_float, "float", (float, int, bool)),
    "Number": (_is_number, "Number", (float, int, bool, complex)),
    "Ints": (_is_ints, "tuple of ints", (int, tuple, list, Size)),
    "Sequence[int]": (lambda v: isinstance(v, (tuple, list)) and _is_ints(v), "tuple of ints", (tuple, list, Size)),
    "str": (lambda v: isinstance(v, str), "str", (str,)),
}
"""What a word of an annotation allows, what it is called, and the classes of which every value is allowed."""


_DTYPES: frozenset[type] = frozenset((dtype, type(None)))


_LOOKED_UP = frozenset((("reduction", "str"), ("size_average", "bool"), ("reduce", "bool")))
"""Arguments of losses that PyTorch reads in Python."""


def _written(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function below its decorators."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def strict_arguments(function: Callable[..., Any]) -> Strict:
    """Place, name and usual classes of each argument of which Python would take anything, or a bool for a number."""
    code = _written(function).__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    found = []
    for i, n in enumerate(names):
        wanted, optional, _ = str(function.__annotations__.get(n, "")).partition(" | None")
        if (n, wanted) in _LOOKED_UP:
            continue
        if n == "dtype":
            found.append((i, n, _DTYPES))
        elif wanted in _WANTED and _WANTED[wanted][2]:
            found.append((i, n, frozenset((*_WANTED[wanted][2], *((type(None),) if optional else ())))))
    return tuple(found)


def allows_anything(function: Callable[..., Any], after: int) -> bool:
    """Whether the annotations say nothing of the arguments behind the first ones."""
    code = _written(function).__code__
    names = code.co_varnames[after : code.co_argcount + code.co_kwonlyargcount]
    return not any(str(function.__annotations__.get(n, "")).partition(" | None")[0] in _WANTED for n in names)


def check_strict(function: Callable[..., Any], strict: Strict, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Raise TypeError for an argument that is not what its annotation says.

    Returns None, or the arguments anew where one of Python's types stood for a dtype.
    """
    changed = False
    count = len(args)
    for place, name, usual in strict:
        if place < count:
            value = args[place]
        elif name in kwargs:
            value = kwargs[name]
        else:
            continue
        if value.__class__ not in usual:
            if name != "dtype":
                check_arguments(function, args, kwargs)
            elif value.__class__ is not type or value not in BY_TYPE:
                raise TypeError(f"{function.__name__}(): argument 'dtype' must be torch.dtype, not {type_name(value)}")
            elif place < count:
                changed, args = True, (*args[:place], BY_TYPE[value], *args[place + 1 :])
            else:
                changed, kwargs = True, kwargs | {name: BY_TYPE[value]}
    return (args, kwargs) if changed else None


def asks(attribute: str) -> Callable[[F], F]:
    """Say what a function that is Python in PyTorch asks its tensors for first: AttributeError for what has it not."""

    def mark(function: F) -> F:
        function.__dict__["asks"] = attribute
        return function

    return mark


def check_arguments(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], parsed: bool = True
) -> None:
    """Raise TypeError for the first argument that is not what the annotations of `function` say; without `parsed`, that is no Tensor."""
    code = _written(function).__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    given = dict(zip(names, args, strict=False)) | kwargs
    for position, name in enumerate(names, 1):
        if name not in given:
            continue
        wanted, optional, _ = str(function.__annotations__.get(name, "")).partition(" | None")
        value = given[name]
        if wanted not in _WANTED or (value is None and optional) or (not parsed and wanted != "Tensor"):
            continue
        fits, text, _ = _WANTED[wanted]
        if not fits(value):
            if wanted == "Tensor" and "asks" in function.__dict__:
                getattr(value, function.__dict__["asks"])
            place = f" (position {position})" if position <= len(args) else ""
            argument = f"{function.__name__}(): argument '{name}'"
            if text == "tuple of ints" and isinstance(value, (tuple, list)) and not all(map(is_whole, value)):
                raise not_ints(value, argument, place) from None
            raise TypeError(f"{argument}{place} must be {text}, not {type_name(value)}") from None
        if wanted == "int" and value.__class__ is int and not is_int64(value):
            raise ValueError("Overflow when unpacking long long") from None


def refuse(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception, parsed: bool = True
) -> None:
    """Raise what PyTorch raises where a call of `function` has raised `error`, unless that is it. parsed: by its argument parser."""
    check_arguments(function, args, kwargs, parsed)
    if parsed and error.__class__ is TypeError and str(error).startswith(f"{function.__qualname__}() missing "):
        if names := re.findall(r"'(\w+)'", str(error)):  # Python's sentence, not yet PyTorch's
            listed = ", ".join(f'"{name}"' for name in names)
            raise TypeError(
                f"{function.__name__}() missing {len(names)} required positional arguments: {listed}"
            ) from None
    found = refused(error)
    if found is not error:
        raise found from None


def refuse_attribute(args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> None:
    """Raise `error` if an argument was asked for an attribute that Tensors have: so do functions that are Python in PyTorch."""
    name = error.name if isinstance(error, AttributeError) else None
    if name and name[0] != "_" and hasattr(Tensor, name):
        if any(error.obj is value for value in (*args, *kwargs.values())):  # type: ignore[attr-defined]
            raise error
