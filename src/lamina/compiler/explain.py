"""`explain()`: what became of a compiled function, as text and as a page.

Here: the text, from recordings and their replays, and times of kernels. Not here: the page (explain_page.py), how operations and bytes are
counted (accounts.py).
"""

from __future__ import annotations

import linecache
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lamina.compiler import accounts, explain_page
from lamina.compiler.calls import Call
from lamina.compiler.capture.guards import Facts
from lamina.compiler.capture.pieces import Opened, Piece
from lamina.compiler.graph import Value
from lamina.compiler.loops import Work
from lamina.compiler.outcome import MISSED, Shape
from lamina.compiler.plan import Plan
from lamina.compiler.replay import Replay
from lamina.compiler.verify import Rewind
from lamina.core.explained import where
from lamina.core.tensor import LEAF, Tensor, wrap
from lamina.primitives.elementwise import neg

SHOWN = 4
"""Guards that are read at one line are listed up to this number, and else counted."""
RUNS = 5
"""Runs that the time of a kernel is the least of."""


class Step(NamedTuple):
    """One piece of work of a program: a kernel, or a call into NumPy (no account)."""

    what: str
    lines: tuple[str, ...]
    account: accounts.Account | None
    ns: int | None  # measured
    reads: tuple[Value, ...]
    writes: tuple[Value, ...]


class Explanation(str):
    """The text, which is also a string; `html()` and `save_html(path)` give it as a page with the graph."""

    __slots__ = ("name", "programs")
    name: str
    programs: list[tuple[str, list[Step]]]

    @staticmethod
    def of(name: str, text: str, programs: list[tuple[str, list[Step]]]) -> Explanation:
        made = Explanation(text)
        made.name, made.programs = name, programs
        return made

    def __repr__(self) -> str:
        return str(self)

    def html(self) -> str:
        """The page, which needs nothing beside itself."""
        return explain_page.page(self.name, str(self), self.programs)

    def save_html(self, path: str | Path) -> Path:
        """Write the page; where it is."""
        place = Path(path)
        place.write_text(self.html(), encoding="utf-8")
        return place


def explained(compiled: Any, profile: bool = False, whole: bool = True) -> Explanation:
    """What was recorded by `compiled` (api.Compiled) and how it runs. profile: measure each kernel, on stand-ins for the arguments.
    whole: also what its lines of Python call.
    """
    lines = [f"{compiled.__name__}: {_counts(compiled)}"]
    programs: list[tuple[str, list[Step]]] = []
    if compiled.split is not None:
        lines.append(f"runs in stretches, with its Python between them, because {compiled.eager}")
        for text in _stretches(compiled.split, compiled.split.items, profile, programs):
            lines.append(f"  {text}")
        for one in compiled.split.inner.made.values() if whole else ():
            found = explained(one, profile, whole=False)
            lines.extend(f"  {text}" for text in ("called by its Python, and compiled by itself:", *found.splitlines()))
            programs.extend((f"{one.__name__}, {name}", steps) for name, steps in found.programs)
        return Explanation.of(compiled.__name__, "\n".join(lines), programs)
    if compiled.eager is not None:
        lines.append(f"stays eager: {compiled.eager}")
    lines.extend(f"recorded anew: {reason}" for reason in compiled.anew)
    for n, recording in enumerate(compiled.recordings, 1):
        if recording.why is not None:
            lines.append(f"recording {n}: not replayed: {recording.why}")
            continue
        replay = recording.built()
        lines.append(f"recording {n}: the whole call is replayed, no Python of the program runs")
        lines.extend(f"  {line}" for line in _guards(recording, replay))
        times = _times(replay) if profile else []
        if profile and not times:
            lines.append(
                f"  not measured: {'its guards do not hold now' if replay.program.program is not None else 'it has no kernels'}"
            )
        for what, stages, plan in _programs(replay):
            steps = list(_steps(stages.work, plan, times if what == "forward" else []))
            programs.append((f"recording {n}, {what}" if replay.effects.joint is not None else f"recording {n}", steps))
            if replay.effects.joint is not None:
                lines.append(f"  {what}")
            lines.extend(f"  {line}" for line in _account(steps, plan))
    return Explanation.of(compiled.__name__, "\n".join(lines), programs)


def _counts(compiled: Any) -> str:
    return ", ".join(f"{n} {what}" for what, n in compiled.calls.items())


def _stretches(
    split: Any, items: Sequence[Any], profile: bool, programs: list[tuple[str, list[Step]]]
) -> Iterator[str]:
    """The stretches of a split function in their order: native, or Python and why."""
    for item in items:
        if isinstance(item, Piece):
            one = split.made[item._replace(name="")]
            found = explained(one, profile)
            first, last = item.lines
            title = f"line {first}" if first == last else f"lines {first}-{last}"
            yield f"{title}: {f'native: {_counts(one)}' if one.recordings else 'not run yet'}"
            yield from (f"  {text}" for text in found.splitlines()[1:])
            programs.extend((f"{title}, {name}", steps) for name, steps in found.programs)
            continue
        statement, inner = item if isinstance(item, Opened) else (item, ())
        why = split.source.plain.get(statement) or "it holds such lines"
        text = linecache.getline(split.source.code.co_filename, statement.lineno).strip()
        yield f"line {statement.lineno}: Python: {why}   # {text}"
        for _, _, body in inner:
            yield from (f"  {text}" for text in _stretches(split, body, profile, programs))


