"""What a compiled function reads may change between any two calls: then it means what the program means now.

Each row is a function `row()` that returns (what is compiled, its argument, what changes); it is called until it is replayed, changed,
and called again, beside itself uncompiled.
"""

from __future__ import annotations

import functools
import operator
import os
import types
import weakref
from collections import ChainMap, UserDict, deque

import numpy as np
import pytest

import lamina as torch
from lamina import nn

pytestmark = pytest.mark.full

ROWS = []


def row(function):
    ROWS.append(function)
    return function


@row
def defaults_of_a_helper():
    def helper(x, k=2.0):
        return x * k

    def change():
        helper.__defaults__ = (5.0,)

    return lambda x: helper(x).tanh(), torch.ones(3), change


@row
def code_of_the_function():
    def f(x):
        return (x * 2).tanh()

    def change():
        f.__code__ = (lambda x: (x * 3).sin()).__code__

    return f, torch.ones(3), change


@row
def attribute_of_a_class():
    class Settings:
        scale = 2.0

    return lambda x: (x * Settings.scale).tanh(), torch.ones(3), lambda: setattr(Settings, "scale", 3.0)


@row
def attribute_of_an_objects_class():
    class Base:
        scale = 2.0

    class Derived(Base):
        pass

    thing = Derived()
    return lambda x: (x * thing.scale).tanh(), torch.ones(3), lambda: setattr(Derived, "scale", 3.0)


@row
def method_of_a_modules_class():
    class Net(nn.Module):
        def activation(self, x):
            return x.tanh()

        def forward(self, x):
            return self.activation(x * 2)

    return Net(), torch.ones(3), lambda: setattr(Net, "activation", lambda self, x: x.sin())


@row
def forward_of_a_modules_class():
    class Net(nn.Module):
        def forward(self, x):
            return (x * 2).tanh()

    return Net(), torch.ones(3), lambda: setattr(Net, "forward", lambda self, x: x.sin())


@row
def attribute_by_its_name():
    box = types.SimpleNamespace(scale=2.0)
    return lambda x: (x * getattr(box, "scale")).tanh(), torch.ones(3), lambda: setattr(box, "scale", 3.0)  # noqa: B009


@row
def attribute_of_a_parameter():
    w = torch.ones(3)
    w.scale = 2.0
    return lambda x: (x * w * w.scale).tanh(), torch.ones(3), lambda: setattr(w, "scale", 3.0)


@row
def elements_of_an_array():
    numbers = np.ones(3, np.float32)
    return lambda x: (x * torch.from_numpy(numbers)).tanh(), torch.ones(3), lambda: numbers.fill(3)


@row
def elements_of_a_deque():
    window = deque([1.0, 2.0], maxlen=2)
    return lambda x: (x * sum(window)).tanh(), torch.ones(3), lambda: window.append(5.0)


@row
def attribute_of_a_list_of_its_own_class():
    class Layers(list):
        scale = 1.0

    layers = Layers([1.0])
    layers.scale = 2.0
    return lambda x: (x * layers.scale).tanh(), torch.ones(3), lambda: setattr(layers, "scale", 3.0)


@row
def attribute_of_a_function():
    def f(x):
        return (x * f.scale).tanh()

    f.scale = 2.0
    return f, torch.ones(3), lambda: setattr(f, "scale", 3.0)


@row
def keywords_of_a_partial_function():
    scaled = functools.partial(lambda x, k: x * k, k=2.0)
    return lambda x: scaled(x).tanh(), torch.ones(3), lambda: scaled.keywords.update(k=3.0)


@row
def order_of_a_dict():
    scales = {"a": 2.0, "b": 3.0}
    f = lambda x: (x * next(iter(scales.values()))).tanh()  # noqa: E731
    return f, torch.ones(3), lambda: scales.update(a=scales.pop("a"))


@row
def data_of_a_container_in_python():
    settings = ChainMap({}, UserDict(scale=2.0))
    return lambda x: (x * settings["scale"]).tanh(), torch.ones(3), lambda: settings.update(scale=3.0)


@row
def environment():
    os.environ["LAMINA_TEST_SCALE"] = "2"

    def f(x):
        return (x * float(os.environ.get("LAMINA_TEST_SCALE", "1"))).tanh()

    return f, torch.ones(3), lambda: os.environ.update(LAMINA_TEST_SCALE="3")


def _trained(change):
    w = torch.ones(3, requires_grad=True)

    def step(x):
        w.grad = None
        loss = (x * w).tanh().sum()
        if w.requires_grad:
            loss.backward()
        return loss, w.grad

    return step, torch.ones(3), functools.partial(change, w)


