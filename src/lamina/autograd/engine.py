"""The engine: runs a graph backward, node by node, from the last made to the first.

Values are raw arrays, or Tensors where the backward is recorded itself (`create`). Here: the order, the sums, the freeing.
Not here: leaves and hooks (leaves.py); what a node computes; argument checks (tensor_api.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from itertools import count
from threading import Thread, local
from typing import Any

import numpy as np

from lamina.autograd import errors, leaves, modes
from lamina.autograd.graph import Node, Output, make, several
from lamina.autograd.schedule import Cell, by_heap, discover, nodes_of, prune
from lamina.core.tensor import LEAF, Tensor, more, wrap
from lamina.core.version import backward as inside
from lamina.core.version import users_place

ndarray, add = np.ndarray, np.add
active: set[Any] = set()
"""The backwards that run, in any thread: no edge may change then."""


def run(
    roots: Sequence[tuple[Any, Any]],
    *,
    create: bool,
    keep: bool,
    captures: dict[Any, int] | None = None,
    accumulates: bool = True,
    record: bool | None = None,
    cut: bool = False,
) -> list[Any]:
    """Send cotangents from `roots` (edge, value) to the leaves, or to the edges in `captures`.

    captures: edge -> position in the result; None: every leaf accumulates into its `.grad`. accumulates: captured leaves
    accumulate too, in place of being returned, and captured nodes run. create: values are Tensors, and what is done with
    them is recorded. keep: what nodes saved is not freed. cut: no way goes beyond a captured edge.
    """
    outer = _run.sums
    if outer is not None and outer.depth >= MAX_DEPTH:
        return _in_thread(roots, create=create, keep=keep, captures=captures, accumulates=accumulates, cut=cut)
    nodes = [edge.node if edge.__class__ is Output else edge for edge, _ in roots]
    order, cells = discover(nodes, nodes_of(captures or ()) if cut else ())
    stops: set[Node] = set()
    marked: Any = ()  # nodes where the run does more than run them
    parting: Any = ()  # nodes of which it goes along some edges only
    if captures is not None:
        order, cells, stops, marked, parting = prune(order, cells, captures, accumulates, cut)
    sums = _Sums(cells, create, captures, accumulates)
    sums.keep, sums.order, sums.roots = keep, order, [edge for edge, _ in roots]
    place = users_place(3)
    if place is not None:
        _run.last, _run.fills = place, captures is None or accumulates
    now = modes.current()
    if now is not None and now.listener is not None:
        now.listener.went_back(node for node in order if node not in stops)
    anomaly = now.anomaly if now is not None else None
    if anomaly is not None:
        marked = cells
    release = not keep
    cell_of, finish = cells.get, leaves.finish
    accumulating = captures is None or accumulates
    inner = modes.with_grad(now, create if record is None else record)
    if outer is not None:
        sums.depth = outer.depth + 1
    outer_place = inside.place
    cell: list[Any] | None
    value: Any
    results: Any
    try:
        modes.set_current(inner)
        _run.sums = sums
        active.add(sums)
        inside.place = place
        if captures is not None and len(roots) == 1:  # PyTorch does not come to the others
            _visit_unneeded(*roots[0], cells, create)
        for edge, value in by_heap(roots) if len(roots) > 3 else roots:
            given = value  # one more reference: it is the caller's, a leaf must not keep it
            sums.deliver(edge, value)
        given = None  # noqa: F841 (see above)
        del roots
        for node in order:
            cell = cells[node]
            g = cell[0]
            cell[0] = None
            if node._extra is not None or (marked and node in marked):
                results = _with_hooks(node, g, sums, stops, anomaly)
                if results is None:
                    continue
            elif parting and node in parting and node._selects and g is not None:
                results = node._vjp(_array(g), create, cells)  # type: ignore[call-arg]
            elif g.__class__ is ndarray or g.__class__ is Tensor or (node._scalars and g is not None):
                results = node._vjp(g, create)
            else:
                results = _vjp(node, g, create)
            g = None
            if release:
                holds = node._holds
                if holds is True:
                    node._saved, node._versions = None, place
                elif holds:
                    node._release(place)
            edges = node._edges
            for target, value in zip(edges, results) if len(edges) < 4 else by_heap(zip(edges, results)):  # noqa: B905
                if target is None:
                    continue
                cell = cell_of(target)
                if cell is not None and value is not None:
                    total, awaited, own = cell
                    if awaited != 1:
                        if total is None:
                            cell[0] = value
                        elif own:
                            add(total, value, total)
                        else:
                            cell[0] = total = total + value
                            cell[2] = total.__class__ is ndarray
                        if awaited:  # a leaf that waits for more
                            cell[1] = awaited - 1
                        continue
                    if (
                        total is None and accumulating and value.__class__ is ndarray
                    ):  # a leaf that waited for this alone
                        finish(target, value, create, False, True)
                        continue
                sums.deliver(target, value)
            results = value = total = None
        for callback in sums.callbacks:  # they may add more
            callback()
    except errors.FreedGraphError as error:
        error.met(order)
        raise
    finally:  # an interrupt comes behind a call: what follows one is in a `finally` of its own
        _run.sums, inside.place = outer, outer_place
        try:
            modes.set_current(now)
        finally:
            active.discard(sums)
    return sums.found


def _vjp(node: Node, g: Any, create: bool) -> Sequence[Any]:
    """The cotangents of a node's inputs from what came, whatever it is: NumPy's scalar for a 0-d array, or nothing."""
    if g is None and not node._takes_none:
        node._check()
        return (None,) * len(node._edges)
    return node._vjp(_array(g), create)


def _array(value: Any) -> Any:
    """0-d arrays, which NumPy's arithmetic turns into scalars, where an array is needed."""
    return np.asarray(value) if isinstance(value, np.generic) else value


