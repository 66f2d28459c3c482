"""x[key] and x[key] = value in all forms, against NumPy, whose rules are PyTorch's for the keys that are drawn here."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina


@st.composite
def keys(draw, shape):
    """A key for an array of `shape`: slices, None, one Ellipsis; and either integers, or a group of index arrays or a mask.

    Not both: for NumPy an integer beside an array is an array, which a slice between them can part from it; for PyTorch it is not.
    """
    parts, left = [], list(shape)
    advanced = draw(st.sampled_from(["", "list", "arrays", "mask"]))
    integers = not advanced
    while left and draw(st.booleans()):
        n = left.pop(0)
        kind = draw(st.sampled_from(["int", "slice", "none", "advanced"]))
        if kind == "none":
            parts.append(None)
            left.insert(0, n)
        elif kind == "int" and n and integers:
            parts.append(draw(st.integers(-n, n - 1)))
        elif kind == "advanced" and n and advanced in ("list", "arrays"):
            entries = st.lists(st.integers(-n, n - 1), min_size=2, max_size=2)
            parts.append(draw(entries))
            if advanced == "list":
                advanced = ""
        elif kind == "advanced" and advanced == "mask":
            parts.append(np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool))
            advanced = ""
        else:
            bounds = st.none() | st.integers(-n - 1, n + 1)
            parts.append(slice(draw(bounds), draw(bounds), draw(st.none() | st.integers(1, 3))))
    if draw(st.booleans()):
        parts.append(...)
    return tuple(parts)


def as_tensors(key, wrap):
    return tuple(wrap(k) if isinstance(k, (list, np.ndarray)) else k for k in key)


SHAPES = st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple)


@settings(max_examples=200, deadline=None)
@given(st.data(), SHAPES)
def test_get(data, shape):
    x = np.arange(float(np.prod(shape))).reshape(shape)
    t = lamina.from_numpy(x)
    key = data.draw(keys(shape))
    wanted = x[as_tensors(key, np.asarray)]
    for found in (t[as_tensors(key, lamina.tensor)], t[key]):
        assert found.shape == wanted.shape and found.tolist() == wanted.tolist()
    simple = not any(isinstance(k, (list, np.ndarray)) for k in key)
    assert t[key]._is_view() == simple


@settings(max_examples=200, deadline=None)
@given(st.data(), SHAPES, st.sampled_from(["number", "full", "row", "0-d"]))
def test_set(data, shape, value):
    x = np.arange(float(np.prod(shape))).reshape(shape)
    t = lamina.tensor(x)
    key = data.draw(keys(shape))
    place = x[as_tensors(key, np.asarray)].shape
    given_ = {
        "number": 7.5,
        "full": np.random.rand(*place),
        "row": np.random.rand(*place[-1:]),
        "0-d": np.asarray(3.0),
    }[value]
    repeated = any(isinstance(k, list) for k in key)  # which of several values stays is not specified
    x[as_tensors(key, np.asarray)] = np.asarray(given_).flat[0] if repeated and np.size(given_) else given_
    other = lamina.from_numpy(np.asarray(given_)) if isinstance(given_, np.ndarray) else given_
    if repeated and np.size(given_):
        other = float(np.asarray(given_).flat[0])
    t[as_tensors(key, lamina.tensor)] = other
    assert t.tolist() == x.tolist()
    assert t._version == 1


@pytest.mark.parametrize(
    "key, error",
    [
        (5, IndexError), (-6, IndexError), ((0, 0, 0), IndexError), ("a", (IndexError, TypeError)), (1.5, (IndexError, TypeError)),
        (slice(None, None, -1), ValueError), (slice(None, None, 0), ValueError), ([0, 9], IndexError),
        (slice("a"), TypeError), ({}, (IndexError, TypeError)),
    ],
)  # fmt: skip
def test_refused(key, error):
    x = lamina.zeros(5, 2)
    with pytest.raises(error):
        x[key]
    with pytest.raises(error):
        x[key] = 1.0
    assert x._version == 0 and not x.any()


def test_masks_of_the_wrong_shape():
    x = lamina.zeros(2, 3)
    with pytest.raises(IndexError, match="shape of the mask"):
        x[lamina.tensor([True, False, True])]
