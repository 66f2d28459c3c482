"""A recording that can be run again: its program, what it reads anew, and what Python sees of it afterwards.

The order of a replay: arguments and facts are checked; the program runs; gradients, versions and results are handed to Python
as an eager run would have left them. All of it is one straight function, written out for each recording (`_source`), because
a small step's arithmetic takes a few microseconds. Here: this. Not here: how the program came to be (api.py, passes/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from sys import getrefcount
from typing import Any, NamedTuple

import numpy as np

from lamina.autograd import modes
from lamina.compiler.barriers import Barrier
from lamina.compiler.bound import Bound, elements_at, low_address
from lamina.compiler.capture.guards import MISSING, Fact, Facts
from lamina.compiler.graph import Origin, Ref, Value, plain
from lamina.compiler.nonfinite import late
from lamina.compiler.plan import Plan
from lamina.core.changes import changes
from lamina.core.dtype import get_default_dtype
from lamina.core.generator import default_generator
from lamina.core.strided import Array, owner_of
from lamina.core.strokes import attributes, carry_out, contents
from lamina.core.tensor import LEAF, Tensor, more, version, wrap
from lamina.core.version import is_own


class Shape(NamedTuple):
    """What must hold of a tensor that is given as an argument."""

    cls: type
    kind: Any
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    grad: str  # its place in the graph: "leaf", "node", or "" for none
    same_as: int  # the first argument with the same memory


class Output(NamedTuple):
    """One tensor of what the call returns, or of the gradients it leaves."""

    ref: Ref | None  # new memory
    tensor: Any  # or: this very tensor, or the number of the argument
    kind: Any = None
    node: Any = None  # its (freed) place in the graph


class Effects(NamedTuple):
    """What a run leaves for Python to see, beside what it wrote into memory."""

    grads: list[
        tuple[Tensor, Output]
    ]  # leaves whose `.grad` is another one afterwards (Output.ref and .tensor None: no gradient)
    versions: list[tuple[Any, int]]  # whose versions grew (a tensor, or the number of an argument), and by how much
    outputs: list[Any]  # an Output for a tensor, else the value itself
    rebuild: Callable[[list[Any]], Any]
    single: bool  # the result is one tensor
    had_grads: list[tuple[Tensor, bool]]  # leaves whose `.grad` was there, or was not, and that counted
    joint: Any = None  # how gradients flow through the call (backward.Joints), where they may


MISSED: Any = type("Missed", (), {"__repr__": lambda self: "MISSED"})()
"""What a replay returns when it does not fit the call; nothing has been changed then."""


class Gradient:
    """The `.grad` that a replay leaves at a leaf: one tensor, used again as long as nobody else holds it."""

    __slots__ = ("k", "leaf", "out")

    def __init__(self, k: int, leaf: Tensor, out: Output) -> None:
        self.k, self.leaf, self.out = k, leaf, out


class Replay(Bound):
    """One recording, ready to run: `run(*tensors)` gives the result, or MISSED."""

    def __init__(
        self, plan: Plan, program: Any, shapes: list[Shape], facts: Facts, questions: Sequence[Any], effects: Effects, mode: Any
    ) -> None:  # fmt: skip
        super().__init__(plan)
        self.program, self.shapes, self.facts, self.effects = program, shapes, facts, effects
        self.questions, self.mode = list(questions), mode
        self.held: list[tuple[int, Tensor, Array]] = []
        self.live: list[tuple[int, Any]] = []
        self.given: list[tuple[int, int]] = []
        self.read_grads: list[tuple[int, Tensor]] = []
        self.made: list[tuple[int, Value]] = []
        self.bound: list[int] = []
        self._failed = False
        self.flags: dict[Origin, Array] = {}  # what barriers ask
        for k, what in enumerate(plan.dynamic):
            if not isinstance(what, Origin):
                self.made.append((k, what))
            elif what.kind == "held":
                self.held.append((k, what.which, what.which._array))
                self.memory[k] = owner_of(what.which._array)
            elif what.kind == "live":
                self.live.append((k, what.which))
                self.memory[k] = np.zeros(1, np.float64)
            elif what.kind == "flags":
                self.memory[k] = self.flags[what] = np.zeros(-(-what.which // 8), np.int64)
                self.bound.append(k)
            elif what.kind == "argument":
                self.given.append((k, what.which))
            else:
                self.read_grads.append((k, what.which))
        self.refs: dict[Value, Ref] = {}
        for out in (*(o for _, o in effects.grads), *effects.outputs):
            if isinstance(out, Output) and out.ref is not None:
                self.refs.setdefault(out.ref.value, out.ref)
        places: dict[Value, list[int]] = {}
        for n, out in enumerate(effects.outputs):
            if isinstance(out, Output) and out.ref is not None:
                places.setdefault(out.ref.value, []).append(n)
        self.views = [ns for ns in places.values() if len(ns) > 1]  # results that lie in the same memory
        slot = {v: k for k, v in self.made}
        shown = {o.ref.value for o in effects.outputs if isinstance(o, Output) and o.ref is not None}
        self.gradients: list[Gradient] = []
        self.other_grads: list[tuple[Tensor, Output]] = []
        once: set[Value] = set(program.early)  # a run that stops has written these: new memory each time
        for leaf, out in effects.grads:
            v = None if out.ref is None else out.ref.value
            if v is None or v in shown or v in once or out.ref is None:
                self.other_grads.append((leaf, out))
            else:
                once.add(v)
                self.gradients.append(Gradient(slot[v], leaf, out))
        kept = {g.k for g in self.gradients}
        self.fresh = [(k, v) for k, v in self.made if k not in kept]
        self.passed = [k for k, _ in self.given] + [k for k, _ in self.read_grads] + [k for k, _ in self.fresh]
        program.place(self)
        for k in (*(k for k, _, _ in self.held), *(k for k, _ in self.live), *self.bound):
            program.bind(k, low_address(self.memory[k]))
        self.work = program.calls(self)
        self.written = self._written()
        for gradient in self.gradients:
            self._new_gradient(gradient)
        self.run = self._compiled()

    # ---- memory ------------------------------------------------------------------------------------------------------

    def _written(self) -> frozenset[int]:
        """The identities of arrays whose memory a run writes to, and that were there before."""
        slots = {k for k, _, _ in self.held} | {k for k, _ in self.read_grads}
        targets = {
            place.slot - 2
            for v, place in self.plan.places.items()
            if place.slot >= 2 and not isinstance(v.origin, Origin)
        }
        targets |= {self.plan.places[first].slot - 2 for _, first in self.plan.copies}
        return frozenset(id(self.memory[k]) for k in slots & targets)

    def empty(self, v: Value) -> Array:
        """New memory for a value that Python will see."""
        ref = self.refs.get(v)
        return np.empty(v.nbytes, np.uint8) if ref is None or not plain(ref) else np.empty(ref.shape, ref.dtype)

    def shown(self, array: Array, out: Output) -> Tensor:
        """The tensor of an output whose value is in `array`."""
        ref = out.ref
        assert ref is not None
        if ref is not self.refs[ref.value] or not plain(ref):
            array = elements_at(low_address(array) + ref.offset, ref, array)
        t = wrap(array, out.kind)
        t._node = out.node
        return t

    def _new_gradient(self, gradient: Gradient) -> None:
        assert gradient.out.ref is not None
        name = f"g{gradient.k}"
        self.names[name] = None  # until all is done: the next run begins anew where this is interrupted
        array = self.empty(gradient.out.ref.value)
        tensor = self.shown(array, gradient.out)
        self.program.bind(gradient.k, low_address(array))
        self.names[name] = tensor

    # ---- when something is not as it was -----------------------------------------------------------------------------

    def rebind(self) -> bool:
        """Look again where tensors that are held have their memory. False: one has another shape now."""
        for i, (k, t, array) in enumerate(self.held):
            now = t._array
            if now is not array or self.names[f"h{k}"] is not now:
                owner, before = owner_of(now), self.memory[k]
                if (now.shape, now.strides, now.dtype, owner.nbytes) != (
                    array.shape,
                    array.strides,
                    array.dtype,
                    before.nbytes,
                ):
                    return False
                if any(owner is other for j, other in enumerate(self.memory) if j != k):
                    return False
                if low_address(now) - low_address(owner) != low_address(array) - low_address(before):
                    return False
                self.names[f"h{k}"] = None  # until all is done, as above
                self.program.bind(k, low_address(owner))
                self.memory[k], self.held[i], self.names[f"h{k}"] = owner, (k, t, now), now
        self.written = self.names["written"] = self._written()
        return True

    def regrad(self) -> None:
        """Give new memory to gradients that somebody else holds, and put all back to their leaves."""
        for g in self.gradients:
            name = f"g{g.k}"
            at_leaf = g.leaf._more is not None and g.leaf._more.grad is self.names[name]
            if (
                self.names[name] is None
                or getrefcount(self.names[name]) > ALONE - (not at_leaf)
                or getrefcount(self.names[name]._array) > ALONE_ARRAY
            ):
                self._new_gradient(g)

    def publication(self, tensors: Sequence[Any], made: dict[int, Any]) -> Iterator[Any]:
        """What the end of a run has to write by Python: gradients that are not simply the run's own; memory, where there are no kernels.

        To be carried out in one stroke.
        """
        grads = [self.names[f"g{g.k}"] for g in self.gradients]
        for _, out in self.other_grads:
            if out.ref is None:
                grads.append(out.tensor if out.tensor.__class__ is not int else tensors[out.tensor])
            else:
                grads.append(self.shown(made[self.plan.places[out.ref.value].slot - 2], out))
        leaves = [*(more(g.leaf) for g in self.gradients), *(more(leaf) for leaf, _ in self.other_grads)]
        moves = [move.node for move in self.program.moves]
        targets, sources = [self.view(m.outputs[0]) for m in moves], [self.view(m.inputs[0]) for m in moves]
        return chain(attributes(leaves, "grad", grads), contents(targets, sources))

    def result(self, tensors: Sequence[Any], made: dict[int, Any]) -> Any:
        """What the call returns."""
        values = []
        for out in self.effects.outputs:
            if out.__class__ is not Output:
                values.append(out)
            elif out.ref is None:
                values.append(tensors[out.tensor] if out.tensor.__class__ is int else out.tensor)
            else:
                values.append(self.shown(self.array_of(out.ref.value, made), out))
        for first, *others in self.views:
            counter = version(values[first])
            for n in others:
                values[n]._version_ = counter
        if self.effects.joint is not None:
            self.effects.joint.attach(values, tensors, lambda v: self.array_of(v, made))
        return self.effects.rebuild(values)

    def array_of(self, v: Value, made: dict[int, Any]) -> Any:
        """The memory of a value that Python sees, in this run."""
        return made[self.plan.places[v].slot - 2]

    # ---- the straight function ---------------------------------------------------------------------------------------

    def _compiled(self) -> Callable[..., Any]:
        names = self.names
        names.update(
            MISSED=MISSED, LEAF=LEAF, Tensor=Tensor, new=object.__new__, current=modes.current, getrefcount=getrefcount, empty=np.empty,
            changes=changes, carry_out=carry_out, self=self, written=self.written, mode=self.mode,
        )  # fmt: skip
        source = self._source()
        exec(compile(source, "<replay>", "exec"), names)  # noqa: S102 (the text is made here, of numbers and names alone)
        return names["run"]  # type: ignore[no-any-return]

    def _source(self) -> str:
        names = self.names
        lines: list[str] = []
        add = lines.append
        arguments = [f"t{i}" for i in range(len(self.shapes))]
        add(f"def run({', '.join(arguments)}):")
        names["default"], names["dtype"] = get_default_dtype, get_default_dtype()
        add("    if current() is not mode or default() is not dtype: return MISSED")
        for i, s in enumerate(self.shapes):
            names[f"c{i}"], names[f"k{i}"], names[f"s{i}"], names[f"r{i}"] = s.cls, s.kind, s.shape, s.strides
            add(f"    if t{i}.__class__ is not c{i} or t{i}._kind is not k{i}: return MISSED")
            add(f"    a{i} = t{i}._array")
            add(f"    if a{i}.shape != s{i} or a{i}.strides != r{i} or not {_place_test(i, s)}: return MISSED")
            add(f"    if t{i}._more is not None and not self.simple(t{i}): return MISSED")
            if s.same_as != i:
                add(f"    if a{i} is not a{s.same_as}: return MISSED")
            add(f"    if id(a{i}) in written or id(a{i}.base) in written: return MISSED")
        if len(self.shapes) > 1 and any(
            self.plan.places[v].slot - 2 in dict(self.given)
            for v in self.plan.places
            if not isinstance(v.origin, Origin)
        ):
            add(
                f"    if not self.apart({', '.join(f'a{i}' for i, s in enumerate(self.shapes) if s.same_as == i)}): return MISSED"
            )
        for n, fact in enumerate(self.facts.facts):
            self._fact(add, n, fact)
        for n, members in enumerate(self.facts.members):
            names[f"u{n}"], names[f"ids{n}"] = members.view, members.ids
            add(f"    if [*map(id, u{n})] != ids{n}: return MISSED")
        if self.facts.module_facts:
            names["seen"] = self.facts.seen
            add("    if changes[0] != seen[0] and not self.facts.modules_hold(): return MISSED")
        for n, (read, question, answer, _) in enumerate(self.questions):
            names[f"read{n}"], names[f"ask{n}"] = read, question
            add(f"    if ask{n}(read{n}()) is not {answer}: return MISSED")
        for leaf, had in self.effects.had_grads:
            names[f"w{id(leaf)}"] = leaf
            add(f"    if (w{id(leaf)}._more is None or w{id(leaf)}._more.grad is None) is {had}: return MISSED")
        for k, t, array in self.held:
            names[f"p{k}"], names[f"h{k}"] = t, array
        if self.held:
            add("    if " + " or ".join(f"p{k}._array is not h{k}" for k, _, _ in self.held) + ":")
            add("        if not self.rebind(): return MISSED")
        for k, leaf in self.read_grads:
            names[f"l{k}"], names[f"q{k}"] = leaf, leaf._more.grad._array.shape  # type: ignore[union-attr]
            names[f"e{k}"] = leaf._more.grad._array.strides  # type: ignore[union-attr]
            add(f"    m{k} = l{k}._more.grad._array")
            add(f"    if m{k}.shape != q{k} or m{k}.strides != e{k}: return MISSED")
        for k, read in self.live:
            names[f"v{k}"], names[f"o{k}"] = self.memory[k], read
            add(f"    v{k}[0] = o{k}()")
        if self.gradients:
            tests = []
            for g in self.gradients:
                names[f"d{g.k}"] = g.leaf
                tests.append(
                    f"d{g.k}._more is None or d{g.k}._more.grad is not g{g.k} or getrefcount(g{g.k}) != {ALONE}"
                    f" or getrefcount(g{g.k}._array) != {ALONE_ARRAY}"
                )
            add("    put = " + " or ".join(tests))
            add("    if put: self.regrad()")
        for k, v in self.fresh:
            ref = self.refs.get(v)
            if ref is not None and plain(ref):
                names[f"x{k}"], names[f"y{k}"] = ref.shape, ref.dtype
                add(f"    m{k} = empty(x{k}, y{k})")
            else:
                names[f"x{k}"] = v
                add(f"    m{k} = self.empty(x{k})")
        number = dict(self.given)
        passed = [f"a{number[k]}" if k in number else f"m{k}" for k in self.passed]
        if self.program.calls_python:
            for k, name in zip(self.passed, passed, strict=True):
                add(f"    self.memory[{k}] = {name}")
            for g in self.gradients:
                add(f"    self.memory[{g.k}] = g{g.k}._array")
        made = "{" + ", ".join(f"{k}: m{k}" for k, _ in self.fresh) + "}"
        given = f"({', '.join(arguments)}{',' if arguments else ''})"
        counters = self._counters(add)
        always = self.other_grads or self.program.moves
        if always:
            add(f"    more = self.publication({given}, {made})")
        elif self.gradients:
            add(f"    more = self.publication({given}, {made}) if put else ()")
        undo, forget = self._undo(add), self._forget()
        point = self.program.point
        if point >= 0:
            names["runs"] = self.program.runs()
            add("    ran = runs[0]")
        add("    try:")
        if not self.work:
            add("        pass")
        for n, work in enumerate(self.work):
            if work.__class__ is Barrier:
                names[f"flags{n}"] = flags = self.flags[work.flags].data
                wrong = " or ".join(f"flags{n}[{i}]" for i in range(len(flags)))
                if work.late:
                    add(f"        late = {wrong}")
                else:
                    add(f"        if {wrong}: {undo}{forget}return MISSED")
                continue
            names[f"work{n}"] = work
            takes = n == self.program.first_native
            add(f"        work{n}({', '.join(passed) if takes else ''})")
        # No Python function is called in the last steps: all is done, or nothing was.
        last = ["carry_out(more)"] if always else ["put and carry_out(more)"] if self.gradients else []
        steps = "".join(f"{step}; " for step in (*counters, *last)) + forget
        add("    except BaseException as error:")  # behind each call a signal's handler may have raised
        leave = "return self.failed(error)" if self.program.calls_python else "raise"
        if point >= 0:
            add(f"        if runs[0] == ran: {undo}{forget}{leave}")
            add(f"        {steps}raise")
        else:
            add(f"        {undo}{forget}{leave}")
        if steps:
            add(f"    {steps}")
        if any(work.__class__ is Barrier and work.late for work in self.work):
            add("    if late: self.not_finite()")
        outputs = self.effects.outputs
        if (
            self.effects.joint is None
            and self.effects.single
            and outputs[0].__class__ is Output
            and outputs[0].ref is not None
            and plain(outputs[0].ref)
        ):
            k = self.plan.places[outputs[0].ref.value].slot - 2
            names["kind"], names["node"] = outputs[0].kind, outputs[0].node
            add("    t = new(Tensor)")
            add(f"    t._array, t._kind, t._node = m{k}, kind, node")
            add("    t._more = t._version_ = None")
            add("    return t")
        else:
            add(f"    return self.result({given}, {made})")
        return "\n".join(lines)

    def _counters(self, add: Callable[[str], None]) -> list[str]:
        """What counts up the versions of memory that was written; `add`: a line that finds a counter first."""
        names = self.names
        counters: dict[int, str] = {}
        steps = []
        for n, (t, by) in enumerate(self.effects.versions):
            if t.__class__ is int:
                names["version"] = version
                add(f"    n{n} = version(t{t})")
                steps.append(f"n{n}.n += {by}")
                continue
            names[f"n{n}"] = counter = version(t)
            if id(counter) not in counters:
                counters[id(counter)] = f"n{n}"
                names[f"b{n}"] = t
                steps.append(f"n{n}.n += {by}")
        return steps

    def _undo(self, add: Callable[[str], None]) -> str:
        """What puts the stream of random numbers back, where the run draws; `add`: a line that notes where it stands."""
        if not self.program.draws:
            return ""
        stream, words = default_generator, default_generator.memory()
        self.names["stream"], self.names["words"] = stream, words
        if words is None:
            add("    before = stream.undoing()")
            return "carry_out(before); "
        parts = ("words[:]", "stream._untouched", "stream.next_double", "stream.next_float")
        kept = [f"was{i}" for i in range(len(parts))]
        add(f"    {', '.join(kept)} = words.copy(), {', '.join(parts[1:])}")
        return f"{', '.join(parts)} = {', '.join(kept)}; "

    def _forget(self) -> str:
        """What lets go of the arrays of one run."""
        if not self.program.calls_python:
            return ""
        names = [f"self.memory[{k}] = " for k in (*self.passed, *(g.k for g in self.gradients))]
        return f"{''.join(names)}None; " if names else ""

    def _fact(self, add: Callable[[str], None], n: int, fact: Fact) -> None:
        names = self.names
        names[f"f{n}"], names[f"e_{n}"] = fact.holds, fact.expected
        if fact.owner is not None:
            names[f"j{n}"] = fact.owner
            add(f"    if j{n}.{fact.key} is not e_{n} and not f{n}(): return MISSED")
        elif fact.holder is not None:
            names[f"j{n}"], names[f"i{n}"] = fact.holder, fact.key
            default = ", e_" if fact.expected is MISSING else ""
            add(f"    if j{n}.get(i{n}{default and f'{default}{n}'}) is not e_{n} and not f{n}(): return MISSED")
        else:
            add(f"    if not f{n}(): return MISSED")

    def stopped(self) -> bool:
        """Whether the last run stopped because something was not finite. Asked once: then forgotten."""
        found = False
        for work in self.work:
            if work.__class__ is Barrier and work.values and not work.late:
                found |= bool(self.flags[work.flags].any())
                self.flags[work.flags][...] = 0
        return found

    def failed(self, error: BaseException) -> Any:
        """A call into NumPy raised. Its error is the program's to raise, from its own line: MISSED, unless a signal's handler raised it."""
        inner = error.__traceback__
        while inner is not None and inner.tb_next is not None:
            inner = inner.tb_next
        if not isinstance(error, Exception) or inner is None or not is_own(inner.tb_frame.f_code.co_filename):
            raise error
        self._failed = True
        return MISSED

    def refused(self) -> bool:
        """Whether the last run stopped where the library raises. Asked once: then forgotten."""
        found, self._failed = self._failed, False
        for work in self.work:
            if work.__class__ is Barrier and not work.values:
                found |= bool(self.flags[work.flags].any())
                self.flags[work.flags][...] = 0
        return found

    def not_finite(self) -> None:
        """What was written is not finite."""
        raise late(self)

    @property
    def names(self) -> dict[str, Any]:
        return self.__dict__.setdefault("_names", {})  # type: ignore[no-any-return]

    def simple(self, t: Tensor) -> bool:
        """Whether an argument's rare attributes do not matter."""
        about = t._more
        return about is None or not (
            about.hooks or about.post_hooks or about.tangents or about.broken or about.inference
        )

    def apart(self, *arrays: Array) -> bool:
        """Whether arguments, of which some are written, share no memory."""
        owners = [id(owner_of(a)) for a in arrays]
        return len(set(owners)) == len(owners)


def _place_test(i: int, s: Shape) -> str:
    if s.grad == "node":
        return f"(t{i}._node is not None and t{i}._node is not LEAF)"
    return f"t{i}._node is {'LEAF' if s.grad == 'leaf' else 'None'}"


def _calibrated() -> tuple[int, int]:
    """How many references a tensor, and its array, have that only a replay's names and its leaf hold."""
    names: dict[str, Any] = {"getrefcount": getrefcount}
    exec("def counted(): return getrefcount(g), getrefcount(g._array)", names)  # noqa: S102
    t = wrap(np.zeros(1, np.float32))
    names["g"], leaf = t, [t]
    del t
    found: tuple[int, int] = names["counted"]()
    del leaf
    return found


ALONE, ALONE_ARRAY = _calibrated()
