"""Functions that are not clean run in stretches, and mean what they meant: random step functions, compiled beside eager.

A seed writes a function: tensors, training, counters, prints, lists, branches on values, loops, with and try, early returns, functions
made inside, variables without a value. Each call's result or exception, what was printed and logged, state, gradients and the random
stream must be those of the plain function. `LAMINA_FUZZ_STEPS` says how many (make fuzz: 2,000).
"""

from __future__ import annotations

import gc
import linecache
import os
import random
import re
import threading

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


@pytest.fixture(autouse=True)
def alone():
    """Optimizers of other tests that have not stepped would make the first call one that is not recorded."""
    gc.collect()


def native(step):
    """(first line, last line, replays) of the pieces that were replayed, lines counted from the function's own."""
    start = step.split.function.__code__.co_firstlineno
    found = ((*piece.lines, made.calls["replayed"]) for piece, made in step.split.made.items())
    return sorted((a - start, b - start, n) for a, b, n in found if n)


def trainer():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    return model, torch.optim.Adam(model.parameters(), lr=0.01)


def test_what_is_clean_is_replayed():
    model, opt = trainer()
    sched = torch.optim.lr_scheduler.StepLR(opt, 3, 0.5)
    losses, state = [], State()

    def step(self, batches):
        total = 0.0
        for x, y in batches:
            opt.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            opt.step()
            self.count += 1
            losses.append(loss.item())
            with torch.no_grad():
                wrong = (model(x).argmax(1) != y).float().mean() * 100
                if wrong.item() > 50:
                    print("wrong")
            total = total + loss.detach() * 0.5 + wrong * 0.0
        sched.step()
        return total * 2

    compiled = torch.compile(step)
    data = [(torch.randn(5, 3), torch.randint(0, 2, (5,))) for _ in range(3)]
    for _ in range(9):
        compiled(state, data)
    assert state.count == len(losses) == 27 and sched.last_epoch == 9 and losses[-1] < losses[0]
    spans = [(a, b) for a, b, n in native(compiled) if n >= 6]
    assert spans == [(3, 6), (10, 10), (13, 13)]
    text = re.sub(r"\n +(guard|arguments|recording|memory|work|.*flop).*", "", str(compiled.explain()))
    for told in (r"because it calls list.append\(\) .* \(test_stretches.py:\d+  losses.append\(loss.item\(\)\)\)",
                 r"line \d+: Python: it sets the attribute count",
                 r"lines \d+-\d+: native: 1 recorded, \d+ replayed", r"line \d+: Python: it looks at a tensor's values: item\(\)"):  # fmt: skip
        assert re.search(told, text), text


def test_a_scheduler_in_the_middle():
    model, opt = trainer()
    sched = torch.optim.lr_scheduler.StepLR(opt, 2, 0.5)

    def step(x):
        opt.zero_grad()
        loss = model(x).pow(2).mean()
        loss.backward()
        opt.step()
        sched.step()
        return torch.tanh(loss.detach() * 2) + model(x).detach().mean()

    compiled = torch.compile(step)
    for _ in range(9):
        compiled(torch.randn(4, 3))
    assert sched.last_epoch == 9 and sched.get_last_lr() == [0.01 * 0.5**4]
    assert [(a, b) for a, b, n in native(compiled) if n >= 4] == [(1, 4), (6, 6)]
    assert "Python: StepLR changes its own state   # sched.step()" in compiled.explain()


def test_a_counting_module_is_replayed():
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.calls = nn.Linear(3, 3), 0

        def forward(self, x):
            self.calls += 1
            y = torch.tanh(self.linear(x))
            return y * 2 + y.mean()

    model = Counter()
    compiled = torch.compile(model)
    for _ in range(6):
        x = torch.randn(2, 3)
        y = torch.tanh(model.linear(x))
        assert torch.allclose(compiled(x), y * 2 + y.mean(), atol=1e-5)
    assert model.calls == 6 and [(a, b) for a, b, n in native(compiled._compiled) if n >= 3] == [(2, 3)]
    handle = model.register_forward_hook(lambda module, args, out: out * 0)
    assert not compiled(x).any() and model.calls == 7
    handle.remove()


def test_what_changes_at_each_call_stays_python():
    log = []

    def step(x, i):
        y = torch.tanh(x * 2) + x.mean()
        if i % 4 == 0:
            log.append(i)
        return y * y.sum()

    compiled = torch.compile(step)
    for i in range(16):
        compiled(torch.ones(3), i)
    assert log == [0, 4, 8, 12] and (1, 1) in [(a, b) for a, b, n in native(compiled) if n > 6]

    class Clock:
        now = 0

    clock = Clock()

    def ticks(x):
        y = torch.tanh(x * 2) + x.mean() * x.sum()
        return y * clock.now

    compiled = torch.compile(ticks)
    for clock.now in range(24):
        assert torch.allclose(compiled(torch.ones(3)), ticks(torch.ones(3)))
    assert [(a, b) for a, b, n in native(compiled) if n > 4] == [(1, 1)]


def test_an_exception_in_the_middle():
    log, w = [], torch.ones(3)

    @torch.compile
    def step(x, i):
        log.append("begins")
        w.mul_(2).add_(x).div_(2)
        log.append("middle")
        y = (w[i] + x).tanh().sum() * 2
        log.append("ends")
        return y

    for _ in range(4):
        step(torch.zeros(1), torch.tensor([1]))
    del log[:]
    before = w.clone()
    with pytest.raises(IndexError) as caught:
        step(torch.ones(1), torch.tensor([5]))
    assert log == ["begins", "middle"] and torch.allclose(w, (before * 2 + 1) / 2)
    assert any("y = (w[i] + x).tanh()" in line for line in [str(t.statement).strip() for t in caught.traceback])


