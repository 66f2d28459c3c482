"""In-place operations: broadcasting into the target, overlapping memory, and that nothing changes where one is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina

SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)
OPERATIONS = {
    "add_": np.add, "mul_": np.multiply, "sub_": np.subtract, "copy_": lambda x, y: np.broadcast_to(y, x.shape),
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(SHAPES, SHAPES, st.sampled_from(sorted(OPERATIONS)))
def test_broadcasting(target, other, name):
    x = lamina.arange(float(np.prod(target))).reshape(target)
    y = lamina.arange(float(np.prod(other))).reshape(other) + 1
    before = x.clone()
    try:
        out = np.broadcast_shapes(target, other)
    except ValueError:
        out = None
    if out != target:
        with pytest.raises(RuntimeError, match="must match|doesn't match"):
            getattr(x, name)(y)
        assert x.equal(before) and x._version == 0
    else:
        assert getattr(x, name)(y) is x and x._version == 1
        assert np.array_equal(x.numpy(), OPERATIONS[name](before.numpy(), y.numpy()))


WRITES = {
    "add_": lambda t: t.add_(1), "mul_": lambda t: t.mul_(2.0), "sin_": lambda t: t.sin_(), "copy_": lambda t: t.copy_(lamina.ones(3)),
    "out": lambda t: lamina.add(lamina.ones(3), 1, out=t), "clamp_": lambda t: t.clamp_(0.0),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("cut", [lambda t: t, lambda t: t.detach()], ids=["view", "detached"])
def test_elements_that_are_one_are_not_written(name, cut):
    base = lamina.zeros(1)
    with pytest.raises(RuntimeError, match="single memory location"):
        WRITES[name](cut(base.expand(3)))
    assert base.tolist() == [0] and base._version == 0


@pytest.mark.parametrize(
    "write",
    [
        lambda x: x.add_(1j),
        lambda x: x.floor_divide_(1j),
        lambda x: x.long().bitwise_and_(x),
        lambda x: x.copy_("a"),
        lambda x: x.add_(lamina.ones(4)),
        lambda x: x.__setitem__(5, 1.0),
        lambda x: x.__setitem__(slice(0, 2), lamina.ones(3)),
        lambda x: x.fill_(lamina.ones(2)),
        lambda x: x.masked_fill_(lamina.ones(3), 1.0),
        lambda x: x.index_add_(0, lamina.tensor([7]), lamina.ones(1)),
    ],
)
def test_refused_without_a_trace(write):
    x = lamina.arange(3.0)
    with pytest.raises((RuntimeError, TypeError, IndexError)):
        write(x)
    assert x.tolist() == [0, 1, 2] and x._version == 0


def test_the_target_keeps_its_dtype():
    x = lamina.ones(2, dtype=lamina.float16)
    x.add_(lamina.full((2,), 0.1, dtype=lamina.float64))
    assert x.dtype is lamina.float16
    with pytest.raises(RuntimeError, match="result type Float can't be cast to the desired output type Long"):
        lamina.ones(2, dtype=lamina.int64).add_(0.5)
