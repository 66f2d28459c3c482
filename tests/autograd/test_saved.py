"""What the graph saves in the care of hooks; checkpoints. Expected values are PyTorch's."""

import pytest

import lamina
from lamina.autograd import graph
from lamina.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential, set_checkpoint_early_stop


def leaf(*values):
    return lamina.tensor([float(v) for v in values], requires_grad=True)


def test_pack_and_unpack():
    said = []
    x = leaf(1, 2)
    with graph.saved_tensors_hooks(
        lambda t: said.append("pack") or t.tolist(), lambda v: said.append("unpack") or lamina.tensor(v)
    ):
        loss = (x * x).exp().sum()
    assert said == ["pack"] * 3
    (g,) = lamina.autograd.grad(loss, x, create_graph=True)
    assert said[3:] == ["unpack"] * 3
    (h,) = lamina.autograd.grad(g.sum(), x)  # unpacked tensors keep their place in the graph
    assert lamina.allclose(h, (2 + 4 * x * x) * (x * x).exp())


@pytest.mark.parametrize(
    "pack, unpack, error",
    [(lambda t: t.mul_(2), lambda t: t, RuntimeError), (lambda t: t, lambda t: 3, TypeError)],
)
def test_bad_hooks(pack, unpack, error):
    with pytest.raises(error), graph.saved_tensors_hooks(pack, unpack):
        (leaf(1) * 1).exp().sum().backward()


def test_disabled():
    with graph.disable_saved_tensors_hooks("not here"), pytest.raises(RuntimeError, match="not here"):
        with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            pass


def test_mutation_of_saved_tensors():
    x = leaf(1, 2)
    with graph.allow_mutation_on_saved_tensors() as context:
        y = x * 2
        loss = (y * y).sum()
        y.add_(100)
        loss.backward(retain_graph=True)
        assert x.grad.tolist() == [8, 16]
        context.clear()
        with pytest.raises(AssertionError):
            loss.backward()


def test_one_tensor():
    y = leaf(1).exp()
    saved = y.grad_fn._raw_saved_result
    saved.register_hooks(lambda t: t, lambda t: t * 0)
    y.backward()
    with pytest.raises(RuntimeError, match="already|freed"):
        saved.register_hooks(lambda t: t, lambda t: t)


# ---- checkpoints -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoint(reentrant):
    calls = []

    def f(x, y):
        calls.append(lamina.is_grad_enabled())
        return (x * y).exp()

    x, y = leaf(1), leaf(2)
    checkpoint(f, x, y, use_reentrant=reentrant).sum().backward()
    assert calls == [not reentrant, True]
    assert lamina.allclose(x.grad, 2 * (x * y).exp()) and lamina.allclose(y.grad, (x * y).exp())


@pytest.mark.parametrize("reentrant", [True, False])
def test_both_runs_draw_the_same(reentrant):
    masks = []

    def f(x):
        mask = lamina.rand(4) > 0.5
        masks.append(mask.tolist())
        return x * mask * x

    x = leaf(1, 2, 3, 4)
    checkpoint(f, x, use_reentrant=reentrant).sum().backward()
    assert masks[0] == masks[1]


def test_stops_early():
    calls = []

    def f(x):
        calls.append("begin")
        y = x.exp().sin()
        calls.append("end")
        return y

    checkpoint(f, leaf(1), use_reentrant=False).backward()
    assert calls == ["begin", "end", "begin"]
    with set_checkpoint_early_stop(False):
        checkpoint(f, leaf(1), use_reentrant=False).backward()
    assert calls[3:] == ["begin", "end", "begin", "end"]


def test_nothing_is_kept():
    sizes = []

    def f(x):
        y = x.exp()
        sizes.append(y)
        return y.sin()

    import weakref

    out = checkpoint(f, leaf(1), use_reentrant=False)
    held = weakref.ref(sizes.pop()._array)
    assert held() is None
    out.backward()


def test_nested_and_second_derivative():
    def g(x):
        return (x.exp() * x).sin()

    def outer(x):
        return checkpoint(g, x, use_reentrant=False) * 2

    x = leaf(0.5)
    (first,) = lamina.autograd.grad(checkpoint(outer, x, use_reentrant=False), x, create_graph=True)
    (second,) = lamina.autograd.grad(first, x)
    (wanted,) = lamina.autograd.grad(g(x) * 2, x, create_graph=True)
    (wanted_second,) = lamina.autograd.grad(wanted, x)
    assert lamina.allclose(first, wanted) and lamina.allclose(second, wanted_second)


def test_runs_that_differ():
    runs = []

    def fewer(x):
        runs.append(1)
        return x.exp().sin() if len(runs) == 1 else x * 1

    with pytest.raises(CheckpointError, match="different number of tensors"):
        checkpoint(fewer, leaf(1), use_reentrant=False).backward()
    runs.clear()

    def larger(x):
        runs.append(1)
        return (x if len(runs) == 1 else lamina.cat([x, x])).exp()

    with pytest.raises(CheckpointError, match="different metadata"):
        checkpoint(larger, leaf(1), use_reentrant=False).sum().backward()


def test_sequential():
    x = leaf(0.1, 0.2)
    steps = [lamina.exp, lamina.sin, lamina.tanh, lamina.exp]
    out = checkpoint_sequential(steps, 2, x, use_reentrant=False)
    assert lamina.equal(out, x.exp().sin().tanh().exp())
    with pytest.raises(ValueError, match="Unexpected keyword"):
        checkpoint_sequential(steps, 2, x, use_reentrant=False, foo=1)


def test_reentrant_limits():
    with pytest.raises(RuntimeError, match="use_reentrant=True"):
        x = leaf(1)
        lamina.autograd.grad(checkpoint(lamina.exp, x, use_reentrant=True), x)
