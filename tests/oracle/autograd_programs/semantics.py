"""Hooks, accumulation, aliases, modes, retained gradients."""

import threading

import torch
from show import show
from torch.autograd import Variable

ones = torch.ones
# hooks that remove themselves, register others, raise
x = ones(2, requires_grad=True)
y = x * 2
h = [None]


def once(g):
    print("once")
    h[0].remove()


h[0] = y.register_hook(once)
y.sum().backward(retain_graph=True)
y.sum().backward()
y = x * 2


def adds(g):
    print("adds")
    y.register_hook(lambda g: print("added"))


y.register_hook(adds)
y.sum().backward(retain_graph=True)
print("--")
y.sum().backward()
y = x * 2
a = []
h1 = y.register_hook(lambda g: a.append(1))
h2 = y.register_hook(lambda g: a.append(2))
h3 = y.register_hook(lambda g: a.append(3))
h2.remove()
h2.remove()
y.sum().backward()
print(a)
with x.register_hook(lambda g: print("with")):
    (x * 2).sum().backward()
(x * 2).sum().backward()
# leaf hooks modify / replace / None
x = ones(2, requires_grad=True)
x.register_hook(lambda g: g * 2)
x.register_hook(lambda g: g + 1)
(x * 3).sum().backward()
print(x.grad)
x = ones(2, requires_grad=True)
x.register_hook(lambda g: g.mul_(2) and None if False else None)
(x * 3).sum().backward()
print(x.grad)
x = ones(2, requires_grad=True)


def inpl(g):
    g.mul_(5)


