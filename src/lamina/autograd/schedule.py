"""The plan of a run backward: which nodes, in which order, and a cell for each target.

Here: discovery, pruning, the order among equals. Not here: the run itself (engine.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

from lamina.autograd.graph import Node, Output
from lamina.core.parameter import Parameter
from lamina.core.tensor import Tensor

_by_age = attrgetter("_seq")


Cell = list[Any]
"""What a run knows of a target: [the sum so far, how many edges lead to it (leaves; nodes 0), may the sum be added to in place]."""


def discover(roots: Sequence[Any], ends: Iterable[Node] = ()) -> tuple[list[Node], dict[Any, Cell]]:
    """The nodes that `roots` reach, in the order to run, and a cell for each node and leaf. ends: no way goes beyond these."""
    cells: dict[Any, Cell] = {node: [None, 0, False] for node in ends}
    order: list[Node] = []
    found, known = order.append, cells.get
    for edge in roots:  # a root is one more way to reach a leaf
        if isinstance(edge, Tensor):
            cells.setdefault(edge, [None, 0, False])[1] += 1
        else:
            node = edge.node if edge.__class__ is Output else edge
            if node not in cells:
                cells[node] = [None, 0, False]
                found(node)
    for node in order:  # it grows
        for target in node._edges:
            if target is None:
                continue
            cell = known(target)
            if cell is not None:
                if cell[1]:
                    cell[1] += 1
                continue
            cls = target.__class__
            if cls is Parameter or cls is Tensor:
                cells[target] = [None, 1, False]
                continue
            if cls is Output:
                target = target.node
                if target in cells:
                    continue
            elif not isinstance(target, Node):
                cells[target] = [None, 1, False]
                continue
            cells[target] = [None, 0, False]
            found(target)
    order.extend(ends)
    order.sort(key=_by_age, reverse=True)
    return order, cells


def nodes_of(edges: Iterable[Any]) -> set[Node]:
    """The nodes that edges lead to; leaves are none."""
    return {edge.node if edge.__class__ is Output else edge for edge in edges if not isinstance(edge, Tensor)}


def prune(
    order: list[Node], cells: dict[Any, Cell], captures: dict[Any, int], run_ends: bool, cut: bool
) -> tuple[list[Node], dict[Any, Cell], set[Node], set[Node], set[Node]]:
    """Only what leads to a captured edge: nodes in order, cells, (unless they run) the nodes where the way ends, captured nodes, and
    those of which some edges lead elsewhere.

    cut: the way ends at each captured edge, also where another lies behind it.
    """
    kept_cells: dict[Any, Cell] = {t: cells[t] for t in captures if isinstance(t, Tensor) and t in cells}
    ends = nodes_of(captures)
    kept: list[Node] = []
    stops, parting = set(), set()
    for node in reversed(order):  # producers first
        leads, parts = False, cut and node in ends
        for t in () if parts else node._edges:
            if t is not None:
                if (t.node if t.__class__ is Output else t) in kept_cells:
                    leads = True
                else:
                    parts = True
        if not leads:
            if node not in ends:
                continue
            if not run_ends:
                stops.add(node)
        kept_cells[node] = cells[node]
        kept.append(node)
        if parts:
            parting.add(node)
    kept.reverse()
    return kept, kept_cells, stops, ends, parting


def by_heap(pairs: Iterable[Any]) -> Iterable[Any]:
    """(edge, value) pairs, those of leaves in the order in which PyTorch's queue of equals would give them out."""
    pairs = list(pairs)
    leaves = [i for i, (edge, _) in enumerate(pairs) if isinstance(edge, Tensor)]
    if len(leaves) < 4:
        return pairs
    others = [pair for pair in pairs if not isinstance(pair[0], Tensor)]
    return [*others, *(pairs[leaves[i]] for i in _heap_order(len(leaves)))]


@lru_cache(256)
def _heap_order(n: int) -> tuple[int, ...]:
    """In which order a binary heap of `n` equal entries, filled from the front, is emptied (later sibling moves up)."""
    heap, order = list(range(n)), []
    while heap:
        order.append(heap[0])
        last = heap.pop()
        hole, size = 0, len(heap)
        while 2 * hole + 2 < size:
            heap[hole] = heap[2 * hole + 2]
            hole = 2 * hole + 2
        if 2 * hole + 1 < size:
            heap[hole] = heap[2 * hole + 1]
            hole = 2 * hole + 1
        if heap:
            heap[hole] = last
    return tuple(order)
