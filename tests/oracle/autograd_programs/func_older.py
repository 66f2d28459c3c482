"""The older `functorch`, its modules as functions of tuples, and how tensors inside transforms print and answer."""

import warnings

import torch
from torch import nn

warnings.simplefilter("ignore")
import functorch
from functorch import combine_state_for_ensemble, grad, jvp, make_functional, make_functional_with_buffers, vjp, vmap
from functorch.experimental import chunk_vmap
from torch._C import _functorch as inner
from torch._functorch.make_functional import functional_init, functional_init_with_buffers
from torch._functorch.vmap import restore_vmap

M = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
ASK = (
    "maybe_get_level", "is_batchedtensor", "is_gradtrackingtensor", "is_functorch_wrapped_tensor", "is_dead_tensor_wrapper", "dlevel",
)  # fmt: skip


def seen(z):
    for t in (z, z * 2):
        print(repr(t), [getattr(inner, name)(t) for name in ASK], inner.current_level())
    return (z * 2).sum()


grad(seen)(M)
grad(lambda z: grad(seen)(z).sum())(M)
vmap(seen)(M)
vmap(seen, in_dims=1)(M)
vmap(vmap(lambda z: (print(repr(z)), z)[1]), in_dims=1)(M)
vmap(grad(seen))(M)
grad(lambda z: vmap(seen)(z).sum())(M)
jvp(seen, (M,), (M,))
vjp(seen, M.double())
kept = []
grad(lambda z: (kept.append(z.sin()), kept[0].sum())[1])(M)
print(inner.dlevel(kept[0]), inner.is_dead_tensor_wrapper(kept[0]), inner.dlevel(kept[0].sum()), inner.dlevel(M))
print(functorch.vmap(torch.sin)(M), chunk_vmap(lambda z: z.sum(), chunks=2)(M))
print(restore_vmap(lambda a, b: (a * b, b, 1), (0, None), 3, "error")(M, torch.ones(2)))
print(
    inner.reshape_dim_into(0, 1, torch.arange(24).view(2, 3, 4)),
    inner.reshape_dim_outof(1, 2, torch.arange(12).view(3, 4)),
)

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
function, params = make_functional(net)
print(type(function).__name__, [p.requires_grad for p in params], function(params, M))
print(grad(lambda p: function(p, M).sum())(params)[0].detach())
print([p.requires_grad for p in make_functional(net, disable_autograd_tracking=True)[1]])
normed = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
try:
    make_functional(normed)
except RuntimeError as error:
    print(error)
function, params, buffers = make_functional_with_buffers(normed)
print(function(params, buffers, M).shape, [tuple(b.shape) for b in buffers])
function, params, buffers = combine_state_for_ensemble([nn.Linear(2, 2) for _ in range(3)])
print(vmap(function, (0, 0, None))(params, buffers, M), [p.requires_grad for p in params])
for models in ([], [nn.Linear(2, 2), nn.Tanh()], [nn.Linear(2, 2), nn.Linear(2, 2).eval()]):
    try:
        combine_state_for_ensemble(models)
    except RuntimeError as error:
        print(error)
weights, function, names = functional_init(nn.Linear, (2,))(2, 2)
print([tuple(w.shape) for w in weights], names, vmap(function, (0, None))(weights, (M,)).shape)
weights, buffers, function, names, others = functional_init_with_buffers(nn.BatchNorm1d, [2])(2)
print([tuple(w.shape) for w in weights], [tuple(b.shape) for b in buffers], names, others)


def tried(call):
    try:
        print(call())
    except Exception as error:
        print(type(error).__name__, error)


def function(forward, keep=lambda ctx, inputs, output: None, **more):
    """A Function whose backward and jvp are the identity."""
    parts = {
        "forward": forward, "setup_context": keep, "backward": lambda ctx, g: g, "jvp": lambda ctx, t: t.view_as(t), **more,
    }  # fmt: skip
    return type("Own", (torch.autograd.Function,), {name: staticmethod(part) for name, part in parts.items()})


a = torch.tensor(2.0, requires_grad=True)
for keep in (
    lambda ctx, inputs, output: ctx.save_for_backward(inputs[0]), lambda ctx, inputs, output: ctx.save_for_forward(output),
):  # fmt: skip
    for call in (lambda f: f(a.clone()), lambda f: grad(f)(a), lambda f: f(a.detach()), lambda f: jvp(f, (a,), (a,))):
        tried(lambda call=call, keep=keep: call(function(lambda x: x, keep).apply))
tried(lambda: function(lambda x: x * 2, lambda ctx, inputs, output: ctx.save_for_backward(*inputs)).apply(a))
tried(lambda: type(function(lambda x: x.clone()).apply(a).grad_fn).__name__)
grad(lambda x: (y := function(lambda x: x.clone()).apply(x), print(type(y.grad_fn).__name__))[0])(a)
forward_mode = torch.autograd.forward_ad
grad(function(lambda x: (print(forward_mode._is_fwd_grad_enabled(), torch.is_grad_enabled()), x * 2)[1]).apply)(a)
tried(lambda: vmap(function(lambda x: x, vmap=lambda info, d, x: (print(info, d), (x, d[0]))[1]).apply, in_dims=1)(M))
for out in ((torch.zeros(3), (None,)), ([torch.zeros(3)], (None,)), torch.zeros(3), (1, 2, 3)):
    tried(lambda out=out: vmap(function(lambda x: x, vmap=lambda info, d, x: out).apply)(M))
for call in (
    lambda x: torch.abs(x, out=x), lambda x: torch.add(x, x, out=x), lambda x: torch.equal(x, x), lambda x: torch.allclose(x, x),
    lambda x: x.item(), lambda x: x if x.sum() else x, lambda x: x.tolist(), lambda x: None, lambda x: 1,
):  # fmt: skip
    tried(lambda call=call: vmap(call)(M))
for out_dims in (("a",), (1,), "a", (0, 0), -1):
    tried(lambda out_dims=out_dims: vmap(lambda x: x, out_dims=out_dims)(M))
for given in (None, (), [], 1):
    tried(lambda given=given: vjp(lambda x: given, M))
    tried(lambda given=given: jvp(lambda x: given, (M,), (M,)))
with torch.no_grad():
    out, pull = vjp(lambda x: x**2, a)
print(out.requires_grad, pull(torch.tensor(1.0)))
with torch.inference_mode():
    tried(lambda: jvp(lambda x: (x**2).sum(), (M,), (M,)))
    tried(lambda: grad(lambda x: (x**2).sum())(M))
tried(lambda: restore_vmap(lambda x, y: {"a": x, "b": y}, (0, 1), 2, "error")(M[:2], M))
