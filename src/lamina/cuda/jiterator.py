"""CUDA C++ compiled at run time: there is no CUDA. A function can be made, as PyTorch makes it, and refuses when called."""

from collections.abc import Callable
from typing import Any

from lamina.primitives.refusals import refusal

__all__: list[str] = []


def _create_jit_fn(code_string: str, **kwargs: Any) -> Callable[..., Any]:
    """A function that refuses."""
    return refusal(
        "torch.cuda.jiterator", "there is no CUDA; write the operation in Python, torch.compile makes it fast"
    )  # type: ignore[no-any-return]


def _create_multi_output_jit_fn(code_string: str, num_outputs: int, **kwargs: Any) -> Callable[..., Any]:
    """A function that refuses."""
    return _create_jit_fn(code_string, **kwargs)
