"""Random Loops: native code beside the plain NumPy meaning of the same Loop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from math import prod
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler.native_code import Native, run
from lamina.compiler.emit import columns, emit, schedule
from lamina.compiler.emit import loops as native_loops
from lamina.compiler.emit.nest import Nest
from lamina.compiler.kernels import REDUCTIONS, SIZES, Access, Inst, Loop
from lamina.compiler.reference import dtype_of, interpret

pytestmark = pytest.mark.full


def _widened(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: function(*[a.astype(np.float64) for a in args])


FUNCTIONS = {
    name: _widened(f)
    for name, f in {
        "exp": np.exp, "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "sin": np.sin, "log1p": np.log1p,
        "pow": np.power, "fmod": np.fmod,
    }.items()
}  # fmt: skip
FLOATS, INTEGERS = ("float32", "float64"), ("uint8", "int8", "int16", "int32", "int64")
STORED = {
    "float32": ("float32", "float16", "bfloat16", "float32"),
    "float64": ("float64", "float32"),
    "int64": ("int64", "int32"),
}
UNARY = ("neg", "abs", "exp", "tanh", "sigmoid", "sin", "floor", "round", "sign")
BINARY = ("add", "sub", "mul", "maximum", "minimum")
EXACT = (
    "floor_div",
    "mod",
    "trunc_div",
    "fmod",
    "eq",
    "lt",
    "ge",
    "ne",
)  # a rounding error before them would show as a step
INT_ONLY = ("and", "or", "xor", "shl", "shr", "pow")


MEMORY = ("load", "gather", "store")


class Builder:
    """A random Loop and its operands, drawn step by step."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        rank = draw(st.integers(0, 4))
        sizes = st.sampled_from([1, 2, 3, 4, 5, 8, 16, 17, 33, 64, 70, 130, 0] if rank < 3 else [1, 2, 3, 5, 7, 16, 18])
        self.dims = tuple(draw(st.lists(sizes, min_size=rank, max_size=rank)))
        self.keep = draw(st.integers(0, rank))
        self.body: list[Inst] = []
        self.exact: list[bool] = []  # the same bits for sure, natively and in NumPy
        self.row: list[bool] = []  # the same along a row
        self.operands: list[np.ndarray] = []
        self.starts: list[int] = []  # where in them the addresses lie
        self.outputs: list[int] = []
        self.random = np.random.default_rng(draw(st.integers(0, 1 << 30)))

    def put(
        self,
        op: str,
        args: tuple[int, ...],
        dtype: str,
        data: object = None,
        exact: bool = True,
        row: bool | None = None,
    ) -> int:
        self.body.append(Inst(op, args, dtype, data))
        self.exact.append(exact and all(self.exact[a] for a in args))
        self.row.append(bool(args) and all(self.row[a] for a in args) if row is None else row)
        return len(self.body) - 1

    def reach(self, operand: int, strides: tuple[int, ...]) -> tuple[int, ...]:
        """Perhaps walk an operand backwards along some dimensions: its address is then that of another element."""
        turned = list(strides)
        for d, stride in enumerate(strides):
            if stride and self.dims[d] and self.draw(st.integers(0, 9)) == 0:
                turned[d] = -stride
                self.starts[operand] += (self.dims[d] - 1) * stride
        return tuple(turned)

    def operand(self, size: int, dtype: str) -> int:
        kind = dtype_of(dtype)
        if dtype == "bool":
            values = self.random.integers(0, 2, size)
        elif dtype in INTEGERS:
            values = self.random.integers(0 if dtype == "uint8" else -9, 10, size)
        else:
            values = self.random.integers(-12, 13, size) / 4
            if self.draw(st.integers(0, 5)) == 0 and size:
                values[self.random.integers(0, size)] = self.random.choice([np.nan, np.inf, -np.inf, -0.0])
        self.operands.append(values.astype(kind))
        self.starts.append(0)
        return len(self.operands) - 1

    def strides(self, broadcast: bool, dims: range) -> tuple[tuple[int, ...], int]:
        """Strides over all dims, 0 outside `dims` and sometimes inside; and the size of what they reach."""
        order = self.draw(st.permutations(list(dims))) if self.draw(st.booleans()) else list(dims)
        strides, step = [0] * len(self.dims), self.draw(st.sampled_from([1, 1, 1, 2, 3, 4, 5]))
        for d in reversed(order):
            if broadcast and self.draw(st.integers(0, 4)) == 0:
                continue
            strides[d] = step
            step *= max(self.dims[d], 1)
            if self.draw(st.integers(0, 6)) == 0:
                step += 1
        return tuple(strides), step + 1

    def load(self) -> int:
        dtype = self.draw(st.sampled_from(["float32"] * 6 + ["float64", "float16", "bfloat16", "bool", *INTEGERS]))
        strides, size = self.strides(True, range(len(self.dims)))
        operand = self.operand(size, dtype)
        access = Access(operand, self.reach(operand, strides), dtype)
        return self.put("load", (), "float32" if SIZES[dtype] == 2 and "float" in dtype else dtype, access,
                        row=not any(strides[self.keep :]))  # fmt: skip

    def step(self) -> None:
        draw = self.draw
        i = draw(st.integers(0, len(self.body) - 1))
        dtype = self.body[i].dtype
        choice = draw(
            st.sampled_from(
                ["unary", "binary", "binary", "exact", "reduce", "reduce", "cast", "select", "other", "load"]
            )
        )
        alike = [j for j in range(len(self.body)) if self.body[j].dtype == dtype]
        j = draw(st.sampled_from(alike))
        if choice == "load":
            self.load()
        elif choice == "unary" and dtype in FLOATS:
            op = draw(st.sampled_from(UNARY if self.exact[i] else UNARY[:-3]))
            self.put(op, (i,), dtype, exact=op not in FUNCTIONS)
        elif choice == "unary" and dtype != "bool":
            self.put(draw(st.sampled_from(("neg", "abs", "sign", "not"))), (i,), dtype)
        elif choice == "binary":
            self.put(draw(st.sampled_from(BINARY)), (i, j), dtype, exact=dtype not in FLOATS)
        elif choice == "exact" and self.exact[i] and self.exact[j] and dtype != "bool":
            op = draw(st.sampled_from(EXACT if dtype in FLOATS else (*EXACT, *INT_ONLY)))
            if op == "pow":
                j = self.put("const", (), dtype, draw(st.integers(0 if dtype == "uint8" else -2, 5)), row=True)
            if op in ("shl", "shr"):
                j = self.put("const", (), dtype, draw(st.sampled_from([0, 1, 3, 7, 8, 31, 64, 70])), row=True)
            self.put(op, (i, j), "bool" if op in ("eq", "lt", "ge", "ne") else dtype)
        elif choice == "reduce":
            ops, empty = ["sum", "prod", "max", "min"], 0 in self.dims[self.keep :]
            if empty or prod(self.dims[self.keep :]) > 8 or not self.exact[i]:
                ops.remove("prod")  # out of the range of floats
            if empty:
                ops = ["sum", "prod"]
            elif self.exact[i]:
                ops += ["argmax", "argmin"]
            if dtype == "bool":
                ops += ["any", "all"]
            op = draw(st.sampled_from(ops))
            result = "int64" if "arg" in op or (op in ("sum", "prod") and dtype not in FLOATS) else dtype
            self.put(op, (i,), result, exact=op not in ("sum", "prod") or dtype not in FLOATS, row=True)
        elif choice == "cast" and self.exact[i]:
            self.put("cast", (i,), draw(st.sampled_from([*FLOATS, *INTEGERS, "bool"])))
        elif choice == "select":
            conditions = [k for k in range(len(self.body)) if self.body[k].dtype == "bool"]
            if conditions:
                self.put("select", (draw(st.sampled_from(conditions)), i, j), dtype)
        elif choice == "other" and self.dims:
            self.indexed(draw(st.integers(0, len(self.dims) - 1)))

    def indexed(self, d: int) -> None:
        """The index along d, and what stands there in a table."""
        i = self.put("index", (), self.draw(st.sampled_from(["int32", "int64"])), d, row=d < self.keep)
        dtype = self.draw(st.sampled_from(["float32", "float64", "int32", "int8"]))
        stride = self.draw(st.sampled_from([1, 3]))
        rest = [e for e in range(len(self.dims)) if e != d and self.draw(st.booleans())]
        strides, step = [0] * len(self.dims), stride * max(self.dims[d], 1)
        for e in rest:
            strides[e] = step
            step *= max(self.dims[e], 1)
        access = Access(self.operand(step + 1, dtype), tuple(strides), dtype)
        self.put("gather", (i,), dtype, (access, (stride,)), row=d < self.keep and not any(strides[self.keep :]))

    def store(self) -> None:
        """Store one of the values, to each element or, if it is the row's, perhaps once for each row."""
        i = self.draw(st.sampled_from([i for i, inst in enumerate(self.body) if inst.op != "store"]))
        dtype = self.body[i].dtype
        stored = self.draw(st.sampled_from(STORED.get(dtype, (dtype,))))
        reduces = any(inst.op in REDUCTIONS for inst in self.body)
        if self.draw(st.integers(0, 2)) == 0 and self.in_place(i, reduces):
            return
        dims = range(self.keep if reduces and self.row[i] and self.draw(st.booleans()) else len(self.dims))
        strides, size = self.strides(False, dims)
        operand = self.operand(size, stored)
        self.outputs.append(operand)
        self.put("store", (i,), stored, Access(operand, self.reach(operand, strides), stored))

    def in_place(self, i: int, reduces: bool) -> bool:
        """Store value i where a load finds what it loads, if there is such a place that no other element uses."""
        accesses = [
            (inst.op, inst.data[0] if inst.op == "gather" else inst.data) for inst in self.body if inst.op in MEMORY
        ]
        for op, access in accesses:
            alone = sum(a.operand == access.operand for _, a in accesses) == 1
            whole = all(stride or n < 2 for stride, n in zip(access.strides, self.dims, strict=True))
            of_row = reduces and self.row[i] and not any(access.strides[self.keep :])
            whole = whole or (
                of_row and all(s or n < 2 for s, n in zip(access.strides, self.dims[: self.keep], strict=False))
            )
            if (
                op == "load"
                and alone
                and whole
                and access.dtype in STORED.get(self.body[i].dtype, (self.body[i].dtype,))
            ):
                self.put("store", (i,), access.dtype, access)
                return True
        return False


