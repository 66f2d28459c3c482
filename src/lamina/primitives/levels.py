"""Levels: what is open while a transformed function runs, and the tensors that take part in one.

A level of vmap has a size: its tensors are `Batched`, which show the shape of one entry and hold all of them in another tensor. A
level of forward mode has none: its tensors carry a tangent. Below all batches lie plain ("physical") tensors; only these have a
place in the graph and tangents. So gradients and tangents of a batch are taken entry by entry, in whatever order the transforms
are nested: differentiation and batching commute. Here: these objects and the ways between them. Not here: what a primitive does
with a batch (batching.py) or a tangent (tangents.py), the public transforms (func/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np

from lamina.autograd import modes
from lamina.autograd.graph import Node, Output, edge_of, make
from lamina.core.strided import Array
from lamina.core.tensor import LEAF, Tensor, more, version, wrap
from lamina.primitives import shape as s

ndarray = np.ndarray
new = object.__new__
_ids = count(1).__next__


class Level:
    """One open transform. `size`: of the batch; None for a level of tangents. A context manager: open inside."""

    __slots__ = ("below", "depth", "direct", "id", "randomness", "size")

    def __init__(self, size: int | None = None, randomness: str = "error") -> None:
        self.id, self.size, self.randomness = _ids(), size, randomness
        self.depth = 0  # how many transforms of torch.func are open inside, this one with them
        self.direct = False  # whether users' Functions are called on batches as they are
        self.below: Any = (None, None)  # the mode inside, and the same without this level

    def __enter__(self) -> Level:
        self.depth = modes.transforming()
        modes.change(transforms=(*modes.mode().transforms, self))
        return self

    def __exit__(self, *error: object) -> None:
        # only this level goes: other modes may have been changed and stay
        modes.change(transforms=tuple(level for level in modes.mode().transforms if level is not self))

    def without(self) -> Any:
        """The current mode without this level."""
        inside, below = self.below
        now = modes.current()
        if now is not inside:
            below = modes.mode().but(transforms=tuple(level for level in modes.mode().transforms if level is not self))
            self.below = (now, below)
        return below


def batch_levels() -> tuple[Level, ...]:
    """The open levels of vmap, outermost first."""
    now = modes.current()
    return () if now is None else tuple(level for level in now.transforms if level.size is not None)


# ---- batches ---------------------------------------------------------------------------------------------------------

_ITEM = (
    "vmap: It looks like you're calling .item() on a Tensor. We don't support vmap over calling .item() on a Tensor, please try to "
    "rewrite what you're doing with other operations. If error is occurring somewhere inside PyTorch internals, please file a bug "
    "report."
)
_FLOW = (
    "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow. We don't support that yet, please "
    "file an issue at https://github.com/pytorch/pytorch/issues ."
)
_MEMORY = "Cannot access data pointer of Tensor that doesn't have storage"


class Entry(ndarray):
    """One entry's shape, dtype and strides. To compute with it is an error: the values differ from entry to entry."""

    def __array_ufunc__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(_ITEM)

    def __array_function__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(_ITEM)

    def item(self, *args: Any) -> Any:
        raise RuntimeError(_ITEM)

    def __bool__(self) -> bool:
        raise RuntimeError(_FLOW)

    tolist = astype = copy = __int__ = __float__ = __complex__ = __index__ = item  # type: ignore[assignment]


class Batched(Tensor):
    """A tensor that stands for each entry of a batch: it has the shape of one; `_value` has them all, along dimension 0.

    Its `_array` is an `Entry`; a plain array where all entries are known to be equal, so that values may be looked at.
    """

    __slots__ = ("_level", "_given_dim", "_value")
    _overrides = False
    _level: Level
    _value: Tensor
    _given_dim: int  # where the entries lay in an argument of vmap

    # history and version are those of the whole batch
    _node = property(lambda self: self._value._node, lambda self, node: setattr(self._value, "_node", node))
    _version_ = property(lambda self: self._value._version_, lambda self, v: setattr(self._value, "_version_", v))

    def item(self) -> Any:
        if self._array.__class__ is Entry:
            raise RuntimeError(_ITEM)
        return super().item()

    def __bool__(self) -> bool:
        if self._array.__class__ is Entry:
            raise RuntimeError(_FLOW)
        return super().__bool__()

    def tolist(self) -> Any:
        if self._array.__class__ is Entry:
            raise RuntimeError(_MEMORY)
        return super().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        if self._array.__class__ is Entry:
            raise RuntimeError(_MEMORY)
        return super().numpy(force=force)

    def data_ptr(self) -> int:
        raise RuntimeError(_MEMORY)

    def untyped_storage(self) -> Any:
        raise RuntimeError(_MEMORY)

    @property
    def requires_grad(self) -> bool:
        return self._value._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self._value = without_history(self._value)  # not what the batch was made of
        self._value.requires_grad = value

    def detach(self) -> Tensor:
        return rebatched(self._value.detach(), self)

    data = property(lambda self: rebatched(self._value.data, self))


