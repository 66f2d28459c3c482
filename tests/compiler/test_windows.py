"""Native maxima of windows and rows added up by index, against plain loops."""

import llvmlite.binding as llvm
import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from compiler.native_code import native
from lamina.compiler import costs
from lamina.compiler.emit import emit
from lamina.compiler.emit.pool import emit_max_pool
from lamina.compiler.emit.scatter import emit_scatter
from lamina.compiler.kernels import Access, Inst, MaxPool, MaxPoolInput, NotNative, Scatter, Window
from lamina.compiler.reference_cores import interpret_core

pytestmark = pytest.mark.full

wide = pytest.mark.skipif(not llvm.get_host_cpu_features().get("avx512f"), reason="the machine has no AVX-512")
MACHINES = [pytest.param(costs.AVX2, id="avx2"), pytest.param(costs.AVX512, id="avx512", marks=wide)]
NUMPY = {"bfloat16": np.dtype(ml_dtypes.bfloat16)} | {n: np.dtype(n) for n in ("float16", "float32", "float64")}


def computed(dtype):
    return "float64" if dtype == "float64" else "float32"


def strides(array):
    return tuple(stride // array.itemsize for stride in array.strides)


def native_units(code, kernel, operands):
    native(code, operands, unit_by_unit=True)


def reference(code, kernel, operands):
    memory = [np.lib.stride_tricks.as_strided(a, (max(a.size, 1),), (a.itemsize,)) for a in operands]
    interpret_core(kernel, memory, {})


def maxima(w, x):
    """Values and places, by PyTorch's rule: greater wins, a NaN wins."""
    values, places = np.empty((*x.shape[:2], *w.out), x.dtype), np.empty((*x.shape[:2], *w.out), np.int64)
    for n, c, y, z in np.ndindex(values.shape):
        spots = [
            (row, column)
            for row in range(y * w.stride[0] - w.padding[0], w.size[0] + w.padding[0] + 1, w.dilation[0])[: w.kernel[0]]
            for column in range(z * w.stride[1] - w.padding[1], w.size[1] + w.padding[1] + 1, w.dilation[1])[
                : w.kernel[1]
            ]
            if 0 <= row < w.size[0] and 0 <= column < w.size[1]
        ]
        best, place = -np.inf, spots[0]
        for spot in spots:
            if x[n, c][spot] > best or np.isnan(x[n, c][spot]):
                best, place = x[n, c][spot], spot
        values[n, c, y, z], places[n, c, y, z] = best, place[0] * w.size[1] + place[1]
    return values, places


def check_pool(w, dtype, machine, seed, step=1):
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, (w.batch, w.channels, w.size[0], step * w.size[1])).astype(NUMPY[dtype])[
        ..., ::step
    ]  # with ties
    x[rng.random(x.shape) < 0.1] = np.nan
    x[rng.random(x.shape) < 0.3] = -np.inf
    values, places = maxima(w, x)
    out, where = np.zeros_like(values), np.zeros_like(places)
    kind = computed(dtype)
    body = (
        Inst("product", (), kind),
        Inst("place", (), "int64"),
        Inst("store", (0,), kind, Access(1, strides(out), dtype)),
        Inst("store", (1,), "int64", Access(2, strides(where), "int64")),
    )
    kernel = MaxPool(w, Access(0, strides(x), dtype), body)
    native(emit_max_pool(kernel, machine), (x, out, where))
    np.testing.assert_array_equal(out.astype(np.float64), values.astype(np.float64))
    np.testing.assert_array_equal(where, places)
    if step == 1:
        reference(None, kernel, (x, out, where))
        np.testing.assert_array_equal(out.astype(np.float64), values.astype(np.float64))
        np.testing.assert_array_equal(where, places)

    grad = rng.standard_normal(values.shape).astype(NUMPY[dtype])
    expected = np.zeros((*x.shape[:2], w.size[0] * w.size[1]))
    for n, c in np.ndindex(x.shape[:2]):
        np.add.at(expected[n, c], places[n, c].ravel(), grad[n, c].ravel().astype(np.float64))
    back = np.full((w.batch, w.channels, *w.size), np.nan, np.float64 if dtype == "float64" else np.float32)
    body = (Inst("product", (), kind), Inst("store", (0,), kind, Access(2, strides(back), kind)))
    kernel = MaxPoolInput(
        w.batch, w.channels, w.size, w.out, Access(0, strides(grad), dtype), Access(1, strides(where), "int64"), body
    )
    for way in (native_units, reference):
        back[...] = np.nan
        way(emit_max_pool(kernel, machine), kernel, (grad, where, back))
        np.testing.assert_allclose(back.reshape(expected.shape), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "w",
    [
        Window(2, 3, 3, 3, (24, 24), (2, 2), (2, 2)),
        Window(1, 2, 2, 2, (17, 35), (3, 3), (2, 2), (1, 1)),
        Window(1, 1, 1, 1, (9, 16), (3, 1)),
        Window(1, 1, 1, 1, (9, 9), (2, 3), (3, 2), (1, 1), (2, 2)),
    ],
    ids=str,
)
def test_max_pool(w, machine):
    check_pool(w, "float32", machine, 0)


