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
    ],
)
def test_the_argument_is_named(call, text):
    x = lamina.eye(2)
    with pytest.raises(TypeError) as raised:
        call(x)
    assert text in str(raised.value)
    assert lamina.equal(x, lamina.eye(2)) and x._version == 0


def test_numpy_and_zero_dimensional_tensors_are_numbers():
    import numpy as np

    x = lamina.arange(6).reshape(2, 3)
    assert lamina.kthvalue(x, np.int64(1)).values.tolist() == lamina.kthvalue(x, lamina.tensor(1)).values.tolist()
    assert lamina.topk(x, 1, largest=np.bool_(False)).values.tolist() == [[0], [3]]
