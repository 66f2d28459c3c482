"""Native matrix products against float64 NumPy: sizes, transpositions, batches, dtypes, epilogues, both widths of vectors."""

import llvmlite.binding as llvm
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.native_code import native
from lamina.compiler import costs
from lamina.compiler.emit.epilogue import NotNative
from lamina.compiler.emit.matmul import emit_matmul
from lamina.compiler.kernels import Access, Inst, Matmul

pytestmark = pytest.mark.full

wide = pytest.mark.skipif(not llvm.get_host_cpu_features().get("avx512f"), reason="the machine has no AVX-512")
MACHINES = [pytest.param(costs.AVX2, id="avx2"), pytest.param(costs.AVX512, id="avx512", marks=wide)]
NUMPY = {"bfloat16": np.dtype(ml_dtypes.bfloat16)} | {n: np.dtype(n) for n in ("float16", "float32", "float64", "bool")}
TOLERANCE = {"float32": 2e-6, "float64": 2e-15, "float16": 1e-3, "bfloat16": 8e-3}


def operand(rng, shape, dtype, form):
    """An array of that shape and its strides in elements; form: "N" as it is, "T" its last two transposed, "S" every second element."""
    lead, last = shape[:-2], shape[-2:]
    if form == "T":
        array = np.swapaxes(rng.standard_normal((*lead, *last[::-1])).astype(dtype), -1, -2)
    elif form == "S":
        array = rng.standard_normal((*lead, last[0], 2 * last[1])).astype(dtype)[..., ::2]
    else:
        array = rng.standard_normal(shape).astype(dtype)
    return array, tuple(stride // array.itemsize for stride in array.strides)


def plain(compute, dtype, operand_number, strides):
    return (Inst("product", (), compute), Inst("store", (0,), compute, Access(operand_number, strides, dtype)))


def close(result, expected, scale, dtype):
    error = np.abs(result.astype(np.float64) - expected)
    assert (error <= TOLERANCE[dtype] * (scale + np.abs(expected))).all()


def product(rng, machine, batch, m, n, k, forms, dtype, unit_by_unit=False):
    compute = "float64" if dtype == "float64" else "float32"
    a, a_strides = operand(rng, (*batch, m, k), NUMPY[dtype], forms[0])
    b, b_strides = operand(rng, (*batch, k, n), NUMPY[dtype], forms[1])
    out, out_strides = operand(rng, (*batch, m, n), NUMPY[dtype], forms[2])
    kernel = Matmul(
        batch, m, n, k, Access(0, a_strides, dtype), Access(1, b_strides, dtype), plain(compute, dtype, 2, out_strides)
    )
    native(emit_matmul(kernel, machine), (a, b, out), unit_by_unit)
    return a.astype(np.float64), b.astype(np.float64), out


SIZES = [
    (1, 1, 1),
    (32, 2, 16),
    (2, 32, 16),
    (5, 7, 0),
    (33, 17, 9),
    (1, 70, 300),
    (70, 1, 40),
    (60, 130, 700),
    (300, 100, 64),
]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("forms", ["NNN", "TNN", "NTN", "TTT"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_product(size, forms, machine):
    m, n, k = size
    a, b, out = product(np.random.default_rng(0), machine, (), m, n, k, forms, "float32")
    close(out, a @ b, np.abs(a) @ np.abs(b), "float32")


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40)),
    batch=st.sampled_from([(), (3,), (2, 2)]),
    forms=st.text("NTS", min_size=3, max_size=3),
    dtype=st.sampled_from(["float32", "float64", "float16", "bfloat16"]),
    seed=st.integers(0, 99),
)
@pytest.mark.parametrize("machine", MACHINES)
def test_any_product(machine, size, batch, forms, dtype, seed):
    a, b, out = product(np.random.default_rng(seed), machine, batch, *size, forms, dtype)
    close(out, a @ b, np.abs(a) @ np.abs(b), dtype)