def test_recursion_and_threads():
    log = []

    def plain(x, n):
        y = torch.tanh(x * n) + x.mean() * x.std()
        log.append(n)
        return y if n == 0 else (compiled if calls[0] else plain)(y, n - 1) + y

    compiled, calls = torch.compile(plain), [0]
    for _ in range(4):
        x = torch.randn(4)
        calls[0], expected = 0, plain(x, 3)
        calls[0] = 1
        assert torch.allclose(compiled(x, 3), expected, atol=1e-5)
    assert log == [3, 2, 1, 0] * 8
    wrong = []

    def work(k):
        for i in range(30):
            x = torch.full((4,), float(i * k)) + torch.arange(4.0)
            y = torch.tanh(x) + x.mean() * x.std()
            if not torch.allclose(compiled(x, 0), torch.tanh(x * 0) + x.mean() * x.std(), atol=1e-3) or y.isnan().any():
                wrong.append((k, i))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong and len(log) == 32 + 90


def test_closures_and_redefinition():
    def make(k, log):
        def step(x):
            nonlocal k
            y = torch.tanh(x * scale[0]) + x.mean() * x.std()
            log.append(k)
            k += 1
            return y * 2 + y.sum()

        return step

    scale, one, two = [1.0], [], []
    a, b = torch.compile(make(0, one)), torch.compile(make(10, two))
    for _ in range(5):
        assert torch.equal(a(torch.ones(3)), b(torch.ones(3)))
    assert (
        one == [*range(5)]
        and two == [*range(10, 15)]
        and all([(m, n) for m, n, _ in native(f)] == [(2, 2), (5, 5)] for f in (a, b))
    )
    scale[0] = 2.0
    assert torch.allclose(a(torch.ones(3)), torch.full((3,), 5 * float(np.tanh(2))), atol=1e-4)

    def other(x):
        two.append(2)
        return x * 100

    def step(x):
        two.append(1)
        return torch.tanh(x * 2) + x.mean() * x.std()

    compiled = torch.compile(step)
    for _ in range(3):
        compiled(torch.ones(3))
    step.__code__ = other.__code__
    assert torch.equal(compiled(torch.ones(3)), torch.full((3,), 100.0))


def test_fullgraph_still_refuses():
    log = []

    @torch.compile(fullgraph=True)
    def step(x):
        y = torch.tanh(x * 2) + x.mean() * x.std()
        log.append(1)
        return y

    with pytest.raises(RuntimeError, match=r"calls list.append\(\).*log.append\(1\)"):
        for _ in range(3):
            step(torch.ones(3))


def test_gradients_of_one_result_alone():
    """A backward through one result of a compiled call does not come to what only another needs, nor frees it."""
    w, v = torch.randn(3, requires_grad=True), torch.randn(3, requires_grad=True)
    f = torch.compile(lambda x, h: (torch.tanh(w * x).sum(), (v * h).exp().sum()))
    for i in range(4):
        w.grad = v.grad = None
        x, h = torch.full((3,), float(i)), (v * i).sin()
        a, b = f(x, h)
        a.backward()
        assert v.grad is None and torch.allclose(w.grad, x * (1 - torch.tanh(w * x) ** 2), atol=1e-5)
        b.backward()
        expected = torch.autograd.grad((v * (v * i).sin()).exp().sum(), v)[0]
        assert torch.allclose(v.grad, expected, atol=1e-4)


def test_arguments_that_hang_together():
    """Of two arguments, one computed from the other, each gets its gradient once."""
    w = torch.randn(3, requires_grad=True)
    f = torch.compile(lambda a, b: (a * b).sum())
    for _ in range(4):
        a = w * 2
        b = a.exp()
        expected = torch.autograd.grad((w * 2 * (w * 2).exp()).sum(), w)[0]
        assert torch.allclose(torch.autograd.grad(f(a, b), w)[0], expected, rtol=1e-4)


def test_a_result_that_backward_needs_is_written():
    w = torch.ones(3, requires_grad=True)
    f = torch.compile(lambda x: (w * x).exp())
    for _ in range(4):
        y = f(torch.ones(3))
        y.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()


def test_a_graph_from_outside():
    """A backward inside of a compiled call through a graph that was there before is not frozen into its recording."""
    w = torch.ones(3, requires_grad=True)

    @torch.compile(verify="never")
    def step(loss):
        loss.backward()
        w.grad.mul_(2)

    for i in range(4):
        w.grad = None
        step((w * i).exp().sum())
        assert torch.allclose(w.grad, torch.full((3,), 2.0 * i * np.exp(i)), rtol=1e-4)


@pytest.mark.parametrize("how", ["global", "argument", "attribute", "loop"])
def test_an_iterator_goes_on(how):
    """What is taken from an iterator that was there before is another at each call, also where nothing is compared."""
    data, state = iter([torch.full((3,), float(i)) for i in range(20)]), State()
    state.data = data

    def step(self, given):
        if how == "loop":
            for x in data:  # noqa: B007 (it is, below)
                break
        else:
            x = next({"global": data, "argument": given, "attribute": self.data}[how])
        return torch.tanh(x * 0.1) + x.sum() * x.mean()

    def alone(x):
        return torch.tanh(x * 0.1) + x.sum() * x.mean()

    compiled = torch.compile(step, verify="never")
    for i in range(6):
        x = torch.full((3,), float(i))
        assert torch.allclose(compiled(state, data), alone(x)), i
    assert native(compiled)
