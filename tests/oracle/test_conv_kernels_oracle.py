"""The convolution and pooling kernels beside PyTorch's: values, gradients, indices, ties and NaNs."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lamina.primitives.kernels.adaptive import (
    adaptive_avg_pool_forward,
    adaptive_max_pool_forward,
    fractional_max_pool_forward,
)
from lamina.primitives.kernels.columns import col2im, im2col
from lamina.primitives.kernels.convolution import conv_forward, conv_input_grad, conv_weight_grad
from lamina.primitives.kernels.pooling import avg_pool_forward, max_pool_forward, max_pool_grad, max_unpool

CONVOLUTIONS = [
    ((64, 1, 28, 28), (8, 1, 3, 3), 1),
    ((8, 8, 14, 14), (16, 8, 5, 5), 1),
    ((4, 32, 7, 7), (32, 32, 3, 3), 1),
    ((4, 12, 9, 8), (12, 1, 3, 3), 12),
    ((4, 12, 9, 8), (8, 6, 1, 1), 2),
    ((3, 4, 30), (6, 4, 5), 1),
    ((2, 4, 6, 7, 8), (6, 2, 3, 3, 3), 2),
]


@pytest.mark.parametrize("stride, padding, dilation", list(itertools.product((1, 2), (0, 1), (1, 2))))
@pytest.mark.parametrize("x_shape, w_shape, groups", CONVOLUTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_convolution(x_shape, w_shape, groups, stride, padding, dilation, dtype):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(w_shape).astype(dtype)
    dims = x.ndim - 2
    theirs = (torch.conv1d, torch.conv2d, torch.conv3d)[dims - 1]
    leaves = torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True)
    expected = theirs(*leaves, stride=stride, padding=padding, dilation=dilation, groups=groups)
    g = rng.standard_normal(expected.shape).astype(dtype)
    rest = ((stride,) * dims, (padding,) * dims, (dilation,) * dims, groups)
    ours = (
        conv_forward(x, w, *rest),
        conv_input_grad(g, w, x.shape, *rest),
        conv_weight_grad(g, x, w.shape, *rest),
    )
    reference = (expected, *torch.autograd.grad(expected, leaves, torch.tensor(g)))
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    for mine, other in zip(ours, reference, strict=True):
        scale = max(1.0, float(other.detach().abs().max()))
        np.testing.assert_allclose(mine, other.detach().numpy(), rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("output_padding", [0, 1])
def test_transposed_convolution_is_the_input_gradient(output_padding):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 6, 5, 4)), rng.standard_normal((6, 2, 3, 3))
    expected = torch.conv_transpose2d(
        torch.tensor(x), torch.tensor(w), stride=2, padding=1, output_padding=output_padding, groups=2
    )
    ours = conv_input_grad(x, w, tuple(expected.shape), (2, 2), (1, 1), (1, 1), 2)
    np.testing.assert_allclose(ours, expected.numpy(), atol=1e-12)


@pytest.mark.parametrize(
    "kernel, stride, padding, dilation", list(itertools.product((2, 3), (1, 2, 3), (0, 1), (1, 2)))
)
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_pooling(dims, kernel, stride, padding, dilation, ceil_mode):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, (2, 3, *range(6, 6 + dims))).astype(np.float64)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[rng.random(x.shape) < 0.3] = -np.inf
    theirs = (F.max_pool1d_with_indices, F.max_pool2d_with_indices, F.max_pool3d_with_indices)[dims - 1]
    leaf = torch.tensor(x, requires_grad=True)
    expected, places = theirs(leaf, kernel, stride, padding, dilation, ceil_mode)
    sizes = ((kernel,) * dims, (stride,) * dims, (padding,) * dims)
    y, indices = max_pool_forward(x, *sizes, (dilation,) * dims, ceil_mode)
    np.testing.assert_array_equal(y, expected.detach().numpy())
    np.testing.assert_array_equal(indices, places.numpy())
    g = rng.standard_normal(y.shape)
    (grad,) = torch.autograd.grad(expected, leaf, torch.tensor(g))
    np.testing.assert_allclose(max_pool_grad(g, indices, x.shape, dims), grad.numpy(), atol=1e-12)
    if dilation == 1:
        theirs = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[dims - 1]
        for include in (False, True):
            mean = theirs(torch.tensor(g), 2, stride, 1, ceil_mode, include).numpy()
            ours = avg_pool_forward(g, (2,) * dims, (stride,) * dims, (1,) * dims, ceil_mode, include)
            np.testing.assert_allclose(ours, mean, atol=1e-12)


def test_integer_mean_divides_towards_zero():
    x = np.random.default_rng(0).integers(-9, 9, (1, 2, 6, 7))
    ours = avg_pool_forward(x, (2, 3), (1, 2), (1, 1))
    np.testing.assert_array_equal(ours, F.avg_pool2d(torch.tensor(x), (2, 3), (1, 2), 1).numpy())


@pytest.mark.parametrize("outputs", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("size", [1, 4, 7, 8])
def test_adaptive(size, outputs):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, (2, 3, size, size + 1)).astype(np.float64)
    x[rng.random(x.shape) < 0.1] = np.nan
    pair = (outputs, outputs + 1)
    expected, places = F.adaptive_max_pool2d_with_indices(torch.tensor(x), pair)
    y, indices = adaptive_max_pool_forward(x, pair)
    np.testing.assert_array_equal(y, expected.numpy())
    np.testing.assert_array_equal(indices, places.numpy())
    mean = F.adaptive_avg_pool2d(torch.tensor(x), pair).numpy()
    np.testing.assert_allclose(adaptive_avg_pool_forward(x, pair), mean, atol=1e-12)


@pytest.mark.parametrize("dims, outputs, dtype", list(itertools.product((2, 3), (1, 3, 4), (np.float32, np.float64))))
def test_fractional(dims, outputs, dtype):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, *range(11, 11 + dims))).astype(dtype)
    x[rng.random(x.shape) < 0.05] = np.nan
    samples = rng.random((2, 3, dims)).astype(dtype)
    sizes = tuple(range(outputs, outputs + dims))
    theirs = (F.fractional_max_pool2d_with_indices, F.fractional_max_pool3d_with_indices)[dims - 2]
    expected, places = theirs(torch.tensor(x), (2,) * dims, output_size=sizes, _random_samples=torch.tensor(samples))
    y, indices = fractional_max_pool_forward(x, (2,) * dims, sizes, samples)
    np.testing.assert_array_equal(y, expected.numpy())
    np.testing.assert_array_equal(indices, places.numpy())


def test_unpool_and_blocks():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 6, 8))
    y, indices = F.max_pool2d(torch.tensor(x), 2, return_indices=True)
    back = F.max_unpool2d(y, indices, 2).numpy()
    np.testing.assert_array_equal(max_unpool(y.numpy(), indices.numpy(), (6, 8)), back)
    columns = F.unfold(torch.tensor(x), (2, 3), 2, 1, 1)
    rest = ((2, 3), (2, 2), (1, 1), (1, 1))
    np.testing.assert_array_equal(im2col(x, *rest), columns.numpy())
    expected = F.fold(columns, (6, 8), (2, 3), 2, 1, 1).numpy()
    np.testing.assert_allclose(col2im(columns.numpy(), (6, 8), *rest), expected, atol=1e-12)
