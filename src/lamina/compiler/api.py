"""`compile`: functions, modules and whole steps that run as one native program after their first calls.

The first call with new guards is an ordinary eager run that is listened to; from what was heard a replay is made, if that is safe; else
it is split (split.py) or stays eager, and `explain()` says why. Here: this decision, call by call. Not here: listening (capture/), what is
kept of a run (recording.py), the passes, the replay.
"""

from __future__ import annotations

import functools
import sys
from collections import deque
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from threading import get_ident
from typing import Any
from weakref import WeakSet

from lamina.autograd import modes
from lamina.compiler.backward import joint_of
from lamina.compiler.capture import escapes
from lamina.compiler.capture.guards import goes_on, is_module, is_optimizer
from lamina.compiler.capture.heap import alive
from lamina.compiler.capture.lines import Lines
from lamina.compiler.capture.pieces import Piece
from lamina.compiler.capture.purity import CONTAINERS, Watch
from lamina.compiler.capture.recorder import Before, Recorder
from lamina.compiler.capture.stateful import Stateful, stateful_classes
from lamina.compiler.capture.stretches import LEAST, LITTLE
from lamina.compiler.effects import distinct, effects_of, overlapping
from lamina.compiler.explain import Explanation, explained
from lamina.compiler.nonfinite import Witness, listened
from lamina.compiler.recording import Recording, key_of, once_more, shape_of
from lamina.compiler.replay import MISSED, Effects
from lamina.compiler.split import Split, target_of
from lamina.compiler.turn import Turn
from lamina.compiler.verify import Rewind, verified
from lamina.core.changes import changes
from lamina.core.dtype import get_default_dtype
from lamina.core.explained import where
from lamina.core.strokes import carry_out
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.utils import _pytree as pytree

KEPT = 8
"""Recordings kept for one compiled function; the one not used for the longest time is dropped."""
TRIES = 4
"""Recordings that could not be used again before a function is left eager for good."""
_RECORDS = Turn()
"""One run at a time is recorded: optimizers' options are live numbers meanwhile."""


escapes.listen()
COMPILED: WeakSet[Compiled] = WeakSet()


def reset() -> None:
    """Forget all recordings, and why calls stay eager."""
    for compiled in tuple(COMPILED):
        with compiled.turn.awaited():
            compiled.recordings.clear()
            compiled.eager, compiled.split, compiled.tries, compiled._run = None, None, 0, _missed


