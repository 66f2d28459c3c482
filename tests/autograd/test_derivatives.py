"""functional and gradcheck: values, and that the checks fail where they must; anomaly mode; modes."""

import pytest

import lamina
from lamina.autograd import Function, detect_anomaly, functional, gradcheck, gradgradcheck
from lamina.autograd.gradcheck import GradcheckError


def double(*values):
    return lamina.tensor(values, dtype=lamina.float64, requires_grad=True)


@pytest.mark.parametrize("vectorize", [False, True])
def test_jacobian_and_hessian(vectorize):
    a, b = double(1.0, 2.0), double(3.0, 4.0)

    def product(a, b):
        return a * b, a.sum()

    (by_a, by_b), (s_a, s_b) = functional.jacobian(product, (a, b), vectorize=vectorize)
    assert by_a.tolist() == [[3, 0], [0, 4]] and by_b.tolist() == [[1, 0], [0, 2]]
    assert s_a.tolist() == [1, 1] and s_b.tolist() == [0, 0]
    hessian = functional.hessian(lambda x: (x**3).sum(), a, vectorize=vectorize)
    assert hessian.tolist() == [[6, 0], [0, 12]]


def test_products():
    x, v = double(1.0, 2.0), double(3.0, 5.0).detach()
    cube = (x**3).sum().item()
    for f in (functional.hvp, functional.vhp):
        value, product = f(lambda x: (x**3).sum(), x, v)
        assert value.item() == cube and product.tolist() == [18, 60]
    assert functional.jvp(lambda x: x * x, x, v)[1].tolist() == [6, 20]
    assert functional.vjp(lambda x: x * x, x, v)[1].tolist() == [6, 20]
    with pytest.raises(RuntimeError, match="strict mode"):
        functional.jvp(lambda x: lamina.ones(2), x, v, strict=True)
    forward = functional.jacobian(lambda x: x * x, x, vectorize=True, strategy="forward-mode")
    assert forward.tolist() == [[2, 0], [0, 4]]


class Wrong(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]


class WrongSecond(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0].detach()


class NotLinear(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return lamina.full_like(g, 2.0)


class Unsteady(Function):
    runs = 0

    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        Unsteady.runs += 1
        return g * (2 + 1e-9 * Unsteady.runs)


@pytest.mark.parametrize("fast", [False, True])
def test_gradcheck_holds(fast):
    x, y = double([1.0, 2.0], [3.0, 4.0]), double(0.5, 0.7)
    assert gradcheck(lambda x, y: ((x * y).exp(), x + y), (x, y), fast_mode=fast)
    assert gradgradcheck(lambda x, y: (x * y).exp(), (x, y), fast_mode=fast)
    z = lamina.tensor([1 + 2j, 3 - 1j], dtype=lamina.complex128, requires_grad=True)
    assert gradcheck(lambda z: z * z, (z,), fast_mode=fast) and gradcheck(lambda z: z.abs(), (z,), fast_mode=fast)


@pytest.mark.parametrize("fast", [False, True])
def test_gradcheck_fails(fast):
    with pytest.raises(GradcheckError, match="Jacobian mismatch for output 0 with respect to input 0"):
        gradcheck(Wrong.apply, (double(1.0, 2.0),), fast_mode=fast)
    assert not gradcheck(Wrong.apply, (double(1.0, 2.0),), raise_exception=False, fast_mode=fast)
    assert gradcheck(WrongSecond.apply, (double(1.0, 2.0),), fast_mode=fast)
    with pytest.raises(GradcheckError):
        gradgradcheck(WrongSecond.apply, (double(1.0, 2.0),), fast_mode=fast)


def test_gradcheck_rules():
    x = double(1.0, 2.0)
    with pytest.raises(GradcheckError):
        gradcheck(NotLinear.apply, (x,))
    with pytest.raises(GradcheckError, match="not reentrant"):
        gradcheck(Unsteady.apply, (x,))
    assert gradcheck(Unsteady.apply, (x,), nondet_tol=1e-3)
    with pytest.raises(GradcheckError, match="expected to be zero"):
        gradcheck(lambda x: x.detach(), (x,))
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(lambda x: x, (x.detach(),))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy on the root of a negative number
def test_anomaly_mode():
    x = double(0.0)
    with pytest.warns(UserWarning, match="Anomaly Detection has been enabled"):
        context = detect_anomaly()
    with context, pytest.warns(UserWarning, match="(?s)Error detected in SqrtBackward0.*test_derivatives.py"):
        y = (x - 1).sqrt()
        with pytest.raises(RuntimeError, match="'SqrtBackward0' returned nan values in its 0th output"):
            y.sum().backward()
    with lamina.autograd.set_detect_anomaly(True, check_nan=False):
        (x - 1).sqrt().sum().backward()
    assert x.grad.isnan().all()


def test_modes():
    x = double(1.0)

    @lamina.no_grad()
    def off():
        return (x * 2).requires_grad

    @lamina.enable_grad()
    def on():
        for _ in range(2):
            yield (x * 2).requires_grad

    assert not off()
    with lamina.no_grad():
        assert [(v, lamina.is_grad_enabled()) for v in on()] == [(True, False)] * 2
    with lamina.inference_mode():
        made = lamina.ones(2, dtype=lamina.float64)
        with lamina.enable_grad():
            assert not (x * 2).requires_grad
    assert made.is_inference() and not (made + 1).is_inference()
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved"):
        x * made
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        made.add_(1)
