"""`nan="raise"`: which operation gave the first number that is not finite, of those that reach what a step leaves.

A `Witness` listens to an ordinary run and looks at every result. A value that is not finite is blamed on the operation that made it of
finite ones; what is computed from it inherits the blame. Infinity that the program itself gives (a mask's) is blamed on nobody before it
becomes NaN; and in the end only what is left counts. Here: this, and the error. Not here: how a replay notices (barriers.py).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina.autograd import modes
from lamina.compiler.barriers import Barrier
from lamina.compiler.capture.lines import Lines
from lamina.compiler.capture.purity import unwatched
from lamina.compiler.capture.recorder import Before, Recorder
from lamina.compiler.graph import Value
from lamina.core.explained import Explained, where
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.core.version import Place, getframe, users_place
from lamina.utils import _pytree as pytree


class NotFiniteError(Explained, RuntimeError):
    """A step computed NaN or infinity: the operation, the user's line, the module, the ranges of the inputs."""

    def sentence(self) -> str:
        operation, what, place, module, backward, inputs = self.fields
        parts = [f"{operation} returned {what}"]
        if place:
            parts.append(f"at {place}")
        if backward:
            parts.append(f"in the backward of {backward}")
        if module:
            parts.append(f"in module {module}")
        return f"{', '.join(parts)}; its inputs: {', '.join(inputs) or 'none'}"


class LateError(Explained, RuntimeError):
    """What a step wrote is not finite, though all that it computed before was."""

    def sentence(self) -> str:
        (kernels,) = self.fields
        return (
            "what the step wrote is not finite, though it was finite until the writing began; the memory holds what was written, by "
            + "; ".join(kernels)
        )


class Suspect(NamedTuple):
    """A call whose result is not finite."""

    order: int
    given: bool  # an input was not finite already, and nobody made it
    operation: str
    what: str
    place: Place | None
    module: str
    backward: str
    inputs: tuple[str, ...]

    def error(self) -> NotFiniteError:
        return NotFiniteError(
            self.operation, self.what, where(self.place), self.module, self.backward, list(self.inputs)
        )


class Witness(Recorder):
    """A recorder that looks at every result."""

    def __init__(self, arguments: Sequence[Tensor], before: Before, lines: Lines | None = None) -> None:
        super().__init__(arguments, before, lines)
        self.bad: dict[Value, Suspect] = {}
        self.suspects = 0
        self.modules: dict[Place, set[str]] = {}  # the modules that calls at a place were made in

    @unwatched
    def call(
        self, p: Any, tensors: Sequence[Any], arrays: Sequence[Any], params: dict[str, Any], outs: Sequence[Any]
    ) -> None:
        super().call(p, tensors, arrays, params, outs)
        place = users_place(2)
        if place is not None:
            self.modules.setdefault(place, set()).add(_module())
        if not p.view:
            inputs = [t._array if isinstance(t, Tensor) else a for t, a in zip(tensors, arrays, strict=True)]
            given = any(isinstance(v, float) and not math.isfinite(v) for v in params.values())
            self._looked(p.name, inputs, [o._array for o in outs if o is not None], given)

    @unwatched
    def copied(self, source: Array, made: Array) -> None:
        super().copied(source, made)
        self._inherited(source, made)

    @unwatched
    def write(self, target: Array, content: Array) -> None:
        found = self._buffer(target)
        before = None if found is None else found[0].value
        super().write(target, content)
        self._inherited(content, target)
        now = self._buffer(target)
        if now is not None and before in self.bad and not self.ref(target).whole():
            self.bad.setdefault(now[0].value, self.bad[before])

    def _inherited(self, source: Array, made: Array) -> None:
        """`made` gets what is in `source` (perhaps only now)."""
        one, two = self._buffer(source), self._buffer(made)
        if one is not None and two is not None and one[0].value in self.bad:
            self.bad[two[0].value] = self.bad[one[0].value]

    def _looked(self, operation: str, inputs: Sequence[Any], outs: Sequence[Array], given: bool) -> None:
        for out in outs:
            what = _fault(out)
            found = self._buffer(out) if what else None
            if found is not None:
                self.bad[found[0].value] = self._blamed(operation, what, inputs, bool(np.isnan(out).any()), given)

    def _blamed(self, operation: str, what: str, inputs: Sequence[Any], nan: bool, given: bool) -> Suspect:
        """Who is to blame for a result: what made an input of it, unless that was given; else this call."""
        guilty = [a for a in inputs if isinstance(a, np.ndarray) and _fault(a)]
        known = [self.bad[b[0].value] for a in guilty if (b := self._buffer(a)) is not None and b[0].value in self.bad]
        made = [s for s in known if not s.given]
        if made:
            return min(made)
        if nan and not any(np.isnan(a).any() for a in guilty):  # of infinite numbers
            return self._suspect(operation, what, inputs, False)
        return min(known) if known else self._suspect(operation, what, inputs, given or bool(guilty))

    def _suspect(self, operation: str, what: str, inputs: Sequence[Any], given: bool) -> Suspect:
        self.suspects += 1
        backward, made = _backward()
        modules = self.modules.get(made, set()) if made is not None else {_module()}
        return Suspect(
            self.suspects, given, operation, what, users_place(5), next(iter(modules)) if len(modules) == 1 else "",
            f"{backward}, recorded at {where(made)}" if made is not None else backward, tuple(map(_range, inputs)),
        )  # fmt: skip

    def error(self, result: Any) -> NotFiniteError | None:
        """The error about the first operation to blame for what is not finite in what the run left; None where all is finite."""
        left = [v._array for v in pytree.tree_leaves(result) if isinstance(v, Tensor)]
        for leaf, _ in self.before.leaf_grads:
            if leaf._more is not None and leaf._more.grad is not None:
                left.append(leaf._more.grad._array)
        values = [found[0].value for a in left if _fault(a) and (found := self._buffer(a)) is not None]
        for buffers in self.buffers.values():
            values.extend(b.value for b in buffers if b.value is not b.first and b.first in self.graph.inputs)
        suspects = [self.bad[v] for v in values if v in self.bad]
        return min(suspects).error() if suspects else None