@st.composite
def loops(draw: st.DrawFn) -> tuple[Loop, list[np.ndarray], list[int]]:
    b = Builder(draw)
    for _ in range(draw(st.integers(1, 3))):
        b.load()
    for _ in range(draw(st.integers(1, 8))):
        b.step()
    for _ in range(draw(st.integers(1, 3))):
        b.store()
    return Loop(b.dims, b.keep, tuple(b.body)), b.operands, b.starts


SMALL = {
    (schedule, "loop_unit_ns"): lambda: 50.0, (schedule, "COLUMN_ROWS"): 2, (schedule, "COLUMN_BYTES"): 256, (schedule, "STREAM_BYTES"): 0,
    (schedule, "VECTOR_BYTES"): 16, (columns, "HEIGHT"): 8, (native_loops, "BLOCK"): 2,
}  # fmt: skip
"""Thresholds that make small loops be walked as large ones are."""


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(loops(), st.sampled_from([{}, SMALL]))
def test_native_code_does_what_the_loop_means(
    case: tuple[Loop, list[np.ndarray], list[int]], thresholds: dict[tuple[ModuleType, str], float]
) -> None:
    loop, operands, starts = case
    expected, again = ([a.copy() for a in operands] for _ in range(2))
    interpret(loop, [a[start:] for a, start in zip(expected, starts, strict=True)], FUNCTIONS)
    with ExitStack() as patches:
        for (module, name), value in thresholds.items():
            patches.enter_context(mock.patch.object(module, name, value))
        native = Native(emit(loop))
    native([a[start:] for a, start in zip(operands, starts, strict=True)])
    native([a[start:] for a, start in zip(again, starts, strict=True)], unit_by_unit=True)
    for got, other in zip(operands, again, strict=True):  # the same bits, however the units are spread
        np.testing.assert_array_equal(got.view(np.uint8), other.view(np.uint8))
    for got, want in zip(operands, expected, strict=True):
        if want.dtype.kind in "iub":
            np.testing.assert_array_equal(got, want)
        else:
            low = want.dtype.itemsize == 2
            tolerance = 1e-2 if low else 2e-5
            np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), tolerance, tolerance * 4)


