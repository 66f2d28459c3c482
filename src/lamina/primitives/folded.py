"""Nodes that stand for several of PyTorch's, and compute as they would; whoever looks closer finds the several.

Here: what looking closer is. Not here: which nodes are there then (affine.py, nn/functional/cross_entropy.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lamina.autograd import engine
from lamina.autograd.graph import Node
from lamina.primitives.nodes import PrimitiveNode

new = object.__new__


class Folded(PrimitiveNode):
    """One node for several. `_parted` makes the last of them, behind which the others are."""

    __slots__ = ()

    def _parted(self) -> Any:
        raise NotImplementedError

    def _become(self, cls: type[Node], edges: tuple[Any, ...], saved: Any, versions: Any) -> Any:
        """The last of the several nodes: this one itself, unless a backward may be on its way through it."""
        node = new(cls) if engine.active else self
        for name in ("_seq", "_code", "_lasti", "_extra", "_fix"):
            setattr(node, name, getattr(self, name))
        node.__class__ = cls
        node._edges, node._saved, node._versions = edges, saved, versions
        return node

    @property
    def next_functions(self) -> Any:
        return self._parted().next_functions

    def register_hook(self, hook: Callable[..., Any]) -> Any:
        return self._parted().register_hook(hook)

    def register_prehook(self, hook: Callable[..., Any]) -> Any:
        return self._parted().register_prehook(hook)

    def _register_hook_dict(self, hooks: Any) -> None:
        self._parted()._register_hook_dict(hooks)

    def __call__(self, *grads: Any) -> Any:
        return self._parted()(*grads)

    def _seen(self, what: str, raw: bool) -> Any:
        return self._parted()._seen(what, raw)

    def __dir__(self) -> list[str]:
        return dir(self._parted())
