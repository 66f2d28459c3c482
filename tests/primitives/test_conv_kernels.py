"""Convolution on arrays: against the definition written as loops, and the two gradients against the adjoint identity.

Values are small whole numbers, so that float64 results are exact whatever the order of the sums.
"""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.primitives.kernels import windows
from lamina.primitives.kernels.columns import col2im, im2col
from lamina.primitives.kernels.convolution import conv_forward, conv_input_grad, conv_weight_grad
from lamina.primitives.kernels.windows import window_outputs


@st.composite
def geometries(draw):
    """(x shape, w shape, stride, padding, dilation, groups), with at least one output position."""
    dims = draw(st.integers(1, 3))

    def sizes(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(dims))

    kernel, stride, padding, dilation = sizes(1, 3), sizes(1, 3), sizes(0, 2), sizes(1, 2)
    space = tuple(
        draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), 9 if dims < 3 else 6))
        for k, p, d in zip(kernel, padding, dilation, strict=True)
    )
    groups = draw(st.integers(1, 3))
    channels = draw(st.sampled_from((1, 2, 17)))
    filters = draw(st.sampled_from((1, 2)))
    images = draw(st.integers(0, 3))
    return (
        (images, groups * channels, *space),
        (groups * filters, channels, *kernel),
        stride,
        padding,
        dilation,
        groups,
    )


def whole(rng, shape, dtype=np.float64):
    return rng.integers(-3, 4, shape).astype(dtype)


def by_definition(x, w, stride, padding, dilation, groups):
    outputs = window_outputs(x.shape[2:], w.shape[2:], stride, padding, dilation)
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    y = np.zeros((x.shape[0], w.shape[0], *outputs), x.dtype)
    channels, filters = w.shape[1], w.shape[0] // groups
    for o in range(w.shape[0]):
        part = x[:, o // filters * channels :][:, :channels]
        for at in np.ndindex(outputs):
            for tap in np.ndindex(w.shape[2:]):
                place = tuple(a * s + t * d for a, s, t, d in zip(at, stride, tap, dilation, strict=True))
                y[(slice(None), o, *at)] += (part[(..., *place)] * w[(o, slice(None), *tap)]).sum(1)
    return y


@pytest.fixture(params=["cache-sized tiles", "single rows"])
def tile(request, monkeypatch):
    if request.param == "single rows":
        monkeypatch.setattr(windows, "TILE_BYTES", 1)


@settings(deadline=None, max_examples=150)
@given(geometry=geometries(), seed=st.integers(0, 1000), tile_bytes=st.sampled_from((1, 3000, 1 << 20)))
def test_forward_is_the_definition_and_gradients_are_its_adjoints(geometry, seed, tile_bytes):
    x_shape, w_shape, *rest = geometry
    rng = np.random.default_rng(seed)
    x, w = whole(rng, x_shape), whole(rng, w_shape)
    before, windows.TILE_BYTES = windows.TILE_BYTES, tile_bytes
    try:
        y = conv_forward(x, w, *rest)
        g = whole(rng, y.shape)
        x_grad = conv_input_grad(g, w, x_shape, *rest)
        w_grad = conv_weight_grad(g, x, w_shape, *rest)
    finally:
        windows.TILE_BYTES = before
    np.testing.assert_array_equal(y, by_definition(x, w, *rest))
    assert x_grad.shape == x_shape and w_grad.shape == w_shape
    assert (g * y).sum() == (x_grad * x).sum() == (w_grad * w).sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128, np.int64, np.uint8])
@pytest.mark.parametrize("groups, w_shape", [(1, (4, 6, 3, 3)), (2, (4, 3, 3, 3)), (6, (6, 1, 3, 3))])
def test_dtypes_are_kept(dtype, groups, w_shape):
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 3, (2, 6, 7, 8)).astype(dtype), rng.integers(0, 2, w_shape).astype(dtype)
    if x.dtype.kind == "c":
        x, w = x * (1 + 2j), w * (3 - 1j)
    rest = ((1, 1), (1, 1), (1, 1), groups)
    y = conv_forward(x, w, *rest)
    np.testing.assert_array_equal(y, by_definition(x, w, *rest))
    assert y.dtype == dtype
    # No conjugation here: the adjoint identity is bilinear.
    for grad, other in (
        (conv_input_grad(y, w, x.shape, *rest), x),
        (conv_weight_grad(y, x, w.shape, *rest), w),
    ):
        assert grad.dtype == dtype
        if x.dtype.kind == "c":
            np.testing.assert_allclose((grad * other).sum(), (y * y).sum(), rtol=1e-6)


@pytest.mark.usefixtures("tile")
def test_strided_and_transposed_arguments():
    rng = np.random.default_rng(0)
    x, w = whole(rng, (9, 8, 2, 4)).transpose(3, 2, 1, 0), whole(rng, (3, 3, 2, 5))[::-1].transpose(3, 2, 1, 0)
    for stride in ((1, 1), (2, 1)):
        rest = (stride, (0, 0), (1, 1), 1)
        y = conv_forward(x, w, *rest)
        np.testing.assert_array_equal(y, by_definition(x, w, *rest))
        g = np.broadcast_to(np.float64(2), y.shape)
        assert (conv_input_grad(g, w, x.shape, *rest) * x).sum() == 2 * y.sum()
        assert (conv_weight_grad(g, x, w.shape, *rest) * w).sum() == 2 * y.sum()


def test_an_infinity_outside_a_window_does_not_reach_its_output():
    x = np.ones((2, 1, 5, 5))
    x[0, 0, 0, 0] = np.inf
    y = conv_forward(x, np.ones((1, 1, 3, 3)), (1, 1), (1, 1), (1, 1), 1)
    assert np.isinf(y[0, 0, :2, :2]).all() and np.isfinite(y).sum() == y.size - 4


@pytest.mark.parametrize("stride, padding, dilation", list(itertools.product((1, 2), (0, 1), (1, 2))))
def test_blocks_as_columns_and_back(stride, padding, dilation):
    rng = np.random.default_rng(0)
    x = whole(rng, (2, 3, 6, 7))
    rest = ((2, 3), (dilation, dilation), (padding, padding), (stride, stride))
    columns = im2col(x, *rest)
    outputs = window_outputs((6, 7), rest[0], rest[3], rest[2], rest[1])
    assert columns.shape == (2, 18, math.prod(outputs))
    w = whole(rng, (4, 3, 2, 3))
    y = conv_forward(x, w, rest[3], rest[2], rest[1], 1)
    np.testing.assert_array_equal((w.reshape(4, -1) @ columns).reshape(y.shape), y)
    g = whole(rng, columns.shape)
    assert (g * columns).sum() == (col2im(g, (6, 7), *rest) * x).sum()
