"""A kernel that is wrong: the warning names it and the user's line, a program shows it, and the state is that of eager runs."""

from __future__ import annotations

import linecache
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import lamina as torch
from compiler.faults import FAULTS, Put
from lamina import nn
from lamina.compiler import plan
from lamina.compiler.available import available
from lamina.compiler.capture.recorder import Recorder

pytestmark = [pytest.mark.full, pytest.mark.skipif(not available(), reason="no native code here")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def put(cache, monkeypatch):
    monkeypatch.setenv("LAMINA_CACHE_DIR", str(cache))
    made = Put()
    yield made
    made.back()


def beside_eager(f):
    """As eager runs are, but for the one that is recorded, which computes some sums in another order."""
    return torch.compile(f, verify="always")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 30), nn.Linear(30, 2)

    def forward(self, x):
        hidden = torch.tanh(self.first(x))  # at tanh
        return self.second(nn.functional.dropout(hidden, 0.2))


def training(compile):
    """Everything that there is after some steps."""
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def step(x):
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()  # at lerp_number
        return loss

    run = compile(step)
    left = [run(torch.randn(8, 4)).detach().numpy() for _ in range(6)]
    left += [t.detach().numpy() for p in model.parameters() for t in (p, p.grad)]
    left += [t.numpy() for state in optimizer.state.values() for t in state.values()]
    return [*left, torch.get_rng_state().numpy()]


def gradients(compile):
    """A fault that only the gradients show."""
    w = torch.arange(1.0, 6.0, requires_grad=True)

    def step(x):
        w.grad = None
        loss = (x * torch.cos(w)).sum()
        loss.backward()  # at neg
        return loss

    run = compile(step)
    return [t.detach().numpy() for i in range(5) for t in (run(torch.full((5,), i + 1.0)), w.grad)]


def outside(compile):
    """A fault that only gradients show which flow through a call to outside code."""
    w = torch.arange(1.0, 6.0, requires_grad=True)
    run = compile(lambda x: (torch.cos(x * w) * x).sum(0))
    left = []
    for i in range(5):
        w.grad, x = None, torch.full((2, 5), i + 1.0, requires_grad=True)
        run(x).sum().backward()  # at sin
        left += [x.grad.numpy(), w.grad.numpy()]
    return left


def integers(compile):
    run = compile(lambda x, y: (x & y) + 1)  # at bitwise_and
    return [run(torch.arange(6), torch.arange(6) + i).numpy() for i in range(5)]


def nans(compile):
    run = compile(lambda x: torch.log(x) + 1)  # at log
    return [run(torch.tensor([-1.0, 2.0 + i])).numpy() for i in range(5)]


def large(compile):
    run = compile(lambda x: torch.softmax(x, 0).sum(1).exp())  # at sum
    return [run(torch.arange(4000.0).reshape(50, 80).sin() * i).numpy() for i in range(1, 6)]


def together(compile):
    """A fault of a kernel that no call alone has."""
    run = compile(lambda x, y: (torch.exp(x + 1) * y - 1).sqrt().sum(0))  # at mul
    return [run(torch.ones(3, 4), torch.ones(3, 4) * i).numpy() for i in range(1, 6)]


PROGRAMS = [
    ("tanh", training), ("lerp_number", training), ("neg", gradients), ("sin", outside), ("bitwise_and", integers), ("log", nans),
    ("sum", large), ("mul", together),
]  # fmt: skip


@pytest.mark.parametrize("fault, program", PROGRAMS)
def test_a_wrong_kernel_is_found(fault, program, put):
    expected = program(beside_eager)
    FAULTS[fault](put)
    made = []
    with pytest.warns(RuntimeWarning, match="stays eager: a replay gave another result than an eager run") as caught:
        left = program(lambda f: made.append(torch.compile(f)) or made[-1])
    assert len(caught) == 1 and made[0].calls["replayed"] == 1 and "another result" in made[0].explain()
    for a, b in zip(left, expected, strict=True):
        np.testing.assert_array_equal(a, b)

    told = str(caught[0].message)
    found = re.search(r"the first that differs is (\w+) at test_mismatch\.py:(\d+)", told)
    assert found is not None and found[1] == fault, told
    assert linecache.getline(__file__, int(found[2])).endswith(f"# at {fault}\n")

    place = Path(re.search(r"a program that shows it: (.+\.py)$", told)[1])
    assert place.is_relative_to(os.environ["LAMINA_CACHE_DIR"])
    alone = subprocess.run([sys.executable, place], capture_output=True, text=True, timeout=120)
    assert alone.returncode == 0, alone.stderr  # without the fault nothing differs
    wrong = [sys.executable, Path(__file__).with_name("faults.py"), fault, place]
    shown = subprocess.run(wrong, capture_output=True, text=True, timeout=120)
    assert shown.returncode == 1 and "differs" in shown.stdout, shown.stderr


def test_a_wrong_plan_is_found(put, monkeypatch):
    """Values that lie over each other: each kernel alone is right."""

    def take(self, v):
        self.taken[v], self.size = (0, 64), max(self.size, v.nbytes + 64)
        return 0

    expected = training(beside_eager)
    monkeypatch.setattr(plan.Arena, "take", take)
    with pytest.warns(RuntimeWarning, match=r"the first that differs is \w+ at test_mismatch.py.*joined with"):
        left = training(torch.compile)
    for a, b in zip(left, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_wrong_recording_is_found(put, monkeypatch):
    write = Recorder.write
    monkeypatch.setattr(Recorder, "write", lambda self, a, b: None if a.shape == (2,) else write(self, a, b))

    def f(x):
        y = x * 2
        y[:2] = y[0] * torch.ones(2)
        return y + 1

    g = torch.compile(f)
    with pytest.warns(
        RuntimeWarning, match=r"so does what was recorded of the run, which ends in add at test_mismatch.py"
    ):
        for _ in range(3):
            assert torch.equal(g(torch.arange(3.0)), f(torch.arange(3.0)))


def test_a_cache_that_cannot_be_written_is_no_hindrance(put, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("LAMINA_CACHE_DIR", str(tmp_path / "cache"))
    FAULTS["log"](put)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nans(torch.compile)
    told = next(str(w.message) for w in caught if "stays eager" in str(w.message))
    assert Path(re.search(r"a program that shows it: (.+\.py)$", told)[1]).exists()


def test_rounding_that_grows_is_no_fault(put):
    """The key's bias of attention has no gradient but noise, which Adam makes steps of."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    optimizer = torch.optim.Adam(layer.parameters())

    @torch.compile(verify="always")
    def step(x):
        optimizer.zero_grad()
        loss = layer(x).logsumexp(-1).sum()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(8):
        step(torch.randn(2, 5, 8))
    assert step.eager is None and step.calls["replayed"] >= 6
