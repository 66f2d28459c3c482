"""Points that the generic checks avoid: ties, zeros, poles, integers, foreign operands."""

import math
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import nan

inf = math.inf


def _gradients(function: Any, *values: list[float]) -> list[list[float]]:
    inputs = [lamina.tensor(v, dtype=lamina.float64, requires_grad=True) for v in values]
    function(*inputs).sum().backward()
    return [t.grad.tolist() for t in inputs]


@pytest.mark.parametrize(
    ("function", "inputs", "wanted"),
    [
        (lamina.abs, [[0.0, -2.0, 3.0]], [[0.0, -1.0, 1.0]]),
        (lamina.relu, [[-1.0, 0.0, 2.0]], [[0.0, 0.0, 1.0]]),
        (lamina.maximum, [[1.0, 1.0, 2.0], [1.0, 2.0, 1.0]], [[0.5, 0.0, 1.0], [0.5, 1.0, 0.0]]),
        (lamina.fmin, [[1.0, nan], [1.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]]),
        (lambda x: x.clamp(-1.0, 1.0), [[-2.0, -1.0, 0.0, 1.0, 2.0]], [[0.0, 1.0, 1.0, 1.0, 0.0]]),
        (lamina.atan2, [[0.0], [0.0]], [[0.0], [0.0]]),
        (lamina.xlogy, [[0.0, 0.0], [0.0, 2.0]], [[0.0, math.log(2.0)], [nan, 0.0]]),
        (lamina.hypot, [[0.0], [0.0]], [[nan], [nan]]),
        (lamina.pow, [[0.0, 0.0, 2.0], [0.0, 1.0, 2.0]], [[0.0, 1.0, 4.0], [0.0, 0.0, 4.0 * math.log(2.0)]]),
        (lambda x: x**0, [[0.0, inf]], [[0.0, 0.0]]),
        (lambda x: 0.0**x, [[0.0, 1.0, -1.0]], [[0.0, 0.0, -inf]]),
        (lambda x: x.floor() + x.sign() + x.round(), [[1.5, inf]], [[0.0, 0.0]]),
        (lamina.copysign, [[0.0, 1.0], [-1.0, -1.0]], [[0.0, -1.0], [0.0, 0.0]]),
    ],
)  # fmt: skip
def test_gradient_at(function: Any, inputs: list[list[float]], wanted: list[list[float]]) -> None:
    for found, expected in zip(_gradients(function, *inputs), wanted, strict=True):
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("x", [0.0, 1e-9, 1e-4, 0.1, 0.2, 1.3])
def test_sinc_bends_smoothly(x: float) -> None:
    t = lamina.tensor(x, dtype=lamina.float64, requires_grad=True)
    (slope,) = lamina.autograd.grad(lamina.sinc(t), t, create_graph=True)
    (bend,) = lamina.autograd.grad(slope, t)
    at = math.pi * x
    if x < 0.01:  # the first terms of the series
        wanted = -at * math.pi / 3 * (1 - 0.1 * at * at), -(math.pi**2) / 3 * (1 - 0.3 * at * at)
    else:
        first = math.cos(at) / x - math.sin(at) / (at * x)
        wanted = first, -(math.pi**2) * math.sin(at) / at - 2 * first / x
    assert slope.item() == pytest.approx(wanted[0], rel=1e-12)
    assert bend.item() == pytest.approx(wanted[1], rel=1e-9)


def test_foreign_operands_are_left_to_the_other_side() -> None:
    class Other:
        def __radd__(self, left: object) -> str:
            return "radd"

    x = lamina.ones(2)
    assert x + Other() == "radd"
    assert (x == None) is False and (x != "a") is True  # noqa: E711
    for operation in (lambda: x * [1, 2], lambda: None - x, lambda: x < "a", lambda: lamina.add(x, "a")):
        with pytest.raises(TypeError):
            operation()


def test_integer_quotients() -> None:
    a, b = lamina.tensor([-7, 7, -7, 7]), lamina.tensor([2, -2, -2, 2])
    assert (a // b).tolist() == [-4, -4, 3, 3]
    assert lamina.div(a, b, rounding_mode="trunc").tolist() == [-3, -3, 3, 3]
    assert (a % b).tolist() == [1, -1, -1, 1]
    assert lamina.fmod(a, b).tolist() == [-1, 1, -1, 1]
    for operation in (lambda: a // 0, lambda: a % 0, lambda: a.fmod(0)):
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            operation()


def test_integer_powers() -> None:
    x = lamina.tensor([1, -1, 2, -1])
    assert (x ** lamina.tensor([-3, -3, -1, -2])).tolist() == [1, -1, 0, 1]
    for dtype in (lamina.int64, lamina.int32):
        with pytest.raises(RuntimeError, match="Integers to negative integer powers"):
            x.to(dtype) ** -1


def test_numbers_that_do_not_fit() -> None:
    small = lamina.tensor([200], dtype=lamina.uint8)
    assert (small + 100).tolist() == [44]
    assert (small < 300).tolist() == [True] and (small == -56).tolist() == [False]
    third = lamina.tensor([3.0], dtype=lamina.bfloat16)
    assert (third * 0.001).item() == pytest.approx(0.003, rel=2e-3)  # the number is not rounded before


def test_inplace_operators_keep_the_dtype() -> None:
    x = lamina.tensor([3, 4])
    x //= 2
    x **= 2
    assert x.tolist() == [1, 4]
    with pytest.raises(RuntimeError, match="can't be cast"):
        x /= 2
