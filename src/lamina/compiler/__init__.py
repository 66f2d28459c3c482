"""The compiler's namespace: what programs ask of `torch.compiler` and `torch.compile`.

Not yet here: the compiler. `compile` says so; the questions that programs ask while they run have their answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

__all__ = [
    "compile",
    "cudagraph_mark_step_begin",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "reset",
]


def compile(model: Any = None, **options: Any) -> NoReturn:
    """Compile a function, a module or a training step. Raises NotImplementedError: call it uncompiled instead."""
    raise NotImplementedError(
        "lamina.compile is not there yet; use the function, module or step as it is: its results are the same"
    )


def is_compiling() -> bool:
    """Whether the program is being compiled."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def disable(fn: Callable[..., Any] | None = None, recursive: bool = True, **options: Any) -> Any:
    """Leave `fn` out of compilation; also as a decorator with arguments."""
    return (lambda f: f) if fn is None else fn


def reset() -> None:
    """Forget what was compiled."""


def cudagraph_mark_step_begin() -> None:
    """Accepted: there are no CUDA graphs."""
