"""Pooling: declarations on the kernels of kernels/pooling.py and kernels/adaptive.py, with PyTorch's checks.

Here: maximum, average, adaptive and fractional pooling, and unpooling. Not here: the forms of the arguments and the cases of one
dimension (nn/functional/pooling.py), how a window is gone through (kernels/),
refusals (pooling_checks.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.autograd import modes
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.kernels import adaptive, pooling
from lamina.primitives.kernels.windows import window_outputs
from lamina.primitives.pooling_checks import adaptive_outputs, check_dtype, check_unpool, check_windows
from lamina.primitives.registry import primitive

Ints = tuple[int, ...]

# ---- declarations: for each rank one, as the nodes have names of their own ----------------------------------------------


def _scatter_and_take(name: str, node: str, dims: int) -> tuple[Any, Any]:
    """The way back of a maximum, and the way back of that: each is the other's adjoint."""
    scatter = primitive(
        f"{name}_grad",
        lambda g, indices, *, shape, disjoint: pooling.max_pool_grad(g, indices, shape, dims, disjoint),
        grads=(lambda h, indices: take(h, indices), None),
        meta=lambda g, indices, *, shape, disjoint: _empty(g, shape), node=f"{node}BackwardBackward0", follows=True)  # fmt: skip
    take = primitive(
        f"{name}_take", lambda x, indices: pooling.max_pool_grad_grad(x, indices, dims),
        grads=(lambda g, indices, x_shape: scatter(g, indices, shape=x_shape, disjoint=False), None),
        meta=lambda x, indices: _empty(x, indices.shape), node="Gather")  # fmt: skip
    return scatter, take


def _maximum(dims: int) -> Any:
    name, node = f"max_pool{dims}d", f"MaxPool{dims}DWithIndices"
    scatter, _ = _scatter_and_take(name, node, dims)
    return primitive(
        name,
        lambda x, *, kernel, stride, padding, dilation, ceil_mode, indices: pooling.max_pool_forward(
            x, kernel, stride, padding, dilation, ceil_mode, indices),
        grads=(lambda g, out_1, x_shape, kernel, stride, dilation: scatter(
            g, out_1, shape=x_shape, disjoint=_disjoint(kernel, stride, dilation)),),
        outputs=2, nondiff=(1,), meta=_windows_only, node=node, follows=True)  # fmt: skip


def _average(dims: int) -> Any:
    name, node = f"avg_pool{dims}d", f"AvgPool{dims}D"
    back = primitive(
        f"{name}_grad",
        lambda g, *, shape, kernel, stride, padding, ceil_mode, count_include_pad, divisor: pooling.avg_pool_grad(
            g, shape, kernel, stride, padding, ceil_mode, count_include_pad, divisor),
        grads=(lambda h, kernel, stride, padding, ceil_mode, count_include_pad, divisor: forth(
            h, kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode, count_include_pad=count_include_pad,
            divisor=divisor),),
        meta=lambda g, *, shape, **_: _empty(g, shape), node=f"{node}BackwardBackward0", follows=dims == 2)  # fmt: skip
    forth = primitive(
        name,
        lambda x, *, kernel, stride, padding, ceil_mode, count_include_pad, divisor: pooling.avg_pool_forward(
            x, kernel, stride, padding, ceil_mode, count_include_pad, divisor),
        grads=(lambda g, x_shape, kernel, stride, padding, ceil_mode, count_include_pad, divisor: back(
            g, shape=x_shape, kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode,
            count_include_pad=count_include_pad, divisor=divisor),),
        meta=lambda x, *, kernel, stride, padding, ceil_mode, **_: _windows_only(
            x, kernel=kernel, stride=stride, padding=padding, dilation=(1,) * dims, ceil_mode=ceil_mode)[0],
        node=node, follows=dims == 2)  # fmt: skip
    return forth


def _adaptive_average(dims: int) -> Any:
    name, node = f"adaptive_avg_pool{dims}d", f"AdaptiveAvgPool{dims}D"
    back = primitive(
        f"{name}_grad", lambda g, *, shape, outputs: adaptive.adaptive_avg_pool_grad(g, shape, outputs),
        grads=(lambda h, outputs: forth(h, outputs=outputs),),
        meta=lambda g, *, shape, outputs: _empty(g, shape), node=f"{node}BackwardBackward0", follows=dims == 2)  # fmt: skip
    forth = primitive(
        name, lambda x, *, outputs: adaptive.adaptive_avg_pool_forward(x, outputs),
        grads=(lambda g, x_shape, outputs: back(g, shape=x_shape, outputs=outputs),),
        meta=lambda x, *, outputs: _empty(x, (*x.shape[:-dims], *outputs)), node=node, follows=dims == 2)  # fmt: skip
    return forth


