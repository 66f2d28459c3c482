"""Functions as CPython runs them fastest: written out for what they are to do, by a code object of their own.

The interpreter notes beside each instruction which class it met there last. In code shared by all primitives that would be another one at
nearly every call; with a code object for each primitive a call takes a tenth less of the time.

Here: what is done to a function when it is declared. Not here: any function.
"""

from __future__ import annotations

import functools
import linecache
import os
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any


def by_position(forward: Any) -> Any:
    """`forward`, its parameters given by position: half the time of a call by name."""
    code, named = forward.__code__, forward.__kwdefaults__ or {}
    count = code.co_argcount + code.co_kwonlyargcount
    defaults = tuple([named[n] for n in code.co_varnames[:count] if n in named])
    code = code.replace(co_argcount=count, co_kwonlyargcount=0)
    return FunctionType(code, forward.__globals__, forward.__name__, defaults, forward.__closure__)


def written(name: str, write: Callable[[], str], names: dict[str, Any], defaults: Any = None, named: Any = None) -> Any:
    """The function whose text `write()` gives, compiled when it is first called. names: its globals; defaults, named: those of its
    parameters, by position and by name.
    """

    def first_call(args: Any, kwargs: Any) -> Any:
        function.__defaults__, function.__kwdefaults__ = defaults, named
        function.__code__ = _compiled(write()).replace()
        return function(*args, **kwargs)

    names["first_call"] = first_call
    function = names["itself"] = FunctionType(_UNCALLED, names, name)
    return function


@functools.cache
def _compiled(text: str) -> CodeType:
    """The code of the function in `text`, which functions alike share; `inspect` and tracebacks show it."""
    name = os.path.join(os.path.dirname(__file__), f"<written {_compiled.cache_info().currsize}>")
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    (code,) = [c for c in compile(text, name, "exec").co_consts if isinstance(c, CodeType)]
    return code


_UNCALLED = _compiled("def uncalled(*args, **kwargs):\n    return first_call(args, kwargs)\n")


def lines(text: str, flags: dict[str, bool], words: dict[str, str]) -> str:
    """The lines of `text` that are there with these flags, with the words in their places.

    Left of its bar a line says which flags must be set, or, with a minus, must not.
    """
    found = []
    for line in text.splitlines():
        when, _, line = line.partition("|")
        if not [flag for flag in when.split() if flags[flag.removeprefix("-")] is flag.startswith("-")]:
            found.append(line.format_map(words) + "\n")
    return "".join(found)


def as_tuple(items: list[str]) -> str:
    """The text of a tuple."""
    return f"({', '.join(items)}{',' * (len(items) == 1)})"
