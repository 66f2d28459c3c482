"""The recorder: what listens while a run is recorded, and writes the graph.

Every call of a primitive, every write in place, every draw and every value that leaves for Python is reported here by the one place
where it happens (primitives/dispatch.py, inplace.py, random.py, core/tensor.py). Values are recognised by their memory, so
views need no reports. Here: from reports to the graph. Not here: what Python code ran (purity.py), what must hold for the
recording to be used again (guards.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from weakref import ref

import numpy as np

from lamina.autograd.graph import next_seq
from lamina.compiler.capture.lines import Lines
from lamina.compiler.capture.live import Live
from lamina.compiler.capture.purity import unwatched
from lamina.compiler.graph import Graph, Node, Number, Origin, Ref, Value, dense
from lamina.core.generator import Generator
from lamina.core.strided import Array, address, owner_of
from lamina.core.tensor import LEAF, Tensor
from lamina.core.version import users_place

FOLDED = 1 << 22
"""Bytes of a result that may be kept instead of computed anew."""


class Buffer:
    """Memory that the recording knows: addresses and its value now. The owner is not held: what dies in the run is forgotten."""

    __slots__ = ("first", "high", "low", "value")

    def __init__(self, value: Value, low: int) -> None:
        self.low, self.high, self.value, self.first = low, low + value.nbytes, value, value


def extent(array: Array) -> tuple[int, int]:
    """The lowest address of an array's elements, and the bytes from there to the end of the last."""
    low, span = address(array), array.itemsize
    if not array.size:
        return int(low), 0
    for n, s in zip(array.shape, array.strides, strict=True):
        if s < 0:
            low += (n - 1) * s
        span += (n - 1) * abs(s)
    return int(low), span