@pytest.mark.parametrize("size", [(130, 140, 600), (700, 90, 64)], ids=str)
def test_units_are_independent(size):
    """The bits are the same whether one thread does all units at once or each is done on its own, in another order."""
    once = product(np.random.default_rng(1), None, (), *size, "NTN", "float32")[2]
    apart = product(np.random.default_rng(1), None, (), *size, "NTN", "float32", unit_by_unit=True)[2]
    assert once.tobytes() == apart.tobytes()


@pytest.mark.parametrize("shape", [(0, 4, 5), (4, 0, 5)], ids=str)
def test_of_nothing(shape):
    m, n, k = shape
    kernel = Matmul(
        (), m, n, k, Access(0, (k, 1), "float32"), Access(1, (n, 1), "float32"), plain("float32", "float32", 2, (n, 1))
    )
    assert emit_matmul(kernel).units == 0


F32 = "float32"
FUSED = {
    "bias, relu": (
        (
            Inst("product", (), F32),
            Inst("load", (), F32, Access(2, (0, 1), F32)),
            Inst("add", (0, 1), F32),
            Inst("const", (), F32, 0.0),
            Inst("maximum", (2, 3), F32),
            Inst("store", (4,), F32, Access(3, (100, 1), F32)),
        ),
        lambda p, row, full: np.maximum(p + row, 0),
    ),
    "its gradient: kept where the output is positive": (
        (
            Inst("product", (), F32),
            Inst("load", (), F32, Access(3, (100, 1), F32)),
            Inst("const", (), F32, 0.0),
            Inst("gt", (1, 2), "bool"),
            Inst("select", (3, 0, 2), F32),
            Inst("store", (4,), F32, Access(3, (100, 1), F32)),
        ),
        lambda p, row, full: np.where(full > 0, p, 0),
    ),
    "descent in place": (
        (
            Inst("load", (), F32, Access(3, (100, 1), F32)),
            Inst("product", (), F32),
            Inst("const", (), F32, 0.1),
            Inst("mul", (1, 2), F32),
            Inst("sub", (0, 3), F32),
            Inst("store", (4,), F32, Access(3, (100, 1), F32)),
        ),
        lambda p, row, full: full - 0.1 * p,
    ),
    "row and column": (
        (
            Inst("product", (), F32),
            Inst("index", (), "int64", 1),
            Inst("index", (), "int64", 0),
            Inst("le", (1, 2), "bool"),
            Inst("const", (), F32, -1.0),
            Inst("select", (3, 0, 4), F32),
            Inst("store", (5,), F32, Access(3, (100, 1), F32)),
        ),
        lambda p, row, full: np.where(np.tri(*p.shape, dtype=bool), p, -1.0),
    ),
}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("size", [(60, 100, 33), (30, 100, 800), (100, 3, 20)], ids=str)
@pytest.mark.parametrize("name", FUSED)
def test_epilogue(name, size, machine):
    body, expected = FUSED[name]
    m, n, k = size
    rng = np.random.default_rng(2)
    a, b, row = (rng.standard_normal(shape).astype(F32) for shape in ((m, k), (k, n), n))
    full = rng.standard_normal((m, 100)).astype(F32)
    before = full.astype(np.float64)
    native(
        emit_matmul(Matmul((), m, n, k, Access(0, (k, 1), F32), Access(1, (n, 1), F32), body), machine),
        (a, b, row, full),
    )
    p = a.astype(np.float64) @ b.astype(np.float64)
    close(full[:, :n], expected(p, row, before[:, :n]), np.abs(a) @ np.abs(b), F32)
    assert (full[:, n:] == before[:, n:]).all()


def test_integers_stay_in_numpy():
    body = plain("int64", "int64", 2, (2, 1))
    with pytest.raises(NotNative, match="int64"):
        emit_matmul(Matmul((), 2, 2, 2, Access(0, (2, 1), "int64"), Access(1, (2, 1), "int64"), body))
