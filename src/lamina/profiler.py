"""The profiler's interface around a plain clock: `record_function` labels are timed, operations are not.

Here: enough for programs that carry profiling code. For the time of single operations use `make bench` or cProfile.
"""

import contextlib
import enum
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

__all__ = [
    "EventList",
    "ProfilerAction",
    "ProfilerActivity",
    "kineto_available",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]


class ProfilerActivity(enum.Enum):
    """What can be recorded."""

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


class ProfilerAction(enum.Enum):
    """What a schedule says for a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities() -> set[ProfilerActivity]:
    """The CPU."""
    return {ProfilerActivity.CPU}


def kineto_available() -> bool:
    """False: no library records single operations."""
    return False


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """For each step: skip, wait, warm up, record; `repeat` times (0: for ever)."""
    cycle = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        step -= skip_first
        if step < 0 or (repeat > 0 and step >= cycle * repeat):
            return ProfilerAction.NONE
        place = (step + wait if skip_first_wait else step) % cycle
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if place == cycle - 1 else ProfilerAction.RECORD

    return action


def tensorboard_trace_handler(*args: Any, **kwargs: Any) -> Callable[[Any], None]:
    """A handler for `on_trace_ready` that writes nothing."""
    return lambda profiler: None


@dataclass
class EventAverage:
    """All runs of a label; times in microseconds."""

    key: str
    count: int = 0
    cpu_time_total: float = 0.0

    @property
    def self_cpu_time_total(self) -> float:
        """The same as `cpu_time_total`: labels are not told apart from what runs inside of them."""
        return self.cpu_time_total

    @property
    def cpu_time(self) -> float:
        """The mean of one run."""
        return self.cpu_time_total / self.count if self.count else 0.0


class EventList(list[EventAverage]):
    """One entry for each label."""

    def table(self, *args: Any, **kwargs: Any) -> str:
        """The labels as text, the longest first."""
        rows = sorted(self, key=lambda event: -event.cpu_time_total)
        lines = [f"{'Name':40} {'CPU total':>14} {'CPU time avg':>14} {'# of Calls':>11}"]
        lines += [f"{e.key:40} {e.cpu_time_total:12.3f}us {e.cpu_time:12.3f}us {e.count:11d}" for e in rows]
        return "\n".join(lines) if rows else "no record_function label ran"

    def __str__(self) -> str:
        return self.table()


_running: ContextVar[tuple["profile", ...]] = ContextVar("lamina.profilers", default=())


class profile:
    """A context that times the `record_function` labels inside it; `key_averages().table()` shows them."""

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[Any], Any] | None = None,
        **options: Any,
    ) -> None:
        self.step_num = 0
        self._schedule, self._on_trace_ready = schedule, on_trace_ready
        self._times = EventList()
        self._tokens: list[Any] = []

    def start(self) -> None:
        """Begin to time."""
        self._tokens.append(_running.set((*_running.get(), self)))

    def stop(self) -> None:
        """End, and call `on_trace_ready` unless a schedule has said when."""
        _running.reset(self._tokens.pop())
        if self._schedule is None:
            self._ready()

    def step(self) -> None:
        """The program's step is over."""
        if self._schedule is not None and self._schedule(self.step_num) is ProfilerAction.RECORD_AND_SAVE:
            self._ready()
        self.step_num += 1

    def _ready(self) -> None:
        if self._on_trace_ready is not None:
            self._on_trace_ready(self)

    def add(self, name: str, seconds: float) -> None:
        """Count one run of a label."""
        event = next((e for e in self._times if e.key == name), None)
        if event is None:
            self._times.append(event := EventAverage(name))
        event.count += 1
        event.cpu_time_total += 1e6 * seconds

    def key_averages(self, *args: Any, **kwargs: Any) -> EventList:
        """The labels and their times."""
        return self._times

    def table(self, *args: Any, **kwargs: Any) -> str:
        """`key_averages().table()`."""
        return self._times.table(*args, **kwargs)

    def __enter__(self) -> "profile":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


class record_function(contextlib.ContextDecorator):
    """A label for a stretch of the program: a context, or a decorator."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self._starts: list[float] = []

    def __enter__(self) -> "record_function":
        self._starts.append(time.perf_counter())
        return self

    def __exit__(self, *error: object) -> None:
        seconds = time.perf_counter() - self._starts.pop()
        for profiler in _running.get():
            profiler.add(self.name, seconds)
