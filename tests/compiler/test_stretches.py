"""Functions that are not clean run in stretches, and mean what they meant: random step functions, compiled beside eager.

A seed writes a function: tensors, training, counters, prints, lists, branches on values, loops, with and try, early returns, functions
made inside, variables without a value. Each call's result or exception, what was printed and logged, state, gradients and the random
stream must be those of the plain function. `LAMINA_FUZZ_STEPS` says how many (make fuzz: 2,000).
"""

from __future__ import annotations

import linecache
import os
import random

import numpy as np
import pytest

import lamina as torch
from lamina import nn

pytestmark = pytest.mark.full
COUNT = int(os.environ.get("LAMINA_FUZZ_STEPS", "24"))
NAMES = ("a", "b", "c")


class Writer:
    """Writes the body of a function."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.lines = []
        self.inside = 0  # loops
        self.depth = 0

    def add(self, text):
        self.lines.extend("    " * (self.depth + 1) + line for line in text.split("\n"))

    def name(self):
        return self.r.choice(NAMES)

    def block(self, opening, n=None):
        self.add(opening)
        self.depth += 1
        for _ in range(n or self.r.randint(1, 4)):
            self.statement()
        self.depth -= 1

    def tensors(self):
        v, w, u = self.name(), self.name(), self.name()
        self.add(self.r.choice((
            f"{v} = torch.tanh({w} * 1.1 + {u})", f"{v} = torch.sigmoid({w}) - {u} * 0.5", f"{v} = torch.tanh(net({w}))",
            f"{v}, {w} = {w} * 0.9, {v} + 0.1", f"{v} = {w}.clone()\n{v} += {u}.detach()", f"{v} = {w}.clone()\n{v}.mul_(0.5)",
            f"{v} = {w}.clone()\nview = {v}[1:]\nview.add_(0.25)", f"{v} = torch.tanh({w} + torch.randn(4, 3) * 0.1)",
            f"{v} = nn.functional.dropout({w}, 0.3)", f"{v} = sum(t * scale for t in ({w}, {u}))",
            f"parts = [{w} * i for i in range(3)]\n{v} = torch.stack(parts).mean(0)", f"{v} = torch.tanh(x + {w})",
            f"x.mul_(0.5)\n{v} = {w} - x", f"{v} = {w}", f"{v} = {w}.view(-1).view(4, 3)", f"{v} = {v}.detach()",
            f"{v} = torch.where({w} > 0, {w}, {u} * 0.1)", f"{v} = torch.relu({w}) @ torch.eye(3) + {u}.softmax(1)",
            f"{v} = box['w'] * {w}", f"{v} = torch.tanh(helper({w}))",
        )))  # fmt: skip

    def trains(self):
        v = self.name()
        lines = [
            "opt.zero_grad()", f"loss = (net(x) * {v}.detach()).pow(2).mean()", "loss.backward()",
            self.r.choice(("opt.step()", "nn.utils.clip_grad_norm_(net.parameters(), 0.5)\nopt.step()")),
        ]  # fmt: skip
        if self.r.random() < 0.4:
            lines.insert(self.r.randint(1, 4), self.r.choice((
                "log.append(loss.item())" if self.r.random() < 2 else "", "self.count += 1", "print('training', self.count)", "sched.step()",
            )))  # fmt: skip
            if lines.index("opt.zero_grad()") == 0 and lines[1].startswith("log"):
                lines[1], lines[2] = lines[2], lines[1]
        self.add("\n".join(lines))
        self.add(f"{v} = torch.tanh({v} + loss.detach())")

    def effect(self):
        v, w = self.name(), self.name()
        self.add(self.r.choice((
            "self.count += 1", f"log.append({v}.sum().item())", "print('count', self.count)", f"print({v}.shape, {v}.requires_grad)",
            f"k = float({v}.mean().item())\n{w} = torch.tanh({w} * k)", "sched.step()", "TOTAL[0] += 1", "total += 1",
            f"self.kept = {v}.detach()", f"{v} = {v} + self.kept", f"data = {{'t': {v}}}\ndata['n'] = self.count\n{w} = data['t'] * 0.5",
            f"many = [{v}]\nmany.append({w})\n{v} = sum(many)", "n = self.count", f"{v} = {v} * (1 / (1 + n))",
            "outer = outer + 1", "box['w'] = box['w'] * 0.5 + 0.5", f"log.append({v} is {w})", f"log.append({v}.requires_grad)",
            f"self.history.append({v}.detach().sum())", f"{v} = {v} + sum(self.history[-2:], 0.0)", "torch.manual_seed(self.count)",
        )))  # fmt: skip

    def odd(self):
        v, w = self.name(), self.name()
        self.add(self.r.choice((
            f"del {v}\n{v} = {w} * 2" if v != w else f"{v} = {v} * 2", f"if self.count > 3:\n    extra = {v} * 2",
            f"if self.count > 4:\n    {w} = {w} + extra", f"f = lambda t: t * k\n{v} = f({w})", "k = 0.5", "k = k + 0.125",
            f"def g(t):\n    return t * scale + {v}.detach()\n{w} = torch.tanh(g({w}))", f"if self.count == 5:\n    return {v}, {w}",
            f"if {v}.sum() > 3:\n    return {v}", "if self.count == 6:\n    raise KeyError('six')", "import math\nk = math.sqrt(0.25)",
            f"{v} = {w} if self.count % 2 else {w} * 0.5", f"assert {v}.shape == (4, 3)", f"{v} = (y := {w} * 0.3) + y",
            f"extra = {v}\nlog.append(extra.mean().item())\n{w} = {w} + extra",
        )))  # fmt: skip

    def statement(self):
        kind = self.r.random()
        if self.depth > 2 or kind < 0.45:
            self.tensors()
        elif kind < 0.53:
            self.trains()
        elif kind < 0.72:
            self.effect()
        elif kind < 0.81:
            self.odd()
        elif kind < 0.87:
            self.block(f"if {self.r.choice((f'{self.name()}.sum() > 0', 'self.count % 2', 'flag'))}:")
            if self.r.random() < 0.5:
                self.block("else:")
        elif kind < 0.94:
            self.inside += 1
            self.block(
                self.r.choice(
                    ("for i in range(2):", f"for t in ({self.name()}, x):", "for i, t in enumerate([x, x * 2]):")
                )
            )
            if self.r.random() < 0.3:
                self.add(f"    {self.r.choice(('if self.count % 3 == 1:', f'if {self.name()}.mean() > 0.2:'))}\n        "
                         f"{self.r.choice(('break', 'continue'))}")  # fmt: skip
            self.inside -= 1
        elif kind < 0.97:
            self.block(
                f"with {self.r.choice(('torch.no_grad()', 'contextlib.suppress(ValueError)', 'torch.enable_grad()'))}:"
            )
            if "suppress" in self.lines[-1] or self.r.random() < 0.5:
                self.add("    if self.count % 2:\n        raise ValueError('odd')")
        else:
            self.block("try:")
            self.add("    if self.count % 3 == 1:\n        raise ValueError('third')")
            self.tensors_in_try()

    def tensors_in_try(self):
        self.depth += 1
        self.tensors()
        self.depth -= 1
        self.block("except ValueError as error:", 1)
        self.add("    log.append(str(error))")
        if self.r.random() < 0.4:
            self.block("finally:", 1)


def source(seed):
    w = Writer(seed)
    for _ in range(w.r.randint(5, 14)):
        w.statement()
    body = "\n".join(w.lines)
    return (
        "import contextlib\nimport lamina as torch\nfrom lamina import nn\nTOTAL = [0]\ntotal = 0\n"
        "def helper(t):\n    return t * 1.5 - t.mean()\n"
        "def make(net, opt, sched, log, box):\n    outer, scale = 0, 0.75\n"
        "    def step(self, x, flag=True):\n        nonlocal outer\n        global total\n"
        "        k, n, f = 0.5, 1, abs\n        a, b, c = x * 1.0, x + 1.0, torch.tanh(net(x))\n"
        + "\n".join("    " + line for line in body.split("\n"))
        + "\n        return a, b.sum(), c.detach()\n"
        "    return step, lambda: outer\n"
    )


class State:
    def __init__(self):
        self.count, self.kept, self.history = 0, torch.zeros(4, 3), []


def run(seed, compile, text, name, capsys):
    """What the function of a seed leaves: what each call gave, what was printed, and what is there afterwards."""
    torch.manual_seed(seed)
    space = {}
    exec(compile_text(text, name), space)  # noqa: S102 (the text is this file's own)
    net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3))
    opt = (torch.optim.SGD, torch.optim.Adam)[seed % 2](net.parameters(), lr=0.01)
    sched = torch.optim.lr_scheduler.StepLR(opt, 2, 0.5)
    log, box, state = [], {"w": torch.ones(3)}, State()
    plain, outer = space["make"](net, opt, sched, log, box)
    step = compile(plain)
    seen = []
    for i in range(9):
        x = torch.randn(4, 3)
        try:
            found = step(state, x, i % 4 != 3)
            if i % 2 and isinstance(found, tuple) and found[0].requires_grad:
                found[0].sum().backward()
            seen.append(found)
        except Exception as error:
            seen.append((type(error).__name__, str(error) if not isinstance(error, RuntimeError) else ""))
        state.count += seed % 3 == 0
        seen.append(x)
        if i == 6:
            state.count = 3
    seen += [
        *net.parameters(),
        *(p.grad for p in net.parameters()),
        state.kept,
        state.history,
        state.count,
        log,
        box["w"],
    ]
    seen += [space["total"], space["TOTAL"], outer(), sched.last_epoch, torch.get_rng_state().tolist()[:64]]
    return [plainly(s) for s in seen], capsys.readouterr().out, step


def compile_text(text, name):
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    return compile(text, name, "exec")


def plainly(value):
    if isinstance(value, torch.Tensor):
        return (value.requires_grad, np.array(value.detach()._array))
    return [plainly(v) for v in value] if isinstance(value, (list, tuple)) else value


def same(a, b, where):
    assert type(a) is type(b), (where, a, b)
    if isinstance(a, list | tuple):
        assert len(a) == len(b), (where, a, b)
        for i, (u, v) in enumerate(zip(a, b, strict=True)):
            same(u, v, (*where, i))
    elif isinstance(a, np.ndarray):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4, err_msg=str(where))
    elif isinstance(a, float):
        assert a == pytest.approx(b, rel=2e-3, abs=2e-4), where
    else:
        assert a == b, where


@pytest.mark.parametrize("seed", range(COUNT))
@pytest.mark.fuzz
def test_random_function(seed, capsys):
    text, name = source(seed), f"<stretches {seed}>"
    expected, printed, _ = run(seed, lambda f: f, text, name, capsys)
    verify = ("never", "first")[seed % 3 == 0]
    found, also, step = run(seed, lambda f: torch.compile(f, verify=verify), text, name, capsys)
    assert also == printed
    same(found, expected, ())
