"""A recording that can be run again: its program, what it reads anew, and what Python sees of it afterwards.

The order of a replay: arguments and facts are checked; the program runs; gradients, versions and results are handed to Python
as an eager run would have left them. All of it is one straight function (straight.py). Here: what that works on, and what it calls
where something is not as it was. Not here: how the program came to be (api.py, passes/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from sys import getrefcount
from typing import Any

import numpy as np

from lamina.compiler.barriers import Barrier
from lamina.compiler.bound import Bound, elements_at, low_address
from lamina.compiler.capture.guards import Facts
from lamina.compiler.graph import Origin, Ref, Value, plain
from lamina.compiler.nonfinite import late
from lamina.compiler.outcome import MISSED, Effects, Output, Shape
from lamina.compiler.plan import Plan
from lamina.compiler.straight import guard_table, straight
from lamina.core.strided import Array, owner_of
from lamina.core.strokes import attributes, contents
from lamina.core.tensor import Tensor, more, version, wrap
from lamina.core.version import is_own


class Gradient:
    """The `.grad` that a replay leaves at a leaf: one tensor, used again as long as nobody else holds it."""

    __slots__ = ("about", "k", "leaf", "out")

    def __init__(self, k: int, leaf: Tensor, out: Output) -> None:
        self.k, self.leaf, self.out = k, leaf, out
        self.about: Any = None  # what the leaf has beside itself, where the gradient stands


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
        self.names["alone"], self.names["unmoved"] = self._alone(), self._unmoved()
        self.run = straight(self)

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
            if now is not array:
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
                self.names["unmoved"] = never  # until all is done, as above
                self.program.bind(k, low_address(owner))
                self.memory[k], self.held[i] = owner, (k, t, now)
        self.written = self.names["written"] = self._written()
        self.names["unmoved"] = self._unmoved()
        return True

    def _unmoved(self) -> Callable[[], bool]:
        """Whether tensors that are held have the arrays that they had."""
        table = guard_table()
        if table is None:
            held = list(self.held)
            return lambda: all(t._array is array for _, t, array in held)
        for _, t, array in self.held:
            table.attribute(t, "_array", array)
        return table.check()  # type: ignore[no-any-return]

    def regrad(self) -> None:
        """Give new memory to gradients that somebody else holds, and put all back to their leaves."""
        guarded = 0 if self.names["alone"] is never else 1  # references that the native guards hold
        for g in self.gradients:
            name = f"g{g.k}"
            at_leaf = g.leaf._more is not None and g.leaf._more.grad is self.names[name]
            if (
                self.names[name] is None
                or getrefcount(self.names[name]) > ALONE + guarded - (not at_leaf)
                or getrefcount(self.names[name]._array) > ALONE_ARRAY + guarded
            ):
                self.names["alone"], guarded = never, 0
                self._new_gradient(g)
        if not guarded or any(g.leaf._more is not g.about for g in self.gradients):
            self.names["alone"] = self._alone()

    def _alone(self) -> Callable[[], bool]:
        """Whether each gradient is at its leaf, and nobody else holds it: asked natively, else said not to be known."""
        table = guard_table()
        if table is None:
            return never
        for g in self.gradients:
            tensor, g.about = self.names[f"g{g.k}"], more(g.leaf)
            table.attribute(g.leaf, "_more", g.about)
            table.item(g.about.__dict__, "grad", tensor)
            table.references(tensor, 2)  # of the names, and of the leaf
            table.references(tensor._array, 1)
        return table.check()  # type: ignore[no-any-return]

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

    # ---- how a run ended ------------------------------------------------------------------------------------------------

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


def never() -> bool:
    return False


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
