"""`compile`: functions, modules and whole steps that run as one native program after their first calls.

Each call takes the first of these ways that is open: the last replay, another recording that fits, in stretches (split.py), an ordinary run
that is listened to (listening.py) and becomes a recording, or the reason why it is split or stays eager; an ordinary run. Here: this
decision, call by call. Not here: what is kept of a run (recording.py), the passes, the replay.
"""

from __future__ import annotations

import functools
import sys
from collections import deque
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any
from weakref import WeakSet

from lamina.autograd import modes
from lamina.compiler.capture import escapes
from lamina.compiler.capture.heap import alive
from lamina.compiler.capture.kinds import is_module, is_optimizer
from lamina.compiler.capture.lines import Lines
from lamina.compiler.capture.pieces import Piece
from lamina.compiler.capture.recorder import Before
from lamina.compiler.capture.stateful import stateful_classes
from lamina.compiler.capture.stretches import LEAST, LITTLE
from lamina.compiler.effects import Refused, Returned, distinct, overlapping
from lamina.compiler.explain import Explanation, explained
from lamina.compiler.listening import Heard
from lamina.compiler.nonfinite import Witness, listened
from lamina.compiler.outcome import MISSED, Effects
from lamina.compiler.recording import Call, Recording
from lamina.compiler.split import Inner, Split, target_of
from lamina.compiler.turn import Turn
from lamina.compiler.verify import Rewind, verified
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.utils import _pytree as pytree

KEPT = 8
"""Recordings kept for one compiled function; the one not used for the longest time is dropped."""
TRIES = 4
"""Recordings that could not be used again before a function is left eager for good, or split, if nothing tells why."""
LONG = 2000
"""Operations of a run that is not listened to once more to see whether what stood in the way, such as a first print, comes again."""
_RECORDS = Turn()
"""One run at a time is recorded: optimizers' options are live numbers meanwhile."""
COMPILED: WeakSet[Compiled] = WeakSet()


escapes.listen()


def reset() -> None:
    """Forget all recordings, and why calls stay eager."""
    for compiled in tuple(COMPILED):
        with compiled.turn.awaited():
            compiled.recordings.clear()
            compiled.eager, compiled.split, compiled.tries, compiled._run = None, None, 0, _missed