class _Run(local):
    """What a thread knows of the backward that it is in."""

    sums: Any = None  # the innermost backward
    last: Any = None  # where the program started the last one
    fills: bool = True  # and whether that one filled `.grad`


_run = _Run()
MAX_DEPTH = 30
"""A backward may be started inside a backward this often before it gets a thread, and so a Python stack, of its own."""


def _in_thread(*args: Any, **kwargs: Any) -> list[Any]:
    outcome: list[Any] = []
    context = copy_context()

    def work() -> None:
        try:
            outcome.extend((context.run(run, *args, **kwargs), None))
        except BaseException as error:
            outcome.extend((None, error))

    thread = Thread(target=work)
    thread.start()
    thread.join()
    found, error = outcome
    if error is not None:
        raise error
    return found  # type: ignore[no-any-return]


def queue_callback(callback: Callable[[], Any]) -> None:
    """Call `callback()` at the end of the backward that this thread is in. Raises RuntimeError outside of one."""
    if _run.sums is None:
        raise RuntimeError("Final callbacks can only be installed during backward pass.")
    _run.sums.callbacks.append(callback)


def last_backward() -> tuple[Any, bool]:
    """Where this thread's program started its last backward, and whether that one filled `.grad`."""
    return _run.last, _run.fills


def current_run() -> Any:
    """What stands for the backward that this thread is in (the innermost); None outside."""
    return _run.sums


def current_run_id() -> int:
    """A number that only the innermost backward of this thread has; -1 outside."""
    return -1 if _run.sums is None else _run.sums.serial


def will_execute(edge: Any) -> bool:
    """Whether the backward that this thread is in passes `edge`; as in PyTorch a lone root does not count. Raises RuntimeError for a
    leaf whose gradient is only asked for."""
    run = _run.sums
    target = edge.node if edge.__class__ is Output else edge
    lone = run.roots[0] if len(run.roots) == 1 else None
    reached = target in run.cells and (lone.node if lone.__class__ is Output else lone) is not target
    if reached and isinstance(edge, Tensor) and run.captures is not None and not run.accumulates:
        raise RuntimeError(
            "A leaf node was passed to _will_engine_execute_node but we are currently running autograd.grad(). This is currently not "
            "supported."
        )
    return reached


def current_node() -> Any:
    """The node whose Python function, or hooks, run in this thread's backward; None outside."""
    return None if _run.sums is None else _run.sums.node


@contextmanager
def running(node: Node) -> Iterator[None]:
    """In this context `node` is what this thread's backward runs: code of the user's may ask."""
    sums = _run.sums
    if sums is None:
        yield
        return
    outer, sums.node = sums.node, node
    try:
        yield
    finally:
        sums.node = outer


def _with_hooks(node: Node, g: Any, sums: _Sums, stops: set[Node], anomaly: Any) -> Any:
    """Run a node that has hooks, or in a run that captures or looks for NaN. None: the way ends here."""
    outer, sums.node = sums.node, node
    try:
        return _among_hooks(node, g, sums, stops, anomaly)
    finally:
        sums.node = outer


