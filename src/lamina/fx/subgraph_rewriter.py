"""Parts of a graph exchanged for others: what looks like one function is replaced by another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from lamina.fx.graph import Graph
from lamina.fx.graph_module import GraphModule
from lamina.fx.node import Node
from lamina.fx.tracer import symbolic_trace


class Match(NamedTuple):
    """One place where the pattern was found: the node of its result, and which node stands for each of the pattern's."""

    anchor: Node
    nodes_map: dict[Node, Node]


def replace_pattern(
    gm: GraphModule, pattern: Callable[..., Any] | GraphModule, replacement: Callable[..., Any] | GraphModule
) -> list[Match]:
    """Replace each part of `gm` that computes what `pattern` computes by `replacement`, which takes the same arguments.

    Parts that overlap one found before, or whose inner values are used elsewhere, stay. Returns the places.
    """
    wanted, instead = _graph_of(pattern), _graph_of(replacement)
    matches: list[Match] = []
    taken: set[Node] = set()
    for node in gm.graph.nodes:
        found = _match(wanted, node)
        if found is not None and not taken.intersection(_inner(wanted, found)):
            taken.update(_inner(wanted, found))
            matches.append(Match(node, found))
    swapped: dict[Node, Node] = {}
    for match in matches:
        _replace(gm, wanted, instead, match, swapped)
    gm.recompile()
    return matches


def _graph_of(given: Any) -> Graph:
    if isinstance(given, Graph):
        return given
    return given.graph if isinstance(given, GraphModule) else symbolic_trace(given).graph


def _inner(pattern: Graph, found: dict[Node, Node]) -> set[Node]:
    return {found[n] for n in pattern.nodes if n in found and n.op not in ("placeholder", "output")}


def _match(pattern: Graph, anchor: Node) -> dict[Node, Node] | None:
    """Which nodes stand for the pattern's, if its result is `anchor`."""
    result = pattern.output_node().args[0]
    if not isinstance(result, Node):
        raise NotImplementedError("replace_pattern: a pattern with several results is not there; return one value")
    found: dict[Node, Node] = {}
    if not _same(result, anchor, found):
        return None
    inner = _inner(pattern, found)
    if any(user not in inner for node in inner if node is not anchor for user in node.users):
        return None
    return found


def _same(pattern: Any, given: Any, found: dict[Node, Node]) -> bool:
    if not isinstance(pattern, Node):
        if isinstance(pattern, (tuple, list)):
            return (
                isinstance(given, (tuple, list))
                and len(pattern) == len(given)
                and all(_same(p, g, found) for p, g in zip(pattern, given, strict=True))
            )
        if isinstance(pattern, dict):
            return (
                isinstance(given, dict)
                and pattern.keys() == given.keys()
                and all(_same(v, given[k], found) for k, v in pattern.items())
            )
        return type(pattern) is type(given) and bool(pattern == given)
    if pattern in found:
        return found[pattern] is given
    if pattern.op == "placeholder":
        if isinstance(given, Node):
            found[pattern] = given
        return isinstance(given, Node)
    if not isinstance(given, Node) or pattern.op != given.op or pattern.target != given.target:
        return False
    found[pattern] = given
    return _same(pattern.args, given.args, found) and _same(pattern.kwargs, given.kwargs, found)


def _replace(gm: GraphModule, pattern: Graph, instead: Graph, match: Match, swapped: dict[Node, Node]) -> None:
    inputs = [n for n in pattern.nodes if n.op == "placeholder"]
    targets = [n for n in instead.nodes if n.op == "placeholder"]
    if len(inputs) != len(targets):
        raise AssertionError(
            f"pattern and replacement take different numbers of arguments: {len(inputs)} and {len(targets)}"
        )
    values = {
        t: swapped.get(match.nodes_map[i], match.nodes_map[i])
        for t, i in zip(targets, inputs, strict=True)
        if i in match.nodes_map
    }
    with gm.graph.inserting_before(match.anchor):
        result = gm.graph.graph_copy(instead, values)
    if isinstance(result, Node):
        match.anchor.replace_all_uses_with(result)
        swapped[match.anchor] = result
    inner = _inner(pattern, match.nodes_map)
    for node in [n for n in reversed(gm.graph.nodes) if n in inner]:
        if not node.users:
            gm.graph.erase_node(node)
