"""`nn.parameter`: the parameter and buffer classes under the name programs import them by.

Here: re-exports and the test for laziness. Not here: the classes (core/parameter.py).
"""

from typing import Any

from lamina.core.parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "is_lazy"]


def is_lazy(param: Any) -> bool:
    """Whether `param` is a parameter or buffer whose shape is not known yet."""
    return isinstance(param, (UninitializedParameter, UninitializedBuffer))
