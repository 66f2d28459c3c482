"""utils.checkpoint, both kinds."""

import contextlib

import torch
import torch.utils.checkpoint as C
from show import show
from torch.utils.checkpoint import checkpoint, checkpoint_sequential, set_checkpoint_early_stop

calls = []


def f(x, y):
    calls.append(torch.is_grad_enabled())
    return (x * y).exp()


def g(x):
    calls.append("g")
    return (x.exp() * x).sin()


x = torch.ones(2, requires_grad=True)
y = torch.full((2,), 2.0, requires_grad=True)
show(lambda: checkpoint(g, x))
for ur in (True, False):
    print("== reentrant", ur)
    calls.clear()
    x.grad = y.grad = None
    o = checkpoint(f, x, y, use_reentrant=ur)
    print(o, o.grad_fn.name(), calls)
    o.sum().backward()
    print(x.grad, y.grad, calls)
    show(lambda: o.sum().backward())
    show(lambda: torch.autograd.grad(checkpoint(f, x, y, use_reentrant=ur).sum(), [x, y]))
    show(lambda: torch.autograd.grad(checkpoint(f, x, y, use_reentrant=ur).sum(), [x, y], create_graph=True))
    show(lambda: checkpoint(f, x.detach(), y.detach(), use_reentrant=ur))
    show(lambda: checkpoint(f, x.detach(), y=y, use_reentrant=ur))
    show(lambda: checkpoint(lambda a: (a * 2, 3, None), x, use_reentrant=ur))
    show(lambda: checkpoint(lambda a: {"k": a * 2}, x, use_reentrant=ur))
    with torch.no_grad():
        show(lambda: checkpoint(f, x, y, use_reentrant=ur))
    # rng
    torch.manual_seed(0)
    d = torch.nn.Dropout(0.5)
    big = torch.ones(10, requires_grad=True)
    masks = []

    def drop(t):
        r = d(t * 1.0)
        masks.append((r != 0).tolist())
        return r * r

    try:
        o = checkpoint(drop, big, use_reentrant=ur)
        o.sum().backward()
        print(masks[0] == masks[-1], torch.equal((big.grad != 0), torch.tensor(masks[0])))
        o = checkpoint(drop, big, use_reentrant=ur, preserve_rng_state=False)
        o.sum().backward()
        print(masks[-2] == masks[-1])
    except Exception as e:
        print(type(e).__name__, e)
    show(lambda: checkpoint(f, x, y, use_reentrant=ur, foo=3))
    show(lambda: checkpoint(f, x, y, use_reentrant=ur, context_fn=lambda: 3).sum())

    # nested
    def outer(a):
        return checkpoint(g, a, use_reentrant=ur) * 2

    calls.clear()
    x.grad = None
    checkpoint(outer, x, use_reentrant=ur).sum().backward()
    print(x.grad, calls)
    seq = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh(), torch.nn.Linear(2, 2), torch.nn.Tanh())
    with torch.no_grad():
        for p in seq.parameters():
            p.fill_(0.1)
    x.grad = None
    o = checkpoint_sequential(seq, 2, x, use_reentrant=ur)
    o.sum().backward()
    print(x.grad, seq[0].weight.grad)

    # exception inside
    def bad(a):
        calls.append("bad")

    show(lambda: checkpoint(lambda a: 1 / 0, x, use_reentrant=ur))
# non reentrant specifics
calls.clear()
state = {"n": 0}


def chg(a):
    state["n"] += 1
    if state["n"] > 1:
        return a.exp().sin().cos()
    return a.exp().sin()


show(lambda: checkpoint(chg, x, use_reentrant=False).sum().backward())
state = {"n": 0}


def chg(a):
    state["n"] += 1
    if state["n"] > 1:
        return a * 1
    return a.exp().sin()


show(lambda: checkpoint(chg, x, use_reentrant=False).sum().backward())
state = {"n": 0}


def chg(a):
    state["n"] += 1
    if state["n"] > 1:
        a = torch.cat([a, a])
    return a.exp().sin()


show(lambda: checkpoint(chg, x, use_reentrant=False).sum().backward())
state = {"n": 0}
show(lambda: checkpoint(g, x, use_reentrant=False, determinism_check="foo").sum().backward())
show(lambda: checkpoint(g, x, use_reentrant=True, determinism_check="none").sum().backward())
show(lambda: checkpoint(g, x, use_reentrant=True, debug=True).sum().backward())


def es(a):
    calls.append("start")
    b = a.exp()
    c = b.sin()
    calls.append("end")
    return c


calls.clear()
checkpoint(es, x, use_reentrant=False).sum().backward()
print(calls)
calls.clear()
with set_checkpoint_early_stop(False):
    checkpoint(es, x, use_reentrant=False).sum().backward()
    print(calls)
calls.clear()
checkpoint(es, x, use_reentrant=False, early_stop=False).sum().backward()
print(calls)


@contextlib.contextmanager
def cm(n):
    calls.append("in " + n)
    yield
    calls.append("out " + n)


calls.clear()
checkpoint(g, x, use_reentrant=False, context_fn=lambda: (cm("f"), cm("r"))).sum().backward()
print(calls)
# retain graph
calls.clear()
o = checkpoint(g, x, use_reentrant=False).sum()
o.backward(retain_graph=True)
o.backward()
print(calls)
show(lambda: o.backward())
calls.clear()
o = checkpoint(g, x, use_reentrant=True).sum()
o.backward(retain_graph=True)
o.backward()
print(calls)
show(lambda: checkpoint(f, x, y, use_reentrant=True, context_fn=lambda: (1, 2)))
# hooks on leaf inside, inputs without grad + params
w = torch.ones(2, requires_grad=True)
show(lambda: checkpoint(lambda a: a * w, torch.ones(2), use_reentrant=True))
w.grad = None
checkpoint(lambda a: a * w, torch.ones(2), use_reentrant=False).sum().backward()
print(w.grad)
show(lambda: checkpoint_sequential([g], 1, x))
show(lambda: checkpoint_sequential([g, g, g], 2, x, use_reentrant=False, preserve_rng_state=False))
show(lambda: checkpoint_sequential([g, g, g], 2, x, use_reentrant=False, foo=1))
show(lambda: torch.autograd.backward(checkpoint(g, x, use_reentrant=True).sum(), inputs=[x]))
x.grad = None
show(lambda: (torch.autograd.backward(checkpoint(g, x, use_reentrant=False).sum(), inputs=[x]), x.grad))
show(lambda: torch.autograd.grad(checkpoint(g, x, use_reentrant=False).sum(), [x], create_graph=True))
(gg,) = torch.autograd.grad(checkpoint(g, x, use_reentrant=False).sum(), [x], create_graph=True)
show(lambda: torch.autograd.grad(gg.sum(), x))


# in-place after
def ip(a):
    b = a * 2
    b.add_(1)
    return b.exp()


x.grad = None
checkpoint(ip, x, use_reentrant=False).sum().backward()
print(x.grad)
show(lambda: C.detach_variable((x, 3)))
show(lambda: C.check_backward_validity([x.detach()]))
show(lambda: C.detach_variable(3))
o = checkpoint(g, x, use_reentrant=False)
show(lambda: o.grad_fn._saved_self)
show(lambda: o.grad_fn._saved_self)
