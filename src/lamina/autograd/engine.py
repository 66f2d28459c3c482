"""The engine: runs a graph backward, node by node, from the last made to the first.

Values are raw arrays, or Tensors where the backward is recorded itself (`create`). Here: the order, the accumulation, hooks at
their time, the freeing. Not here: what a node computes; argument checks (tensor_api.py).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from operator import attrgetter
from threading import Lock
from typing import Any
from weakref import ref

import numpy as np

from lamina.autograd import modes
from lamina.autograd.graph import Node, Output, extra_of, make
from lamina.core.strided import Array, empty_as
from lamina.core.tensor import Tensor, more, version, wrap
from lamina.core.version import users_place

_by_age = attrgetter("_seq")
_LOCKS = tuple(Lock() for _ in range(64))
getrefcount = sys.getrefcount


def run(
    roots: Sequence[tuple[Any, Any]],
    *,
    create: bool,
    keep: bool,
    captures: dict[Any, int] | None = None,
    accumulates: bool = True,
) -> list[Any]:
    """Send cotangents from `roots` (edge, value) to the leaves, or to the edges in `captures`.

    captures: edge -> position in the result; None: every leaf accumulates into its `.grad`. accumulates: captured leaves
    accumulate too, in place of being returned. create: values are Tensors, and what is done with them is recorded. keep: what
    nodes saved is not freed.
    """
    order, cells = _discover([edge for edge, _ in roots])
    stops: set[Node] = set()
    if captures is not None:
        order, cells, stops = _prune(order, cells, captures)
    sums = _Sums(cells, create, captures, accumulates)
    place = users_place(3)
    now = modes.current()
    anomaly = now.anomaly if now is not None else None
    special = captures is not None or anomaly is not None
    release = not keep
    cell_of = cells.get
    token = modes.set_current(modes.with_grad(now, create))
    try:
        for edge, value in roots:
            sums.deliver(edge, value)
        del roots
        for node in order:
            cell = cells[node]
            g = cell[0]
            cell[0] = None
            if node._extra is None and not special:
                results = (None,) * len(node._edges) if g is None else node._vjp(g, create)
            else:
                results = _with_hooks(node, g, sums, stops, anomaly)
                if results is None:
                    continue
            g = None
            if release:
                node._release(place)
            for target, value in zip(node._edges, results):  # noqa: B905 (hot)
                if target is None:
                    continue
                cell = cell_of(target)
                if cell is None or value is None or cell[1] == 1:
                    sums.deliver(target, value)
                    continue
                total = cell[0]
                if total is None:
                    cell[0] = value
                elif cell[2]:
                    total += value
                else:
                    sums.add(cell, value)
                if cell[1]:  # a leaf that waits for more
                    cell[1] -= 1
            results = value = total = None
    finally:
        modes.reset(token)
    return sums.found


def _with_hooks(node: Node, g: Any, sums: _Sums, stops: set[Node], anomaly: Any) -> Any:
    """Run a node that has hooks, or in a run that captures or looks for NaN. None: the way ends here."""
    extra, create = node._extra, sums.create
    if extra is not None:
        g = _before(node, extra, g, create)
    if sums.captures is not None:
        sums.capture(node, g)
        if node in stops:
            return None
    if g is None:
        results: Any = (None,) * len(node._edges)
    else:
        results = node._vjp(g, create) if anomaly is None else anomaly.checked(node, g, create)
    if extra is not None and extra.post_hooks:
        results = _after(extra, results, g, node, create)
    return results


Cell = list[Any]
"""What a run knows of a target: [the sum so far, how many edges lead to it (leaves; nodes 0), may the sum be added to in place]."""


def _discover(roots: Sequence[Any]) -> tuple[list[Node], dict[Any, Cell]]:
    """The nodes that `roots` reach, in the order to run, and a cell for each node and leaf."""
    cells: dict[Any, Cell] = {}
    order: list[Node] = []
    stack: list[Node] = []
    push, pop, known = stack.append, stack.pop, cells.get
    for edge in roots:  # a root is one more way to reach a leaf
        if isinstance(edge, Tensor):
            cells.setdefault(edge, [None, 0, False])[1] += 1
        else:
            node = edge.node if edge.__class__ is Output else edge
            if node not in cells:
                cells[node] = [None, 0, False]
                push(node)
    while stack:
        node = pop()
        order.append(node)
        for target in node._edges:
            if target is None:
                continue
            cell = known(target)
            if cell is None:
                if target.__class__ is Output:
                    target = target.node
                    if target not in cells:
                        cells[target] = [None, 0, False]
                        push(target)
                elif isinstance(target, Node):
                    cells[target] = [None, 0, False]
                    push(target)
                else:
                    cells[target] = [None, 1, False]
            elif cell[1]:
                cell[1] += 1
    order.sort(key=_by_age, reverse=True)
    return order, cells


def _prune(order: list[Node], cells: dict[Any, Cell], captures: dict[Any, int]) -> tuple[list[Node], dict[Any, Cell], set[Node]]:
    """Only what leads to a captured edge: nodes in order, cells, and the nodes where the way ends."""
    kept_cells: dict[Any, Cell] = {t: cells[t] for t in captures if isinstance(t, Tensor) and t in cells}
    ends = {edge.node if edge.__class__ is Output else edge for edge in captures}
    kept, stops = [], set()
    for node in reversed(order):  # producers first
        leads = any((t.node if t.__class__ is Output else t) in kept_cells for t in node._edges if t is not None)
        if leads or node in ends:
            kept_cells[node] = cells[node]
            kept.append(node)
            if not leads:
                stops.add(node)
    kept.reverse()
    return kept, kept_cells, stops


class _Sums:
    """The cotangents on their way: summed for each target until all have come."""

    def __init__(self, cells: dict[Any, Cell], create: bool, captures: dict[Any, int] | None, accumulates: bool) -> None:
        self.cells, self.create, self.captures, self.accumulates = cells, create, captures, accumulates
        self.found: list[Any] = [None] * (0 if captures is None else len(captures))

    def add(self, cell: Cell, value: Any) -> None:
        """Add to a cell that has a value: in place from the second time on."""
        if cell[2]:
            cell[0] += value
        else:
            cell[0] = cell[0] + value
            cell[2] = cell[0].__class__ is np.ndarray and not self.create

    def deliver(self, target: Any, value: Any) -> None:
        """Hand a cotangent to a node, to one of its outputs, or to a leaf; a leaf that has them all is done."""
        cell = self.cells.get(target.node if target.__class__ is Output else target)
        if cell is None:  # nobody asked
            return
        if target.__class__ is Output:
            if value is not None:
                if cell[0] is None:
                    cell[0] = [None] * target.node._width
                slots = cell[0]
                slots[target.nr] = value if slots[target.nr] is None else slots[target.nr] + value
            return
        if value is not None:
            if cell[0] is None:
                cell[0] = value
            else:
                self.add(cell, value)
        if cell[1] == 1 and cell[0] is not None:
            value, cell[0] = None, self._hooked(target, cell[0])
            self.finish(target, cell)
        elif cell[1] > 1:
            cell[1] -= 1

    def _hooked(self, leaf: Tensor, total: Any) -> Any:
        about = leaf._more
        return _through(about.hooks, total, self.create) if about is not None and about.hooks else total

    def finish(self, leaf: Tensor, cell: Cell) -> None:
        total = cell[0]
        cell[0] = None
        if self.captures is not None and not self.accumulates:
            self.found[self.captures[leaf]] = total
        else:
            accumulate(leaf, total, self.create)

    def capture(self, node: Node, g: Any) -> None:
        assert self.captures is not None
        if node._width == 1:
            at = self.captures.get(node)
            if at is not None:
                self.found[at] = g
        elif g is not None:
            for nr in range(node._width):
                at = self.captures.get(Output(node, nr))
                if at is not None:
                    self.found[at] = g[nr]


# ---- leaves ----------------------------------------------------------------------------------------------------------


def accumulate(leaf: Tensor, g: Any, create: bool) -> None:
    """Add a cotangent to `leaf.grad`: in place, or out of place where the backward is recorded."""
    about = more(leaf)
    if create:
        before = about.grad
        about.grad = g if before is None else before + g
    else:
        with _LOCKS[(id(leaf) >> 4) & 63]:
            before = about.grad
            if before is None:
                about.grad = wrap(g if _alone(g) else _copy(g), leaf._kind)
            elif before._node is not None:
                before._array = before._array + g
            else:
                np.add(before._array, g, out=before._array, casting="unsafe")
                version(before).bump("add_", None)
    if about.post_hooks:
        for hook in tuple(about.post_hooks.values()):
            hook(leaf)


def _copy(g: Any) -> Array:
    if g.__class__ is not np.ndarray:
        return np.asarray(g)
    made = empty_as(g)
    np.copyto(made, g)
    return made


def _alone(g: Any) -> bool:
    """Whether nobody but the engine's own calls holds this array, so that the leaf may keep it."""
    return g.__class__ is np.ndarray and g.base is None and g.flags.writeable and getrefcount(g) <= _alone_count


