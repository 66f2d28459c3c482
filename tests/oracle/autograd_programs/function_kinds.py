"""autograd.Function: what forward may return, what backward must, contexts, modes."""

import gc
import weakref

import torch
from show import show
from torch.autograd import graph as G, Function
from torch.autograd.function import once_differentiable, FunctionCtx, NestedIOFunction, InplaceFunction

ones = torch.ones


def leaf(*v):
    return torch.tensor(v or (1.0, 2.0), requires_grad=True)


x = leaf()


class Id(Function):
    @staticmethod
    def forward(ctx, x):
        return x

    @staticmethod
    def backward(ctx, g):
        return g * 2


y = Id.apply(x)
print(y is x, y._is_view(), y.grad_fn, y._base is x)
show(lambda: y.sum().backward())
print(x.grad)
show(lambda: y.add_(1))
z = x * 2
y = Id.apply(z)
print(y._is_view(), y.grad_fn.name(), y.grad_fn.next_functions[0][0].name())
show(lambda: y.add_(1))
show(lambda: y.sum().backward())
print(x.grad)
print(Id.apply(ones(2)).requires_grad, Id.apply(ones(2))._is_view())


class View(Function):
    @staticmethod
    def forward(ctx, x):
        return x.view(-1)

    @staticmethod
    def backward(ctx, g):
        return g.view(2)


z = x * 2
y = View.apply(z)
print(y._is_view(), y._base is z, y.grad_fn.name())
show(lambda: y.mul_(2))
show(lambda: z.mul_(3))
show(lambda: y.sum().backward())


class Two(Function):
    @staticmethod
    def forward(ctx, x):
        return x.view(-1), x[0:1]

    @staticmethod
    def backward(ctx, a, b):
        return a


z = x * 2
a, b = Two.apply(z)
print(a._is_view(), b._is_view(), a.grad_fn is b.grad_fn)
show(lambda: a.mul_(2))


class Dirty(Function):
    @staticmethod
    def forward(ctx, x):
        x.mul_(3)
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx, g):
        return g * 3


z = x * 2
v = z._version
y = Dirty.apply(z)
print(y is z, z._version - v, z.grad_fn.name(), z)
z.sum().backward()
print(x.grad)
show(lambda: Dirty.apply(x))
z = x * 2
w = z[:1]
show(lambda: Dirty.apply(w))
print(z, z.grad_fn.name())
show(lambda: z.sum().backward())
print(x.grad)
z = ones(2)
y = Dirty.apply(z)
print(y is z, y.requires_grad)


class DirtyNot(Function):
    @staticmethod
    def forward(ctx, x):
        x.mul_(3)
        ctx.mark_dirty(x)
        return x * 1

    @staticmethod
    def backward(ctx, g):
        return g


show(lambda: DirtyNot.apply(x * 2))


class DirtyOther(Function):
    @staticmethod
    def forward(ctx, x):
        t = ones(2)
        ctx.mark_dirty(t)
        return x * 1

    @staticmethod
    def backward(ctx, g):
        return g


show(lambda: DirtyOther.apply(x * 2))


class Mixed(Function):
    @staticmethod
    def forward(ctx, x, k=3, *, q=None):
        return x * k, 5, None, "s", (x,), torch.tensor([1, 2]), x.long()

    @staticmethod
    def backward(ctx, *gs):
        print([None if g is None else tuple(g.shape) if isinstance(g, torch.Tensor) else g for g in gs])
        return gs[0], None


o = Mixed.apply(x, 4)
print(
    [type(t).__name__ for t in o],
    o[0].requires_grad,
    o[4][0] is x,
    o[5].requires_grad,
    o[6].requires_grad,
    o[6].grad_fn,
)
o[0].sum().backward()
show(lambda: Mixed.apply(x, k=4))
show(lambda: Mixed.apply())
show(lambda: Mixed.apply(x, 4, 5))


class NonDiff(Function):
    @staticmethod
    def forward(ctx, x):
        a = x * 2
        b = x * 3
        ctx.mark_non_differentiable(b)
        return a, b

    @staticmethod
    def backward(ctx, a, b):
        print(a, b)
        return a * 2