@row
def requires_grad_of_a_parameter():
    return _trained(lambda w: w.requires_grad_(False))


@row
def hook_of_a_parameter():
    return _trained(lambda w: w.register_hook(lambda g: g * 2))


@row
def history_of_a_tensor_that_is_read():
    w, total = torch.ones(3, requires_grad=True), torch.ones(3)
    return lambda x: (x * total).tanh().requires_grad, torch.ones(3), lambda: total.mul_(w)


@pytest.mark.parametrize("row", ROWS, ids=lambda f: f.__name__)
def test_it_means_what_it_means_now(row):
    function, x, change = row()
    compiled = torch.compile(function)
    called = getattr(compiled, "_compiled", compiled)
    for _ in range(4):
        told = str(function(x)), str(compiled(x))
        assert told[0] == told[1]
    assert called.calls["replayed"] > 0
    before = told[0]
    change()
    after = str(function(x))
    assert after != before
    for _ in range(4):
        assert str(compiled(x)) == after


def test_what_leads_elsewhere_is_not_replayed():
    class Settings:
        scale = 2.0

    settings = Settings()
    one, scale = weakref.ref(settings), operator.attrgetter("scale")
    for f in (lambda x: (x * one().scale).tanh(), lambda x: (x * scale(settings)).tanh()):
        compiled = torch.compile(f)
        for settings.scale in (1.0, 1.0, 1.0, 2.0, 3.0):
            assert torch.equal(compiled(torch.ones(3)), f(torch.ones(3)))


def test_other_forms_of_the_same_tensors():
    f = torch.compile(lambda x, *more: (x[0] * 2).tanh() if isinstance(x, list) else (x * 3).tanh() + sum(more))
    x = torch.ones(3)
    for given in (([x],), (x,), (x, x), ([x],), (x,), (x, x)) * 4:
        expected = (x * 2).tanh() if isinstance(given[0], list) else (x * 3).tanh() + sum(given[1:])
        assert torch.equal(f(*given), expected)


def test_learning_rates_are_numbers():
    w = torch.ones(3, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    seen = []

    @torch.compile
    def step(x):
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()
        scheduler.step()
        seen.append(optimizer.param_groups[0]["lr"])

    for _ in range(6):
        step(torch.ones(3))
        assert {type(n) for n in (optimizer.param_groups[0]["lr"], *scheduler.get_last_lr(), *seen)} == {float}


def test_what_a_run_leaves_besides_values():
    def leaves_a_mode(x):
        torch.set_grad_enabled(False)
        return x * 2

    compiled = torch.compile(leaves_a_mode)
    for _ in range(4):
        with torch.enable_grad():
            compiled(torch.ones(3))
            assert not torch.is_grad_enabled()
    views = torch.compile(lambda x: ((y := x.tanh()), y[1:], y.view(3, 1)))
    for _ in range(4):
        whole, part, _ = views(torch.randn(3))
        part.fill_(9)
        assert whole[1:].tolist() == [9, 9]
        assert whole._version == 1
    draws = np.random.RandomState(0)
    compiled = torch.compile(lambda x: x * draws.rand())
    assert len({compiled(torch.ones(())).item() for _ in range(6)}) == 6


def test_a_backward_of_the_programs_own(capsys):
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            print("backward")
            (x,) = ctx.saved_tensors
            return g * 3 * x**2

    f = torch.compile(lambda x: Cube.apply(x * 2).tanh().sum())
    for n in range(1, 5):
        f(torch.ones(3, requires_grad=True)).backward()
        assert capsys.readouterr().out.count("backward") == 1, n


def test_transforms_and_compiled_calls():
    def f(x):
        return (x**3).tanh().sum()

    compiled, inside = torch.compile(f), torch.compile(lambda x: torch.func.grad(f)(x) * 1)
    for n in range(1, 6):
        x = torch.full((3,), n / 4)
        expected = torch.func.grad(f)(x)
        assert torch.allclose(torch.func.grad(compiled)(x), expected)
        assert torch.allclose(inside(x), expected)
    assert inside.calls["replayed"] > 0


def test_rounding_is_no_difference(recwarn):
    """The gradient of a bias before a normalisation is nothing but rounding; under autocast float32 is as precise as bfloat16."""
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    compiled = torch.compile(model)
    for _ in range(4):
        compiled(torch.randn(5, 4)).sum().backward()

    @torch.compile
    def step(x):
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(x).float().pow(2).mean()
        loss.backward()

    for _ in range(4):
        step(torch.randn(5, 4))
    assert not [w for w in recwarn if "stays eager" in str(w.message)]
