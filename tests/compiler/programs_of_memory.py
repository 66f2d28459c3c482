"""Programs about memory, gradients and random numbers: who may still see what a call made, and what flows through it."""

from __future__ import annotations

import lamina as torch
from lamina import nn

from .programs import net, program, values


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
def low_precision(compile):
    f = compile(lambda x, y: torch.tanh(x) * y + x.sum(-1, keepdim=True))
    return [values(f(torch.randn(4, 5).bfloat16(), torch.randn(5).bfloat16())) for _ in range(4)]


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
