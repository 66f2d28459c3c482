"""Objects with state of their own that a run may change unseen: optimizers, schedulers, scalers, modules; NumPy's random streams.

Here: their state before and after a run, and the live numbers that stand in optimizers' options while one is recorded.
Not here: facts about what the program reads of them (guards.py).
"""

from __future__ import annotations

import functools
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any

from lamina.compiler.capture.kinds import is_live_option, is_optimizer
from lamina.compiler.capture.recorder import Recorder
from lamina.core.strokes import items

_STREAMS = ("RandomState", "Generator")
"""NumPy's, whose methods no profile hook sees."""


def stateful_classes() -> tuple[type, ...]:
    """The classes of such objects, of what is loaded."""
    places = (
        ("lamina.optim.optimizer", "Optimizer"),
        ("lamina.optim.lr_scheduler", "LRScheduler"),
        ("lamina.amp.grad_scaler", "GradScaler"),
        ("lamina.nn.modules.module", "Module"),
        *(("numpy.random", name) for name in _STREAMS),
    )
    found = (getattr(sys.modules.get(module), name, None) for module, name in places)
    return tuple(cls for cls in found if isinstance(cls, type))


class Stateful:
    """A context manager around a recorded run: optimizers' options are live numbers inside, and what they were outside."""

    def __init__(self, objects: Iterable[Any], recorder: Recorder) -> None:
        self.recorder = recorder
        self.states = [(o, _state_of(o)) for o in objects]
        self._seen = [state for _, state in self.states]
        self.optimizers = [o for o, _ in self.states if is_optimizer(o)]
        self._changed: list[tuple[dict[str, Any], str, Any, Any]] = []
        self._groups: list[dict[str, Any]] = []
        self._keys: list[str] = []
        self._values: list[Any] = []

    def undoing(self) -> Iterator[Any]:
        """What puts the options back where `__exit__` was interrupted or never called, for `strokes.carry_out`."""
        return items(self._groups, self._keys, self._values)

    def __enter__(self) -> Stateful:
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                for key, value in group.items():
                    if key != "params" and is_live_option(value):
                        self._changed.append((group, key, value, self._live(optimizer, group, key, value)))
        self._keys.extend(key for _, key, _, _ in self._changed)
        self._values.extend(value for _, _, value, _ in self._changed)
        self._groups.extend(group for group, _, _, _ in self._changed)
        for group, key, _, put in self._changed:
            group[key] = put
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for group, key, value, put in self._changed:
            if group.get(key) is put:
                group[key] = value
        self._groups.clear()
        self._changed.clear()

    def _live(self, optimizer: Any, group: dict[str, Any], key: str, value: Any) -> Any:
        label = f"{type(optimizer).__name__}'s {key}"
        if not isinstance(value, tuple):
            return self.recorder.live(value, _reader(group, key), label)
        return tuple(self.recorder.live(v, _reader(group, key, i), f"{label}[{i}]") for i, v in enumerate(value))

    def changed(self) -> str | None:
        """Whose state is another than before the run, in words; None where there is no such object."""
        found = next((o for o, before in self.states if _state_of(o) != before), None)
        return None if found is None else f"{type(found).__name__} changed its own state"

    def moved(self) -> str | None:
        """The same since this was last asked."""
        before, self._seen = self._seen, [_state_of(o) for o, _ in self.states]
        found = next((o for (o, _), a, b in zip(self.states, before, self._seen, strict=True) if a != b), None)
        return None if found is None else f"{type(found).__name__} changes its own state"

    def used(self) -> list[Any]:
        """The optimizers whose parameters the run met."""
        met = self.recorder.met
        return [o for o in self.optimizers if any(met(p) for group in o.param_groups for p in group["params"])]


def _state_of(o: Any) -> Any:
    """What of its state a run may change, to compare."""
    if is_optimizer(o):
        return {id(p): tuple(s) if isinstance(s, dict) else id(s) for p, s in o.state.items()}
    if type(o).__name__ in _STREAMS:
        return pickle.dumps(o.get_state(legacy=False) if hasattr(o, "get_state") else o.bit_generator.state)
    state = {k: (type(v), v) if isinstance(v, (int, float, str, bool)) else id(v) for k, v in o.__dict__.items()}
    members = [v for k in ("_parameters", "_buffers", "_modules") for v in o.__dict__.get(k, {}).values()]
    return state, [*map(id, members)]


def _reader(group: dict[str, Any], key: str, at: int | None = None) -> Callable[[], float]:
    """What reads an option, or one of its numbers, anew."""
    if at is None:
        return functools.partial(group.__getitem__, key)
    return lambda: group[key][at]
