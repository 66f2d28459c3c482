"""gradcheck and gradgradcheck."""

import itertools

import torch
from show import show
from torch.autograd import Function, gradcheck, gradgradcheck
from torch.autograd.gradcheck import GradcheckError

D = torch.double
x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=D, requires_grad=True)
y = torch.tensor([0.5, 0.7], dtype=D, requires_grad=True)
show(lambda: gradcheck(lambda x, y: (x * y).exp(), (x, y)))
show(lambda: gradcheck(lambda x: x.sum(), x))
show(lambda: gradcheck(lambda x, y: (x * y, x + y), (x, y)))


class Bad(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * x


show(lambda: gradcheck(Bad.apply, (y,)))
show(lambda: gradcheck(Bad.apply, (y,), raise_exception=False))
show(lambda: gradgradcheck(Bad.apply, (y,)))
show(lambda: gradcheck(lambda x: x * 2, (x.float().detach().requires_grad_(),)))
show(lambda: gradcheck(lambda x: x * 2, (x.detach(),)))
show(lambda: gradcheck(lambda x: x * 2, 3))
show(lambda: gradcheck(lambda x: x * 2, ()))
show(lambda: gradcheck(lambda x: x.detach(), (y,)))
show(lambda: gradcheck(lambda x: x.detach() * 0, (y,)))
show(lambda: gradcheck(lambda x: 3, (y,)))
z = torch.tensor([1 + 2j, 3 - 1j], dtype=torch.cdouble, requires_grad=True)
show(lambda: gradcheck(lambda z: z * z, (z,)))
show(lambda: gradcheck(lambda z: z.abs(), (z,)))
show(lambda: gradcheck(lambda z: z.real * z.imag, (z,)))
show(lambda: gradcheck(lambda y: y * (1 + 2j), (y,)))


class BadC(Function):
    @staticmethod
    def forward(ctx, x):
        return x * (1 + 2j)

    @staticmethod
    def backward(ctx, g):
        return g * (1 + 2j)


show(lambda: gradcheck(BadC.apply, (z,)))
e = torch.ones(1, dtype=D).expand(3).requires_grad_()
show(lambda: gradcheck(lambda x: x * 2, (e,)))


class NoMul(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return torch.ones_like(g) * 2


show(lambda: gradcheck(NoMul.apply, (y,)))


class Und(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2


show(lambda: gradcheck(Und.apply, (y,)))
show(lambda: gradcheck(Und.apply, (y,), check_undefined_grad=False))


class Und2(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return torch.ones(2, dtype=D) if g is None else g * 2


show(lambda: gradcheck(Und2.apply, (y,)))
cnt = itertools.count()


class Non(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * (2 + 1e-9 * next(cnt))


show(lambda: gradcheck(Non.apply, (y,)))
show(lambda: gradcheck(Non.apply, (y,), nondet_tol=1e-3))


class Dt(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return (g * 2).float()


show(lambda: gradcheck(Dt.apply, (y,), check_grad_dtypes=True))
show(lambda: gradcheck(Dt.apply, (y,)))
show(lambda: gradgradcheck(lambda x, y: (x * y).exp(), (x, y)))
show(lambda: gradgradcheck(lambda x: x * x, (x,), torch.ones(2, 2, dtype=D, requires_grad=True)))
show(lambda: gradgradcheck(lambda x: x * x, (x,), gen_non_contig_grad_outputs=True))
show(lambda: gradgradcheck(lambda z: z * z * z, (z,)))
show(lambda: gradcheck(lambda x, y: (x * y).exp(), (x, y), fast_mode=True))
show(lambda: gradgradcheck(lambda x, y: (x * y).exp(), (x, y), fast_mode=True))
show(lambda: gradcheck(lambda z: z * z, (z,), fast_mode=True))
show(lambda: gradcheck(lambda x: x.exp(), (x,), check_batched_grad=True))
show(lambda: gradcheck(lambda x: x.exp(), (x,), check_forward_ad=True))
show(lambda: gradcheck(lambda x: x.exp(), (x,), check_forward_ad=True, check_backward_ad=False, fast_mode=True))
show(lambda: gradcheck(lambda z: z * z, (z,), check_forward_ad=True, check_batched_forward_grad=True))
show(lambda: gradgradcheck(lambda x: x.exp(), (x,), check_fwd_over_rev=True))
show(lambda: gradcheck(lambda x: x.exp(), (x,), check_forward_ad=False, check_backward_ad=False))
show(lambda: gradcheck(lambda x, k: x * k, (x, 2)))
show(lambda: gradcheck(lambda x: x * torch.ones(2, 2, dtype=D), [x]))
show(lambda: gradcheck(lambda x: [x * 1.0, x * 2.0], [x]))
show(lambda: gradcheck(Bad.apply, (y,), fast_mode=True, raise_exception=False))
print(GradcheckError.__mro__)
show(lambda: gradcheck(Dt.apply, (y,), check_grad_dtypes=True, fast_mode=True))