def _load(operand: int, *strides: int, dtype: str = "float32") -> Inst:
    return Inst("load", (), dtype, Access(operand, strides, dtype))


def _store(value: int, operand: int, *strides: int, dtype: str = "float32") -> Inst:
    return Inst("store", (value,), dtype, Access(operand, strides, dtype))


def _added(rows: int, width: int, blocks: int, *, reduces: bool) -> Loop:
    """Rows added up block by block, beside what else is done with them."""
    f = "float32"
    body = [
        _load(0, rows * width, width, 1), _load(1, width, 0, 1), Inst("index", (), "int64", 1), Inst("const", (), "int64", 0),
        Inst("eq", (2, 3), "bool"), Inst("const", (), f, 0.0), Inst("select", (4, 5, 1), f), Inst("add", (6, 0), f),
        _store(7, 1, width, 0, 1), Inst("sum", (0,), f) if reduces else Inst("neg", (0,), f), Inst("mul", (0, 9), f),
        _store(10, 2, rows * width, width, 1),
    ]  # fmt: skip
    return Loop((blocks, rows, width), 2 if reduces else 3, tuple(body))


WAYS: dict[str, tuple[Loop, Callable[[Nest], object]]] = {
    "columns in blocks of rows": (
        Loop((300, 2100), 1, (_load(0, 1, 300), Inst("sum", (0,), "float32"), _store(1, 1, 1, 0))),
        lambda nest: nest.columns,
    ),
    "columns in several passes": (
        Loop((80, 1100), 1, (
            _load(0, 1, 80), Inst("max", (0,), "float32"), Inst("sub", (0, 1), "float32"), Inst("sum", (2,), "float32"),
            Inst("add", (2, 3), "float32"), _store(4, 1, 1, 80), _store(3, 2, 1, 0),
        )),
        lambda nest: nest.columns and len(nest.passes) == 3,
    ),
    "first of equals, vectors across": (
        Loop((2, 200, 3), 1, (_load(0, 600, 1, 200, dtype="uint8"), Inst("argmax", (0,), "int64"), _store(1, 1, 1, 0, 0, dtype="int64"))),
        lambda nest: nest.vec,
    ),
    "squares turned": (Loop((50, 70), 2, (_load(0, 1, 50), _store(0, 1, 70, 1))), lambda nest: nest.turned),
    "several units of squares": (Loop((500, 700), 2, (_load(0, 1, 500), _store(0, 1, 700, 1))), lambda nest: nest.units > 1),
    "columns beside rows": (_added(40, 700, 70, reduces=True), lambda nest: nest.carried and nest.units > 1 and nest.passes),
    "columns beside elements": (_added(40, 700, 70, reduces=False), lambda nest: nest.carried and nest.units > 1),
    "a long sum in blocks": (
        Loop((200_000,), 0, (_load(0, 1), Inst("sum", (0,), "float32"), _store(1, 1, 0))), lambda nest: nest.passes
    ),
}  # fmt: skip
"""Loops that are walked in one of the less usual ways, and how that shows."""


