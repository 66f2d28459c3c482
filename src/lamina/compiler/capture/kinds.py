"""What kind of thing an object is that the program reads: a network, an optimizer, a class of its own.

Here: these questions, asked without loading what nobody has loaded. Not here: what must hold of each kind (guards.py).
"""

from __future__ import annotations

import sys
from functools import lru_cache
from types import FunctionType
from typing import Any

from lamina.compiler.capture.purity import UNWATCHED
from lamina.core.version import is_own


def goes_on(value: Any) -> bool:
    """Whether it is an iterator."""
    return hasattr(value.__class__, "__next__")


def is_module(value: Any) -> bool:
    """Whether it is a network; without loading nn, where nobody has."""
    return _instance(value, "lamina.nn.modules.module", "Module")


def is_optimizer(value: Any) -> bool:
    """Whether it is an optimizer; without loading optim, where nobody has."""
    return _instance(value, "lamina.optim.optimizer", "Optimizer")


def _instance(value: Any, module: str, name: str) -> bool:
    cls = getattr(sys.modules.get(module), name, None)
    return cls is not None and isinstance(value, cls)


def is_live_option(value: Any) -> bool:
    """Whether an optimizer's option is a number that changes without a new recording."""
    if isinstance(value, tuple):
        return bool(value) and all(isinstance(v, float) for v in value)
    return isinstance(value, float)


def slots(cls: type) -> tuple[str, ...]:
    """The names in a class's `__slots__`."""
    found = cls.__dict__.get("__slots__", ())
    return (found,) if isinstance(found, str) else tuple(found)


def is_users(cls: type) -> bool:
    """Whether the program wrote a class."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return cls.__module__ == "__main__" or (file is not None and not is_own(file))


def functions_in(value: Any) -> list[FunctionType]:
    """The functions that reading this from a class, or calling it, may come to."""
    found = (value, *(getattr(value, name, None) for name in ("fget", "__func__", "func")))
    return [f for f in found if isinstance(f, FunctionType)]


@lru_cache(512)
def unwatched_names(cls: type) -> frozenset[str]:
    """Names of attributes that methods of a class read which no watch looks at, such as `data` of a UserDict."""
    methods = (f for base in cls.__mro__ for value in vars(base).values() for f in functions_in(value))
    codes = (f.__code__ for f in methods if f.__code__.co_filename.endswith(UNWATCHED))
    return frozenset(name for code in codes for name in code.co_names)


@lru_cache(512)
def library_names(cls: type) -> frozenset[str]:
    """Names of attributes that the library's own code in a class reads, and perhaps others."""
    found: set[str] = {"training"}
    for base in cls.__mro__:
        for value in vars(base).values():
            for f in functions_in(value):
                if is_own(f.__code__.co_filename):
                    found.update(f.__code__.co_names)
    return frozenset(found)
