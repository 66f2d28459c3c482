"""`compile`: functions, modules and whole steps that run as one native program after their first calls.

The first call with new guards is an ordinary eager run that is listened to; from what was heard a replay is made, if that is safe; else
the call stays eager, and `explain()` says why. Here: this decision, call by call. Not here: recording (capture/), the passes, the replay.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from threading import RLock
from typing import Any

from lamina.autograd import modes
from lamina.autograd.graph import Output as GraphOutput
from lamina.compiler import pipeline
from lamina.compiler.capture.guards import Facts, is_live_option, is_optimizer
from lamina.compiler.capture.purity import Watch
from lamina.compiler.capture.recorder import Recorder
from lamina.compiler.replay import Effects, Missed, Output, Replay, Shape
from lamina.core import tensor as core_tensor
from lamina.core.dtype import get_default_dtype
from lamina.core.explained import where
from lamina.core.strided import owner_of
from lamina.core.tensor import LEAF, Tensor
from lamina.core.changes import changes
from lamina.utils import _pytree as pytree

KEPT = 8
"""Recordings kept for one compiled function; the one not used for the longest time is dropped."""
TRIES = 4
"""Recordings that could not be used again before a function is left eager for good."""


class Recording:
    """One recorded run: its replay, or why there is none."""

    def __init__(self, key: Any) -> None:
        self.key = key
        self.replay: Replay | None = None
        self.why: str | None = None  # it is eager
        self.graph: Any = None
        self.program: Any = None
        self.facts = Facts()
        self.questions: list[Any] = []
        self.changes = -1
        self.verified = False

    def holds(self) -> bool:
        """Whether what the run read is as it was."""
        if not self.facts.holds():
            return False
        if self.changes != changes[0]:
            if not all(fact.holds() for fact in self.facts.module_facts):
                return False
            self.changes = changes[0]
        return all(question(read()) is answer for read, question, answer, _ in self.questions)


class Compiled:
    """A function that is recorded and replayed. Called as the function itself."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self.options = options
        self.recordings: list[Recording] = []
        self.eager: str | None = None  # why it is not compiled at all
        self.tries = 0
        self.lock = RLock()
        self.calls = {"recorded": 0, "replayed": 0, "eager": 0}

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        mode = modes.current()
        if self.eager is not None or (mode is not None and not (mode.plain and not mode.transforms)):
            self.calls["eager"] += 1
            return self._function(*args, **kwargs)
        if not self.lock.acquire(blocking=False):  # another thread, or a call inside a call
            return self._function(*args, **kwargs)
        try:
            leaves, spec = pytree.tree_flatten((args, kwargs))
            tensors = [v for v in leaves if isinstance(v, Tensor)]
            key = (
                spec, tuple(None if isinstance(v, Tensor) else _key(v) for v in leaves), mode is None or mode.grad, get_default_dtype(),
            )  # fmt: skip
            for at, recording in enumerate(self.recordings):
                replay = recording.replay
                if recording.key == key and replay is not None and replay.fits(tensors) and recording.holds():
                    if at:
                        self.recordings.insert(0, self.recordings.pop(at))
                    try:
                        result = replay.run(tensors)
                    except Missed:
                        self.recordings.pop(0)
                        break
                    self.calls["replayed"] += 1
                    return result
            return self._record(args, kwargs, tensors, key)
        finally:
            self.lock.release()

    # ---- recording ---------------------------------------------------------------------------------------------------

    def _record(self, args: Any, kwargs: Any, tensors: list[Tensor], key: Any) -> Any:
        """An ordinary run, listened to."""
        self.calls["recorded"] += 1
        recording = Recording(key)
        recorder = Recorder(tensors)
        shapes = [_shape_of(t, tensors, recorder) for t in tensors]
        watch = Watch()
        optimizers = [o for o in pipeline.objects() if is_optimizer(o)]
        states = [(o, pipeline.state_of(o)) for o in pipeline.stateful()]
        restore = _enliven(optimizers, recorder)
        token = modes.set_current(modes.mode().but(listener=recorder))
        core_tensor.Slots.seen = _seen
        try:
            with watch:
                result = self._function(*args, **kwargs)
        finally:
            core_tensor.Slots.seen = None
            modes.reset(token)
            restore()
        recording.graph = recorder.graph
        transient = next((f"{type(o).__name__} changed its own state" for o, before in states if pipeline.state_of(o) != before), None)
        why = recorder.broken
        if why is None and watch.unclean is not None:
            why = f"it {watch.unclean[0]}{_at(watch.unclean[1])}"
        if why is None and recorder.escapes:
            what, place = recorder.escapes[0]
            why = f"Python looks at a tensor's values: {what}{_at(place)}"
        effects = None
        if why is None and transient is None:
            effects, why = _effects(recorder, result, tensors)
        if why is None and transient is None:
            roots = [("the function", self._function)] + [(type(o).__name__, o) for o in optimizers if _used(o, recorder)]
            recording.facts.of_run(watch.reads.values(), roots)
            why = recording.facts.unsure
        recording.why = why or transient
        if recording.why is None and effects is not None:
            recording.questions = recorder.questions
            recording.changes = changes[0]
            recording.replay, recording.program = pipeline.build(recorder, shapes, recording.facts, effects)
            self.tries = 0
        else:
            self.tries += 1
            if why is not None or self.tries >= TRIES:
                self.eager = recording.why if self.tries >= TRIES or why else None
        self.recordings.insert(0, recording)
        del self.recordings[KEPT:]
        return result

    def explain(self) -> str:
        """What was recorded and how it runs, as text."""
        lines = [f"{self.__name__}: {self.calls['recorded']} recorded, {self.calls['replayed']} replayed, {self.calls['eager']} eager"]
        if self.eager is not None:
            lines.append(f"eager: {self.eager}")
        for recording in self.recordings:
            lines.append(str(recording.program) if recording.replay is not None else f"not replayed: {recording.why}")
        return "\n".join(lines)


