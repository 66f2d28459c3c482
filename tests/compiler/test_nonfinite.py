"""nan="raise": the error names the operation that made the first number that is not finite; the step is as if it had not been."""

import math

import numpy as np
import pytest

import lamina as torch
from lamina import nn
from lamina.compiler import available
from lamina.compiler.plan import WAITING


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Dropout(0.2))
        self.head = Head(width)

    def forward(self, x):
        return self.head(self.body(x), x.sum())


class Head(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.out = nn.Linear(width, 2)

    def forward(self, h, shift):
        return torch.log(self.out(h) ** 2 + shift)  # NaN where the shift is far below zero


def made(width=8, optimizer=torch.optim.Adam, **options):
    torch.manual_seed(0)
    model = Net(width)
    optimizer = optimizer(model.parameters(), lr=1e-3)

    def step(x):
        optimizer.zero_grad()
        loss = model(x).mean()
        loss.backward()
        optimizer.step()
        return loss

    return model, optimizer, torch.compile(step, **{"nan": "raise", **options})


GOOD = torch.ones(4, 3)
LOG = r"log returned nan values \(8 of 8\), at test_nonfinite.py:\d+  return torch.log.*, in module Net.head; its inputs: float32\[4, 2\] from -"


def state(model, optimizer):
    values = [t.detach().numpy().copy() for p in model.parameters() for t in (p, p.grad)]
    values += [s.numpy().copy() for entry in optimizer.state.values() for s in entry.values()]
    return [*values, torch.get_rng_state().numpy().copy()]


@pytest.mark.parametrize("verify", ["first", "never"])
@pytest.mark.parametrize("width", [8, 2000])
def test_the_error_names_the_operation_and_nothing_is_changed(width, verify):
    model, optimizer, step = made(width, verify=verify)
    for _ in range(4):
        step(GOOD)
    assert step.calls["replayed"] >= 2 and (width == 8 or sum(p.nbytes for p in model.parameters()) > WAITING // 2)
    before = state(model, optimizer)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=LOG):
            step(GOOD * -9)
    for a, b in zip(before, state(model, optimizer), strict=True):
        np.testing.assert_array_equal(a, b)
    replayed = step.calls["replayed"]
    assert math.isfinite(step(GOOD).item()) and step.calls["replayed"] == replayed + 1


@pytest.mark.parametrize("calls", [0, 1])
def test_calls_that_are_not_replayed_are_looked_at_too(calls):
    _, _, step = made()
    for _ in range(calls):
        step(GOOD)
    with pytest.raises(RuntimeError, match=LOG):
        step(GOOD * -9)


def test_a_module_is_named_as_itself():
    head = torch.compile(Head(3))
    f = torch.compile(lambda x: head(x, x.sum()), nan="raise")
    g = torch.compile(Net(4).eval(), nan="raise")
    for _ in range(3):
        f(GOOD)
        g(GOOD)
    for compiled, name in ((f, "Head"), (g, "Net.head")):
        with pytest.raises(RuntimeError, match=f"in module {name}; its inputs"):
            compiled(GOOD * -9)


def test_it_goes_on_without_the_option():
    _, _, step = made(nan=None)
    for _ in range(4):
        step(GOOD)
    assert math.isnan(step(GOOD * -9).item())


def test_the_backward_is_named_with_the_line_of_its_forward():
    w = torch.ones(3, requires_grad=True)

    @torch.compile(nan="raise")
    def step(x):
        w.grad = None
        loss = (w * x).sqrt().sum()
        loss.backward()
        return loss

    for _ in range(4):
        step(torch.ones(3))
    with pytest.raises(
        RuntimeError,
        match=r"infinite values.*loss.backward\(\), in the backward of SqrtBackward0, recorded at .*\.sqrt\(\)\.sum",
    ):
        step(torch.tensor([1.0, 0.0, 4.0]))


def test_infinity_on_the_way_is_no_fault():
    f = torch.compile(lambda x, m: torch.softmax(x.masked_fill(m, -math.inf), -1), nan="raise")
    m = torch.tensor([[True, False], [False, False]])
    for _ in range(4):
        f(torch.ones(2, 2), m)
    with pytest.raises(RuntimeError, match=r"returned nan values.*softmax"):
        f(torch.ones(2, 2), torch.ones(2, 2, dtype=torch.bool))


@pytest.mark.skipif(not available.available(), reason="a program without kernels stops before it writes")
def test_what_the_writing_makes_is_told_when_it_is_written():
    w = torch.zeros(WAITING // 2)
    f = torch.compile(lambda x: w.add_(x).mul_(1e30), nan="raise", verify="never")
    for _ in range(3):
        f(torch.zeros(WAITING // 2))
    with pytest.raises(RuntimeError, match=r"what the step wrote is not finite.*add.*at test_nonfinite.py:\d+"):
        f(torch.full((WAITING // 2,), 1e30))
    assert torch.isinf(w).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.complex64])
def test_dtypes(dtype):
    f = torch.compile(lambda x: x * x + 1, nan="raise")
    for _ in range(3):
        f(torch.ones(5, dtype=dtype))
    with pytest.raises(RuntimeError, match="mul returned infinite values|mul returned nan values"):
        f(
            torch.full((5,), math.inf, dtype=dtype)
            if dtype.is_complex
            else torch.full((5,), torch.finfo(dtype).max, dtype=dtype)
        )
