"""One recorded run of a compiled function: what its replay is made of, and what must hold for it to be this run again.

Here: this. Not here: recording (capture/), the decision which recording runs (api.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lamina.compiler import pipeline
from lamina.compiler.capture.guards import Facts
from lamina.compiler.capture.lines import Lines
from lamina.compiler.replay import Replay, Shape
from lamina.core.tensor import LEAF, Tensor
from lamina.utils import _pytree as pytree


class Recording:
    """One recorded run: what its replay is made of, its replay once there was a second call, or why there is none."""

    def __init__(self, key: Any, mode: Any, nan: bool = False) -> None:
        self.key, self.mode, self.nan = key, mode, nan
        self.kept: list[Any] = []  # arguments that are no tensors: the key knows some by identity
        self.why: str | None = None  # it is eager
        self.recorder: Any = None
        self.shapes: list[Shape] = []
        self.effects: Any = None
        self.facts = Facts()
        self.lines = Lines(None)
        self.replay: Replay | None = None
        self.begun = False  # to be made a replay of, which uses up the recorder
        self.calls = 0

    def differs(self, tensors: Sequence[Tensor]) -> str | None:
        """What is not as it was recorded, in words; None where the run could be this one again."""
        if self.why is not None:
            return self.why
        if self.begun and self.replay is None:
            return "the making of its replay was interrupted"
        if len(tensors) != len(self.shapes):
            return "the number of tensors"
        for i, (t, s) in enumerate(zip(tensors, self.shapes, strict=True)):
            now = shape_of(t, tensors)
            if now != s:
                return f"tensor {i} of the arguments was {_described(s)} and is {_described(now)}"
        for leaf, had in self.effects.had_grads:
            if (leaf._more is None or leaf._more.grad is None) is had:
                return f"the gradient of a leaf of shape {list(leaf._array.shape)} was {'there' if had else 'None'} and is not"
        for read, question, answer, label in self.recorder.questions:
            if question(read()) is not answer:
                return f"{label} is {read()}, which decides something else"
        return None if self.facts.holds() else self.facts.broken()

    def varying(self, key: Any, function: Any) -> set[str]:
        """The names that a call with this key found other values under than the recorded one did, as far as can be told."""
        if key[0] != self.key[0] or key[2:] != self.key[2:]:
            return set()
        if key[1] != self.key[1]:
            (positional, _) = pytree.tree_unflatten(list(range(len(key[1]))), key[0])
            other = {i for i, (a, b) in enumerate(zip(key[1], self.key[1], strict=True)) if a != b}
            names = () if function is None else function.__code__.co_varnames
            return {n for n, v in zip(names, positional, strict=False) if other & set(pytree.tree_leaves(v))}
        return self.facts.changed_names()

    def built(self) -> Replay:
        """The replay, made when it is first needed: what is called once is never compiled."""
        if self.replay is None:
            self.begun = True
            if self.effects.joint is not None:
                self.effects.joint.prepare(self.recorder)
            self.replay = pipeline.build(self.recorder, self.shapes, self.facts, self.effects, self.mode, self.nan)
        return self.replay


def _described(s: Shape) -> str:
    where = {"": "", "leaf": ", a leaf that requires grad", "node": ", computed with gradients"}[s.grad]
    return f"{s.kind.dtype.name}{list(s.shape)} (strides {list(s.strides)}){where}"


def once_more(function: Callable[..., Any], args: Any, kwargs: Any) -> Callable[[Sequence[Tensor]], Any]:
    """`function` of these arguments, with other tensors in the places of theirs."""
    leaves, spec = pytree.tree_flatten((args, kwargs))
    frozen = [None if isinstance(v, Tensor) else v for v in leaves]
    places = [i for i, v in enumerate(leaves) if isinstance(v, Tensor)]

    def call(given: Sequence[Tensor]) -> Any:
        values = list(frozen)
        for i, t in zip(places, given, strict=True):
            values[i] = t
        again, named = pytree.tree_unflatten(values, spec)
        return function(*again, **named)

    return call


def shape_of(t: Tensor, tensors: Sequence[Tensor]) -> Shape:
    """What a recording fixes of an argument."""
    same = next(i for i, other in enumerate(tensors) if other._array is t._array)
    grad = "" if t._node is None else "leaf" if t._node is LEAF else "node"
    return Shape(t.__class__, t._kind, t._array.shape, t._array.strides, grad, same)


def key_of(value: Any) -> Any:
    """What stands for an argument that is no tensor: its value where that is plain, else the object itself."""
    if isinstance(value, (int, float, str, bool, bytes, complex)) or value is None:
        return value.__class__, value
    return id(value)
