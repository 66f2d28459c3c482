"""What a recorded run left for Python to see: results, gradients, versions; or why it cannot be had again.

Here: the comparison of before and after. Not here: putting it all back after a replay (replay.py).
"""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina.autograd.graph import Output as GraphOutput
from lamina.compiler.capture.purity import CONTAINERS
from lamina.compiler.capture.recorder import Recorder, hooks_of
from lamina.compiler.outcome import Output
from lamina.core.tensor import LEAF, Tensor
from lamina.utils import _pytree as pytree


class Refused(Exception):
    """A run cannot be had again. Its text: why, in words."""


class Changes(NamedTuple):
    """What a run changed of what was there before; see replay.Effects."""

    grads: list[tuple[Tensor, Output]]
    versions: list[tuple[Any, int]]
    had: list[tuple[Tensor, bool]]


class Returned(NamedTuple):
    """What a run returned; see replay.Effects."""

    outputs: list[Any]
    rebuild: Callable[[list[Any]], Any]
    single: bool


def changes_of(recorder: Recorder, tensors: Sequence[Tensor]) -> Changes:
    """What the run that `recorder` heard changed. Raises Refused."""
    others = len(sys._current_frames()) > 1  # threads: what they do meanwhile is none of this run's effects
    grads, had = _gradients(recorder, tensors, others)
    return Changes(grads, _versions(recorder, tensors, others), had)


def _gradients(
    recorder: Recorder, tensors: Sequence[Tensor], others: bool
) -> tuple[list[tuple[Tensor, Output]], list[tuple[Tensor, bool]]]:
    """The gradients that leaves have now and had not; the leaves of whom it counted whether they had one."""
    grads: list[tuple[Tensor, Output]] = []
    had: list[tuple[Tensor, bool]] = []
    for leaf, before in recorder.before.leaf_grads:
        now = None if leaf._more is None else leaf._more.grad
        ours = now is not None and recorder.knows(now._array)
        if others and not ours and id(leaf) not in recorder.replaced:
            continue
        if id(leaf) not in recorder.forgotten and (now is not before or ours):
            had.append((leaf, before is not None))
        if now is before:
            continue
        if now is None:
            grads.append((leaf, Output(None, None)))
            continue
        out = _output(recorder, now, tensors)
        if out is None or now._node is not None:
            raise Refused("a gradient that the run left is not one that it computed, or has a graph")
        grads.append((leaf, out))
    return grads, had


def _versions(recorder: Recorder, tensors: Sequence[Tensor], others: bool) -> list[tuple[Any, int]]:
    """The tensors (or their numbers among the arguments) that were written to, and how often."""
    versions: dict[int, tuple[Any, int]] = {}
    numbers = {id(t): i for i, t in reversed(list(enumerate(tensors)))}
    for t, counter, n in recorder.before.versions:
        if others and not recorder.met(t):
            continue
        after = t._version_
        if after is not counter and counter is not None:
            raise Refused("the memory of a tensor was exchanged")
        if t._node is not recorder.before.nodes[id(t)] and not (_is_view(t) and after is not None and after.n != n):
            raise Refused("the place of a tensor in the graph changed")
        if hooks_of(t) != recorder.before.hooks[id(t)]:
            raise Refused("it registers or removes a hook of a tensor that was there before")
        if after is not None and not (t._more is not None and t._more.inference) and after.n != n:
            if id(t) in numbers:
                versions[id(after)] = (numbers[id(t)], after.n - n)
            versions.setdefault(id(after), (t, after.n - n))
    return list(versions.values())


def returned(
    recorder: Recorder, result: Any, tensors: Sequence[Tensor], joint: Any, old: Callable[[Any], bool]
) -> Returned:
    """How the `result` of the run can be had again. old: whether a container was there before. Raises Refused."""
    if _holds_old(result, old):
        raise Refused("it returns a container that was there before, or the same one twice")
    leaves, places, spec = distinct(result)
    outputs = [_returned(recorder, value, tensors, joint) for value in leaves]
    if joint is not None and _entangled(leaves, outputs):
        raise Refused(
            "two of its results are the same elements, and have a history: writing to one changes the other's"
        )
    return Returned(
        outputs, lambda values: pytree.tree_unflatten([values[i] for i in places], spec), isinstance(result, Tensor)
    )


