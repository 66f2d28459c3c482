"""autograd.Function: contexts, outputs, errors."""

import torch
from show import show
from torch.autograd import Function
from torch.autograd.function import InplaceFunction, once_differentiable


class M(Function):
    @staticmethod
    def forward(ctx, x, k, y):
        print("fwd", torch.is_grad_enabled(), ctx.needs_input_grad, ctx.saved_tensors)
        ctx.save_for_backward(x, None, y)
        ctx.k = k
        ctx.saved = 3
        ctx.edges = 4
        return x * y * k

    @staticmethod
    def backward(ctx, g):
        x, n, y = ctx.saved_tensors
        print("bwd", torch.is_grad_enabled(), x is X, n, ctx.needs_input_grad, g)
        return g * y * ctx.k, None, g * x * ctx.k


X = torch.tensor([1.0, 2.0], requires_grad=True)
Y = torch.tensor([3.0, 4.0])
z = M.apply(X, 2, Y)
print(
    z,
    z.grad_fn,
    type(z.grad_fn),
    z.grad_fn.name(),
    z.grad_fn.next_functions,
    z.grad_fn.metadata,
)
print(
    z.grad_fn.saved_tensors,
    z.grad_fn.k,
    z.grad_fn.needs_input_grad,
    z.grad_fn.to_save,
    z.grad_fn.dirty_tensors,
    z.grad_fn.non_differentiable,
)
z.sum().backward()
print(X.grad)
show(lambda: z.sum().backward())
show(lambda: z.grad_fn.saved_tensors)
print(isinstance(z.grad_fn, torch.autograd.graph.Node))
show(lambda: z.grad_fn(torch.ones(2)))


def mk(fwd, bwd=None, **k):
    d = dict(forward=staticmethod(fwd))
    if bwd:
        d["backward"] = staticmethod(bwd)
    for n, v in k.items():
        d[n] = staticmethod(v)
    return type("F", (Function,), d)


def run(F, *a):
    o = F.apply(*a)
    o = o[0] if isinstance(o, tuple) else o
    o.sum().backward()
    return [t.grad for t in a if isinstance(t, torch.Tensor)]


x = lambda: torch.ones(2, requires_grad=True)
show(lambda: run(mk(lambda c, x: x * 2, lambda c, g: (g, g)), x()))
show(lambda: run(mk(lambda c, x: x * 2, lambda c, g: (g, None, None)), x()))
show(lambda: run(mk(lambda c, x, y: x * 2, lambda c, g: g), x(), x()))
show(lambda: run(mk(lambda c, x, y: x * 2, lambda c, g: (g, g)), x(), 3))
show(lambda: run(mk(lambda c, x: x * 2, lambda c, g: torch.ones(3)), x()))
show(lambda: run(mk(lambda c, x: x * 2, lambda c, g: torch.ones(1)), x()))
show(lambda: run(mk(lambda c, x: x * 2, lambda c, g: torch.ones(3, 2)), x()))
show(lambda: run(mk(lambda c, x: x * 2, lambda c, g: g.double()), x()))
show(lambda: run(mk(lambda c, x: x * 2, lambda c, g: g.long()), x()))
show(lambda: run(mk(lambda c, x: x * 2, lambda c, g: 3), x()))
show(lambda: run(mk(lambda c, x: x * 2, lambda c, g: [g]), x()))
show(lambda: run(mk(lambda c, x: x * 2, lambda c, g: None), x()))
show(lambda: run(mk(lambda c, x: x * 2, lambda c, g: ()), x()))
show(lambda: run(mk(lambda c, x: x * 2), x()))
show(lambda: run(mk(lambda c, x: x * 2, lambda c, g: g, vjp=lambda c, g: g), x()))
show(lambda: run(mk(lambda c, x: x * 2, vjp=lambda c, g: g), x()))
show(lambda: mk(lambda c, x: 3).apply(x()))
show(lambda: mk(lambda c, x: [x * 2]).apply(x()))
show(lambda: mk(lambda c, x: (x * 2, 3, "a", None)).apply(x()))
show(lambda: mk(lambda c, x: None).apply(x()))
show(lambda: mk(lambda c, x: ()).apply(x()))
show(lambda: mk(lambda c, x: x).apply(x()))


def same(c, x):
    return x


a = x()
show(lambda: mk(same).apply(a) is a)
b = torch.ones(2)
r = mk(same).apply(b)
print(r is b, r._base is b, r.requires_grad)
r = mk(same).apply(a)
print(r._is_view(), r._base is a)


def nd(c, x):
    c.mark_non_differentiable(x)
    return x


r = mk(nd).apply(a)
print(r.requires_grad, r is a, r._is_view())


def nd(c, x):
    o = x * 2
    c.mark_non_differentiable(o)
    return o, x * 3


r = mk(nd).apply(a)
print(r)


def nd2(c, x):
    return (x * 2).long(), x * 3


r = mk(nd2).apply(a)
print(r)


def dirty(c, x):
    c.mark_dirty(x)
    x.add_(1)
    return x


c0 = torch.ones(2, requires_grad=True) * 1
r = mk(dirty, lambda c, g: g * 2).apply(c0)
print(r is c0, c0._version, c0.grad_fn)
show(lambda: mk(dirty).apply(a))
b = torch.ones(2)
r = mk(dirty).apply(b)
print(r is b, b._version, b)


