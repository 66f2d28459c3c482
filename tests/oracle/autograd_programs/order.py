"""Captures, order of leaves, what a second backward allows."""

import show  # noqa: F401 (its way with warnings)
import torch

# captured vs hooks
a = torch.tensor([1.0, 2.0], requires_grad=True)
b = a * 3
b.register_hook(lambda g: g * 2)
c = (b * b).sum()
print(torch.autograd.grad(c, [a, b], retain_graph=True))
print(torch.autograd.grad(c, [b], retain_graph=True))
print(torch.autograd.grad(c, [a], retain_graph=True))
a.register_hook(lambda g: g * 10)
print(torch.autograd.grad(c, [a], retain_graph=True))
# hooks with None
x = torch.ones(3, requires_grad=True)
u, v, w = x.unbind(0)
v.register_hook(lambda g: print("v hook", g))
u.register_hook(lambda g: print("u hook", g))
u.backward()
v.retain_grad() if False else None
# leaf order
ls = [torch.tensor([float(i)], requires_grad=True) for i in range(8)]
for i, l in enumerate(ls):
    l.register_hook(lambda g, i=i: print(i, end=" "))
torch.cat(ls).sum().backward()
print()
torch.autograd.backward(ls, [torch.ones(1)] * 8)
print()
torch.stack(ls[:4]).sum().backward()
print()
# create graph
x = torch.tensor([2.0], requires_grad=True)
(x**3).backward(create_graph=True)
print(x.grad)
(x**3).backward(create_graph=True)
print(x.grad)


# second backward
def twice(n, f):
    x = torch.tensor([2.0, 3.0], requires_grad=True)
    y = f(x).sum()
    y.backward()
    try:
        y.backward()
        print(n, "ok")
    except RuntimeError as e:
        print(n, "no")


c = torch.ones(2)
for n, f in dict(
    mul2=lambda x: x * 2.0,
    mulc=lambda x: x * c,
    rmul=lambda x: 2 * x,
    div=lambda x: x / 2.0,
    sub=lambda x: x - 1,
    neg=lambda x: -x,
    pow1=lambda x: x**1,
    pow2=lambda x: x**2,
    sum=lambda x: x.sum(),
    mean=lambda x: x.mean(),
    view=lambda x: x.view(2, 1),
    exp=lambda x: x.exp(),
    tanh=lambda x: x.tanh(),
    clone=lambda x: x.clone(),
    idx=lambda x: x[torch.tensor([0])],
    sel=lambda x: x[0],
    cat=lambda x: torch.cat([x, x]),
    add=lambda x: x + c,
    adda=lambda x: torch.add(x, c, alpha=2),
    cdiv=lambda x: c / x,
    abs=lambda x: x.abs(),
    relu=lambda x: x.relu(),
    where=lambda x: torch.where(x > 0, x, c),
    to=lambda x: x.double(),
    exp_=lambda x: x.clone().exp_(),
    cp=lambda x: torch.zeros(2).copy_(x),
    setit=lambda x: _set(x),
).items():

    def _set(x):
        z = torch.zeros(3)
        z[1:] = x
        return z

    twice(n, f)
