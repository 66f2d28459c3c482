"""What stretches look into: called functions and modules, handlers and cases, the value of a store; and what happens only once.

Each program is run compiled and not, and must leave the same; then it is asked what was native.
"""

from __future__ import annotations

import copy
import inspect
import sys

import pytest

import lamina as torch
from lamina import nn
from lamina.compiler.api import Compiled

pytestmark = pytest.mark.full


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.seen = nn.Linear(4, 4), 0

    def forward(self, x):
        self.seen += len(x)
        return torch.tanh(self.linear(x)) * 2 + x


def counting_modules(compile):
    blocks = nn.Sequential(nn.Linear(4, 4), Block(), Block())
    optimizer = torch.optim.SGD(blocks.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = blocks(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss

    compiled = compile(step)
    seen = [compiled(torch.randn(3, 4)).item() for _ in range(9)]
    return [*seen, *(b.seen for b in blocks[1:]), *(p.sum().item() for p in blocks.parameters())], compiled


def methods(compile):
    class Trainer:
        def __init__(self):
            self.w, self.losses = torch.ones(4, requires_grad=True), []

        def loss(self, x):
            found = (x * self.w).tanh().exp().mean()
            self.losses.append(found.item())
            return found

        def step(self, x):
            self.w.grad = None
            self.loss(x).backward()
            with torch.no_grad():
                self.w -= 0.1 * self.w.grad

    trainer = Trainer()
    compiled = compile(trainer.step)
    for _ in range(9):
        compiled(torch.randn(4))
    return [*trainer.losses, *trainer.w.tolist()], compiled


def handlers(compile):
    told = []

    def f(x, i):
        try:
            told.append(i)
            if i % 3 == 2:
                raise ValueError(i)
            y = (x * 3).sin().cos()
        except ValueError as error:
            told.append(str(error))
            y = (x * 5).tanh().exp().sin()
        else:
            y = (y * 2).tanh().exp()
        finally:
            told.append("finally")
            z = (x * 7).tanh().exp()
        return y.sum() + z.sum()

    compiled = compile(f)
    return [*(compiled(torch.randn(3), i).item() for i in range(24)), *told], compiled


def cases(compile):
    told = []

    def f(x, what):
        match what:
            case ["scale", k]:
                told.append(k)
                y = (x * k).tanh().exp().sin()
            case {"name": name, **rest}:
                told.append((name, sorted(rest)))
                y = (x * 3).sin().cos().exp()
            case n if n > 2:
                y = (x * n).tanh()
            case _:
                y = x
        return y.sum()

    compiled = compile(f)
    given = (["scale", 2.0], {"name": "relu", "k": 1}, 5, 1)
    return [*(compiled(torch.randn(3), given[i % 4]).item() for i in range(24)), *told], compiled


def stores(compile):
    class State:
        hidden = None

    box, total = {}, None

    def f(x):
        nonlocal total
        State.hidden = (x * 0.9 + 1).tanh().exp() * 0.5
        box["last"], box["first"] = (x * 2).sin().cos().sum(), (x * 3).tanh()
        total = (x * 3).tanh().exp() + 1
        return x * 1

    compiled = compile(f)
    seen = [compiled(torch.randn(4)).sum().item() for _ in range(9)]
    return [*seen, *State.hidden.tolist(), box["last"].item(), box["first"].sum().item(), *total.tolist()], compiled


@pytest.mark.parametrize(
    ("program", "least"),
    [(counting_modules, 3), (methods, 1), (handlers, 4), (cases, 2), (stores, 3)],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_what_stretches_look_into(program, least):
    torch.manual_seed(0)
    expected, _ = program(lambda f: f)
    torch.manual_seed(0)
    found, compiled = program(torch.compile)
    assert [v for v in found if not isinstance(v, float)] == [v for v in expected if not isinstance(v, float)]
    numbers = [[v for v in one if isinstance(v, float)] for one in (found, expected)]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-4)
    every = [compiled, *compiled.split.inner.made.values()]
    pieces = [piece for one in every for piece in (one.split.made.values() if one.split else [one])]
    assert sum(piece.calls["replayed"] > 0 for piece in pieces) >= least


@pytest.mark.skipif(sys.gettrace() is not None, reason="another tracer keeps its place: then all lines count as run")
def test_what_happens_once_is_no_hindrance(capsys):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.told = nn.Linear(3, 3), False

        def forward(self, x):
            if not self.told:
                print("shape", tuple(x.shape))
                self.told = True
            return self.linear(x).tanh()

    masks = {}

    def f(x):
        if len(x) not in masks:
            masks[len(x)] = torch.tril(torch.ones(len(x), len(x)))
        return (x @ masks[len(x)]).tanh()

    for compiled in (torch.compile(Net())._compiled, torch.compile(f)):
        for _ in range(5):
            compiled(torch.randn(3, 3))
        assert compiled.split is None and compiled.calls["replayed"] == 3
    assert capsys.readouterr().out == "shape (3, 3)\n"


def test_a_long_run_is_not_repeated_for_that():
    told = []

    def f(x):
        told.append(1)
        for _ in range(800):
            x = (x * 1.001).sin().cos()
        return x

    compiled = torch.compile(f)
    for _ in range(3):
        compiled(torch.ones(1))
    assert compiled.calls["recorded"] == 1 and compiled.split is not None


def test_who_called_is_asked():
    told = []

    def where(x):
        told.append(inspect.currentframe().f_back.f_code.co_name)
        return (x * 2).tanh().exp().sin()

    def f(x):
        return where(x) + 1

    compiled = torch.compile(f)
    for _ in range(6):
        compiled(torch.ones(2))
    assert told == ["f"] * 6


def test_functions_made_at_each_call_are_not_kept():
    told = []

    def f(x):
        def inner(y):
            told.append(1)
            return (y * 2).tanh().exp().sin()

        return inner(x) + 1

    compiled = torch.compile(f)
    for _ in range(6):
        compiled(torch.ones(2))
    assert len(told) == 6
    assert compiled.split is None or not compiled.split.inner.made
    assert isinstance(copy.deepcopy(compiled), Compiled)
