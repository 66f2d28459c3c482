"""The graph: nodes, edges, and what a node keeps for its backward.

An edge is one object: a `Node` (its only output), an `Output` (one output of a node with several), a leaf `Tensor` (its gradient
is accumulated), or None (nobody asks). Here: the records. Not here: who makes them (primitives/registry.py) and who runs them
(engine.py).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import count
from types import CodeType
from typing import Any
from weakref import ref

from lamina.autograd import modes
from lamina.core.tensor import LEAF, Tensor, more, wrap
from lamina.core.version import Place, Version

next_seq = count().__next__
new = object.__new__


class Extra:
    """What few nodes have."""

    def __init__(self) -> None:
        self.tensor_hooks: dict[int, OrderedDict[int, Callable[..., Any]]] = {}  # by output: run on its gradient
        self.pre_hooks: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self.post_hooks: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self.retain: dict[int, ref[Tensor]] = {}  # by output: whose .grad is kept
        self.metadata: dict[Any, Any] = {}
        self.stack: str | None = None  # of the forward call, in anomaly mode


class Node:
    """One recorded operation. Its class is its primitive's, and is named as PyTorch's."""

    __slots__ = ("__weakref__", "_code", "_edges", "_extra", "_fix", "_lasti", "_saved", "_seq", "_versions")

    _seq: int  # grows in order of creation: backward runs from high to low
    _edges: tuple[Any, ...]  # one for each differentiable input
    _saved: tuple[Any, ...] | None  # None once freed
    _versions: Any  # of the saved tensors when they were saved; once freed, the place of the backward that did it
    _fix: Any  # None, or what broadcasting and promotion did to the inputs
    _code: CodeType | None  # the user's call that made it
    _lasti: int
    _extra: Extra | None

    _width = 1
    _holds = False  # whether it saves tensors, so that a second backward must be refused
    _takes_none = False  # whether it runs also when no gradient came (a user's Function does)

    def _vjp(self, g: Any, create: bool) -> Sequence[Any]:
        """Cotangents of the inputs from that of the output: arrays, or Tensors where `create`."""
        raise NotImplementedError

    def _release(self, place: Place | None) -> None:
        """Forget what was saved."""
        if self._holds:
            self._saved, self._versions = None, place

    # ---- what users see ----------------------------------------------------------------------------------------------

    def name(self) -> str:
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        return tuple(node_and_number(edge) for edge in self._edges)

    @property
    def metadata(self) -> dict[Any, Any]:
        return extra_of(self).metadata

    def _sequence_nr(self) -> int:
        return self._seq

    def register_hook(self, hook: Callable[..., Any]) -> Any:
        """Call `hook(grad_inputs, grad_outputs)` after this node has run; it may return other grad_inputs."""
        return RemovableHandle(extra_of(self).post_hooks, hook)

    def register_prehook(self, hook: Callable[..., Any]) -> Any:
        """Call `hook(grad_outputs)` before this node runs; it may return other grad_outputs."""
        return RemovableHandle(extra_of(self).pre_hooks, hook)

    def _input_metadata(self) -> Any:
        return ()

    def __call__(self, *grads: Any) -> Any:
        """Run this node alone on cotangents of its outputs."""
        given: list[Any] = [g if isinstance(g, Tensor) or g is None else None for g in grads]
        results = self._vjp(given if self._width > 1 else given[0], True)
        return results[0] if len(results) == 1 else tuple(results)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {hex(id(self))}>"


class Output:
    """One output of a node that has several."""

    __slots__ = ("node", "nr")

    def __init__(self, node: Node, nr: int) -> None:
        self.node, self.nr = node, nr

    # two tensors may hold separate objects for one output
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Output) and self.node is other.node and self.nr == other.nr

    def __hash__(self) -> int:
        return hash((self.node, self.nr))


class AccumulateGrad(Node):
    """The end of the graph at a leaf, as users see it; the engine goes to the leaf itself."""

    __slots__ = ("variable",)
    variable: Tensor

    def _vjp(self, g: Any, create: bool) -> Sequence[Any]:
        from lamina.autograd.engine import accumulate  # the engine imports this module

        accumulate(self.variable, g if create else g._array if isinstance(g, Tensor) else g, create, False)
        return ()

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"


AccumulateGrad.__module__ = "torch.autograd"


def extra_of(node: Node) -> Extra:
    found = node._extra
    if found is None:
        found = node._extra = Extra()
        if node.__class__ is AccumulateGrad:  # made anew for whoever asks: its hooks stay with the leaf
            more(node.variable).accumulate_extra = found
    return found


def make(cls: type[Node], edges: tuple[Any, ...], saved: tuple[Any, ...] = (), versions: Any = None, place: Place | None = None) -> Any:
    """A node of class `cls`: the slow and general way."""
    node = new(cls)
    node._seq, node._edges, node._saved, node._versions, node._fix, node._extra = next_seq(), edges, saved, versions, None, None
    node._code, node._lasti = (None, 0) if place is None else place
    now = modes.current()
    if now is not None and now.anomaly is not None:
        extra_of(node).stack = now.anomaly.stack()
    return node


def edge_of(t: Any) -> Any:
    """The edge that leads to tensor `t`; None where it does not require grad."""
    node = t._node
    return t if node is LEAF else node


def node_of(edge: Any) -> Node | None:
    """The node that an edge leads to, as users see it."""
    return node_and_number(edge)[0]


def node_and_number(edge: Any) -> tuple[Any, int]:
    if edge is None:
        return None, 0
    if isinstance(edge, Tensor):
        return accumulator(edge), 0
    return (edge.node, edge.nr) if edge.__class__ is Output else (edge, 0)


def accumulator(leaf: Tensor) -> AccumulateGrad:
    """The AccumulateGrad object of a leaf: the same one as long as somebody holds it."""
    about = more(leaf)
    found = about.accumulate() if about.accumulate is not None else None
    if found is None:
        found = make(AccumulateGrad, ())
        found.variable = leaf
        found._extra = about.accumulate_extra
        about.accumulate = ref(found)
    return found  # type: ignore[no-any-return]


class RemovableHandle:
    """What registering a hook returns: `remove()` takes it out again; a context manager too."""

    __module__ = "torch.utils.hooks"
    next_id = 0

    def __init__(self, hooks: Any, hook: Any = None, *, extra_dict: Any = None) -> None:
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        try:
            self.hooks_dict_ref: Callable[[], Any] = ref(hooks)
        except TypeError:
            self.hooks_dict_ref = lambda: hooks
        extras = [] if extra_dict is None else [extra_dict] if isinstance(extra_dict, dict) else list(extra_dict)
        self.extra_dict_ref = tuple(ref(d) for d in extras)
        if hook is not None:
            hooks[self.id] = hook

    def remove(self) -> None:
        """Take the hook out; again does nothing."""
        for held in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = held()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self) -> tuple[Any, ...]:
        return (self.hooks_dict_ref(), self.id, tuple(d() for d in self.extra_dict_ref))

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        hooks = OrderedDict() if state[0] is None else state[0]
        self.hooks_dict_ref = ref(hooks)
        self.id = state[1]
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)
        self.extra_dict_ref = tuple(ref(OrderedDict() if d is None else d) for d in (state[2] if len(state) > 2 else ()))

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class SavedOutput:
    """A result kept by its own node: array, kind and version, and not the Tensor, which would close a cycle."""

    __slots__ = ("array", "kind", "nr", "version")

    def __init__(self, t: Tensor, version: Version, nr: int | None = None) -> None:
        self.array, self.kind, self.version, self.nr = t._array, t._kind, version, nr

    def tensor(self, node: Node) -> Tensor:
        """The result again, with its history."""
        t = wrap(self.array, self.kind)
        t._node = node if self.nr is None else Output(node, self.nr)
        t._version_ = self.version
        return t


class Packed:
    """A saved tensor in the care of user's hooks (`saved_tensors_hooks`)."""

    __slots__ = ("edge", "held", "leaf", "unpack_hook")

    def __init__(self, t: Tensor, hooks: tuple[Any, Any], edge: Any) -> None:
        pack, self.unpack_hook = hooks
        plain = wrap(t._array, t._kind)
        plain._version_ = t._version_
        before = plain._version
        with modes.no_grad():
            self.held = pack(plain)
        if plain._version != before:
            raise RuntimeError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook can not be "
                "modified by in-place operations as this can lead to unexpected side-effects. Please open an issue if you need "
                "to perform in-place operations on the input to a pack hook."
            )
        self.edge = edge

    def unpack(self) -> Tensor:
        with modes.no_grad():
            found = self.unpack_hook(self.held)
        if not isinstance(found, Tensor):
            raise TypeError(
                f"Output of saved tensor unpack_hook expected to be a Tensor but got result of type {type(found)}"
            )
        t = wrap(found._array, found._kind)
        t._version_ = found._version_
        if self.edge is not None:
            t._node = LEAF if isinstance(self.edge, Tensor) else self.edge
        return self.edge if isinstance(self.edge, Tensor) and found._array is self.edge._array else t
