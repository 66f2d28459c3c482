"""Context managers that also decorate functions and generators, as packages import them from torch.utils._contextlib."""

from __future__ import annotations

from typing import Any

from lamina.autograd.modes import Scoped

__all__ = ["_DecoratorContextManager", "_NoParamDecoratorContextManager"]


class _DecoratorContextManager(Scoped):
    """A base of context managers with arguments, which decorate too."""


class _NoParamDecoratorContextManager(_DecoratorContextManager):
    """One without arguments: the class itself decorates, `@manager` as well as `@manager()`."""

    def __new__(cls, orig_func: Any = None) -> Any:
        made = super().__new__(cls)
        return made if orig_func is None else made(orig_func)