class Compiled:
    """A function that is recorded and replayed. Called as the function itself."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any], inner: Inner | None = None) -> None:
        functools.update_wrapper(self, function)
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self._function = function
        self.options = options
        self.nan = options["nan"] == "raise"
        self.recordings: list[Recording] = []
        self.eager: str | None = None  # why it is not compiled at all
        self.split: Split | None = None  # it runs in stretches
        self.target = target_of(function)
        self._inner = inner  # what its lines of Python call, together with those of who calls it
        self.tries = 0
        self.warm = inner is not None  # it was called before
        self.patience = (
            1 if self.warm else 2
        )  # recordings in which something stood in the way: a first call fills caches
        self.turn = Turn()
        self._inside = self.turn.inside
        self.calls = {"recorded": 0, "replayed": 0, "eager": 0}
        self.anew: deque[str] = deque(maxlen=16)  # why recordings were made after the first
        COMPILED.add(self)
        self._run: Any = _missed  # the last replay, for a call with tensors only

    def __reduce__(self) -> Any:
        return Compiled, (self._function, self.options)  # a copy, or what is unpickled, records for itself

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            inside, result = self._inside, MISSED
            mine: list[int] = []
            try:
                if inside.setdefault(0, mine) is mine:
                    result = self._run(*args)
            except TypeError as error:  # of another number of tensors than the last replay is for
                if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                    raise
            finally:
                if 0 in inside and inside[0] is mine:
                    del inside[0]
            if result is not MISSED:
                self.calls["replayed"] += 1
                return result
        return self._slow(args, kwargs)

    # ---- the ways a call may take ------------------------------------------------------------------------------------

    def _slow(self, args: Any, kwargs: Any) -> Any:
        """A call that is not simply the last replay once more."""
        mode = modes.current()
        if mode is not None and (mode.transforms or not mode.plain):
            return self._eagerly(args, kwargs)
        if self.split is not None and self.split.fits():
            self.calls["in stretches"] = self.calls.get("in stretches", 0) + 1
            return self.split.run(*args, **kwargs)
        if self.eager is not None:
            return self._eagerly(args, kwargs)
        return self.turn.taken(partial(self._known, args, kwargs), partial(self._eagerly, args, kwargs))

    def _known(self, args: Any, kwargs: Any) -> Any:
        """By a recording that fits."""
        call = Call(args, kwargs)
        reasons = []
        for recording in self.recordings:
            reason = recording.differs(call)
            if reason is None:
                return self._again(recording, call)
            reasons.append(reason)
        if reasons:
            self.anew.append(reasons[0])
        return self._unknown(call, reasons[0] if reasons else "")

    def _again(self, recording: Recording, call: Call) -> Any:
        """By this recording."""
        result = self._replayed(recording, call)
        if result is MISSED and recording.built().refused():  # the program will tell why
            return self._eagerly(call.args, call.kwargs)
        if result is MISSED:  # memory lies otherwise
            return self._recorded(call)
        self._keep(recording)
        if recording.why is None and call.plain and self.options["verify"] != "always":
            self._run = recording.built().run
        return result

    def _unknown(self, call: Call, reason: str) -> Any:
        """By a new recording, unless that would not pay, or not tell; reason: why the last one does not fit."""
        if self.calls["recorded"] > KEPT and self.calls["replayed"] < self.calls["recorded"]:
            self._weary(call, f"it is another at each call: {reason}")
            return self._eagerly(call.args, call.kwargs)  # recording would only cost
        first, self.warm = not self.warm, True
        if first and any(is_optimizer(o) and not o.state for o in alive(*stateful_classes())):
            return self._eagerly(call.args, call.kwargs)  # it makes its state: no other step does what this does
        if sys.getprofile() is not None:
            return self._eagerly(call.args, call.kwargs)  # somebody else is watching: what runs could not be told
        return self._recorded(call)

    def _recorded(self, call: Call) -> Any:
        """By an ordinary run that is listened to, unless another thread listens to one."""
        return _RECORDS.taken(partial(self._record, call), partial(self._eagerly, call.args, call.kwargs))

    def _eagerly(self, args: Any, kwargs: Any) -> Any:
        """By an ordinary run."""
        self.calls["eager"] += 1
        if self.eager is not None and self.options["fullgraph"]:
            raise RuntimeError(f"{self.__name__} cannot be replayed as a whole: {self.eager}")
        mode = modes.current()
        if self.nan and (mode is None or mode.plain):
            return self._witnessed(
                args, kwargs, [v for v in pytree.tree_leaves((args, kwargs)) if isinstance(v, Tensor)]
            )
        try:
            return self._function(*args, **kwargs)
        except BaseException as error:
            if not isinstance(error, Exception):  # an interrupt may have come between a mode and its end
                modes.set_current(mode)
            raise

    def _witnessed(self, args: Any, kwargs: Any, tensors: Sequence[Tensor]) -> Any:
        """By an ordinary run in which every number is looked at."""
        return listened(partial(self._function, *args, **kwargs), Witness(tensors, Before(alive(Tensor))))

    # ---- replaying ---------------------------------------------------------------------------------------------------

    def _replayed(self, recording: Recording, call: Call) -> Any:
        """The result of a replay; MISSED, with nothing changed, where it does not come to one."""
        try:
            replay = recording.built()
        except Exception as error:  # such as no memory for the plan
            self._wrong(recording, f"its program could not be made ({type(error).__name__}: {error})")
            return self._eagerly(call.args, call.kwargs)
        recording.calls += 1
        verify = self.options["verify"]
        if verify == "always" or (verify == "first" and recording.calls == 1):
            eager = partial(self._function, *call.args, **call.kwargs)
            result, difference = verified(replay, call.tensors, eager, recording.recorder)
            if difference is not None:
                self._wrong(recording, f"a replay gave another result than an eager run: {difference}")
        else:
            result = replay.run(*call.tensors)
        if result is not MISSED:
            self.calls["replayed"] += 1
        elif self.nan and replay.stopped():
            rewind = Rewind(replay, call.tensors)
            try:
                self._witnessed(call.args, call.kwargs, call.tensors)
            finally:
                rewind.back()
        return result

    def _wrong(self, recording: Recording, why: str) -> None:
        """A replay that cannot be trusted: the call stays eager, and the program is told."""
        self._give_up(recording, why)
        warn(f"lamina.compile: {self.__name__} stays eager: {why}", RuntimeWarning)

    def _give_up(self, recording: Recording, why: str) -> None:
        """No call is replayed any more."""
        self.eager = recording.why = why
        self._run = _missed

    # ---- recording ---------------------------------------------------------------------------------------------------

    def _record(self, call: Call) -> Any:
        """An ordinary run, listened to and kept."""
        self.calls["recorded"] += 1
        recording = Recording(call, self.nan)
        heard = Heard(self._function, call, self.target.now(), self.nan, closely=self.tries > 0)
        recording.lines, recording.recorder = heard.lines, heard.recorder
        passing = heard.stateful.changed()  # what the next run need not do, such as making an optimizer's state
        lasting = heard.stops() or (self._fill(recording, heard) if passing is None else None)
        recording.why = lasting or passing
        heard.recorder.settle()
        if recording.why is not None:
            self.tries += 1
            once = lasting is None and not heard.lines.troubles
            if self.tries >= (TRIES if once else self.patience) or len(recording.recorder.graph.nodes) > LONG:
                self._refuse(recording, recording.why)
        self._keep(recording)
        return heard.result

    def _fill(self, recording: Recording, heard: Heard) -> str | None:
        """What a replay has to leave, and what must hold for it; or why there can be none."""
        try:
            changes = heard.changes()
            found = self._returned(heard)
        except Refused as refused:
            return str(refused)
        recording.effects = Effects(
            changes.grads, changes.versions, found.outputs, found.rebuild, found.single, changes.had, heard.joint
        )
        recording.facts = heard.facts()
        return recording.facts.unsure

    def _returned(self, heard: Heard) -> Returned:
        """How the result of a run can be had again. Raises Refused, with the lines to blame noted."""
        try:
            return heard.returned(heard.result)
        except Refused as refused:
            heard.lines.troubles.update(dict.fromkeys(self._culprits(heard), str(refused)))
            raise

    def _culprits(self, heard: Heard) -> Sequence[int]:
        """The lines by which the result of a run cannot be had again."""
        return [] if heard.lines.last is None else [heard.lines.last]

    def _keep(self, recording: Recording) -> None:
        """This one was used last."""
        self.recordings[:] = [recording, *(r for r in self.recordings if r is not recording)][:KEPT]

    # ---- splitting ---------------------------------------------------------------------------------------------------

    def _refuse(self, recording: Recording, why: str) -> None:
        """What was recorded cannot be replayed, nor could what comes: in stretches from now on, or eager."""
        if not self._divide(recording.lines, why, recording.facts.doubtful):
            self._give_up(recording, why)

    def _weary(self, call: Call, why: str) -> None:
        """Every call is another: where that is by some lines that read what changes, these stay Python."""
        last = self.recordings[0]
        names = last.varying(call, self.target.now())
        if names and self.split is None:
            self._divide(last.lines, why, names)

    def _divide(self, lines: Lines, why: str, names: AbstractSet[str]) -> bool:
        """Run in stretches from now on, where that can be: without the lines that stood in the way, or that read `names`."""
        if self.options["fullgraph"]:
            return False
        if self._inner is None:
            self._inner = Inner(lambda called: Compiled(called, self.options, self._inner))
        self.split = Split.of(self.target, lines, partial(Stretch, self.options), self._inner, names, self.nan)
        if self.split is not None:
            self.eager, self._run = why, _missed
        return self.split is not None

    def explain(self, profile: bool = False) -> Explanation:
        """What was recorded and how it runs, as text that is also a page (`html()`, `save_html(path)`). profile: time of each kernel."""
        with self.turn.awaited():
            return explained(self, profile)


class Stretch(Compiled):
    """A piece of a function that was split. What cannot be replayed is taken out of it, or all of it becomes Python again."""

    def __init__(self, options: dict[str, Any], function: Callable[..., Any], piece: Piece, whole: Split) -> None:
        super().__init__(function, options)
        self.piece, self.whole = piece, whole
        self.warm, self.patience = True, 1  # the whole was called before

    def _returned(self, heard: Heard) -> Returned:
        found = super()._returned(heard)
        if late := overlapping(found.outputs):
            values = distinct(heard.result)[0]
            names = [n for n, v in self.piece.given(heard.result).items() if any(v is values[i] for i in late)]
            why = "two of its results lie in the same memory"
            heard.lines.troubles.update(dict.fromkeys(self._binding(names, heard), why))
            raise Refused(why)
        if heard.lines.work.total() < LEAST:
            raise Refused(LITTLE)
        return found

    def _culprits(self, heard: Heard) -> Sequence[int]:
        def fails(value: Any) -> bool:
            try:
                heard.returned(value)
            except Refused:
                return True
            return False

        return self._binding([n for n, v in self.piece.given(heard.result).items() if fails(v)], heard)

    def _binding(self, names: Sequence[str], heard: Heard) -> Sequence[int]:
        """The lines at which the piece binds these variables."""
        return self.piece.binding(names) or super()._culprits(heard)

    def _divide(self, lines: Lines, why: str, names: AbstractSet[str]) -> bool:
        read = self.whole.source.reading(names, why, self.piece.statements)
        return self.whole.blame(lines.troubles | read) or self.whole.halve(self.piece)

    def _give_up(self, recording: Recording, why: str) -> None:
        super()._give_up(recording, why)
        self.whole.dismiss(self.piece, why)

    def _weary(self, call: Call, why: str) -> None:
        names = self.recordings[0].varying(call, self._function)
        if not self.whole.blame(self.whole.source.reading(names, why, self.piece.statements)):
            self.whole.dismiss(self.piece, why)


def _missed(*args: Any) -> Any:
    return MISSED


def compiled(function: Any, options: dict[str, Any]) -> Any:
    """What `lamina.compile` returns for a function, or for a module. Raises RuntimeError for what cannot be called."""
    if not callable(function):
        raise RuntimeError(f"torch.compile() expects a callable or a Module, but got {type(function).__name__}")
    if is_module(function):
        from lamina.compiler.module import OptimizedModule  # nn is needed only by those who have a module

        return OptimizedModule(function, Compiled(function, options))
    return Compiled(function, options)