def _seen(t: Tensor, what: str) -> None:
    now = modes.current()
    if now is not None and now.listener is not None:
        now.listener.left(what)


def _at(place: Any) -> str:
    return "" if place is None else f" ({where(place)})"


def _key(value: Any) -> Any:
    """What stands for an argument that is no tensor: its value where that is plain, else the object itself."""
    if isinstance(value, (int, float, str, bool, bytes, complex)) or value is None:
        return value.__class__, value
    return id(value)


def _shape_of(t: Tensor, tensors: Sequence[Tensor], recorder: Recorder) -> Shape:
    if t._node is not None and t._node is not LEAF:
        recorder.fail("an argument has a history, through which gradients would have to flow")
    if t._more is not None and t._more.hooks:
        recorder.fail("an argument has hooks")
    same = next((i for i, other in enumerate(tensors) if other._array is t._array), None)
    return Shape(t.__class__, t._kind, t._array.shape, t._array.strides, t._node is LEAF, same)


def _enliven(optimizers: Sequence[Any], recorder: Recorder) -> Callable[[], None]:
    """Put live numbers into the optimizers' options; returns what takes them out again."""
    changed: list[tuple[dict[str, Any], str, Any, Any]] = []
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for key, value in group.items():
                if key == "params" or not is_live_option(value):
                    continue
                label = f"{type(optimizer).__name__}'s {key}"
                if isinstance(value, tuple):
                    put: Any = tuple(
                        recorder.live(v, lambda g=group, k=key, i=i: g[k][i], f"{label}[{i}]") for i, v in enumerate(value)  # type: ignore[misc]
                    )
                else:
                    put = recorder.live(value, lambda g=group, k=key: g[k], label)  # type: ignore[misc]
                changed.append((group, key, value, put))
    for group, key, _, put in changed:
        group[key] = put

    def restore() -> None:
        for group, key, value, put in changed:
            if group.get(key) is put:
                group[key] = value

    return restore


