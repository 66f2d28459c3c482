"""One ordinary run of a function, listened to: what was computed, what its Python did, what it left.

Here: putting the listeners in place and taking them away, and their answers. Not here: what they listen to (capture/), what follows from it
(api.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import chain
from types import FunctionType
from typing import Any

from lamina.autograd import modes
from lamina.compiler.backward import Joints, joint_of
from lamina.compiler.capture.guards import Facts
from lamina.compiler.capture.heap import alive
from lamina.compiler.capture.kinds import goes_on
from lamina.compiler.capture.lines import Lines
from lamina.compiler.capture.live import forget
from lamina.compiler.capture.purity import CONTAINERS, Watch
from lamina.compiler.capture.recorder import Before, Recorder
from lamina.compiler.capture.stateful import Stateful, stateful_classes
from lamina.compiler.effects import Changes, Refused, Returned, changes_of, returned
from lamina.compiler.nonfinite import Witness
from lamina.compiler.recording import Call, once_more
from lamina.core.changes import changes
from lamina.core.explained import where
from lamina.core.strokes import carry_out
from lamina.core.tensor import Tensor


class Heard:
    """A run of `function` that was listened to. `result`: what it returned. It must not outlive the decision: it holds all tensors there are.

    body: the Python function that the call comes to, whose lines are told apart. nan: look at every number. closely: ask at each line whether
    optimizers and modules changed.
    """

    def __init__(
        self, function: Callable[..., Any], call: Call, body: FunctionType | None, nan: bool, closely: bool
    ) -> None:
        self.function, self.call = function, call
        kinds = stateful_classes()
        found = alive(Tensor, *CONTAINERS, *kinds)
        before = Before(o for o in found if isinstance(o, Tensor))
        self.lines = Lines(None if body is None else body.__code__)
        self.recorder = (Witness if nan else Recorder)(call.tensors, before, self.lines)
        self.watch = Watch({id(o) for o in found if isinstance(o, CONTAINERS)}, self.lines)
        self.stateful = Stateful([o for o in found if isinstance(o, kinds)], self.recorder)
        del found
        self.lines.changed = self.stateful.moved if closely else None
        self.joint: Joints | None = None
        self._refused: str | None = None
        self.result = self._run()

    def _run(self) -> Any:
        call, recorder = self.call, self.recorder
        listening: Any = modes.mode().but(listener=recorder)
        left = [call.mode]
        undo = chain(self.watch.undoing(), self.stateful.undoing(), map(modes.set_current, left))
        try:
            modes.set_current(listening)
            with self.stateful, self.watch:
                result = self.function(*call.args, **call.kwargs)
            if _settings(modes.mode()) != _settings(listening):
                left[0] = modes.mode().but(listener=None)
                self._refused = "it leaves another mode than it found, such as whether gradients are recorded"
            if isinstance(recorder, Witness) and (error := recorder.error(result)) is not None:
                raise error
            self._way_back(result)
            return result
        finally:
            try:
                sys.setprofile(None)  # while Python looks at each call, one may be interrupted before it begins
            finally:
                carry_out(undo)
                forget(recorder.lives)

    def _way_back(self, result: Any) -> None:
        """Listen to the gradients that may flow through the call, too."""
        if self.stops() is not None:
            return
        try:
            self.joint = joint_of(self.recorder, result, self.call.tensors)
        except Refused as refused:
            self._refused = str(refused)
        if self.joint is not None:
            self.joint.repeats(once_more(self.function, self.call.args, self.call.kwargs), self.recorder)

    def stops(self) -> str | None:
        """What the run did that no replay can do, in words."""
        if self.recorder.broken is not None:
            return self.recorder.broken
        if self._refused is not None:
            return self._refused
        if self.watch.unclean is not None:
            what, place = self.watch.unclean
            return f"it {what}{_at(place)}"
        if self.recorder.escapes:
            what, place = self.recorder.escapes[0]
            return f"Python looks at a tensor's values: {what}{_at(place)}"
        return None

    def changes(self) -> Changes:
        """What it left changed. Raises Refused."""
        return changes_of(self.recorder, self.call.tensors)

    def returned(self, result: Any) -> Returned:
        """How `result`, or a part of it, can be had again. Raises Refused."""
        return returned(self.recorder, result, self.call.tensors, self.joint, self.watch.old)

    def facts(self) -> Facts:
        """What must hold for another run to be the same."""
        given = {id(t) for t in self.call.tensors}
        facts, function = Facts(self.recorder.before.ids, given), self.function
        roots = [("the function", function), *((type(o).__name__, o) for o in self.stateful.used())]
        facts.of_run(self.watch.reads.values(), roots)
        facts.of_tensors(self.recorder.read.values())
        facts.seen[0] = changes[0]
        for name, value in (*zip(self.lines.names, self.call.args, strict=False), *self.call.kwargs.items()):
            if goes_on(value):
                facts.iterator(name)
        return facts


def _settings(mode: modes.Mode) -> list[Any]:
    return [getattr(mode, name) for name in mode.__slots__]


def _at(place: Any) -> str:
    return "" if place is None else f" ({where(place)})"
