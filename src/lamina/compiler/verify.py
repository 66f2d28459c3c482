"""Trust: a replay beside an eager run, on the same state.

The replay runs first; what it changed is put back; then the function itself runs, and what both left is compared: results, gradients,
memory written. So the program's state is always that of the eager run. Here: this comparison. Not here: what follows from a
difference (api.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from lamina.compiler import mismatch
from lamina.compiler.bound import elements_at, low_address
from lamina.compiler.compare import TOLERANCE, distance
from lamina.compiler.graph import Graph, Ref, Value
from lamina.compiler.nonfinite import LateError
from lamina.compiler.outcome import MISSED, Output
from lamina.compiler.replay import Replay
from lamina.compiler.wayback import WayBack
from lamina.core.generator import default_generator
from lamina.core.strided import Array, owner_of
from lamina.core.strokes import attributes, carry_out, contents
from lamina.core.tensor import Tensor, more


class Rewind:
    """What a replay, or an eager run of the same call, may change: as it is now, to be put back."""

    def __init__(self, replay: Replay, tensors: Sequence[Tensor]) -> None:
        self.leaves = [leaf for leaf, _ in replay.effects.grads]
        self.grads = [None if leaf._more is None else leaf._more.grad for leaf in self.leaves]
        held = [(replay.memory[k], t._array) for k, t, _ in replay.held if id(replay.memory[k]) in replay.written]
        self.written = [
            owner if owner.dtype == array.dtype else array for owner, array in held
        ]  # bytes are compared as what they are
        self.written += [leaf._more.grad._array for _, leaf in replay.read_grads if _has_grad(leaf)]  # type: ignore[union-attr]
        self.written += [t._array for t in tensors]
        self.before = [a.copy() for a in self.written]
        self.state = default_generator.get_state_array()
        versions = [tensors[w] if w.__class__ is int else w for w, _ in replay.effects.versions]
        counters = [t._version_ for t in versions if t._version_ is not None]
        self._undoing = chain(
            contents(self.written, self.before),
            attributes([more(leaf) for leaf in self.leaves], "grad", self.grads),
            attributes(versions, "_version_", [t._version_ for t in versions]),
            attributes(counters, "n", [c.n for c in counters]),
            default_generator.undoing(),
        )

    def back(self) -> None:
        """All as it was. May be called again, and then does nothing."""
        carry_out(self._undoing)

    def again(self) -> None:
        """What a run reads as it was, once more."""
        carry_out(contents(self.written, self.before))
        for leaf, grad in zip(self.leaves, self.grads, strict=True):
            more(leaf).grad = grad
        default_generator.set_state_array(self.state)


def _has_grad(leaf: Tensor) -> bool:
    return leaf._more is not None and leaf._more.grad is not None


def verified(
    replay: Replay, tensors: Sequence[Tensor], eager: Callable[[], Any], recorder: Any
) -> tuple[Any, str | None]:
    """The eager result (MISSED where the replay does not fit), and what differed in the replay, or None."""
    rewind = Rewind(replay, tensors)
    joint = replay.effects.joint
    ways = [] if joint is None else [WayBack(part, tensors) for part in joint.parts]
    late = False
    try:
        result = replay.run(*tensors)
        found = [] if result is MISSED else _left(replay, result, rewind)
        backs = [] if result is MISSED else [way.compiled(result) for way in ways]
    except LateError:  # what it wrote is not finite: here it can still be put back, and the operation found
        late = True
    finally:
        rewind.back()
    if late:
        return eager(), None
    if result is MISSED:
        return MISSED, None
    true = eager()
    left = _left(replay, true, rewind)
    differences = _differences(found, left, _narrowest(recorder.graph))
    if differences:
        told = _searched(
            replay, recorder.graph, replay.program.work, differences, left, tensors, rewind, recorder, None
        )
    for way, back in zip(ways, backs, strict=True) if not differences else ():
        program = way.joint.program
        if differences := _differences(back, left := way.eager(true), _narrowest(recorder.graph, program.graph)):
            told = _searched(
                replay, program.graph, program.stages.work, differences, left, tensors, rewind, recorder, way
            )
            break
    if not differences or told.rounding:
        return true, None
    for stages in (replay.program, *(way.joint.program.stages for way in ways)):
        stages.forget()
    return true, "; ".join(filter(None, (differences[0].text, told.text)))


def _searched(
    replay: Replay, graph: Graph, work: Sequence[Any], differences: Sequence[Difference], left: Sequence[tuple[str, Any]],
    tensors: Sequence[Tensor], rewind: Rewind, recorder: Any, way: WayBack | None,
) -> mismatch.Found:  # fmt: skip
    """Which operation it was, searched for with all as it was before the call."""
    now = Rewind(replay, tensors)
    try:
        rewind.again()
        inputs = {} if way is None else way.given()
        inputs.update({v: _bytes(v, tensors) for v in graph.inputs if v not in inputs})
        values = [_value(replay, recorder, rewind, d.at) if way is None else way.value(d.at) for d in differences]
        wrong = [mismatch.Wrong(v, left[d.at][1], d.far) for v, d in zip(values, differences, strict=True)]
        return mismatch.found(graph, work, inputs, wrong)
    except Exception as error:  # the search is a service: whatever becomes of it, the program goes on
        return mismatch.Found(f"which operation it was could not be found ({type(error).__name__}: {error})")
    finally:
        now.back()


def _left(replay: Replay, result: Any, rewind: Rewind) -> list[tuple[str, Any]]:
    """Copies of all that a run left."""
    from lamina.utils import _pytree as pytree  # library above this room: only for the form of a result

    outs = [("the result", v._array.copy()) for v in pytree.tree_leaves(result) if isinstance(v, Tensor)]
    grads = [
        (
            f"the gradient of a leaf of shape {list(leaf._array.shape)}",
            None if leaf._more is None or leaf._more.grad is None else leaf._more.grad._array.copy(),
        )
        for leaf in rewind.leaves
    ]
    memory = [(f"memory of shape {list(a.shape)} that the run writes", a.copy()) for a in rewind.written]
    return [*outs, *grads, *memory, ("the stream of random numbers", default_generator.get_state_array())]


class Difference(NamedTuple):
    """What differs, of what a run left: its number, how in words, and by how many times what is tolerated."""

    at: int
    text: str
    far: float


def _narrowest(*graphs: Graph) -> float:
    """What is tolerated of the narrowest type that a program computes in: under autocast float32 holds numbers of bfloat16's precision."""
    outs = (o for graph in graphs for node in graph.nodes for o in node.outputs if o is not None)
    return max((TOLERANCE.get(o.dtype.name, 0.0) for o in outs), default=0.0)


