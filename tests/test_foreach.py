"""`torch._foreach_*`: every function of the table does to each tensor what the public operation does, and checks its lists."""

import pytest

import lamina
from lamina import foreach


def tensors():
    return [lamina.tensor([0.25, 0.5]), lamina.tensor([[0.75]], dtype=lamina.float64)]


@pytest.mark.parametrize("name", [n for n in foreach._UNARY if n != "zero"])
def test_one_list(name):
    wanted = [getattr(lamina, name)(t) for t in tensors()]
    found = getattr(lamina, f"_foreach_{name}")(tensors())
    given = tensors()
    assert isinstance(found, tuple) and getattr(lamina, f"_foreach_{name}_")(given) is given
    for w, f, g in zip(wanted, found, given, strict=True):
        assert lamina.equal(w, f) and lamina.equal(w, g) and w.dtype == f.dtype


@pytest.mark.parametrize("name", foreach._BINARY)
@pytest.mark.parametrize("other", [2, [2, 3.0], tensors()], ids=["number", "numbers", "tensors"])
def test_two_lists(name, other):
    each = other if isinstance(other, list) else [other, other]
    function = getattr(lamina, name)
    wanted = [function(t, o if isinstance(o, lamina.Tensor) or name in ("add", "sub", "mul", "div", "pow") else lamina.tensor(o)) for t, o in zip(tensors(), each, strict=True)]  # fmt: skip  # noqa: E501
    given = tensors()
    found = getattr(lamina, f"_foreach_{name}")(given, other)
    getattr(lamina, f"_foreach_{name}_")(given, other)
    for w, f, g in zip(wanted, found, given, strict=True):
        lamina.testing.assert_close(f, w.to(f.dtype))
        assert lamina.equal(f, g)


@pytest.mark.parametrize(
    "name, args, error, text",
    [
        ("exp", ([],), RuntimeError, "at least one tensor"),
        ("add", (tensors(), tensors()[:1]), RuntimeError, "got 2 and 1"),
        ("add", (tensors(), [1.0]), RuntimeError, "same number of elements as scalar list"),
        ("mul", (tensors(), lamina.ones(2)), RuntimeError, "expected to be 0 dim"),
        ("mul", (lamina.ones(2), 2), TypeError, "invalid combination"),
        ("addcmul", (tensors(), tensors(), tensors(), lamina.ones(1)), RuntimeError, "Expected length of scalars"),
        ("max", ([lamina.ones(0)],), RuntimeError, "undefined"),
    ],
)
def test_refusals(name, args, error, text):
    with pytest.raises(error, match=text):
        getattr(lamina, f"_foreach_{name}")(*args)


def test_the_others():
    a = tensors()
    assert [n.item() for n in lamina._foreach_norm([lamina.tensor([3.0, 4.0])])] == [5.0]
    assert [n.item() for n in lamina._foreach_powsum([lamina.tensor([3.0, 4.0])])] == [25.0]
    assert lamina._foreach_max(a)[0].item() == 0.5
    copied = lamina._foreach_clone(a)
    lamina._foreach_zero_(a)
    assert not a[0].any() and copied[0].all()
    lamina._foreach_copy_(a, copied)
    assert lamina.equal(a[0], copied[0])
    x = [lamina.ones(2)]
    assert lamina._foreach_addcdiv(x, x, x, value=3)[0].tolist() == [4.0, 4.0]
    assert lamina._foreach_addcmul_(x, x, x, [1.0])[0].tolist() == [2.0, 2.0]
    assert lamina._foreach_lerp(x, [lamina.zeros(2)], 0.5)[0].tolist() == [1.0, 1.0]
