"""torch.autograd.forward_ad, and torch.autograd.functional with and without vectorize."""

import torch
import torch.autograd.forward_ad as fwAD
from show import show
from torch.autograd import functional as AF
from torch.func import vmap, grad, jvp

x = torch.tensor([1.0, 2.0, 3.0])
w = torch.tensor([2.0, 3.0, 4.0], requires_grad=True)
# forward_ad
with fwAD.dual_level() as lv:
    d = fwAD.make_dual(x, torch.ones(3))
    print(d, fwAD.unpack_dual(d), d.requires_grad, type(fwAD.unpack_dual(d)).__name__, lv)
    y = (d * d).sin()
    print(fwAD.unpack_dual(y))
    p, t = fwAD.unpack_dual(x)
    print(p is x, t, p._is_view())
    show(lambda: fwAD.make_dual(x, torch.ones(2)))
    show(lambda: fwAD.make_dual(x, torch.ones(3).double()))
    show(lambda: fwAD.make_dual(x.long(), torch.ones(3)))
    show(lambda: fwAD.make_dual(d, torch.ones(3)))
    show(lambda: fwAD.make_dual(x, d))
    show(lambda: fwAD.make_dual(3, x))
    show(lambda: fwAD.make_dual(x, 3))
    z = fwAD.make_dual(w, torch.ones(3))
    o = z**2
    print(fwAD.unpack_dual(o).tangent)
    (fwAD.unpack_dual(o).tangent.sum()).backward()
    print(w.grad)
    w.grad = None
    c = x.clone()
    c2 = fwAD.make_dual(c, torch.ones(3))
    c2.mul_(2)
    print(fwAD.unpack_dual(c2), c)
    c3 = torch.zeros(3)
    c3.copy_(d)
    print(fwAD.unpack_dual(c3))
    c4 = torch.zeros(3)
    c4[1] = d[1]
    print(fwAD.unpack_dual(c4))
    v = c4[:2]
    print(fwAD.unpack_dual(v))
    v.mul_(3)
    print(fwAD.unpack_dual(c4))
    print(
        fwAD.unpack_dual(d.view(3, 1).t()).tangent,
        fwAD.unpack_dual(d.detach()).tangent,
        fwAD.unpack_dual(d.data).tangent,
    )
    with torch.no_grad():
        print(fwAD.unpack_dual(d * 2).tangent)
    show(lambda: fwAD.unpack_dual(torch.cat([d, x])).tangent)
    show(lambda: fwAD.unpack_dual(torch.where(x > 1, d, x)).tangent)
    show(lambda: fwAD.unpack_dual(d.sort(descending=True)[0]).tangent)
    show(lambda: fwAD.unpack_dual(d @ d).tangent)
    show(lambda: fwAD.unpack_dual(d.softmax(0)).tangent)
    show(lambda: fwAD.unpack_dual(d.long()).tangent)
    show(lambda: fwAD.unpack_dual(d > 1).tangent)
    show(lambda: fwAD.unpack_dual(torch.nn.functional.gelu(d)).tangent)
    show(lambda: d.numpy())
    show(lambda: d.tolist())
    show(lambda: d[0].item())
    show(lambda: torch.add(x, d, out=torch.zeros(3)))
    show(lambda: fwAD.dual_level().__enter__())
    with fwAD._set_fwd_grad_enabled(False):
        print(fwAD.unpack_dual(d * 2).tangent)
print(d, fwAD.unpack_dual(d) if 0 else None)
show(lambda: fwAD.make_dual(x, x))
show(lambda: fwAD.unpack_dual(d))
show(lambda: fwAD.exit_dual_level())
fwAD.enter_dual_level()
fwAD.exit_dual_level()
m = torch.nn.Linear(3, 2)
with fwAD.dual_level():
    for n, p in list(m.named_parameters()):
        delattr(m, n)
        setattr(m, n, fwAD.make_dual(p.detach() * 0 + 1, torch.ones_like(p)))
    print(fwAD.unpack_dual(m(x)).tangent)


# vmap of duals and of grad of a dual
def hvp_fr(v):
    with fwAD.dual_level():
        dd = fwAD.make_dual(x.clone().requires_grad_(), v)
        (g,) = torch.autograd.grad((dd**3).sum(), dd, create_graph=True)
        return fwAD.unpack_dual(g).tangent


