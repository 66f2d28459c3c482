"""The process of one library: builds the case it is asked for, and runs it for a while when it is its turn."""

import importlib
import statistics
from collections.abc import Callable
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

from cases import CASES

BURST = 1e-3  # seconds: one reading of the clock covers at least that much work


def serve(library: str, compiles: bool, pipe: Connection) -> None:
    """Answer ("prepare", case) and ("measure", seconds) until the pipe is closed."""
    torch = importlib.import_module(library)
    run: Callable[[], Any] | None = None
    while True:
        try:
            request, argument = pipe.recv()
        except EOFError:
            return
        if request == "prepare":
            run, problem = _prepare(torch, argument, compiles)
            pipe.send(problem)
        else:
            assert run is not None  # it said that it is ready
            pipe.send(_median_time(run, argument))


def _prepare(torch: Any, case: str, compiles: bool) -> tuple[Callable[[], Any] | None, str]:
    """Build the case and run it a few times; what is wrong, or an empty string."""
    try:
        run = CASES[case](torch)
        if compiles:
            run = torch.compile(run)
        for _ in range(4):  # the state of an optimizer, a recording, its replay beside an eager run, the replay
            run()
    except Exception as error:  # a case that a library cannot do is a dash in the table
        return None, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return run, ""


def _median_time(run: Callable[[], Any], seconds: float) -> float:
    """Seconds per call: the median over bursts. The first part of the turn warms up."""
    start = perf_counter()
    count = 1
    while (elapsed := _burst(run, count)) < BURST:
        count = max(count + 1, int(1.2 * count * min(10.0, BURST / max(elapsed, 1e-9))))
    while perf_counter() - start < 0.2 * seconds:
        _burst(run, count)
    times = [_burst(run, count) / count]
    while perf_counter() - start < seconds:
        times.append(_burst(run, count) / count)
    return statistics.median(times)


def _burst(run: Callable[[], Any], count: int) -> float:
    start = perf_counter()
    for _ in range(count):
        run()
    return perf_counter() - start
