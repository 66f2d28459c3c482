"""Cases: calls of a graph on given memory, run twice: one by one by NumPy, and as the kernels that they become together.

The search for a wrong kernel tries them, and a program that shows one is written as one (mismatch.py). Here: a case, its two runs, its text
as a program. Not here: which calls are tried.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lamina.compiler import pipeline
from lamina.compiler.bound import Bound
from lamina.compiler.calls import Call
from lamina.compiler.compare import TOLERANCE, distance
from lamina.compiler.graph import Graph, Node, Number, Origin, Ref, Value, row_major
from lamina.compiler.reference import dtype_of
from lamina.compiler.runtime.cache import cache_folder
from lamina.core.strided import Array
from lamina.primitives.primitive import PRIMITIVES

LITERAL = 64
"""Arrays of so many elements stand in the text of a program; larger ones in a file beside it."""

Memory = dict[Value, Array]  # the bytes of each value


class Case:
    """Calls, the memory that they read, and what to look at of what they make."""

    def __init__(self) -> None:
        self.given: Memory = {}
        self.nodes: list[Node] = []
        self.graph = Graph()

    # ---- making one --------------------------------------------------------------------------------------------------

    def memory(self, content: Array) -> Value:
        """Memory with this content."""
        block = np.ascontiguousarray(content).reshape(-1).view(np.uint8).copy()
        v = self.graph.value(block.nbytes, Origin("argument", len(self.given)))
        self.given[v] = block
        return v

    def call(
        self, name: str, inputs: Sequence[Any], outputs: Sequence[tuple[Any, ...] | None], /, **params: Any
    ) -> list[Value]:
        """A call of the primitive `name`, or one of the graph's own (cast, copy, update).

        inputs: looks (`look`), numbers (`number`), None; outputs: for each (nbytes, dtype, shape, offset, strides), or None.
        Returns the values that it makes.
        """
        primitive = None if name in OWN and not params.pop("primitive", False) else PRIMITIVES[name]
        node = Node(name, primitive, tuple(inputs), params, (), None)
        previous = inputs[0].value if name == "update" and primitive is None else None
        made = [None if o is None else self.graph.value(o[0], node, previous) for o in outputs]
        node.outputs = tuple(
            None if v is None or o is None else look(v, *o[1:]) for v, o in zip(made, outputs, strict=True)
        )
        self.nodes.append(node)
        return [v for v in made if v is not None]

    @staticmethod
    def of(nodes: Sequence[Node], contents: Mapping[Value, Array]) -> Case:
        """These calls of another graph; what they read of it has these contents."""
        case = Case()
        ours: dict[Value, Value] = {}

        def mapped(ref: Any) -> Any:
            if ref.__class__ is not Ref:
                return ref
            if ref.value not in ours:
                ours[ref.value] = case.memory(contents[ref.value])
            return ref._replace(value=ours[ref.value])

        for node in nodes:
            inputs = tuple(map(mapped, node.inputs))
            params = {k: mapped(v) for k, v in node.params.items()}
            made = Node(node.name, node.primitive, inputs, params, (), node.place)
            for out in node.outputs:
                if out is not None and out.value not in ours:
                    before = None if out.value.previous is None else ours.get(out.value.previous)
                    ours[out.value] = case.graph.value(out.value.nbytes, made, before)
            made.outputs = tuple(map(mapped, node.outputs))
            case.nodes.append(made)
        return case

    # ---- running it --------------------------------------------------------------------------------------------------

    def results(self) -> list[Ref]:
        """What is looked at: the outputs that no other call reads."""
        read = {ref.value for node in self.nodes for ref in node.reads()}
        return [o for node in self.nodes for o in node.outputs if o is not None and o.value not in read and o.size]

    def by_numpy(self) -> list[Array]:
        """The results, call by call."""
        blocks = {v: block.copy() for v, block in self.given.items()}
        run(self.nodes, blocks)
        return [over(ref, blocks[ref.value]).copy() for ref in self.results()]

    def by_kernels(self) -> list[Array]:
        """The results, of the kernels that the calls become."""
        program = _Program([_copied(node) for node in self.nodes], list(self.given), self.results())
        return program(list(self.given.values()))

    def distance(self) -> tuple[float, Ref | None]:
        """How far the two are apart, as a multiple of what is tolerated, and where most."""
        worst: tuple[float, Ref | None] = (0.0, None)
        for ref, found, true in zip(self.results(), self.by_kernels(), self.by_numpy(), strict=True):
            far = times_tolerated(found, true)
            if far > worst[0]:
                worst = far, ref
        return worst

    def compare(self) -> int:
        """Print what differs. Returns 1 where something does, as a program's exit status."""
        status = 0
        for ref, found, true in zip(self.results(), self.by_kernels(), self.by_numpy(), strict=True):
            if times_tolerated(found, true) <= 1:
                print(f"{ref.value!r} agrees")
                continue
            status = 1
            at = _farthest(found, true)
            print(f"{ref.value!r} {ref.dtype.name}{list(ref.shape)} differs: relative norm {distance(found, true):.3g}")
            print(f"    at {list(map(int, at))} compiled: {found[at]!r}, NumPy: {true[at]!r}")
        return status

    # ---- as a program ------------------------------------------------------------------------------------------------

    def written(self, title: str) -> Path:
        """Write the case as a program; where it is. Raises ValueError for what has no text, OSError where nothing can be written."""
        data: dict[str, Array] = {}
        lines = list(self._lines(data))
        text = "\n".join(lines)
        digest = hashlib.blake2b(
            text.encode() + b"".join(a.tobytes() for a in data.values()), digest_size=4
        ).hexdigest()
        name = f"{self.nodes[0].name.removeprefix('fused ').strip('_')}-{digest}"
        for folder in (cache_folder() / "mismatches", None):
            try:
                folder = folder or Path(tempfile.mkdtemp(prefix="lamina-"))
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if data:
                    np.savez(folder / f"{name}.npz", **data)  # type: ignore[arg-type]
                place = folder / f"{name}.py"
                place.write_text(_FRAME.format(title=title.replace('"', "'"), name=name, calls=text), encoding="utf-8")
                return place
            except OSError as error:
                problem = error
        raise problem

    def _lines(self, data: dict[str, Array]) -> Iterator[str]:
        dtypes: dict[Value, np.dtype[Any]] = {}
        for node in self.nodes:
            for ref in node.reads():
                dtypes.setdefault(ref.value, ref.dtype)
        for v, block in self.given.items():
            dtype = dtypes[v] if v.nbytes % dtypes[v].itemsize == 0 else np.dtype(np.uint8)
            array = block.view(dtype)
            if array.size <= LITERAL:
                yield f"{v!r} = case.memory(np.array([{', '.join(map(_literal, array.tolist()))}], dtype_of({dtype.name!r})))"
            else:
                data[repr(v)] = block
                yield f'{v!r} = case.memory(data["{v!r}"].view(dtype_of({dtype.name!r})))'
        for node in self.nodes:
            inputs = ", ".join(map(_text, node.inputs))
            outputs = ", ".join("None" if o is None else f"({o.value.nbytes}, {_look(o)})" for o in node.outputs)
            params = "".join(f", {k}={_text(v)}" for k, v in node.params.items())
            if node.primitive is not None and PRIMITIVES.get(node.name) is not node.primitive:
                raise ValueError(f"{node.name} is not in the table of primitives")
            if node.primitive is not None and node.name in OWN:
                params += ", primitive=True"
            made = ", ".join(repr(o.value) for o in node.outputs if o is not None)
            yield f"[{made}] = case.call({node.name!r}, [{inputs}], [{outputs}]{params})"


