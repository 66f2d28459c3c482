"""One straight function for each recording: what a replay does, written out, because a small step's arithmetic takes a few microseconds.

Arguments and facts are checked; the program runs; counters, gradients and the result are what an eager run would have left. In the text
`self` is the replay, and all other names are the replay's own (`Replay.names`). Here: the text. Not here: what takes longer and is rarely
needed, which the text calls (replay.py).
"""

from __future__ import annotations

from collections.abc import Callable
from sys import getrefcount
from typing import Any

import numpy as np

from lamina.autograd import modes
from lamina.compiler.available import available
from lamina.compiler.barriers import Barrier
from lamina.compiler.capture.facts import MISSING, Fact
from lamina.compiler.graph import Origin, plain
from lamina.compiler.outcome import MISSED, Output, Shape
from lamina.core.changes import changes
from lamina.core.dtype import get_default_dtype
from lamina.core.generator import default_generator
from lamina.core.strokes import carry_out
from lamina.core.tensor import LEAF, Tensor, version


def straight(replay: Any) -> Callable[..., Any]:
    """The function `run(*tensors)` of a replay."""
    names = replay.names
    names.update(
        MISSED=MISSED, LEAF=LEAF, Tensor=Tensor, new=object.__new__, current=modes.current, getrefcount=getrefcount, empty=np.empty,
        changes=changes, carry_out=carry_out, self=replay, written=replay.written, mode=replay.mode,
        default=get_default_dtype, dtype=get_default_dtype(),
    )  # fmt: skip
    source = Text(replay).source()
    exec(compile(source, "<replay>", "exec"), names)  # noqa: S102 (the text is made here, of numbers and names alone)
    return names["run"]  # type: ignore[no-any-return]


def guard_table() -> Any:
    """An empty table of native guards; None where Python must ask."""
    if not available():
        return None
    from lamina.compiler.runtime import guards  # only where native code is

    return guards.GuardTable() if guards.available() else None


