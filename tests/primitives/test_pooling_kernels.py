"""Pooling on arrays against the definition, window by window; gradients against the adjoint identity."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lamina.primitives.kernels.adaptive import (
    adaptive_avg_pool_forward,
    adaptive_avg_pool_grad,
    adaptive_max_pool_forward,
    fractional_max_pool_forward,
)
from lamina.primitives.kernels.pooling import (
    avg_pool_forward,
    avg_pool_grad,
    max_pool_forward,
    max_pool_grad,
    max_pool_grad_grad,
    max_unpool,
)
from lamina.primitives.kernels.windows import window_outputs


@st.composite
def geometries(draw, dilated=True):
    """(space, kernel, stride, padding, dilation, ceil_mode), every window meeting at least one element."""
    dims = draw(st.integers(1, 3))

    def sizes(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(dims))

    kernel, stride = sizes(1, 4), sizes(1, 3)
    dilation = sizes(1, 2) if dilated else (1,) * dims
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    space = tuple(d * (k - 1) + 1 + draw(st.integers(0, 5)) for k, d in zip(kernel, dilation, strict=True))
    return space, kernel, stride, padding, dilation, draw(st.booleans())


def windows_of(space, kernel, stride, padding, dilation, ceil_mode):
    """Output position -> the places of its window's elements, in order."""
    for at in np.ndindex(window_outputs(space, kernel, stride, padding, dilation, ceil_mode)):
        places = []
        for tap in np.ndindex(kernel):
            place = tuple(a * s - p + t * d for a, s, p, t, d in zip(at, stride, padding, tap, dilation, strict=True))
            if all(0 <= i < size for i, size in zip(place, space, strict=True)):
                places.append(place)
        yield at, places


def first_maximum(plane, places):
    """PyTorch's scan: a strictly larger element replaces, and so does every NaN."""
    best = places[0]
    for place in places[1:]:
        if plane[place] > plane[best] or np.isnan(plane[place]):
            best = place
    return best


VALUES = {
    "ties": lambda rng, shape: rng.integers(0, 3, shape).astype(np.float32),
    "nan": lambda rng, shape: rng.choice(np.array([0, 1, np.nan, -np.inf]), shape),
    "integers": lambda rng, shape: rng.integers(-(2**62), 2**62, shape),
    "bytes": lambda rng, shape: rng.integers(0, 256, shape, np.uint8),
}


@settings(deadline=None, max_examples=150)
@given(geometry=geometries(), kind=st.sampled_from(sorted(VALUES)), seed=st.integers(0, 1000))
def test_max_pool(geometry, kind, seed):
    space = geometry[0]
    x = VALUES[kind](np.random.default_rng(seed), (2, *space))
    y, indices = max_pool_forward(x, *geometry[1:])
    assert y.dtype == x.dtype and indices.dtype == np.int64
    for at, places in windows_of(*geometry):
        for plane in range(2):
            best = first_maximum(x[plane], places)
            assert indices[(plane, *at)] == np.ravel_multi_index(best, space)
            np.testing.assert_array_equal(y[(plane, *at)], x[(plane, *best)])
    np.testing.assert_array_equal(max_pool_forward(x, *geometry[1:], indices=False)[0], y)
    np.testing.assert_array_equal(max_pool_grad_grad(x, indices, len(space)), y)
    ones = np.ones(y.shape)
    counts = max_pool_grad(ones, indices, x.shape, len(space))
    for plane in range(2):
        expected = np.bincount(indices[plane].reshape(-1), minlength=math.prod(space))
        np.testing.assert_array_equal(counts[plane].reshape(-1), expected)


