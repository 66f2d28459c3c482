"""jvp of users' Functions: what it may return; gradcheck's part for forward mode."""

import torch
import torch.autograd.forward_ad as fwAD
from show import show
from torch.autograd import Function, gradcheck


def returning(forward, jvp, x=None):
    """What a Function with these two gives for a dual tensor."""
    made = type("Made", (Function,), {"forward": staticmethod(forward), "jvp": staticmethod(jvp)})
    with fwAD.dual_level():
        given = fwAD.make_dual(torch.ones(2) if x is None else x, torch.ones(2))
        out = made.apply(given)
        return [fwAD.unpack_dual(o).tangent for o in (out if isinstance(out, tuple) else (out,))]


def written(ctx, x):
    ctx.mark_dirty(x)
    return x.mul_(2)


def marked(ctx, x):
    sign = x.sign()
    ctx.mark_non_differentiable(sign)
    return x * 2, sign


rows = (
    (lambda ctx, x: x * 2, lambda ctx, t: t * 2),
    (lambda ctx, x: x * 2, lambda ctx, t: (t, t)),
    (lambda ctx, x: (x * 2, x * 3), lambda ctx, t: t),
    (lambda ctx, x: x * 2, lambda ctx, t: 3),
    (lambda ctx, x: x * 2, lambda ctx, t: t[:1]),
    (lambda ctx, x: x.view(2), lambda ctx, t: t.view(2)),
    (lambda ctx, x: x.view(2), lambda ctx, t: t.clone()),
    (lambda ctx, x: x, lambda ctx, t: t),
    (lambda ctx, x: x, lambda ctx, t: t.view_as(t)),
    (written, lambda ctx, t: t.mul_(2)),
    (written, lambda ctx, t: t * 2),
    (marked, lambda ctx, t: (t * 2, None)),
    (marked, lambda ctx, t: (t * 2, t)),
)
for forward, jvp in rows:
    show(lambda: returning(forward, jvp))


class Power(Function):
    @staticmethod
    def forward(ctx, x):
        out = x.exp()
        ctx.save_for_forward(out)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]

    @staticmethod
    def jvp(ctx, t):
        return t * ctx.saved_tensors[0]


with fwAD.dual_level():
    leaf = torch.ones(2, requires_grad=True)
    out = Power.apply(fwAD.make_dual(leaf, torch.ones(2)))
    out.sum().backward()
    print(fwAD.unpack_dual(out).tangent, leaf.grad, fwAD.unpack_dual(leaf.grad).tangent, fwAD._current_level)
    show(lambda: torch.special.gammainc(out, out))
    show(lambda: fwAD.make_dual(torch.ones(2), torch.ones(2), level=5))
print(fwAD._current_level)
show(lambda: fwAD.exit_dual_level())

point = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
for fast in (True, False):
    for undefined in (True, False):
        for batched in (True, False):
            for both in (True, False):
                calls = []

                class Counted(Function):
                    @staticmethod
                    def forward(ctx, x, y):
                        return x.clone(), y.clone()

                    @staticmethod
                    def jvp(ctx, t, u):
                        calls.append(t)
                        return t, u

                second = point.detach().clone().requires_grad_(both)
                show(
                    lambda: gradcheck(
                        Counted.apply, (point, second), check_forward_ad=True, check_backward_ad=False,
                        check_undefined_grad=undefined, check_batched_forward_grad=batched, fast_mode=fast,
                    )
                )  # fmt: skip
                print(len(calls))


def wrong_for_duals(x, y):
    if fwAD._current_level >= 0:
        primal, tangent = fwAD.unpack_dual(y)
        y = fwAD.make_dual(primal, tangent * 1.1)
    return x + y, y


def undefined(x):
    y = x.clone()
    y.register_hook(lambda g: 1 / 0 if g is None else None)
    return y


def of_values(x):
    return torch.cat([x, x]) if torch.all(x >= 0.5) else x


def restless(x):
    y = x.clone()
    y.register_hook(lambda g: g * (1 + torch.rand_like(g)))
    return y


def told(call):
    """Whether it holds, or the type of the error and its first words."""
    try:
        print(call())
    except Exception as error:
        print(type(error).__name__, " ".join(str(error).split()[:9]))


for fast in (True, False):
    told(
        lambda: gradcheck(
            wrong_for_duals, (point, point.detach().clone().requires_grad_()), check_forward_ad=True, fast_mode=fast
        )
    )
    told(lambda: gradcheck(restless, point, fast_mode=fast))
told(lambda: gradcheck(of_values, point))
told(lambda: gradcheck(lambda x: x.detach() * x, point, fast_mode=True))