x.register_hook(inpl)
show(lambda: ((x * 3).sum().backward(), x.grad))
x = ones(2, requires_grad=True)
y = x * 1
y.register_hook(inpl)
show(lambda: ((y * ones(2)).sum().backward(), x.grad))
# post accumulate
x = ones(2, requires_grad=True)
x.register_post_accumulate_grad_hook(lambda p: (print("pa", p.grad), setattr(p, "grad", None))[0])
(x * 3).sum().backward()
print(x.grad)
x = ones(2, requires_grad=True)
x.register_post_accumulate_grad_hook(lambda p: (p.data.sub_(p.grad), None)[1])
(x * 3).sum().backward()
print(x)
x = ones(2, requires_grad=True)
x.register_post_accumulate_grad_hook(lambda p: 1 / 0)
show(lambda: (x * 3).sum().backward())
print(x.grad)
x = ones(2, requires_grad=True)
x.register_post_accumulate_grad_hook(lambda p: print("pa"))
torch.autograd.grad((x * 2).sum(), x)
torch.autograd.backward((x * 2).sum(), inputs=[x])
# grad aliasing
x = ones(2, requires_grad=True)
g = ones(2) * 3
x.backward(g)
print(x.grad is g, x.grad.data_ptr() == g.data_ptr())
g.zero_()
print(x.grad)
a = ones(2, requires_grad=True)
b = ones(2, requires_grad=True)
(a + b).backward(ones(2))
print(a.grad.data_ptr() == b.grad.data_ptr())
a.grad.mul_(3)
print(b.grad)
a = ones(2, requires_grad=True)
saved = []
a.register_hook(lambda g: saved.append(g))
(a * 2).sum().backward()
print(saved[0].data_ptr() == a.grad.data_ptr())
(a * 2).sum().backward()
print(saved)
a = ones(2, requires_grad=True)
y = a * 2
y.retain_grad()
y.sum().backward()
print(y.grad)
y2 = y
gg = a.grad
(a * 2).sum().backward()
print(gg is a.grad, gg)
a = ones(2, requires_grad=True)
(a * 2).sum().backward()
g1 = a.grad
v = g1._version
(a * 2).sum().backward()
print(a.grad is g1, g1._version - v)
a.grad = None
(a * 2).sum().backward()
print(g1, a.grad)
a = ones(2, requires_grad=True)
a.grad = ones(2, requires_grad=True) * 2
show(lambda: ((a * 2).sum().backward(), a.grad))
a = ones(2, requires_grad=True)
(a * a).sum().backward(create_graph=True)
print(a.grad)
a.grad.sum().backward()
print(a.grad)
a = ones(2, requires_grad=True)
(a**3).sum().backward(create_graph=True)
g = a.grad
a.grad = None
g.sum().backward()
print(a.grad)
# grad with non leaf, views, self
x = ones(4, requires_grad=True)
y = x * 2
v = y.view(2, 2)
show(lambda: torch.autograd.grad(y.sum(), [v], allow_unused=True))
show(lambda: torch.autograd.grad(v.sum(), [y, v, x]))
y = x * 2
z = y.exp()
w = z.sum()
show(lambda: torch.autograd.grad(w, [z, y, x, w]))
show(lambda: torch.autograd.grad(x, x, ones(4)))
show(lambda: torch.autograd.grad([x.sum(), (x * 2).sum()], x))
u, v = (x * 2).chunk(2)
show(lambda: torch.autograd.grad(u.sum(), [u, v], allow_unused=True))
show(lambda: torch.autograd.grad((u * v).sum(), [u, v, x]))
# backward(inputs=)
x = ones(2, requires_grad=True)
y = ones(2, requires_grad=True)
m = x * 2
o = (m * y).sum()
o.backward(inputs=[x], retain_graph=True)
print(x.grad, y.grad)
o.backward(inputs=[m, y], retain_graph=True)
print(x.grad, y.grad, m.grad, m.retains_grad)
o.backward(inputs=m)
print(m.grad)
show(lambda: o.backward())
x = ones(2, requires_grad=True)
m = x * 2
m.register_hook(lambda g: print("m"))
m.grad_fn.register_hook(lambda i, o: print("node"))
(m * 3).sum().backward(inputs=[m])
print(m.grad)
torch.autograd.grad((m * 3).sum(), m)
# edge
e = torch.autograd.graph.get_gradient_edge(m * 1)
show(lambda: torch.autograd.grad((m * 3).sum(), [torch.autograd.graph.get_gradient_edge(m)]))
mm = m * 1
s = (mm * 3).sum()
em = torch.autograd.graph.get_gradient_edge(mm)
del mm
show(lambda: torch.autograd.grad(s, em))
s2 = (x * 5).sum()
es = torch.autograd.graph.get_gradient_edge(s2)
show(lambda: (torch.autograd.backward(es), x.grad))
show(lambda: torch.autograd.backward((es,), (ones(()),)))
# retain grad
x = ones(2, requires_grad=True)
y = x * 2
y.retain_grad()
y.retain_grad()
print(y.retains_grad, x.retains_grad)
y.sum().backward(retain_graph=True)
y.sum().backward()
print(y.grad)
y = x * 2
y.retain_grad()
y.mul_(3)
y.sum().backward()
print(y.grad, x.grad)
y = x * 2
y.retain_grad()
z = y.view(2)
z.mul_(3)
y.sum().backward()
print(y.grad)
y = x * 2
v = y.view(2)
v.retain_grad()
v.mul_(3)
y.sum().backward()
print(v.grad)
y = x * 2
u = y.unbind()
u[0].retain_grad()
(u[0] * 2 + u[1]).backward()
print(u[0].grad)
y = (x * 2).sum()
y.retain_grad()
y.backward()
print(y.grad)
# multi output hook
y = x * 2
u = y.chunk(2)
u[1].register_hook(lambda g: print("u1", g))
u[0].sum().backward()
y = x * 2
u = y.chunk(2)
u[0].grad_fn.register_prehook(lambda gs: print("pre", gs))
u[0].grad_fn.register_hook(lambda i, o: print("post", i, o))
u[0].sum().backward()
v, i = torch.ones(3, requires_grad=True).max(0)
print(v.grad_fn, i.grad_fn, v.output_nr, i.requires_grad)
# no grad for integer, bool
show(lambda: (x > 0).requires_grad)
show(lambda: x.long().requires_grad)
show(lambda: (x * 2).argmax().requires_grad)
# detach, data
y = x * 2
d = y.detach()
d[0] = 100
show(lambda: y)
show(lambda: y.exp().sum().backward())
y = x.exp()
y.detach().zero_()
show(lambda: y.sum().backward())
y = x.exp()
y.data.zero_()
show(lambda: (y.sum().backward(), x.grad))
# set data, version
p = torch.nn.Parameter(ones(2))
v0 = p._version
p.data = torch.zeros(2)
print(p._version - v0, p)
p.data.add_(1)
print(p._version - v0)
show(lambda: setattr(p, "data", torch.zeros(3).long()))
show(lambda: setattr(p, "data", 3))
# requires grad toggling
x = ones(2)
y = x * 2
x.requires_grad_()
show(lambda: y.requires_grad)
z = x * y
z.sum().backward()
print(x.grad)
x.requires_grad_(False)
print((x * 2).requires_grad, x.grad)
x.requires_grad = True
z = (x * 2).sum()
x.requires_grad_(False)
x.grad = None
show(lambda: z.backward())
print(x.grad)
# nested modes
with torch.no_grad():
    with torch.enable_grad():
        print((ones(2, requires_grad=True) * 2).requires_grad)
    print(torch.is_grad_enabled())
