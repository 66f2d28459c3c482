"""nn.functional where it could go wrong: kinks, extremes, in-place forms, refused arguments."""

import math

import pytest

import lamina
import lamina.nn.functional as F

INF = math.inf
# name: function, points, PyTorch's derivative there
KINKS = {
    "relu": (F.relu, [0.0], [0.0]),
    "hardtanh": (F.hardtanh, [-1.0, 1.0, 0.5], [0.0, 0.0, 1.0]),
    "relu6": (F.relu6, [0.0, 6.0], [0.0, 0.0]),
    "hardsigmoid": (F.hardsigmoid, [-3.0, 3.0], [0.0, 0.0]),
    "hardswish": (F.hardswish, [-3.0, 3.0], [0.0, 1.0]),
    "leaky_relu": (F.leaky_relu, [0.0], [0.01]),
    "elu": (lambda x: F.elu(x, 0.5), [0.0], [0.5]),
    "celu": (F.celu, [0.0], [1.0]),
    "hardshrink": (F.hardshrink, [-0.5, 0.5, 0.6], [0.0, 0.0, 1.0]),
    "softshrink": (F.softshrink, [-0.5, 0.5, 0.6], [0.0, 0.0, 1.0]),
    "threshold": (lambda x: F.threshold(x, 0.5, 2.0), [0.5, 0.6], [0.0, 1.0]),
    "smooth_l1": (lambda x: F.smooth_l1_loss(x, x.detach() - 1, reduction="sum"), [0.0], [1.0]),
    "normalize": (lambda x: F.normalize(x, dim=0), [0.0, 0.0], [1e12, 1e12]),
    "pairwise_distance": (lambda x: F.pairwise_distance(x, x.detach(), eps=0.0), [3.0, 4.0], [0.0, 0.0]),
    "pdist": (lambda x: F.pdist(x[:, None]), [1.0, 1.0], [0.0, 0.0]),
    "binary_cross_entropy": (
        lambda p: F.binary_cross_entropy(p, 1 - p.detach(), reduction="sum"),
        [0.0, 1.0],
        [-1e12, 1e12],
    ),
    "multi_margin": (lambda x: F.multi_margin_loss(x, lamina.tensor(0)), [1.0, 0.0], [0.0, 0.0]),
}


@pytest.mark.parametrize("name", KINKS)
def test_derivative_at_the_kink(name):
    function, points, expected = KINKS[name]
    x = lamina.tensor(points, dtype=lamina.float64, requires_grad=True)
    function(x).sum().backward()
    assert x.grad.tolist() == pytest.approx(expected, rel=1e-6)


SMOOTH_AT_ZERO = {  # name: function, second derivative at 0
    "logsigmoid": (F.logsigmoid, -0.25),
    "softplus": (F.softplus, 0.25),
    "silu": (F.silu, 0.5),
    "gelu": (F.gelu, 2 / math.sqrt(2 * math.pi)),
    "mish": (F.mish, 0.64),
    "with_logits": (lambda x: F.binary_cross_entropy_with_logits(x, x.detach() + 1), 0.25),
    "soft_margin": (lambda x: F.soft_margin_loss(x, x.detach() + 1), 0.25),
    "elu": (F.elu, 1.0),
}


@pytest.mark.parametrize("name", SMOOTH_AT_ZERO)
def test_second_derivative_at_zero(name):
    """A formula with abs or max in it would give 0 here."""
    function, expected = SMOOTH_AT_ZERO[name]
    x = lamina.zeros(1, dtype=lamina.float64, requires_grad=True)
    (first,) = lamina.autograd.grad(function(x).sum(), x, create_graph=True)
    (second,) = lamina.autograd.grad(first.sum(), x)
    assert second.item() == pytest.approx(expected, rel=1e-9)


EXTREME = {
    "elu": F.elu, "selu": F.selu, "celu": F.celu, "softplus": F.softplus, "logsigmoid": F.logsigmoid, "mish": F.mish,
    "silu": F.silu, "gelu": F.gelu, "hardswish": F.hardswish,
    "softmax": lambda x: F.softmax(x, 0), "log_softmax": lambda x: F.log_softmax(x, 0),
    "with_logits": lambda x: F.binary_cross_entropy_with_logits(x, x.detach() * 0 + 0.3, reduction="none"),
    "soft_margin": lambda x: F.soft_margin_loss(x / 20, x.detach() * 0 + 1, reduction="none"),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EXTREME)
def test_extremes_stay_finite_to_the_second_derivative(name, dtype):
    x = lamina.tensor([-1000.0, -90.0, 0.0, 90.0, 1000.0], dtype=getattr(lamina, dtype), requires_grad=True)
    out = EXTREME[name](x)
    (first,) = lamina.autograd.grad((out * out).sum(), x, create_graph=True)
    (second,) = lamina.autograd.grad(first.sum(), x)
    assert all(bool(t.isfinite().all()) for t in (out, first, second))


