"""The compiler: recorded runs that run again as native programs. Here: the namespace, as `torch.compiler` and `torch.compile`.

The way of a step: capture/ -> graph.py -> passes/ and lowering/ -> plan.py -> emit/ -> runtime/, called by replay.py; api.py decides
call by call. Not here: anything that a program needs that compiles nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

__all__ = [
    "allow_in_graph",
    "assume_constant_result",
    "clear_cache",
    "compile",
    "cudagraph_mark_step_begin",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "list_backends",
    "reset",
    "set_stance",
]

_MODES = ("default", "lite", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune")
"""PyTorch's: each means lamina's one way."""


def compile(
    model: Any = None, *, dynamic: bool | None = None, fullgraph: bool = False, verify: str = "first", nan: str | None = None,
    backend: Any = None, mode: str | None = None, options: Any = None, disable: bool = False, name: str | None = None,
    recompile_limit: int | None = None, isolate_recompiles: bool = False, shapes_spec: Any = None,
) -> Any:  # fmt: skip
    """Compile a function of tensors, a module, or a whole training step; also as a decorator.

    The first call is an ordinary run that is recorded; calls that meet the same guards (shapes, dtypes, modes, what the code read) run it
    again as one native program. Where it does more than compute (prints, counts, appends, decides by values) these lines run as Python,
    and the stretches between them natively. fullgraph: raise RuntimeError where a call cannot be replayed as a whole. verify: "first" compares
    the first replay with an eager run, "always" each, "never" none. nan: "raise" looks at the results, gradients and memory that a call
    leaves, and raises RuntimeError naming the operation that made NaN or infinity; parameters are then as before the call. backend, mode,
    options, dynamic, and what follows: accepted as PyTorch's.
    Raises RuntimeError for what cannot be called and for an unknown `mode`, ValueError for an unknown `verify` or `nan`.
    """
    from lamina.compiler.api import compiled  # the namespace is asked by programs that compile nothing

    given = {"dynamic": dynamic, "fullgraph": fullgraph, "verify": verify, "nan": nan}
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified at the same time.")
    if mode is not None and mode not in _MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(_MODES)}")
    if verify not in ("first", "always", "never"):
        raise ValueError(f"verify must be 'first', 'always' or 'never', not {verify!r}")
    if nan not in (None, "raise"):
        raise ValueError(f"nan must be None or 'raise', not {nan!r}")
    if model is None:
        return lambda f: f if disable else compiled(f, given)
    return model if disable else compiled(model, given)


def is_compiling() -> bool:
    """Whether the program is being compiled."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def disable(fn: Callable[..., Any] | None = None, recursive: bool = True, **options: Any) -> Any:
    """Leave `fn` out of compilation; also as a decorator with arguments."""
    return (lambda f: f) if fn is None else fn


def allow_in_graph(fn: Any) -> Any:
    """The function itself: what it does is recorded with the rest."""
    return fn


assume_constant_result = allow_in_graph


def substitute_in_graph(original_fn: Any, **options: Any) -> Callable[[Any], Any]:
    """A decorator that gives what it got: functions are recorded as they run."""
    return allow_in_graph


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """The one that any name of a backend leads to."""
    return ["inductor"]


class set_stance:
    """Accepted, also as a context or decorator: calls are compiled, or stay eager, as `compile` was told."""

    def __init__(self, stance: str = "default", **options: Any) -> None:
        self.stance = stance

    def __enter__(self) -> None:
        """Nothing changes."""

    def __exit__(self, *exc: object) -> None:
        """Nothing has changed."""

    def __call__(self, fn: Any) -> Any:
        return fn


def reset() -> None:
    """Forget what was recorded, and why calls stayed eager: the next calls are recorded anew."""
    api = sys.modules.get("lamina.compiler.api")
    if api is not None:
        api.reset()


def clear_cache() -> int:
    """Delete the native code that is kept on disk; how many kernels there were. What is loaded stays in use."""
    from lamina.compiler.runtime import cache  # as above

    return cache.clear()


def cudagraph_mark_step_begin() -> None:
    """Accepted: there are no CUDA graphs."""
