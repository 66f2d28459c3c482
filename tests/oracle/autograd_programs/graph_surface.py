"""torch.autograd.graph: saved tensors and their hooks, edges, nodes, attributes of tensors."""

import torch
from show import show
from torch.autograd import graph as G, Function
from torch.autograd.function import once_differentiable

ones = torch.ones


def leaf(*v):
    return torch.tensor(v or (1.0, 2.0), requires_grad=True)


# saved_tensors_hooks
x = leaf()
with G.saved_tensors_hooks(lambda t: t, lambda t: torch.ones(3)):
    y = x * x
    z = x.exp()
    w = x.sum()
    v = torch.cat([x, x])
    u = x @ x
for o in (y, z, v, u):
    show(lambda: o.sum().backward())
with G.saved_tensors_hooks(lambda t: t, lambda t: t.double()):
    y = x * x
    z = x.exp()
for o in (y, z):
    show(lambda: o.sum().backward())
print(x.grad)
with G.saved_tensors_hooks(lambda t: t, lambda t: None):
    y = x * x
show(lambda: y.sum().backward())
show(lambda: y.grad_fn._saved_self)


def rb(t):
    raise KeyError("pack")


with G.saved_tensors_hooks(rb, lambda t: t):
    show(lambda: x * x)
    show(lambda: x + 1)
with G.saved_tensors_hooks(lambda t: t, rb):
    y = x * x
show(lambda: y.sum().backward())
L = []
with G.saved_tensors_hooks(lambda t: (L.append(("p1", t.tolist())), t)[1], lambda t: (L.append("u1"), t)[1]):
    with G.saved_tensors_hooks(lambda t: (L.append(("p2", t.tolist())), t)[1], lambda t: (L.append("u2"), t)[1]):
        y = x * 3.0
        z = y * x
    z2 = z * z
z2.sum().backward()
print(L)
L.clear()
# raw saved register hooks
y = x * x.detach().clone().requires_grad_()
s = y.grad_fn._raw_saved_self
print(type(s).__name__)
show(lambda: s.register_hooks(lambda t: (print("packed", t.tolist()), t)[1], lambda t: (print("unpacked"), t)[1]))
show(lambda: s.register_hooks(lambda t: t, lambda t: t))
y.sum().backward()
show(lambda: y.grad_fn._saved_self)
show(lambda: s.register_hooks(lambda t: t, lambda t: t))
show(lambda: s.data)
show(lambda: s.unpack_hook)
y = x * x
show(lambda: y.grad_fn._raw_saved_self.register_hooks(lambda t: 3, 4))
y = x * 2.0
show(lambda: y.grad_fn._saved_self)
show(lambda: y.grad_fn._saved_other)
show(lambda: y.grad_fn._raw_saved_self)
z = (x * ones(2)).grad_fn
show(lambda: z._saved_self)
show(lambda: z._saved_other)
e = x.exp()
print(e.grad_fn._saved_result is e, e.grad_fn._saved_result.grad_fn is e.grad_fn)
e.sum().backward()
show(lambda: e.grad_fn._saved_result)
e = x.exp()
with torch.no_grad():
    e.add_(1)
show(lambda: e.grad_fn._saved_result)
show(lambda: e.sum().backward())
# save on cpu
with G.save_on_cpu():
    y = x * x * x
y.sum().backward()
with G.save_on_cpu(pin_memory=False):
    y = (x * x).exp()
y.sum().backward()
print(x.grad)
show(lambda: G.save_on_cpu(pin_memory=True, device_type="cuda"))
# allow_mutation
with G.allow_mutation_on_saved_tensors() as ctx:
    a = leaf()
    b = a.clone()
    c = b * b
    b.mul_(10)
    d = (b * c).exp()
    d.zero_()
    c.fill_(0)
    show(lambda: (c.sum() + d.sum()).backward())
    print(a.grad)
    b = a.clone()
    o = (b**2).sum()
    b.sin_()
    ctx.clear()
    show(lambda: o.backward())
with G.allow_mutation_on_saved_tensors():
    a = leaf()
    b = a.clone()
    o = (b**2).sum()
    b.sin_()
