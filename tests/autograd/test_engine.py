"""The engine: order, accumulation, hooks, threads, depth, what is freed. Expected values are PyTorch's."""

import gc
import os
import threading
import weakref

import numpy as np
import pytest

import lamina
from lamina import autograd


def leaf(*values):
    return lamina.tensor([float(v) for v in values], requires_grad=True)


# ---- accumulation ----------------------------------------------------------------------------------------------------


def test_accumulates_in_place():
    x = leaf(1, 2)
    (x * 2).sum().backward()
    first, version = x.grad, x.grad._version
    (x * 3).sum().backward()
    assert x.grad is first and first.tolist() == [5, 5] and first._version == version + 1


def test_gradient_given_by_the_caller_is_not_taken():
    x, g = leaf(1, 2), lamina.ones(2)
    x.backward(g)
    g.zero_()
    assert x.grad.tolist() == [1, 1]


def test_two_leaves_do_not_share_one_gradient():
    a, b = leaf(1, 2), leaf(3, 4)
    (a + b).backward(lamina.ones(2))
    a.grad.mul_(3)
    assert b.grad.tolist() == [1, 1]


def test_gradient_has_the_strides_of_its_leaf():
    x = lamina.ones(2, 3).t().detach().requires_grad_()
    (x * 2).sum().backward()
    assert x.grad.stride() == x.stride() == (1, 3)


def test_create_graph_accumulates_out_of_place():
    x = leaf(2)
    with pytest.warns(UserWarning, match="reference cycle"):
        lamina.core.warn.said.clear()
        (x**3).backward(create_graph=True)
    first = x.grad
    assert first.grad_fn.name().endswith("CopyBackwards")
    (x**3).backward(create_graph=True)
    assert x.grad is not first and x.grad.tolist() == [24]
    x.grad = None


# ---- hooks -----------------------------------------------------------------------------------------------------------


def test_order_of_hooks():
    said = []
    x = leaf(1, 1)
    y = x * 2
    y.retain_grad()  # sees what the tensor's hooks made of the gradient, whenever it is asked for
    y.register_hook(lambda g: said.append("tensor") or g * 5)
    y.grad_fn.register_prehook(lambda gs: said.append("before") or (gs[0] * 7,))
    y.grad_fn.register_hook(lambda ins, outs: said.append("after"))
    x.register_hook(lambda g: said.append("leaf"))
    x.register_post_accumulate_grad_hook(lambda t: said.append(t.grad[0].item()))
    y.sum().backward()
    assert said == ["tensor", "before", "after", "leaf", 70.0]
    assert y.grad.tolist() == [5, 5] and x.grad.tolist() == [70, 70]


def test_captured_gradient_and_hooks():
    """A node where the way goes on gives its gradient before the hooks; where it ends, after them."""
    x = leaf(1, 2)
    y = x * 3
    y.register_hook(lambda g: g * 2)
    loss = (y * y).sum()
    assert [g.tolist() for g in autograd.grad(loss, [x, y], retain_graph=True)] == [[36, 72], [6, 12]]
    assert autograd.grad(loss, y)[0].tolist() == [12, 24]


def test_hook_sees_none_for_an_unused_output():
    seen = []
    parts = (leaf(1, 2, 3) * 1).unbind()
    parts[1].register_hook(seen.append)
    parts[0].backward()
    assert seen == [None]


def test_removing_while_running():
    said = []
    x = leaf(1)
    y = x * 2
    handle = y.register_hook(lambda g: (said.append(1), handle.remove())[0])
    y.backward(retain_graph=True)
    y.backward()
    assert said == [1]


