"""The engine: long chains, threads, reentrance, anomaly mode, arguments of backward and grad."""

import threading
import warnings
import weakref

import torch
from show import show

ones = torch.ones


def leaf(*v):
    return torch.tensor(v or (1.0, 2.0), requires_grad=True)


# chain
x = leaf()
y = x
for _ in range(2000):
    y = y + 1
y.sum().backward()
print(x.grad)
n = y.grad_fn
c = 0
while n is not None:
    n = n.next_functions[0][0] if n.next_functions else None
    c += 1
print(c)
del n, y
y = x
for _ in range(500):
    y = y.exp().log()
(g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
print(g.shape)
del g, y
# fan in
t = leaf()
s = [t * i for i in range(20000)]
torch.stack(s).sum().backward()
print(t.grad)
del s
s = 0
for i in range(3000):
    s = s + t
s.sum().backward()
print(t.grad)
# diamond
y = t
for _ in range(60):
    y = y + y
y.sum().backward()
print(t.grad)
# freed during
w = []


class Probe(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        t = x * 1
        w.append(weakref.ref(ctx))
        ctx.save_for_backward(x)
        return t

    @staticmethod
    def backward(ctx, g):
        print("probe", sum(r() is not None for r in w))
        return g


# threads
p = leaf(0.0, 0.0)
errs = []


def work():
    try:
        for _ in range(200):
            (p * 2).sum().backward()
    except Exception as e:
        errs.append(e)


ts = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in ts]
[t.join() for t in ts]
print(p.grad, errs)
shared = (p * 3).exp()
res = []


def back():
    try:
        shared.sum().backward()
        res.append("ok")
    except RuntimeError as e:
        res.append(str(e)[:20])


ts = [threading.Thread(target=back) for _ in range(3)]
[t.start() for t in ts]
[t.join() for t in ts]
print(sorted(res)[:1])
# grad mode per thread
L = []
with torch.no_grad():
    th = threading.Thread(target=lambda: L.append(torch.is_grad_enabled()))
    th.start()
    th.join()
print(L)


# reentrant deep
class Re(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, d):
        ctx.d = d
        return x * 1

    @staticmethod
    def backward(ctx, g):
        if ctx.d:
            with torch.enable_grad():
                t = leaf(1.0)
                Re.apply(t, ctx.d - 1).sum().backward()
        return g, None


a = leaf(1.0)
Re.apply(a, 150).sum().backward()
print(a.grad)
# keyboard interrupt in hook and again
y = p * 2
h = y.register_hook(lambda g: (_ for _ in ()).throw(KeyboardInterrupt()))
try:
    y.sum().backward()
except KeyboardInterrupt:
    print("KI")
h.remove()
p.grad = None
(p * 2).sum().backward()
print(p.grad, torch.is_grad_enabled())
# set_multithreading, queue_callback
with torch.autograd.set_multithreading_enabled(False):
    (p * 2).sum().backward()
    print(torch._C._is_multithreading_enabled() if hasattr(torch._C, "_is_multithreading_enabled") else False)
y = p * 2
y.register_hook(lambda g: torch.autograd.Variable._execution_engine.queue_callback(lambda: print("cb")))
y.sum().backward()
# anomaly
x = leaf(0.0, 1.0)
with torch.autograd.detect_anomaly():
    y = (x / x).sqrt()
    show(lambda: y.sum().backward())
with torch.autograd.detect_anomaly(check_nan=False):
    (x / x).sqrt().sum().backward()
    print(x.grad)
with torch.autograd.set_detect_anomaly(True):
    print(torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled())
with torch.autograd.set_detect_anomaly(True, check_nan=False):
    print(torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled())
print(torch.is_anomaly_enabled())
with torch.autograd.detect_anomaly():

    class Bad(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            raise ValueError("bad")

    with warnings.catch_warnings(record=True) as ws:
        warnings.simplefilter("always")
        show(lambda: Bad.apply(x).sum().backward())
        print([str(m.message).split("\n")[0] for m in ws])

    def f(t):
        return t * float("nan")

    with warnings.catch_warnings(record=True) as ws:
        warnings.simplefilter("always")
        show(lambda: f(x).sum().backward())
        print([str(m.message).split("\n")[0] for m in ws], "in f" in str(ws[0].message))
    y = x.exp()
    print("traceback_" in y.grad_fn.metadata, sorted(y.grad_fn.metadata))
# args errors
y = x * 2
show(lambda: y.backward())
show(lambda: y.backward(ones(3)))
show(lambda: y.backward(3))
show(lambda: y.backward(ones(2), inputs=[]))
show(lambda: y.backward(ones(2), inputs=[ones(2)]))
show(lambda: y.sum().backward(inputs=x))
show(lambda: y.sum().backward(inputs=[y * 1]))
show(lambda: torch.autograd.grad(y.sum(), []))
show(lambda: torch.autograd.grad([], [x]))
show(lambda: torch.autograd.grad(y.sum(), ones(2)))
show(lambda: torch.autograd.grad((x * 2).sum(), [x, leaf()]))
show(lambda: torch.autograd.grad((x * 2).sum(), [x, leaf()], allow_unused=True))
show(lambda: torch.autograd.grad((x * 2).sum(), [x, leaf()], materialize_grads=True))
show(lambda: torch.autograd.grad((x * 2).sum(), [x, leaf()], allow_unused=False, materialize_grads=True))
show(lambda: torch.autograd.grad((x * 2), [x], ones(2)))
show(lambda: torch.autograd.grad((x * 2), [x], [None]))
show(lambda: torch.autograd.grad(x * 2, x, torch.eye(2), is_grads_batched=True))
show(lambda: torch.autograd.grad(x * 2, x, torch.ones(3), is_grads_batched=True))
show(lambda: torch.autograd.grad([x * 2, x * x], [x], [torch.eye(2), None], is_grads_batched=True))
show(lambda: torch.autograd.backward([x * 2, x * 3], [ones(2), None]))
show(lambda: torch.autograd.backward([(x * 2).sum(), x * 3], [None, ones(2)]))
show(lambda: torch.autograd.backward(3))
show(lambda: torch.autograd.backward([]))
show(lambda: torch.autograd.backward((x * 2).sum(), grad_tensors=ones(1)))
show(lambda: torch.autograd.backward((x * 2).sum(), grad_variables=ones(())))
show(lambda: torch.autograd.grad(3, x))
show(lambda: torch.autograd.grad((x * 2).sum(), 3))
show(lambda: torch.autograd.grad((x * 2).sum(), x, only_inputs=False))
show(lambda: ones(2).sum().backward())
show(lambda: (x * 2).long().sum().backward())
show(lambda: (x.detach() * 2).sum().backward())
show(lambda: torch.autograd.grad((x * 2).sum(), {"a": x}))
show(lambda: torch.autograd.grad((x * 2).sum(), (x for _ in range(1))))