OWN = ("cast", "copy", "update")
"""Calls that are the graph's own, where they have no primitive."""

_FRAME = '''"""{title}

It runs the calls below twice: by NumPy, and as compiled by lamina; it prints where the results differ, and its exit status is 1 then.
"""

import sys
from pathlib import Path

import numpy as np
from numpy import inf, nan

from lamina.compiler.cases import Case, look, number
from lamina.compiler.reference import dtype_of

beside = Path(__file__).with_name("{name}.npz")
data = np.load(beside) if beside.exists() else {{}}
case = Case()
{calls}
sys.exit(case.compare())
'''


def look(v: Value, dtype: str, shape: tuple[int, ...], offset: int = 0, strides: tuple[int, ...] | None = None) -> Ref:
    """How a call looks at memory: dtype, shape, and in bytes offset and strides."""
    kind = dtype_of(dtype)
    return Ref(v, offset, shape, row_major(shape, kind.itemsize) if strides is None else strides, kind)


def number(value: Any, dtype: str) -> Number:
    """A number among the inputs of a call."""
    return Number(np.array(value, dtype_of(dtype)))


def run(nodes: Sequence[Node], blocks: Memory) -> None:
    """Run calls one by one by NumPy, and put what they make beside what they read."""
    for node in nodes:
        for out in node.outputs:
            if out is not None and out.value not in blocks:
                blocks[out.value] = np.zeros(out.value.nbytes, np.uint8)
        Call(node).prepare(lambda ref: over(ref, blocks[ref.value]))()


