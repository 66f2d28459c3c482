"""Nodes, edges, AccumulateGrad, hooks that return what does not fit."""

import torch
from show import show

# grad layout
w = torch.ones(2, 3).t().requires_grad_()
(w * torch.ones(3, 2)).sum().backward()
print(w.grad.stride())
w = torch.ones(2, 3).requires_grad_()
(w.t().contiguous() * 1.0).sum().backward()
print(w.grad.stride())
w = torch.ones(1).expand(3).detach().requires_grad_()
(w * 2).sum().backward()
print(w.grad.stride())
# accumulate into expanded grad
w = torch.ones(3, requires_grad=True)
w.grad = torch.ones(1).expand(3)
try:
    (w * 2).sum().backward()
    print(w.grad)
except Exception as e:
    print(type(e).__name__, e)
# accumulate node
p = torch.ones(2, requires_grad=True)
acc = p.expand_as(p).grad_fn.next_functions[0][0]
print(acc.variable is p, acc.name(), acc.next_functions, acc)
acc.register_hook(lambda i, o: print("post", i, o))
acc.register_prehook(lambda o: print("pre", o))
p.register_hook(lambda g: print("t", g))
p.register_post_accumulate_grad_hook(lambda q: print("pa", q.grad))
(p * 2).sum().backward()
torch.autograd.grad((p * 2).sum(), p)
# order hooks non leaf
a = torch.ones(2, requires_grad=True)
b = a * 2
b.retain_grad()
b.register_hook(lambda g: g * 5)
b.grad_fn.register_prehook(lambda o: (o[0] * 7,))
b.grad_fn.register_hook(lambda i, o: print("post", i, o))
b.register_hook(lambda g: g + 1)
b.sum().backward()
print(a.grad, b.grad)
# wrong shapes from hook
a = torch.ones(2, requires_grad=True)
b = a * 2
b.register_hook(lambda g: g.sum())
show(lambda: b.sum().backward())
a = torch.ones(2, requires_grad=True)
b = a * 2
b.register_hook(lambda g: g.double())
show(lambda: b.sum().backward())
a = torch.ones(2, requires_grad=True)
b = a * 2
b.register_hook(lambda g: 3)
show(lambda: b.sum().backward())
a = torch.ones(2, requires_grad=True)
b = a * 2
b.grad_fn.register_hook(lambda i, o: (torch.ones(3), None))
show(lambda: b.sum().backward())
a = torch.ones(2, requires_grad=True)
b = a * 2
b.grad_fn.register_hook(lambda i, o: (torch.ones(2),))
show(lambda: b.sum().backward())
a = torch.ones(2, requires_grad=True)
b = a * 2
b.grad_fn.register_hook(lambda i, o: (torch.ones(2).double(), None))
show(lambda: (b.sum().backward(), a.grad))
a = torch.ones(2, requires_grad=True)
b = a * 2
b.grad_fn.register_hook(lambda i, o: 4)
show(lambda: (b.sum().backward(), a.grad))
a = torch.ones(2, requires_grad=True)
b = a * 2
b.grad_fn.register_prehook(lambda o: 4)
show(lambda: (b.sum().backward(), a.grad))
a = torch.ones(2, requires_grad=True)
b = a * 2
b.grad_fn.register_prehook(lambda o: (o[0], o[0]))
show(lambda: (b.sum().backward(), a.grad))
show(lambda: b.grad_fn.register_hook(4))
show(lambda: b.register_hook(4))
show(lambda: (b.sum().backward(), a.grad))
a = torch.ones(2, requires_grad=True)
b = a * 3
show(lambda: b.grad_fn(torch.ones(2)))
show(lambda: b.grad_fn(torch.ones(2, requires_grad=True)))
show(lambda: b.grad_fn(torch.ones(3)))
show(lambda: b.grad_fn(None))
show(lambda: b.grad_fn())
show(lambda: b.grad_fn(3))
print(
    b.grad_fn.metadata,
    b.grad_fn._sequence_nr() >= 0,
    b.grad_fn._saved_self,
    b.grad_fn._saved_other.item() == 3,
    b.grad_fn._raw_saved_self,
    type(b.grad_fn).__name__,
    isinstance(b.grad_fn, torch.autograd.graph.Node),
)
e = torch.autograd.graph.get_gradient_edge(b)
print(e)
print(torch.autograd.graph.get_gradient_edge(a))
print(torch.autograd.graph.GradientEdge.__mro__, e._fields)
show(lambda: torch.autograd.graph.get_gradient_edge(torch.ones(2)))
show(lambda: torch.autograd.graph.get_gradient_edge(3))
y = a.exp()
print(y.grad_fn._saved_result is y, y.grad_fn._saved_result, y.grad_fn._raw_saved_result)
y.sum().backward()
show(lambda: y.grad_fn._saved_result)
show(lambda: y.grad_fn._raw_saved_result)
s = a.sum()
print(s.grad_fn._saved_self_sym_sizes)
show(lambda: s.grad_fn._saved_nothing)
show(lambda: setattr(s.grad_fn, "foo", 1))
show(lambda: s.grad_fn == s.grad_fn)
show(lambda: hash(s.grad_fn) == hash(s.grad_fn))
show(lambda: torch.autograd.Variable._execution_engine.queue_callback(lambda: 1))
show(lambda: torch.autograd.Variable)
show(lambda: torch.autograd.Variable(torch.ones(2), requires_grad=True))
show(lambda: isinstance(torch.ones(2), torch.autograd.Variable))
show(lambda: torch.autograd.Variable(torch.ones(2), volatile=True))
show(lambda: torch.autograd.Variable())
show(lambda: torch.autograd.Variable(3.0))
show(lambda: torch.autograd.Variable(a * 2))
show(lambda: torch.autograd.Variable(a))
show(lambda: torch.autograd.graph.increment_version(a))
print(a._version)
show(lambda: torch.autograd.graph.increment_version([a, b]))
print(a._version, b._version)
show(lambda: torch.autograd.graph.increment_version(3))
