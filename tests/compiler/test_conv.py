"""Native convolutions and their gradients against the reference, in float64: strides, padding, dilation, groups, dtypes, epilogues."""

import llvmlite.binding as llvm
import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from compiler.native_code import native
from lamina.compiler import costs
from lamina.compiler.emit.conv import emit_conv
from lamina.compiler.emit.conv_weight import emit_conv_weight
from lamina.compiler.kernels import Access, Conv, ConvInput, ConvWeight, Inst, NotNative, Window
from lamina.compiler.reference_cores import interpret_core

pytestmark = pytest.mark.full

wide = pytest.mark.skipif(not llvm.get_host_cpu_features().get("avx512f"), reason="the machine has no AVX-512")
MACHINES = [pytest.param(costs.AVX2, id="avx2"), pytest.param(costs.AVX512, id="avx512", marks=wide)]
NUMPY = {"bfloat16": np.dtype(ml_dtypes.bfloat16)} | {n: np.dtype(n) for n in ("float16", "float32", "float64")}
TOLERANCE = {"float32": 4e-6, "float64": 4e-15, "float16": 2e-3, "bfloat16": 1.6e-2}


def shapes(w):
    """Of input, weight and output."""
    return (w.batch, w.channels, *w.size), (w.filters, w.channels // w.groups, *w.kernel), (w.batch, w.filters, *w.out)


def flat(array):
    """The memory of an array, from its first element on."""
    span = 1 + sum((n - 1) * s for n, s in zip(array.shape, strides(array), strict=True))
    return np.lib.stride_tricks.as_strided(array, (span,), (array.itemsize,))


def expected(kind, w, *operands):
    """The product alone, in float64; of the absolute values, the scale of its error."""
    target = np.zeros(dict(zip((ConvInput, ConvWeight, Conv), shapes(w), strict=True))[kind])
    first, second = (np.ascontiguousarray(array, np.float64) for array in operands)
    body = (Inst("product", (), "float64"), Inst("store", (0,), "float64", Access(2, strides(target), "float64")))
    kernel = kind(w, Access(0, strides(first), "float64"), Access(1, strides(second), "float64"), body)
    interpret_core(kernel, [flat(first), flat(second), flat(target)], {})
    return target


def strides(array):
    return tuple(stride // array.itemsize for stride in array.strides)


def check(kind, w, dtype, machine, seed, sparse=False, unit_by_unit=False):
    """Run the kernel; `sparse`: operands are every second element of larger arrays."""
    rng = np.random.default_rng(seed)

    def draw(shape):
        array = rng.standard_normal((*shape[:-1], 2 * shape[-1])).astype(NUMPY[dtype])[..., ::2]
        return array if sparse else np.ascontiguousarray(array)

    x, weight, grad = map(draw, shapes(w))
    first, second, result = {Conv: (x, weight, grad), ConvInput: (grad, weight, x), ConvWeight: (grad, x, weight)}[kind]
    compute = "float64" if dtype == "float64" else "float32"
    target = np.full_like(result, np.nan)
    body = (Inst("product", (), compute), Inst("store", (0,), compute, Access(2, strides(target), dtype)))
    kernel = kind(w, Access(0, strides(first), dtype), Access(1, strides(second), dtype), body)
    emit = emit_conv_weight if kind is ConvWeight else emit_conv
    native(emit(kernel, machine), (first, second, target), unit_by_unit)
    exact = first.astype(np.float64), second.astype(np.float64)
    scale = expected(kind, w, *map(np.abs, exact))
    error = np.abs(target.astype(np.float64) - expected(kind, w, *exact))
    assert (error <= TOLERANCE[dtype] * scale + 1e-30).all()
    return target


WINDOWS = {
    "plain": Window(2, 3, 5, 1, (9, 11), (3, 3)),
    "padded, rows of whole vectors": Window(3, 4, 9, 1, (8, 16), (3, 3), padding=(1, 1)),
    "stride, groups": Window(2, 6, 4, 2, (13, 12), (3, 3), (2, 2), (1, 1)),
    "everything uneven": Window(2, 3, 4, 1, (13, 12), (5, 3), (3, 2), (2, 0), (1, 2)),
    "one row": Window(2, 2, 3, 1, (1, 40), (1, 7), (1, 2), (0, 3)),
    "a long row": Window(1, 3, 4, 1, (1, 1000), (1, 3), padding=(0, 1)),
    "pointwise, stride": Window(2, 16, 9, 1, (8, 8), (1, 1), (2, 2)),
    "patches, far apart": Window(2, 3, 17, 1, (48, 33), (16, 5), (16, 8)),
    "more taps than steps": Window(2, 1, 4, 1, (1, 300), (1, 50), (1, 20), (0, 3)),
    "by channel": Window(1, 6, 6, 6, (10, 10), (3, 3), padding=(1, 1)),
    "stride beyond the window": Window(2, 3, 4, 1, (7, 7), (2, 2), (3, 3)),
    "window as large as the image": Window(2, 3, 4, 1, (7, 7), (7, 7), (2, 2), (3, 3)),
    "blocks of rows": Window(1, 80, 17, 1, (64, 64), (3, 3), padding=(1, 1)),
    "the gradient reaches beyond a single row": Window(2, 1, 1, 1, (1, 1), (4, 1), (2, 1), (2, 0)),
    "phases of unlike work": Window(7, 18, 12, 1, (14, 49), (5, 3), (1, 2), (3, 2), (1, 2)),
    "mostly border": Window(1, 2, 2, 1, (3, 2), (3, 3), padding=(4, 4), dilation=(2, 2)),
}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("kind", [Conv, ConvInput, ConvWeight])
@pytest.mark.parametrize("name", WINDOWS)
def test_window(name, kind, machine):
    if kind is ConvInput and np.prod(WINDOWS[name].stride) > 9:
        with pytest.raises(NotNative, match="strides"):
            check(kind, WINDOWS[name], "float32", machine, 0)
        return
    check(kind, WINDOWS[name], "float32", machine, 0)


@settings(max_examples=12, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(["float32", "float64", "float16", "bfloat16"]), sparse=st.booleans())
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("kind", [Conv, ConvInput, ConvWeight])
def test_any_window(kind, machine, data, dtype, sparse):
    def pair(lo, hi):
        return data.draw(st.tuples(st.integers(lo, hi), st.integers(lo, hi)))

    groups = data.draw(st.sampled_from([1, 1, 2]))
    channels, filters = (groups * n for n in pair(1, 5))
    w = Window(
        data.draw(st.integers(1, 2)),
        channels,
        filters,
        groups,
        pair(1, 20),
        pair(1, 4),
        pair(1, 3),
        pair(0, 3),
        pair(1, 2),
    )
    assume(min(w.out) > 0)
    check(kind, w, dtype, machine, 1, sparse)


@pytest.mark.parametrize("kind", [Conv, ConvInput, ConvWeight])
def test_units_are_independent(kind):
    """The bits are the same whether one thread does all units at once or each is done on its own, in another order."""
    w = Window(4, 24, 40, 1, (20, 20), (3, 3), padding=(1, 1))
    once, apart = (check(kind, w, "float32", None, 2, unit_by_unit=alone) for alone in (False, True))
    assert once.tobytes() == apart.tobytes()


def test_bias_and_relu():
    w = Window(2, 3, 7, 1, (9, 11), (3, 3))
    rng = np.random.default_rng(3)
    x, weight, out = (rng.standard_normal(shape).astype(np.float32) for shape in shapes(w))
    bias = rng.standard_normal(w.filters).astype(np.float32)
    f32 = "float32"
    body = (
        Inst("product", (), f32),
        Inst("load", (), f32, Access(2, (0, 1, 0, 0), f32)),
        Inst("add", (0, 1), f32),
        Inst("const", (), f32, 0.0),
        Inst("maximum", (2, 3), f32),
        Inst("store", (4,), f32, Access(3, strides(out), f32)),
    )
    native(
        emit_conv(Conv(w, Access(0, strides(x), f32), Access(1, strides(weight), f32), body)), (x, weight, bias, out)
    )
    np.testing.assert_allclose(out, np.maximum(expected(Conv, w, x, weight) + bias[:, None, None], 0), atol=1e-5)


def test_descent_in_place_of_the_gradient():
    w = Window(3, 3, 7, 1, (9, 11), (3, 3))
    rng = np.random.default_rng(4)
    x, weight, grad = (rng.standard_normal(shape).astype(np.float32) for shape in shapes(w))
    f32, place = "float32", Access(2, strides(weight), "float32")
    body = (
        Inst("product", (), f32),
        Inst("load", (), f32, place),
        Inst("const", (), f32, 0.1),
        Inst("mul", (0, 2), f32),
        Inst("sub", (1, 3), f32),
        Inst("store", (4,), f32, place),
    )
    after = weight - 0.1 * expected(ConvWeight, w, grad, x)
    kernel = ConvWeight(w, Access(0, strides(grad), f32), Access(1, strides(x), f32), body)
    native(emit_conv_weight(kernel), (grad, x, weight))
    np.testing.assert_allclose(weight, after, atol=1e-5)