def _adaptive_maximum(dims: int) -> Any:
    name, node = f"adaptive_max_pool{dims}d", f"AdaptiveMaxPool{dims}D"
    scatter, _ = _scatter_and_take(name, node, dims)
    return primitive(
        name, lambda x, *, outputs: adaptive.adaptive_max_pool_forward(x, outputs),
        grads=(lambda g, out_1, x_shape: scatter(g, out_1, shape=x_shape, disjoint=False),),
        outputs=2, nondiff=(1,), meta=lambda x, *, outputs: _pair(x, (*x.shape[:-dims], *outputs)), node=node, follows=dims == 2)  # fmt: skip


def _fractional_maximum(dims: int) -> Any:
    name, node = f"fractional_max_pool{dims}d", f"FractionalMaxPool{dims}D"
    scatter, _ = _scatter_and_take(name, node, dims)

    def compute(x: Array, samples: Array, *, kernel: Ints, outputs: Ints) -> tuple[Array, Array]:
        batch = x.reshape(-1, *x.shape[-dims - 1 :])
        y, indices = adaptive.fractional_max_pool_forward(batch, kernel, outputs, samples[: len(batch)])
        shape = (*x.shape[:-dims], *outputs)
        return y.reshape(shape), indices.reshape(shape)

    return primitive(
        name, compute,
        grads=(lambda g, out_1, x_shape: scatter(g, out_1, shape=x_shape, disjoint=False), None),
        outputs=2, nondiff=(1,), meta=lambda x, samples, *, kernel, outputs: _pair(x, (*x.shape[:-dims], *outputs)),
        node=node)  # fmt: skip


def _unpooling(dims: int) -> Any:
    name, node = f"max_unpool{dims}d", f"MaxUnpool{dims}D"
    _, take = _scatter_and_take(name, node, dims)
    return primitive(
        name, lambda x, indices, *, space: pooling.max_unpool(x, indices, space),
        grads=(lambda g, indices: take(g, indices), None),
        meta=lambda x, indices, *, space: _empty(x, (*x.shape[:-dims], *space)), node=node, follows=dims == 2)  # fmt: skip


def _disjoint(kernel: Ints, stride: Ints, dilation: Ints) -> bool:
    """Whether no element lies in two windows."""
    return all(d * (k - 1) < s for k, s, d in zip(kernel, stride, dilation, strict=True))


def _empty(like: Array, shape: Ints) -> Array:
    return np.broadcast_to(np.zeros((), like.dtype), shape)


def _pair(x: Array, shape: Ints) -> tuple[Array, Array]:
    return _empty(x, shape), np.broadcast_to(np.zeros((), np.int64), shape)


def _windows_only(
    x: Array, *, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool, indices: bool = True
) -> Any:
    lead = x.ndim - len(kernel)
    return _pair(x, (*x.shape[:lead], *window_outputs(x.shape[lead:], kernel, stride, padding, dilation, ceil_mode)))


_MAX, _AVG = {2: _maximum(2), 3: _maximum(3)}, {2: _average(2), 3: _average(3)}
_ADAPTIVE_AVG = {2: _adaptive_average(2), 3: _adaptive_average(3)}
_ADAPTIVE_MAX = {2: _adaptive_maximum(2), 3: _adaptive_maximum(3)}
_FRACTIONAL = {2: _fractional_maximum(2), 3: _fractional_maximum(3)}
_UNPOOL = {2: _unpooling(2), 3: _unpooling(3)}

# ---- functions -----------------------------------------------------------------------------------------------------------


