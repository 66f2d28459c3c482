"""`torch.ops`: operations by namespace and name: a program's own (library.py), and `aten`, where PyTorch's own have their native names.

Here: the namespaces. Each overload of a name (`torch.ops.aten.add.Tensor`) is the same function. Native names
without a public function can be named, as keys of a table; to call one is refused.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import lamina
from lamina.primitives.refusals import refusal

_defined: dict[str, dict[str, Callable[..., Any]]] = {}


class _Operation:
    """What a name of a namespace gives: call it, or one of its overloads."""

    def __init__(self, namespace: str, name: str, function: Callable[..., Any]) -> None:
        self._shown, self._function = f"{namespace}.{name}", function
        self.__name__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return self._shown

    def __getattr__(self, overload: str) -> _Operation:
        if overload.startswith("_"):
            raise AttributeError(f"'OpOverloadPacket' object has no attribute {overload!r}")
        made = self.__dict__[overload] = _Operation(self._shown, overload, self._function)
        return made


class _Namespace(ModuleType):
    """The operations of one namespace."""

    def __getattr__(self, name: str) -> _Operation:
        namespace = self.__name__.rpartition(".")[2]
        function = None if name.startswith("__") else find(namespace, name)
        if function is None:
            raise AttributeError(f"'_OpNamespace' '{namespace}' object has no attribute '{name}'")
        made = self.__dict__[name] = _Operation(namespace, name, function)
        return made


def find(namespace: str, name: str) -> Callable[..., Any] | None:
    """The function of a name; None where there is none."""
    found = _defined.get(namespace, {}).get(name)
    if found is None and namespace == "aten":
        for owner in (
            lamina,
            importlib.import_module("lamina.nn.functional"),
            lamina.Tensor,
        ):  # nn loads when it is asked for
            found = getattr(owner, name, None)
            if callable(found):
                return found
        return refusal(f"torch.ops.aten.{name}", "lamina's operations have PyTorch's public names only")
    return found


def register(namespace: str, name: str, function: Callable[..., Any]) -> None:
    """Let `torch.ops.<namespace>.<name>` call `function`."""
    _defined.setdefault(namespace, {})[name] = function
    vars(__getattr__(namespace)).pop(name, None)


def forget(namespace: str, name: str) -> None:
    """Undo `register`."""
    _defined.get(namespace, {}).pop(name, None)
    vars(__getattr__(namespace)).pop(name, None)


def load_library(path: Any) -> None:
    """Refuses with OSError, as where the file cannot be loaded: packages that can do without it then do."""
    raise OSError(f"torch.ops.load_library: lamina loads no native library ({path}); write the operation in Python")


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    made = globals()[name] = _Namespace(f"torch.ops.{name}")
    return made
