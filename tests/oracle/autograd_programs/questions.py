"""What programs ask a running backward, dtypes of gradients, subclasses, tensors made in inference mode."""

import torch
from show import show
from torch.autograd.graph import GradientEdge, get_gradient_edge

native = torch._C
x = torch.ones(2, requires_grad=True)
w = torch.ones(2, requires_grad=True)

# ---- a backward that runs --------------------------------------------------------------------------------------------
y = x * 2
product = y * w
leaf = x.view_as(x).grad_fn.next_functions[0][0]
other = w.view_as(w).grad_fn.next_functions[0][0]
total = (y + product).sum()


def hook(*grads):
    show(lambda: [native._will_engine_execute_node(n) for n in (y.grad_fn, product.grad_fn, total.grad_fn, other)])
    show(lambda: native._will_engine_execute_node(leaf))
    show(lambda: native._current_graph_task_id() >= 0)
    show(lambda: native._current_autograd_node() is total.grad_fn)
    show(lambda: native._autograd._get_current_graph_task_keep_graph())


handle = total.grad_fn.register_prehook(hook)
total.backward(retain_graph=True)
show(lambda: torch.autograd.grad(total, x, retain_graph=True))
show(lambda: torch.autograd.grad(total, y, retain_graph=True))
total.backward(inputs=[w], retain_graph=True)
handle.remove()
order = []
total.grad_fn.register_prehook(lambda g: order.extend(n.name() for n in native._current_graph_task_execution_order()))
with torch.autograd.set_multithreading_enabled(False):
    total.backward(retain_graph=True)
print(order)
show(lambda: native._will_engine_execute_node(y.grad_fn))
show(lambda: native._will_engine_execute_node(3))
show(lambda: (native._current_graph_task_id(), native._current_autograd_node(), native._is_multithreading_enabled()))
for outputs in (x * 2, torch.var_mean(x)[0], x.unbind()[1], x.view_as(x)):
    print([(tuple(m.shape), m.dtype, m.device.type) for m in outputs.grad_fn._input_metadata])

# ---- edges -----------------------------------------------------------------------------------------------------------
scalar = x.sin().sum()
edge = get_gradient_edge(scalar)
for weight in (None, torch.ones(3), torch.ones((), dtype=torch.complex64), torch.tensor(2.0)):
    show(lambda: torch.autograd.grad(edge, x, weight, retain_graph=True))
show(lambda: torch.autograd.grad(x * 2, x, [torch.ones(2), torch.ones(2)]))
show(lambda: torch.autograd.grad((x * 2, x * 3), x, [torch.ones(2)]))
show(lambda: torch.autograd.grad(scalar, GradientEdge(scalar.grad_fn, 0)))
show(lambda: y.grad_fn(torch.ones(2), name=1))
for wrong in (lambda gi, go: [*gi], lambda gi, go: gi[0]):
    z = x.exp()
    z.grad_fn.register_hook(wrong)
    show(lambda: z.sum().backward())

# ---- dtypes of gradients ---------------------------------------------------------------------------------------------
p = torch.ones(2, dtype=torch.bfloat16, requires_grad=True)
show(lambda: p.grad_dtype)
p.grad_dtype = torch.float32
p.register_hook(lambda g: print("hook", g.dtype))
(p * 2).sum().backward()
(p.float() * 3).sum().backward()
print(p.grad, torch.autograd.grad((p * 2).sum(), p))
show(lambda: setattr(p, "grad_dtype", torch.float64))
show(lambda: setattr(p, "grad", torch.ones(2, dtype=torch.float64)))
p.grad_dtype = None
p.grad = torch.ones(2, dtype=torch.float64)
show(lambda: (p.grad, p.grad_dtype))
show(lambda: (p * 2).grad_dtype)
show(lambda: setattr(p, "grad_dtype", 3))
for name in ("requires_grad", "data", "_grad_fn", "_backward_hooks"):
    show(lambda: delattr(p, name))


# ---- subclasses ------------------------------------------------------------------------------------------------------
class Own(torch.Tensor):
    pass


own = x.as_subclass(Own)
print(own.is_leaf, own.grad_fn.name(), own._base is x, type(own * 2).__name__, (own * 2).grad_fn.name())
x.grad = None
(own * 3).sum().backward()
print(x.grad)
made = (x * 1).as_subclass(Own)
made.mul_(2)
print(made.grad_fn.name(), made._version)
plain = torch.Tensor._make_subclass(Own, torch.ones(2), True)
print(plain.is_leaf, plain.as_subclass(torch.Tensor).grad_fn.name())

# ---- inference mode --------------------------------------------------------------------------------------------------
writes = (
    lambda kept: kept.add_(1),
    lambda kept: torch.add(kept, 1, out=kept),
    lambda kept: torch.add(torch.ones(2), 1, out=kept),
    lambda kept: kept.resize_(3),
    lambda kept: torch.nn.Parameter(kept),
    lambda kept: torch.nn.Parameter(kept, requires_grad=False).is_inference(),
    lambda kept: torch.func.grad(lambda t: (t * t).sum())(kept),
)
for write in writes:
    with torch.inference_mode():
        kept = torch.ones(2)
    show(lambda: write(kept))
with torch.inference_mode():
    show(lambda: torch.func.grad(lambda t: (t * t).sum())(torch.ones(2)))
    show(lambda: torch.func.grad(lambda t: (t * t).sum())(x.detach()))

# ---- versions, broken views ------------------------------------------------------------------------------------------
v = torch.ones(2)
with torch.autograd._unsafe_preserve_version_counter(v):
    v.add_(1)
before = v._version
v.resize_(1)
print(before, v._version)
show(lambda: x.set_(torch.ones(2)))
show(lambda: setattr(torch.ones(2, dtype=torch.int64), "requires_grad", True))
base = x * 2
first, second = base.unbind()
base.add_(1)
print(first)
top = (x * 2).max()
top_kept = top * top
top.add_(1)
show(lambda: top_kept.backward())
show(lambda: torch.special.zeta(x + 1, x + 1).sum().backward())


@torch.no_grad()
def quiet():
    return torch.is_grad_enabled()


show(quiet)
