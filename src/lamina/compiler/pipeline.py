"""From a recording to a replay: the passes, one after the other."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

from lamina.compiler import plan
from lamina.compiler.calls import Call
from lamina.compiler.capture.guards import Facts, is_optimizer
from lamina.compiler.capture.recorder import Recorder
from lamina.compiler.graph import Value
from lamina.compiler.passes.simplify import simplify
from lamina.compiler.replay import Effects, Output, Replay


def objects() -> list[Any]:
    """All objects of the program that can be told apart by class."""
    return [o for o in gc.get_objects() if hasattr(type(o), "__mro__") and len(type(o).__mro__) > 1]


def stateful() -> Iterator[Any]:
    """Library objects with Python state of their own that a run may change."""
    for o in objects():
        names = {cls.__name__ for cls in type(o).__mro__}
        if is_optimizer(o) or "LRScheduler" in names or "GradScaler" in names:
            yield o


def state_of(o: Any) -> Any:
    """What of its state a run may change, to compare."""
    if is_optimizer(o):
        return {id(p): tuple(s) if isinstance(s, dict) else id(s) for p, s in o.state.items()}
    return {k: (type(v), v) if isinstance(v, (int, float, str, bool, tuple)) else id(v) for k, v in o.__dict__.items()}


def build(recorder: Recorder, shapes: list[Any], facts: Facts, effects: Effects) -> tuple[Replay, Any]:
    """The replay of what was recorded."""
    graph = recorder.graph
    outs = [o for o in (*(o for _, o in effects.grads), *effects.outputs) if isinstance(o, Output) and o.ref is not None]
    graph.results = [o.ref for o in outs if o.ref is not None]
    finals: dict[Value, Value] = {}
    for buffers in recorder.buffers.values():
        for buffer in buffers:
            if buffer.value is not buffer.first and buffer.first in graph.inputs and buffer.first.origin.kind != "constant":
                finals[buffer.first] = buffer.value
    simplify(graph, [r.value for r in graph.results] + list(finals.values()))
    items = [Call(node) for node in graph.nodes]
    placed = plan.make(items, graph.inputs, finals, [r.value for r in graph.results])
    segments = [_calls(items), _copies(placed)]
    return Replay(placed, segments, shapes, facts, effects, len(shapes)), graph


def _calls(items: list[Call]) -> Callable[[Replay], Callable[[], None]]:
    def bind(replay: Replay) -> Callable[[], None]:
        works = [item.prepare(replay.view) for item in items]

        def run() -> None:
            for work in works:
                work()

        return run

    return bind


def _copies(placed: plan.Plan) -> Callable[[Replay], Callable[[], None]]:
    def bind(replay: Replay) -> Callable[[], None]:
        def run() -> None:
            for source, target in placed.copies:
                replay.copy(source, target)

        return run

    return bind