def over(ref: Ref, block: Array) -> Array:
    array: Array = ref.over(block) if ref.size else np.empty(ref.shape, ref.dtype)
    return array


def times_tolerated(found: Array, true: Array) -> float:
    """How far two results are apart, as a multiple of what is tolerated; anything, where integers differ."""
    far = distance(found, true)
    return far / TOLERANCE.get(true.dtype.name, 1e-30) if far else 0.0


class _Program(Bound):
    """The kernels of a graph, from blocks of memory to results."""

    def __init__(self, nodes: list[Node], inputs: list[Value], results: list[Ref]) -> None:
        graph = Graph()
        graph.nodes, graph.inputs, graph.results = nodes, inputs[:], results
        graph.values = max(v.id for v in (*inputs, *(r.value for r in results)))
        placed, self.stages = pipeline.planned(graph, {}, [r.value for r in results], asks=False)
        super().__init__(placed)
        self.results, self.passed = results, list(range(len(placed.dynamic)))
        self.stages.place(self)
        self.work = self.stages.calls(self)

    def __call__(self, blocks: Sequence[Array]) -> list[Array]:
        for k, what in enumerate(self.plan.dynamic):
            self.memory[k] = blocks[what.which] if isinstance(what, Origin) else np.zeros(what.nbytes, np.uint8)
        for n, work in enumerate(self.work):
            work(*self.memory) if n == self.stages.first_native else work()
        return [over(r, self.memory[self.plan.places[r.value].slot - 2]) for r in self.results]


def _copied(node: Node) -> Node:
    """The same call, whose inputs the passes may exchange. Its outputs' values keep their origin: the passes ask only its kind."""
    return Node(node.name, node.primitive, node.inputs, node.params, node.outputs, node.place)


def _farthest(found: Array, true: Array) -> tuple[Any, ...]:
    wide = np.complex128 if true.dtype.kind == "c" else np.float64
    with np.errstate(all="ignore"):
        gap = np.abs(found.astype(wide) - true.astype(wide))
    gap[np.isnan(gap)] = np.inf
    gap[(found == true) | ((found != found) & (true != true))] = 0
    return np.unravel_index(int(np.argmax(gap)), gap.shape)


def _look(ref: Ref) -> str:
    text = f"{ref.dtype.name!r}, {ref.shape!r}"
    if ref.offset or ref.strides != row_major(ref.shape, ref.dtype.itemsize):
        text += f", {ref.offset}, {ref.strides!r}"
    return text


def _text(value: Any) -> str:
    """Something as an expression of Python. Raises ValueError for what has none."""
    if value.__class__ is Ref:
        return f"look({value.value!r}, {_look(value)})"
    if value.__class__ is Number:
        return f"number({_literal(value.value.item())}, {value.value.dtype.name!r})"
    if isinstance(value, (tuple, list)):
        inner = ", ".join(map(_text, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' if len(value) == 1 else ''})"
    if isinstance(value, slice):
        return f"slice({_text(value.start)}, {_text(value.stop)}, {_text(value.step)})"
    if isinstance(value, np.dtype):
        return f"dtype_of({value.name!r})"
    if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0:
        return f"np.array({_literal(value.item())}, dtype_of({value.dtype.name!r}))[()]"
    if value is None or value is Ellipsis or isinstance(value, (bool, int, float, complex, str, bytes)):
        return _literal(value)
    raise ValueError(f"a parameter of type {type(value).__name__} has no text")


def _literal(value: Any) -> str:
    return "..." if value is Ellipsis else repr(value)
