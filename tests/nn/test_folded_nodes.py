"""One node where PyTorch has two (linear, cross entropy): who looks sees the two, and gradients are the same."""

import pytest

import lamina
import lamina.nn.functional as F

TARGET = lamina.tensor([0, 2, 1, 1])


def chain(node):
    """The names of the nodes along first edges that lead on."""
    names = []
    while node is not None:
        names.append(node.name())
        node = next(
            (n for n, _ in node.next_functions if n is not None and n.name() != "torch::autograd::AccumulateGrad"), None
        )
    return names


def scores():
    lamina.manual_seed(0)
    return lamina.randn(4, 3, dtype=lamina.float64, requires_grad=True)


@pytest.mark.parametrize(
    "options", [{}, {"weight": lamina.tensor([1.0, 2.0, 3.0]).double()}, {"ignore_index": 1}, {"reduction": "none"}]
)
def test_cross_entropy_is_two_nodes(options):
    x = scores()
    x.grad = None
    F.cross_entropy(x, TARGET, **options).sum().backward()
    straight = x.grad
    x.grad = None
    loss = F.cross_entropy(x, TARGET, **options)
    assert chain(loss.grad_fn) == ["NllLossBackward0", "LogSoftmaxBackward0"]
    loss.sum().backward()
    lamina.testing.assert_close(x.grad, straight)
    lamina.testing.assert_close(
        F.cross_entropy(x, TARGET, **options).grad_fn.next_functions[0][0]._saved_result,
        F.log_softmax(x.detach(), 1),
        check_stride=False,
    )
    assert lamina.autograd.gradgradcheck(lambda x: F.cross_entropy(x, TARGET, **options), x)


def test_scores_may_be_written_to_after_the_loss():
    x = scores()
    lamina.autograd.grad(F.cross_entropy(x * 2, TARGET), x)
    y = x * 2
    loss = F.cross_entropy(y, TARGET)
    y.mul_(3)
    lamina.testing.assert_close(
        lamina.autograd.grad(loss, x)[0], lamina.autograd.grad(F.cross_entropy(x * 2, TARGET), x)[0]
    )


def test_class_weights_may_not():
    x, weight = scores(), lamina.ones(3, dtype=lamina.float64)
    loss = F.cross_entropy(x, TARGET, weight=weight)
    weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_hooks_on_the_inner_node_run():
    x = scores()
    loss, seen = F.cross_entropy(x, TARGET), []
    loss.grad_fn.next_functions[0][0].register_hook(lambda to, come: seen.append((to[0].shape, come[0].shape)))
    loss.backward()
    assert seen == [((4, 3), (4, 3))]


def test_linear_is_two_nodes():
    x, w, b = lamina.ones(2, 3), lamina.ones(4, 3, requires_grad=True), lamina.ones(4, requires_grad=True)
    assert chain(F.linear(x, w, b).grad_fn) == ["AddmmBackward0", "TBackward0"]
