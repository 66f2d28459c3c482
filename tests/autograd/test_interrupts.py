"""An interrupt may come before and behind any call that a program makes: what it leaves must be whole, and the next step right."""

from __future__ import annotations

import sys

import pytest

import lamina
from lamina.autograd import engine, modes


class Interrupt(BaseException):
    pass


def interrupted_everywhere(prepare, least):
    """Yields what `prepare` gave, after its function was interrupted at the first, second, ... call of Python's or C's.

    prepare() -> (state, function). The last that is yielded ran to its end; there are at least so many.
    """
    n = done = 0
    while not done:
        state, function = prepare()
        left = n

        def interrupt(frame, event, argument):
            nonlocal left
            if event in ("call", "c_return") and frame.f_code is not interrupted_everywhere.__code__:
                left -= 1
                if left < 0:
                    sys.setprofile(None)
                    raise Interrupt

        try:
            sys.setprofile(interrupt)
            function()
            done = True
        except Interrupt:
            pass
        finally:
            sys.setprofile(None)
        yield state
        n += 1
    assert n >= least


def nothing_open():
    assert engine.current_run() is None and not engine.active and modes.current() is None


@pytest.mark.parametrize("before", [None, 1.0])
def test_backward_accumulates_wholly_or_not_at_all(before):
    def prepare():
        x = lamina.linspace(0, 1, 6).reshape(2, 3).requires_grad_()
        w = lamina.ones(3, 2, requires_grad=True)
        x.grad = w.grad = None
        if before is not None:
            x.grad, w.grad = lamina.full((2, 3), before), lamina.full((3, 2), before)
        loss = ((x @ w).tanh() * x[:, :2].exp()).sum() + w.sum()
        return (x, w), lambda: loss.backward(retain_graph=True)

    (x, w), backward = prepare()
    backward()
    wanted = [x.grad, w.grad]
    for leaves in interrupted_everywhere(prepare, 30):
        nothing_open()
        for leaf, whole in zip(leaves, wanted, strict=True):
            old = leaf.grad is None if before is None else leaf.grad is not None and bool((leaf.grad == before).all())
            assert old or leaf.grad.equal(whole)


WRITES = {
    "view": lambda b, v: v.mul_(3.0),
    "add_": lambda b, v: b.add_(1.0),
    "copy_": lambda b, v: v.copy_(v.detach().clone() * 2),
    "setitem": lambda b, v: b.__setitem__(slice(0, 2), 7.0),
    "exp_": lambda b, v: b.exp_(),
    "softmax": lambda b, v: v.sigmoid_(),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_has_its_version_and_history(name):
    """A test of no gradients would do with the version; the history tells what a gradient would be."""

    def prepare():
        a = lamina.linspace(0.1, 1, 4, requires_grad=True)
        b = a * 2
        v = b[1:3]
        return (a, b, b.detach().clone(), b._version), lambda: WRITES[name](b, v)

    (whole, b, _, _), write = prepare()
    write()
    b.sum().backward()
    for a, b, old, version in interrupted_everywhere(prepare, 10):
        nothing_open()
        written = not b.detach().equal(old)
        assert not written or b._version > version
        b.sum().backward()
        assert a.grad.equal(whole.grad) if written else a.grad.equal(lamina.full((4,), 2.0))


@pytest.mark.parametrize("name", ["sigmoid_", "neg_", "relu_", "zero_", "fill_"])
def test_a_plain_write_is_counted(name):
    def prepare():
        b = lamina.linspace(0.1, 1, 4)
        return (b, b.clone(), b._version), lambda: getattr(b, name)(*((3.0,) if name == "fill_" else ()))

    for b, old, version in interrupted_everywhere(prepare, 3):
        assert b.equal(old) or b._version > version


def test_decorated_functions_leave_the_mode():
    step = lamina.no_grad()(lambda: lamina.ones(2) * 2)
    for _ in interrupted_everywhere(lambda: (None, step), 6):
        nothing_open()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of a generator that is being closed
def test_an_optimizers_step_leaves_the_mode():
    def prepare():
        p = lamina.ones(3, requires_grad=True)
        p.grad = lamina.ones(3)
        return None, lamina.optim.SGD([p], lr=0.1, momentum=0.9).step

    for _ in interrupted_everywhere(prepare, 20):
        nothing_open()
