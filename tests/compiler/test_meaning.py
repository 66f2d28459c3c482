"""A compiled function means what the function means: the same calls, compiled and not, beside each other.

Each program is a function `program(compile)` that returns a list of what it saw; it runs with `lamina.compile` and with no compiler at
all. Whether a call was replayed is asserted where that is the point.
"""

from __future__ import annotations

import copy
import threading
import weakref

import numpy as np
import pytest

import lamina as torch
from lamina import nn

pytestmark = pytest.mark.full

PROGRAMS = []


def program(function):
    PROGRAMS.append(function)
    return function


def values(t):
    return None if t is None else np.array(t.detach()._array, dtype=np.float64 if t.is_floating_point() else None)


def net(*sizes, act=nn.Tanh):
    layers = [layer for i, o in zip(sizes, sizes[1:], strict=False) for layer in (nn.Linear(i, o), act())]
    return nn.Sequential(*layers[:-1])


@program
def learning_rate_changes(compile):
    model = net(3, 8, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    @compile
    def step(x):
        optimizer.zero_grad()
        loss = model(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss

    seen = []
    for i in range(8):
        optimizer.param_groups[0]["lr"] = 0.1 / (i + 1)
        if i == 5:
            optimizer.param_groups[0]["weight_decay"] = 0.1
        seen.append(values(step(torch.randn(4, 3))))
    return seen + [values(p) for p in model.parameters()] + [values(p.grad) for p in model.parameters()]


@program
def gradients_accumulate(compile):
    model = net(3, 4, 2)
    step = compile(lambda x: model(x).sum().backward())
    seen = []
    for i in range(7):
        if i == 4:
            model.zero_grad()
        if i == 6:
            for p in model.parameters():
                p.grad = torch.ones_like(p)
        step(torch.randn(5, 3))
        seen += [values(p.grad) for p in model.parameters()]
    return seen


@program
def a_gradient_is_kept(compile):
    w = torch.randn(3, requires_grad=True)

    @compile
    def step(x):
        w.grad = None
        (w * x).pow(2).sum().backward()

    seen, kept = [], []
    for _ in range(6):
        step(torch.randn(3))
        kept.append(w.grad)
        seen.append(values(w.grad))
    return seen + [values(g) for g in kept]


@program
def results_are_new(compile):
    f = compile(lambda x: (x * 2, x.sum()))
    kept = [f(torch.full((3,), float(i))) for i in range(6)]
    return [values(t) for pair in kept for t in pair]


@program
def a_global_changes(compile):
    box = {"scale": 2.0}
    f = compile(lambda x: x * box["scale"])
    seen = []
    for i in range(8):
        if i == 4:
            box["scale"] = 3.0
        seen.append(values(f(torch.ones(2))))
    return seen


@program
def an_outer_variable_changes(compile):
    factor = 1.0

    @compile
    def f(x):
        return x + factor

    seen = []
    for i in range(6):
        if i == 3:
            factor = 5.0
        seen.append(values(f(torch.zeros(2))))
    return seen


@program
def it_counts(compile):
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return x * self.calls

    model = Counter()
    f = compile(model)
    return [values(f(torch.ones(2))) for _ in range(5)] + [model.calls]


@program
def it_appends(compile):
    log = []

    @compile
    def f(x):
        y = x * 2
        log.append(float(y.sum()))
        return y

    for i in range(4):
        f(torch.full((2,), float(i)))
    return list(log)


@program
def it_uses_a_list_of_its_own(compile):
    @compile
    def f(x):
        parts = []
        for i in range(3):
            parts.append(x * i)
        return torch.stack(parts).sum(0)

    return [values(f(torch.full((2,), float(i)))) for i in range(5)]


@program
def it_branches_on_values(compile):
    @compile
    def f(x):
        if x.sum() > 0:
            return x * 2
        return x - 1

    return [values(f(torch.full((2,), s))) for s in (1.0, 2.0, -1.0, 3.0, -2.0)]


@program
def shapes_change(compile):
    f = compile(lambda x: torch.softmax(x, -1).cumsum(0))
    return [values(f(torch.randn(n, 4))) for n in (2, 3, 2, 2, 3, 5, 3)]


@program
def train_and_eval(compile):
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
    f = compile(model)
    seen = []
    for i in range(10):
        if i in (4, 7):
            model.train(not model.training)
        y = f(torch.randn(6, 4))
        y.sum().backward()
        seen.append(values(y))
    return seen + [values(b) for b in model.buffers()] + [values(p.grad) for p in model.parameters()]


@program
def random_numbers_go_on(compile):
    torch.manual_seed(1)
    f = compile(lambda x: x + torch.randn(3) * torch.rand(3))
    seen = [values(f(torch.zeros(3))) for _ in range(5)]
    return [*seen, values(torch.rand(2))]


@program
def an_argument_is_written(compile):
    def f(x, y):
        x.add_(y).mul_(2)
        x[0] = 7
        return x.sum()

    f = compile(f)
    seen = []
    for i in range(5):
        x, y = torch.arange(4.0) + i, torch.ones(4)
        seen += [values(f(x, y)), values(x), x._version]
    x = torch.arange(4.0)
    return [*seen, values(f(x, x)), values(x)]


@program
def arguments_share_memory(compile):
    def f(x, y):
        x += 1
        return x * y

    f = compile(f)
    seen = []
    for i in range(6):
        base = torch.arange(6.0)
        x, y = (base[:3], base[3:]) if i % 2 else (base[:3], base[1:4])
        seen += [values(f(x, y)), values(base)]
    return seen


@program
def copies_of_one_tensor_are_written(compile):
    def f(x):
        base = x + 1
        a, b = base.clone(), base.clone()
        a[1:].add_(0.25)
        b[1:].add_(0.25)
        return b, a * 2

    f = compile(f)
    return [values(t) for i in range(4) for t in f(torch.full((3,), float(i)))]


@program
def views_of_a_parameter(compile):
    w = torch.randn(4, 4)

    @compile
    def f(x):
        w[1:3].mul_(0.5)
        w.t()[0] += x
        return w.diagonal().sum()

    return [v for i in range(5) for v in (values(f(torch.full((4,), float(i)))), values(w))]


@program
def weights_are_exchanged(compile):
    model = nn.Linear(3, 2)
    f = compile(model)
    seen = []
    for i in range(9):
        with torch.no_grad():
            if i == 3:
                model.weight.data = torch.ones(2, 3)
            if i == 5:
                model.weight = nn.Parameter(torch.full((2, 3), 2.0))
            if i == 7:
                model.weight.copy_(torch.zeros(2, 3))
        seen.append(values(f(torch.ones(1, 3))))
    return seen


@program
def a_hook_comes_and_goes(compile):
    model = net(2, 3, 1)
    f = compile(model)
    seen, handle, ran = [], None, []
    for i in range(9):
        if i == 3:
            handle = model[0].register_forward_hook(lambda m, a, out: out * 2)
        if i == 6:
            handle.remove()
        seen.append(values(f(torch.ones(2, 2))))
    return [*seen, len(ran)]


@program
def hooks_on_tensors(compile):
    w = torch.ones(3, requires_grad=True)
    w.register_hook(lambda g: g * 3)

    @compile
    def step(x):
        w.grad = None
        y = w * x
        y.register_hook(lambda g: g + 1)
        y.sum().backward()
        return y.detach()

    return [v for i in range(5) for v in (values(step(torch.full((3,), float(i)))), values(w.grad))]


@program
def gradients_through_a_call(compile):
    w = torch.randn(3, 3, requires_grad=True)
    f = compile(lambda x, y: (torch.tanh(x @ w) * y, (x * y).sum()))
    seen = []
    for _ in range(5):
        x, y = torch.randn(2, 3, requires_grad=True), torch.randn(2, 3)
        a, b = f(x * 2, y)
        (a.sum() * b).backward()
        seen += [values(x.grad), values(w.grad), values(a)]
    with torch.no_grad():
        seen += [values(t) for t in f(torch.ones(2, 3), torch.ones(2, 3))]
    return seen


@program
def only_one_result_is_used(compile):
    w = torch.randn(3, requires_grad=True)
    f = compile(lambda x: (w * x, w + x))
    seen = []
    for i in range(4):
        w.grad = None
        f(torch.full((3,), float(i)))[i % 2].sum().backward()
        seen.append(values(w.grad))
    return seen


@program
def a_scheduler_inside(compile):
    model = net(2, 4, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)

    @compile
    def step(x):
        optimizer.zero_grad()
        model(x).pow(2).sum().backward()
        optimizer.step()
        scheduler.step()

    for _ in range(7):
        step(torch.ones(3, 2))
    return [values(p) for p in model.parameters()] + [scheduler.get_last_lr(), scheduler.last_epoch]


@program
def clipping_and_weight_decay(compile):
    model = net(3, 5, 2, act=nn.GELU)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)

    @compile
    def step(x, y):
        optimizer.zero_grad(set_to_none=False)
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        return loss, norm

    seen = []
    for _ in range(6):
        seen += [values(t) for t in step(torch.randn(8, 3), torch.randint(0, 2, (8,)))]
    return seen + [values(p) for p in model.parameters()]


@program
def state_is_loaded(compile):
    model = net(2, 3, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)

    @compile
    def step(x):
        optimizer.zero_grad()
        model(x).sum().backward()
        optimizer.step()

    for _ in range(4):
        step(torch.ones(2, 2))
    saved = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    for _ in range(2):
        step(torch.ones(2, 2))
    model.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    for _ in range(4):
        step(torch.ones(2, 2))
    return [values(p) for p in model.parameters()] + [s["step"].item() for s in optimizer.state.values()]


@program
def a_default_changes(compile):
    f = compile(lambda x: x + torch.zeros(2).sum())
    seen = [f(torch.ones(2)).dtype for _ in range(3)]
    torch.set_default_dtype(torch.float64)
    try:
        seen += [f(torch.ones(2)).dtype for _ in range(3)]
    finally:
        torch.set_default_dtype(torch.float32)
    return [str(d) for d in seen]


@program
def keywords_and_containers(compile):
    f = compile(lambda data, *, scale=1.0, flag=False: {"out": [data["a"] * scale, data["b"] if flag else data["a"]]})
    seen = []
    for i in range(6):
        data = {"a": torch.full((2,), float(i)), "b": torch.ones(2)}
        out = f(data, scale=float(1 + i // 3), flag=i % 2 == 0)
        seen += [values(t) for t in out["out"]] + [out["out"][1] is data["b"]]
    return seen


@program
def second_derivatives_inside(compile):
    model = net(1, 6, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    @compile
    def step(x):
        x = x.detach().requires_grad_()
        u = model(x)
        (du,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        loss = (du - 1).pow(2).mean() + u.pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return [values(step(torch.linspace(0, 1, 5).unsqueeze(1))) for _ in range(6)] + [
        values(p) for p in model.parameters()
    ]


@program
def embedding_with_bad_index(compile):
    table = nn.Embedding(5, 3)
    f = compile(lambda i: table(i).sum())
    seen = []
    for rows in ([1, 2], [0, 4], [3, 3], [1, 7], [2, 2]):
        try:
            seen.append(values(f(torch.tensor(rows))))
        except IndexError as error:
            seen.append(str(error))
    return seen


@program
def low_precision(compile):
    f = compile(lambda x, y: torch.tanh(x) * y + x.sum(-1, keepdim=True))
    return [values(f(torch.randn(4, 5).bfloat16(), torch.randn(5).bfloat16())) for _ in range(4)]


@program
def it_seeds(compile):
    def f(x):
        torch.manual_seed(7)
        return x + torch.rand(2)

    f = compile(f)
    return [values(f(torch.zeros(2))) for _ in range(5)] + [values(torch.rand(1))]


@program
def it_changes_a_module(compile):
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))

    def f(x):
        y = model(x)
        model.eval() if model.training else model.train()
        return y.detach()

    f = compile(f)
    torch.manual_seed(3)
    return [values(f(torch.ones(2, 2))) for _ in range(7)] + [model.training]


@program
def it_registers_hooks(compile):
    w, seen = torch.ones(2, requires_grad=True), []

    def f(x):
        w.register_hook(lambda g: g * 2)
        return (w * x).sum()

    f = compile(f)
    for _ in range(4):
        w.grad = None
        f(torch.ones(2)).backward()
        seen.append(values(w.grad))
    return seen


@program
def checkpoints(compile):
    from lamina.utils.checkpoint import checkpoint

    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3), nn.Linear(4, 2))

    def f(x):
        loss = checkpoint(model, x, use_reentrant=False).pow(2).sum()
        loss.backward()
        return loss

    f = compile(f)
    return [values(f(torch.ones(2, 3))) for _ in range(4)] + [values(p.grad) for p in model.parameters()]


@program
def integers(compile):
    f = compile(lambda x, y: (x // y, x % y, x << 1, (x > y).sum(), x.max(), (x * y).sum()))
    return [values(t) for _ in range(4) for t in f(torch.randint(-9, 9, (6,)), torch.randint(1, 5, (6,)))]


@program
def inside_no_grad(compile):
    w = torch.randn(3, requires_grad=True)
    f = compile(lambda x: w * x)
    seen = []
    for i in range(8):
        if i % 2:
            with torch.no_grad():
                y = f(torch.ones(3))
        else:
            y = f(torch.ones(3))
        seen += [values(y), y.requires_grad]
    return seen


def run(function, compiler):
    torch.manual_seed(0)
    return function(compiler)


def same(a, b, where):
    assert type(a) is type(b), where
    if isinstance(a, np.ndarray):
        np.testing.assert_allclose(
            a, b, rtol=2e-2 if "low" in where else 2e-4, atol=2e-2 if "low" in where else 1e-5, err_msg=where
        )
    else:
        assert a == b, where


@pytest.mark.parametrize("function", PROGRAMS, ids=lambda f: f.__name__)
def test_program(function):
    expected = run(function, lambda f: f)
    for verify in ("first", "never"):
        found = run(function, lambda f, v=verify: torch.compile(f, verify=v))
        assert len(found) == len(expected)
        for i, (a, b) in enumerate(zip(found, expected, strict=True)):
            same(a, b, f"{function.__name__}[{i}] (verify={verify})")


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
        for _ in range(3):
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
