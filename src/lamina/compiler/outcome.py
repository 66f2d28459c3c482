"""What a recording fixes of its arguments, and what a run leaves for Python to see. Not here: how that is found out (effects.py), or done
again (replay.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from lamina.compiler.graph import Ref
from lamina.core.tensor import Tensor


class Shape(NamedTuple):
    """What must hold of a tensor that is given as an argument."""

    cls: type
    kind: Any
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    grad: str  # its place in the graph: "leaf", "node", or "" for none
    same_as: int  # the first argument with the same memory


class Output(NamedTuple):
    """One tensor of what the call returns, or of the gradients it leaves."""

    ref: Ref | None  # new memory
    tensor: Any  # or: this very tensor, or the number of the argument
    kind: Any = None
    node: Any = None  # its (freed) place in the graph


class Effects(NamedTuple):
    """What a run leaves for Python to see, beside what it wrote into memory."""

    grads: list[
        tuple[Tensor, Output]
    ]  # leaves whose `.grad` is another one afterwards (Output.ref and .tensor None: no gradient)
    versions: list[tuple[Any, int]]  # whose versions grew (a tensor, or the number of an argument), and by how much
    outputs: list[Any]  # an Output for a tensor, else the value itself
    rebuild: Callable[[list[Any]], Any]
    single: bool  # the result is one tensor
    had_grads: list[tuple[Tensor, bool]]  # leaves whose `.grad` was there, or was not, and that counted
    joint: Any = None  # how gradients flow through the call (backward.Joints), where they may


MISSED: Any = type("Missed", (), {"__repr__": lambda self: "MISSED"})()
"""What a replay returns when it does not fit the call; nothing has been changed then."""