def _differences(
    found: Sequence[tuple[str, Any]], true: Sequence[tuple[str, Any]], narrowest: float
) -> list[Difference]:
    if len(found) != len(true):
        return [Difference(0, "another number of tensors", math.inf)]
    differences = []
    for at, ((what, a), (_, b)) in enumerate(zip(found, true, strict=True)):
        if a is None or b is None:
            if a is not b:
                differences.append(Difference(at, f"{what} is there in one only", math.inf))
            continue
        if a.shape != b.shape or a.dtype != b.dtype:
            text = f"{what}: {a.dtype}{list(a.shape)} for {b.dtype}{list(b.shape)}"
            differences.append(Difference(at, text, math.inf))
            continue
        tolerated = max(TOLERANCE[a.dtype.name], narrowest) if a.dtype.name in TOLERANCE else 0.0
        if (far := distance(a, b)) > tolerated:
            text = f"is off by {far:.2g} (relative norm)" if far < math.inf else "has other numbers"
            differences.append(Difference(at, f"{what} {text}", far / max(tolerated, 1e-30)))
    return differences


# ---- for the search ----------------------------------------------------------------------------------------------------


def _bytes(v: Value, tensors: Sequence[Tensor]) -> Array:
    kind, which = v.origin.kind, v.origin.which
    if kind == "constant":
        return np.ascontiguousarray(which).reshape(-1).view(np.uint8).copy()
    if kind == "flags":
        return np.zeros(v.nbytes, np.uint8)
    if kind == "live":
        return np.array([which()], np.float64).view(np.uint8)
    owner = (
        tensors[which]._array
        if kind == "argument"
        else owner_of((which if kind == "held" else which._more.grad)._array)
    )
    return elements_at(low_address(owner), Ref(v, 0, (v.nbytes,), (1,), np.dtype(np.uint8)), owner).copy()


def _value(replay: Replay, recorder: Any, rewind: Rewind, at: int) -> Value | None:
    """The value of the graph that is the `at`-th of what `_left` tells."""
    outs = [o for o in replay.effects.outputs if o.__class__ is Output]
    several = [*outs, *(o for _, o in replay.effects.grads)]
    if 0 <= at < len(several):
        ref = several[at].ref
        return None if ref is None else ref.value
    if not 0 <= at - len(several) < len(rewind.written):
        return None
    array = rewind.written[at - len(several)]
    finals: dict[Value, Value] = recorder.finals
    for first, final in finals.items():
        kind, which = first.origin.kind, first.origin.which
        t = which if kind == "held" else which._more.grad if kind == "grad" else None
        if t is not None and owner_of(t._array) is owner_of(array):
            return final
    return None
