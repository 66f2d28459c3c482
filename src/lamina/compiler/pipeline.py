"""From a recording to a replay: the passes, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lamina.compiler import forms, plan
from lamina.compiler.available import available
from lamina.compiler.barriers import Barrier, expected, finite
from lamina.compiler.bound import Bound
from lamina.compiler.calls import Call
from lamina.compiler.capture.guards import Facts
from lamina.compiler.capture.recorder import Recorder
from lamina.compiler.graph import Graph, Node, Origin, Ref, Value
from lamina.compiler.kept import Entry
from lamina.compiler.loops import Work
from lamina.compiler.lowering import lower
from lamina.compiler.lowering.shapes import copied
from lamina.compiler.outcome import Effects, Output
from lamina.compiler.passes.bounds import asking, bounds
from lamina.compiler.passes.fuse import fuse
from lamina.compiler.passes.simplify import simplify
from lamina.compiler.replay import Replay
from lamina.core.strided import address

if TYPE_CHECKING:
    from lamina.compiler.runtime.code import Code
    from lamina.compiler.runtime.program import Launch


def build(
    recorder: Recorder, shapes: list[Any], facts: Facts, effects: Effects, mode: Any, nan: bool = False
) -> Replay:
    """The replay of what was recorded. nan: it looks at what it leaves, and stops where that is not finite."""
    graph = recorder.graph
    outs = [
        o for o in (*(o for _, o in effects.grads), *effects.outputs) if isinstance(o, Output) and o.ref is not None
    ]
    graph.results = [o.ref for o in outs if o.ref is not None]
    kept = [] if effects.joint is None else effects.joint.saved
    shown = [o.ref.value for o in effects.outputs if isinstance(o, Output) and o.ref is not None]
    grads = [o.ref.value for _, o in effects.grads if o.ref is not None]
    again = {v for v in grads if grads.count(v) == 1}.difference(shown, kept)
    placed, stages = planned(graph, recorder.finals, [*(r.value for r in graph.results), *kept], nan=nan, again=again)
    return Replay(placed, stages, shapes, facts, recorder.questions, effects, mode)


def planned(
    graph: Graph, finals: dict[Value, Value], owned: list[Value], asks: bool = True, nan: bool = False, again: Collection[Value] = (),
) -> tuple[plan.Plan, Stages]:  # fmt: skip
    """A graph as work in its order, with the place of every value. owned: values that get memory of their own; asks: whether
    indices are to be looked at (else somebody has done so); nan: whether what is left is (barriers.finite); again: as plan.make's.
    """
    passes = partial(_passes, graph, finals, owned, asks, nan, again)
    entry = Entry.of(graph, finals, owned, asks, nan, set(again)) if available() else None
    known = None if entry is None else entry.read()
    if known is not None:
        placed, stages, early = known
        return placed, Stages(placed, stages, early, lambda: passes()[1], entry)
    placed, work, moves = passes()
    stages = _stages(work, moves)
    early = _early(stages, placed)
    stages = [_launches(stage, placed) if isinstance(stage, list) else stage for stage in stages]
    if entry is not None:
        entry.write((placed, stages, early))
    return placed, Stages(placed, stages, early, lambda: work, entry, moves)


def _passes(
    graph: Graph, finals: dict[Value, Value], owned: list[Value], asks: bool, nan: bool, again: Collection[Value]
) -> tuple[plan.Plan, list[Any], list[Any]]:
    """What `planned` makes of a graph, which is changed: the plan, the work in its order, and of that the copies at the end."""
    needed = [*owned, *finals.values(), *(r.value for r in graph.expected)]
    forms.show("graph", graph.__str__)
    eager_bytes = plan.eager_peak(graph.nodes, owned)
    simplify(graph, needed)
    forms.show("simplify", graph.__str__)
    inputs = [*graph.inputs, *(v for v in finals if v not in graph.inputs)]
    if available():
        items = _kernels(graph, needed, inputs, asks)
    else:
        items = [Call(node) for node in graph.nodes]
    if graph.expected:
        items = expected(items, graph, inputs, available())
    if nan:
        items = finite(items, graph, inputs, finals, available())
    there = set(inputs)
    tables = dict.fromkeys(v for item in items for v in item.reads() if isinstance(v.origin, Origin) and v not in there)
    inputs.extend(tables)  # constants that lowering brought
    placed = plan.make(items, inputs, finals, owned, again)
    placed.eager_bytes = eager_bytes
    work: list[Any] = []
    end = _end(items)
    moves = [_moved(*pair) for pair in placed.copies]
    for i, item in enumerate(items):
        if i == end:
            work.extend(moves)
        work.extend(_moved(*pair) for pair in placed.before.get(i, ()))
        work.append(item)
    if end == len(items):
        work.extend(moves)
    forms.show("plan", lambda: forms.plan(placed, work))
    return placed, work, [] if available() else moves


def _end(items: list[Any]) -> int:
    """Where the work ends: behind it is only asked how what was written turned out."""
    end = len(items)
    while end and not items[end - 1].native and items[end - 1].late:
        end -= 1
    return end


def _kernels(graph: Graph, needed: list[Value], inputs: list[Value], asks: bool) -> list[Any]:
    """The nodes as loops, joined; where they pick elements by integers, what asks about these stands in front."""
    unasked: tuple[list[Node], list[Node], list[Any], set[int]] = ([], graph.nodes, [], set())
    first, rest, questions, unsure = bounds(graph) if asks else unasked
    main = [work for node in rest for work in ([Call(node)] if id(node) in unsure else lower(node))]
    if not questions:
        forms.show("lower", lambda: forms.loops(main))
        joined = fuse(main, needed)
        forms.show("fuse", lambda: forms.loops(joined))
        return joined
    origin = Origin("flags", len(questions))
    barrier, flags = Barrier(origin, "indices are in bounds?"), graph.value(len(questions), origin)
    inputs.append(flags)
    asked = [work for node in first for work in lower(node)]
    for n, question in enumerate(questions):
        if question.places.size:
            asked.extend(asking(question, Ref(flags, n, (), (), np.dtype(np.bool_))))
    later = {v for work in main for v in work.reads()}
    forms.show("lower", lambda: forms.loops([*asked, barrier, *main]))
    joined = [*fuse(asked, [*needed, *later, flags]), barrier, *fuse(main, needed)]
    forms.show("fuse", lambda: forms.loops(joined))
    return joined


def _moved(source: Value, target: Value) -> Any:
    """The bytes of a value, copied to the memory of another."""
    n = source.nbytes
    refs = [Ref(v, 0, (n,), (1,), np.dtype(np.uint8)) for v in (source, target)]
    if not available():
        return Call(Node("copy", None, (refs[0],), {}, (refs[1],), None))
    made = copied(*refs)
    made.names = ("move",)
    return made


def _stages(work: Sequence[Any], moves: Sequence[Any]) -> list[Any]:
    """The work without the moves: calls and barriers, and between them lists of what is native."""
    stages: list[Any] = []
    apart = {*map(id, moves)}
    for item in work:
        if id(item) in apart:
            continue
        if not item.native:
            stages.append(item)
        elif stages and isinstance(stages[-1], list):
            stages[-1].append(item)
        else:
            stages.append([item])
    return stages


def _point(stages: Sequence[Any]) -> int:
    """The number of the last stage that may not fail or stop; -1 where that is not a native one."""
    end = len(stages)
    while end and not isinstance(stages[end - 1], list) and stages[end - 1].late:
        end -= 1
    return end - 1 if end and isinstance(stages[end - 1], list) else -1


def _early(stages: Sequence[Any], placed: plan.Plan) -> set[Value]:
    """What is written before that stage, not to the arena."""
    point = _point(stages)
    before = stages[:point] if point >= 0 else stages
    items = [item for stage in before for item in (stage if isinstance(stage, list) else [stage])]
    return {v for item in items for v in item.writes() if placed.places[v].slot >= 2}


def _launches(items: Sequence[Work], placed: plan.Plan) -> list[Launch]:
    """Native work as kernels' text, and the places in memory that they work on."""
    from lamina.compiler.emit import emit  # only where something is compiled
    from lamina.compiler.runtime.program import Launch

    launches = []
    codes: dict[Any, Code] = {}  # equal kernels are written once
    for item in items:
        kernel, operands = item.kernel()
        code = codes.get(kernel)
        if code is None:
            code = codes[kernel] = emit(kernel)
        forms.show("emit", lambda code=code, item=item: f"; {item!r}\n{code.ir}")  # type: ignore[misc]
        places = [(placed.places[v], extra) for v, extra in operands]
        launches.append(Launch(code, tuple((p.slot, p.offset + extra) for p, extra in places)))
    return launches