class Compiled:
    """A function that is recorded and replayed. Called as the function itself."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self._function = function
        self.options = options
        self.nan = options["nan"] == "raise"
        self.recordings: list[Recording] = []
        self.eager: str | None = None  # why it is not compiled at all
        self.split: Split | None = None  # it runs in stretches
        self.target = target_of(function)
        self.tries = 0
        self.warm = False  # it was called before
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
            except TypeError:
                if len(args) == len(self._shapes()):
                    raise
            finally:
                if 0 in inside and inside[0] is mine:
                    del inside[0]
            if result is not MISSED:
                self.calls["replayed"] += 1
                return result
        return self._slow(args, kwargs)

    def _shapes(self) -> Sequence[Any]:
        return self.recordings[0].shapes if self.recordings else ()

    def _slow(self, args: Any, kwargs: Any) -> Any:
        """Find a recording that fits, or make one."""
        mode = modes.current()
        split = self.split
        if split is not None and (mode is None or (mode.plain and not mode.transforms)) and split.fits():
            self.calls["in stretches"] = self.calls.get("in stretches", 0) + 1
            return split.run(*args, **kwargs)
        if self.eager is not None or (mode is not None and not mode.plain) or (mode is not None and mode.transforms):
            return self._eagerly(args, kwargs)
        inside, mine = self._inside, [get_ident()]
        try:
            if inside.setdefault(0, mine) is not mine:  # another thread, or a call inside a call
                return self._eagerly(args, kwargs)
            leaves, spec = pytree.tree_flatten((args, kwargs))
            tensors = [v for v in leaves if isinstance(v, Tensor)]
            others = tuple(None if isinstance(v, Tensor) else key_of(v) for v in leaves)
            key = (spec, others, mode is None or mode.grad, get_default_dtype())
            reasons: list[str] = []
            for at, recording in enumerate(self.recordings):
                if recording.key != key or recording.mode is not mode:
                    reasons.append("an argument that is no tensor, or a mode, is another")
                    continue
                reason = recording.differs(tensors)
                if reason is not None:
                    reasons.append(reason)
                else:
                    result = self._replayed(recording, args, kwargs, tensors)
                    if result is MISSED and recording.built().refused():  # the program will tell why
                        return self._eagerly(args, kwargs)
                    if result is MISSED:  # memory lies otherwise
                        return self._alone(args, kwargs, leaves, key, mode)
                    self.recordings.insert(0, self.recordings.pop(at))
                    if (
                        recording.why is None
                        and not kwargs
                        and len(tensors) == len(args) == len(leaves)
                        and self.options["verify"] != "always"
                    ):
                        self._run = recording.built().run
                    return result
            if reasons:
                self.anew.append(reasons[0])
            if self.calls["recorded"] > KEPT and self.calls["replayed"] < self.calls["recorded"]:
                self._weary(key, reasons[0] if reasons else "")
                return self._eagerly(args, kwargs)  # every call is another: recording would only cost
            if not self.warm:
                self.warm = True
                # the first step of an optimizer makes its state: no other does what it does
                if any(is_optimizer(o) and not o.state for o in alive(*stateful_classes())):
                    return self._eagerly(args, kwargs)
            if sys.getprofile() is not None:  # somebody else is watching: what runs could not be told
                return self._eagerly(args, kwargs)
            return self._alone(args, kwargs, leaves, key, mode)
        finally:
            if 0 in inside and inside[0] is mine:
                del inside[0]

    def _alone(self, args: Any, kwargs: Any, leaves: list[Any], key: Any, mode: Any) -> Any:
        """Record, unless another thread does."""
        inside, mine = _RECORDS.inside, [get_ident()]
        try:
            if inside.setdefault(0, mine) is not mine:
                return self._eagerly(args, kwargs)
            return self._record(args, kwargs, leaves, key, mode)
        finally:
            if 0 in inside and inside[0] is mine:
                del inside[0]

    def _eagerly(self, args: Any, kwargs: Any) -> Any:
        self.calls["eager"] += 1
        if self.eager is not None and self.options["fullgraph"]:
            raise RuntimeError(f"{self.__name__} cannot be replayed as a whole: {self.eager}")
        mode = modes.current()
        if self.nan and (mode is None or mode.plain) and not (mode is not None and mode.listener is not None):
            tensors = [v for v in pytree.tree_leaves((args, kwargs)) if isinstance(v, Tensor)]
            return listened(lambda: self._function(*args, **kwargs), Witness(tensors, Before(alive(Tensor))))
        try:
            return self._function(*args, **kwargs)
        except BaseException as error:
            if not isinstance(error, Exception):  # an interrupt may have come between a mode and its end
                modes.set_current(mode)
            raise

    def _replayed(self, recording: Recording, args: Any, kwargs: Any, tensors: Sequence[Tensor]) -> Any:
        try:
            replay = recording.built()
        except Exception as error:  # such as no memory for the plan
            self._wrong(recording, f"its program could not be made ({type(error).__name__}: {error})")
            return self._eagerly(args, kwargs)
        recording.calls += 1
        verify = self.options["verify"]
        if verify == "always" or (verify == "first" and recording.calls == 1):
            result, difference = verified(replay, tensors, lambda: self._function(*args, **kwargs), recording.recorder)
            if difference is not None:
                self._wrong(recording, f"a replay gave another result than an eager run: {difference}")
        else:
            result = replay.run(*tensors)
        if result is not MISSED:
            self.calls["replayed"] += 1
        elif self.nan and replay.stopped():
            rewind = Rewind(replay, tensors)
            try:
                listened(lambda: self._function(*args, **kwargs), Witness(tensors, Before(alive(Tensor))))
            finally:
                rewind.back()
        return result

    def _wrong(self, recording: Recording, why: str) -> None:
        self._give_up(recording, why)
        warn(f"lamina.compile: {self.__name__} stays eager: {why}", RuntimeWarning)

    def _give_up(self, recording: Recording, why: str) -> None:
        self.eager = recording.why = why
        self._run = _missed

    # ---- recording ---------------------------------------------------------------------------------------------------

    def _record(self, args: Any, kwargs: Any, leaves: list[Any], key: Any, mode: Any) -> Any:
        """An ordinary run, listened to."""
        self.calls["recorded"] += 1
        recording = Recording(key, mode, self.nan)
        recording.kept = [v for v in leaves if not isinstance(v, Tensor)]
        tensors = [v for v in leaves if isinstance(v, Tensor)]
        kinds = stateful_classes()
        found = alive(Tensor, *CONTAINERS, *kinds)
        before = Before(o for o in found if isinstance(o, Tensor))
        function = self.target.now()
        lines = recording.lines = Lines(None if function is None else function.__code__)
        recorder = recording.recorder = (Witness if self.nan else Recorder)(tensors, before, lines)
        recording.shapes = [shape_of(t, tensors) for t in tensors]
        watch = Watch({id(o) for o in found if isinstance(o, CONTAINERS)}, lines)
        stateful = Stateful([o for o in found if isinstance(o, kinds)], recorder)
        del found
        lines.changed = (
            stateful.moved if self.tries else None
        )  # asked at each line: only where it happens again and again
        listening = modes.mode().but(listener=recorder)
        undo = chain(watch.undoing(), stateful.undoing(), map(modes.set_current, (mode,)))
        try:
            modes.set_current(listening)
            with stateful, watch:
                result = self._function(*args, **kwargs)
            if isinstance(recorder, Witness) and (error := recorder.error(result)) is not None:
                raise error
            joint, broken = (
                joint_of(recorder, result, tensors)
                if recorder.broken is None and watch.unclean is None
                else (None, None)
            )
        finally:
            try:
                sys.setprofile(None)  # while Python looks at each call, one may be interrupted before it begins
            finally:
                carry_out(undo)
        why = recorder.broken or broken
        if why is None and watch.unclean is not None:
            why = f"it {watch.unclean[0]}{_at(watch.unclean[1])}"
        if why is None and recorder.escapes:
            what, place = recorder.escapes[0]
            why = f"Python looks at a tensor's values: {what}{_at(place)}"
        transient = stateful.changed()
        if why is None and transient is None:
            recording.effects, why = effects_of(recorder, result, tensors, joint, watch.old)
            why = self._blame(
                lines, result, recording.effects, lambda r: effects_of(recorder, r, tensors, joint, watch.old)[1]
            )
        if why is None and transient is None:
            roots = [("the function", self._function)] + [(type(o).__name__, o) for o in stateful.used()]
            recording.facts.of_run(watch.reads.values(), roots)
            recording.facts.seen[0] = changes[0]
            for name, value in (*zip(lines.names, args, strict=False), *kwargs.items()):
                if goes_on(value):
                    recording.facts.iterator(name)
            why = recording.facts.unsure
        for part in () if joint is None else joint.parts:
            part.function = once_more(self._function, args, kwargs)
            part.again = (
                "it draws random numbers" if recorder.draws else "it writes to tensors" if recorder.written() else None
            )
        recorder.settle()
        recording.why = why or transient
        if recording.why is not None:
            self.tries += 1
            if (why is not None or self.tries >= TRIES or lines.troubles) and not self._divide(
                lines, recording.why, recording.facts.doubtful
            ):
                self._give_up(recording, recording.why)
        self.recordings.insert(0, recording)
        del self.recordings[KEPT:]
        return result

    def _blame(
        self, lines: Lines, result: Any, effects: Effects | None, why: Callable[[Any], str | None]
    ) -> str | None:
        """Note where in the function it lies that its result cannot be had again; why(result): what stands in the way."""
        found = why(result)
        if found is not None and lines.last is not None and why(None) is None:
            lines.troubles[lines.last] = found
        return found

    def _weary(self, key: Any, reason: str) -> None:
        """Every call is another: where that is by some lines that read what changes, these stay Python."""
        last = self.recordings[0]
        names = last.varying(key, self.target.now())
        if names and self.split is None:
            self._divide(last.lines, f"it is another at each call: {reason}", names)

    def _divide(self, lines: Lines, why: str, names: AbstractSet[str] = frozenset()) -> bool:
        """Run in stretches from now on, where that can be: without the lines that stood in the way, or that read `names`."""
        if self.options["fullgraph"]:
            return False
        self.split = Split.of(self.target, lines, functools.partial(Stretch, self.options), names, self.nan)
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
        self.warm = True  # the whole was called before

    def _blame(
        self, lines: Lines, result: Any, effects: Effects | None, why: Callable[[Any], str | None]
    ) -> str | None:
        given, found = self.piece.given(result), why(result)
        if found is None and effects is not None and (late := overlapping(effects)):
            found, values = "two of its results lie in the same memory", distinct(result)[0]
            blamed = [n for n, v in given.items() if any(v is values[i] for i in late)]
        elif found is not None and why(None) is None:
            blamed = [n for n, v in given.items() if why(v) is not None]
        elif found is None and lines.work.total() < LEAST:
            return LITTLE
        else:
            return found
        places = self.piece.binding(blamed) or ([] if lines.last is None else [lines.last])
        lines.troubles.update(dict.fromkeys(places, found))
        return found

    def _divide(self, lines: Lines, why: str, names: AbstractSet[str] = frozenset()) -> bool:
        read = self.whole.source.reading(names, why, self.piece.statements)
        return self.whole.blame(lines.troubles | read) or self.whole.halve(self.piece)

    def _give_up(self, recording: Recording, why: str) -> None:
        super()._give_up(recording, why)
        self.whole.dismiss(self.piece, why)

    def _weary(self, key: Any, reason: str) -> None:
        why, names = f"it is another at each call: {reason}", self.recordings[0].varying(key, self._function)
        if not self.whole.blame(self.whole.source.reading(names, why, self.piece.statements)):
            self.whole.dismiss(self.piece, why)


def _missed(*args: Any) -> Any:
    return MISSED


def _at(place: Any) -> str:
    return "" if place is None else f" ({where(place)})"


def compiled(function: Any, options: dict[str, Any]) -> Any:
    """What `lamina.compile` returns for a function, or for a module. Raises RuntimeError for what cannot be called."""
    if not callable(function):
        raise RuntimeError(f"torch.compile() expects a callable or a Module, but got {type(function).__name__}")
    if is_module(function):
        from lamina.compiler.module import OptimizedModule  # nn is needed only by those who have a module

        return OptimizedModule(function, Compiled(function, options))
    return Compiled(function, options)
