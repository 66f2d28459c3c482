"""Storages of elements: made, converted, resized, copied; FloatStorage and its kin name them by dtype."""

import copy
import pickle

import pytest

import lamina


def test_made_by_class_and_by_dtype():
    made = lamina.FloatStorage([1, 2])
    assert made.tolist() == [1.0, 2.0] and made.dtype is lamina.float32 and made.type() == "torch.FloatStorage"
    assert isinstance(made, lamina.FloatStorage) and not isinstance(made, lamina.DoubleStorage)
    assert lamina.TypedStorage(3, dtype=lamina.int16).nbytes() == 6 and lamina.FloatStorage().size() == 0
    assert lamina.tensor([1.0]).storage_type() is lamina.FloatStorage is lamina.Storage
    assert lamina.ByteStorage.from_buffer(b"ab").tolist() == [97, 98]
    assert lamina.FloatTensor(made).tolist() == [1.0, 2.0]


def test_converted():
    made = lamina.FloatStorage([0, 2])
    assert made.long().tolist() == [0, 2] and made.bool().tolist() == [False, True]
    assert made.half().dtype is lamina.float16 and made.untyped().float().tolist()[-1] == 64.0
    assert made.fill_(3).tolist() == [3.0, 3.0] and made.copy_(lamina.FloatStorage([4, 5])).tolist() == [4.0, 5.0]


def test_resized_and_copied():
    made = lamina.IntStorage([1, 2])
    made.resize_(3)
    assert made.tolist()[:2] == [1, 2] and made.size() == 3
    for other in (copy.deepcopy(made), copy.copy(made), pickle.loads(pickle.dumps(made))):
        other[0] = 9
        assert made[0] == 1 and other[0] == 9 and other.dtype is lamina.int32
    turned = lamina.tensor([1], dtype=lamina.int32).untyped_storage()
    turned.byteswap(lamina.int32)
    assert turned.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda: lamina.FloatStorage(1, 2), RuntimeError),
        (lambda: lamina.FloatStorage("a"), TypeError),
        (lambda: lamina.FloatStorage(2)[5], IndexError),
        (lambda: lamina.FloatStorage(2)[0:1], RuntimeError),
        (lambda: lamina.UntypedStorage([1])[3], IndexError),
        (lambda: lamina.UntypedStorage(1.5), RuntimeError),
        (lambda: lamina.ones(2).untyped_storage().resize_(0), RuntimeError),
    ],
)
def test_refused(call, error):
    with pytest.raises(error):
        call()


REFUSED = {
    "No positional arguments": lambda: lamina.FloatStorage(0, wrap_storage=lamina.UntypedStorage(4)),
    "Argument 'wrap_storage' must be UntypedStorage": lambda: lamina.FloatStorage(wrap_storage=lamina.ones(1)),
    "Keyword argument 'dtype' cannot be specified": lambda: lamina.FloatStorage(dtype=lamina.float64),
    "Argument 'dtype' must be specified": lambda: lamina.TypedStorage(wrap_storage=lamina.UntypedStorage(4)),
    "Argument type not recognized": lambda: lamina.TypedStorage(1.5),
    "Too many positional arguments": lambda: lamina.TypedStorage(1, 2),
    "Expected a Storage of type Long": lambda: lamina.tensor(lamina.FloatStorage(1), dtype=lamina.int64),
    "Expected a Storage of type long int": lambda: lamina.tensor([1]).set_(lamina.FloatStorage(2)),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_refused_in_pytorchs_words(sentence):
    with pytest.raises((RuntimeError, TypeError), match=sentence):
        REFUSED[sentence]()