def _calibrate() -> int:
    """How many references the engine itself holds when `_alone` looks: tried on an array that nobody else has."""
    global _alone_count

    class Probe(Node):
        __slots__ = ()
        made = 0

        def _vjp(self, g: Any, create: bool) -> Any:
            fresh = np.ones(1, np.float32)
            Probe.made = id(fresh)
            return (fresh,)

    leaf = wrap(np.ones(1, np.float32))
    node = make(Probe, (leaf,))
    for _alone_count in range(32):
        more(leaf).grad = None
        run([(node, np.ones(1, np.float32))], create=False, keep=True)
        if id(more(leaf).grad._array) == Probe.made:
            return _alone_count
    return 0


# ---- hooks -----------------------------------------------------------------------------------------------------------


def _leaf_hooks(leaf: Tensor, value: Any, create: bool) -> Any:
    about = leaf._more
    if about is None or not about.hooks:
        return value
    return _through(about.hooks, value, create)


def _through(hooks: Any, value: Any, create: bool) -> Any:
    """The gradient after a tensor's hooks, each of which may replace it."""
    t = value if create else wrap(value)
    for hook in tuple(hooks.values()):
        result = hook(t)
        if result is not None:
            t = _checked(hook, result, t)
    return t if create else t._array


def _checked(hook: Any, result: Any, t: Any) -> Any:
    if not isinstance(result, Tensor):
        raise TypeError(
            f"expected Variable, but hook returned '{type(result).__name__}'"
        )
    if result._array.shape != t._array.shape:
        raise RuntimeError(
            f"hook '{getattr(hook, '__name__', repr(hook))}' has changed the size of value: the gradient has shape "
            f"{list(t._array.shape)}, the hook returned {list(result._array.shape)}"
        )
    if result._kind is not t._kind:
        raise RuntimeError(
            f"hook '{getattr(hook, '__name__', repr(hook))}' has changed the type of value (was {t._kind.dtype}, got {result._kind.dtype})"
        )
    return result