a, b = NonDiff.apply(x)
print(a.requires_grad, b.requires_grad, b.grad_fn)
a.sum().backward()


class NonDiffIn(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_non_differentiable(x)
        return x

    @staticmethod
    def backward(ctx, a):
        return a


show(lambda: NonDiffIn.apply(x).requires_grad)


class Mat(Function):
    @staticmethod
    def forward(ctx, x, mat):
        ctx.set_materialize_grads(mat)
        return x * 2, x * 3

    @staticmethod
    def backward(ctx, a, b):
        print(a, b)
        return (a if a is not None else 0) + (b if b is not None else 0), None


for m in (True, False):
    a, b = Mat.apply(x, m)
    a.sum().backward()
    a, b = Mat.apply(x, m)
    b.sum().backward()


class Wrong(Function):
    @staticmethod
    def forward(ctx, x, how):
        ctx.how = how
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return ctx.how(g)


for how in (
    lambda g: g,
    lambda g: (g, None, None),
    lambda g: (g, None),
    lambda g: (g,),
    lambda g: (g, g),
    lambda g: None,
    lambda g: (ones(3), None),
    lambda g: (ones(1), None),
    lambda g: (ones(2, 2), None),
    lambda g: (g.double(), None),
    lambda g: (3, None),
    lambda g: ("a", None),
    lambda g: [g, None],
    lambda g: (g.long(), None),
    lambda g: (None, None),
    lambda g: (g.sum(), None),
):
    x.grad = None
    show(lambda: Wrong.apply(x, how).sum().backward())
    print(x.grad)


class Unused(Function):
    @staticmethod
    def forward(ctx, x, y):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g, ones(7)


show(lambda: Unused.apply(x, ones(2)).sum().backward())


class Save(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x, x * 2)
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    def backward(ctx, g):
        print(len(ctx.saved_tensors), ctx.saved_variables if hasattr(ctx, "saved_variables") else None)
        return g


Save.apply(x).sum().backward()


class SaveBad(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(3)
        return x.exp()

    @staticmethod
    def backward(ctx, g):
        return g


show(lambda: SaveBad.apply(x))


class SaveOut(Function):
    @staticmethod
    def forward(ctx, x):
        o = x.exp()
        ctx.save_for_backward(o)
        return o

    @staticmethod
    def backward(ctx, g):
        (o,) = ctx.saved_tensors
        print(o.requires_grad, o.grad_fn is not None and o.grad_fn.name())
        return g * o


y = SaveOut.apply(x)
r = weakref.ref(y.grad_fn)
(g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
print(g.grad_fn.name())
print(torch.autograd.grad(g.sum(), x))
y = SaveOut.apply(x)
with torch.no_grad():
    y.add_(1)
show(lambda: y.sum().backward())
y = SaveOut.apply(x)
y.sum().backward()
show(lambda: y.sum().backward())
show(lambda: y.grad_fn.saved_tensors)
r = weakref.ref(y.grad_fn)
del y, g
gc.collect()
print(r() is None)


class New(Function):
    @staticmethod
    def forward(x, k):
        print("f", torch.is_grad_enabled())
        return x * k, x + k

    @staticmethod
    def setup_context(ctx, inputs, output):
        print("s", len(inputs), len(output), torch.is_grad_enabled())
        ctx.save_for_backward(inputs[0])
        ctx.k = inputs[1]
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx, g, h):
        print("b", h)
        (x,) = ctx.saved_tensors
        return g * ctx.k, None


a, b = New.apply(x, 3)
print(a.requires_grad, b.requires_grad)
a.sum().backward()
print(New.generate_vmap_rule)
show(lambda: torch.func.vmap(lambda t: New.apply(t, 3)[0])(x))


class Once(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        print(torch.is_grad_enabled())
        return g * 2 * x


y = Once.apply(x)
(g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
print(g.requires_grad, g.grad_fn)
show(lambda: g.sum().backward())
y = Once.apply(x)
show(lambda: torch.autograd.grad(y, x, grad_outputs=ones(2, requires_grad=True), create_graph=True)[0].sum().backward())


class NoB(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2


show(lambda: NoB.apply(x).sum().backward())


class NoF(Function):
    pass


show(lambda: NoF.apply(x))


class Both(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g

    @staticmethod
    def vjp(ctx, g):
        return g


show(lambda: Both.apply(x).sum().backward())


class Vjp(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def vjp(ctx, g):
        return g * 5


x.grad = None
show(lambda: Vjp.apply(x).sum().backward())
print(x.grad)
show(lambda: Function())
show(lambda: Id()(x))
show(lambda: Id.forward(None, x) is x)
print(Id.__name__, Id.apply, Id._backward_cls.__name__, type(Id.apply(x).grad_fn).__mro__[1].__name__)


class Inst(Function):
    def forward(self, x):
        return x * 2

    def backward(self, g):
        return g


show(lambda: Inst.apply(x))
show(lambda: Inst()(x))


class Raise(Function):
    @staticmethod
    def forward(ctx, x, f):
        if f:
            raise ValueError("fwd")
        return x * 2

    @staticmethod
    def backward(ctx, g):
        raise KeyboardInterrupt


show(lambda: Raise.apply(x, True))
try:
    Raise.apply(x, False).sum().backward()
except KeyboardInterrupt:
    print("KI")
show(lambda: (x * 2).sum().backward())
print(torch.is_grad_enabled())


class Ctx(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.a = 1
        ctx.t = x.detach()
        print(
            type(ctx).__name__,
            isinstance(ctx, FunctionCtx),
            ctx.needs_input_grad,
            ctx.next_functions if hasattr(ctx, "next_functions") else None,
            ctx.name(),
        )
        return x * 1

    @staticmethod
    def backward(ctx, g):
        print(ctx.a, ctx.needs_input_grad, ctx.metadata, ctx.next_functions[0][0].name())
        return g


y = Ctx.apply(x)
y.grad_fn.metadata["m"] = 1
y.sum().backward()
print(y.grad_fn.a)
show(lambda: y.grad_fn.zz)


class Cplx(Function):
    @staticmethod
    def forward(ctx, x):
        return x.to(torch.cfloat)

    @staticmethod
    def backward(ctx, g):
        print(g.dtype)
        return g


show(lambda: Cplx.apply(x).abs().sum().backward())


class Cplx2(Function):
    @staticmethod
    def forward(ctx, x):
        return x.abs()

    @staticmethod
    def backward(ctx, g):
        return g


show(lambda: Cplx2.apply(torch.ones(2, dtype=torch.cfloat, requires_grad=True)).sum().backward())


class Lst(Function):
    @staticmethod
    def forward(ctx, x):
        return [x * 2, x * 3]

    @staticmethod
    def backward(ctx, a, b):
        return a + b


show(lambda: type(Lst.apply(x)))
show(lambda: Lst.apply(x)[0].requires_grad)


class Same(Function):
    @staticmethod
    def forward(ctx, x):
        o = x * 2
        return o, o

    @staticmethod
    def backward(ctx, a, b):
        print(a, b)
        return a + b


a, b = Same.apply(x)
print(a is b)
show(lambda: (a.sum() + 3 * b.sum()).backward())
with torch.no_grad():
    y = Id.apply(x)
    print(y is x, y.requires_grad, y._is_view())
with torch.inference_mode():
    y = Id.apply(x)
    print(y is x, y.is_inference())


class Par(Function):
    @staticmethod
    def forward(ctx, a, b):
        return a

    @staticmethod
    def backward(ctx, g):
        return None, g


a, b = leaf(), leaf()
show(lambda: Par.apply(a, b).sum().backward())
print(a.grad, b.grad)


class Grad(Function):
    @staticmethod
    def forward(ctx, x):
        with torch.enable_grad():
            y = x.detach().requires_grad_()
            z = y.exp()
            (ctx.g,) = torch.autograd.grad(z.sum(), y)
        return z.detach()

    @staticmethod
    def backward(ctx, g):
        with torch.enable_grad():
            t = leaf()
            (t * 3).sum().backward()
            print(t.grad)
        return g * ctx.g


x.grad = None
Grad.apply(x).sum().backward()
print(x.grad)
