"""The checks of declarations must fail on wrong declarations."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import samples
import test_declarations
from checks import CHECKS, check_convention, check_gradient, check_meta, check_recorded, check_second, check_value
from checks_transforms import check_jvp, check_vmap

from lamina.core.tensor import Tensor
from lamina.primitives.registry import PRIMITIVES, elementwise, primitive

X = np.array([[0.3, -1.2], [2.1, 0.7]])


@pytest.fixture
def declared():
    """Declare a primitive for one test."""
    names = []

    def declare(make, *args, **options):
        op = make(f"for test {len(names)}", *args, **options)
        names.append(op.primitive.name)
        return op.primitive

    yield declare
    for name in names:
        del PRIMITIVES[name]


def right(declared, grads=None, **options):
    return declared(elementwise, lambda x: x * x, (lambda g, x: g * x * 2.0,) if grads is None else grads, **options)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_right_declaration_passes(declared, check):
    check(right(declared), (X,), {})


@pytest.mark.parametrize(
    "rule",
    [lambda g, x: g * x, lambda g, x: -g * x * 2.0, lambda g, x: g * x * 2.0 + 0.001],
    ids=["factor", "sign", "offset"],
)
def test_wrong_gradient(declared, rule):
    with pytest.raises(AssertionError, match="gradient by argument 0"):
        check_gradient(right(declared, (rule,)), (X,), {})


def test_gradient_of_another_shape(declared):
    p = declared(primitive, lambda x: x.sum(0), (lambda g: g,))
    with pytest.raises((AssertionError, RuntimeError)):
        check_gradient(p, (X,), {})


def test_gradient_that_forgets_an_argument(declared):
    p = declared(elementwise, lambda x, y: x * y, (lambda g, y: g * y, lambda g, y: g * y))
    with pytest.raises(AssertionError, match="gradient by argument 1"):
        check_gradient(p, (X, X + 1.5), {})


def test_wrong_second_gradient(declared):
    # right once, but cut off from x: the recorded backward does not know that it depends on it
    p = right(declared, (lambda g, x: g * (x.detach() if isinstance(x, Tensor) else x) * 2.0,))
    check_gradient(p, (X,), {})
    with pytest.raises(AssertionError, match="second gradient by argument 0"):
        check_second(p, (X,), {})


def test_recorded_backward_that_differs(declared):
    p = right(declared, (lambda g, x: g * x * (3.0 if isinstance(x, Tensor) else 2.0),))
    check_gradient(p, (X,), {})
    with pytest.raises(AssertionError, match="argument 0"):
        check_recorded(p, (X,), {})


@pytest.mark.parametrize(
    "meta", [lambda x: np.zeros((3, 2), x.dtype), lambda x: np.zeros(2, np.float32)], ids=["shape", "dtype"]
)
def test_wrong_meta(declared, meta):
    p = declared(primitive, lambda x: x.sum(0), meta=meta)
    with pytest.raises(AssertionError, match="on meta"):
        check_meta(p, (X,), {})


def test_recorded_backward_that_is_cut_off(declared):
    p = right(declared, (lambda g, x: g.detach() * x.detach() * 2.0 if isinstance(x, Tensor) else g * x * 2.0,))
    check_gradient(p, (X,), {})
    with pytest.raises(AssertionError, match="second gradient"):
        check_second(p, (X,), {})


def test_rule_that_refuses(declared):
    def rule(g, x):
        raise NotImplementedError("the derivative for 'it' is not implemented")

    for check in (check_gradient, check_second, check_recorded):
        with pytest.raises(NotImplementedError):
            check(right(declared, (rule,)), (X,), {})


def test_sample_that_tells_nothing(declared):
    p = declared(elementwise, lambda x: abs(x), (lambda g, x: g,))
    with pytest.raises(AssertionError, match="kink"):
        check_gradient(p, (np.zeros(3),), {})


def test_wrong_tangent(declared):
    p = declared(
        primitive, lambda x: x.sum(0), (lambda g, x_shape: g.expand(x_shape) if isinstance(g, Tensor) else g + np.zeros(x_shape),),
        jvp=lambda tangents, tensors, out: tangents[0].sum(0) * 2.0,
    )  # fmt: skip
    check_gradient(p, (X,), {})
    with pytest.raises(AssertionError):
        check_jvp(p.function, (X,), {})


def test_wrong_batch(declared):
    p = declared(primitive, lambda x: x.sum(0), batch=lambda p, tensors, params, level: tensors[0]._value.sum(0))
    with pytest.raises((AssertionError, RuntimeError, ValueError)):
        check_vmap(p.function, (X,), {})


def test_a_primitive_without_samples_is_named(declared):
    p = right(declared)
    with pytest.raises(AssertionError, match=p.name):
        test_declarations.test_every_primitive_has_samples()


def test_wrong_value(declared):
    with pytest.raises(AssertionError):
        check_value(right(declared), (X,), {}, [X * X + 1e-6])


def test_value_that_nobody_gives(declared):
    p = right(declared)
    samples.SAMPLES[p.name] = [((X,), {})]
    try:
        with pytest.raises(AssertionError, match=f"{p.name}: nothing says"):
            samples.expected(p, 0)
    finally:
        del samples.SAMPLES[p.name]


def test_wrong_convention():
    with pytest.raises(AssertionError, match="argument 0"):
        args, params = samples.SAMPLES["as_strided_scatter"][0]
        check_convention(PRIMITIVES["as_strided_scatter"], args, params, [np.zeros((3, 4))])


def test_argument_that_is_changed(declared):
    p = declared(elementwise, lambda x: np.multiply(x, x, out=x))
    with pytest.raises(AssertionError, match="an argument was changed"):
        check_value(p, (X,), {})


def test_float32_that_is_widened(declared):
    p = declared(elementwise, lambda x: x * np.float64(2.0))
    with pytest.raises(AssertionError, match="of float32 comes"):
        check_value(p, (X,), {})