@pytest.mark.parametrize("way", WAYS)
def test_way_to_walk(way: str) -> None:
    loop, shows = WAYS[way]
    assert shows(schedule.schedule(loop)), "the test no longer tests this way"
    random = np.random.default_rng(0)
    accesses = [inst.data for inst in loop.body if inst.op in MEMORY]
    operands = [random.integers(-8, 9, prod(loop.dims)).astype(np.float32) / 8 for _ in accesses]
    for access in accesses:
        if access.dtype != "float32":  # many equals
            operands[access.operand] = (8 * operands[access.operand] % 2).astype(access.dtype)
    expected = [a.copy() for a in operands]
    interpret(loop, expected, {})
    run(loop, operands)
    for got, want in zip(operands, expected, strict=True):
        np.testing.assert_allclose(got, want, 2e-6, 1e-4)


@pytest.mark.parametrize("op", ["floor_div", "mod", "trunc_div", "fmod"])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_division_at_the_edges(dtype: str, op: str) -> None:
    info, random = np.iinfo(dtype), np.random.default_rng(0)
    edges = np.array([info.min, info.min + 1, info.max, info.max - 1, 0, 1, 2, 3, info.max // 2 + 1], dtype)
    edges = np.append(edges, -edges[5:8] if info.min else edges[:1])
    x, y = (random.integers(info.min, info.max, 2000, dtype, endpoint=True) for _ in range(2))
    y[1000:] = random.integers(max(info.min, -9), 10, 1000)
    x, y = np.concatenate([x, np.repeat(edges, edges.size)]), np.concatenate([y, np.tile(edges, edges.size)])
    body = (_load(0, 1, dtype=dtype), _load(1, 1, dtype=dtype), Inst(op, (0, 1), dtype), _store(2, 2, 1, dtype=dtype))
    got, want = np.empty_like(x), np.empty_like(x)
    interpret(Loop(x.shape, 1, body), [x, y, want], {})
    run(Loop(x.shape, 1, body), [x, y, got])
    np.testing.assert_array_equal(got, want)
