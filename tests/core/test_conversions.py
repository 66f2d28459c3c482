"""Tensors from Python data and back: numbers, NumPy, DLPack, buffers, pickle, copies."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina

DTYPES = [
    lamina.bool, lamina.uint8, lamina.int8, lamina.int16, lamina.int32, lamina.int64, lamina.float16, lamina.bfloat16,
    lamina.float32, lamina.float64, lamina.complex64, lamina.complex128,
]  # fmt: skip
NUMBERS = (
    st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(-(2.0**90), 2.0**90, width=32)
    | st.complex_numbers(max_magnitude=1e30)
)


def nested(shape):
    return NUMBERS if not shape else st.lists(nested(shape[1:]), min_size=shape[0], max_size=shape[0])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=3).flatmap(lambda shape: st.tuples(st.just(shape), nested(shape))))
def test_nested_numbers(drawn):
    shape, data = drawn
    t = lamina.tensor(data)
    flat = list(np.array(data, dtype=object).reshape(-1)) if 0 not in shape else []
    category = max((("bool", "int", "float", "complex").index(type(v).__name__) for v in flat), default=2)
    wanted = (lamina.bool, lamina.int64, lamina.float32, lamina.complex64)[category]
    assert t.dtype is wanted
    assert list(t.shape) == shape[: shape.index(0) + 1] if 0 in shape else list(t.shape) == shape
    if flat:
        assert np.array_equal(t.numpy().reshape(-1), np.array(flat).astype(t.numpy().dtype))


@pytest.mark.parametrize(
    "data, error, text",
    [
        ([[1], [1, 2]], ValueError, "expected sequence of length 1 at dim 1"),
        ([[1], 2], TypeError, "not a sequence"),
        ([1, [2]], TypeError, "'list' object cannot be interpreted as an integer"),
        ("ab", TypeError, "invalid data type 'str'"),
        (["ab"], ValueError, "too many dimensions 'str'"),
        (None, RuntimeError, "Could not infer dtype of NoneType"),
        ({1: 2}, RuntimeError, "Could not infer dtype of dict"),
        ([2**63], ValueError, "Overflow when unpacking long long"),
        ([lamina.ones(2)], ValueError, "only one element tensors"),
        (np.arange(3)[::-1], ValueError, "negative"),
        (np.array(["a"]), TypeError, "numpy.str_"),
    ],
)
def test_data_that_is_none(data, error, text):
    with pytest.raises(error, match=text):
        lamina.tensor(data)


def test_a_list_inside_itself():
    cycle = [1]
    cycle.append(cycle)
    with pytest.raises(TypeError, match="self-referential"):
        lamina.tensor(cycle)


@pytest.mark.parametrize(
    "value, dtype", [(300, lamina.uint8), (2**31, lamina.int32), (float("nan"), lamina.int64), (-129, lamina.int8)]
)
def test_numbers_that_do_not_fit(value, dtype):
    with pytest.raises(RuntimeError, match="without overflow"):
        lamina.tensor(value, dtype=dtype)
    with pytest.raises(RuntimeError, match="without overflow"):
        lamina.zeros(2, dtype=dtype).fill_(value)


def test_tensors_and_arrays_in_lists_meet_in_one_dtype():
    assert (
        lamina.tensor([lamina.tensor(1, dtype=lamina.uint8), lamina.tensor(1, dtype=lamina.int8)]).dtype is lamina.int16
    )
    assert lamina.tensor([lamina.tensor(1.0), np.float64(2)]).dtype is lamina.float64
    assert lamina.tensor([lamina.ones(1), 2.0]).tolist() == [1, 2]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "way", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))], ids=["copy", "deepcopy", "pickle"]
)
def test_copies(dtype, way):
    base = lamina.arange(12).reshape(3, 4).to(dtype)
    for t in (base, base.t(), base[1:, ::2], base[0, 0], base[:0]):
        made = way(t)
        assert made.dtype is dtype and made.stride() == t.stride() and made.equal(t)
        assert (made.data_ptr() == t.data_ptr()) == (way is copy.copy or not t.numel())


def test_copies_keep_what_users_set():
    p, x = lamina.nn.Parameter(lamina.ones(2)), lamina.ones(2, requires_grad=True)
    p.note = x.note = [1]
    for way in (copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))):
        assert type(way(p)) is lamina.nn.Parameter and way(p).requires_grad
        assert way(x).note == [1] and way(x).note is not x.note
    (x * 2).sum().backward()
    assert copy.deepcopy(x).grad.tolist() == [2, 2] and copy.copy(x).grad is None
    with pytest.raises(RuntimeError, match="created explicitly by the user"):
        copy.deepcopy(p * 2)


def test_deepcopy_keeps_views_together():
    x = lamina.zeros(2, 2)
    one, two = copy.deepcopy([x, x[0]])
    two.add_(1)
    assert one.tolist() == [[1, 1], [0, 0]] and not x.any()


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d is not lamina.bfloat16], ids=str)
def test_numpy_and_dlpack_share_memory(dtype):
    x = lamina.zeros(2, 3, dtype=dtype)
    for give in (
        lambda t: lamina.from_numpy(t.numpy()),
        lambda t: lamina.from_dlpack(t),
        lambda t: lamina.from_dlpack(t.numpy()),
        lambda t: lamina.utils.dlpack.from_dlpack(lamina.utils.dlpack.to_dlpack(t)),
        lambda t: lamina.as_tensor(np.asarray(t)),
    ):
        other = give(x.t())
        assert other.dtype is dtype and other.data_ptr() == x.data_ptr() and other.stride() == (1, 3)
        other[0, 0] = 1
        assert x[0, 0] == 1
        x.zero_()


def test_what_may_not_leave():
    x = lamina.ones(2, requires_grad=True)
    for leave in (lambda: x.numpy(), lambda: np.asarray(x), lambda: x.__dlpack__(), lambda: lamina.from_dlpack(x)):
        with pytest.raises((RuntimeError, BufferError), match="requires? grad"):
            leave()
    with pytest.raises(TypeError, match="meta"):
        lamina.ones(2, device="meta").numpy()
    with pytest.raises(ValueError, match="only one element"):
        float(lamina.ones(2))
    with pytest.raises(RuntimeError, match="without overflow"):
        float(lamina.tensor(1 + 2j))


def test_a_capsule_is_used_once():
    capsule = lamina.utils.dlpack.to_dlpack(lamina.ones(2))
    lamina.from_dlpack(capsule)
    with pytest.raises(RuntimeError, match="consumed only once"):
        lamina.from_dlpack(capsule)


LEAST = -(2**31)


@pytest.mark.parametrize("dtype", [lamina.float32, lamina.float64])
@pytest.mark.parametrize(
    "integer, wanted",
    [
        (lamina.int64, [10**10, -(2**63), -(10**10), 70001, -5, -(2**63)]),
        (lamina.int32, [LEAST, LEAST, LEAST, 70001, -5, LEAST]),
        (lamina.int16, [0, 0, 0, 4465, -5, 0]),
        (lamina.int8, [0, 0, 0, 113, -5, 0]),
    ],
)
def test_floats_that_no_integer_holds(dtype, integer, wanted):
    """PyTorch's numbers where it goes by way of int32; they are the same compiled."""
    x = lamina.tensor([1e10, float("nan"), -1e10, 70001.9, -5.7, float("inf")], dtype=dtype)
    assert x.to(integer).tolist() == wanted
    compiled = lamina.compile(lambda x: x.to(integer), verify="never")
    assert all(compiled(x).tolist() == wanted for _ in range(3))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_gradients_of_nothing(name, shape):
    x = lamina.ones(shape, requires_grad=True)
    for dim in (0, -1):
        getattr(x, name)(dim).sum().backward()
    assert x.grad.shape == shape
