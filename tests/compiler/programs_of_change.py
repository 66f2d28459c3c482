"""Programs in which something is another at a later call: numbers, variables, shapes, modes, hooks, state; and what Python does beside."""

from __future__ import annotations

import copy

import lamina as torch
from lamina import nn

from .programs import net, program, values


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
