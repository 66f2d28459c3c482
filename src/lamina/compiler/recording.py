"""One call of a compiled function, and one recorded run: what its replay is made of, and what must hold for a call to be this run again.

Here: these. Not here: how a run is listened to (listening.py), the decision which recording runs (api.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lamina.autograd import modes
from lamina.compiler import pipeline
from lamina.compiler.capture.guards import Facts
from lamina.compiler.capture.lines import Lines
from lamina.compiler.outcome import Shape
from lamina.compiler.replay import Replay
from lamina.core.dtype import get_default_dtype
from lamina.core.tensor import LEAF, Tensor
from lamina.utils import _pytree as pytree


class Call:
    """One call of a compiled function: its arguments, and what else a recording must have been made with to stand for it."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args, self.kwargs, self.mode = args, kwargs, modes.current()
        leaves, spec = pytree.tree_flatten((args, kwargs))
        self.tensors = [v for v in leaves if isinstance(v, Tensor)]
        self.others = [v for v in leaves if not isinstance(v, Tensor)]
        values = tuple(None if isinstance(v, Tensor) else key_of(v) for v in leaves)
        self.key = (spec, values, self.mode is None or self.mode.grad, get_default_dtype())

    @property
    def plain(self) -> bool:
        """Whether its arguments are tensors, by position."""
        return not self.kwargs and all(isinstance(a, Tensor) for a in self.args)


class Recording:
    """One recorded run: what its replay is made of, its replay once there was a second call, or why there is none."""

    def __init__(self, call: Call, nan: bool) -> None:
        self.key, self.mode, self.nan = call.key, call.mode, nan
        self.kept = call.others  # the key knows some by identity
        self.why: str | None = None  # it is eager
        self.recorder: Any = None
        self.shapes = [shape_of(t, call.tensors) for t in call.tensors]
        self.effects: Any = None
        self.facts = Facts()
        self.lines = Lines(None)
        self.replay: Replay | None = None
        self.begun = False  # to be made a replay of, which uses up the recorder
        self.calls = 0

    def differs(self, call: Call) -> str | None:
        """What is not as it was recorded, in words; None where the call could be this run again."""
        if self.key != call.key or self.mode is not call.mode:
            return "an argument that is no tensor, or a mode, is another"
        if self.why is not None:
            return self.why
        if self.begun and self.replay is None:
            return "the making of its replay was interrupted"
        tensors = call.tensors
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

    def varying(self, call: Call, function: Any) -> set[str]:
        """The names that a call found other values under than the recorded one did, as far as can be told."""
        key = call.key
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