@settings(deadline=None, max_examples=150)
@given(
    geometry=geometries(dilated=False),
    include=st.booleans(),
    override=st.sampled_from((None, 1, 7)),
    seed=st.integers(0, 1000),
)
def test_avg_pool(geometry, include, override, seed):
    space, kernel, stride, padding, _, ceil_mode = geometry
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, 3, *space))
    rest = (kernel, stride, padding, ceil_mode, include, override)
    y = avg_pool_forward(x, *rest)
    for at, places in windows_of(*geometry):
        total = sum(x[(..., *place)] for place in places)
        spans = [
            min(a * s - p + k, size + p) - (a * s - p)
            for a, s, p, k, size in zip(at, stride, padding, kernel, space, strict=True)
        ]
        divisor = override or (math.prod(spans) if include else len(places))
        np.testing.assert_allclose(y[(..., *at)], total / divisor, atol=1e-12)
    g = rng.standard_normal(y.shape)
    np.testing.assert_allclose((g * y).sum(), (avg_pool_grad(g, x.shape, *rest) * x).sum(), atol=1e-9)


@settings(deadline=None, max_examples=100)
@given(sizes=st.lists(st.tuples(st.integers(1, 7), st.integers(1, 8)), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_adaptive(sizes, seed):
    space, outputs = zip(*sizes, strict=True)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, 3, *space))
    mean, (largest, indices) = adaptive_avg_pool_forward(x, outputs), adaptive_max_pool_forward(x, outputs)
    for at in np.ndindex(outputs):
        window = tuple(
            slice(math.floor(a * s / o), math.ceil((a + 1) * s / o)) for a, s, o in zip(at, space, outputs, strict=True)
        )
        part = x[(..., *window)].reshape(2, 3, -1)
        np.testing.assert_allclose(mean[(..., *at)], part.mean(-1), atol=1e-12)
        np.testing.assert_array_equal(largest[(..., *at)], part.max(-1))
    np.testing.assert_array_equal(max_pool_grad_grad(x, indices, len(space)), largest)
    g = rng.standard_normal(mean.shape)
    np.testing.assert_allclose((g * mean).sum(), (adaptive_avg_pool_grad(g, x.shape, outputs) * x).sum(), atol=1e-9)


@given(seed=st.integers(0, 99), outputs=st.integers(1, 5), kernel=st.integers(1, 3))
def test_fractional_windows_start_at_the_first_and_end_with_the_last_element(seed, outputs, kernel):
    rng = np.random.default_rng(seed)
    assume(outputs + kernel <= 9)
    x = np.broadcast_to(np.arange(9.0) * 9, (1, 2, 9, 9)) + np.arange(9.0)[:, None] * 100
    y, indices = fractional_max_pool_forward(x, (kernel, kernel), (outputs, outputs), rng.random((1, 2, 2)))
    np.testing.assert_array_equal(x.reshape(2, -1)[0][indices[0, 0]], y[0, 0])
    assert (y[..., -1, -1] == x[..., -1, -1]).all()
    if outputs > 1:
        assert (y[..., 0, 0] == x[..., kernel - 1, kernel - 1]).all()
        assert (np.diff(indices, axis=-1) > 0).all()


def test_unpool_places_and_refuses():
    x, indices = np.array([[[1.0, 2.0]]]), np.array([[[3, 0]]])
    np.testing.assert_array_equal(max_unpool(x, indices, (2, 2)), [[[2.0, 0.0], [0.0, 1.0]]])
    for wrong in (4, -1):
        with pytest.raises(
            RuntimeError, match=rf"Found an invalid max index: {wrong} \(output volumes are of size 2x2"
        ):
            max_unpool(x, np.array([[[0, wrong]]]), (2, 2))


def test_empty_batch():
    x = np.zeros((0, 3, 6, 6), np.float32)
    pair = ((2, 2), (2, 2), (0, 0))
    y, indices = max_pool_forward(x, *pair, (1, 1))
    assert y.shape == indices.shape == avg_pool_forward(x, *pair).shape == (0, 3, 3, 3)
    assert max_pool_grad(y, indices, x.shape, 2).shape == avg_pool_grad(y, x.shape, *pair).shape == x.shape
    assert adaptive_avg_pool_forward(x, (4, 4)).shape == adaptive_max_pool_forward(x, (4, 4))[0].shape == (0, 3, 4, 4)