CHECKED = {
    "layer_norm": lambda x, y: F.layer_norm(x, (4,), y[0], y[1]),
    "batch_norm": lambda x, y: F.batch_norm(x, None, None, y[0], y[1], True),
    "group_norm": lambda x, y: F.group_norm(x, 2, y[0], y[1]),
    "rms_norm": lambda x, y: F.rms_norm(x, (4,), y[0]),
    "cross_entropy": lambda x, y: F.cross_entropy(x, y.softmax(1), label_smoothing=0.2),
    "softmax": lambda x, y: F.softmax(x, 1) * F.log_softmax(y, 0),
    "attention": lambda x, y: F.scaled_dot_product_attention(x, y, x + y, is_causal=True),
    "attention_as_one": lambda x, y: F.scaled_dot_product_attention(x[None, None], y[None, None], y[None, None] * 2),
    "bilinear": lambda x, y: F.bilinear(x, y, (x[:, :, None] * y[:, None])[:2]),
    "cosine": lambda x, y: F.cosine_similarity(x, y),
    "glu": lambda x, y: F.glu(x, 1) * F.gelu(y, approximate="tanh")[:, :2],
    "antialias": lambda x, y: F.interpolate((x * y)[None, None], (2, 3), mode="bicubic", antialias=True),
    "poisson": lambda x, y: F.poisson_nll_loss(x, y),
    "prelu": lambda x, y: F.prelu(x, y[0]),
}


@pytest.mark.parametrize("name", CHECKED)
def test_gradients_by_finite_differences(name):
    generator = lamina.Generator().manual_seed(5)
    x, y = (lamina.randn(3, 4, dtype=lamina.float64, generator=generator, requires_grad=True) for _ in range(2))
    assert lamina.autograd.gradcheck(CHECKED[name], (x, y))
    assert lamina.autograd.gradgradcheck(CHECKED[name], (x, y))


IN_PLACE = [
    "relu",
    "relu6",
    "elu",
    "selu",
    "celu",
    "leaky_relu",
    "silu",
    "mish",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
]


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_forms(name):
    leaf = lamina.tensor([-2.0, -0.3, 0.4, 5.0], requires_grad=True)
    function = getattr(F, name)
    expected = function(leaf)
    (wanted,) = lamina.autograd.grad(expected.sum(), leaf)
    x = leaf * 1
    version = x._version
    assert function(x, inplace=True) is x
    assert x._version == version + 1
    assert x.tolist() == expected.tolist()
    x.sum().backward()
    assert leaf.grad.tolist() == pytest.approx(wanted.tolist())
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        function(leaf, inplace=True)


def test_dropout_scales_and_passes_through():
    x = lamina.ones(1000, requires_grad=True)
    out = F.dropout(x, 0.25)
    assert sorted(set(out.tolist())) == pytest.approx([0.0, 4 / 3])
    out.sum().backward()
    assert x.grad.tolist() == out.tolist()
    assert F.dropout(x, 0.25, training=False) is x
    assert F.dropout(x, 1.0).sum().item() == 0
    planes = F.dropout2d(lamina.ones(8, 4, 3, 3))
    assert all(len(set(plane.flatten().tolist())) == 1 for sample in planes for plane in sample)


def test_rrelu_draws_only_for_negative_elements():
    """So does PyTorch: what is drawn next depends on it."""
    lamina.manual_seed(1)
    F.rrelu(lamina.tensor([1.0, -1.0, 2.0, -2.0]), training=True)
    ours = lamina.rand(1)
    lamina.manual_seed(1)
    lamina.empty(2, dtype=lamina.float64).uniform_(0, 1)
    assert lamina.rand(1).item() == ours.item()


REFUSED = [
    (lambda x: F.gelu(x.long()), NotImplementedError, "\"GeluKernelImpl\" not implemented for 'Long'"),
    (lambda x: F.gelu(x, approximate="fast"), RuntimeError, "approximate argument must be either none or tanh"),
    (lambda x: F.relu([1.0]), TypeError, r"relu\(\): argument 'input' \(position 1\) must be Tensor, not list"),
    (lambda x: F.softmax(x, 2), IndexError, "Dimension out of range"),
    (lambda x: F.nll_loss(x, lamina.tensor([0, 9])), IndexError, "Target 9 is out of bounds"),
    (lambda x: F.cross_entropy(x, lamina.tensor([0])), ValueError, "Expected input batch_size"),
    (lambda x: F.mse_loss(x, x, reduction="all"), ValueError, "all is not a valid value for reduction"),
    (lambda x: F.binary_cross_entropy(x * 9, x.abs()), RuntimeError, "all elements of input should be between 0 and 1"),
    (lambda x: F.dropout(x, 2), ValueError, "dropout probability has to be between 0 and 1, but got 2"),
    (lambda x: F.layer_norm(x, (5,)), RuntimeError, r"Given normalized_shape=\[5\], expected input with shape"),
    (lambda x: F.interpolate(x[None], mode="cubic", size=2), NotImplementedError, "Input Error: Only 3D, 4D and 5D"),
    (lambda x: F.pad(x, (7, 0), "reflect"), RuntimeError, "Argument #4: Padding size should be less"),
    (lambda x: F.scaled_mm(x, x), NotImplementedError, "float8"),
]


@pytest.mark.parametrize("call, error, text", REFUSED)
def test_refused(call, error, text):
    with pytest.raises(error, match=text):
        call(lamina.tensor([[1.0, -2.0, 3.0], [0.5, 0.1, -1.0]]))


WARNED = [
    (lambda x: F.softmax(x), "Implicit dimension choice for softmax"),
    (lambda x: F.mse_loss(x, x[0]), "Using a target size"),
    (lambda x: F.l1_loss(x, x, size_average=True), "size_average and reduce args will be deprecated"),
    (lambda x: F.kl_div(x, x.abs()), "reduction: 'mean' divides the total loss"),
    (lambda x: F.upsample(x[None], 4), "`nn.functional.upsample` is deprecated"),
    (lambda x: F.dropout2d(x), "dropout2d: Received a 2-D input"),
]


@pytest.mark.parametrize("call, text", WARNED)
def test_warned(call, text):
    with pytest.warns(UserWarning, match=text):
        call(lamina.tensor([[1.0, -2.0, 3.0], [0.5, 0.1, -1.0]]))
