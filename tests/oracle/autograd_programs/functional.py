"""autograd.functional."""

import torch
from show import show
from torch.autograd.functional import hessian, hvp, jacobian, jvp, vhp, vjp


def exp_reducer(x):
    return x.exp().sum(dim=1)


x = torch.arange(4.0).view(2, 2) / 4
v2 = torch.ones(2)


def adder(x, y):
    return 2 * x.exp() + 3 * y


show(lambda: vjp(exp_reducer, x, v2))
show(lambda: vjp(exp_reducer, x))
show(lambda: vjp(adder, (x, x), torch.ones(2, 2)))
show(lambda: vjp(adder, (x, x), torch.ones(3)))
show(lambda: jvp(exp_reducer, x, torch.ones(2, 2)))
show(lambda: jvp(exp_reducer, x))
show(lambda: jvp(adder, (x, x), (torch.ones(2, 2), torch.ones(2, 2))))
show(lambda: jvp(adder, (x, x), torch.ones(3)))
show(lambda: jvp(adder, (x, x), (torch.ones(3), torch.ones(3))))
show(lambda: jacobian(exp_reducer, x))
show(lambda: jacobian(adder, (x[0], x[1])))
show(lambda: jacobian(lambda x: (x * 2, x.sum()), x[0]))


def pw(x):
    return x.pow(3).sum()


def pw2(x, y):
    return (x.pow(2) * y).sum()


show(lambda: hessian(pw, x))
show(lambda: hessian(pw2, (x[0], x[1])))
show(lambda: hessian(lambda x: x, x))
show(lambda: hessian(lambda x: 3, x))
show(lambda: hessian(lambda x: (x.sum(), x.sum()), x))
show(lambda: vhp(pw, x, x))
show(lambda: hvp(pw, x, x))
show(lambda: vhp(pw2, (x[0], x[1]), (x[0], x[1])))
show(lambda: hvp(pw2, (x[0], x[1]), (x[0], x[1])))
show(lambda: hvp(pw, x))
show(lambda: hvp(pw, torch.tensor(2.0)))
xr = x.clone().requires_grad_()
show(lambda: jacobian(exp_reducer, xr, create_graph=True))
show(lambda: vjp(exp_reducer, xr, v2, create_graph=True))
show(lambda: [t.detach() for t in jvp(exp_reducer, xr, x, create_graph=True)])
show(lambda: hvp(pw, xr, x, create_graph=True))
show(lambda: vhp(pw, xr, x, create_graph=True))
show(lambda: hessian(pw, xr, create_graph=True))
show(lambda: jacobian(lambda x: torch.ones(2), x, strict=True))
show(lambda: jacobian(lambda x: torch.ones(2), x))
show(lambda: jacobian(lambda x, y: x * 2, (x, x), strict=True))
show(lambda: jacobian(lambda x, y: x * 2, (x[0], x[1])))
show(lambda: vjp(lambda x: torch.ones(2), x, v2, strict=True))
show(lambda: vjp(lambda x: torch.ones(2), x, v2))
show(lambda: vjp(lambda x, y: x.sum(), (x, x), strict=True))
show(lambda: jvp(lambda x: torch.ones(2), x, x, strict=True))
show(lambda: jvp(lambda x: torch.ones(2), x, x))
show(lambda: hvp(lambda x: x.sum(), x, x, strict=True))
show(lambda: hvp(lambda x: x.sum(), x, x))
show(lambda: vhp(lambda x: x.sum(), x, x))
show(lambda: vhp(lambda x: x.sum(), x, x, strict=True))
show(lambda: hessian(lambda x: x.sum(), x, strict=True))
show(lambda: hessian(lambda x: x.sum(), x))
show(lambda: hvp(lambda x: torch.ones(()), x, x, strict=True))
show(lambda: hvp(lambda x: torch.ones(()), x, x))
show(lambda: hessian(lambda x: torch.ones(()), x))
show(lambda: vjp(lambda x: x * 2, x, strict=True, create_graph=True))
show(lambda: vjp(lambda x: x * 2, x, torch.ones(2, 2), strict=True, create_graph=True))
show(lambda: jacobian(lambda x: x * 2, xr[0], strict=True, create_graph=True))
show(lambda: jacobian(lambda x: x * 2, xr[0], create_graph=True))
show(lambda: vjp(3, x))
show(lambda: vjp(lambda x: 3, x))
show(lambda: vjp(lambda x: [x], x))
show(lambda: vjp(lambda x: x.sum(), [x]))
show(lambda: vjp(lambda x: x.sum(), 3))
show(lambda: vjp(lambda x: x.sum(), (x, 3)))
show(lambda: vjp(lambda x: (x, 3), x, x))
show(lambda: jacobian(exp_reducer, x, strategy="foo"))
show(lambda: jacobian(exp_reducer, x, strategy="forward-mode"))
show(lambda: jacobian(exp_reducer, x, vectorize=True, strict=True))
show(lambda: jacobian(exp_reducer, x, strategy="forward-mode", vectorize=True, create_graph=True))
show(lambda: hessian(pw, x, outer_jacobian_strategy="foo"))
show(lambda: hessian(pw, x, outer_jacobian_strategy="forward-mode"))
show(lambda: vjp(exp_reducer, (x,), (v2,)))
show(lambda: vhp(pw, (x,), (x,)))
show(lambda: hvp(lambda x: x * 2, x, x))
show(lambda: jacobian(lambda x: x.to(torch.double), x[0]))
show(lambda: jacobian(lambda x: torch.ones(2, dtype=torch.long), x[0]))
show(lambda: jacobian(lambda x: x * 1j, x[0]))
show(lambda: jacobian(exp_reducer, x, vectorize=True))
show(lambda: hessian(pw, x, vectorize=True))
show(lambda: hessian(pw2, (x[0], x[1]), vectorize=True))
show(lambda: jacobian(lambda x, y: x * 2, (x[0], x[1]), vectorize=True))
show(lambda: jacobian(exp_reducer, x, vectorize=True, strategy="forward-mode"))
with torch.no_grad():
    show(lambda: jacobian(exp_reducer, x))
