"""Loops under construction: what lowering writes, fuse joins, and emit gets as kernels.

A `Work` is a kernel whose operands are still looks at values of the graph (`At`) in place of operand numbers. Here: these forms, and a
body's writer that knows equal instructions when it sees them. Not here: which primitive becomes what (lowering/), joining (passes/fuse.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina.compiler.graph import Ref, Value, dtype_name
from lamina.compiler.kernels import REDUCTIONS, SCALAR_OPS, SIZES, Access, Inst, Loop
from lamina.compiler.kernels import NotNative as NotNative


class At(NamedTuple):
    """How a loop walks a value: byte offset, strides in elements (one for each dimension of the loop), dtype as stored."""

    value: Value
    offset: int
    strides: tuple[int, ...]
    dtype: str


class Partial(Value):
    """Sums that a loop adds to as it goes: it loads what it stores (see kernels.carried)."""

    __slots__ = ()


class Val(NamedTuple):
    """The result of an instruction, while a body is written."""

    at: int
    dtype: str


WIDE = {"float16": "float32", "bfloat16": "float32"}
_TESTS = frozenset(("eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite"))
_OF_BOOL = _TESTS | {
    "add",
    "sub",
    "mul",
    "maximum",
    "minimum",
    "and",
    "or",
    "xor",
    "not",
    "abs",
    "sign",
    "floor",
    "ceil",
    "round",
    "trunc",
}
_OF_INTEGERS = _OF_BOOL | {"floor_div", "trunc_div", "mod", "fmod", "pow", "fma", "neg", "shl", "shr"}
_CHANGES = frozenset(("load", "gather", "product"))


class Body:
    """Writes the instructions of a loop; equal ones are one."""

    def __init__(self, insts: list[Inst] | None = None, positions: dict[Inst, int] | None = None) -> None:
        self.insts: list[Inst] = [] if insts is None else insts
        self.positions: dict[Inst, int] = {} if positions is None else positions

    def put(self, inst: Inst) -> int:
        found = self.positions.get(inst)
        if found is None or inst.op == "store":
            found = len(self.insts)
            self.insts.append(inst)
            self.positions[inst] = found
        return found

    def op(self, name: str, args: Sequence[Val], dtype: str, data: Any = None) -> Val:
        return Val(self.put(Inst(name, tuple(a.at for a in args), dtype, data)), dtype)

    def load(self, ref: Ref, strides: Sequence[int]) -> Val:
        """strides: in bytes, one for each dimension of the loop."""
        at = access(ref, strides)
        return self.op("load", (), WIDE.get(at.dtype, at.dtype), at)

    def gather(self, ref: Ref, strides: Sequence[int], indices: Sequence[Val], steps: Sequence[int]) -> Val:
        """An element whose place depends on integers: they count `steps` bytes each."""
        at = access(ref, strides)
        return self.op(
            "gather", indices, WIDE.get(at.dtype, at.dtype), (at, tuple(_elements(s, ref.dtype) for s in steps))
        )

    def store(self, ref: Ref, strides: Sequence[int], value: Any, like: str | None = None) -> None:
        at = access(ref, strides)
        wide = WIDE.get(at.dtype, at.dtype)
        value = self.cast(value if isinstance(value, Val) else self.const(value, wide), wide)
        self.put(Inst("store", (value.at,), wide, at))

    def const(self, value: Any, dtype: str) -> Val:
        number = bool(value) if dtype == "bool" else float(value) if dtype.startswith("float") else int(value)
        if number != number:
            number = _NAN
        elif number == 0.0 and dtype.startswith("float") and np.signbit(number):
            return self.op("neg", (self.const(0.0, dtype),), dtype)
        return self.op("const", (), dtype, number)

    def index(self, dim: int) -> Val:
        return self.op("index", (), "int64", dim)

    def cast(self, value: Any, dtype: str) -> Val:
        dtype = WIDE.get(dtype, dtype)
        return value if value.dtype == dtype else self.op("cast", (value,), dtype)

    def known(self, value: Val) -> Any:
        """The number that a value is in every run, or None."""
        inst = self.insts[value.at]
        return inst.data if inst.op == "const" else None

    def refused(self, what: str) -> Exception:
        """The error that leaves a node to NumPy, for rules in declarations, which know nothing of the compiler."""
        return NotNative(what)

    def __getattr__(self, name: str) -> Any:
        name = name.removesuffix("_")  # and_, or_, not_
        if name in SCALAR_OPS:
            return lambda *args: self._scalar(name, args)
        if name in REDUCTIONS:
            return lambda x: self.op(name, (x,), "int64" if name.startswith("arg") else x.dtype)
        raise NotNative(name)

    def _scalar(self, name: str, args: Sequence[Any]) -> Val:
        known = [a.dtype for a in args if isinstance(a, Val)]
        if name == "select":
            dtype = next((a.dtype for a in args[1:] if isinstance(a, Val)), None)
            if dtype is None:
                raise NotNative("select between numbers")
            vals = [args[0], *(a if isinstance(a, Val) else self.const(a, dtype) for a in args[1:])]
            return self.op(name, vals, dtype)
        dtype = known[0]
        vals = [a if isinstance(a, Val) else self.const(a, dtype) for a in args]
        if not (dtype.startswith("float") or name in (_OF_BOOL if dtype == "bool" else _OF_INTEGERS)):
            raise NotNative(f"{name} of {dtype}")
        if any(v.dtype != dtype for v in vals):
            raise NotNative(f"{name} of {', '.join(v.dtype for v in vals)}")
        return self.op(name, vals, "bool" if name in _TESTS else dtype)


_NAN = float("nan")


def access(ref: Ref, strides: Sequence[int]) -> At:
    name = dtype_name(ref.dtype)
    if name not in SIZES:
        raise NotNative(f"dtype {name}")
    return At(ref.value, ref.offset, tuple(_elements(s, ref.dtype) for s in strides), name)


def _elements(stride: int, dtype: Any) -> int:
    count, rest = divmod(stride, dtype.itemsize)
    if rest:
        raise NotNative("a stride between elements")
    return int(count)


class Work:
    """A loop, or a kernel of its own with a loop's body behind it (`core`: a matrix product), over looks at values."""

    native, late = True, False

    def __init__(
        self, dims: Sequence[int], keep: int, insts: Sequence[Inst], places: Sequence[Any] = (), core: Any = None
    ) -> None:
        self.dims, self.keep, self.insts = tuple(dims), keep, list(insts)
        self.places = tuple(places)  # where in the user's program it comes from
        self.core = core
        self.names: tuple[str, ...] = ()  # of the primitives in it
        self._positions: tuple[list[Inst], dict[Inst, int]] | None = None  # of `insts`, while they are that list
        self._looks: tuple[list[Inst], dict[str, list[At]]] | None = None  # likewise
        self.follows: tuple[Value, ...] = ()  # values whose content must be in its results' memory before

    def body(self) -> Body:
        """A body that begins with these instructions."""
        if self._positions is None or self._positions[0] is not self.insts:
            self._positions = self.insts, {inst: n for n, inst in enumerate(self.insts)}
        return Body(self.insts.copy(), self._positions[1].copy())

    def have(self, body: Body) -> None:
        """Let these be the instructions."""
        self.insts = body.insts
        self._positions = self.insts, body.positions

    def ats(self, *ops: str) -> list[At]:
        """How it looks at values in its loads, gathers or stores."""
        if self._looks is None or self._looks[0] is not self.insts:
            found: dict[str, list[At]] = {"load": [], "gather": [], "store": []}
            for inst in self.insts:
                if inst.op in found:
                    found[inst.op].append(inst.data[0] if inst.op == "gather" else inst.data)
            self._looks = self.insts, found
        looks = self._looks[1]
        return looks[ops[0]] if len(ops) == 1 else [at for op in ops for at in looks[op]]

    def reads(self) -> Iterator[Value]:
        if self.core is not None:
            yield from self.core.reads()
        for at in self.ats("load", "gather"):
            yield at.value
        yield from self.follows

    def writes(self) -> Iterator[Value]:
        if self.core is not None:
            yield from self.core.writes()
        for at in self.ats("store"):
            yield at.value

    def in_place(self, old: Value, new: Value) -> bool:
        """Whether `new` may be written into the memory of `old`: what is read of that is read where it is then written."""
        if (self.core is not None and old in self.core.reads()) or any(at.value is old for at in self.ats("gather")):
            return False
        written = {at[1:] for at in self.ats("store") if at.value is new}
        return len(written) == 1 and all(at[1:] in written for at in self.ats("load") if at.value is old)

    def kernel(self) -> tuple[Any, list[tuple[Value, int]]]:
        """The kernel, and the memory of its operands: (value, byte offset)."""
        operands: dict[tuple[Value, int], int] = {}
        core = None if self.core is None else self.core.frozen(operands)
        body = []
        for inst in self.insts:
            data = inst.data
            if inst.op in ("load", "store"):
                data = frozen(data, operands)
            elif inst.op == "gather":
                data = (frozen(data[0], operands), data[1])
            body.append(Inst(inst.op, inst.args, inst.dtype, data))
        if self.core is None:
            return Loop(self.dims, self.keep, tuple(body)), list(operands)
        return self.core.kernel(core, tuple(body)), list(operands)

    def __repr__(self) -> str:
        what = "+".join(self.names) or "loop"
        dims = "x".join(map(str, self.dims[: self.keep])) or "1"
        rest = "x".join(map(str, self.dims[self.keep :]))
        core = "" if self.core is None else f" {self.core!r}"
        return f"{what}{core} [{dims}{' | ' + rest if rest else ''}]"


def frozen(at: At, operands: dict[tuple[Value, int], int]) -> Access:
    return Access(operands.setdefault((at.value, at.offset), len(operands)), at.strides, at.dtype)


class Core:
    """A kernel that is no loop: what it reads, and `made(*accesses, body)`, the kernel."""

    def __init__(self, made: Callable[..., Any], ats: Sequence[At], text: str) -> None:
        self.made, self.ats, self.text = made, tuple(ats), text

    def reads(self) -> Iterator[Value]:
        return (at.value for at in self.ats)

    def writes(self) -> Iterator[Value]:
        return iter(())

    def frozen(self, operands: dict[tuple[Value, int], int]) -> Any:
        return [frozen(at, operands) for at in self.ats]

    def kernel(self, accesses: Any, body: tuple[Inst, ...]) -> Any:
        return self.made(*accesses, body)

    def __repr__(self) -> str:
        return self.text
