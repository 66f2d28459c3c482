"""The compiler: recorded runs that run again as native programs. Here: the namespace, as `torch.compiler` and `torch.compile`.

The way of a step: capture/ -> graph.py -> passes/ and lowering/ -> plan.py -> emit/ -> runtime/, called by replay.py; api.py decides
call by call. Not here: anything that a program needs that compiles nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

__all__ = [
    "clear_cache",
    "compile",
    "cudagraph_mark_step_begin",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "reset",
]


def compile(
    model: Any = None, *, dynamic: bool | None = None, fullgraph: bool = False, verify: str = "first", nan: str | None = None,
    backend: Any = None, mode: str | None = None, options: Any = None, disable: bool = False,
) -> Any:  # fmt: skip
    """Compile a function of tensors, a module, or a whole training step; also as a decorator.

    The first call is an ordinary run that is recorded; calls that meet the same guards (shapes, dtypes, modes, what the code read) run it
    again as one native program. fullgraph: raise RuntimeError where a call cannot be replayed as a whole. verify: "first" compares
    the first replay with an eager run, "always" each, "never" none. nan: "raise" looks at the results, gradients and memory that a call
    leaves, and raises RuntimeError naming the operation that made NaN or infinity; parameters are then as before the call. backend, mode,
    options, dynamic: accepted as PyTorch's.
    Raises RuntimeError for what cannot be called, ValueError for an unknown `verify` or `nan`.
    """
    from lamina.compiler.api import compiled  # the namespace is asked by programs that compile nothing

    given = {"dynamic": dynamic, "fullgraph": fullgraph, "verify": verify, "nan": nan}
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
