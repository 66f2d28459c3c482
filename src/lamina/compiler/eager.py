"""Eager calls on large arrays through native kernels: softmax, normalisations, gelu, losses, convolutions and their gradients.

A function that is asked for is traced on Tensors and becomes a small program for these shapes, from arrays to new arrays; what does not
become kernels alone stays with NumPy. Which of the two depends on the call, not on how often it came. Here: these programs, and when
they are made. Not here: which primitives ask (primitives/large.py), whole functions of the user's (api.py).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import numpy as np

from lamina.autograd import modes
from lamina.compiler import pipeline
from lamina.compiler.available import attempted
from lamina.compiler.bound import Bound, elements_at, low_address
from lamina.compiler.calls import Call
from lamina.compiler.capture.recorder import Before, Recorder, extent
from lamina.compiler.graph import Origin, Ref, Value, plain
from lamina.core.device import BY_NUMPY
from lamina.core.strided import Array, address, owner_of
from lamina.core.tensor import Tensor, wrap
from lamina.primitives.primitive import Slots

EACH = 128
"""Shapes of one function that get a program: more of them change all the time, and are not worth it."""

ndarray = np.ndarray


class Eager(Bound):
    """A program from arrays to new arrays. Called with the arrays among a function's arguments."""

    def __init__(self, placed: Any, stages: Any, outs: list[Ref | None]) -> None:
        super().__init__(placed)
        self.outs, self.stages = outs, stages
        self.passed = list(range(len(placed.dynamic)))
        self.sources = [(k, w.which) for k, w in enumerate(placed.dynamic) if isinstance(w, Origin)]
        self.made = [(k, v) for k, v in enumerate(placed.dynamic) if isinstance(v, Value)]
        stages.place(self)
        (self.entry,) = stages.calls(self)
        self.refs = {r.value: r for r in outs if r is not None}

    def __call__(self, arrays: Sequence[Array]) -> list[Array | None]:
        memory: list[Any] = [None] * len(self.passed)
        for k, n in self.sources:
            memory[k] = arrays[n]
        for k, v in self.made:
            ref = self.refs[v]
            memory[k] = np.empty(ref.shape, ref.dtype) if plain(ref) else np.empty(v.nbytes, np.uint8)
        self.entry(*memory)
        found = {v: memory[k] for k, v in self.made}
        return [None if r is None else _seen(found[r.value], r) for r in self.outs]


def _seen(array: Array, ref: Ref) -> Array:
    return array if plain(ref) else elements_at(low_address(array) + ref.offset, ref, array)


_programs: dict[Any, Any] = {}  # by function, shapes and parameters: its Eager, or None where there cannot be one
_shapes: Counter[Any] = Counter()  # of a function, in _programs
_lock = Lock()


def _forked() -> None:
    """The thread that was making a program, if one was, is not there in a child."""
    global _lock
    _lock = Lock()


os.register_at_fork(after_in_child=_forked)


_UNKNOWN = object()


def kernel(function: Callable[..., Any], args: Sequence[Any], params: dict[str, Any]) -> Any:
    """What `function` gives for these arrays, by a native program; NotImplemented where there is none."""
    now = modes.current()
    if now is not None and now.listener is not None:  # a recording computes as NumPy does
        return NotImplemented
    arrays: list[Array] = []
    key = (function, *[_key(a, arrays) for a in args], *params.items())
    try:
        found = _programs.get(key, _UNKNOWN)
    except TypeError:  # a parameter that cannot be a key
        return NotImplemented
    if found is _UNKNOWN:
        # Decided when the shapes are met first, and for good: the same call gives the same bits each time.
        with _lock:
            if key not in _programs:
                if _shapes[function] >= EACH:
                    return NotImplemented
                _shapes[function] += 1
                _programs[key] = attempted(_made, function, args, params, arrays)
        found = _programs[key]
    if found is None:
        return NotImplemented
    program, form = found
    return form(program(arrays))


def _key(value: Any, arrays: list[Array]) -> Any:
    if value.__class__ is ndarray:
        arrays.append(value)
        return value.shape, value.strides, value.dtype
    if value.__class__ is list or value.__class__ is tuple:
        return (value.__class__, *[_key(v, arrays) for v in value])
    return value


def _made(function: Callable[..., Any], args: Sequence[Any], params: dict[str, Any], arrays: list[Array]) -> Any:
    """The program of a function, and what gives its results their form; None where there is none."""
    if any(
        a.dtype.itemsize < 4 and a.dtype.kind == "V" or a.dtype not in BY_NUMPY or not a.flags.aligned for a in arrays
    ):
        return None
    tensors = [wrap(a) for a in _apart(arrays)]
    waiting = iter(tensors)
    recorder = Recorder(tensors, Before([]))
    before, listening = modes.current(), modes.Mode(grad=False, listener=recorder)
    try:
        modes.set_current(listening)
        result = function(*[_tensors(a, waiting) for a in args], **params)
    except Exception:
        return None
    finally:
        modes.set_current(before)
    many = isinstance(result, (tuple, list))
    values = list(result) if many else [result]
    if (
        recorder.broken
        or recorder.escapes
        or recorder.draws
        or recorder.written()
        or not all(v is None or isinstance(v, Tensor) for v in values)
    ):
        return None
    outs: list[Ref | None] = []
    for v in values:
        if v is None:
            outs.append(None)
            continue
        fresh = np.empty(v._array.shape, v._array.dtype)
        recorder.copied(v._array, fresh)
        outs.append(recorder.ref(fresh))
    recorder.graph.results = [r for r in outs if r is not None]
    placed, stages = pipeline.planned(recorder.graph, {}, [r.value for r in recorder.graph.results])
    if len(stages.stages) != 1 or isinstance(stages.stages[0], Call):
        return None
    kind = type(result)
    form: Callable[[list[Any]], Any] = kind if many else _first
    return Eager(placed, stages, outs), form


def _apart(arrays: Sequence[Array]) -> list[Array]:
    """The arrays, or others like them in place of those that share memory with one before: others may not when they come again."""
    owners: set[int] = set()
    found = []
    for a in arrays:
        if id(owner_of(a)) in owners:
            a = _like(a)
        owners.add(id(owner_of(a)))
        found.append(a)
    return found


def _like(a: Array) -> Array:
    """The same elements with the same strides, in memory of their own."""
    low, span = extent(a)
    memory = np.empty(span, np.uint8)
    made = np.ndarray(a.shape, a.dtype, memory, address(a) - low, a.strides)
    made[...] = a
    return made


def _first(values: list[Any]) -> Any:
    return values[0]


def _tensors(value: Any, waiting: Any) -> Any:
    if value.__class__ is ndarray:
        return next(waiting)
    if value.__class__ is list or value.__class__ is tuple:
        return value.__class__(_tensors(v, waiting) for v in value)
    return value


def install() -> Any:
    """Fill the slot of the primitives; returns what fills it."""
    Slots.fuser = staticmethod(kernel)
    return kernel