class Recorder:
    """Listens to a run. `broken`: why the recording cannot be used, or None."""

    def __init__(self, arguments: Sequence[Tensor], before: Before, lines: Lines | None = None) -> None:
        self.lines = Lines(None) if lines is None else lines
        self.graph = Graph()
        self.buffers: dict[int, list[Buffer]] = {}
        self._deaths: dict[int, Any] = {}  # weak references to the owners, which take them out of `buffers`
        self.broken: str | None = None
        self.escapes: list[tuple[str, Any]] = []  # (what left for Python, place)
        self.forgotten: set[int] = set()  # leaves whose `.grad` was thrown away before anyone read it
        self.replaced: set[int] = set()  # leaves whose `.grad` was set
        self.read: dict[int, Tensor] = {}  # tensors that were there before, and that calls got
        self.draws = 0
        self.finals: dict[Value, Value] = {}  # written(), once the run is over
        self.questions: list[tuple[Callable[[], float], Callable[[float], bool], bool, str]] = []
        self.before = before
        self.start = next_seq()
        self.alive: list[Any] = []
        self.lives: list[Live] = []
        for i, t in enumerate(arguments):
            self._argument(t._array, i)

    # ---- memory ------------------------------------------------------------------------------------------------------

    def _argument(self, array: Array, number: int) -> None:
        owner = owner_of(array)
        low, span = extent(array)
        for buffer in self.buffers.get(id(owner), ()):
            if (buffer.low, buffer.high) == (low, low + span):
                return  # given twice
            if low < buffer.high and buffer.low < low + span:
                self.fail("two arguments share a part of their memory")
        self.add(owner, Buffer(self.graph.value(span, Origin("argument", number)), low))

    def add(self, owner: Array, buffer: Buffer) -> Buffer:
        """From now on this memory is known, as long as it lives: later another may lie at its place."""
        key, buffers = id(owner), self.buffers
        if key not in buffers:
            buffers[key] = []
            self._deaths[key] = ref(owner, lambda _: buffers.pop(key, None))
        buffers[key].append(buffer)
        return buffer

    def _buffer(self, array: Array) -> tuple[Buffer, int] | None:
        """The known memory that these elements lie in, and where."""
        low, span = extent(array)
        for buffer in self.buffers.get(id(owner_of(array)), ()):
            if buffer.low <= low and low + span <= buffer.high:
                return buffer, (address(array) - buffer.low if array.size else 0)
        return None

    def ref(self, array: Array) -> Ref:
        """How the graph calls these elements."""
        found = self._buffer(array)
        if found is None:
            self._found(owner_of(array))
            found = self._buffer(array)
            assert found is not None
        buffer, at = found
        return Ref(buffer.value, at, array.shape, array.strides, array.dtype)

    def _found(self, owner: Array) -> None:
        """Memory met for the first time: there before the run, or a constant that the run made."""
        if id(owner) in self.buffers:
            self.fail("an argument shares memory with another tensor")
        t = self.before.owners.get(id(owner))
        if t is None:
            content = owner if owner.flags.c_contiguous else _dense_copy(owner)
            origin = Origin("constant", content.copy())
        else:
            leaf = self.before.grads.get(id(t))
            origin = Origin("held", t) if leaf is None else Origin("grad", leaf)
        low, span = extent(owner)
        self.add(owner, Buffer(self.graph.value(span, origin), low))

    def _made(self, array: Array, node: Node) -> Ref:
        """New memory that `node` fills."""
        owner = owner_of(array)
        low, span = extent(owner)
        buffer = self.add(owner, Buffer(self.graph.value(span, node), low))
        return Ref(buffer.value, address(array) - low if array.size else 0, array.shape, array.strides, array.dtype)

    def knows(self, array: Array) -> bool:
        return self._buffer(array) is not None

    # ---- reports -----------------------------------------------------------------------------------------------------

    @unwatched
    def call(
        self, p: Any, tensors: Sequence[Any], arrays: Sequence[Any], params: dict[str, Any], outs: Sequence[Any]
    ) -> None:
        """A primitive computed `outs` (Tensors or None) from `arrays`, which are `tensors` promoted."""
        if getattr(p.meta, "by_values", False):
            self.left(f"the shape of {p.name}'s result")
        results = [None if o is None else o._array for o in outs]
        if p.view or all(r is None or self.knows(r) for r in results):
            if p.view and tensors[0] is not None:
                self._operand(tensors[0], arrays[0])  # its memory may be met here for the first time
            return
        inputs = tuple(self._operand(t, a) for t, a in zip(tensors, arrays, strict=True))
        fixed = {k: self._fixed(v, f"{p.name}({k}=)") for k, v in params.items()}
        node = Node(p.name, p, inputs, fixed, (), users_place(3))
        self._append(node, results)

    def _append(self, node: Node, results: Sequence[Array | None]) -> None:
        if self._settled(node, results):
            return
        node.outputs = tuple(
            None if r is None else self.ref(r) if self.knows(r) else self._made(r, node) for r in results
        )
        self.graph.nodes.append(node)
        self.lines.worked()

    def _settled(self, node: Node, results: Sequence[Array | None]) -> bool:
        """Whether a call's results follow from constants alone, such as a mask: then they are constants themselves."""
        refs = [i for i in node.inputs if i.__class__ is Ref]
        if not refs or not all(r.value.origin.__class__ is Origin and r.value.origin.kind == "constant" for r in refs):
            return False
        if node.name in ("draw", "update") or any(r is None or self.knows(r) or r.nbytes > FOLDED for r in results):
            return False
        node.outputs = tuple(self.ref(r) for r in results if r is not None)
        return True

    def _operand(self, given: Any, array: Any) -> Any:
        if given is None:
            return None
        if isinstance(given, Tensor):
            if id(given) in self.before.ids:
                self.read[id(given)] = given
            ref = self.ref(given._array)
            return ref if array is given._array or array.dtype == ref.dtype else self._cast(ref, array)
        if given.__class__ is Live:
            ref = given.ref
            if array.ndim or array is None:
                given.pin("as an operand")
                return Number(np.asarray(array))
            return ref if array.dtype == ref.dtype else self._cast(ref, array)
        return Number(np.array(array))

    def _cast(self, ref: Ref, array: Array) -> Ref:
        node = Node("cast", None, (ref,), {}, (), users_place(4))
        self._append(node, (array,))
        return node.outputs[0]  # type: ignore[return-value]

    @unwatched
    def copied(self, source: Array, made: Array) -> None:
        """Library code copied elements (perhaps to another dtype) into new memory."""
        self._append(Node("copy", None, (self.ref(source),), {}, (), users_place(3)), (made,))

    @unwatched
    def given_away(self, array: Array) -> Ref:
        """How the graph calls a constant's elements in memory that is new in each run: Python may write there."""
        owner = owner_of(array)
        content = owner.copy(order="K")
        node = Node("copy", None, (self.ref(owner),), {}, (), users_place(3))
        whole = self._made(content, node)
        node.outputs = (whole,)
        self.graph.nodes.append(node)
        self.alive.append(content)
        return self.ref(array)._replace(value=whole.value)

    @unwatched
    def write(self, target: Array, content: Array) -> None:
        """`content` was written over the elements of `target`, in place."""
        source = self.ref(content)
        region = self.ref(target)
        buffer, _ = self._buffer(target)  # type: ignore[misc]
        before = buffer.value
        if 0 in region.strides and region.size > 1:
            self.fail("a write to a tensor whose elements share memory")
        place = users_place(3)
        if region.whole():
            node = Node("copy", None, (source,), {}, (), place)
        else:
            node = Node(
                "update",
                None,
                (Ref(before, 0, (before.nbytes,), (1,), np.dtype(np.uint8)), source),
                {"region": region},
                (),
                place,
            )
        buffer.value = self.graph.value(before.nbytes, node, previous=before)
        node.outputs = (Ref(buffer.value, *region[1:]),)
        self.graph.nodes.append(node)
        self.lines.worked()

    @unwatched
    def drawn(self, array: Array, again: Callable[[], Array]) -> None:
        """Random numbers were drawn into new memory; `again` draws the next ones."""
        self.draws += 1
        self._append(Node("draw", None, (), {"again": again}, (), users_place(3)), (array,))

    def expects(self, t: Tensor) -> None:
        """Library code raises where an element of `t` is not zero."""
        ref = self.ref(t._array)
        if isinstance(ref.value.origin, Node):
            self.graph.expected.append(ref)
        else:
            self.left("whether values are allowed")

    def left(self, what: str) -> None:
        """A value left for Python."""
        self.escapes.append((what, users_place(3)))
        self.lines.trouble(f"it looks at a tensor's values: {what}")

    @unwatched
    def forget_grad(self, leaf: Tensor) -> None:
        """The `.grad` of `leaf` is thrown away, whatever it was."""
        self.replaced.add(id(leaf))
        self.lines.worked()
        ref = None if leaf._more is None or leaf._more.grad is None else leaf._more.grad._array
        if ref is None or not self.knows(ref):
            self.forgotten.add(id(leaf))

    def met(self, t: Tensor) -> bool:
        """Whether the run had to do with the memory of `t`."""
        return id(owner_of(t._array)) in self.buffers

    def written(self) -> dict[Value, Value]:
        """What was in memory that was there before -> what it holds now, where that is another content."""
        known = (buffer for buffers in self.buffers.values() for buffer in buffers if buffer.value is not buffer.first)
        return {
            b.first: b.value for b in known if b.first.origin.__class__ is Origin and b.first.origin.kind != "constant"
        }

    def settle(self) -> None:
        """The run is over: note what memory holds, and let go of all that only listening needed (it holds every tensor there is)."""
        self.finals = self.written()
        self.before = Before([])
        self.buffers.clear()
        self._deaths.clear()
        self.alive.clear()

    def fail(self, why: str) -> None:
        """The recording cannot be used again."""
        if self.broken is None:
            self.broken = why
        self.lines.trouble(why)

    def went_back(self, nodes: Iterable[Any]) -> None:
        """A backward goes through these nodes of the graph."""
        if any(node._seq < self.start for node in nodes):
            self.fail("backward goes through a graph that was there before the call")

    def _fixed(self, value: Any, where: str) -> Any:
        """A parameter of a call, which is part of the recording; a live number becomes guarded."""
        if value.__class__ is Live:
            value.pin(where)
            return float(value)
        if value.__class__ in (tuple, list):
            return value.__class__(self._fixed(v, where) for v in value)
        if isinstance(value, (Tensor, np.ndarray, Generator)):
            self.fail(f"{where} is a {type(value).__name__}")
        return value

    def pinned(self, live: Live, value: float, where: str) -> None:
        """The recording holds for this value of a live number only."""
        self.asked(live, lambda x: x == value, True)

    def asked(self, live: Live, question: Callable[[float], bool], answer: bool) -> None:
        """Python decided something by a live number: it must decide the same again."""
        if live.read is None:
            self.fail("Python decides by a number that the step computes")
        else:
            self.questions.append((live.read, question, answer, live.label))

    # ---- numbers -----------------------------------------------------------------------------------------------------

    @unwatched
    def scalar(self, name: str, primitive: Any, operands: Sequence[Any], value: float) -> Live:
        """A number computed from live ones."""
        made = np.array(value, np.float64)
        inputs = tuple(o.ref if o.__class__ is Live else Number(np.asarray(o, np.float64)) for o in operands)
        node = Node(name, primitive, inputs, {}, (), users_place(3))
        self._append(node, (made,))
        self.alive.append(made)
        return Live.make(value, self, node.outputs[0])

    def live(self, value: float, read: Callable[[], float], label: str) -> Live:
        """A number that Python code reads anew at each call."""
        made = np.array(value, np.float64)
        self.alive.append(made)
        source = self.add(made, Buffer(self.graph.value(8, Origin("live", read)), address(made))).value
        return Live.make(value, self, Ref(source, 0, (), (), made.dtype), read, label)

    @unwatched
    def number(self, t: Tensor) -> Live:
        """The content of a one-element tensor as a live number: for library code that would ask for `item()`."""
        ref = self.ref(t._array)
        wide = np.array(t._array, np.float64).reshape(())
        node = Node("cast", None, (Ref(ref.value, ref.offset, (), (), ref.dtype),), {}, (), users_place(3))
        self._append(node, (wide,))
        self.alive.append(wide)
        return Live.make(float(wide), self, node.outputs[0])


