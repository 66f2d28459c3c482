"""A public function takes what its annotations say: anything else is a TypeError that names the argument, and nothing has changed."""

import pytest

import lamina
from lamina.nn import functional


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda x: lamina.unique(x, return_inverse="yes"), "argument 'return_inverse' must be bool, not str"),
        (lambda x: lamina.topk(x, 1, 0, 1), "argument 'largest' (position 4) must be bool, not int"),
        (lambda x: lamina.kthvalue(x, True), "argument 'k' (position 2) must be int, not bool"),
        (lambda x: functional.softplus("x"), "argument 'input' (position 1) must be Tensor, not str"),
        (lambda x: functional.instance_norm(x, weight="w"), "argument 'weight' must be Tensor, not str"),
        (lambda x: lamina.linalg.cholesky(x, upper=None), "argument 'upper' must be bool, not NoneType"),
        (
            lambda x: lamina.index_put(x, (lamina.tensor([0]),), x[0], accumulate=2),
            "'accumulate' must be bool, not int",
        ),
        (lambda x: lamina.sum(x, dtype="float32"), "sum(): argument 'dtype' must be torch.dtype, not str"),
        (lambda x: lamina.addmm(x, x, x, alpha="2"), "argument 'alpha' must be Number, not str"),
        (lambda x: lamina.add(x, x, alpha=x), "add(): argument 'alpha' must be Number, not Tensor"),
        (lambda x: functional.avg_pool2d(x[None], True), "argument 'kernel_size' (position 2) must be tuple of ints"),
        (lambda x: functional.layer_norm(x, [2.0]), "argument 'normalized_shape' (position 2) must be tuple of ints"),
        (lambda x: x.normal_(0, "x"), "argument 'std' (position 3) must be float, not str"),
        (lambda x: x.as_strided({}, (1,)), "argument 'size' (position 2) must be tuple of ints, not dict"),
        (lambda x: lamina.cartesian_prod(None), "expected Tensor as element 0 in argument 0, but got NoneType"),
        (lambda x: x.expand_as(2), "argument 'other' (position 2) must be Tensor, not int"),
        (lambda x: x.add_(1, out=x), "add_() got an unexpected keyword argument 'out'"),
        (lambda x: lamina.diff(x, 1.5), "argument 'n' (position 2) must be int, not float"),
    ],
)
def test_the_argument_is_named(call, text):
    x = lamina.eye(2)
    with pytest.raises(TypeError) as raised:
        call(x)
    assert text in str(raised.value)
    assert lamina.equal(x, lamina.eye(2)) and x._version == 0


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda x: functional.glu("x"), AttributeError, "no attribute 'dim'"),
        (lambda x: functional.batch_norm(None, x[0], x[0], training=True), AttributeError, "no attribute 'size'"),
        (lambda x: functional.max_unpool2d([x], x, 2), AttributeError, "no attribute 'size'"),
        (lambda x: lamina.sum(x, 2**70), ValueError, "Overflow when unpacking long long"),
        (lambda x: x.expand(2, -7), RuntimeError, "must match"),
        (lambda x: x.as_strided((-2,), (1,)), RuntimeError, "negative dimensions"),
        (lambda x: x * x.to("meta"), RuntimeError, "Tensor on device meta is not on the expected device cpu!"),
        (lambda x: functional.layer_norm(x, (2,), x[0].double()), RuntimeError, "mixed dtype (CPU)"),
    ],
)
def test_what_is_raised_is_what_pytorch_raises(call, error, text):
    x = lamina.eye(2)
    with pytest.raises(error) as raised:
        call(x)
    assert text in str(raised.value)
    assert lamina.equal(x, lamina.eye(2)) and x._version == 0


def test_python_types_are_dtypes():
    x = lamina.eye(2)
    assert x.to(float).dtype is x.sum(dtype=float).dtype is lamina.float64
    assert x.cumsum(0, dtype=int).dtype is lamina.int64 and lamina.finfo(float).dtype == "float64"


def test_numpy_and_zero_dimensional_tensors_are_numbers():
    import numpy as np

    x = lamina.arange(6).reshape(2, 3)
    assert lamina.kthvalue(x, np.int64(1)).values.tolist() == lamina.kthvalue(x, lamina.tensor(1)).values.tolist()
    assert lamina.topk(x, 1, largest=np.bool_(False)).values.tolist() == [[0], [3]]


@pytest.mark.parametrize(
    "name, argument, value, shape",
    [
        ("permute", "dims", (1, 0), (3, 2)),
        ("reshape", "shape", (3, 2), (3, 2)),
        ("view", "size", (6,), (6,)),
        ("expand", "size", (4, 2, 3), (4, 2, 3)),
        ("repeat", "repeats", (2, 1), (4, 3)),
        ("flip", "dims", (0,), (2, 3)),
        ("sum_to_size", "size", (1, 3), (1, 3)),
        ("resize_", "size", (3,), (3,)),
    ],
)
def test_sizes_are_given_one_by_one_together_and_by_name(name, argument, value, shape):
    for call in (
        lambda method: method(*value),
        lambda method: method(value),
        lambda method: method(**{argument: value}),
    ):
        assert call(getattr(lamina.zeros(2, 3), name)).shape == shape
    with pytest.raises(TypeError, match=f'missing 1 required positional arguments: "{argument}"'):
        getattr(lamina.zeros(2, 3), name)()


@pytest.mark.parametrize("name, missing", [("softmax", '"dim"'), ("mm", '"mat2"'), ("gather", '"dim", "index"')])
def test_what_is_missing_is_named_as_by_pytorchs_parser(name, missing):
    count = missing.count(",") + 1
    with pytest.raises(TypeError, match=rf"^{name}\(\) missing {count} required positional arguments: {missing}$"):
        getattr(lamina.zeros(2, 2), name)()
