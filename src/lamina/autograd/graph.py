"""The graph: nodes, edges, and what a node keeps for its backward.

An edge is one object: a `Node` (its only output), an `Output` (one output of a node with several), a leaf `Tensor` (its gradient
is accumulated), or None (nobody asks). Here: the records. Not here: who makes them (primitives/registry.py) and who runs them
(engine.py).
"""

from __future__ import annotations

import importlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import count
from types import CodeType
from typing import Any, NamedTuple
from weakref import ref

from lamina.autograd import errors, modes
from lamina.autograd.handles import RemovableHandle
from lamina.core.device import Kind
from lamina.core.size import Size, size_of
from lamina.core.tensor import LEAF, Tensor, more, version
from lamina.core.version import Place, users_place

next_seq = count().__next__
INSIDE = "inside"
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

    __slots__ = ("__weakref__", "_code", "_edges", "_ends", "_extra", "_fix", "_lasti", "_saved", "_seq", "_versions")

    _seq: int  # grows in order of creation: backward runs from high to low
    _edges: tuple[Any, ...]  # one for each differentiable input
    _saved: tuple[Any, ...] | None  # None once freed
    _versions: Any  # of the saved tensors when they were saved; once freed, the place of the backward that did it
    _fix: Any  # None, or what broadcasting and promotion did to the inputs
    _code: CodeType | None  # the user's call that made it
    _lasti: int
    _extra: Extra | None
    _ends: Any  # of the outputs: (shape, kind, ...); not set where nobody has asked for one output's node

    _width = 1
    _holds: Any = (
        False  # whether it saves tensors, so that a second backward must be refused; INSIDE: not in `_saved` alone
    )
    _lists = False  # whether it counts as one of several outputs also when it has one
    _takes_none = False  # whether it runs also when no gradient came (a user's Function does)
    _scalars = False  # whether it takes NumPy's scalars for 0-d arrays
    _selects = False  # whether `_vjp` takes where the run goes, so as to compute nothing for other edges
    _family = ""  # before its name, where PyTorch has written the node by hand

    def _vjp(self, g: Any, create: bool) -> Sequence[Any]:
        """Cotangents of the inputs from that of the output: arrays, or Tensors where `create`."""
        raise NotImplementedError

    def _check(self) -> None:
        """Raise where what is saved cannot be used: PyTorch looks at it also when there is no gradient to compute with."""

    def _release(self, place: Place | None) -> None:
        """Forget what was saved."""
        if self._holds:
            self._saved, self._versions = None, place

    # ---- what users see ----------------------------------------------------------------------------------------------

    requires_grad = True

    def name(self) -> str:
        return self._family + type(self).__name__

    def _label(self) -> str:
        """The operation's name, as messages spell it."""
        return type(self).__name__.replace("Backward0", "").replace("Backward", "")

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        return tuple(node_and_number(None if i is None else self._edges[i]) for i in self._shown)

    @property
    def _shown(self) -> Sequence[int | None]:
        """Which edges users see; None: that of an argument that was left out."""
        return range(len(self._edges))

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dictionary of the user's; in anomaly mode it holds the forward call's traceback too."""
        extra = extra_of(self)
        if extra.stack is not None:
            extra.metadata.setdefault("traceback_", extra.stack.splitlines(keepends=True))
        return extra.metadata

    def _sequence_nr(self) -> int:
        return self._seq

    def register_hook(self, hook: Callable[..., Any]) -> Any:
        """Call `hook(grad_inputs, grad_outputs)` after this node has run; it may return other grad_inputs."""
        return RemovableHandle(extra_of(self).post_hooks, hook)

    def register_prehook(self, hook: Callable[..., Any]) -> Any:
        """Call `hook(grad_outputs)` before this node runs; it may return other grad_outputs."""
        return RemovableHandle(extra_of(self).pre_hooks, hook)

    @property
    def _input_metadata(self) -> tuple[Any, ...]:
        """Shape, dtype and device of each output, as far as they are known."""
        return tuple(_InputMetadata(end[0], end[1]) for end in getattr(self, "_ends", ()) if end is not None)

    def _set_sequence_nr(self, number: int) -> None:
        self._seq = number

    def _register_hook_dict(self, hooks: Any) -> None:
        extra_of(self).post_hooks = hooks

    def __call__(self, *grads: Any, **named: Any) -> Any:
        """Run this node alone on cotangents of its outputs."""
        if named:
            raise TypeError("keyword arguments are not supported")
        if len(grads) != self._width:
            raise TypeError(f"expected {self._width} arguments, got {len(grads)} instead")
        for i, g in enumerate(grads):
            if g is not None and not isinstance(g, Tensor):
                raise TypeError(f"argument {i} is not a Variable")
        if all(g is None for g in grads):
            results: Sequence[Any] = (None,) * len(self._edges)
        else:
            results = self._vjp(list(grads) if several(self) else grads[0], True)
        results = [results[i] if i is not None and i < len(results) else None for i in self._shown]
        return results[0] if len(results) == 1 else tuple(results)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {hex(id(self))}>"


class _InputMetadata:
    """What a node knows of one of its outputs, whose gradient is an input of backward."""

    __module__ = "torch._C._autograd"
    is_nested_tensor = is_cpp_nested_tensor = False

    def __init__(self, shape: tuple[int, ...], kind: Kind) -> None:
        self.shape, self.dtype, self.device = size_of(Size, shape), kind.dtype, kind.device


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
        from lamina.autograd.leaves import accumulate  # that room imports this one

        accumulate(self.variable, g if create else g._array if isinstance(g, Tensor) else g, create, False)
        return ()

    _family = "torch::autograd::"


AccumulateGrad.__module__ = "builtins"


class Nowhere(Node):
    """The end of a way that nobody waits at: of views that require grad only because their base does."""

    __slots__ = ()

    def _vjp(self, g: Any, create: bool) -> Sequence[Any]:
        return ()


def several(node: Node) -> bool:
    """Whether the edges to a node are `Output`s, and its cotangents come in a list."""
    return node._width > 1 or node._lists


def extra_of(node: Node) -> Extra:
    found = node._extra
    if found is None:
        found = node._extra = Extra()
        if node.__class__ is AccumulateGrad:  # made anew for whoever asks: its hooks stay with the leaf
            more(node.variable).accumulate_extra = found
    return found


def make(
    cls: type[Node],
    edges: tuple[Any, ...],
    saved: tuple[Any, ...] = (),
    versions: Any = None,
    place: Place | None = None,
) -> Any:
    """A node of class `cls`: the slow and general way."""
    node = new(cls)
    node._seq, node._edges, node._saved, node._versions, node._fix, node._extra = (
        next_seq(),
        edges,
        saved,
        versions,
        None,
        None,
    )
    node._code, node._lasti = (None, 0) if place is None else place
    now = modes.current()
    if now is not None and now.anomaly is not None:
        extra_of(node).stack = now.anomaly.stack()
    return node


def edge_of(t: Any) -> Any:
    """The edge that leads to tensor `t`; None where it does not require grad."""
    if t._more is not None and t._more.broken:
        raise errors.ViewInPlaceError(t, "", t._more.view, base_modified=True)
    node = t._node
    return t if node is LEAF else None if node is NOWHERE else node


def node_of(edge: Any) -> Node | None:
    """The node that an edge leads to, as users see it."""
    return node_and_number(edge)[0]  # type: ignore[no-any-return]


def node_and_number(edge: Any) -> tuple[Any, int]:
    if edge is None or edge is NOWHERE:
        return None, 0
    if isinstance(edge, Tensor):
        return accumulator(edge), 0
    return (edge.node, edge.nr) if edge.__class__ is Output else (edge, 0)


NOWHERE = make(Nowhere, ())
"""In a tensor's `_node`: it requires grad, is a leaf, and has no gradient of its own. (PyTorch's views made in no_grad are so.)"""


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


def retain(t: Tensor) -> None:
    """Keep the gradient of a non-leaf when backward passes it."""
    edge = t._node
    node, nr = (edge.node, edge.nr) if edge.__class__ is Output else (edge, 0)
    extra_of(node).retain[nr] = ref(t)


class GradientEdge(NamedTuple):
    """One output of a node: where a gradient can be asked for, or a backward begun, without the tensor."""

    node: Any
    output_nr: int
    ownership_token: Any = None

    def edge(self) -> Any:
        """The engine's name for it."""
        if isinstance(self.node, AccumulateGrad):
            return self.node.variable
        return Output(self.node, self.output_nr) if several(self.node) else self.node


