"""`torch._refs`: in PyTorch a second text of its operations, in Python. Lamina has one text: the names are the public operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lamina
from lamina.core.tensor import Tensor


class _Conversions:
    """`_refs._conversions`: methods that change the dtype, and functions that make complex numbers."""

    def __getattr__(self, name: str) -> Any:
        return getattr(lamina if name in ("complex", "polar") else Tensor, name)


_conversions = _Conversions()


def __getattr__(name: str) -> Any:
    """The function of that name, the method, or the in-place method on a copy."""
    for owner, key in ((lamina, name), (Tensor, name)):
        found = getattr(owner, key, None)
        if found is not None:
            return found
    inplace = getattr(Tensor, f"{name}_", None)
    if inplace is None or name.startswith("__"):
        raise AttributeError(f"module 'torch._refs' has no attribute '{name}'")
    return _on_a_copy(name, inplace)


def _on_a_copy(name: str, inplace: Callable[..., Any]) -> Callable[..., Any]:
    def function(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        return inplace(input.clone(), *args, **kwargs)

    function.__name__ = function.__qualname__ = name
    return function