@pytest.mark.parametrize(
    "hook, error, text",
    [
        (lambda g: g.sum(), RuntimeError, "changed the size"),
        (lambda g: g.double(), RuntimeError, "changed the type"),
        (lambda g: 3, TypeError, "expected Variable"),
        (lambda g: 1 / 0, ZeroDivisionError, "division"),
    ],
)
def test_hooks_that_fail(hook, error, text):
    x = leaf(1, 2)
    y = x * 2
    y.register_hook(hook)
    with pytest.raises(error, match=text):
        y.sum().backward()
    assert lamina.is_grad_enabled() and x.grad is None
    (x * 3).sum().backward()  # the engine goes on
    assert x.grad.tolist() == [3, 3]


def test_interrupted():
    def interrupt(g):
        raise KeyboardInterrupt

    x = leaf(1)
    y = x * 2
    y.register_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        y.backward()
    (x * 3).backward()
    assert x.grad.tolist() == [3] and lamina.is_grad_enabled()


def test_multi_grad_hook():
    a, b, c = leaf(1), leaf(2), leaf(3)
    seen = []
    handle = autograd.graph.register_multi_grad_hook(
        (a, b, c), lambda grads: seen.append([None if g is None else g.item() for g in grads])
    )
    (a * b).sum().backward()
    (a * b * c).sum().backward()
    handle.remove()
    (a * b).sum().backward()
    assert seen == [[2.0, 1.0, None], [6.0, 3.0, 2.0]]


def test_callbacks_at_the_end():
    said = []
    x = leaf(1)
    engine = autograd.Variable._execution_engine
    x.register_hook(lambda g: engine.queue_callback(lambda: said.append(x.grad.item())))
    (x * 2).backward()
    assert said == [2.0]
    with pytest.raises(RuntimeError, match="during backward"):
        engine.queue_callback(print)


# ---- threads, processes, depth -----------------------------------------------------------------------------------------


