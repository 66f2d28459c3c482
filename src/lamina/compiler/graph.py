"""The graph: one recorded run as a flat list of calls on typed regions of memory, each written once.

A `Value` is a block of memory that has one content: a write in place makes a new value. A `Ref` is how a call looks at a value: offset,
shape, strides, dtype; so views are no calls, they are refs. Here: these objects, in the order of the program, and their text.
Not here: how a run is recorded (capture/), what is made of it (passes/).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from lamina.core.version import Place, line_of


class Value:
    """A block of memory with one content. `origin`: the Node that makes it, or an Origin."""

    __slots__ = ("id", "nbytes", "origin", "previous")

    def __init__(self, id: int, nbytes: int, origin: Any, previous: Value | None = None) -> None:
        self.id, self.nbytes, self.origin = id, nbytes, origin
        self.previous = previous  # what was in the same memory before, where a write in place made this

    def __repr__(self) -> str:
        return f"v{self.id}"


class Origin:
    """Where a value that no call makes comes from.

    kind: "argument" (`which`: its number among the tensors given), "held" (`which`: a Tensor whose current memory is read at each call),
    "grad" (`which`: the leaf whose `.grad` it is), "constant" (`which`: the array), "live" (`which`: reads a Python number).
    """

    __slots__ = ("kind", "which")

    def __init__(self, kind: str, which: Any) -> None:
        self.kind, self.which = kind, which

    def __repr__(self) -> str:
        return self.kind


class Ref(NamedTuple):
    """A strided look at a value. Offset and strides in bytes."""

    value: Value
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        size = 1
        for n in self.shape:
            size *= n
        return size

    def over(self, array: Any) -> Any:
        """The same look at the memory in `array`, which holds the value (uint8, 1-d)."""
        return np.ndarray(self.shape, self.dtype, array, self.offset, self.strides)

    def whole(self) -> bool:
        """Whether the elements cover the value's memory, each byte once."""
        return self.size * self.dtype.itemsize == self.value.nbytes and dense(self.shape, self.strides, self.dtype)


@cache
def dtype_name(dtype: np.dtype[Any]) -> str:
    """The name of a dtype, which NumPy puts together anew each time it is asked."""
    return dtype.name


class Number(NamedTuple):
    """A number among the inputs of a call."""

    value: Any


class Node:
    """One call. `name` tells the kind: a primitive's, or one of: cast, copy, update (a region of a value replaced), call (opaque)."""

    __slots__ = ("inputs", "name", "outputs", "params", "place", "primitive")

    def __init__(
        self, name: str, primitive: Any, inputs: tuple[Any, ...], params: dict[str, Any], outputs: tuple[Ref | None, ...], place: Place | None,
    ) -> None:  # fmt: skip
        self.name, self.primitive, self.inputs, self.params, self.outputs, self.place = (
            name, primitive, inputs, params, outputs, place,
        )  # fmt: skip

    def reads(self) -> Iterator[Ref]:
        for one in self.inputs:
            if one.__class__ is Ref:
                yield one

    def __repr__(self) -> str:
        outs = ", ".join(f"{o.value}:{text_of(o)}" for o in self.outputs if o is not None)
        ins = ", ".join(
            f"{i.value}{'' if plain(i) else ':' + text_of(i)}" if i.__class__ is Ref else "-" if i is None else repr(i.value)
            for i in self.inputs
        )  # fmt: skip
        params = "".join(f", {k}={_short(v)}" for k, v in self.params.items())
        return f"{outs} = {self.name}({ins}{params})"


class Graph:
    """What one run did. `nodes` in the order of the program; `results`: refs that must be there when it is over."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.values = 0
        self.inputs: list[Value] = []  # those with an Origin
        self.results: list[Ref] = []
        self.expected: list[Ref] = []  # where an element of these is not zero, the program raises

    def value(self, nbytes: int, origin: Any, previous: Value | None = None) -> Value:
        self.values += 1
        made = Value(self.values, nbytes, origin, previous)
        if origin.__class__ is Origin:
            self.inputs.append(made)
        return made

    def __str__(self) -> str:
        lines = [f"{v} = {v.origin}[{v.nbytes} B]" for v in self.inputs]
        for node in self.nodes:
            place = ""
            if node.place is not None:
                file, line, _ = line_of(node.place)
                place = f"   # {file.rsplit('/', 1)[-1]}:{line}"
            lines.append(f"{node!r}{place}")
        lines.append("return " + ", ".join(f"{r.value}:{text_of(r)}" for r in self.results))
        return "\n".join(lines)


def dense(shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether elements lie without gap or overlap, in any order of dimensions."""
    step = dtype.itemsize
    for stride, n in sorted((s, n) for s, n in zip(strides, shape, strict=True) if n != 1):
        if stride != step:
            return False
        step *= n
    return True


def row_major(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The strides, in bytes, of a contiguous array."""
    strides, step = [0] * len(shape), itemsize
    for d in range(len(shape) - 1, -1, -1):
        strides[d] = step
        step *= max(shape[d], 1)
    return tuple(strides)


def plain(ref: Ref) -> bool:
    return ref.offset == 0 and ref.whole() and ref.strides == row_major(ref.shape, ref.dtype.itemsize)


def text_of(ref: Ref) -> str:
    """dtype[shape], and where it lies when that is not the plain way."""
    text = f"{ref.dtype.name}[{', '.join(map(str, ref.shape))}]"
    if plain(ref):
        return text
    return f"{text}@{ref.offset}/{'x'.join(map(str, ref.strides))}"


def _short(value: Any) -> str:
    text = "..." if isinstance(value, FunctionType) else repr(value)
    return text if len(text) < 60 else text[:57] + "..."
