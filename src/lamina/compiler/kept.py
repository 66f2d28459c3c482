"""Programs on disk: what the passes and emit made of a recorded graph, found again by all that it was made of.

A process that records what another has recorded before needs neither passes nor emit: where values live, and which kernels run in which
order over them, is read from the cache. The key covers all that the passes read: the graph with shapes, strides, dtypes, parameters and
constants, the machine, the fitted coefficients, and lamina's own files as Python's bytecode knows them, by size and time. What cannot be
told in plain numbers (an object as a parameter, a primitive of the program's own) is not kept. Here: the key, and the form on disk.
Not here: the file (runtime/cache.py), what a program is (pipeline.py).
"""

from __future__ import annotations

import hashlib
import io
import marshal
import os
import pickle
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from lamina.compiler import forms
from lamina.compiler.costs import coefficients
from lamina.compiler.graph import Graph, Node, Number, Origin, Ref, Value, dtype_name
from lamina.compiler.lowering.rules import RULES
from lamina.core.version import is_own
from lamina.primitives.registry import PRIMITIVES

_ROOT = Path(__file__).parents[1]
_PASSES = tuple(f"lamina.compiler.{name}" for name in ("passes", "lowering", "plan", "costs", "loops", "barriers"))


class _Untold(Exception):
    """This is not plain data."""


class Entry:
    """The place in the cache of one program: its key, and the objects of the recording that it may name."""

    def __init__(self, key: str, objects: list[Any]) -> None:
        self.key, self.objects = key, objects

    @staticmethod
    def of(graph: Graph, finals: dict[Value, Value], owned: Sequence[Value], *options: Any) -> Entry | None:
        """The entry of what passes make of a graph, asked before they change it; None where programs are not kept."""
        if forms.asked() or not _as_on_disk():
            return None
        told = _Told()
        try:
            text = told.graph(graph, finals, owned, options)
            data = marshal.dumps((text, told.values, told.contents, _limits()), 2)
        except (_Untold, ValueError, TypeError, RecursionError):
            return None
        return Entry(
            hashlib.blake2b(data, digest_size=20, key=_circumstances(coefficients())).hexdigest(), told.objects
        )

    def read(self) -> Any:
        """What was kept here; None where nothing is."""
        data = _store().program(self.key)
        if data is None:
            return None
        try:
            return _Reader(data, self.objects).load()
        except Exception:  # whatever pickle raises: it is made anew
            return None

    def write(self, made: Any) -> None:
        """Keep what was made, if that is possible."""
        stream = io.BytesIO()
        try:
            _Writer(stream, self.objects).dump(made)
        except (pickle.PicklingError, TypeError, AttributeError):
            return
        _store().put_program(self.key, stream.getvalue())

    def drop(self) -> None:
        """It was wrong."""
        _store().drop_program(self.key)