def batched(value: Tensor, level: Level, equal: bool = False) -> Batched:
    """The entries of `value` along dimension 0, as one tensor of `level`. equal: they are known to be the same."""
    t: Batched = new(Batched)
    array = value._array
    entry = array[0, ...] if array.shape[0] else np.empty(array.shape[1:], array.dtype)
    t._array = entry if equal else entry.view(Entry)
    t._kind, t._more = value._kind, None
    t._value, t._level, t._given_dim = value, level, 0
    return t


def rebatched(value: Tensor, like: Batched) -> Batched:
    """`value` as a tensor of the level of `like`."""
    return batched(value, like._level, like._array.__class__ is ndarray)


def reseat(t: Batched, seen: Any) -> Batched:
    """Let `t` look at its memory as `seen`, a view of it, does."""
    t._value, t._array, t._given_dim = seen._value, seen._array, 0
    return t


def in_batch(t: Any, level: Level) -> bool:
    return t.__class__ is Batched and t._level is level


def value_at(t: Tensor, level: Level) -> Tensor:
    """All entries of `t` at `level`, along dimension 0. What is not of the level is repeated; other levels stay."""
    if t.__class__ is Batched:
        if t._level is level:
            return t._value
        return rebatched(s.transpose_(value_at(t._value, level), dim0=0, dim1=1), t)
    return s.expand_(s.unsqueeze_(t, dim=0), size=(level.size, *t._array.shape))  # type: ignore[no-any-return]


def everywhere(t: Tensor, levels: Sequence[Level]) -> Tensor:
    """`t` as a batch at each of `levels`, which are all that it may be a batch at."""
    if not levels:
        return t
    *outer, level = levels
    equal = not in_batch(t, level) or t._array.__class__ is ndarray
    return batched(everywhere(value_at(t, level), outer), level, equal)


def levels_of(t: Tensor) -> tuple[Level, ...]:
    """The levels that `t` is a batch at, outermost first."""
    found: list[Level] = []
    while t.__class__ is Batched:
        found.append(t._level)
        t = t._value
    return tuple(reversed(found))


def lowered(t: Tensor, levels: Sequence[Level]) -> Tensor:
    """`t` with the batches of `levels` (outermost first) as its first dimensions."""
    for level in reversed(levels):
        t = value_at(t, level)
    return t


def raised(t: Tensor, levels: Iterable[Level]) -> Tensor:
    """What `lowered` undoes: the first dimensions become batches of `levels`, below those of inner levels."""
    for level in levels:
        t = _raised(t, level)
    return t


def _raised(t: Tensor, level: Level) -> Tensor:
    if t.__class__ is Batched and t._level.id > level.id:
        return rebatched(_raised(s.transpose_(t._value, dim0=0, dim1=1), level), t)
    return batched(t, level)


def differs(t: Tensor) -> bool:
    """Whether `t` has values that differ from entry to entry of a batch, so that nothing may be decided by them."""
    return t._array.__class__ is Entry


def alike(source: Tensor, shape: tuple[int, ...], make: Callable[[tuple[int, ...]], Tensor]) -> Tensor:
    """A new tensor `make(shape)`; where `source` is a batch, one with memory for each entry."""
    if source.__class__ is Batched:
        return rebatched(alike(source._value, (source._level.size, *shape), make), source)  # type: ignore[arg-type]
    return make(shape)


def whole_of(t: Tensor) -> Tensor:
    """The tensor behind `t` that has all entries; itself where it is no batch."""
    while t.__class__ is Batched:
        t = t._value
    return t


def whole(t: Tensor) -> Array:
    """All values behind `t`, for checks that look at values: of a batch those of all entries."""
    return whole_of(t)._array


# ---- tangents --------------------------------------------------------------------------------------------------------


def tangent_of(t: Any, level: Level) -> Any:
    """The tangent of `t` at `level`, or None."""
    if t.__class__ is Batched:
        inner = tangent_of(t._value, level)
        return None if inner is None else batched(inner, t._level)
    if isinstance(t, Tensor) and t._more is not None and t._more.tangents:
        return t._more.tangents.get(level.id)
    return None


