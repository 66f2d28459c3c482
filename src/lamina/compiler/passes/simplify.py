"""simplify: calls whose results nobody needs are left out, and calls that compute the same again.

Reads and writes a Graph. Not here: anything about loops or memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lamina.compiler.graph import Graph, Node, Ref, Value


def simplify(graph: Graph, needed: Iterable[Value]) -> None:
    """Leave only what `needed` values depend on; of equal calls the first."""
    _same(graph, set(needed))
    _dead(graph, needed)


def _dead(graph: Graph, needed: Iterable[Value]) -> None:
    wanted = set(needed)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if node.name == "draw" or any(o is not None and o.value in wanted for o in node.outputs):
            kept.append(node)
            wanted.update(ref.value for ref in node.reads())
    kept.reverse()
    graph.nodes = kept
    graph.inputs = [v for v in graph.inputs if v in wanted]


def _same(graph: Graph, fixed: set[Value]) -> None:
    seen: dict[Any, Node] = {}
    instead: dict[Value, Value] = {}
    kept = []
    # what is written to in place is memory of its own: the next content of it stands behind this very value
    written = {
        o.value.previous for node in graph.nodes for o in node.outputs if o is not None and o.value.previous is not None
    }
    for node in graph.nodes:
        node.inputs = tuple(_moved(i, instead) if i.__class__ is Ref else i for i in node.inputs)
        key = _key(node)
        if key is not None:
            first = seen.setdefault(key, node)
            values = [o.value for o in node.outputs if o is not None]
            both = [*values, *(o.value for o in first.outputs if o is not None)]
            if (
                first is not node
                and not any(v in fixed or v.previous is not None for v in values)
                and written.isdisjoint(both)
            ):
                for ours, theirs in zip(node.outputs, first.outputs, strict=True):
                    if ours is not None and theirs is not None:
                        instead[ours.value] = theirs.value
                continue
        kept.append(node)
    graph.nodes = kept


def _moved(ref: Ref, instead: dict[Value, Value]) -> Ref:
    other = instead.get(ref.value)
    return ref if other is None else ref._replace(value=other)


def _key(node: Node) -> Any:
    if node.name in ("draw", "update"):
        return None
    try:
        key = (
            node.name,
            tuple(
                i if i.__class__ is Ref else None if i is None else (i.value.dtype.str, i.value.tobytes())
                for i in node.inputs
            ),
            tuple(sorted(node.params.items())),
            tuple(None if o is None else o[1:] for o in node.outputs),
        )
        hash(key)
    except (TypeError, AttributeError):
        return None
    return key
