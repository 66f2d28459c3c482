"""`lamina tune`: the coefficients of the cost model, fitted to this machine in a few seconds.

Each is measured by the kernels that it speaks about, those to be compared one after the other in turns, by the median: what disturbs one
turn disturbs all, and a median forgets it. Here: the measurements. Not here: what the coefficients decide (costs.py), where they are kept
(runtime/tuned.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

import numpy as np

from lamina.compiler import costs
from lamina.compiler.costs import Coefficients
from lamina.compiler.emit import Code, Kernel, emit, weight_filters, weight_pixels
from lamina.compiler.emit.vectors import Vec
from lamina.compiler.kernels import Access, Conv, ConvWeight, Inst, Loop, Matmul, MaxPool, MaxPoolInput, Window
from lamina.compiler.runtime import cpu, tuned
from lamina.compiler.runtime.program import Launch, Program
from lamina.core.strided import Array, contiguous_strides
from lamina.core.threads import get_num_threads
from lamina.primitives.kernels import convolution, products
from lamina.settings import set_num_threads

TURNS = 7
"""How often each of several kernels is measured."""
FEWEST, PATIENCE = 3, 0.6
"""How often at the least, where that takes long: no turn begins after so many seconds."""
AT_LEAST = 200_000.0
"""Nanoseconds of one measurement: shorter kernels run several times."""

F = "float32"
Run = Callable[[], Any]


def fit() -> Coefficients:
    """Measure everything: as long as that takes, one thread is set, but where threads are what is measured."""
    shipped = costs.SHIPPED[costs.kind()]
    found = shipped._asdict()
    with _threads(1):
        for step in (_clock, _loops, _products, _convolutions, _points, _weights, _windows, _release):
            found |= step(found)
    found |= _share(found)
    # A machine that is busy gives odd numbers: none is kept that would not be read again.
    near = 0.99 * tuned.FAR
    return Coefficients(
        *[min(max(found[name], value / near), value * near) for name, value in shipped._asdict().items()]
    )


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = get_num_threads()
    set_num_threads(number)
    try:
        yield
    finally:
        set_num_threads(before)


def nanoseconds(*runs: Run, clock: Callable[[], int] = time.thread_time_ns) -> list[float]:
    """The median time of each, measured in turns: this thread's, so that it does not count what others take of its core."""
    repeats = []
    for run in runs:
        run()  # memory is there, threads are awake
        start = clock()
        run()
        repeats.append(max(1, int(AT_LEAST / max(clock() - start, 1))))
    taken: list[list[float]] = [[] for _ in runs]
    began = time.monotonic()
    for turn in range(TURNS):
        if turn >= FEWEST and time.monotonic() - began > PATIENCE:
            break
        for run, repeat, times in zip(runs, repeats, taken, strict=True):
            start = clock()
            for _ in range(repeat):
                run()
            times.append((clock() - start) / repeat)
    return [median(times) for times in taken]


