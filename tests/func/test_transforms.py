"""torch.func's transforms and their compositions: against finite differences, loops over entries, and each other."""

import itertools
import math

import numpy as np
import pytest

import lamina
from lamina.func import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap

D = lamina.float64
X = lamina.tensor([0.3, -0.7, 1.2], dtype=D)
BATCH = lamina.tensor([[0.3, -0.7, 1.2], [1.1, 0.4, -0.2]], dtype=D)


def written(x):
    out = x.clone()
    out[0] = 2.0
    out[1:].mul_(x[:-1])
    return out.sin()


def branches(x):
    return lamina.where(x > 0, x.exp(), x * x) + lamina.softmax(x, 0)


class Cube(lamina.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 3 * x * x

    @staticmethod
    def jvp(ctx, t):
        (x,) = ctx.saved_tensors
        return t * 3 * x * x


class Doubled(lamina.autograd.Function):
    """Its batching is written by hand."""

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
    def jvp(ctx, t):
        return t * 2

    @staticmethod
    def vmap(info, in_dims, x):
        return Doubled.apply(x), in_dims[0]


FUNCTIONS = {
    "elementwise": lambda x: x.sin() * x.exp(),
    "matrix": lambda x: (lamina.outer(x, x) + 2 * lamina.eye(3, dtype=D)) @ x,
    "inverse": lambda x: lamina.linalg.inv(lamina.diag(x * x) + lamina.ones(3, 3, dtype=D))[0],
    "written": written,
    "branches": branches,
    "views": lambda x: x.view(3, 1).expand(3, 2).t().reshape(-1)[1:4] * x,
    "sorted": lambda x: x.sort()[0].cumsum(0) * x.flip(0),
    "reduced": lambda x: x / (x * x).sum() + x.logsumexp(0),
    "Function": lambda x: Cube.apply(x) * x,
    "Function by hand": lambda x: Doubled.apply(x) * x,
}
functions = pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)


def differences(f, x, eps=1e-5):
    """The Jacobian of f by central differences."""
    steps = lamina.eye(x.numel(), dtype=D).reshape(x.numel(), *x.shape) * eps
    return lamina.stack([(f(x + s) - f(x - s)) / (2 * eps) for s in steps], -1)


def close(a, b, tolerance=1e-7):
    assert a.shape == b.shape
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), tolerance, tolerance)


@functions
def test_jacobians(f):
    wanted = differences(f, X)
    for found in (
        jacrev(f)(X),
        jacfwd(f)(X),
        jacrev(f, chunk_size=2)(X),
        lamina.autograd.functional.jacobian(f, X, vectorize=True),
    ):
        close(found, wanted)
    close(lamina.stack([jvp(f, (X,), (e,))[1] for e in lamina.eye(3, dtype=D)], -1), wanted)
    close(lamina.stack([vjp(f, X)[1](e)[0] for e in lamina.eye(3, dtype=D)]), wanted)
    close(vmap(linearize(f, X)[1])(lamina.eye(3, dtype=D)).T, wanted)


@functions
def test_second_derivatives(f):
    def total(x):
        return f(x).pow(2).sum()

    wanted = differences(grad(total), X)
    close(grad(total)(X), differences(total, X))
    for outer, inner in itertools.product((jacfwd, jacrev), (jacfwd, jacrev)):
        close(outer(inner(total))(X), wanted)
    close(hessian(total)(X), wanted)
    v = lamina.tensor([1.0, 2.0, -1.0], dtype=D)
    close(jvp(grad(total), (X,), (v,))[1], wanted @ v)
    close(grad(lambda x: jvp(total, (x,), (v,))[1])(X), wanted @ v)


@functions
def test_batches(f):
    def loop(g):
        return lamina.stack([g(x) for x in BATCH])

    def total(x):
        return f(x).sum()

    for g in (
        f,
        grad(total),
        jacrev(f),
        jacfwd(f),
        hessian(total),
        lambda x: jvp(f, (x,), (x,))[1],
        lambda x: vjp(f, x)[1](x)[0],
    ):
        close(vmap(g)(BATCH), loop(g), 1e-12)
        close(vmap(g, in_dims=1, out_dims=-1)(BATCH.T), loop(g).movedim(0, -1), 1e-12)
        close(vmap(g, chunk_size=1)(BATCH), loop(g), 1e-12)
    close(
        vmap(vmap(f))(lamina.stack([BATCH, BATCH + 1])),
        lamina.stack([loop(f), lamina.stack([f(x + 1) for x in BATCH])]),
        1e-12,
    )
    close(grad(lambda b: vmap(total)(b).sum())(BATCH), loop(grad(total)), 1e-12)
    close(jvp(vmap(f), (BATCH,), (BATCH,))[1], loop(lambda x: jvp(f, (x,), (x,))[1]), 1e-12)