def max_pool(
    input: Tensor, kernel_size: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], ceil_mode: bool,
    indices: bool = True,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """The maximum of each window of (..., C, *space) and its int64 index in the flattened space.

    indices: False leaves them None where no gradient needs them, which is faster.
    """
    kernel, stride, padding, dilation = tuple(kernel_size), tuple(stride), tuple(padding), tuple(dilation)
    check_windows("max", input, kernel, stride, padding, dilation, ceil_mode)
    check_dtype(input, f"max_pool{len(kernel)}d", (1, 2))
    if not indices:
        mode = modes.current()
        indices = (input._node is not None and (mode is None or mode.grad)) or (
            mode is not None and bool(mode.transforms)
        )
    return _MAX[len(kernel)](  # type: ignore[no-any-return]
        input,
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=bool(ceil_mode),
        indices=indices,
    )


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> tuple[Tensor, Tensor]:
    """Maxima of windows of (N, C, H, W) or (C, H, W), and their int64 indices in the flattened plane."""
    return max_pool(input, kernel_size, stride, padding, dilation, ceil_mode)  # type: ignore[return-value]


def max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> tuple[Tensor, Tensor]:
    """Maxima of windows of (N, C, D, H, W) or (C, D, H, W), and their int64 indices in the flattened volume."""
    return max_pool(input, kernel_size, stride, padding, dilation, ceil_mode)  # type: ignore[return-value]


