"""Native code for the loops over time of eager's recurrent layers (primitives/kernels/recurrent.py).

A step is a few kernels, the same at each step; the program of a layer is their launches, step after step, at the places that belong to
it. So what is compiled does not grow with the length of the sequences. Here: the steps as kernels, the programs, and when there is one.
Not here: what NumPy does where there is none, how kernels are written (emit/).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import numpy as np

from lamina.compiler.available import attempted
from lamina.compiler.emit import emit
from lamina.compiler.graph import Ref, Value
from lamina.compiler.loops import Body, NotNative, Val, Work
from lamina.compiler.lowering.products import product
from lamina.compiler.runtime.program import Launch, Program
from lamina.core.strided import Array
from lamina.primitives.kernels.recurrent import Order
from lamina.primitives.primitive import Slots

WORTH = 1 << 18
"""Multiplications in the loop of a layer from which on it is worth its own kernels."""
MOST = 64
"""Programs that are kept; after that no more are made."""


class Rows:
    """An array of the layer, in parts of `width` elements. role: "rows" of all steps; a "memory", with rows for what its first
    (last) step starts from; "fixed", the same at each step.
    """

    def __init__(self, slot: int, array: Array, role: str, o: Order, width: int) -> None:
        self.value = Value(slot, array.nbytes, None)
        self.dtype, self.n, self.width, self.whole = array.dtype, o.batch, width, array.shape[-1]
        step = o.batch * self.whole * self.dtype.itemsize
        self.bytes = 0 if role == "fixed" else step  # from a step to the one after it in time
        self.early, self.late = 0, 0
        if role == "memory":
            self.early, self.late = (step, 0) if o.reverse else (0, step)

    def ref(self, part: int = 0, parts: int = 1, after: bool = False) -> Ref:
        """Some parts, side by side. after: what the step makes of a memory, not what it starts from."""
        item = self.dtype.itemsize
        offset = part * self.width * item + (self.late if after else self.early)
        return Ref(self.value, offset, (self.n, parts * self.width), (self.whole * item, item), self.dtype)


class Step:
    """The kernels of a step under construction."""

    def __init__(self, o: Order, arrays: Sequence[Array], roles: str, width: int) -> None:
        given = zip(arrays, roles, strict=True)
        self.rows = [Rows(slot, a, ROLES[role], o, width) for slot, (a, role) in enumerate(given)]
        self.width, self.n = width, o.batch
        self.works: list[Work] = []

    def matrix(self, slot: int, shape: tuple[int, int]) -> Ref:
        r = self.rows[slot]
        return Ref(r.value, 0, shape, (shape[1] * r.dtype.itemsize, r.dtype.itemsize), r.dtype)

    def product(self, a: Ref, b: Ref, out: Ref, plus: Ref | None = None) -> None:
        """out = a @ b (+ plus)."""
        finish: Any = None if plus is None else lambda body, value: body.add(value, body.load(plus, plus.strides))
        self.works += product(a, b, out, finish)

    def loop(self, write: Callable[[Loop], None]) -> None:
        """One kernel over (rows, width)."""
        loop = Loop()
        write(loop)
        self.works.append(Work((self.n, self.width), 2, loop.body.insts))


class Loop:
    """Writes the body of a kernel."""

    def __init__(self) -> None:
        self.body = Body()

    def load(self, ref: Ref) -> Val:
        return self.body.load(ref, ref.strides)

    def store(self, ref: Ref, value: Val) -> None:
        self.body.store(ref, ref.strides, value)


# ---- the steps -------------------------------------------------------------------------------------------------------


def _plain(s: Step, name: str) -> None:
    out, states, _ = s.rows
    s.product(states.ref(), s.matrix(2, (s.width, s.width)), out.ref(), out.ref())

    def write(k: Loop) -> None:
        x = k.load(out.ref())
        h = k.body.tanh(x) if name == "tanh" else k.body.maximum(x, 0.0)
        k.store(out.ref(), h)
        k.store(states.ref(after=True), h)

    s.loop(write)


def _plain_grad(s: Step, name: str) -> None:
    g, made, d, dh, _ = s.rows

    def write(k: Loop) -> None:
        b, h, state = k.body, k.load(made.ref()), k.body.add(k.load(dh.ref()), k.load(g.ref()))
        slope = b.mul(b.sub(1.0, b.mul(h, h)), state) if name == "tanh grad" else b.select(b.gt(h, 0.0), state, 0.0)
        k.store(d.ref(), slope)

    s.loop(write)
    s.product(d.ref(), s.matrix(4, (s.width, s.width)), dh.ref())


def _lstm(s: Step, name: str) -> None:
    gates, bent, out, hidden, cells, _ = s.rows
    s.product(hidden.ref(), s.matrix(5, (s.width, 4 * s.width)), gates.ref(0, 4), gates.ref(0, 4))

    def write(k: Loop) -> None:
        b = k.body
        into, kept, candidate, leave = (k.load(gates.ref(part)) for part in range(4))
        into, kept, candidate, leave = b.sigmoid(into), b.sigmoid(kept), b.tanh(candidate), b.sigmoid(leave)
        cell = b.add(b.mul(kept, k.load(cells.ref())), b.mul(into, candidate))
        tanh = b.tanh(cell)
        h = b.mul(leave, tanh)
        for part, value in enumerate((into, kept, candidate, leave)):
            k.store(gates.ref(part), value)
        k.store(bent.ref(), tanh)
        k.store(out.ref(), h)
        k.store(hidden.ref(after=True), h)
        k.store(cells.ref(after=True), cell)

    s.loop(write)


def _lstm_grad(s: Step, name: str) -> None:
    g, gates, bent, cells, d, dh, dc, _ = s.rows

    def write(k: Loop) -> None:
        b = k.body
        into, kept, candidate, leave = (k.load(gates.ref(part)) for part in range(4))
        tanh, state = k.load(bent.ref()), b.add(k.load(dh.ref()), k.load(g.ref()))

        def bend(x: Val) -> Any:  # of a sigmoid
            return b.mul(x, b.sub(1.0, x))

        def turn(x: Val) -> Any:  # of a tanh
            return b.sub(1.0, b.mul(x, x))

        cell = b.add(k.load(dc.ref()), b.mul(b.mul(state, leave), turn(tanh)))
        k.store(d.ref(0), b.mul(b.mul(cell, candidate), bend(into)))
        k.store(d.ref(1), b.mul(b.mul(cell, k.load(cells.ref())), bend(kept)))
        k.store(d.ref(2), b.mul(b.mul(cell, into), turn(candidate)))
        k.store(d.ref(3), b.mul(b.mul(state, tanh), bend(leave)))
        k.store(dc.ref(), b.mul(cell, kept))

    s.loop(write)
    s.product(d.ref(0, 4), s.matrix(7, (4 * s.width, s.width)), dh.ref())


def _gru(s: Step, name: str) -> None:
    gates, share, out, states, bias, _, product = s.rows
    s.product(states.ref(), s.matrix(5, (s.width, 3 * s.width)), product.ref(0, 3))

    def write(k: Loop) -> None:
        b = k.body

        def of_state(part: int) -> Any:
            return b.add(k.load(product.ref(part)), k.load(bias.ref(part)._replace(strides=(0, bias.dtype.itemsize))))

        reset = b.sigmoid(b.add(k.load(gates.ref(0)), of_state(0)))
        update = b.sigmoid(b.add(k.load(gates.ref(1)), of_state(1)))
        own = of_state(2)
        candidate = b.tanh(b.add(k.load(gates.ref(2)), b.mul(reset, own)))
        h = b.add(candidate, b.mul(update, b.sub(k.load(states.ref()), candidate)))
        for part, value in enumerate((reset, update, candidate)):
            k.store(gates.ref(part), value)
        k.store(share.ref(), own)
        k.store(out.ref(), h)
        k.store(states.ref(after=True), h)

    s.loop(write)


def _gru_grad(s: Step, name: str) -> None:
    g, gates, share, before, d, dh, _, kept = s.rows

    def write(k: Loop) -> None:
        b = k.body
        reset, update, candidate = (k.load(gates.ref(part)) for part in range(3))
        state = b.add(k.load(dh.ref()), k.load(g.ref()))
        through = b.mul(state, update)
        inward = b.mul(b.mul(state, b.sub(1.0, update)), b.sub(1.0, b.mul(candidate, candidate)))
        outward = b.mul(inward, reset)
        k.store(d.ref(0), inward)
        k.store(d.ref(1), b.mul(b.mul(outward, k.load(share.ref())), b.sub(1.0, reset)))
        k.store(d.ref(2), b.mul(b.mul(b.sub(k.load(before.ref()), candidate), through), b.sub(1.0, update)))
        k.store(d.ref(3), outward)
        k.store(kept.ref(), through)

    s.loop(write)
    s.product(d.ref(1, 3), s.matrix(6, (3 * s.width, s.width)), dh.ref(), kept.ref())


ROLES = {"r": "rows", "m": "memory", "f": "fixed"}
STEPS: dict[str, tuple[Callable[[Step, str], None], int, str]] = {
    "tanh": (_plain, 1, "rmf"), "relu": (_plain, 1, "rmf"),
    "tanh grad": (_plain_grad, 1, "rrrff"), "relu grad": (_plain_grad, 1, "rrrff"),
    "lstm": (_lstm, 4, "rrrmmf"), "lstm grad": (_lstm_grad, 4, "rrrrrfff"),
    "gru": (_gru, 3, "rrrmfff"), "gru grad": (_gru_grad, 3, "rrrrrfff"),
}  # fmt: skip
"""By what is asked for: its kernels, how many gates there are, the roles of the arrays."""


# ---- programs --------------------------------------------------------------------------------------------------------

_programs: dict[Any, Any] = {}
_lock = Lock()


def _made(name: str, o: Order, arrays: Sequence[Array], width: int) -> Any:
    """The entry of the program of a layer; None where there is no native form."""
    step = Step(o, arrays, STEPS[name][2], width)
    try:
        STEPS[name][0](step, name)
        kernels = [(emit(kernel), operands) for kernel, operands in (work.kernel() for work in step.works)]
    except NotNative:
        return None
    strides = {r.value: r.bytes for r in step.rows}
    slots = {r.value: slot for slot, r in enumerate(step.rows)}
    forward = not name.endswith("grad")
    times = [at // o.batch for at, _ in (o.steps if forward else reversed(o.steps))]
    launches = [
        Launch(code, tuple((slots[v], offset + t * strides[v]) for v, offset in operands))
        for t in times
        for code, operands in kernels
    ]
    return Program([launches], len(arrays), 0).entries[0]


def run(name: str, o: Order, given: Sequence[Array]) -> bool:
    """Run all steps of a layer, if there is (now) a program that does. Which layers have one depends on their sizes alone."""
    first = given[0]
    width = min(a.shape[-1] for a in given)
    if o.rows * STEPS[name][1] * width * width < WORTH or first.dtype.name not in ("float32", "float64"):
        return False
    if not all(a.flags.c_contiguous and a.dtype == first.dtype for a in given):
        return False
    arrays = list(given)
    if name == "gru":
        arrays.append(np.empty((o.batch, 3 * width), first.dtype))
    elif name == "gru grad":
        arrays.append(np.empty((o.batch, width), first.dtype))
    key = (name, len(o.steps), o.batch, o.reverse, first.dtype.name, width)
    with _lock:
        entry = _programs.get(key, False)
        if entry is False:
            entry = _programs[key] = attempted(_made, name, o, arrays, width) if len(_programs) < MOST else None
    if entry is None:
        return False
    entry(*arrays)
    return True


def install() -> Any:
    """Fill the slot of the primitives; returns what fills it."""
    Slots.recurrent = staticmethod(run)
    return run