def _draw(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def _access(operand: int, array: Array) -> Access:
    return Access(operand, contiguous_strides(array.shape), F)


def _stored(operand: int, array: Array) -> tuple[Inst, ...]:
    return Inst("product", (), F), Inst("store", (0,), F, _access(operand, array))


def _run(code: Code, *arrays: Array) -> Run:
    program = Program([[Launch(code, tuple((i, 0) for i in range(len(arrays))))]], len(arrays), 0)
    (entry,) = program.entries
    return lambda: entry(*arrays)


def _kernel(kernel: Kernel, *arrays: Array) -> Run:
    return _run(emit(kernel), *arrays)


def _product(m: int, n: int, k: int) -> tuple[Matmul, tuple[Array, Array, Array]]:
    a, b, out = _draw(m, k), _draw(k, n), np.empty((m, n), np.float32)
    return Matmul((), m, n, k, _access(0, a), _access(1, b), _stored(2, out)), (a, b, out)


# ---- the measurements: each gives some coefficients, and may use those found before ----------------------------------


def _clock(found: dict[str, float]) -> dict[str, float]:
    """Cycles of the tiles' model, in products that stay in the second cache."""
    made = [_product(*sizes) for sizes in ((96, 96, 96), (192, 192, 192), (64, 256, 192))]
    codes = [emit(kernel) for kernel, _ in made]
    times = nanoseconds(*[_run(code, *arrays) for code, (_, arrays) in zip(codes, made, strict=True)])
    cycles = [code.cost_ns * costs.machine().ghz for code in codes]
    return {"ghz": median(c / t for c, t in zip(cycles, times, strict=True))}


def _loops(found: dict[str, float]) -> dict[str, float]:
    """A loop that computes, one that reads and writes near memory, one that reads and writes far memory."""
    near, far = 1 << 16, 1 << 23
    x, y = np.abs(_draw(far)), np.empty(far, np.float32)
    load, store = Inst("load", (), F, Access(0, (1,), F)), Access(1, (1,), F)
    body = [load]
    for i in range(6):
        body.append(Inst("exp" if i % 2 else "neg", (i,), F))
    deep = Loop((4096,), 1, (*body, Inst("store", (6,), F, store)))
    copies = [Loop((n,), 1, (load, Inst("neg", (0,), F), Inst("store", (1,), F, store))) for n in (near, far)]
    computing, close, distant = nanoseconds(*[_kernel(loop, x, y) for loop in (deep, *copies)])
    predicted = emit(deep).cost_ns / costs.coefficients().vector_ns
    return {"vector_ns": computing / predicted, "cache_rate": 8 * near / close, "memory_rate": 8 * far / distant}


def _peak(found: dict[str, float], multiplications: int) -> float:
    """costs.peak_ns at the clock that was found."""
    return costs.peak_ns(multiplications, 4) * costs.machine().ghz / found["ghz"]


def _products(found: dict[str, float]) -> dict[str, float]:
    kernel, (a, b, out) = _product(1664, 1664, 1664)
    own, blas = nanoseconds(_kernel(kernel, a, b, out), lambda: products.dot(a, b))
    least = _peak(found, kernel.m * kernel.n * kernel.k)
    return {"own_product": least / own, "blas_product": least / blas}


def _ways(found: dict[str, float], window: Window) -> tuple[float, float]:
    """Efficiency of a convolution, directly and by columns."""
    x, w = _draw(window.batch, window.channels, *window.size), _draw(window.filters, window.channels, *window.kernel)
    out = np.empty((window.batch, window.filters, *window.out), np.float32)
    kernel = Conv(window, _access(0, x), _access(1, w), _stored(2, out))
    geometry = window.stride, window.padding, window.dilation
    direct, columns = nanoseconds(_kernel(kernel, x, w, out), lambda: convolution.conv_forward(x, w, *geometry))
    least = _peak(found, out.size * w[0].size)
    return least / direct, least / columns


def _convolutions(found: dict[str, float]) -> dict[str, float]:
    direct, columns = _ways(found, Window(8, 64, 64, 1, (28, 28), (3, 3), padding=(1, 1)))
    return {"direct": direct, "columns": columns}


def _points(found: dict[str, float]) -> dict[str, float]:
    direct, columns = _ways(found, Window(8, 256, 128, 1, (28, 28), (1, 1)))
    return {"direct_points": direct, "columns_points": columns}


def _weights(found: dict[str, float]) -> dict[str, float]:
    """The gradient of a weight, along pixels and along filters."""
    window = Window(8, 32, 64, 1, (28, 28), (3, 3), padding=(1, 1))
    x, g = _draw(8, 32, 28, 28), _draw(8, 64, 28, 28)
    out = np.empty((64, 32, 3, 3), np.float32)
    kernel = ConvWeight(window, _access(0, g), _access(1, x), _stored(2, out))
    machine, current = costs.machine(), costs.coefficients()
    v = Vec(F, machine.vector // 4)
    along = weight_pixels.Pixels(kernel, weight_pixels.plan(kernel, v, machine))
    across = weight_filters.Filters(kernel, weight_filters.plan(kernel, v, machine))
    writers: Sequence[Any] = (along, across)
    codes = [
        Code(w.text(f"way{i}"), f"way{i}", int(np.prod(w.blocks)), w.scratch.bytes, w.p.nanoseconds)
        for i, w in enumerate(writers)
    ]
    pixels, filters = nanoseconds(*[_run(code, g, x, out) for code in codes])
    # In cycles: those of the model without turning, those that were counted, the elements to turn.
    turned = g.size * across.p.blocks[1]
    tiles = across.p.nanoseconds * machine.ghz - turned * current.turn_cycles
    turn = (filters * found["ghz"] - tiles) / turned
    crossing = current.crossing * pixels * found["ghz"] / (along.p.nanoseconds * machine.ghz)
    return {"crossing": crossing, "turn_cycles": max(turn, 0.1)}


def _windows(found: dict[str, float]) -> dict[str, float]:
    """Maxima of windows, and numbers added at their places."""
    window = Window(16, 16, 16, 16, (32, 32), (2, 2), (2, 2))
    x, out, places = _draw(16, 16, 32, 32), np.empty((16, 16, 16, 16), np.float32), np.empty((16, 16, 16, 16), np.int64)
    back = np.empty_like(x)
    at = contiguous_strides(places.shape)
    body = (
        *_stored(1, out), Inst("place", (), "int64"), Inst("store", (2,), "int64", Access(2, at, "int64")),
    )  # fmt: skip
    most = _kernel(MaxPool(window, _access(0, x), body), x, out, places)
    most()
    kernel = MaxPoolInput(16, 16, (32, 32), (16, 16), _access(0, out), Access(1, at, "int64"), _stored(2, back))
    looked, added = nanoseconds(most, _kernel(kernel, out, places, back))
    one = looked / (x.size + out.size * 4)
    return {"pool_ns": one, "scatter_ns": max(added - one * x.size, 0.1 * added) / out.size}


def _release(found: dict[str, float]) -> dict[str, float]:
    """To let go of the GIL and take it again, when nobody else wants it, may cost a fiftieth of what is done meanwhile."""
    x, y = _draw(16), np.empty(16, np.float32)
    loop = Loop((16,), 1, (Inst("load", (), F, Access(0, (1,), F)), Inst("store", (0,), F, Access(1, (1,), F))))
    code, limit = emit(loop), costs.coefficients().release_ns
    kept, released = nanoseconds(_run(code._replace(cost_ns=0.0), x, y), _run(code._replace(cost_ns=2 * limit), x, y))
    return {"release_ns": 50 * max(released - kept, 20.0)}


def _share(found: dict[str, float]) -> dict[str, float]:
    """What a thread must have to do: four times what it costs that a second one takes a unit of work, and the first waits for it."""
    if cpu.cores() < 2:
        return {}
    x, y = _draw(64, 4096), np.empty((64, 4096), np.float32)
    at = contiguous_strides(x.shape)
    body = (
        Inst("load", (), F, Access(0, at, F)), Inst("exp", (0,), F), Inst("store", (1,), F, Access(1, at, F)),
    )  # fmt: skip
    code = emit(Loop(x.shape, 2, body))._replace(units=1, cost_ns=0.0)
    shared = code._replace(units=2, cost_ns=2.01 * costs.coefficients().share_ns)
    with _threads(2):
        one, two = nanoseconds(_run(code, x, y), _run(shared, x, y), clock=time.perf_counter_ns)
    return {"share_ns": min(max(4 * (two - one), 2_000.0), 50_000.0)}


def table(found: Coefficients) -> str:
    """Coefficient, shipped, fitted."""
    lines = [f"{'coefficient':16}{'shipped':>12}{'fitted':>12}"]
    for (name, shipped), value in zip(costs.SHIPPED[costs.kind()]._asdict().items(), found, strict=True):
        lines.append(f"{name:16}{shipped:12.4g}{value:12.4g}")
    return "\n".join(lines)