def _avg_pool(
    dims: int, input: Tensor, kernel_size: Sequence[int], stride: Sequence[int], padding: Sequence[int], ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> Tensor:  # fmt: skip
    kernel, stride, padding = tuple(kernel_size), tuple(stride), tuple(padding)
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    check_windows("avg", input, kernel, stride, padding, (1,) * dims, ceil_mode)
    check_dtype(input, "avg_pool2d" if dims == 2 else "avg_pool3d_out_frame", (2,), long=True)
    return _AVG[dims](  # type: ignore[no-any-return]
        input, kernel=kernel, stride=stride, padding=padding, ceil_mode=bool(ceil_mode), count_include_pad=bool(count_include_pad),
        divisor=divisor_override,
    )  # fmt: skip


def avg_pool2d(
    input: Tensor, kernel_size: Sequence[int], stride: Sequence[int], padding: Sequence[int], ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """Means of windows of (N, C, H, W) or (C, H, W); int64 divides towards zero."""
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    input: Tensor, kernel_size: Sequence[int], stride: Sequence[int], padding: Sequence[int], ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """Means of windows of (N, C, D, H, W) or (C, D, H, W); int64 divides towards zero."""
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _adaptive_avg_pool(dims: int, input: Tensor, output_size: Sequence[int]) -> Tensor:
    name = f"adaptive_avg_pool{dims}d"
    outputs = adaptive_outputs(
        name, dims, input, output_size, ", but got ", f"{name}: output_size must be {dims}", 2 if dims == 2 else 1
    )
    check_dtype(input, name if dims == 2 else f"{name}_cpu", (2,))
    return _ADAPTIVE_AVG[dims](input, outputs=outputs)  # type: ignore[no-any-return]


def adaptive_avg_pool2d(input: Tensor, output_size: Sequence[int]) -> Tensor:
    """Means of (N, C, H, W) or (C, H, W) over `output_size` windows."""
    return _adaptive_avg_pool(2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Sequence[int]) -> Tensor:
    """Means of (N, C, D, H, W) or (C, D, H, W) over `output_size` windows."""
    return _adaptive_avg_pool(3, input, output_size)


def _adaptive_max_pool(dims: int, input: Tensor, output_size: Sequence[int]) -> tuple[Tensor, Tensor]:
    name = f"adaptive_max_pool{dims}d"
    wrong = f"{name}(): internal error: output_size.size() must be {dims}"
    outputs = adaptive_outputs(name, dims, input, output_size, ", but got: ", wrong, 1)
    for size in outputs:
        if size < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {size}: {[*input._array.shape[:-dims], *outputs]}"
            )
    check_dtype(input, name if dims == 2 else f"{name}_cpu", (2,))
    return _ADAPTIVE_MAX[dims](input, outputs=outputs)  # type: ignore[no-any-return]


def adaptive_max_pool2d(input: Tensor, output_size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Maxima of (N, C, H, W) or (C, H, W) over `output_size` windows, and their int64 indices in the flattened plane."""
    return _adaptive_max_pool(2, input, output_size)


def adaptive_max_pool3d(input: Tensor, output_size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Maxima of (N, C, D, H, W) or (C, D, H, W) over `output_size` windows, and their int64 indices in the flattened volume."""
    return _adaptive_max_pool(3, input, output_size)


def _fractional_max_pool(
    dims: int, input: Tensor, kernel_size: Sequence[int], output_size: Sequence[int], random_samples: Tensor
) -> tuple[Tensor, Tensor]:
    name = f"fractional_max_pool{dims}d"
    kernel, outputs, shape, drawn = (
        tuple(kernel_size),
        tuple(output_size),
        input._array.shape,
        random_samples._array.shape,
    )
    for what, values in (("kernel_size", kernel), ("output_size", outputs)):
        if len(values) != dims:
            raise RuntimeError(
                f"{name}: {what} must either be a single Int or tuple of {'three ' if dims == 3 else ''}Ints"
            )
    within = name if dims == 2 else f"{name}_out"
    if len(shape) not in (dims + 1, dims + 2):
        raise RuntimeError(f"{within}(): Expected {dims + 1}D or {dims + 2}D tensor, but got: {list(shape)}")
    text = f"{within}(): Expected input to have non-zero size for non-batch dimensions, but got"
    for i in range(len(shape) - dims - 1, len(shape)):
        if not shape[i]:
            raise RuntimeError(f"{text}{list(shape)} with dimension {i} being empty.")
    for what, size, k, count in zip(("time", "height", "width")[-dims:], shape[-dims:], kernel, outputs, strict=True):
        if count + k - 1 > size:
            raise RuntimeError(f"{within}(): pool {what} {k} too large relative to input {what} {size}")
    check_dtype(input, f"{name}_out_frame", (2,))
    if random_samples._kind.dtype is not input._kind.dtype:
        raise RuntimeError("Expect _random_samples to have the same dtype as input")
    if len(drawn) != 3:
        raise RuntimeError(f"Expect _random_samples to have 3 dimensions, got {len(drawn)}")
    if drawn[0] < (shape[0] if len(shape) == dims + 2 else 1):
        raise RuntimeError("Expect _random_samples.size(0) no less then input batch size.")
    if drawn[1] != shape[-dims - 1]:
        raise RuntimeError("Expect _random_samples.size(1) equals to input channel size.")
    if drawn[2] != dims:
        raise RuntimeError(f"Expect _random_samples.size(2) equals to {dims}; got {drawn[2]}.")
    return _FRACTIONAL[dims](input, random_samples, kernel=kernel, outputs=outputs)  # type: ignore[no-any-return]


def fractional_max_pool2d(
    input: Tensor, kernel_size: Sequence[int], output_size: Sequence[int], random_samples: Tensor
) -> tuple[Tensor, Tensor]:
    """Maxima of windows of (N, C, H, W) or (C, H, W) whose starts `random_samples` (N, C, 2) decide, and their indices."""
    return _fractional_max_pool(2, input, kernel_size, output_size, random_samples)


def fractional_max_pool3d(
    input: Tensor, kernel_size: Sequence[int], output_size: Sequence[int], random_samples: Tensor
) -> tuple[Tensor, Tensor]:
    """Maxima of windows of (N, C, D, H, W) or (C, D, H, W) whose starts `random_samples` (N, C, 3) decide, and their indices."""
    return _fractional_max_pool(3, input, kernel_size, output_size, random_samples)


def max_unpool2d(input: Tensor, indices: Tensor, output_size: Sequence[int]) -> Tensor:
    """Zeros (..., *output_size) with the elements of `input` at `indices`."""
    check_unpool(2, input, indices, tuple(output_size))
    if any(size < 0 for size in output_size):
        listed = ", ".join(map(str, output_size))
        raise RuntimeError(
            f"max_unpooling2d(): output_size must contain non-negative spatial dimensions, but got output_size=({listed})"
        )
    return _UNPOOL[2](input, indices, space=tuple(output_size))  # type: ignore[no-any-return]


def max_unpool3d(
    input: Tensor, indices: Tensor, output_size: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Tensor:
    """Zeros (..., *output_size) with the elements of `input` at `indices`; `stride` and `padding` are only checked."""
    check_unpool(3, input, indices, tuple(output_size))
    for name, values in (("stride", stride), ("padding", padding)):
        if len(values) != 3:
            raise RuntimeError(
                f"There should be exactly three elements (depth, height, width) in {name}, but got: {len(values)} elements."
            )
    if any(s <= 0 for s in stride):
        raise RuntimeError(f"strides should be greater than zero, but got stride: {list(stride)}")
    return _UNPOOL[3](input, indices, space=tuple(output_size))  # type: ignore[no-any-return]
