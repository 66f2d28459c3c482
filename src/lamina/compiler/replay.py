"""A recording that can be run again: its program, what it reads anew, and what Python sees of it afterwards.

The order of a replay: arguments and facts are checked; addresses are gathered; the program runs; gradients, versions and results
are handed to Python as an eager run would have left them. Here: this. Not here: how the program came to be (api.py, passes/).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina.compiler.capture.guards import Facts
from lamina.compiler.capture.recorder import extent
from lamina.compiler.graph import Origin, Ref, Value, plain
from lamina.compiler.plan import Plan
from lamina.core.strided import Array, owner_of
from lamina.core.tensor import LEAF, Tensor, more, version, wrap


class Shape(NamedTuple):
    """What must hold of a tensor that is given as an argument."""

    cls: type
    kind: Any
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    leaf: bool
    same_as: int | None  # an earlier argument with the same memory


class Output(NamedTuple):
    """One tensor of what the call returns, or of the gradients it leaves."""

    ref: Ref | None  # new memory
    tensor: Any  # or: this very tensor, or the number of the argument
    kind: Any = None
    node: Any = None  # its (freed) place in the graph


class Effects(NamedTuple):
    """What a run leaves for Python to see, beside what it wrote into memory."""

    grads: list[tuple[Tensor, Output]]  # leaves whose `.grad` is another one afterwards (Output.ref and .tensor None: no gradient)
    versions: list[tuple[Tensor, int]]
    outputs: list[Any]  # an Output for a tensor, else the value itself
    rebuild: Callable[[list[Any]], Any]


class Missed(Exception):
    """The recording does not fit this call."""


class Replay:
    """One recording, ready to run."""

    def __init__(self, plan: Plan, program: Any, shapes: list[Any], facts: Facts, effects: Effects) -> None:
        self.plan, self.shapes, self.facts, self.effects = plan, shapes, facts, effects
        self.arena = aligned(plan.arena)
        self.constants = aligned(plan.constants)
        for v in plan.constant_values:
            at = plan.places[v].offset
            self.constants[at : at + v.nbytes] = np.frombuffer(np.ascontiguousarray(v.origin.which).data.cast("B"), np.uint8)  # type: ignore[arg-type]
        self.held = [(k, o.which, o.which._array) for k, o in enumerate(plan.dynamic) if isinstance(o, Origin) and o.kind == "held"]
        self.memory: list[Any] = [None] * len(plan.dynamic)
        for k, _, array in self.held:
            self.memory[k] = owner_of(array)
        self.live = [(k, o.which) for k, o in enumerate(plan.dynamic) if isinstance(o, Origin) and o.kind == "live"]
        for k, _ in self.live:
            self.memory[k] = np.zeros((), np.float64)
        self.given = [(k, o.which) for k, o in enumerate(plan.dynamic) if isinstance(o, Origin) and o.kind == "argument"]
        self.grads_read = [(k, o.which, None) for k, o in enumerate(plan.dynamic) if isinstance(o, Origin) and o.kind == "grad"]
        self.made = [(k, v) for k, v in enumerate(plan.dynamic) if isinstance(v, Value)]
        self.refs: dict[Value, Ref] = {}
        for out in (*(o for _, o in effects.grads), *effects.outputs):
            if isinstance(out, Output) and out.ref is not None:
                self.refs.setdefault(out.ref.value, out.ref)
        self.work = program.bind(self)

    # ---- memory ------------------------------------------------------------------------------------------------------

    def view(self, ref: Ref) -> Array:
        """The array of a ref, as memory is bound now."""
        slot, offset = self.plan.places[ref.value]
        if slot < 2:
            return np.ndarray(ref.shape, ref.dtype, (self.arena, self.constants)[slot], offset + ref.offset, ref.strides)
        return elements_at(low_address(self.memory[slot - 2]) + offset + ref.offset, ref, self.memory[slot - 2])

    # ---- a call ------------------------------------------------------------------------------------------------------

    def fits(self, tensors: Sequence[Any]) -> bool:
        """Whether arguments are as they were recorded."""
        for t, s in zip(tensors, self.shapes, strict=True):
            array = t._array
            if (
                t.__class__ is not s.cls or t._kind is not s.kind or array.shape != s.shape or array.strides != s.strides
                or (t._node is LEAF) is not s.leaf or (t._node is not None and not s.leaf)
                or (t._more is not None and t._more.hooks)
            ):  # fmt: skip
                return False
        return True

    def run(self, tensors: Sequence[Any]) -> Any:
        """Run the program on these arguments; returns what the function would return."""
        memory = self.memory
        for k, number in self.given:
            memory[k] = tensors[number]._array
        for k, leaf, _ in self.grads_read:
            memory[k] = owner_of(leaf._more.grad._array)
        for k, t, array in self.held:
            if t._array is not array:
                self._rebind()
                break
        for k, read in self.live:
            memory[k][...] = read()
        for k, v in self.made:
            ref = self.refs[v]
            memory[k] = np.empty(ref.shape, ref.dtype) if plain(ref) else np.empty(v.nbytes, np.uint8)
        for work in self.work:
            work()
        return self._finish(tensors)

    def _rebind(self) -> None:
        for i, (k, t, array) in enumerate(self.held):
            now = t._array
            if now is not array:
                if now.shape != array.shape or now.strides != array.strides or now.dtype != array.dtype:
                    raise Missed
                if owner_of(array).nbytes != owner_of(now).nbytes:
                    raise Missed
                self.held[i] = (k, t, now)
                self.memory[k] = owner_of(now)

    def _tensor(self, out: Output, tensors: Sequence[Any], made: dict[Value, Tensor]) -> Any:
        if out.ref is None:
            return tensors[out.tensor] if out.tensor.__class__ is int else out.tensor
        v = out.ref.value
        array = self.memory[self.plan.places[v].slot - 2]
        if out.ref is not self.refs[v] or not plain(out.ref):
            array = elements_at(low_address(array) + out.ref.offset, out.ref, array)
        t = wrap(array, out.kind)
        if out.node is not None:
            t._node = out.node
        return t

    def _finish(self, tensors: Sequence[Any]) -> Any:
        made: dict[Value, Tensor] = {}
        effects = self.effects
        for leaf, out in effects.grads:
            more(leaf).grad = None if out.ref is None and out.tensor is None else self._tensor(out, tensors, made)
        for t, n in effects.versions:
            version(t).n += n
        return effects.rebuild(
            [self._tensor(out, tensors, made) if out.__class__ is Output else out for out in effects.outputs]
        )


class _At:
    """Elements at an address, as NumPy's array interface describes them. Keeps what owns the memory."""

    __slots__ = ("__array_interface__", "owner")

    def __init__(self, address: int, ref: Ref, owner: Any) -> None:
        self.owner = owner
        self.__array_interface__ = {
            "version": 3, "shape": ref.shape, "strides": ref.strides, "typestr": f"|V{ref.dtype.itemsize}", "data": (address, False),
        }  # fmt: skip


def elements_at(address: int, ref: Ref, owner: Any) -> Array:
    """The array of a ref whose value begins at `address`, in memory that `owner` holds."""
    return np.asarray(_At(address, ref, owner)).view(ref.dtype)


def low_address(array: Array) -> int:
    return extent(array)[0]


def aligned(nbytes: int) -> Array:
    """Bytes whose address is a multiple of 64."""
    block = np.empty(nbytes + 64, np.uint8)
    at = -block.__array_interface__["data"][0] % 64
    return block[at : at + nbytes]