class Text:
    """The text of a replay's function, and the names in it."""

    def __init__(self, replay: Any) -> None:
        self.replay, self.names = replay, replay.names
        self.lines: list[str] = []
        self.arguments = [f"t{i}" for i in range(len(replay.shapes))]

    def add(self, line: str) -> None:
        self.lines.append(line)

    def source(self) -> str:
        self.add(f"def run({', '.join(self.arguments)}):")
        self.add("    if current() is not mode or default() is not dtype: return MISSED")
        self._checked()
        self._facts()
        self._read()
        passed = self._fresh()
        self._run(passed)
        self._left()
        return "\n".join(self.lines)

    # ---- before the program --------------------------------------------------------------------------------------------

    def _checked(self) -> None:
        """The arguments are like those of the recording."""
        replay, names, add = self.replay, self.names, self.add
        for i, s in enumerate(replay.shapes):
            names[f"c{i}"], names[f"k{i}"], names[f"s{i}"], names[f"r{i}"] = s.cls, s.kind, s.shape, s.strides
            add(f"    if t{i}.__class__ is not c{i} or t{i}._kind is not k{i}: return MISSED")
            add(f"    a{i} = t{i}._array")
            add(f"    if a{i}.shape != s{i} or a{i}.strides != r{i} or not {_place_test(i, s)}: return MISSED")
            add(f"    if t{i}._more is not None and not self.simple(t{i}): return MISSED")
            if s.same_as != i:
                add(f"    if a{i} is not a{s.same_as}: return MISSED")
            add(f"    if id(a{i}) in written or id(a{i}.base) in written: return MISSED")
        given = dict(replay.given)
        places = replay.plan.places
        if len(replay.shapes) > 1 and any(
            places[v].slot - 2 in given for v in places if not isinstance(v.origin, Origin)
        ):
            different = ", ".join(f"a{i}" for i, s in enumerate(replay.shapes) if s.same_as == i)
            add(f"    if not self.apart({different}): return MISSED")

    def _facts(self) -> None:
        """What was read is as it was. Native code says so, or knows no better: an equal number may be another object."""
        replay, names, add = self.replay, self.names, self.add
        facts, table = replay.facts, guard_table()
        native = [] if table is None else [fact for fact in (*facts.facts, *facts.members) if fact.asked_by(table)]
        if native:
            names["same"], names["hold"] = table.check(), lambda: all(fact.holds() for fact in native)
            add("    if not same() and not hold(): return MISSED")
        asked = {*map(id, native)}
        for n, fact in enumerate(facts.facts):
            if id(fact) not in asked:
                self._fact(n, fact)
        for n, members in enumerate(facts.members):
            if id(members) not in asked:
                names[f"u{n}"], names[f"ids{n}"] = members.view, members.ids
                add(f"    if [*map(id, u{n})] != ids{n}: return MISSED")
        if facts.module_facts:
            names["seen"] = facts.seen
            add("    if changes[0] != seen[0] and not self.facts.modules_hold(): return MISSED")
        for n, (read, question, answer, _) in enumerate(replay.questions):
            names[f"read{n}"], names[f"ask{n}"] = read, question
            add(f"    if ask{n}(read{n}()) is not {answer}: return MISSED")
        for leaf, had in replay.effects.had_grads:
            names[f"w{id(leaf)}"] = leaf
            add(f"    if (w{id(leaf)}._more is None or w{id(leaf)}._more.grad is None) is {had}: return MISSED")

    def _fact(self, n: int, fact: Fact) -> None:
        names, add = self.names, self.add
        names[f"f{n}"], names[f"e_{n}"] = fact.holds, fact.expected
        if fact.owner is not None and fact.always:
            names[f"j{n}"] = fact.owner
            add(f"    if j{n}.{fact.key} is not e_{n} and not f{n}(): return MISSED")
        elif fact.holder is not None:
            names[f"j{n}"], names[f"i{n}"] = fact.holder, fact.key
            default = ", e_" if fact.expected is MISSING else ""
            add(f"    if j{n}.get(i{n}{default and f'{default}{n}'}) is not e_{n} and not f{n}(): return MISSED")
        else:
            add(f"    if not f{n}(): return MISSED")

    def _read(self) -> None:
        """Memory that was there before, where it is now; numbers, as they are now."""
        replay, names, add = self.replay, self.names, self.add
        if replay.held:
            add("    if not unmoved() and not self.rebind(): return MISSED")
        for k, leaf in replay.read_grads:
            grad = leaf._more.grad._array
            names[f"l{k}"], names[f"q{k}"], names[f"e{k}"] = leaf, grad.shape, grad.strides
            add(f"    m{k} = l{k}._more.grad._array")
            add(f"    if m{k}.shape != q{k} or m{k}.strides != e{k}: return MISSED")
        for k, read in replay.live:
            names[f"v{k}"], names[f"o{k}"] = replay.memory[k], read
            add(f"    v{k}[0] = o{k}()")

    def _fresh(self) -> list[str]:
        """Memory that Python will see. Returns what the program is given."""
        replay, names, add = self.replay, self.names, self.add
        if replay.gradients:
            add("    put = not alone()")
            add("    if put: self.regrad()")
        for k, v in replay.fresh:
            ref = replay.refs.get(v)
            if ref is not None and plain(ref):
                names[f"x{k}"], names[f"y{k}"] = ref.shape, ref.dtype
                add(f"    m{k} = empty(x{k}, y{k})")
            else:
                names[f"x{k}"] = v
                add(f"    m{k} = self.empty(x{k})")
        number = dict(replay.given)
        passed = [f"a{number[k]}" if k in number else f"m{k}" for k in replay.passed]
        if replay.program.calls_python:
            for k, name in zip(replay.passed, passed, strict=True):
                add(f"    self.memory[{k}] = {name}")
            for g in replay.gradients:
                add(f"    self.memory[{g.k}] = g{g.k}._array")
        return passed

    # ---- the program, and what it leaves -------------------------------------------------------------------------------

    def _run(self, passed: list[str]) -> None:
        """The program, and in one stroke what Python sees changed afterwards."""
        replay, names, add = self.replay, self.names, self.add
        counters = self._counters()
        always = replay.other_grads or replay.program.moves
        publication = f"self.publication({self._given}, {self._made})"
        if always:
            add(f"    more = {publication}")
        elif replay.gradients:
            add(f"    more = {publication} if put else ()")
        undo, forget = self._undo(), self._forget()
        point = replay.program.point
        if point >= 0:
            names["runs"] = replay.program.runs()
            add("    ran = runs[0]")
        add("    try:")
        if not replay.work:
            add("        pass")
        for n, work in enumerate(replay.work):
            if work.__class__ is Barrier:
                names[f"flags{n}"] = flags = replay.flags[work.flags].data
                wrong = " or ".join(f"flags{n}[{i}]" for i in range(len(flags)))
                add(f"        late = {wrong}" if work.late else f"        if {wrong}: {undo}{forget}return MISSED")
                continue
            names[f"work{n}"] = work
            add(f"        work{n}({', '.join(passed) if n == replay.program.first_native else ''})")
        # No Python function is called in the last steps: all is done, or nothing was.
        last = ["carry_out(more)"] if always else ["put and carry_out(more)"] if replay.gradients else []
        steps = "".join(f"{step}; " for step in (*counters, *last)) + forget
        add("    except BaseException as error:")  # behind each call a signal's handler may have raised
        leave = "return self.failed(error)" if replay.program.calls_python else "raise"
        if point >= 0:
            add(f"        if runs[0] == ran: {undo}{forget}{leave}")
            add(f"        {steps}raise")
        else:
            add(f"        {undo}{forget}{leave}")
        if steps:
            add(f"    {steps}")
        if any(work.__class__ is Barrier and work.late for work in replay.work):
            add("    if late: self.not_finite()")

    def _left(self) -> None:
        """The result."""
        effects, names, add = self.replay.effects, self.names, self.add
        out = effects.outputs[0] if effects.single and effects.joint is None else None
        if out.__class__ is Output and out.ref is not None and plain(out.ref):
            names["kind"], names["node"] = out.kind, out.node
            add("    t = new(Tensor)")
            add(f"    t._array, t._kind, t._node = m{self.replay.plan.places[out.ref.value].slot - 2}, kind, node")
            add("    t._more = t._version_ = None")
            add("    return t")
        else:
            add(f"    return self.result({self._given}, {self._made})")

    @property
    def _given(self) -> str:
        return f"({', '.join(self.arguments)}{',' if self.arguments else ''})"

    @property
    def _made(self) -> str:
        return "{" + ", ".join(f"{k}: m{k}" for k, _ in self.replay.fresh) + "}"

    def _counters(self) -> list[str]:
        """What counts up the versions of memory that was written."""
        names = self.names
        counters: dict[int, str] = {}
        steps = []
        for n, (t, by) in enumerate(self.replay.effects.versions):
            if t.__class__ is int:
                names["version"] = version
                self.add(f"    n{n} = version(t{t})")
                steps.append(f"n{n}.n += {by}")
                continue
            names[f"n{n}"] = counter = version(t)
            if id(counter) not in counters:
                counters[id(counter)] = f"n{n}"
                names[f"b{n}"] = t
                steps.append(f"n{n}.n += {by}")
        return steps

    def _undo(self) -> str:
        """What puts the stream of random numbers back, where the run draws; a line notes where it stands."""
        if not self.replay.program.draws:
            return ""
        stream, words = default_generator, default_generator.memory()
        self.names["stream"], self.names["words"] = stream, words
        if words is None:
            self.add("    before = stream.undoing()")
            return "carry_out(before); "
        parts = ("words[:]", "stream._untouched", "stream.next_double", "stream.next_float")
        kept = [f"was{i}" for i in range(len(parts))]
        self.add(f"    {', '.join(kept)} = words.copy(), {', '.join(parts[1:])}")
        return f"{', '.join(parts)} = {', '.join(kept)}; "

    def _forget(self) -> str:
        """What lets go of the arrays of one run."""
        if not self.replay.program.calls_python:
            return ""
        names = [f"self.memory[{k}] = " for k in (*self.replay.passed, *(g.k for g in self.replay.gradients))]
        return f"{''.join(names)}None; " if names else ""


def _place_test(i: int, s: Shape) -> str:
    if s.grad == "node":
        return f"(t{i}._node is not None and t{i}._node is not LEAF)"
    return f"t{i}._node is {'LEAF' if s.grad == 'leaf' else 'None'}"