class Before:
    """What there was before the run: tensors, by the memory they look at; leaves' gradients; versions."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self.tensors = list(tensors)
        self.ids = {id(t) for t in self.tensors}
        self.nodes = {id(t): t._node for t in self.tensors}
        self.hooks = {id(t): hooks_of(t) for t in self.tensors}
        self.owners: dict[int, Tensor] = {}
        self.grads: dict[int, Tensor] = {}  # id(a leaf's gradient) -> the leaf
        self.leaf_grads: list[tuple[Tensor, Any]] = []
        self.versions = [(t, t._version_, 0 if t._version_ is None else _count(t)) for t in self.tensors]
        for t in self.tensors:
            self.owners.setdefault(id(owner_of(t._array)), t)
            about = t._more
            if t._node is LEAF:
                self.leaf_grads.append((t, None if about is None else about.grad))
            if about is not None and about.grad is not None:
                self.grads[id(about.grad)] = t
                self.owners[id(owner_of(about.grad._array))] = about.grad


def hooks_of(t: Tensor) -> tuple[int, int]:
    """How many hooks a tensor has, of both kinds."""
    about = t._more
    return (0, 0) if about is None else (len(about.hooks or ()), len(about.post_hooks or ()))


def _count(t: Tensor) -> int:
    about = t._more
    return 0 if about is not None and about.inference else t._version_.n  # type: ignore[union-attr]


def _dense_copy(owner: Array) -> Array:
    """The bytes of an array that owns them, in their order in memory."""
    if not dense(owner.shape, tuple(abs(s) for s in owner.strides), owner.dtype):
        raise NotImplementedError("a constant whose memory has gaps")
    order = sorted(range(owner.ndim), key=lambda d: -abs(owner.strides[d]))
    upright = owner[tuple(slice(None, None, -1) if s < 0 else slice(None) for s in owner.strides)]
    return np.ascontiguousarray(upright.transpose(order))
