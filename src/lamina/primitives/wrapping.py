"""Which transforms a tensor takes part in, and the text that shows it: PyTorch wraps it once for each of them.

Nothing is wrapped for gradients here: a tensor takes part where its graph leads to a place of the transform, or it has a tangent.
Here: these questions. Not here: levels and places (levels.py), the text of a plain tensor (protocol.py).
"""

from __future__ import annotations

from textwrap import indent
from typing import Any

from lamina.autograd import modes
from lamina.autograd.graph import Output
from lamina.core.tensor import Tensor, wrap
from lamina.primitives import shape as s
from lamina.primitives.levels import Batched, Level, PlaceNode, edge_of_value, levels_of, reached, whole_of


def wrappers(t: Tensor) -> list[tuple[int, Level | None]]:
    """The depths of the transforms that `t` takes part in, growing, each with the level of a batch; None: of gradients."""
    found: dict[int, Level | None] = {level.depth: level for level in levels_of(t)}
    plain = whole_of(t)
    tangents = (plain._more.tangents if plain._more is not None else None) or {}
    found |= {level.depth: None for level in modes.mode().transforms if level.size is None and level.id in tangents}
    found |= {place.depth: None for place in places(t) if place.open}
    found.pop(0, None)  # a dual_level outside of all transforms
    return sorted(found.items())


def places(t: Tensor) -> list[PlaceNode]:
    """The places of transforms that the graph of `t` leads to."""
    return [node for node in reached((edge_of_value(t),)) if node.__class__ is PlaceNode]


def outlived(t: Tensor) -> bool:
    """Whether `t` was made by a function while a transform ran it, and is still there after that."""
    edge = edge_of_value(t)
    node = edge.node if edge.__class__ is Output else edge
    if node is None or isinstance(node, Tensor):
        return False
    return any(place.closed is not None and node._seq < place.closed for place in places(t))


def wrapped_text(t: Tensor, around: list[tuple[int, Level | None]]) -> str:
    """The text of a tensor that takes part in the transforms `around`."""
    dims = {}
    inner = t
    while inner.__class__ is Batched:
        dims[inner._level], inner = inner._given_dim, inner._value
    shown = s.permute_(inner, dims=_order(t)[0]) if any(dims.values()) else inner
    if any(level is None for _, level in around):
        shown = wrap(shown._array, shown._kind)
    text = repr(shown)
    for depth, level in around:
        kind = f"GradTrackingTensor(lvl={depth}" if level is None else f"BatchedTensor(lvl={depth}, bdim={dims[level]}"
        text = f"{kind}, value=\n{indent(text, '    ')}\n)"
    return text


def as_given(t: Any) -> tuple[Tensor, int]:
    """All entries of a batch, and along which dimension: where they lay in the argument of vmap, if it is one."""
    d = t._given_dim
    if not d:
        return t._value, 0
    n = t._value._array.ndim
    return s.permute_(t._value, dims=(*range(1, d + 1), 0, *range(d + 1, n))), d


def _order(t: Any) -> tuple[list[int], list[int]]:
    """The dimensions of all entries behind `t` in the order in which they were given, and those of them that one entry has."""
    if t.__class__ is not Batched:
        every = list(range(t._array.ndim))
        return every, every
    order, (batch, *entry) = _order(t._value)
    among = iter([*entry[: t._given_dim], batch, *entry[t._given_dim :]])
    return [next(among) if n == batch or n in entry else n for n in order], entry