def _returned(recorder: Recorder, value: Any, tensors: Sequence[Tensor], joint: Any) -> Any:
    """One leaf of a result: an Output for a tensor, else the value itself."""
    if not isinstance(value, Tensor):
        if type(value) not in _PLAIN:
            raise Refused(f"it returns an object of its own, a {type(value).__name__}")
        return value
    if value.__class__ is not Tensor and id(value) not in recorder.before.ids:
        raise Refused(f"it returns a {type(value).__name__} of its own")
    found = _output(recorder, value, tensors)
    if found is None:
        raise Refused("its result is a view of memory that was there before")
    if value._node is None or found.ref is None:
        return found
    if not leads_to_leaf(value._node):
        return found._replace(node=value._node)
    if joint is None:
        raise Refused("its result has a graph that backward has not been through")
    return found


def _is_view(t: Tensor) -> bool:
    """Whether `t` gets another place in the graph by itself when its base, whose place is looked at too, was written to."""
    return t._more is not None and t._more.base is not None


def distinct(result: Any) -> tuple[list[Any], list[int], Any]:
    """The leaves of a result, each object once; the places of all leaves among these; its form."""
    leaves, spec = pytree.tree_flatten(result)
    first: dict[int, int] = {}
    places = [first.setdefault(id(leaf), len(first)) for leaf in leaves]
    return [leaves[places.index(i)] for i in range(len(first))], places, spec


def _holds_old(result: Any, old: Callable[[Any], bool]) -> bool:
    """Whether a replay, which makes all containers of its result anew, would make another of what is one object."""
    met: set[int] = set()
    stack = [result]
    while stack:
        value = stack.pop()
        children, _ = pytree.tree_flatten(value, is_leaf=functools.partial(operator.is_not, value))
        if len(children) == 1 and children[0] is value:
            continue  # a leaf
        if isinstance(value, CONTAINERS):
            if id(value) in met or old(value):
                return True
            met.add(id(value))
        stack.extend(children)
    return False


def overlapping(outputs: Sequence[Any]) -> list[int]:
    """The numbers of results that lie in the memory of an earlier one."""
    values = [o.ref.value if isinstance(o, Output) and o.ref is not None else None for o in outputs]
    return [i for i, v in enumerate(values) if v is not None and v in values[:i]]


def _entangled(leaves: Sequence[Any], outputs: Sequence[Any]) -> bool:
    """Whether two results with a history have elements in common."""
    late = overlapping(outputs)
    arrays = [leaf._array for leaf in leaves if isinstance(leaf, Tensor) and leaf._node is not None] if late else []
    return any(np.shares_memory(a, b) for n, a in enumerate(arrays) for b in arrays[:n])


def leads_to_leaf(node: Any) -> bool:
    """Whether a backward from here could still reach a leaf, or a place where a function transform waits: no node on the way has been freed."""
    seen: set[Any] = set()
    stack = [node]
    while stack:
        edge = stack.pop()
        one = edge.node if edge.__class__ is GraphOutput else edge
        if one is LEAF or isinstance(one, Tensor):
            return True
        if one is None or one in seen or one._saved is None:
            continue
        if all(edge is None for edge in one._edges):
            return True
        seen.add(one)
        stack.extend(one._edges)
    return False


class Unbound:
    """What stands for a local variable without a value, between pieces of a function that was split."""


UNBOUND = Unbound()
_PLAIN = frozenset((int, float, bool, str, bytes, complex, type(None), Unbound))


def _output(recorder: Recorder, t: Tensor, tensors: Sequence[Tensor]) -> Output | None:
    """How a tensor can be had again after a replay."""
    for i, given in enumerate(tensors):
        if given is t:
            return Output(None, i)
    if id(t) in recorder.before.grads:
        return None  # of a leaf, which has another at each call
    if id(t) in recorder.before.ids:
        return Output(None, t)
    ref = recorder.ref(t._array)
    origin = ref.value
    while origin.previous is not None:
        origin = origin.previous
    if origin in recorder.graph.inputs and origin.origin.kind != "constant":
        return None
    if ref.value is origin and origin in recorder.graph.inputs:
        ref = recorder.given_away(t._array)
    return Output(ref, None, t._kind)