show(lambda: o.backward())
show(lambda: [G.allow_mutation_on_saved_tensors().__enter__() for _ in range(2)])
with G.allow_mutation_on_saved_tensors():
    a = leaf()
    b = a.clone()
    v = b[:1]
    o = (v**2).sum()
    b.sin_()
    show(lambda: o.backward())
    print(a.grad)
    a = leaf()
    b = a.clone()
    o = (b**2).sum()
    b.detach().mul_(3)
    show(lambda: o.backward())
    print(a.grad)
    a = leaf()
    b = a.clone()
    o = (b**2).sum()
    b.data.mul_(3)
    show(lambda: o.backward())
    print(a.grad)
    a = leaf()
    b = a.clone()
    o = (b**2).sum()
    b.copy_(ones(2))
    b[0] = 5
    show(lambda: o.backward())
    print(a.grad)
    a = leaf()
    b = a.clone()
    e = b.exp()
    o = (e**2).sum()
    e.add_(1)
    e.add_(1)
    show(lambda: o.backward())
    print(a.grad)
# disable
with G.disable_saved_tensors_hooks("no hooks"):
    show(lambda: x * x)

    def inner():
        with G.saved_tensors_hooks(lambda t: t, lambda t: t):
            return x * x

    show(inner)
    with G.disable_saved_tensors_hooks("inner"):
        show(inner)
    show(inner)
show(inner)
# increment_version
t = ones(2)
print(t._version)
G.increment_version(t)
print(t._version)
G.increment_version([t, t])
print(t._version)
show(lambda: G.increment_version(3))
with torch.inference_mode():
    it = ones(2)
show(lambda: G.increment_version(it))
show(lambda: it._version)
# GradientEdge
x = leaf()
y = x * 2
e = G.get_gradient_edge(y)
print(e.node is y.grad_fn, e.output_nr, type(e).__name__)
show(lambda: torch.autograd.grad(y.sum(), e))
y = x * 2
e = G.get_gradient_edge(y)
show(lambda: torch.autograd.backward(e, ones(2)))
print(x.grad)
y = x * 2
e = G.get_gradient_edge(y)
show(lambda: torch.autograd.grad(e, x, grad_outputs=ones(2)))
show(lambda: G.get_gradient_edge(ones(2)))
e = G.get_gradient_edge(x)
print(type(e.node).__name__, e.node.variable is x)
show(lambda: torch.autograd.grad((x * 3).sum(), e))
show(lambda: torch.autograd.backward((x * 3).sum(), inputs=[e]))
y = torch.stack([x, x]).unbind()
e = G.get_gradient_edge(y[1])
print(e.output_nr, e.node.name())
show(lambda: torch.autograd.grad(y[1].sum(), [e]))
y = x * 2
show(lambda: torch.autograd.backward(G.get_gradient_edge(y)))
# Node
n = (x * 2).grad_fn
print(isinstance(n, G.Node), issubclass(type(n), G.Node), isinstance(x, G.Node))
print(n.metadata, n.metadata is n.metadata)
n.metadata["a"] = 1
print(n.metadata)
print(n._sequence_nr() > 0)
print(n._is_zombie if hasattr(n, "_is_zombie") else None)
y = x.exp()
show(lambda: y.grad_fn(ones(2)))
show(lambda: y.grad_fn(ones(3)))
show(lambda: y.grad_fn())
show(lambda: y.grad_fn(ones(2), ones(2)))
show(lambda: y.grad_fn(None))
show(lambda: (x * x).grad_fn(ones(2)))
show(lambda: n.next_functions)
show(lambda: n.foo)
show(lambda: setattr(n, "foo", 1))
print(n == (x * 2).grad_fn, y.grad_fn == y.grad_fn, hash(y.grad_fn) == hash(y.grad_fn), y.grad_fn is y.grad_fn)
show(lambda: setattr(y, "grad_fn", None))
show(lambda: delattr(y, "grad"))
show(lambda: setattr(x, "grad", 3))
show(lambda: setattr(x, "grad", ones(3)))
show(lambda: setattr(x, "grad", x))
show(lambda: setattr(x, "grad", ones(2).double()))
show(lambda: setattr(x, "grad", ones(2, device="meta")))
show(lambda: setattr(x, "grad", ones(2, dtype=torch.cfloat)))
show(lambda: setattr(x, "requires_grad", 3))
show(lambda: setattr(y, "requires_grad", False))
show(lambda: setattr(y, "requires_grad", True))
show(lambda: setattr(x, "is_leaf", False))
show(lambda: setattr(x, "data", 3))
show(lambda: setattr(x, "data", ones(5).double()))
print(x)
show(lambda: setattr(x, "data", ones(5).long()))
show(lambda: setattr(x, "_grad_fn", None))
show(lambda: setattr(x, "retains_grad", 1))
