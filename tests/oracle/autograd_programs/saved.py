"""Hooks on saved tensors and on several gradients."""

import torch
from show import show

g = torch.autograd.graph
x = torch.ones(3, requires_grad=True)
L = []
with g.saved_tensors_hooks(
    lambda t: (print("pack", t, t.requires_grad, t.grad_fn), t)[1], lambda t: (print("unpack", t), t)[1]
):
    y = x * x
    z = y.exp()
    w = z * torch.ones(3) * 2.0
w.sum().backward()
print(x.grad)
print(y.grad_fn._saved_self if 0 else 1)


def bad(t):
    t.mul_(2)
    return t


with g.saved_tensors_hooks(bad, lambda t: t):
    show(lambda: (x * 1).exp())
with g.saved_tensors_hooks(lambda t: t, lambda t: 3):
    show(lambda: (x * 1).exp().sum().backward())
with g.saved_tensors_hooks(lambda t: 3, lambda t: torch.ones(3, dtype=torch.double) * 7):
    show(lambda: (x * 1).exp().sum().backward())
    show(lambda: (x * x).sum().backward())
    print(x.grad)
with g.saved_tensors_hooks(lambda t: t.numpy(), lambda t: torch.from_numpy(t)):
    show(lambda: torch.autograd.grad((x * x).sum(), x, create_graph=True))
    show(lambda: torch.autograd.grad((x * x).exp().sum(), x, create_graph=True))
with g.disable_saved_tensors_hooks("not here"):
    show(lambda: g.saved_tensors_hooks(lambda t: t, lambda t: t).__enter__())
with g.saved_tensors_hooks(lambda t: t, lambda t: t):
    show(lambda: g.disable_saved_tensors_hooks("not now").__enter__())
with g.save_on_cpu():
    y = (x * x).sum()
    y.backward()
    print(x.grad)
with g.save_on_cpu(pin_memory=False):
    a = x * 2
    y = (a * a).sum()
    a.add_(1)
    y.backward()
    print(x.grad)
x = torch.ones(3, requires_grad=True)
with g.allow_mutation_on_saved_tensors() as ctx:
    a = x * 2
    y = a * a
    z = a.exp()
    a.add_(1)
    z.mul_(2)
    y.sum().backward(retain_graph=True)
    print(x.grad)
    z.sum().backward()
    print(x.grad)
    print(type(ctx))
    ctx.clear()
show(lambda: y.sum().backward())
a = torch.ones(2, requires_grad=True)
b = torch.ones(2, requires_grad=True)
c = torch.ones(2, requires_grad=True)
h = g.register_multi_grad_hook((a, b, c), lambda gs: print("multi", gs))
print(type(h))
(a * b).sum().backward()
(a * b * c).sum().backward()
h.remove()
(a * b).sum().backward()
h = g.register_multi_grad_hook((a, b), lambda gs: print("any", gs), mode="any")
(a * b).sum().backward()
h.remove()
show(lambda: g.register_multi_grad_hook((a, b), print, mode="foo"))
h = g.register_multi_grad_hook((a * 2,), lambda gs: print("x"))
show(lambda: g.register_multi_grad_hook((torch.ones(2),), print))
y = a.exp()
y.grad_fn._raw_saved_result.register_hooks(lambda t: (print("p", t), t)[1], lambda t: t * 0)
show(lambda: y.grad_fn._raw_saved_result.register_hooks(lambda t: t, lambda t: t))
y.sum().backward()
show(lambda: y.grad_fn._raw_saved_result.register_hooks(lambda t: t, lambda t: t))
y = a * b