def test_threads_share_a_leaf():
    w = lamina.ones(100, requires_grad=True)

    def work():
        for _ in range(10):
            (w * 2).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert (w.grad._array == 320).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_after_a_fork():
    (leaf(1) * 2).backward()
    child = os.fork()
    if child == 0:
        x = leaf(1)
        (x * 2).backward()
        os._exit(0 if x.grad.item() == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("step", [lambda y: y + 1, lambda y: y * 1.0], ids=["saves nothing", "saves"])
def test_long_chain(step):
    """Built, run, walked and freed, without recursion."""
    n = 100_000
    x = leaf(1)
    y = x
    for _ in range(n):
        y = step(y)
    y.backward()
    assert x.grad.item() == 1
    node, count = y.grad_fn, 0
    while node is not None:
        count += 1
        node = node.next_functions[0][0] if node.next_functions else None
    assert count == n + 1
    del y, node


def test_wide_fan_in():
    x = leaf(1)
    y = x * 1.0
    total = y
    for _ in range(20_000):
        total = total + y
    total.backward()
    assert x.grad.item() == 20_001
    x.grad = None
    lamina.cat([x] * 20_000).sum().backward()
    assert x.grad.item() == 20_000


class Deeper(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        with lamina.enable_grad():
            ctx.inner = x.detach().requires_grad_() - 1
        return ctx.inner.detach()

    @staticmethod
    def backward(ctx, g):
        if ctx.inner >= 0:
            with lamina.enable_grad():
                Deeper.apply(ctx.inner).sum().backward()
        return g


def test_backward_inside_backward():
    x = lamina.tensor(500.0, requires_grad=True)
    Deeper.apply(x).sum().backward()
    assert x.grad.item() == 1


# ---- memory ------------------------------------------------------------------------------------------------------------


def test_saved_tensors_go_while_backward_runs():
    x = leaf(*range(10))
    middle = x.exp()
    array = weakref.ref(middle._array)
    alive = []
    x.register_hook(lambda g: alive.append(array() is not None))
    loss = (middle * middle).sum()
    del middle
    assert array() is not None
    loss.backward()
    assert alive == [False]


def test_no_cycles():
    """A graph goes with its last tensor, without the collector."""
    gc.disable()
    try:
        x = leaf(1, 2)
        y = (x * 2).exp().tanh()
        node = y.grad_fn
        held = [weakref.ref(t) for t in (x, y, node)]
        del x, y, node
        assert [r() for r in held] == [None] * 3
    finally:
        gc.enable()


def test_cycles_through_hooks_are_collected():
    class Owner:
        pass

    owner = Owner()
    owner.tensor = leaf(1)
    owner.tensor.register_hook(lambda g, owner=owner: None)
    owner.result = owner.tensor * 2
    owner.result.register_hook(lambda g, owner=owner: None)
    held = weakref.ref(owner)
    del owner
    gc.collect()
    assert held() is None


# ---- arguments ---------------------------------------------------------------------------------------------------------


def test_edges_in_place_of_tensors():
    x = leaf(1, 2)
    y = x * 3
    edge = autograd.graph.get_gradient_edge(y)
    loss = (y * 5).sum()
    del y
    assert autograd.grad(loss, edge, retain_graph=True)[0].tolist() == [5, 5]
    autograd.backward(autograd.graph.get_gradient_edge(loss))
    assert x.grad.tolist() == [15, 15]


def test_inputs_of_backward():
    x, y = leaf(1, 2), leaf(3, 4)
    m = x * 2
    (m * y).sum().backward(inputs=[m, y])
    assert x.grad is None and y.grad.tolist() == [2, 4] and m.grad.tolist() == [3, 4] and m.retains_grad


def test_unused_inputs():
    x, y = leaf(1, 2), leaf(3)
    with pytest.raises(RuntimeError, match="index 1 appears to not have been used"):
        autograd.grad((x * 2).sum(), [x, y])
    assert autograd.grad((x * 2).sum(), [x, y], allow_unused=True)[1] is None
    assert autograd.grad((x * 2).sum(), [x, y], materialize_grads=True)[1].tolist() == [0]
    assert set(autograd.grad((x * 2).sum(), {"x": x})) == {"x"}


def test_batches_of_gradients():
    x = leaf(1, 2, 3)
    (rows,) = autograd.grad(x * 2, x, lamina.eye(3), is_grads_batched=True)
    assert np.array_equal(rows._array, 2 * np.eye(3))


@pytest.mark.parametrize(
    "make, again",
    [
        (lambda x: x + 1, True), (lambda x: x.sum(), True), (lambda x: x.view(2, 1), True), (lambda x: lamina.add(x, x, alpha=2), True),
        (lambda x: x.clone(), True), (lambda x: x * 2, False), (lambda x: x.exp(), False), (lambda x: x / 2, False),
        (lambda x: x[lamina.tensor([0])], False),
    ],
)  # fmt: skip
def test_second_backward(make, again):
    """Allowed where nothing was saved; elsewhere the graph is freed."""
    y = make(leaf(1, 2)).sum()
    y.backward()
    if again:
        y.backward()
    else:
        with pytest.raises(RuntimeError, match="second time"):
            y.backward()


@pytest.mark.parametrize("turned", [(True, True), (True, False), (False, True), (False, False)])
def test_gradients_of_products_lie_as_their_matrices(turned):
    """As PyTorch's do: a weight that is used transposed gets its gradient without a copy."""
    x, y = (lamina.randn(5, 4).t() if turned[0] else lamina.randn(4, 5)), lamina.randn(5, 3)
    weight = (lamina.randn(3, 5) if turned[1] else lamina.randn(5, 3)).requires_grad_()
    x.requires_grad_()
    y = weight.t() if turned[1] else weight
    for product in (x @ y, lamina.addmm(lamina.zeros(3), x, y)):
        x_grad, y_grad = lamina.autograd.grad(product.sum(), (x, y), retain_graph=True)
        assert (x_grad.stride(), y_grad.stride()) == (x.stride(), y.stride())
        weight.grad = None
        product.sum().backward()
        assert weight.grad.is_contiguous()


def test_linear_is_two_nodes_to_whoever_looks():
    """One node computes; its next functions, hooks and saved tensors are those of PyTorch's two."""
    x, weight = (
        leaf(1, 2, 3, 4).detach().view(2, 2).requires_grad_(),
        leaf(1, -1, 0, 2, 3, 1).detach().view(3, 2).requires_grad_(),
    )
    bias = leaf(0, 1, 2)
    seen = []

    def results(look):
        for t in (x, weight, bias):
            t.grad = None
        out = lamina.nn.functional.linear(x, weight, bias)
        look(out.grad_fn)
        (out * out).sum().backward()
        return [t.grad.tolist() for t in (x, weight, bias)]

    def walk(node):
        names = [n.name() for n, _ in node.next_functions]
        assert names == ["torch::autograd::AccumulateGrad", "torch::autograd::AccumulateGrad", "TBackward0"]
        assert node.next_functions[2][0].next_functions[0][0].variable is weight
        assert node.name() == "AddmmBackward0" and node._saved_mat2.shape == (2, 3)

    plain = results(lambda node: None)
    assert plain == results(walk)
    assert plain == results(
        lambda node: node.register_hook(lambda ins, outs: seen.append([tuple(i.shape) for i in ins]))
    )
    assert seen == [[(3,), (2, 2), (2, 3)]]


def test_a_run_to_chosen_inputs_computes_nothing_for_others():
    """The rule of an edge that leads nowhere is not called: here it would raise."""
    calls = []

    class Watched(lamina.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            calls.append(1)
            return g

    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    product = x * Watched.apply(y)
    node = product.grad_fn
    first, second = type(node)._primitive.rules
    assert [g.tolist() for g in lamina.autograd.grad(product.sum(), [x], retain_graph=True)] == [[3.0, 4.0]]
    assert calls == [] and first is not None and second is not None
    cells = {x: None}
    assert node._vjp(lamina.ones(2).numpy(), False, cells)[1] is None
    (both,) = lamina.autograd.grad(product.sum(), [y], create_graph=True)
    assert both.tolist() == [1.0, 2.0] and both.requires_grad and calls == [1]


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge"])
def test_nothing_flows_through_a_comparison_in_place(name):
    x, y = (lamina.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    for other, form in ((2.0, 0), (y, 1)):
        z = x * 3
        getattr(z, f"{name}_")(other)
        assert z.grad_fn.name() == f"{name.capitalize()}Backward{form}" and z.dtype is lamina.float32
        z.sum().backward()
        assert x.grad.tolist() == [0.0, 0.0]
    assert y.grad.tolist() == [0.0, 0.0]


def test_what_keeps_only_numbers_goes_back_again():
    x = lamina.tensor([1.0, 2.0], requires_grad=True)
    y = x.lerp(x * 2, 0.25)
    y.sum().backward(retain_graph=False, inputs=[y])
    (y * y).sum().backward(inputs=[y])
    assert y.grad.tolist() == [3.5, 6.0]


def test_a_hook_cannot_make_a_gradient():
    class Nothing(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return None

    x = lamina.ones(2, requires_grad=True)
    x.register_hook(lambda g: lamina.ones(2))
    with pytest.raises(RuntimeError, match="can't replace a None gradient"):
        Nothing.apply(x).sum().backward()
    assert x.grad is None


def test_cotangents_of_edges_take_their_dtype():
    x = lamina.tensor([1.0, 2.0], dtype=lamina.float64, requires_grad=True)
    y = x.sum()
    y.retain_grad()
    lamina.autograd.grad(lamina.autograd.graph.get_gradient_edge(y), x, lamina.tensor(2.0))
    assert y.grad.dtype is lamina.float64


def test_edges_of_a_bound_that_is_a_number():
    x = lamina.ones(2, requires_grad=True) * 2
    assert x.clamp(min=-0.5).grad_fn.next_functions == ((x.grad_fn, 0),)
