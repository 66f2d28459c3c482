"""The vector functions, in units in the last place, over the whole range of both floating dtypes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from compiler.native_code import run
from lamina.compiler.kernels import Access, Inst, Loop
from lamina.compiler.reference import dtype_of

pytestmark = pytest.mark.full

Array = np.ndarray[Any, Any]


def _sigmoid(x: Array) -> Array:
    e = np.exp(-abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


EXACT: dict[str, Callable[..., Array]] = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p,
    "tanh": np.tanh, "sigmoid": _sigmoid, "sin": np.sin, "cos": np.cos, "tan": np.tan, "atan": np.arctan, "sinh": np.sinh,
    "erf": np.vectorize(math.erf, otypes=[float]), "erfc": np.vectorize(math.erfc, otypes=[float]),
}  # fmt: skip
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan, 1e-320, -1e-320, 1e-45, -1e-45, 88.72, 88.73, -87.4, -103.9, -104.1, 2.5e38,
           3.4e38, 709.78, 709.79, -708.5, -745.1, -745.2, 1e308, 1e22, 65536.5, 3e8]  # fmt: skip


def evaluate(op: str, *arguments: Array) -> Array:
    """One operation on flat arrays, natively."""
    dtype, n = str(arguments[0].dtype), len(arguments)
    loads = [Inst("load", (), dtype, Access(i, (1,), dtype)) for i in range(n)]
    call, store = Inst(op, tuple(range(n)), dtype), Inst("store", (n,), dtype, Access(n, (1,), dtype))
    result = np.empty_like(arguments[0])
    run(Loop(result.shape, 1, (*loads, call, store)), [*arguments, result])
    return result


def points(dtype: str, count: int) -> Array:
    """Numbers of every size, many near 0 and 1, and those that are special."""
    random = np.random.default_rng(7)
    anything = random.integers(0, 256, count * np.dtype(dtype).itemsize, np.uint8).view(dtype)
    near = [random.normal(0, 1, count), random.normal(0, 30, count), random.normal(1, 0.2, count)]
    with np.errstate(all="ignore"):
        return np.concatenate([anything, *near, SPECIAL]).astype(dtype)


def distance(got: Array, want: Array) -> Array:
    """How far `got` is from the more precise `want`, in units of got's last place; infinite where one is no number."""
    info = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        alike = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        exponent = np.maximum(np.frexp(abs(want))[1] - 1, info.minexp) - info.nmant
        apart = abs(got.astype(want.dtype) - want) / np.ldexp(want.dtype.type(1), exponent)
        edge = np.isinf(got) != np.isinf(rounded)  # the greatest number instead of infinity, or the other way round
        apart = np.where(edge & (abs(want) > info.max * (1 - 2 * info.eps)) & (np.sign(got) == np.sign(want)), 1, apart)
    return np.where(
        alike, np.where(np.isfinite(want), np.minimum(apart, 1), 0), np.where(np.isnan(apart), np.inf, apart)
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", EXACT)
def test_function_is_within_two_units(op: str, dtype: str) -> None:
    x = points(dtype, 60_000 if dtype == "float32" else 4_000)
    wide = np.float64 if dtype == "float32" or op in ("erf", "erfc") else np.longdouble
    with np.errstate(all="ignore"):
        want = EXACT[op](x.astype(wide))
    got = evaluate(op, x)
    apart = distance(got, want)
    worst = np.argmax(apart)
    bound = 2 if wide != got.dtype else 3  # the measure itself is off by one
    assert apart[worst] <= bound, f"{op}({x[worst]!r}) = {got[worst]!r}, not {want[worst]!r}"
    zeros = x == 0
    np.testing.assert_array_equal(np.signbit(got[zeros]), np.signbit(want[zeros]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_power(dtype: str) -> None:
    random = np.random.default_rng(3)
    special_x, special_y = np.meshgrid(
        [*SPECIAL, 2, 3, -3, -0.5, 16777217], [*SPECIAL[:8], 2, -3, 2.5, 16777217, -1e30]
    )
    x = np.concatenate(
        [
            abs(random.normal(0, 2, 4000)),
            np.exp(random.normal(0, 20, 4000)),
            random.normal(0, 3, 4000),
            special_x.ravel(),
        ]
    )
    y = np.concatenate([random.normal(0, 3, 8000), random.integers(-20, 20, 4000), special_y.ravel()])
    with np.errstate(all="ignore"):
        x, y = x.astype(dtype), y.astype(dtype)
        want = np.power(x.astype(np.longdouble), y)
    got = evaluate("pow", x, y)
    apart = distance(got, want)
    worst = np.argmax(apart)
    assert apart[worst] <= 2, f"{x[worst]!r} ** {y[worst]!r} = {got[worst]!r}, not {want[worst]!r}"
    np.testing.assert_array_equal(np.signbit(got[~np.isnan(got)]), np.signbit(want[~np.isnan(got)]))


@pytest.mark.parametrize("narrow", ["float16", "bfloat16"])
def test_narrow_floats_are_rounded_to_nearest_even(narrow: str) -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(dtype_of(narrow)).astype(np.float32)
    halves = halves[np.isfinite(halves)]
    above = np.nextafter(halves, np.float32(np.inf))
    ties = halves[:-1] / 2 + halves[1:] / 2
    specials = np.array([np.nan, -np.nan, np.inf, -np.inf, 3.4e38, 65519.9, 65520.0, 1e-46], np.float32)
    payload = np.array([0x7F800001, 0xFF800001, 0x7F80FFFF], np.uint32).view(np.float32)
    x = np.concatenate([halves, above, ties, np.nextafter(ties, np.float32(0)), specials, payload])
    with np.errstate(all="ignore"):
        want = x.astype(dtype_of(narrow))
    got = np.empty_like(want)
    load, store = (
        Inst("load", (), "float32", Access(0, (1,), "float32")),
        Inst("store", (0,), narrow, Access(1, (1,), narrow)),
    )
    run(Loop(x.shape, 1, (load, store)), [x, got])
    nan = np.isnan(x)
    assert np.isnan(got[nan].astype(np.float32)).all()
    np.testing.assert_array_equal(got[~nan].view(np.uint16), want[~nan].view(np.uint16))
    back = np.empty(got.size, np.float32)
    load, store = (
        Inst("load", (), "float32", Access(0, (1,), narrow)),
        Inst("store", (0,), "float32", Access(1, (1,), "float32")),
    )
    run(Loop(x.shape, 1, (load, store)), [got, back])
    np.testing.assert_array_equal(back, got.astype(np.float32))