show(lambda: hvp_fr(torch.ones(3)).detach())
show(lambda: [hvp_fr(e).tolist() for e in torch.eye(3)])
L = lambda n, s: print("#", n) or show(s)
f = lambda a, b=None: (a**3).sum() if b is None else (a * b * b).sum()
F = lambda a: a**2
F2 = lambda a, b: (a * b, a.sum() + b)
for vec in (False, True):
    for cg in (False, True):
        L(("jac", vec, cg), lambda: AF.jacobian(F, x, vectorize=vec, create_graph=cg))
        L("jac2", lambda: AF.jacobian(F2, (x, x * 2), vectorize=vec))
        L("jacw", lambda: AF.jacobian(F, w, vectorize=vec, create_graph=cg))
        L("hess", lambda: AF.hessian(f, x, vectorize=vec, create_graph=cg))
        L("hess2", lambda: AF.hessian(f, (x, x), vectorize=vec))
        L("hessw", lambda: AF.hessian(f, w, vectorize=vec, create_graph=cg))
        L("hess indep", lambda: AF.hessian(lambda a: a.sum(), x, vectorize=vec, create_graph=cg))
        L("jac indep", lambda: AF.jacobian(lambda a: torch.ones(2), x, vectorize=vec, create_graph=cg))
        L("jac indep2", lambda: AF.jacobian(lambda a, b: a * 2, (x, x), vectorize=vec))
        L("jac 0d", lambda: AF.jacobian(lambda a: a.sum(), x, vectorize=vec))
        L("jac mat", lambda: AF.jacobian(lambda a: a.view(1, 3).expand(2, 3), x, vectorize=vec))
    L("strict", lambda: AF.jacobian(lambda a: torch.ones(2), x, strict=True, vectorize=vec))
    L("hstrict", lambda: AF.hessian(lambda a: a.sum(), x, strict=True, vectorize=vec))
    L("fwd", lambda: AF.jacobian(F, x, vectorize=vec, strategy="forward-mode"))
    L("fwd2", lambda: AF.jacobian(F2, (x, x * 2), vectorize=vec, strategy="forward-mode"))
    L("fwdw", lambda: AF.jacobian(F, w, vectorize=vec, strategy="forward-mode"))
    L("hfwd", lambda: AF.hessian(f, x, vectorize=vec, outer_jacobian_strategy="forward-mode").detach())
    L(
        "hfwd2",
        lambda: [
            [b.detach() for b in a]
            for a in AF.hessian(f, (x, x), vectorize=vec, outer_jacobian_strategy="forward-mode")
        ],
    )
    L("bad", lambda: AF.jacobian(F, x, vectorize=vec, strategy="foo"))
    L("fwd indep", lambda: AF.jacobian(lambda a: torch.ones(2), x, vectorize=vec, strategy="forward-mode"))
    L("nontensor", lambda: AF.jacobian(lambda a: 3, x, vectorize=vec))
    L("nonscalar", lambda: AF.hessian(F, x, vectorize=vec))
    L("list", lambda: AF.jacobian(F, [x], vectorize=vec))
    L("hook", lambda: AF.jacobian(lambda a: (a.clone().requires_grad_(), a * 2)[1], x, vectorize=vec))
    L("int", lambda: AF.jacobian(F, x.long(), vectorize=vec))
    L("cplx", lambda: AF.jacobian(F, x.to(torch.cfloat), vectorize=vec) + 0)
for st in (False, True):
    for cg in (False, True):
        L(("vjp", st, cg), lambda: AF.vjp(F, x, x, create_graph=cg, strict=st))
        L("jvp", lambda: AF.jvp(F, x, x, create_graph=cg, strict=st))
        L("vhp", lambda: AF.vhp(f, x, x, create_graph=cg, strict=st))
        L("hvp", lambda: AF.hvp(f, x, x, create_graph=cg, strict=st))
        L("vjpw", lambda: AF.vjp(F, w, x, create_graph=cg, strict=st))
        L("jvp2", lambda: AF.jvp(F2, (x, x), (x, x), create_graph=cg, strict=st))
        L("vjp indep", lambda: AF.vjp(lambda a: torch.ones(2), x, torch.ones(2), create_graph=cg, strict=st))
        L("hvp lin", lambda: AF.hvp(lambda a: a.sum(), x, x, create_graph=cg, strict=st))
        L("vhp lin", lambda: AF.vhp(lambda a: a.sum(), x, x, create_graph=cg, strict=st))
        L("jvp indep", lambda: AF.jvp(lambda a: torch.ones(2), x, x, create_graph=cg, strict=st))
        L("vjp none", lambda: AF.vjp(f, x, create_graph=cg, strict=st))
        L("vjp none2", lambda: AF.vjp(F, x, create_graph=cg, strict=st))
        L("jvp none", lambda: AF.jvp(F, x, create_graph=cg, strict=st))
        L("hvp shape", lambda: AF.hvp(f, x, torch.ones(2), create_graph=cg, strict=st))
with torch.no_grad():
    L("ng", lambda: AF.jacobian(F, x))
    L("ng2", lambda: AF.jacobian(F, w, create_graph=True))
    L("ngh", lambda: AF.hessian(f, x))