def _used(optimizer: Any, recorder: Recorder) -> bool:
    """Whether a recorded run updated parameters of this optimizer."""
    return any(id(owner_of(p._array)) in recorder.buffers for group in optimizer.param_groups for p in group["params"])


def _effects(recorder: Recorder, result: Any, tensors: Sequence[Tensor]) -> tuple[Effects | None, str | None]:
    """What Python sees after the run; or why it cannot be had again."""
    grads: list[tuple[Tensor, Output]] = []
    known: dict[int, Output] = {}
    for leaf, before in recorder.before.leaf_grads:
        now = None if leaf._more is None else leaf._more.grad
        if now is before:
            continue
        if now is None:
            grads.append((leaf, Output(None, None)))
            continue
        out = _output(recorder, now, tensors)
        if out is None:
            return None, "a gradient that the run left is not one that it computed"
        grads.append((leaf, out))
    versions = []
    for t, counter, n in recorder.before.versions:
        now = t._version_
        if now is not counter and counter is not None:
            return None, "the memory of a tensor was exchanged"
        if now is not None and not (t._more is not None and t._more.inference) and now.n != n:
            versions.append((t, now.n - n))
    leaves, spec = pytree.tree_flatten(result)
    outputs: list[Any] = []
    for value in leaves:
        if not isinstance(value, Tensor):
            outputs.append(value)
            continue
        found = _output(recorder, value, tensors)
        if found is None:
            return None, "its result is a view of memory that was there before"
        if value._node is not None and found.ref is not None:
            node = value._node.node if value._node.__class__ is GraphOutput else value._node
            if value._node is LEAF or getattr(node, "_saved", None) is not None:
                return None, "its result has a graph that backward has not been through"
            found = found._replace(node=value._node)
        outputs.append(found)
    del known
    once: dict[int, tuple[Tensor, int]] = {}
    for t, n in versions:
        once.setdefault(id(t._version_), (t, n))
    return Effects(grads, list(once.values()), outputs, lambda values: pytree.tree_unflatten(values, spec)), None


def _output(recorder: Recorder, t: Tensor, tensors: Sequence[Tensor]) -> Output | None:
    """How a tensor can be had again after a replay."""
    for i, given in enumerate(tensors):
        if given is t:
            return Output(None, i)
    if id(t) in recorder.before.ids:
        return Output(None, t)
    ref = recorder.ref(t._array)
    origin = ref.value
    while origin.previous is not None:
        origin = origin.previous
    if origin in recorder.graph.inputs and origin.origin.kind != "constant":
        return None
    return Output(ref, None, t._kind)


def compile(
    model: Any = None, *, dynamic: bool | None = None, fullgraph: bool = False, verify: str = "first", nan: str | None = None,
    backend: Any = None, mode: str | None = None, options: Any = None, disable: bool = False,
) -> Any:  # fmt: skip
    """Compile a function of tensors, a module, or a whole training step; also as a decorator.

    The first call records an eager run; calls that meet the same guards (shapes, dtypes, modes, what the code read) run it again as
    one native program. fullgraph: raise RuntimeError where the call cannot be replayed as a whole. verify: "first" compares the
    first replay with an eager run, "always" each, "never" none. backend, mode, options: accepted as PyTorch's.
    """
    if model is None:
        return lambda f: compile(
            f, dynamic=dynamic, fullgraph=fullgraph, verify=verify, nan=nan, backend=backend, mode=mode, options=options, disable=disable
        )
    if not callable(model):
        raise RuntimeError(f"torch.compile() expects a callable or a Module, but got {type(model).__name__}")
    if verify not in ("first", "always", "never"):
        raise ValueError(f"verify must be 'first', 'always' or 'never', not {verify!r}")
    if nan not in (None, "raise"):
        raise ValueError(f"nan must be None or 'raise', not {nan!r}")
    if disable:
        return model
    return Compiled(model, {"dynamic": dynamic, "fullgraph": fullgraph, "verify": verify, "nan": nan})