GradientEdge.__module__ = Node.__module__ = "torch.autograd.graph"


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """The edge that leads to `tensor`. Raises RuntimeError where it requires no grad."""
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    node, nr = node_and_number(edge_of(tensor))
    if node is None:  # a view that requires grad only because its base does
        raise AssertionError("Expected gradient function to be set")
    note_end(node, nr, tensor)
    return GradientEdge(node, nr)


def note_end(node: Any, nr: int, t: Tensor) -> None:
    """Let `node` know what its output `nr` looks like."""
    ends = getattr(node, "_ends", None)
    if ends is None:
        ends = (None,) * node._width
    if ends[nr] is None:
        node._ends = (*ends[:nr], (t._array.shape, t._kind), *ends[nr + 1 :])


def increment_version(tensor: Any) -> None:
    """Say that a tensor (or several) was written to behind autograd's back."""
    tensors = (tensor,) if isinstance(tensor, Tensor) else tensor
    try:
        tensors = tuple(tensors)
    except TypeError:
        tensors = (None,)
    if not all(isinstance(t, Tensor) for t in tensors):
        raise RuntimeError("increment_version expect a Iterable[Tensor] as input")
    for t in tensors:
        version(t).bump("increment_version", users_place(2))


def __getattr__(name: str) -> Any:
    """The names of torch.autograd.graph that are written on public operations: loaded when first used."""
    if name in _ABOVE:
        return getattr(importlib.import_module("lamina.autograd.hooks"), name)
    raise AttributeError(f"module 'torch.autograd.graph' has no attribute {name!r}")


_ABOVE = frozenset((
    "saved_tensors_hooks", "save_on_cpu", "disable_saved_tensors_hooks", "register_multi_grad_hook", "allow_mutation_on_saved_tensors",
    "region_activation_memory_budget", "set_warn_on_accumulate_grad_stream_mismatch", "set_override_stale_capture_stream",
))  # fmt: skip