class _Told:
    """A graph as plain data. The objects in it are numbered in the order in which they are met."""

    def __init__(self) -> None:
        self.objects: list[Any] = []
        self.numbers: dict[int, int] = {}
        self.values: list[Any] = []  # what there is to know of each value, in their order
        self.contents: dict[int, Any] = {}  # of constants that are read: others are memory before it is written

    def graph(self, graph: Graph, finals: dict[Value, Value], owned: Sequence[Value], options: Any) -> Any:
        """All that passes read of it. What is in no order, as the heap's walk found it, is put into the order of the calls."""
        value = self.value
        inputs = [value(v) for v in graph.inputs]
        nodes = [self.node(node) for node in graph.nodes]
        ends = [(value(a), value(b)) for a, b in finals.items()]
        results = [sorted(self.ref(r) for r in refs) for refs in (graph.results, graph.expected)]
        return inputs, nodes, ends, results, sorted(value(v) for v in owned), [self.plain(option) for option in options]

    def number(self, thing: Any) -> int:
        number = self.numbers.setdefault(id(thing), len(self.objects))
        if number == len(self.objects):
            self.objects.append(thing)
        return number

    def value(self, v: Value) -> int:
        known = self.numbers.get(id(v))
        if known is None:
            known = self.number(v)
            origin, before = v.origin, v.previous
            made: Any = None
            if isinstance(origin, Origin):
                which = origin.which if origin.which.__class__ is int else None
                made = (self.number(origin), origin.kind, which)
            self.values.append((known, v.nbytes, made, None if before is None else self.value(before)))
        return known

    def ref(self, ref: Ref) -> Any:
        value, origin = self.value(ref.value), ref.value.origin
        if value not in self.contents and isinstance(origin, Origin) and origin.kind == "constant":
            self.contents[value] = self.plain(origin.which)
        return value, ref.offset, ref.shape, ref.strides, dtype_name(ref.dtype)

    def node(self, node: Node) -> Any:
        p = node.primitive
        if p is not None and PRIMITIVES.get(p.name) is not p:
            raise _Untold(p)
        for rule in (RULES.get(node.name), None if p is None else p.emit):
            if isinstance(rule, FunctionType) and not is_own(rule.__code__.co_filename):
                raise _Untold(rule)
        names = [None if thing is None else self.number(thing) for thing in (p, node.place)]
        again = node.params.get("again") if node.name == "draw" else None
        params = self.number(again) if again is not None else self.plain(node.params)
        ins = [self.plain(i) for i in node.inputs]
        return node.name, names, ins, params, [None if o is None else self.ref(o) for o in node.outputs]

    def plain(self, x: Any) -> Any:
        """An argument as nested tuples that tell its kind, too."""
        cls = x.__class__
        if x is None or cls in (bool, int, float, complex, str, bytes):
            return x
        if cls is Ref:
            return "ref", self.ref(x)
        if cls is Number:
            return "number", self.plain(x.value)
        if cls in (tuple, list):
            return cls.__name__, [self.plain(v) for v in x]
        if cls in (dict, slice):
            parts = x.items() if cls is dict else (x.start, x.stop, x.step)
            return cls.__name__, [self.plain(v) for v in parts]
        if isinstance(x, np.dtype) or (cls is type and issubclass(x, np.generic)):
            return "dtype", dtype_name(np.dtype(x)), cls is type
        if isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind != "O":
            return "array", dtype_name(x.dtype), x.shape, x.strides, x.tobytes()
        if isinstance(x, Value):
            return "value", self.value(x)
        if isinstance(x, (set, frozenset)):
            return "set", sorted(self.plain(v) for v in x)
        raise _Untold(x)


class _Writer(pickle.Pickler):
    """Objects of the recording are written as their numbers; of values that passes made, what a plan needs."""

    def __init__(self, stream: io.BytesIO, objects: Sequence[Any]) -> None:
        super().__init__(stream, 5)
        self.numbers = {id(thing): n for n, thing in enumerate(objects)}

    def persistent_id(self, thing: Any) -> int | None:
        return self.numbers.get(id(thing))

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, Value):
            return thing.__class__, (thing.id, thing.nbytes, thing.origin if isinstance(thing.origin, Origin) else None)
        return NotImplemented


class _Reader(pickle.Unpickler):
    """The reverse. What is read is the user's own, as the machine code beside it: it is trusted as that is."""

    def __init__(self, data: bytes, objects: Sequence[Any]) -> None:
        super().__init__(io.BytesIO(data))
        self.persistent_load = objects.__getitem__  # type: ignore[method-assign]


# ---- what else a program depends on ------------------------------------------------------------------------------------


@cache
def _circumstances(fitted: Any) -> bytes:
    """Everything but the recording: the machine, the coefficients, lamina's files."""
    from lamina.compiler.runtime import library  # only where native code is

    text = f"{library.circumstances().hex()}\n{fitted!r}\n{sorted(_files(_ROOT))!r}"
    return hashlib.blake2b(text.encode(), digest_size=32).digest()


def _files(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Lamina's files, as Python's own compiled modules know them."""
    for name in ("core", "primitives", "compiler"):
        stack = [str(folder / name)]
        while stack:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    if entry.is_dir():
                        stack.append(entry.path)
                    elif not entry.name.endswith(".pyc"):
                        status = entry.stat()
                        yield entry.path, status.st_size, status.st_mtime_ns


def _limits() -> list[tuple[str, str, Any]]:
    """The constants by which passes decide: they may have been set to others in this process."""
    return [
        (module.__name__, name, value)
        for module in _compiler(*_PASSES)
        for name, value in vars(module).items()
        if value.__class__ in (int, float, str) and name.isupper()
    ]


def _as_on_disk() -> bool:
    """Whether the compiler's functions are, in this process, those of its files: a test, or who looks for an error, may have put others there."""
    for module in _compiler("lamina.compiler"):
        holders = [c for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__]
        for holder in (module, *holders):
            for name, value in vars(holder).items():
                if isinstance(value, FunctionType) and name[:2] != "__" and not is_own(value.__code__.co_filename):
                    return False
    return True


def _compiler(*names: str) -> list[Any]:
    return [module for name, module in tuple(sys.modules.items()) if name.startswith(names) and module is not None]


def _store() -> Any:
    from lamina.compiler.runtime.cache import store  # only where native code is

    return store()
