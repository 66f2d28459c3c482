"""Gradients through a compiled call: its forward and backward as two programs, and one node of the graph between them.

While the forward is recorded, so is the way back, with cotangents that stand for those to come. What the way back needs of the forward
is kept, in memory of its own, at each call. Here: where the two part, and the node. Not here: recording, lowering, memory plans.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina.autograd import engine, errors, modes
from lamina.autograd.function import BackwardCFunction
from lamina.autograd.graph import INSIDE, Node, Output, edge_of, make
from lamina.autograd.saved import Packed
from lamina.compiler import pipeline
from lamina.compiler.bound import Bound, elements_at, low_address
from lamina.compiler.capture.recorder import Buffer, Recorder, extent
from lamina.compiler.effects import Refused, distinct, leads_to_leaf
from lamina.compiler.graph import Graph, Origin, Ref, Value, row_major
from lamina.compiler.graph import Node as Call
from lamina.core.strided import Array, owner_of
from lamina.core.tensor import LEAF, Tensor, version, wrap
from lamina.core.version import Place, users_place


def joint_of(recorder: Recorder, result: Any, tensors: Sequence[Tensor]) -> Joints | None:
    """The way back from the differentiable results of a run, recorded too; None where there is none. Raises Refused."""
    leaves = distinct(result)[0]
    shown = [
        i for i, v in enumerate(leaves) if isinstance(v, Tensor) and v._node is not None and leads_to_leaf(v._node)
    ]
    shown = [i for i in shown if not any(leaves[i] is t for t in tensors) and id(leaves[i]) not in recorder.before.ids]
    if not shown:
        return None
    if any(_hooked(t) for t in tensors):
        raise Refused("an argument has hooks")
    groups: list[Group] = []  # results that share no node: a backward through some leaves the others as they are
    for i in shown:
        ends, nodes = _ends(leaves[i], tensors, recorder)
        group = Group([(i, ends)], nodes)
        for other in [g for g in groups if not g.nodes.isdisjoint(nodes)]:
            groups.remove(other)
            group = Group(other.outs + group.outs, other.nodes | group.nodes)
        groups.append(group)
    try:
        return Joints([_recorded(group, leaves, tensors, recorder) for group in groups])
    except RuntimeError as error:  # the program need not come to it
        raise Refused(f"a backward from its results fails: {error}") from None


class Group(NamedTuple):
    """Results, (number, the ends that lead from it), and the nodes between."""

    outs: list[tuple[int, dict[Any, None]]]
    nodes: set[Any]


def _recorded(group: Group, leaves: Sequence[Any], tensors: Sequence[Tensor], recorder: Recorder) -> Joint:
    """The backward of some results, recorded."""
    shown = [i for i, _ in group.outs]
    outs = [leaves[i] for i in shown]
    ends = list(dict.fromkeys(edge for _, reached in group.outs for edge in reached))
    boundary = len(recorder.graph.nodes)
    cotangents = []
    for n, out in enumerate(outs):
        g = np.ones(out._array.shape, out._array.dtype)
        low, span = extent(g)
        recorder.add(g, Buffer(recorder.graph.value(span, Origin("cotangent", n)), low))
        cotangents.append(wrap(g, out._kind))
    found = engine.run(
        [(edge_of(out), g) for out, g in zip(outs, cotangents, strict=True)], create=True, keep=True, accumulates=False, record=False,
        captures={edge: n for n, edge in enumerate(ends)}, cut=True,
    )  # fmt: skip
    grads: list[Ref | None] = []
    for value in found:
        if value is None:
            grads.append(None)
            continue
        fresh = np.empty(value._array.shape, value._array.dtype)
        recorder.copied(value._array, fresh)
        grads.append(recorder.ref(fresh))
    joint = Joint(shown, ends, [(out._array.shape, out._array.dtype, out._kind) for out in outs], grads, tensors)
    joint.reached = [{n for n, edge in enumerate(ends) if edge in reached} for _, reached in group.outs]
    joint.nodes = recorder.graph.nodes[boundary:]
    del recorder.graph.nodes[boundary:]
    joint.overwritten = set(recorder.written())
    return joint


def _ends(out: Tensor, tensors: Sequence[Tensor], recorder: Recorder) -> tuple[dict[Any, None], set[Any]]:
    """The edges at which the graph of a result leaves the call: arguments, and leaves that it reads; the nodes up to there."""
    given = {edge_of(t) for t in tensors if t._node is not None}
    stops = {_node(edge) for edge in given}
    ends: dict[Any, None] = {}
    seen: set[Any] = set()
    stack = [edge_of(out)]
    while stack:
        edge = stack.pop()
        if edge is None:
            continue
        if edge in given:
            ends[edge] = None
            continue
        node = _node(edge)
        if isinstance(node, Tensor):
            if node._more is not None and (node._more.hooks or node._more.post_hooks):
                raise Refused("a leaf has hooks, which a backward of the whole call would run once more")
            ends[node] = None
            continue
        if node in seen:
            continue
        if isinstance(node, BackwardCFunction) or any(isinstance(kept, Packed) for kept in node._saved or ()):
            raise Refused("its backward runs code of the program's own")
        if node in stops or node._seq < recorder.start:
            raise Refused("it reads a tensor that is neither an argument nor a leaf, and has a history")
        if node._extra is not None and (
            node._extra.tensor_hooks or node._extra.pre_hooks or node._extra.post_hooks or node._extra.retain
        ):
            raise Refused("a tensor made in it has hooks")
        seen.add(node)
        stack.extend(node._edges)
    return ends, seen


def _hooked(t: Tensor) -> bool:
    """Whether a backward that comes to `t` does more than that."""
    node = None if t._node is None else _node(edge_of(t))
    extra = None if node is None or isinstance(node, Tensor) else node._extra
    about = t._more
    if about is not None and (about.hooks or about.post_hooks):
        return True
    return extra is not None and bool(extra.tensor_hooks or extra.pre_hooks or extra.post_hooks or extra.retain)


def _node(edge: Any) -> Any:
    return edge.node if edge.__class__ is Output else edge


class Joints:
    """How gradients flow through a recorded call, by results that share no node."""

    def __init__(self, parts: list[Joint]) -> None:
        self.parts = parts

    @property
    def saved(self) -> list[Value]:
        return list(dict.fromkeys(v for part in self.parts for v in part.saved))

    def repeats(self, function: Callable[..., Any], recorder: Recorder) -> None:
        """What a backward that is recorded calls: `function`, the call itself, unless it does more than compute."""
        again = "it draws random numbers" if recorder.draws else "it writes to tensors" if recorder.written() else None
        for part in self.parts:
            part.function, part.again = function, again

    def prepare(self, recorder: Recorder) -> None:
        """Decide what is kept between forward and backward, and make the programs of the backward."""
        for part in self.parts:
            part.prepare(recorder)

    def attach(self, values: list[Any], tensors: Sequence[Tensor], array_of: Callable[[Value], Array]) -> None:
        """Give the results of a call their places in the graph."""
        for part in self.parts:
            part.attach(values, tensors, [array_of(v) for v in part.saved])


class Joint:
    """How gradients flow through a recorded call to some results: where they go, and the program of the way back."""

    def __init__(
        self, shown: list[int], ends: list[Any], kinds: list[Any], grads: list[Ref | None], tensors: Sequence[Tensor]
    ) -> None:  # fmt: skip
        self.shown, self.kinds, self.grads = shown, kinds, grads
        self.nodes: list[Call] = []
        self.overwritten: set[Value] = set()  # contents, there before, that the forward replaces
        self.saved: list[Value] = []
        self.program: Way | None = None
        self.reached: list[set[int]] = []  # for each result, the ends that lead from it
        self.both: list[int] | None = None
        self.function: Callable[..., Any] | None = None  # the call itself, for a backward that is recorded
        self.again: str | None = None  # why it cannot simply be called once more
        # an end is an argument's place, which is another at each call, or a leaf, which stays
        places = {edge_of(t): i for i, t in reversed(list(enumerate(tensors))) if t._node is not None}
        self.ends: list[Any] = [places.get(edge, edge) for edge in ends]

    def prepare(self, recorder: Recorder) -> None:
        """See Joints."""
        made = {o.value for node in recorder.graph.nodes for o in node.outputs if o is not None}
        own = {o.value for node in self.nodes for o in node.outputs if o is not None}
        used = [ref for node in self.nodes for ref in node.reads()]
        for ref in used:
            v = ref.value
            if v in own or v in self.saved:
                continue
            if (
                v in made
                or v in self.overwritten
                or (isinstance(v.origin, Origin) and v.origin.kind in ("live", "grad"))
            ):
                self.saved.append(v)
        graph = Graph()
        graph.values = recorder.graph.values
        instead: dict[Value, Value] = {}
        for n, v in enumerate(self.saved):
            instead[v] = graph.value(v.nbytes, Origin("saved", n))
        for ref in used:
            v = ref.value
            if v not in own and v not in instead:
                instead[v] = graph.value(v.nbytes, v.origin)
        for node in self.nodes:
            node.inputs = tuple(_in(i, instead) if i.__class__ is Ref else i for i in node.inputs)
        graph.nodes, self.nodes = self.nodes, []
        graph.results = [g for g in self.grads if g is not None]
        # what the forward keeps must be a value that it makes: a tensor that it writes over, or reads elsewhere, is copied
        for n, v in enumerate(self.saved):
            if v not in made:
                copy = recorder.graph.value(v.nbytes, None)
                whole = Ref(v, 0, (v.nbytes,), (1,), np.dtype(np.uint8))
                node = Call("copy", None, (whole,), {}, (whole._replace(value=copy),), None)
                copy.origin = node
                recorder.graph.nodes.insert(0, node)
                self.saved[n] = copy
        self.program = Way(graph, self.grads, len(self.kinds))

    def attach(self, values: list[Any], tensors: Sequence[Tensor], saved: list[Array]) -> None:
        """See Joints."""
        edges = [edge_of(tensors[e]) if e.__class__ is int else e for e in self.ends]
        held = tuple(t for t in self.program.tensors(tensors))  # type: ignore[union-attr]
        node = make(
            CompiledFunctionBackward,
            tuple(edges),
            (saved, held),
            [None if t._version_ is None else t._version_.n for t in held],
            users_place(4),
        )
        node.joint, node.tensors, node.width = self, tensors, len(self.shown)
        if self.both is None:  # results that lie in memory which backward needs
            owners = {id(owner_of(array)) for array in saved}
            self.both = [i for i, v in enumerate(values) if isinstance(v, Tensor) and id(owner_of(v._array)) in owners]
        node.kept = [(version(values[i]), version(values[i]).n, values[i]._array, values[i]._kind) for i in self.both]
        for n, i in enumerate(self.shown):
            values[i]._node = Output(node, n)


def _in(ref: Ref, instead: dict[Value, Value]) -> Ref:
    other = instead.get(ref.value)
    return ref if other is None else ref._replace(value=other)


class Way(Bound):
    """The program of a backward: from cotangents and what was kept to gradients."""

    def __init__(self, graph: Graph, grads: list[Ref | None], width: int) -> None:
        placed, stages = pipeline.planned(graph, {}, [g.value for g in graph.results], asks=False)
        super().__init__(placed)
        self.graph, self.grads, self.stages = graph, grads, stages
        self.kept: list[tuple[int, int]] = []
        self.cotangents: list[tuple[int, int]] = []
        self.given: list[tuple[int, Any]] = []  # tensors: a number among the arguments, or the tensor itself
        self.made: list[tuple[int, Value]] = []
        for k, what in enumerate(placed.dynamic):
            if not isinstance(what, Origin):
                self.made.append((k, what))
            elif what.kind == "saved":
                self.kept.append((k, what.which))
            elif what.kind == "cotangent":
                self.cotangents.append((k, what.which))
            else:
                self.given.append((k, what.which))
        self.passed = list(range(len(placed.dynamic)))
        stages.place(self)
        self.work = stages.calls(self)

    def tensors(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The tensors whose memory the backward reads where it is."""
        return [tensors[w] if w.__class__ is int else w for _, w in self.given]

    def __call__(
        self, cotangents: Sequence[Array], saved: Sequence[Array], held: Sequence[Tensor]
    ) -> list[Array | None]:
        memory = self.memory
        for k, n in self.kept:
            memory[k] = saved[n]
        for k, n in self.cotangents:
            memory[k] = cotangents[n]
        for (k, which), t in zip(self.given, held, strict=True):
            memory[k] = t._array if which.__class__ is int else owner_of(t._array)
        for k, v in self.made:
            memory[k] = np.empty(v.nbytes, np.uint8)
        for n, work in enumerate(self.work):
            if n == self.stages.first_native:
                work(*memory)
            else:
                work()
        arrays = {v: memory[k] for k, v in self.made}
        self.memory = [None] * len(memory)
        return [None if g is None else _shaped(arrays[g.value], g) for g in self.grads]


