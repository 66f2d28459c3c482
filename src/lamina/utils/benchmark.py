"""torch.utils.benchmark: Timer, its Measurement, and Compare, which tabulates several.

Times are of the wall clock, of one thread unless `num_threads` says otherwise. Not here: instruction counts (Callgrind), fuzzers.
"""

from __future__ import annotations

import statistics
import time
import timeit as _timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import lamina

__all__ = ["Compare", "Measurement", "TaskSpec", "Timer", "timer"]

timer = time.perf_counter
_UNITS = ((1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s"))


def select_unit(t: float) -> tuple[str, float]:
    """The unit in which a time of `t` seconds is a small number, and its length in seconds."""
    for scale, unit in reversed(_UNITS):
        if t >= scale:
            return unit, scale
    return "ns", 1e-9


@dataclass(frozen=True)
class TaskSpec:
    """What was measured."""

    stmt: str
    setup: str
    global_setup: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self) -> str:
        """The label and the statement, in one line."""
        label = self.label or self.stmt
        return label + (f": {self.sub_label}" if self.sub_label else "")


@dataclass
class Measurement:
    """Times of a statement: `raw_times` seconds, each for `number_per_run` runs of it."""

    number_per_run: int
    raw_times: list[float]
    task_spec: TaskSpec
    metadata: dict[Any, Any] | None = None

    @property
    def times(self) -> list[float]:
        """Seconds of one run."""
        return [t / self.number_per_run for t in self.raw_times]

    @property
    def median(self) -> float:
        """The median of `times`."""
        return statistics.median(self.times)

    @property
    def mean(self) -> float:
        """The mean of `times`."""
        return statistics.fmean(self.times)

    @property
    def iqr(self) -> float:
        """The distance of the quartiles of `times`."""
        if len(self.times) < 2:
            return 0.0
        quarters = statistics.quantiles(self.times, n=4, method="inclusive")
        return quarters[2] - quarters[0]

    @property
    def significant_figures(self) -> int:
        """How many digits of the median are to be trusted."""
        return 4 if len(self.times) < 2 or self.iqr < self.median * 1e-3 else 3 if self.iqr < self.median * 1e-2 else 2

    @property
    def has_warnings(self) -> bool:
        """Whether the times spread by more than a tenth of the median."""
        return self.iqr > 0.1 * self.median

    @property
    def title(self) -> str:
        """What was measured, in one line."""
        return self.task_spec.title

    @property
    def env(self) -> str:
        """The environment's name."""
        return self.task_spec.env or ""

    def __repr__(self) -> str:
        unit, scale = select_unit(self.median)
        count = len(self.raw_times)
        lines = [f"{object.__repr__(self)}", self.title]
        if self.task_spec.description:
            lines.append(self.task_spec.description)
        if self.task_spec.setup not in ("", "pass"):
            lines.append(f"setup: {self.task_spec.setup}")
        if count == 1:
            lines.append(f"  {self.median / scale:.2f} {unit}")
            lines.append(f"  1 measurement, {self.number_per_run} runs , {self.task_spec.num_threads} thread")
        else:
            lines.append(f"  Median: {self.median / scale:.2f} {unit}")
            lines.append(f"  IQR:    {self.iqr / scale:.2f} {unit}")
            lines.append(
                f"  {count} measurements, {self.number_per_run} runs per measurement, {self.task_spec.num_threads} thread"
            )
        return "\n".join(lines)


class Timer:
    """Measures a statement, in a namespace of `globals` and what `setup` makes."""

    def __init__(
        self, stmt: str = "pass", setup: str = "pass", global_setup: str = "", timer: Callable[[], float] = timer,
        globals: dict[str, Any] | None = None, label: str | None = None, sub_label: str | None = None,
        description: str | None = None, env: str | None = None, num_threads: int = 1, language: Any = "python",
    ) -> None:  # fmt: skip
        if str(getattr(language, "name", language)).lower() not in ("python", "py"):
            raise NotImplementedError(f"Timer(language={language!r}): lamina compiles no C++; give a Python statement")
        if global_setup:
            raise ValueError(
                f"global_setup is C++ only, got `{global_setup}`. Most likely this code can simply be moved to `setup`."
            )
        namespace = dict(globals or {})
        namespace.setdefault("torch", lamina)
        self._timer = _timeit.Timer(stmt=stmt, setup=setup, timer=timer, globals=namespace)
        self._task_spec = TaskSpec(
            stmt=stmt,
            setup=setup,
            label=label,
            sub_label=sub_label,
            description=description,
            env=env,
            num_threads=num_threads,
        )

    def _run(self, number: int) -> float:
        before = lamina.get_num_threads()
        lamina.set_num_threads(self._task_spec.num_threads)
        try:
            return max(self._timer.timeit(number), 1e-9)
        finally:
            lamina.set_num_threads(before)

    def timeit(self, number: int = 1000000) -> Measurement:
        """One measurement of `number` runs, after a short warm-up."""
        self._run(max(number // 100, 2))
        return Measurement(number, [self._run(number)], self._task_spec)

    def _number(self, min_run_time: float) -> int:
        number = 1
        while True:
            taken = self._run(number)
            if taken >= min_run_time / 1000 or number >= 10**9:
                return number
            number *= 10

    def blocked_autorange(
        self, callback: Callable[[int, float], NoReturn] | None = None, min_run_time: float = 0.2
    ) -> Measurement:
        """Measurements of as many runs as take long enough to be timed, for `min_run_time` seconds."""
        number, times = self._number(min_run_time), []
        while not times or sum(times) < min_run_time:
            times.append(self._run(number))
            if callback is not None:
                callback(number, times[-1])
        return Measurement(number, times, self._task_spec)

    def adaptive_autorange(
        self, threshold: float = 0.1, *, min_run_time: float = 0.01, max_run_time: float = 10.0,
        callback: Callable[[int, float], NoReturn] | None = None,
    ) -> Measurement:  # fmt: skip
        """Measurements until the quartiles lie within `threshold` of the median, or `max_run_time` is over."""
        number, times = self._number(0.05), []
        while True:
            times.append(self._run(number))
            if callback is not None:
                callback(number, times[-1])
            found = Measurement(number, times, self._task_spec)
            spent = sum(times)
            if spent >= max_run_time or (
                spent >= min_run_time and len(times) > 3 and found.iqr / found.median < threshold
            ):
                return found

    def collect_callgrind(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises NotImplementedError: instructions are not counted."""
        raise NotImplementedError(
            "Timer.collect_callgrind: instructions are not counted; use timeit or blocked_autorange"
        )


class Compare:
    """A table of measurements: a row for each statement, a column for each description."""

    def __init__(self, results: Sequence[Measurement]) -> None:
        self._results = list(results)

    def extend_results(self, results: Sequence[Measurement]) -> None:
        """Add measurements."""
        self._results.extend(results)

    def trim_significant_figures(self) -> None:
        """Nothing: two decimals are shown."""

    def highlight_warnings(self) -> None:
        """Nothing: the table has no colours."""

    def colorize(self, rowwise: bool = False) -> None:
        """Nothing: the table has no colours."""

    def __str__(self) -> str:
        columns = list(dict.fromkeys(m.task_spec.description or "" for m in self._results))
        rows = list(
            dict.fromkeys((m.task_spec.num_threads, m.task_spec.sub_label or m.task_spec.stmt) for m in self._results)
        )
        unit, scale = select_unit(min((m.median for m in self._results), default=1.0))
        cells: dict[Any, float] = {}
        for m in self._results:
            cells[m.task_spec.num_threads, m.task_spec.sub_label or m.task_spec.stmt, m.task_spec.description or ""] = (
                m.median
            )
        width = max([len(label) for _, label in rows], default=0)
        widths = [max(len(c), 9) for c in columns]
        lines = [" " * (width + 6) + "  |  ".join(["", *(c.rjust(w) for c, w in zip(columns, widths, strict=True))])]
        threads = None
        for count, label in rows:
            if count != threads:
                threads = count
                lines.append(f"{count} threads: ".ljust(len(lines[0]), "-"))
            shown = [
                (f"{cells[count, label, c] / scale:.2f}" if (count, label, c) in cells else "").rjust(w)
                for c, w in zip(columns, widths, strict=True)
            ]
            lines.append("  |  ".join(["      " + label.ljust(width), *shown]))
        title = next((m.task_spec.label for m in self._results if m.task_spec.label), "")
        return (
            f"[{title.center(len(lines[0]) - 2, '-')}]\n"
            + "\n".join(lines)
            + f"\n\nTimes are in {_LONG[unit]} ({unit})."
        )

    def print(self) -> None:
        """Print the table."""
        print(str(self))


_LONG = {"ns": "nanoseconds", "us": "microseconds", "ms": "milliseconds", "s": "seconds"}