def _programs(replay: Replay) -> Iterator[tuple[str, Any, Plan]]:
    yield "forward", replay.program, replay.plan
    joint = replay.effects.joint
    for part in () if joint is None else joint.parts:
        if part.program is not None:
            yield "backward", part.program.stages, part.program.plan


# ---- guards ----------------------------------------------------------------------------------------------------------


def _guards(recording: Any, replay: Replay) -> Iterator[str]:
    """What must be as it was, by the lines of the program that read it."""
    yield f"arguments: {', '.join(map(described, replay.shapes)) or 'none'}"
    for leaf, had in replay.effects.had_grads:
        yield f"guard: .grad of a leaf of shape {list(leaf._array.shape)} is {'there' if had else 'None'}"
    for label in dict.fromkeys(label for _, _, _, label in replay.questions):
        yield f"guard: what Python decides by {label}"
    for place, labels in _by_line(replay.facts):
        names = (
            ", ".join(labels)
            if len(labels) <= SHOWN
            else f"{', '.join(labels[: SHOWN - 1])} and {len(labels) - SHOWN + 1} more"
        )
        yield f"guard: {names}{place and '   # '}{place}"


def _by_line(facts: Facts) -> Iterable[tuple[str, list[str]]]:
    found: dict[str, dict[str, None]] = {}
    for fact in (*facts.facts, *facts.members, *facts.module_facts):
        found.setdefault(where(facts.places.get(id(fact))), {})[fact.label] = None
    return [(place, list(labels)) for place, labels in found.items()]


def described(s: Shape) -> str:
    """An argument's shape, in words."""
    grad = {"": "", "leaf": ", requires grad", "node": ", has a graph"}[s.grad]
    return f"{s.kind.dtype.name}{list(s.shape)}{grad}"


# ---- work ------------------------------------------------------------------------------------------------------------


def _steps(work: Sequence[Any], plan: Plan, times: Sequence[int]) -> Iterator[Step]:
    measured = iter(times)
    for item in work:
        places = item.places if isinstance(item, Work) else (item.node.place,) if isinstance(item, Call) else ()
        lines = tuple(dict.fromkeys(where(place) for place in places if place is not None))
        count = None
        if isinstance(item, Work):
            kernel, operands = item.kernel()
            count = accounts.account(kernel, [v.nbytes - offset for v, offset in operands])
        reads, writes = (tuple(dict.fromkeys(vs)) for vs in (item.reads(), item.writes()))
        yield Step(repr(item), lines, count, next(measured, None) if item.native else None, reads, writes)


def _account(steps: Sequence[Step], plan: Plan) -> Iterator[str]:
    counted = [s.account for s in steps if s.account is not None]
    moved = sum(a.read + a.written for a in counted)
    yield (
        f"memory: {amount(plan.arena)}B planned at the peak; an eager run holds {amount(plan.eager_bytes)}B at its peak"
    )
    calls = sum(s.what.startswith("call ") for s in steps)
    yield f"work: {len(counted)} kernels, {calls} calls into NumPy; {amount(moved)}B moved, {amount(sum(a.flops for a in counted))}flop"
    timed = any(s.ns is not None for s in steps)
    for s in steps:
        figures = (
            f"{'':16}"
            if s.account is None
            else f"{amount(s.account.flops):>6}flop {amount(s.account.read + s.account.written):>6}B"
        )
        time = f"{s.ns / 1e3:9.2f} us " if s.ns is not None else f"{'':13}" if timed else ""
        source = ", ".join(line.split("  ")[0] for line in s.lines)
        yield f"  {time}{figures}  {s.what}{source and '   # '}{source}"


def amount(n: float) -> str:
    """A number with a prefix: 12.3M."""
    for prefix in ("", "k", "M", "G"):
        if n < 999.5:
            return f"{n:.3g} {prefix}"
        n /= 1000
    return f"{n:.3g} T"


# ---- times -----------------------------------------------------------------------------------------------------------


def _times(replay: Replay) -> list[int]:
    """Nanoseconds of each kernel, in their order; empty where the replay does not fit what is there now. Nothing is changed."""
    program = replay.program.program
    if program is None:
        return []
    tensors: list[Tensor] = []
    for i, s in enumerate(replay.shapes):
        tensors.append(tensors[s.same_as] if s.same_as != i else _stand_in(s))
    times = program.profile()
    runs = []
    try:
        for _ in range(RUNS):
            rewind = Rewind(replay, tensors)
            try:
                if replay.run(*tensors) is MISSED:
                    return []
            finally:
                rewind.back()
            runs.append(np.concatenate(times))
    finally:
        program.profile(False)
    return np.min(runs, axis=0).tolist()  # type: ignore[no-any-return]


def _stand_in(s: Shape) -> Tensor:
    """A tensor that a recording takes for its argument: ones, or the index 0."""
    dtype = np.dtype(s.kind.np)
    low = sum((n - 1) * -stride for n, stride in zip(s.shape, s.strides, strict=True) if stride < 0)
    span = sum((n - 1) * abs(stride) for n, stride in zip(s.shape, s.strides, strict=True)) + dtype.itemsize
    array = np.ndarray(s.shape, dtype, np.zeros(span, np.uint8), low, s.strides)
    if dtype.kind not in "biu":
        array[...] = 1
    t: Tensor = object.__new__(s.cls)
    t._array, t._kind = array, s.kind
    t._node = t._version_ = t._more = None
    if s.grad == "leaf":
        t._node = LEAF
    elif s.grad == "node":
        leaf = wrap(np.ones(1, np.float32))
        leaf._node = LEAF
        t._node = neg(leaf)._node
    return t
