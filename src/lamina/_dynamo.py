"""Names of `torch._dynamo` that packages use to guide PyTorch's compiler. They guide nothing here.

Lamina's own compiler is `lamina.compile`.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

__all__ = [
    "OptimizedModule",
    "allow_in_graph",
    "config",
    "disable",
    "disallow_in_graph",
    "graph_break",
    "is_compiling",
    "mark_dynamic",
    "mark_static",
    "reset",
]

config = SimpleNamespace(
    cache_size_limit=8,
    suppress_errors=False,
    verbose=False,
    capture_scalar_outputs=False,
    assume_static_by_default=True,
)


class OptimizedModule:
    """What `torch.compile` makes of a module in PyTorch: a class to name in isinstance checks."""

    __module__ = "torch._dynamo.eval_frame"


def allow_in_graph(fn: Any) -> Any:
    """The function itself."""
    return fn


disallow_in_graph = allow_in_graph


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """The function itself, or a decorator that gives it."""
    return allow_in_graph if fn is None else fn


def reset() -> None:
    """Nothing is kept."""


def graph_break(msg: str = "") -> None:
    """There is no graph to break."""


def is_compiling() -> bool:
    """False."""
    return False


def mark_dynamic(t: Any, index: Any, **limits: Any) -> None:
    """Nothing."""


mark_static: Callable[..., None] = mark_dynamic
