"""autograd.Function: contexts, outputs of every kind, what backward may return. Expected values are PyTorch's."""

import pytest

import lamina
from lamina.autograd import Function
from lamina.autograd.function import NestedIOFunction, once_differentiable


def leaf(*values):
    return lamina.tensor([float(v) for v in values], requires_grad=True)


def function(forward, backward=None, **statics):
    members = {"forward": staticmethod(forward), **{n: staticmethod(f) for n, f in statics.items()}}
    if backward is not None:
        members["backward"] = staticmethod(backward)
    return type("F", (Function,), members)


class Product(Function):
    @staticmethod
    def forward(ctx, x, k, y):
        assert not lamina.is_grad_enabled()
        ctx.save_for_backward(x, None, y)
        # names that the engine could have used for itself
        ctx.k, ctx.saved, ctx.edges, ctx.outputs, ctx.code, ctx.release = k, 1, 2, 3, 4, 5
        return x * y * k

    @staticmethod
    def backward(ctx, g):
        x, nothing, y = ctx.saved_tensors
        assert nothing is None and ctx.outputs == 3
        return g * y * ctx.k, None, g * x * ctx.k if ctx.needs_input_grad[2] else None


def test_old_style():
    x, y = leaf(1, 2), lamina.tensor([3.0, 4.0])
    z = Product.apply(x, 2, y)
    node = z.grad_fn
    assert node.name() == type(node).__name__ == "ProductBackward" and node.k == 2
    assert node.needs_input_grad == (True, False, False) and node.saved_tensors[0] is x
    assert [n for n, _ in node.next_functions][1:] == [None] and isinstance(node, lamina.autograd.graph.Node)
    z.sum().backward()
    assert x.grad.tolist() == [6, 8]
    with pytest.raises(RuntimeError, match="second time"):
        z.sum().backward()


def test_new_style_and_second_derivative():
    class Cube(Function):
        @staticmethod
        def forward(x, power=3):
            return x**power

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(inputs[0])
            ctx.power = inputs[1]

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * ctx.power * x ** (ctx.power - 1), None

    x = leaf(2)
    (g,) = lamina.autograd.grad(Cube.apply(x), x, create_graph=True)
    (h,) = lamina.autograd.grad(g, x)
    assert g.tolist() == [12] and h.tolist() == [12]
    assert Cube.apply(x, power=2).tolist() == [4]


def test_returned_input_is_a_view():
    x = leaf(1)
    out = function(lambda ctx, x: x).apply(x)
    assert out is not x and out._base is x and out.grad_fn.name() == "FBackward"
    plain = lamina.ones(2)
    assert function(lambda ctx, x: x).apply(plain)._base is plain


def test_dirty_input():
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.add_(1)

    dirty = function(forward, lambda ctx, g: g * 2)
    x = leaf(1, 2)
    y = x * 1
    out = dirty.apply(y)
    assert out is y and y.grad_fn.name() == "FBackward"
    y.sum().backward()
    assert x.grad.tolist() == [2, 2]
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad has been used"):
        dirty.apply(x)
    base = leaf(1, 2) * 1
    dirty.apply(base[:1])
    assert base.grad_fn.name().endswith("CopySlices")


def test_non_differentiable_and_other_outputs():
    def forward(ctx, x):
        index = x.argmax()
        doubled = x * 2
        ctx.mark_non_differentiable(doubled)
        return x * 3, doubled, index, "text", None

    seen = []

    def backward(ctx, *grads):
        seen.extend(None if g is None else g.tolist() for g in grads)
        return grads[0] * 3

    x = leaf(1, 2)
    outs = function(forward, backward).apply(x)
    assert [isinstance(o, lamina.Tensor) and o.requires_grad for o in outs] == [True, False, False, False, False]
    outs[0].sum().backward()
    assert seen == [[1, 1], [0, 0], 0, None, None]


@pytest.mark.parametrize("materialize, wanted", [(True, [0, 0]), (False, None)])
def test_unused_output(materialize, wanted):
    seen = []

    def forward(ctx, x):
        ctx.set_materialize_grads(materialize)
        return x * 1, x * 2

    def backward(ctx, g, h):
        seen.append(None if h is None else h.tolist())
        return g

    function(forward, backward).apply(leaf(1, 2))[0].sum().backward()
    assert seen == [wanted]


@pytest.mark.parametrize(
    "backward, text",
    [
        (lambda ctx, g: (g, g, g), r"incorrect number of gradients \(expected 2, got 3\)"),
        (lambda ctx, g: g, r"incorrect number of gradients \(expected 2, got 1\)"),
        (lambda ctx, g: (g, g), "gradient different than None at position 2"),
        (
            lambda ctx, g: (lamina.ones(3), None),
            r"invalid gradient at index 0 - got \[3\] but expected shape compatible with \[2\]",
        ),
        (lambda ctx, g: (3, None), "expected Variable or None"),
    ],
)
def test_backward_that_returns_what_does_not_fit(backward, text):
    out = function(lambda ctx, x, k: x * k, backward).apply(leaf(1, 2), 2)
    with pytest.raises(RuntimeError, match=text):
        out.sum().backward()


def test_gradients_are_fitted():
    """Summed over what broadcasts, in the dtype of the input; trailing None is allowed."""
    x = leaf(1, 2)
    function(lambda ctx, x: x * 2, lambda ctx, g: (lamina.ones(3, 2, dtype=lamina.float64), None)).apply(
        x
    ).sum().backward()
    assert x.grad.tolist() == [3, 3] and x.grad.dtype is lamina.float32


def test_missing_and_double_definitions():
    x = leaf(1)
    with pytest.raises(NotImplementedError, match="backward or vjp"):
        function(lambda ctx, x: x * 1).apply(x).backward()
    with pytest.raises(RuntimeError, match="Implementing both"):
        function(lambda ctx, x: x * 1, lambda ctx, g: g, vjp=lambda ctx, g: g).apply(x).backward()
    function(lambda ctx, x: x * 1, vjp=lambda ctx, g: g * 5).apply(x).backward()
    assert x.grad.tolist() == [5]
    with pytest.warns(DeprecationWarning, match="should not be instantiated"):
        legacy = Product()
    with pytest.raises(RuntimeError, match="Legacy autograd function"):
        legacy(x)


def test_once_differentiable():
    f = function(lambda ctx, x: x * 2, once_differentiable(lambda ctx, g: g * 2))
    x = leaf(1)
    (g,) = lamina.autograd.grad((f.apply(x) ** 2).sum(), x, create_graph=True)
    assert g.tolist() == [8]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.sum().backward()


def test_saved_output_and_modification():
    class Exp(Function):
        @staticmethod
        def forward(ctx, x):
            out = x.exp()
            ctx.save_for_backward(out)
            return out

        @staticmethod
        def backward(ctx, g):
            (out,) = ctx.saved_tensors
            assert out.grad_fn is ctx
            return g * out

    y = Exp.apply(leaf(0))
    y.backward(retain_graph=True)
    y.add_(1)
    with pytest.raises(RuntimeError, match="output 0 of Exp, is at version 1; expected version 0"):
        y.backward()


def test_nested():
    class Sum(NestedIOFunction):
        @staticmethod
        def forward_extended(ctx, pair, rest):
            return pair[0] + pair[1] * rest["k"]

        @staticmethod
        def backward_extended(ctx, g):
            return (g, g * 2), {"k": g * 0}

    a, b, k = leaf(1), leaf(2), leaf(3)
    Sum.apply((a, b), {"k": k}).sum().backward()
    assert (a.grad.item(), b.grad.item(), k.grad.item()) == (1, 2, 0)
