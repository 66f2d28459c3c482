"""torch.func: transforms of transforms, Functions at levels, modules as functions, linearize."""

import warnings

import torch

from show import show

warnings.filterwarnings("ignore", message="Attempted to insert")
from torch.func import (
    grad,
    grad_and_value,
    vjp,
    jvp,
    jacrev,
    jacfwd,
    hessian,
    vmap,
    functional_call,
    stack_module_state,
    linearize,
    functionalize,
)
from torch import nn
from torch.autograd import Function

torch.manual_seed(0)
x = torch.tensor([1.0, 2.0, 3.0])
M = torch.arange(6.0).view(2, 3) + 1
f = lambda x: (x**3).sum()
L = lambda n, s: print("#", n) or show(s)
L("vmap grad", lambda: vmap(grad(f))(M))
L("grad vmap", lambda: grad(lambda m: vmap(f)(m).sum())(M))
L("jvp vmap", lambda: jvp(lambda m: vmap(f)(m), (M,), (M,)))
L("vmap jvp", lambda: vmap(lambda a, t: jvp(f, (a,), (t,)))(M, M))
L("vmap vjp", lambda: vmap(lambda a: vjp(lambda z: z.sin(), a)[1](torch.ones(3))[0])(M))
L("vmap vjp basis", lambda: vmap(vjp(lambda z: z.sin(), x)[1])(torch.eye(3)))
L("vmap jacrev", lambda: vmap(jacrev(lambda z: z**2))(M))
L("vmap jacfwd", lambda: vmap(jacfwd(lambda z: z**2))(M))
L("vmap hessian", lambda: vmap(hessian(f))(M))
L("grad jvp", lambda: grad(lambda z: jvp(f, (z,), (x,))[1])(x))
L("jvp grad", lambda: jvp(grad(f), (x,), (x,)))
L("vmap vmap grad", lambda: vmap(vmap(grad(lambda z: z**3)))(M))
L("grad grad vmap", lambda: grad(lambda m: grad(lambda q: vmap(f)(q).sum())(m).sum())(M))
L("jvp jvp", lambda: jvp(lambda z: jvp(f, (z,), (x,))[1], (x,), (x,)))
L("vmap in_dims grad argnums", lambda: vmap(grad(lambda a, b: (a * b).sum(), argnums=(0, 1)), in_dims=(0, None))(M, x))
L("jacrev vmap", lambda: jacrev(lambda m: vmap(lambda z: z.sum())(m))(M))


# autograd.grad inside
def inner(z):
    y = z.detach().clone().requires_grad_()
    return torch.autograd.grad((y**2).sum(), y)[0]


L("agrad in vmap", lambda: vmap(inner)(M))


def inner2(z):
    z.requires_grad_()
    return torch.autograd.grad((z**2).sum(), z)[0]


L("agrad in vmap req", lambda: vmap(inner2)(M))
L(
    "agrad in vmap outer req",
    lambda: vmap(lambda z: torch.autograd.grad((z**2).sum(), z)[0])(M.clone().requires_grad_()),
)
w = x.clone().requires_grad_()
L("agrad wrt unbatched", lambda: vmap(lambda z: torch.autograd.grad((z * w).sum(), w)[0])(M))
L("agrad batched go", lambda: vmap(lambda v: torch.autograd.grad(w**2, w, v)[0])(torch.eye(3)))
y = w**2
L("agrad batched go outer", lambda: vmap(lambda v: torch.autograd.grad(y, w, v, retain_graph=True)[0])(torch.eye(3)))
L("backward in vmap", lambda: vmap(lambda z: (z * w).sum().backward())(M))
w.grad = None
L("agrad in grad", lambda: grad(lambda z: torch.autograd.grad((z**3).sum(), z, create_graph=True)[0].sum())(x))
L(
    "agrad wrt primal in jvp",
    lambda: jvp(
        lambda z: torch.autograd.grad((z.detach().requires_grad_() ** 2).sum(), [z], allow_unused=True)[0], (x,), (x,)
    ),
)
L("backward in grad", lambda: grad(lambda z: ((z * w).sum().backward(), z.sum())[1])(x))
print(w.grad)
w.grad = None
L("grad of requires", lambda: grad(f)(w))
L("grad of requires backward", lambda: (grad(f)(w).sum().backward(), w.grad))
w.grad = None
L("vmap requires", lambda: vmap(f)(M.clone().requires_grad_()).requires_grad)
L("no_grad in", lambda: grad(lambda z: (lambda: (z**2).sum())() if torch.is_grad_enabled() else None)(x))


def ng(z):
    with torch.no_grad():
        c = z * 2
    return (z * c).sum()


L("no_grad inside", lambda: grad(ng)(x))
with torch.no_grad():
    L("grad in no_grad", lambda: grad(f)(x))
    L("jvp in no_grad", lambda: jvp(f, (x,), (x,)))
    L("vjp", lambda: vjp(f, x)[1](torch.tensor(1.0)))