def check_dual(tensor: Tensor, tangent: Tensor) -> None:
    """Raises ValueError, RuntimeError for what cannot be the parts of a dual tensor."""
    for what, t in (("primal", tensor), ("tangent", tangent)):
        if not (t.is_floating_point() or t.is_complex()):
            raise ValueError(f"Expected {what} to be floating point or complex, but got: {t.dtype}")
    if tensor._array.shape != tangent._array.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not supported. Tensor is of "
            f"size {list(tensor._array.shape)} while the given forward gradient is of size {list(tangent._array.shape)}."
        )


def with_tangent(t: Tensor, tangent: Tensor, level: Level) -> Tensor:
    """`t`, an object nobody else has, with `tangent` at `level`. Where only one is a batch, the other is repeated."""
    batches = [x._level for x in (t, tangent) if x.__class__ is Batched]
    if batches:
        outer = max(batches, key=lambda batch: batch.id)
        equal = not in_batch(t, outer) or t._array.__class__ is ndarray
        return batched(with_tangent(value_at(t, outer), value_at(tangent, outer), level), outer, equal)
    about = more(t)
    about.tangents = {**(about.tangents or {}), level.id: tangent}
    node = t._node.node if t._node.__class__ is Output else t._node
    if isinstance(node, Node) and node._saved:
        for kept in node._saved:  # the node keeps its result for backward, which is to see the tangent too
            if getattr(kept, "array", None) is t._array:
                kept.tangents = about.tangents
    return t


# ---- places in the graph ---------------------------------------------------------------------------------------------


class AliasNode(Node):
    """The identity: one place in the graph that stands for a tensor."""

    __slots__ = ()

    def _vjp(self, g: Any, create: bool) -> Sequence[Any]:
        return (g,)

    def name(self) -> str:
        return "ViewBackward0"


class PlaceNode(AliasNode):
    """The place of what a transform differentiates by."""

    __slots__ = ("closed", "depth")
    depth: int  # of the transform among those that are open
    closed: int | None  # the next node's number when its function had run; None: it runs

    @property
    def open(self) -> bool:
        return self.closed is None


def fresh(t: Tensor) -> Tensor:
    """`t` again as an object of its own: the same memory and version, history and tangents."""
    if t.__class__ is Batched:
        return rebatched(fresh(t._value), t)
    made = without_history(t)
    if t._node is not None:
        made._node = make(AliasNode, (edge_of(t),))
    return made


def without_history(t: Tensor) -> Tensor:
    """`t` again, with its tangents, but outside the graph."""
    if t.__class__ is Batched:
        return rebatched(without_history(t._value), t)
    made = wrap(t._array, t._kind)
    made._version_ = version(t)
    if t._more is not None and t._more.tangents:
        more(made).tangents = t._more.tangents
    return made


def bare(t: Any, level: Level) -> Any:
    """A plain tensor in the graph as another object, without its tangent at `level`; itself where it has no history."""
    if t is None or t._node is None:
        return t
    made = without_history(t)
    made._node = make(AliasNode, (t,)) if t._node is LEAF else t._node
    if made._more is not None and made._more.tangents and level.id in made._more.tangents:
        made._more.tangents = {n: tangent for n, tangent in made._more.tangents.items() if n != level.id}
    return made


def alias(t: Tensor) -> Tensor:
    """`t` again, requiring grad at a place of its own; tangents and batches come along."""
    return _placed(t, AliasNode)


def place(t: Tensor) -> Tensor:
    """`t` again, to differentiate by: `alias` with an open place."""
    made = _placed(t, PlaceNode)
    node = edge_of_value(made)
    node.depth, node.closed = modes.transforming() + 1, None
    return made


def _placed(t: Tensor, kind: type[AliasNode]) -> Tensor:
    if t.__class__ is Batched:
        return rebatched(_placed(t._value, kind), t)
    made = without_history(t)
    if t._more is not None and t._more.inference:
        made._version_ = None  # what is made of it is recorded all the same
    made._node = make(kind, (edge_of(t),))
    return made


def edge_of_value(t: Any) -> Any:
    """The edge of what a tensor stands for: of a batch, that of the whole batch."""
    return edge_of(whole_of(t))


def reaches_outside(edges: Iterable[Any], own: Iterable[Any]) -> bool:
    """Whether a graph leads to a leaf, or to another transform's open place, and not only to the places in `own`."""
    mine = set(own)
    return any(
        isinstance(node, Tensor) or (node.__class__ is PlaceNode and node.open and node not in mine)
        for node in reached(edges)
    )


def reached(edges: Iterable[Any]) -> Iterator[Any]:
    """The nodes and leaves that a graph leads to from these edges, each once."""
    seen, stack = set(), list(edges)
    while stack:
        edge = stack.pop()
        node = edge.node if edge.__class__ is Output else edge
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        if not isinstance(node, Tensor):
            stack.extend(node._edges)