def late(replay: Any) -> LateError:
    """The error about what a replay wrote: the kernels that did."""
    values: list[Value] = []
    for work in replay.program.stages:
        if isinstance(work, Barrier) and work.late:
            wrong = replay.flags[work.flags].view(np.bool_)
            values.extend(v for n, v in enumerate(work.values) if wrong[n])
    kernels = []
    for work in replay.program.work:
        if work.native and any(v in values for v in work.writes()):
            lines = dict.fromkeys(where(place) for place in work.places if place is not None)
            kernels.append(f"{work!r} at {', '.join(lines)}")
    return LateError(kernels)


def _fault(array: Any) -> str:
    """In words, how many elements are NaN or infinite; empty where none is."""
    if array.dtype.kind not in "fcV":
        return ""
    infinite = ~np.isfinite(array)
    count = int(np.count_nonzero(infinite))
    if not count:
        return ""
    nan = bool(np.isnan(array).any())
    return f"{'nan' if nan else 'infinite'} values ({count} of {array.size})"


def _range(value: Any) -> str:
    """An input in words: shape and range."""
    if value is None:
        return "none"
    array = np.asarray(value)
    if array.ndim == 0:
        return f"{array.dtype.name} {array[()]:.6g}" if array.dtype.kind in "fiu" else f"{array.dtype.name} {array[()]}"
    text = f"{array.dtype.name}{list(array.shape)}"
    if not array.size or array.dtype.kind == "c":
        return text
    if array.dtype.kind in "fV":
        finite = array[np.isfinite(array)].astype(np.float64)
        if not finite.size:
            return f"{text}, none finite"
        rest = array.size - finite.size
        return f"{text} from {finite.min():.6g} to {finite.max():.6g}" + (f" and {rest} not finite" if rest else "")
    return f"{text} from {array.min()} to {array.max()}"


def _module() -> str:
    """The module that is being called, as in "Net.fc1"; empty outside of modules."""
    module, path = sys.modules.get("lamina.nn.modules.module"), sys.modules.get("lamina.nn.modules.path")
    if module is None or path is None:
        return ""
    code = module.Module.__call__.__code__
    frame: Any = getframe(1)
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    if frame is None:
        return ""
    carrier = Exception()
    path.note_path(carrier, frame)
    return path.module_path(carrier) or ""


def _backward() -> tuple[str, Place | None]:
    """The node that the engine is running, and where the program made it."""
    frame: Any = getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__") == "lamina.autograd.engine":
            node = frame.f_locals.get("node")
            if node is not None and hasattr(node, "_code"):
                return node.name(), None if node._code is None else (node._code, node._lasti)
        frame = frame.f_back
    return "", None


def listened(function: Callable[[], Any], witness: Witness) -> Any:
    """Run `function` under `witness`; its result. Raises NotFiniteError where what it leaves is not finite."""
    before, listening = modes.current(), modes.mode().but(listener=witness)
    try:
        modes.set_current(listening)
        result = function()
    finally:
        modes.set_current(before)
    error = witness.error(result)
    if error is not None:
        raise error
    return result