with torch.set_grad_enabled(False):
    print(torch.is_grad_enabled())
torch.set_grad_enabled(False)
print(torch.is_grad_enabled())
torch.set_grad_enabled(True)


@torch.no_grad()
def f():
    return torch.is_grad_enabled()


@torch.no_grad
def f2():
    return torch.is_grad_enabled()


@torch.inference_mode()
def f3():
    return torch.is_inference_mode_enabled(), torch.is_grad_enabled()


@torch.set_grad_enabled(False)
def f4():
    return torch.is_grad_enabled()


@torch.enable_grad()
def gen():
    for i in range(2):
        yield torch.is_grad_enabled()


with torch.no_grad():
    for q in gen():
        print(q, torch.is_grad_enabled())
print(f(), f2(), f3(), f4(), torch.is_grad_enabled(), f.__name__)
with torch.inference_mode():
    with torch.inference_mode(False):
        print(
            torch.is_inference_mode_enabled(), torch.is_grad_enabled(), (ones(2, requires_grad=True) * 2).requires_grad
        )
    with torch.enable_grad():
        print(torch.is_grad_enabled(), (ones(2, requires_grad=True) * 2).requires_grad)
with torch.no_grad():
    t = threading.Thread(target=lambda: print("thread", torch.is_grad_enabled()))
    t.start()
    t.join()


# callbacks
def hk(g):
    Variable._execution_engine.queue_callback(lambda: print("final"))


x = ones(2, requires_grad=True)
x.register_hook(hk)
(x * 2).sum().backward()
print("done")
show(lambda: x.grad.grad_fn)
show(lambda: torch.autograd.set_multithreading_enabled(False))
torch.autograd.set_multithreading_enabled(True)
with torch.autograd.set_multithreading_enabled(False):
    (x * 2).sum().backward()
# double backward through various
x = torch.tensor([0.5, 2.0], requires_grad=True)
for n, f in dict(
    exp=lambda x: x.exp(),
    tanh=lambda x: x.tanh(),
    sin=lambda x: x.sin(),
    pow=lambda x: x**3,
    div=lambda x: 1 / x,
    mul=lambda x: x * x * x,
    sig=lambda x: x.sigmoid(),
    log=lambda x: x.log(),
    sqrt=lambda x: x.sqrt(),
).items():
    (g,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
    (g2,) = torch.autograd.grad(g.sum(), x, create_graph=True)
    (g3,) = torch.autograd.grad(g2.sum(), x)
    print(n, *([round(v, 3) for v in t.tolist()] for t in (g, g2, g3)))
