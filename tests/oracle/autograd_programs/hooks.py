"""Hooks of tensors, nodes and leaves: order, removal, what they may return."""

import torch
from show import show
from torch.autograd import graph as G, Function

ones = torch.ones


def leaf(*v):
    return torch.tensor(v or (1.0, 2.0), requires_grad=True)


# --- multi grad hooks
for mode in ("all", "any"):
    x, y, z = leaf(), leaf(), leaf()
    L = []
    h = G.register_multi_grad_hook(
        (x, y, z),
        (lambda gs: L.append([None if g is None else g.tolist() for g in gs]))
        if mode == "all"
        else (lambda g: L.append(g.tolist())),
        mode=mode,
    )
    (x * y).sum().backward()
    print(mode, L)
    L.clear()
    (x * z + y).sum().backward()
    print(mode, L)
    L.clear()
    (x).sum().backward()
    print(mode, L)
    L.clear()
    h.remove()
    (x * z + y).sum().backward()
    print(mode, L)
    a = x * 2
    b = y * 3
    h = G.register_multi_grad_hook(
        [a, b],
        (lambda gs: L.append([None if g is None else g.tolist() for g in gs]))
        if mode == "all"
        else (lambda g: L.append(g.tolist())),
        mode=mode,
    )
    (a * b).sum().backward(retain_graph=True)
    print(mode, L)
    L.clear()
    torch.autograd.grad((a * 1).sum(), a)
    print(mode, L)
    L.clear()
    show(lambda: torch.autograd.grad((a * b).sum(), [x]))
    print(mode, L)
    L.clear()
show(lambda: G.register_multi_grad_hook((leaf(),), lambda g: 1, mode="foo"))
show(lambda: G.register_multi_grad_hook((ones(2),), lambda g: 1))
show(lambda: G.register_multi_grad_hook((), lambda g: 1))
x = leaf()


def bad(gs):
    raise ValueError("multi")


h = G.register_multi_grad_hook((x,), bad)
show(lambda: (x * 2).sum().backward())
print(x.grad)
# --- hooks: order, removal inside, raising
x = leaf()
y = x * 2


def mk(i, ret=None):
    def hook(g):
        print("h", i, g.tolist())
        return None if ret is None else g * ret

    return hook


hs = [y.register_hook(mk(i, 2 if i % 2 else None)) for i in range(4)]
y.sum().backward(retain_graph=True)
hs[1].remove()
hs[1].remove()
y.sum().backward(retain_graph=True)
print(x.grad)


class E1(Exception):
    pass


def boom(g):
    raise E1("boom")


h = y.register_hook(boom)
show(lambda: y.sum().backward(retain_graph=True))
h.remove()
print(x.grad)
y.sum().backward()
print(x.grad)
with y.register_hook(mk("ctx")) as hh:
    print(type(hh).__name__)