class Stages:
    """The work in its order: runs of kernels as segments of one native program, calls between them.

    What was there before is written by the last stage that may not fail or stop, `point`, alone: a native one, or where there are no
    kernels by copies (`moves`), which are no stage. So whatever interrupts a run, all is written or nothing.
    """

    def __init__(
        self, placed: plan.Plan, stages: list[Any], early: set[Value], work: Callable[[], list[Any]], entry: Entry | None,
        moves: Sequence[Call] = (),
    ) -> None:  # fmt: skip
        self.plan, self.moves = placed, moves
        self.stages = stages  # Call, Barrier, or the list of a segment's launches
        self.early = early  # what is written before `point`, not to the arena
        self._work, self._entry = work, entry
        self.first_native = next((i for i, stage in enumerate(stages) if isinstance(stage, list)), -1)
        self.calls_python = any(not isinstance(stage, (list, Barrier)) for stage in stages)
        self.draws = any(isinstance(stage, Call) and stage.node.name == "draw" for stage in stages)
        self.point = _point(stages)
        self.program: Any = None

    @cached_property
    def work(self) -> list[Any]:
        """What the passes made, in its order: to explain it, or to search in it."""
        return self._work()

    def forget(self) -> None:
        """Let no other process find this program: it computed something else."""
        if self._entry is not None:
            self._entry.drop()

    def runs(self) -> memoryview:
        """How often `point` ran to its end, as one number that native code counts up."""
        found: memoryview = self.program.runs(sum(isinstance(stage, list) for stage in self.stages[: self.point]))
        return found

    def place(self, replay: Bound) -> None:
        """Compile, and bind what does not move: `replay` knows which slots are given at each call."""
        segments = [stage for stage in self.stages if isinstance(stage, list)]
        if not segments:
            return
        from lamina.compiler.runtime.program import Program  # only where native code is

        given = [2 + k for k in replay.passed]
        self.program = Program(segments, self.plan.slots, 2, [given, *[()] * (len(segments) - 1)])
        self.program.bind(0, address(replay.arena))
        self.program.bind(1, address(replay.constants))

    def bind(self, k: int, where: int) -> None:
        """Let the dynamic slot `k` stand for the memory at `where`."""
        if self.program is not None:
            self.program.bind(2 + k, where)

    def calls(self, replay: Bound) -> list[Any]:
        """What to call, in order, for one run; the first native one takes the arrays of the slots that are given."""
        entries = iter(() if self.program is None else self.program.entries)
        return [
            next(entries)
            if isinstance(stage, list)
            else stage
            if isinstance(stage, Barrier)
            else stage.prepare(replay.view)
            for stage in self.stages
        ]

    def __str__(self) -> str:
        kernels = sum(item.native for item in self.work)
        lines = [f"{kernels} kernels, {len(self.work) - kernels} calls into NumPy, arena {self.plan.arena} bytes"]
        return "\n".join(lines + [f"  {item!r}" for item in self.work])