def _among_hooks(node: Node, g: Any, sums: _Sums, stops: set[Node], anomaly: Any) -> Any:
    extra, create = node._extra, sums.create
    g = _array(g)
    if node in stops:
        if extra is not None:
            g = leaves.tensor_hooks(node, extra, g, create)
        sums.capture(node, g)
        return None
    if sums.captures is not None and not sums.accumulates:
        sums.capture(node, g)  # as it is before the hooks: so does PyTorch where the way goes on
    if extra is not None:
        g = leaves.tensor_hooks(node, extra, g, create)
        if extra.pre_hooks:
            g = leaves.pre_hooks(node, extra, g, create)
    if g is None and not node._takes_none:
        node._check()
        results: Any = (None,) * len(node._edges)
    else:
        results = node._vjp(g, create) if anomaly is None else anomaly.checked(node, g, create)
    if extra is not None and extra.post_hooks:
        if sums.captures is not None:  # what nobody asked for is not shown
            results = [r if sums.wants(edge) else None for r, edge in zip(results, node._edges, strict=False)]
        results = leaves.after(extra, results, g, node, create)
    return results


_serial = count().__next__


def _visit_unneeded(edge: Any, value: Any, cells: dict[Any, Cell], create: bool) -> None:
    """A root that leads to nothing asked for does not run, but hooks of its tensors do, and its gradient is kept where wanted."""
    node = edge.node if edge.__class__ is Output else edge
    if isinstance(edge, Tensor) and edge not in cells and edge._more is not None and edge._more.hooks:
        with modes.set_grad_enabled(create):
            leaves.through(edge._more.hooks, value, create)
    elif isinstance(node, Node) and node not in cells and node._extra is not None:
        listed = [value if nr == edge.nr else None for nr in range(node._width)] if edge.__class__ is Output else value
        with modes.set_grad_enabled(create):
            leaves.tensor_hooks(node, node._extra, listed, create)


class _Sums:
    """The cotangents on their way: summed for each target until all have come."""

    def __init__(
        self, cells: dict[Any, Cell], create: bool, captures: dict[Any, int] | None, accumulates: bool
    ) -> None:
        self.cells, self.create, self.captures, self.accumulates = cells, create, captures, accumulates
        self.serial = _serial()
        self.depth = 0  # how many backwards are around this one
        self.callbacks: list[Callable[[], Any]] = []
        self.node: Any = None  # whose function or hooks, of the user's, run
        self.keep = False
        self.order: list[Node] = []
        self.roots: list[Any] = []
        self.found: list[Any] = [None] * (0 if captures is None else len(captures))

    def add(self, cell: Cell, value: Any) -> None:
        """Add to a cell that has a value: in place from the second time on."""
        if cell[2]:
            cell[0] += value
        else:
            cell[0] = cell[0] + value
            cell[2] = cell[0].__class__ is ndarray

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
                slots[target.nr] = _array(value if slots[target.nr] is None else slots[target.nr] + value)
            return
        direct = cell[0] is None
        if value is not None:
            if direct:
                cell[0] = value
            else:
                self.add(cell, value)
        if cell[1] == 1:
            value, cell[0] = _array(cell[0]), None
            if self.captures is not None and not self.accumulates:
                about = target._more
                if about is not None and about.grad_dtype:
                    value = leaves.as_wanted(about, value, self.create)
                if about is not None and about.hooks:
                    value = leaves.through(about.hooks, value, self.create)
                self.found[self.captures[target]] = value
            else:
                # a sum that was begun here is this run's own; so may be a lone value: the references tell
                leaves.finish(target, value, self.create, cell[2], direct)
        elif cell[1] > 1:
            cell[1] -= 1

    def wants(self, edge: Any) -> bool:
        return (edge.node if edge.__class__ is Output else edge) in self.cells

    def capture(self, node: Node, g: Any) -> None:
        assert self.captures is not None
        if not several(node):
            at = self.captures.get(node)
            if at is not None:
                self.found[at] = g
        elif g is not None:
            for nr in range(node._width):
                at = self.captures.get(Output(node, nr))
                if at is not None:
                    self.found[at] = g[nr]


def _calibrate() -> int:
    """How many references the engine itself holds when `_alone` looks: tried on an array that nobody else has."""

    class Probe(Node):
        __slots__ = ()
        made = 0

        def _vjp(self, g: Any, create: bool) -> Any:
            fresh = np.ones(1, np.float32)
            Probe.made = id(fresh)
            return (fresh,)

    leaf = wrap(np.ones(1, np.float32))
    leaf._node = LEAF
    node = make(Probe, (leaf,))
    for n in range(32):
        leaves.alone_count = n
        more(leaf).grad = None
        run([(node, np.ones(1, np.float32))], create=False, keep=True)
        if id(more(leaf).grad._array) == Probe.made:
            return n
    return 0


leaves.alone_count = _calibrate()
_run.last = None
