"""Names of `torch._dynamo` that packages use to guide PyTorch's compiler. They guide nothing here.

Lamina's own compiler is `lamina.compile`.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from lamina._dynamo.eval_frame import OptimizedModule, is_dynamo_supported

__all__ = [
    "OptimizedModule",
    "allow_in_graph",
    "assume_constant_result",
    "config",
    "disable",
    "disallow_in_graph",
    "graph_break",
    "is_compiling",
    "is_dynamo_supported",
    "list_backends",
    "mark_dynamic",
    "mark_static",
    "mark_static_address",
    "maybe_mark_dynamic",
    "reset",
]


class _Config:
    """Settings of PyTorch's compiler: each may be set, none has an effect."""

    def __init__(self, **settings: Any) -> None:
        self.__dict__.update(settings)

    @contextlib.contextmanager
    def patch(self, *given: Any, **settings: Any) -> Iterator[None]:
        """A context, or decorator, with these settings: a name and a value, a dictionary, or keywords."""
        wanted = settings | (dict(given[0]) if len(given) == 1 else dict([given]) if given else {})
        before = dict(self.__dict__)
        self.__dict__.update(wanted)
        try:
            yield
        finally:
            self.__dict__.clear()
            self.__dict__.update(before)


config = _Config(
    cache_size_limit=8,
    suppress_errors=False,
    verbose=False,
    capture_scalar_outputs=False,
    assume_static_by_default=True,
    recompile_limit=8,
    accumulated_recompile_limit=256,
    inline_inbuilt_nn_modules=True,
    capture_dynamic_output_shape_ops=False,
    optimize_ddp=True,
    disable=False,
    compiled_autograd=False,
)


def allow_in_graph(fn: Any) -> Any:
    """The function itself."""
    return fn


disallow_in_graph = assume_constant_result = allow_in_graph


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """The function itself, or a decorator that gives it."""
    return allow_in_graph if fn is None else fn


_disable_dynamo = disable


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
maybe_mark_dynamic = mark_static_address = mark_static


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """The one that any name of a backend leads to."""
    return ["inductor"]