@settings(max_examples=10, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(["float32", "float64", "float16", "bfloat16"]), step=st.integers(1, 2))
@pytest.mark.parametrize("machine", MACHINES)
def test_any_max_pool(machine, data, dtype, step):
    def pair(lo, hi):
        return data.draw(st.tuples(st.integers(lo, hi), st.integers(lo, hi)))

    kernel, channels = pair(1, 4), data.draw(st.integers(1, 2))
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in kernel)
    w = Window(1, channels, channels, channels, pair(1, 20), kernel, pair(1, 3), padding, pair(1, 2))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, w.dilation, strict=True)]
    assume(all(n + 2 * p >= r and n >= d for n, p, r, d in zip(w.size, padding, reach, w.dilation, strict=True)))
    check_pool(w, dtype, machine, 1, step)


@settings(max_examples=12, deadline=None)
@given(
    batch=st.sampled_from([(), (2,)]),
    size=st.tuples(st.integers(1, 60), st.integers(1, 40), st.integers(0, 80)),
    dtype=st.sampled_from(["float32", "float64", "bfloat16"]),
    integer=st.sampled_from(["int64", "int32", "uint8"]),
    skip=st.sampled_from([None, 0, -1]),
    turned=st.booleans(),
)
@pytest.mark.parametrize("machine", MACHINES)
def test_scatter(machine, batch, size, dtype, integer, skip, turned):
    rows, width, count = size
    rng = np.random.default_rng(5)
    low = 0 if integer == "uint8" else -rows
    indices = rng.integers(low, rows, (*batch, count)).astype(integer)
    values = rng.standard_normal((*batch, count, width)).astype(NUMPY[dtype])
    if turned:
        values = np.ascontiguousarray(values.swapaxes(-1, -2)).swapaxes(-1, -2)
    table = rng.standard_normal((*batch, rows, width)).astype(np.float32)
    expected = table.astype(np.float64)
    for b in np.ndindex(batch):
        for i, at in enumerate(indices[b].astype(np.int64)):
            if skip is None or at % rows != skip % rows:
                expected[b][at] += values[b][i].astype(np.float64)
    kind = computed(dtype)
    place = Access(2, strides(table), "float32")
    body = (
        Inst("load", (), "float32", place),
        Inst("product", (), kind),
        Inst("cast", (1,), "float32"),
        Inst("add", (0, 2), "float32"),
        Inst("store", (3,), "float32", place),
    )
    kernel = Scatter(
        batch, rows, width, count, Access(0, strides(indices), integer), Access(1, strides(values), dtype), body, skip
    )
    before = table.copy()
    for way in (native_units, reference):
        table[...] = before
        way(emit_scatter(kernel, machine), kernel, (indices, values, table))
        np.testing.assert_allclose(table, expected, rtol=1e-5, atol=1e-5)


def test_what_has_no_native_form():
    w = Window(1, 1, 1, 1, (4, 4), (2, 2))
    with pytest.raises(NotNative, match="int32"):
        emit(MaxPool(w, Access(0, (16, 16, 4, 1), "int32"), ()))
    with pytest.raises(NotNative, match="float32"):
        emit(Scatter((), 1, 1, 1, Access(0, (1,), "float32"), Access(1, (1, 1), "float32"), ()))
