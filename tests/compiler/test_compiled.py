"""What a compiled function is: a module, a method, something that threads share, that can be reset, and that holds nothing of others."""

from __future__ import annotations

import copy
import threading
import weakref

import pytest

import lamina as torch
from lamina import nn

from .programs import net

pytestmark = pytest.mark.full


def test_it_is_replayed():
    model = net(3, 8, 1)
    optimizer = torch.optim.Adam(model.parameters())

    def step(x):
        optimizer.zero_grad()
        loss = model(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss

    compiled = torch.compile(step, fullgraph=True)
    for _ in range(6):
        compiled(torch.randn(4, 3))
    assert compiled.calls["replayed"] >= 3


def test_a_compiled_module_is_a_module(tmp_path):
    model = net(2, 3, 1)
    compiled = torch.compile(model)
    x = torch.randn(4, 2)
    for _ in range(3):
        compiled(x)
    assert isinstance(compiled, nn.Module)
    assert [*compiled.state_dict()] == [f"_orig_mod.{name}" for name in model.state_dict()]
    assert not compiled.eval().training
    assert not model.training
    other = copy.deepcopy(compiled)
    with torch.no_grad():
        model[0].weight.zero_()
    assert not torch.equal(other(x), compiled(x))
    torch.save(compiled.state_dict(), tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt"))
    assert torch.equal(other(x), compiled(x))


def test_a_method_is_compiled():
    class Model:
        def __init__(self, scale):
            self.scale = scale

        @torch.compile
        def double(self, x):
            return x * self.scale

    a, b = Model(2.0), Model(3.0)
    for i in range(4):
        x = torch.full((2,), float(i))
        assert torch.equal(a.double(x), x * 2)
        assert torch.equal(b.double(x), x * 3)
    a.scale = 5.0
    assert torch.equal(a.double(torch.ones(2)), torch.full((2,), 5.0))


def test_reset():
    f = torch.compile(lambda x: x * 2)
    for _ in range(3):
        f(torch.ones(2))
    assert f.recordings
    torch.compiler.reset()
    assert not f.recordings
    assert torch.equal(f(torch.ones(2)), torch.full((2,), 2.0))


def test_fullgraph_refuses():
    f = torch.compile(lambda x: x * float(x.sum()), fullgraph=True)
    with pytest.raises(RuntimeError, match=r"looks at a tensor's values: item\(\)"):
        for _ in range(5):  # the first is not recorded where an optimizer of another test has not stepped yet
            f(torch.ones(2))


def test_threads():
    f = torch.compile(lambda x: (x * 2).tanh().sum())
    f(torch.ones(100))
    wrong = []

    def work(k):
        for i in range(50):
            x = torch.full((100,), float(i * k))
            if abs(f(x).item() - (x * 2).tanh().sum().item()) > 1e-3:
                wrong.append((k, i))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_recording_holds_nothing_of_others():
    """Tensors that live beside a recorded call are not kept by it, whether it can be replayed or not."""
    for function in (lambda x: x * 2, lambda x: x * float(x.sum())):
        other = torch.ones(3)
        f = torch.compile(function)
        f(torch.ones(2))
        gone = weakref.ref(other)
        del other
        assert gone() is None
        assert torch.equal(f(torch.ones(2)), torch.full((2,), 2.0))


def test_threads_record_beside_each_other():
    """What one thread's recording hears is its own: values that leave in another, and options of its optimizer, are not."""
    optimizers = []

    def work(k, wrong):
        w = torch.ones(3, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=0.1)
        optimizers.append(optimizer)

        def step(x):
            optimizer.zero_grad()
            (w * x).sum().backward()
            optimizer.step()
            return w.detach().sum().item() if k % 2 else w.detach().sum()

        f = torch.compile(step)
        for i in range(1, 9):
            if abs(float(f(torch.ones(3))) - 3 * (1 - 0.1 * i)) > 1e-4:
                wrong.append((k, i))

    wrong = []
    threads = [threading.Thread(target=work, args=(k, wrong)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert {type(o.param_groups[0]["lr"]) for o in optimizers} == {float}


def test_a_dict_of_plain_values_is_not_overlooked():
    """The collector does not list it; that one was there before the call shows in who holds it."""
    counts = {"n": 0}

    def counted(x):
        counts.update(n=counts["n"] + 1)
        return x * 2

    def own(x):
        options = {}
        options.update(alpha=2)
        return x.add(x, **options)

    f, g = torch.compile(counted), torch.compile(own, fullgraph=True)
    for _ in range(5):
        f(torch.ones(2))
        assert g(torch.ones(2)).tolist() == [3.0, 3.0]
    assert counts == {"n": 5}
    assert g.calls["replayed"] >= 3


def test_an_exception_leaves_all_as_it_was():
    w = torch.ones(3)

    @torch.compile
    def f(x, i):
        w.mul_(2)
        return w[i] + x

    for _ in range(3):
        f(torch.ones(1), torch.tensor([1]))
    before = w.clone()
    with pytest.raises(IndexError):
        f(torch.ones(1), torch.tensor([5]))
    # eager too has doubled w when the index fails: compiled or not, the same
    assert torch.equal(w, before * 2)