L("detach", lambda: grad(lambda z: (z * z.detach()).sum())(x))
L("closure", lambda: grad(lambda z: (z * w).sum())(x).requires_grad)


# mutation
def mut(z):
    z = z.clone()
    z[0] = 5.0
    z.mul_(2)
    return (z**2).sum()


L("mut grad", lambda: grad(mut)(x))
L("mut vmap", lambda: vmap(mut)(M))
L("mut jvp", lambda: jvp(mut, (x,), (x,)))
L("mut vmap grad", lambda: vmap(grad(mut))(M))
L("mut input", lambda: grad(lambda z: z.mul_(2).sum())(x.clone()))
L("mut capture", lambda: grad(lambda z: w.detach().clone().mul_(z).sum())(x))
L("views", lambda: vmap(lambda z: z.view(3, 1).expand(3, 2).t().contiguous()[0])(M))
L("index", lambda: vmap(lambda z, i: z[i])(M, torch.tensor([0, 2])))
L("index2", lambda: vmap(lambda i: x[i])(torch.tensor([0, 2])))
L("setitem", lambda: vmap(lambda z, v: (lambda q: (q.__setitem__(1, v), q)[1])(z.clone()))(M, torch.tensor([9.0, 8.0])))
L("where", lambda: vmap(lambda z: torch.where(z > 2, z, -z))(M))
L("cat", lambda: vmap(lambda z: torch.cat([z, x]))(M))
L("stack", lambda: vmap(lambda z: torch.stack([z, x], 1))(M))
L("einsum", lambda: vmap(lambda z: torch.einsum("i,j->ij", z, x))(M))
L("linear", lambda: vmap(lambda W, b, v: nn.functional.linear(v, W, b))(torch.ones(2, 4, 3), torch.ones(2, 4), M))
L("conv", lambda: vmap(lambda W: nn.functional.conv2d(torch.ones(1, 1, 3, 3), W))(torch.ones(2, 1, 1, 2, 2)).shape)
L("sort", lambda: vmap(lambda z: z.sort(descending=True)[1])(M))
L("cumsum", lambda: vmap(lambda z: z.cumsum(0))(M))
L("norm", lambda: vmap(lambda z: z.norm())(M))
L("softmax", lambda: vmap(lambda z: z.softmax(0))(M))
L("ce", lambda: vmap(lambda z, t: nn.functional.cross_entropy(z, t))(M, torch.tensor([0, 1])))
L(
    "bn",
    lambda: (
        vmap(lambda z: nn.functional.batch_norm(z, None, None, training=True))(torch.arange(12.0).view(2, 3, 2))
        .round(decimals=4)
        .abs()
    ),
)
L("emb", lambda: vmap(lambda i: nn.functional.embedding(i, M))(torch.tensor([[0, 1], [1, 1]])))
L("linalg", lambda: vmap(torch.linalg.inv)(torch.eye(2).expand(3, 2, 2) * 2))
L("svd", lambda: vmap(torch.linalg.svdvals)(torch.eye(2).expand(3, 2, 2) * 2))
L("scalar ops", lambda: vmap(lambda s: s * M)(x).shape)
L("argmax", lambda: vmap(lambda z: z.argmax())(M))
L("max", lambda: vmap(lambda z: z.max(0))(M))
L("topk", lambda: vmap(lambda z: z.topk(2))(M))
L("pad", lambda: vmap(lambda z: nn.functional.pad(z, (1, 1)))(M))
L("scatter", lambda: vmap(lambda z, i: z.scatter(0, i, 5.0))(M, torch.tensor([[0], [1]])))
L("gather", lambda: vmap(lambda z, i: z.gather(0, i))(M, torch.tensor([[0], [1]])))
L("masked_fill", lambda: vmap(lambda z: z.masked_fill(z > 2, 0))(M))
L("int div", lambda: vmap(lambda z: z // 2)(M.long()))
L("dtype prom", lambda: vmap(lambda s: s * torch.ones(2, dtype=torch.half))(x).dtype)
L("0d prom", lambda: vmap(lambda s: s * torch.ones(2, dtype=torch.long))(x).dtype)
L("type", lambda: vmap(lambda z: z.to(torch.int))(M))
L("repr", lambda: vmap(lambda z: print(z) or z)(M))


# Function
class Sq(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x, k):
        return x * x * k

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.save_for_forward(inputs[0])
        ctx.k = inputs[1]

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g * ctx.k, None

    @staticmethod
    def jvp(ctx, t, _):
        (x,) = ctx.saved_tensors
        return 2 * x * t * ctx.k


L("F vmap", lambda: vmap(lambda z: Sq.apply(z, 3))(M))
L("F grad", lambda: grad(lambda z: Sq.apply(z, 3).sum())(x))
L("F vmap grad", lambda: vmap(grad(lambda z: Sq.apply(z, 3).sum()))(M))
L("F grad vmap", lambda: grad(lambda m: vmap(lambda z: Sq.apply(z, 3).sum())(m).sum())(M))
L("F jvp", lambda: jvp(lambda z: Sq.apply(z, 3), (x,), (x,)))
L("F vmap jvp", lambda: vmap(lambda a, t: jvp(lambda z: Sq.apply(z, 3), (a,), (t,)))(M, M))
L("F hess", lambda: hessian(lambda z: Sq.apply(z, 3).sum())(x))
L("F jacrev", lambda: jacrev(lambda z: Sq.apply(z, 3))(x))
L("F jacfwd", lambda: jacfwd(lambda z: Sq.apply(z, 3))(x))
L("F gradgrad", lambda: grad(grad(lambda z: Sq.apply(z, 3)))(torch.tensor(2.0)))


class Old(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2


L("old vmap", lambda: vmap(Old.apply)(M))


class V(Function):
    @staticmethod
    def forward(x):
        return x * 2

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, g):
        return g * 2

    @staticmethod
    def vmap(info, in_dims, x):
        return V.apply(x), in_dims[0]


L("V vmap", lambda: vmap(V.apply)(M))
L("V vmap 1", lambda: vmap(V.apply, in_dims=1)(M))
L("V vmap grad", lambda: vmap(grad(lambda z: V.apply(z).sum()))(M))
L("V jvp", lambda: jvp(V.apply, (x,), (x,)))


class NoV(Function):
    @staticmethod
    def forward(x):
        return x * 2

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, g):
        return g * 2


L("NoV", lambda: vmap(NoV.apply)(M))
L("NoV grad", lambda: grad(lambda z: NoV.apply(z).sum())(x))
# modules
m = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))
p = dict(m.named_parameters())
L("fc", lambda: functional_call(m, p, (x,)))
L("fc kw", lambda: functional_call(m, p, args=(x,), kwargs={}))
L("fc tuple", lambda: functional_call(m, ({k: v * 0 for k, v in p.items()},), x))
L("fc strict", lambda: functional_call(m, {"0.weight": p["0.weight"]}, x, strict=True))
L("fc unknown", lambda: functional_call(m, {"zz": x}, x))
L("fc unexp strict", lambda: functional_call(m, {**p, "zz": x}, x, strict=True))
L("fc partial", lambda: functional_call(m, {"0.bias": torch.zeros(2)}, x))
L("fc grad", lambda: {k: v.shape for k, v in grad(lambda p: functional_call(m, p, (x,)).sum())(p).items()})
L(
    "per-sample",
    lambda: {
        k: v.shape
        for k, v in vmap(grad(lambda p, v: functional_call(m, p, (v,)).sum()), in_dims=(None, 0))(
            {k: v.detach() for k, v in p.items()}, M
        ).items()
    },
)
ms = [nn.Linear(3, 2) for _ in range(3)]
P, B = stack_module_state(ms)
L("stack", lambda: ({k: (v.shape, v.requires_grad, v.is_leaf) for k, v in P.items()}, B))
L("ens", lambda: vmap(lambda p, b, v: functional_call(ms[0], (p, b), (v,)), in_dims=(0, 0, None))(P, B, x).shape)
L("stack0", lambda: stack_module_state([]))
L("stack mixed", lambda: stack_module_state([nn.Linear(2, 2), nn.Tanh()]))
L("stack train", lambda: stack_module_state([nn.Linear(2, 2), nn.Linear(2, 2).eval()]))
tied = nn.Module()
tied.a = nn.Linear(2, 2)
tied.b = tied.a
tied.forward = lambda v: tied.a(v) + tied.b(v)
L("tied", lambda: functional_call(tied, {"a.weight": torch.zeros(2, 2), "a.bias": torch.ones(2)}, torch.ones(2)))
L(
    "tied no",
    lambda: functional_call(
        tied, {"a.weight": torch.zeros(2, 2), "a.bias": torch.ones(2)}, torch.ones(2), tie_weights=False
    ),
)
L(
    "tied conflict",
    lambda: functional_call(tied, {"a.weight": torch.zeros(2, 2), "b.weight": torch.ones(2, 2)}, torch.ones(2)),
)
bn = nn.BatchNorm1d(3)
L("bn", lambda: functional_call(bn, {"running_mean": torch.zeros(3)}, M))
print(bn.running_mean, bn.num_batches_tracked)
# linearize
o, lin = linearize(lambda z: z.sin(), x)
L("lin", lambda: (o, lin(x), lin(x * 2)))
L("lin err", lambda: lin(torch.ones(2)))
o, lin = linearize(lambda a, b: (a * b, a.sum()), x, x)
L("lin2", lambda: lin(x, x))
L("lin vmap", lambda: vmap(linearize(lambda z: z**2, x)[1])(torch.eye(3)))
L("functionalize", lambda: functionalize(mut)(x))
L("chunk_vmap", lambda: vmap(lambda z: z.sum(), chunk_size=1, out_dims=0)(M))
L("debug_unwrap", lambda: torch.func.debug_unwrap(x) is x)
