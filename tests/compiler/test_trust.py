"""Trust in replays: the same bits for any number of threads; interrupts, errors, no memory, forks, threads, calls inside calls.

What a wrong kernel does: test_mismatch.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import lamina as torch
from lamina import nn
from lamina.autograd import modes
from lamina.compiler import bound
from lamina.compiler.available import available

pytestmark = [pytest.mark.full, pytest.mark.skipif(not available(), reason="no native code here")]


def trained(threads):
    """Parameters after some compiled steps of a net that is large enough to be spread over threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # the first calls are eager: their products are the BLAS library's
    try:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(300, 400), nn.GELU(), nn.LayerNorm(400), nn.Linear(400, 10))
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

        @torch.compile
        def step(x, y):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        losses = []
        for i in range(8):
            if i == 3:
                torch.set_num_threads(threads)
            losses.append(step(torch.randn(256, 300), torch.randint(0, 10, (256,))).item())
        assert step.calls["replayed"] >= 3
        return losses, [p.detach().numpy().copy() for p in model.parameters()]
    finally:
        torch.set_num_threads(before)


def test_threads_do_not_show():
    trained(1)  # eager calls on large arrays go over to native kernels after some
    one, two, again = trained(1), trained(2), trained(2)
    for other in (two, again):
        assert one[0] == other[0]
        for a, b in zip(one[1], other[1], strict=True):
            assert np.array_equal(a, b)