def dirty2(c, x):
    c.mark_dirty(x)
    x.add_(1)
    return x * 2


show(lambda: mk(dirty2).apply(torch.ones(2, requires_grad=True) * 1))


def dirty3(c, x):
    o = x * 2
    c.mark_dirty(o)
    return o


show(lambda: mk(dirty3).apply(torch.ones(2, requires_grad=True) * 1))
b = torch.ones(2, 2, requires_grad=True) * 1
v = b[0]
show(lambda: (mk(dirty, lambda c, g: g * 2).apply(v), b.grad_fn, v.grad_fn, v._version))


def dirtym(c, x):
    c.mark_dirty(x)
    x.add_(1)
    return x, x * 2


b = torch.ones(2, 2, requires_grad=True) * 1
v = b[0]
show(lambda: (mk(dirtym, lambda c, g: g * 2).apply(v), b.grad_fn, v.grad_fn, v._version))


def view(c, x):
    return x.view(-1)


b = torch.ones(2, 2, requires_grad=True) * 1
r = mk(view, lambda c, g: g.view(2, 2)).apply(b)
print(r._is_view(), r.grad_fn)
show(lambda: r.add_(1))


def view2(c, x):
    return x.view(-1), x[0]


r, q = mk(view2, lambda c, g, h: g.view(2, 2)).apply(b)
print(r._is_view(), r.grad_fn)
show(lambda: r.add_(1))
r = mk(same, lambda c, g: g).apply(b)
show(lambda: r.add_(1))


def sv(c, x):
    c.save_for_backward(3)
    return x * 2


show(lambda: mk(sv).apply(x()))


def sv(c, x):
    c.save_for_backward([x])
    return x * 2


show(lambda: mk(sv).apply(x()))
show(lambda: mk(lambda c, x: (c.save_for_forward(3), x * 2)[1]).apply(x()))


def two(c, x):
    return x * 2, x * 3


def bb(c, g, h):
    print(g, h)
    return g


(mk(two, bb).apply(x())[0]).sum().backward()


def two2(c, x):
    c.set_materialize_grads(False)
    return x * 2, x * 3


(mk(two2, bb).apply(x())[0]).sum().backward()
t = mk(two2, bb).apply(x())
print(t[1].output_nr, t[0].grad_fn is t[1].grad_fn, t[0].grad_fn.next_functions)


class G(Function):
    @staticmethod
    def forward(x, k=2):
        return x * k

    @staticmethod
    def setup_context(ctx, inputs, output):
        print("setup", inputs, output.requires_grad)
        ctx.k = inputs[1]
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx, g):
        print(ctx.saved_tensors)
        return g * ctx.k, None


show(lambda: G.apply(x()).sum().backward())
show(lambda: G.apply(x(), k=3).sum().backward())
show(lambda: M.apply(X, k=2, y=Y))
show(lambda: G.apply())


class L(Function):
    def forward(self, x):
        return x * 2

    def backward(self, g):
        return g * 2


show(lambda: L())
show(lambda: L()(x()))
show(lambda: L.apply(x()))
show(lambda: Function())
show(lambda: Function.apply(x()))
show(lambda: M())
show(lambda: M()(x()))


@once_differentiable
def ob(c, g):
    return g * 2


OD = mk(lambda c, x: x * 2, ob)
q = x()


def f():
    (g,) = torch.autograd.grad((OD.apply(q) ** 2).sum(), q, create_graph=True)
    print(g, g.grad_fn)
    g.sum().backward()


show(f)
print(M._backward_cls, repr(M), M.__module__, M._backward_cls.__module__, M._backward_cls._forward_cls)


class I(InplaceFunction):
    @staticmethod
    def forward(ctx, x):
        return x * 2


show(lambda: I())
with torch.no_grad():
    r = M.apply(X, 2, Y)
    print(r)
print(M.apply(Y, 2, Y))
show(lambda: X.grad_fn)
ctx = z.grad_fn
show(lambda: ctx.save_for_backward(X))
show(lambda: ctx.saved_variables)
show(lambda: ctx._raw_saved_tensors)
z = M.apply(X, 2, Y)
show(lambda: z.grad_fn._raw_saved_tensors)
show(lambda: z.grad_fn.saved_variables)
z = M.apply(X, 2, Y)
X.data
with torch.no_grad():
    X.add_(1)
show(lambda: z.sum().backward())
show(lambda: M.apply(X, 2, Y).register_hook(lambda g: None))


class Sav(Function):
    @staticmethod
    def forward(ctx, x):
        o = x.exp()
        ctx.save_for_backward(o)
        return o

    @staticmethod
    def backward(ctx, g):
        (o,) = ctx.saved_tensors
        print(o, o.grad_fn is O.grad_fn)
        return g * o


O = Sav.apply(x())
O.sum().backward(retain_graph=True)
O.add_(1)
show(lambda: O.sum().backward())


# enable grad inside forward
def en(c, x):
    with torch.enable_grad():
        y = x * 2
    print(y.requires_grad)
    return y


r = mk(en, lambda c, g: g).apply(x())
print(r, r.grad_fn)
show(lambda: mk(lambda c, x: x * 2, lambda c, g: torch.ones(2)).apply(torch.ones(2, dtype=torch.long)))
show(lambda: mk(lambda c, x: x, lambda c, g: g).apply(torch.ones(2, dtype=torch.long)))