def test_values_and_auxiliaries():
    gradient, (value, extra) = grad_and_value(lambda x: (x.sum(), {"twice": x * 2}), has_aux=True)(X)
    assert gradient.tolist() == [1, 1, 1] and value == X.sum() and extra["twice"].equal(X * 2)
    assert not extra["twice"].requires_grad


def test_parts_of_arguments():
    def f(a, b):
        return (a["x"] * b[0]).sum()

    a, b = {"x": X}, (X * 2, X)
    by_b, by_a = grad(f, argnums=(1, 0))(a, b)
    assert by_a["x"].equal(X * 2) and by_b[0].equal(X) and by_b[1].tolist() == [0, 0, 0]


def test_per_sample_gradients_of_a_module():
    net = lamina.nn.Sequential(lamina.nn.Linear(3, 4), lamina.nn.Tanh(), lamina.nn.Linear(4, 1)).double()
    weights = {name: p.detach() for name, p in net.named_parameters()}

    def loss(weights, x):
        return lamina.func.functional_call(net, weights, (x,)).pow(2).sum()

    found = vmap(grad(loss), in_dims=(None, 0))(weights, BATCH)
    for i, x in enumerate(BATCH):
        net.zero_grad()
        net(x).pow(2).sum().backward()
        for name, p in net.named_parameters():
            close(found[name][i], p.grad, 1e-12)


@pytest.mark.parametrize("randomness", ["different", "same"])
def test_randomness(randomness):
    lamina.manual_seed(0)
    found = vmap(lambda x: lamina.nn.functional.dropout(x * 0 + 1, 0.5), randomness=randomness)(lamina.ones(6, 20))
    assert (found == found[0]).all() == (randomness == "same")
    with pytest.raises(RuntimeError, match="randomness"):
        vmap(lambda x: lamina.rand(2) + x)(X)


ASKED = {
    "requires_grad_": lambda x: x.requires_grad_().sum(),
    "a new tensor": lambda x: lamina.ones(3, dtype=D).requires_grad_().sum() + x.sum(),
    "backward": lambda x: [lamina.ones(3, requires_grad=True).sum().backward(), x.sum()][1],
    "functional": lambda x: lamina.autograd.functional.jacobian(lambda y: y * 2, x).sum(),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
@pytest.mark.parametrize(
    "transform",
    [
        lambda f: vmap(f)(BATCH),
        lambda f: grad(f)(X),
        lambda f: jvp(f, (X,), (X,)),
        lambda f: vjp(f, X),
        lambda f: jacfwd(f)(X),
    ],
)
def test_autograd_inside_a_transform_is_refused(asked, transform):
    with pytest.raises(RuntimeError, match="inside (a functorch transform|of a function being transformed)"):
        transform(asked)
    assert not X.requires_grad and not BATCH.requires_grad
    assert lamina.ones(2).requires_grad_().sum().backward() is None  # outside all is as ever


def test_history_stays_outside():
    w = X.clone().requires_grad_()
    assert grad(lambda x: (x * w).sum())(X).requires_grad
    assert not grad(lambda x: (x * x).sum())(X).requires_grad
    (grad(lambda x: (x**3).sum())(w)).sum().backward()
    close(w.grad, 6 * X)


def test_hessian_by_columns():
    w = X.clone().requires_grad_()

    def f(a, b):
        return (a * b * b).sum() + (a**3).sum()

    rows = lamina.autograd.functional.hessian(f, (w, X), vectorize=True, outer_jacobian_strategy="forward-mode")
    close(rows[0][0], lamina.diag(6 * X))
    close(rows[0][1], lamina.diag(2 * X))
    close(rows[1][1], lamina.diag(2 * X))


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
@pytest.mark.parametrize("reduce", [lamina.prod, lamina.max, lamina.norm])
def test_reductions_of_all_entries_inside_a_batch(reduce, shape):
    x = lamina.arange(math.prod((4, *shape)), dtype=lamina.float64).reshape(4, *shape) - 1.5
    gradient = lamina.func.grad(lambda a: reduce(a.tanh()))
    assert lamina.allclose(lamina.vmap(gradient)(x), lamina.stack([gradient(row) for row in x]))
    curvature = lamina.func.hessian(lambda a: reduce(a.tanh()))
    assert lamina.allclose(lamina.vmap(curvature)(x), lamina.stack([curvature(row) for row in x]))