def _before(node: Node, extra: Any, g: Any, create: bool) -> Any:
    """Tensor hooks, pre-hooks and retained gradients of a node, in this order."""
    several = node._width > 1
    if several and g is None:
        g = [None] * node._width
    for nr, hooks in extra.tensor_hooks.items():
        value = g[nr] if several else g
        if value is not None:
            value = _through(hooks, value, create)
            if several:
                g[nr] = value
            else:
                g = value
    if extra.pre_hooks:
        values = tuple(g) if several else (g,)
        shown = values if create else tuple(None if v is None else wrap(v) for v in values)
        for hook in tuple(extra.pre_hooks.values()):
            result = hook(shown)
            if result is not None:
                shown = (result,) if isinstance(result, Tensor) else tuple(result)
        values = shown if create else tuple(None if v is None else v._array for v in shown)
        g = list(values) if several else values[0]
    for nr, held in extra.retain.items():
        t, value = held(), g[nr] if several else g
        if t is not None and value is not None:
            about = more(t)
            value = value if create else wrap(_copy(value))
            about.grad = value if about.grad is None else about.grad + value
    if several and all(v is None for v in g):
        return None
    return g


def _after(extra: Any, results: Any, g: Any, node: Node, create: bool) -> Any:
    """Post-hooks: they see what the node returned and what it was given."""
    given = tuple(g) if node._width > 1 and g is not None else (g,)
    ins = tuple(results)
    if not create:
        ins, given = (tuple(None if v is None else wrap(v) for v in vs) for vs in (ins, given))
    for hook in tuple(extra.post_hooks.values()):
        changed = hook(ins, given)
        if changed is not None:
            ins = (changed,) if isinstance(changed, Tensor) else tuple(changed)
    return ins if create else tuple(None if v is None else v._array for v in ins)


def retain(t: Tensor) -> None:
    """Keep the gradient of a non-leaf."""
    edge = t._node
    node, nr = (edge.node, edge.nr) if edge.__class__ is Output else (edge, 0)
    extra_of(node).retain[nr] = ref(t)


_alone_count = 0
_alone_count = _calibrate()