show(lambda: y.register_hook(3))
show(lambda: y.register_hook(lambda g: 3))
x = leaf()
y = x * 2
y.register_hook(lambda g: 3)
show(lambda: y.sum().backward())
x = leaf()
y = x * 2
y.register_hook(lambda g: g.double())
show(lambda: y.sum().backward())
x = leaf()
y = x * 2
y.register_hook(lambda g: ones(3))
show(lambda: y.sum().backward())
x = leaf()
x.register_hook(lambda g: ones(1))
show(lambda: (x * 2).sum().backward())
x = leaf()
x.register_hook(lambda g: g.to(torch.cfloat))
show(lambda: (x * 2).sum().backward())
x = leaf()
n = (x * 2).grad_fn
show(lambda: n.register_hook(3))
show(lambda: n.register_prehook(None))
y = x * 2
y.grad_fn.register_prehook(lambda g: (None,))
show(lambda: y.sum().backward())
print(x.grad)
y = x * 2
y.grad_fn.register_prehook(lambda g: ())
show(lambda: y.sum().backward())
print(x.grad)
y = x * 2
y.grad_fn.register_prehook(lambda g: g[0] * 3)
show(lambda: y.sum().backward())
print(x.grad)
y = x * 2
y.grad_fn.register_prehook(lambda g: (ones(5),))
show(lambda: y.sum().backward())
print(x.grad)
y = x * x
y.grad_fn.register_hook(lambda i, o: (i[0] * 10,))
show(lambda: y.sum().backward())
print(x.grad)
y = x * x
y.grad_fn.register_hook(lambda i, o: (i[0] * 10, None))
show(lambda: y.sum().backward())
print(x.grad)
y = x * x
y.grad_fn.register_hook(lambda i, o: (ones(5), ones(2)))
show(lambda: y.sum().backward())
print(x.grad)
y = x * x
y.grad_fn.register_hook(lambda i, o: 3)
show(lambda: y.sum().backward())
print(x.grad)
# post accumulate
x = leaf()
show(lambda: (x * 2).register_post_accumulate_grad_hook(print))
show(lambda: ones(2).register_post_accumulate_grad_hook(print))
h = x.register_post_accumulate_grad_hook(lambda p: print("pa", p is x, p.grad))
(x * 2).sum().backward()
h.remove()
(x * 2).sum().backward()
x.register_post_accumulate_grad_hook(lambda p: 3)
show(lambda: (x * 2).sum().backward())
x = leaf()


def clear(p):
    p.grad = None


x.register_post_accumulate_grad_hook(clear)
(x * 2).sum().backward()
print(x.grad)
# retain_grad and hooks
x = leaf()
y = x * 2
y.retain_grad()
y.register_hook(mk("a", 3))
y.sum().backward()
print(y.grad, x.grad)
x = leaf()
y = x * 2
y.register_hook(mk("a", 3))
y.retain_grad()
y.retain_grad()
y.sum().backward()
print(y.grad, x.grad, y.retains_grad, x.retains_grad)
show(lambda: ones(2).retain_grad())
x.retain_grad()
# hooks on y then in-place
x = leaf()
y = x * 2
y.register_hook(mk("before"))
y.mul_(3)
y.register_hook(mk("after"))
y.sum().backward()
print(x.grad)
x = leaf()
y = x * 2
y.retain_grad()
y.mul_(3)
y.sum().backward()
print(y.grad)
x = leaf()
y = x * 2
v = y[:1]
v.register_hook(mk("v"))
y.mul_(2)
(y.sum() + v.sum()).backward()
print(x.grad)
# backward hooks dict
x = leaf()
print(x._backward_hooks)
x.register_hook(mk(0))
print(x._backward_hooks is not None and len(x._backward_hooks))
x._backward_hooks = None
print(x._backward_hooks)
y = x * 2
y.register_hook(mk("dup"))
z = y.clone()
print(z._backward_hooks, y.detach()._backward_hooks)
# hook that runs backward
x = leaf()
w = leaf()


def inner(g):
    with torch.enable_grad():
        (w * 3).sum().backward()
    return g * 2


y = x * 2
y.register_hook(inner)
y.sum().backward()
print(x.grad, w.grad)
# grad mode in hooks
x = leaf()
y = x * 2
y.register_hook(lambda g: print(torch.is_grad_enabled(), g.requires_grad))
y.sum().backward(retain_graph=True)
y.sum().backward(create_graph=True)
with torch.no_grad():
    y.sum().backward if 0 else None
# graph change in hook
x = leaf()
y = x * 2
y.register_hook(lambda g: (g * x).detach())
y.sum().backward()
print(x.grad)
x = leaf()
y = x * 2
y.register_hook(lambda g: g * x)
(g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
print(g)
g.sum().backward()
print(x.grad)
x = leaf()
y = x * 2
y.register_hook(lambda g: g.clone().mul_(5))
z = y.sum()
z.backward()
print(x.grad)
