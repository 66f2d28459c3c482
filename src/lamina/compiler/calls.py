"""Calls: nodes of the graph that run as Python on NumPy arrays, in the same replay and the same memory as native kernels.

Here: how such a node computes. Not here: which nodes have kernels (lowering/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lamina.compiler.graph import Node, Ref, Value
from lamina.primitives.dispatch import computed

Views = Callable[[Ref], Any]


class Call:
    """One node, run by NumPy."""

    native = late = False
    follows: tuple[Value, ...] = ()  # it copies what was there before by itself

    def __init__(self, node: Node) -> None:
        self.node = node

    def reads(self) -> Iterator[Value]:
        return (ref.value for ref in self.node.reads())

    def writes(self) -> Iterator[Value]:
        return (ref.value for ref in self.node.outputs if ref is not None)

    def in_place(self, old: Value, new: Value) -> bool:
        return True  # NumPy has its result before it is copied

    def prepare(self, view: Views) -> Callable[[], None]:
        """A function that does the work. view: gives the array of a ref, anew at each call."""
        node = self.node
        name = node.name
        outs = node.outputs
        if node.primitive is None and name in ("cast", "copy"):
            return lambda: np.copyto(view(outs[0]), view(node.inputs[0]), casting="unsafe")  # type: ignore[arg-type]
        if name == "update":
            return lambda: _update(node, view)
        if name == "draw":
            again = node.params["again"]
            return lambda: np.copyto(view(outs[0]), again())  # type: ignore[arg-type]
        return lambda: _primitive(node, view)

    def __repr__(self) -> str:
        return f"call {self.node!r}"


def _update(node: Node, view: Views) -> None:
    before, content = node.inputs
    out = node.outputs[0]
    assert out is not None
    whole = view(Ref(out.value, 0, before.shape, before.strides, before.dtype))
    old = view(before)
    if old.__array_interface__["data"][0] != whole.__array_interface__["data"][0]:
        np.copyto(whole, old)
    np.copyto(view(out), view(content).copy(), casting="unsafe")


def _primitive(node: Node, view: Views) -> None:
    arrays = [None if i is None else view(i) if i.__class__ is Ref else i.value for i in node.inputs]
    result = computed(node.primitive, arrays, node.params)
    for out, made in zip(node.outputs, (result,) if node.primitive.outputs == 1 else result, strict=True):
        if out is not None:
            target = view(out)
            if np.shape(made) != target.shape:
                raise RuntimeError(
                    f"{node.name}: a recorded result of shape {list(target.shape)} now has shape {list(np.shape(made))}"
                )
            np.copyto(target, made, casting="unsafe")