def test_a_child_goes_on():
    f = torch.compile(lambda x: (x @ x).tanh().sum())
    x = torch.randn(200, 200)
    expected = [f(x).item() for _ in range(4)][-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 says that a process with threads forks
        child = os.fork()
    if child == 0:
        os._exit(0 if f(x).item() == expected and f(x + 0).item() == expected else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "what, count",
    [("replays", 60), ("draws", 60), ("calls", 60), ("asked", 60), ("recordings", 9), ("eager", 60), ("children", 5)],
)
def test_interrupts(what, count):
    """In a process of its own: an interrupt belongs to nobody else, and what hangs is ended.

    Not measured by coverage, whose own lock, taken while it looks at a frame, an interrupt would lose for good.
    """
    program = [sys.executable, Path(__file__).with_name("interrupts.py"), what, str(count)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    ran = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def training(**options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters())

    def step(x):
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    def state():
        tensors = [t for p in model.parameters() for t in (p, p.grad)]
        tensors += [t for entry in optimizer.state.values() for t in entry.values()]
        return [t.detach().numpy().tobytes() for t in tensors] + [torch.get_rng_state().numpy().tobytes()]

    return model, torch.compile(step, **options), state


def test_a_hook_that_raises_leaves_the_compiler_in_order():
    model, step, _ = training()
    x, wrong = torch.ones(2, 3), [False]

    def hook(g):
        if wrong[0]:
            raise ZeroDivisionError

    step(x)
    handle = model[0].weight.register_hook(hook)
    for raises in (True, False, True, False):
        wrong[0] = raises
        if raises:
            with pytest.raises(ZeroDivisionError):
                step(x)
        else:
            step(x)
        assert modes.current() is None and sys.getprofile() is None and not step.turn.inside
    handle.remove()
    fresh = torch.compile(step._function)
    for _ in range(3):
        fresh(x)
    assert fresh.calls["replayed"] >= 1


def test_no_memory_for_the_plan(monkeypatch):
    def refuse(nbytes):
        raise MemoryError

    _, step, _ = training()
    _, other, expected = training()
    x = torch.ones(2, 3)
    other = other._function
    for f in (step, other):
        torch.manual_seed(1)
        f(x), f(x)
    monkeypatch.setattr(bound, "aligned", refuse)
    with pytest.warns(RuntimeWarning, match=r"step stays eager: its program could not be made \(MemoryError"):
        step(x)
    assert step.calls["replayed"] == 0
    step(x)
    assert "MemoryError" in step.explain()


def test_no_memory_for_a_run(monkeypatch):
    def refuse(*shape):
        raise MemoryError

    _, step, state = training()
    x = torch.ones(2, 3)
    for _ in range(5):
        step(x)
    before, replayed = state(), step.calls["replayed"]
    with monkeypatch.context() as patch:
        patch.setitem(step._run.__globals__, "empty", refuse)
        with pytest.raises(MemoryError):
            step(x)
    assert state() == before
    step(x)
    assert step.calls["replayed"] == replayed + 1


ERRORS = {
    "inverse": (torch.linalg.inv, torch.eye(3), torch.zeros(3, 3)),
    "cholesky": (torch.linalg.cholesky, torch.eye(3), -torch.eye(3)),
    "solve": (lambda x: torch.linalg.solve(x, torch.ones(3)), torch.eye(3), torch.zeros(3, 3)),
    "eigenvalues": (torch.linalg.eigvalsh, torch.eye(3), torch.full((3, 3), float("nan"))),
    "range": (lambda x: nn.functional.binary_cross_entropy(x, x), torch.eye(3), 2 * torch.eye(3)),
    "index": (lambda x: nn.functional.nll_loss(torch.zeros(3, 3), x[0].long()), torch.eye(3), 7 * torch.eye(3)),
    "division": (lambda x: x.long() // x.long(), torch.ones(3, 3), torch.eye(3)),
}


@pytest.mark.parametrize("what", ERRORS)
def test_errors_are_those_of_eager_runs(what):
    """And so is what the run left before them."""
    function, good, bad = ERRORS[what]
    told = []
    for compile in (lambda f: f, torch.compile):
        torch.manual_seed(0)
        w = torch.zeros(3)

        def step(x):
            y = torch.rand(3, 3)
            w.add_(1)  # noqa: B023
            return function(x + y * 0), w * 2  # noqa: B023

        run = compile(step)
        for _ in range(4):
            run(good)
        with pytest.raises(Exception) as caught:
            run(bad)
        run(good)
        told.append((type(caught.value), str(caught.value), w.tolist(), torch.get_rng_state().tolist()))
    assert run.calls["replayed"] >= 3
    assert told[0] == told[1]


@pytest.mark.parametrize("same", [True, False])
def test_threads(same):
    """Calls of many threads, of one function or of each its own, are each as if alone."""

    def make():
        return torch.compile(lambda x, n: (x * n).tanh().softmax(0) @ x.T)

    shared = make()
    wrong, start = [], threading.Barrier(4)

    def work(number):
        f, inputs = shared if same else make(), [torch.randn(20, 30) for _ in range(3)]
        expected = [((x * number).tanh().softmax(0) @ x.T) for x in inputs]
        start.wait()
        for _ in range(40):
            for x, y in zip(inputs, expected, strict=True):
                if not torch.allclose(f(x, number), y, rtol=1e-4, atol=1e-5):
                    wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    if same:
        assert not shared.turn.inside


def test_threads_train_each_their_own():
    def work(left, number):
        generator = np.random.default_rng(number)
        w = torch.zeros(4, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9)

        def step(x):
            optimizer.zero_grad()
            ((w - x) ** 2).sum().backward()
            optimizer.step()

        run = torch.compile(step) if left is compiled else step
        for _ in range(30):
            run(torch.tensor(generator.standard_normal(4).astype(np.float32)))
        left[number] = w.detach().numpy()

    compiled, eager = {}, {}
    threads = [threading.Thread(target=work, args=(compiled, n)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(4):
        work(eager, n)
        np.testing.assert_allclose(compiled[n], eager[n], rtol=1e-5)


def test_calls_inside_calls():
    inner = torch.compile(lambda x: x.tanh() * 2)
    outer = torch.compile(lambda x: inner(x) + inner(x + 1))

    @torch.compile
    def itself(x, n):
        return x if n == 0 else itself(x * 1.5, n - 1) + 1

    for i in range(6):
        x = torch.full((3,), float(i))
        assert torch.allclose(inner(x), x.tanh() * 2)
        assert torch.allclose(outer(x), x.tanh() * 2 + (x + 1).tanh() * 2)
        assert torch.allclose(itself(x, 2), (x * 2.25) + 2)
    assert outer.calls["replayed"] >= 3 and not any(f.turn.inside for f in (inner, outer, itself))


def test_explain_waits_for_nobody_in_its_own_thread():
    told = []

    @torch.compile
    def f(x):
        told.append(f.explain())
        return x + 1

    for _ in range(3):
        f(torch.ones(2))
    assert len(told) == 3