def _shaped(block: Array, ref: Ref) -> Array:
    """The elements of a gradient in its memory."""
    if ref.offset == 0 and ref.strides == row_major(ref.shape, ref.dtype.itemsize):
        return np.frombuffer(block, ref.dtype).reshape(ref.shape) if block.nbytes else np.empty(ref.shape, ref.dtype)
    return elements_at(low_address(block) + ref.offset, ref, block)


class CompiledFunctionBackward(Node):
    """The place of a compiled call in the graph."""

    __slots__ = ("joint", "kept", "tensors", "width")
    _holds = INSIDE
    joint: Joint
    tensors: Any  # the call's arguments
    kept: list[Any]  # (version counter, version, array, kind) of results that backward needs

    @property
    def _width(self) -> int:  # type: ignore[override]
        return self.width  # type: ignore[attr-defined,no-any-return]

    _lists = True

    def name(self) -> str:
        return "CompiledFunctionBackward"

    def _vjp(self, g: Any, create: bool) -> Sequence[Any]:
        if self._saved is None:
            raise errors.FreedGraphError(self)
        saved, held = self._saved
        for t, before in zip(held, self._versions, strict=True):
            now = t._version_
            if (0 if now is None else now.n) != (before or 0):
                raise errors.ModifiedError(self, t, before or 0, now, False)
        for counter, before, array, kind in self.kept:
            if counter.n != before:
                raise errors.ModifiedError(self, wrap(array, kind), before, counter, False)
        joint = self.joint
        values = [None] * self._width if g is None else g
        if create and modes.is_grad_enabled():
            return self._again(values)
        arrays = []
        for value, (shape, dtype, _) in zip(values, joint.kinds, strict=True):
            array = None if value is None else value._array if isinstance(value, Tensor) else value
            arrays.append(np.zeros(shape, dtype) if array is None else np.ascontiguousarray(array).reshape(shape))
        found = joint.program(arrays, saved, held)  # type: ignore[misc]
        wanted = set().union(*(ends for ends, v in zip(joint.reached, values, strict=True) if v is not None))
        found = [f if n in wanted else None for n, f in enumerate(found)]
        return [f if f is None or not create else wrap(f) for f in found]

    def _again(self, values: list[Any]) -> Sequence[Any]:
        """Call the function once more, recorded, and go back through that."""
        joint = self.joint
        if joint.again is not None or joint.function is None:
            raise RuntimeError(
                f"a compiled call cannot be differentiated twice: {joint.again}; call the function uncompiled instead"
            )
        with modes.enable_grad():
            leaves = distinct(joint.function(self.tensors))[0]
            outs = [leaves[i] for i in joint.shown]
            ends = [edge_of(self.tensors[e]) if e.__class__ is int else e for e in joint.ends]
            roots = [(edge_of(o), v) for o, v in zip(outs, values, strict=True) if v is not None]
            captures: dict[Any, int] = {}
            first = [captures.setdefault(e, len(captures)) for e in ends]
            found = engine.run(roots, create=True, keep=True, captures=captures, accumulates=False, cut=True)
        return [found[at] if at not in first[:i] else None for i, at in enumerate(first)]

    def _release(self, place: Place | None) -> None:
        super()._release(place)
        self.tensors, self.kept = None, []


__all__ = ["LEAF", "CompiledFunctionBackward", "Joints", "joint_of"]
