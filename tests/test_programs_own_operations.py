"""What a program states and defines by name: its own operations, conditions, results that come later, a default device."""

import threading
import typing

import numpy as np
import pytest

import lamina
from lamina import library, nn
from lamina.futures import Future, collect_all, wait_all


@pytest.fixture
def scale():
    @library.custom_op("tests::scale", mutates_args=())
    def scale(x: lamina.Tensor, k: float, *, shift: float = 0.0) -> lamina.Tensor:
        return x * k + shift

    return scale


def test_a_custom_operation_is_called_by_name_and_has_the_registered_gradient(scale):
    x = lamina.ones(3, requires_grad=True)
    y = lamina.ops.tests.scale(x, k=2.0)
    assert y.grad_fn.name() == "GeneratedBackwardFor_tests_scale_defaultBackward"
    with pytest.raises(RuntimeError, match="no autograd formula was registered"):
        y.sum().backward()

    def setup_context(ctx, inputs, keyword_only_inputs, output):
        ctx.k = inputs[1]

    scale.register_autograd(lambda ctx, g: (g * ctx.k, None), setup_context=setup_context)
    lamina.ops.tests.scale.default(x, 3.0, shift=1.0).sum().backward()
    assert x.grad.tolist() == [3.0] * 3
    assert scale(lamina.ones(2), 3.0, shift=1.0).tolist() == [4.0, 4.0]


def test_a_custom_operation_refuses_as_pytorch(scale):
    with pytest.raises(RuntimeError, match="k"):
        scale(lamina.ones(1))
    with pytest.raises(AttributeError, match="'_OpNamespace' 'tests' object has no attribute 'nothing'"):
        lamina.ops.tests.nothing  # noqa: B018
    with pytest.raises(ValueError, match="Parameter x must have a type annotation"):
        library.custom_op("tests::bare", lambda x: x, mutates_args=())
    same = library.custom_op("tests::same", lambda x: x, mutates_args=(), schema="(Tensor x) -> Tensor")
    with pytest.raises(RuntimeError, match="must not also be an input"):
        same(lamina.ones(1))


def test_an_operation_that_writes_and_one_of_the_older_kind():
    @library.custom_op("tests::bump", mutates_args={"x"})
    def bump(x: lamina.Tensor) -> None:
        x.add_(1)

    x = lamina.zeros(2)
    assert bump(x) is None and x.tolist() == [1.0, 1.0] and x._version == 1
    own = library.Library("tests_older", "DEF")
    own.define("cube(Tensor x) -> Tensor")
    own.impl("cube", lambda x: x**3, "CPU")
    own.impl("cube", lambda x: x, "CUDA")
    w = lamina.full((1,), 2.0, requires_grad=True)
    lamina.ops.tests_older.cube(w).backward()
    assert w.grad.tolist() == [12.0]
    assert lamina.ops.aten.add.Tensor(x, x).tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda: lamina._check(False, lambda: "so"), RuntimeError, "so"),
        (lambda: lamina._check(lamina.tensor(True)), TypeError, "_check_tensor_all"),
        (lambda: lamina._check_index(False), IndexError, "Expected cond to be True"),
        (lambda: lamina._check_tensor_all(lamina.tensor([True, False])), RuntimeError, "Expected cond to be True"),
        (lambda: lamina._assert(lamina.tensor(False), "so"), AssertionError, "so"),
        (lambda: lamina._assert_async(lamina.tensor(0.0), "so"), RuntimeError, "so"),
    ],
)
def test_conditions_that_do_not_hold(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_results_that_come_later():
    first, second = Future(), Future()
    both = collect_all([first, second])
    doubled = first.then(lambda done: 2 * done.value())
    failed = second.then(lambda done: 1 // done.value())
    assert not both.done()
    thread = threading.Thread(target=lambda: (second.set_result(0), first.set_result(3)))
    thread.start()
    assert [f.value() for f in both.wait()] == [3, 0] and wait_all([doubled, first]) == [6, 3]
    thread.join()
    with pytest.raises(ZeroDivisionError):
        failed.wait()
    with pytest.raises(RuntimeError, match="only be marked completed once"):
        first.set_result(1)


def test_factories_make_tensors_on_the_default_device():
    with lamina.device("meta") as where:
        assert lamina.get_default_device() is where
        layer = nn.LSTM(3, 4)
        assert {p.device.type for p in layer.parameters()} == {"meta"} and lamina.tensor([1.0]).is_meta
        with lamina.device("cpu"):
            assert lamina.ones(1).item() == 1
        assert (
            lamina.from_numpy(np.ones(2)).device.type == lamina.ones(1, device="cpu").new_zeros(1).device.type == "cpu"
        )
        seen = []
        thread = threading.Thread(target=lambda: seen.append(lamina.ones(1).device.type))
        thread.start()
        thread.join()
        assert seen == ["cpu"]
    lamina.set_default_device("meta")
    try:
        assert lamina.randn(2).is_meta
    finally:
        lamina.set_default_device(None)
    assert lamina.randperm(3).device.type == "cpu" and lamina.get_default_device().type == "cpu"


def test_annotations_of_a_users_class_can_be_resolved():
    class Model(nn.Module):
        size: int

    class Named(lamina.Tensor):
        label: str

    assert typing.get_type_hints(Model)["size"] is int
    assert typing.get_type_hints(Named)["label"] is str
