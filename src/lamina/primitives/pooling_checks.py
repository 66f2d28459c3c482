"""What pooling refuses, as PyTorch's kernels word it: shapes, windows, types."""

from __future__ import annotations

from collections.abc import Sequence

from lamina.autograd import errors
from lamina.core.size import wrap_dim
from lamina.core.tensor import Tensor
from lamina.primitives.kernels.windows import window_outputs

Ints = tuple[int, ...]


def adaptive_outputs(
    name: str, dims: int, input: Tensor, output_size: Sequence[int], but: str, wrong: str, first: int
) -> Ints:
    shape = input._array.shape
    outputs = tuple(output_size)
    if len(outputs) != dims:
        raise RuntimeError(wrong)
    if len(shape) not in (dims + 1, dims + 2):
        raise RuntimeError(f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor{but}{list(shape)}")
    _check_full(
        f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes", shape, first
    )
    return outputs


def _check_full(text: str, shape: Ints, first: int, end: str = "") -> None:
    """Raise for an empty dimension from `first` on."""
    for i in range(first, len(shape)):
        if not shape[i]:
            raise RuntimeError(f"{text} {list(shape)} with dimension {i} being empty{end}")


def check_unpool(dims: int, input: Tensor, indices: Tensor, output_size: Ints) -> None:
    shape, found = input._array.shape, errors.scalar_name(indices)
    if found != "Long":
        raise RuntimeError("elements in indices should be type int64" + (f" but got: {found}" if dims == 2 else ""))
    if len(output_size) != dims:
        axes = "two elements (height, width)" if dims == 2 else "three elements (depth, height, width)"
        raise RuntimeError(f"There should be exactly {axes} in output_size, but got {len(output_size)} elements.")
    if len(shape) not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"Input to max_unpooling{dims}d should be a {dims + 1}d or {dims + 2}d Tensor, but got a tensor with {len(shape)} dimensions."
        )
    if indices._array.shape != shape:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(shape)}) but got indices tensor with shape: "
            f"{list(indices._array.shape)}"
        )
    within = f"max_unpooling{dims}d_forward_out_cpu(): Expected input to have non-zero size for non-batch dimensions, but got"
    _check_full(within, shape, 1, ".")
    check_dtype(input, f"max_unpool{dims}d", (2,))


def check_dtype(input: Tensor, kernel: str, categories: tuple[int, ...], long: bool = False) -> None:
    if input._kind.dtype.category not in categories and not (long and errors.scalar_name(input) == "Long"):
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{errors.scalar_name(input)}'")


def _named(prefix: str, values: Ints) -> str:
    return " ".join(f"{prefix}{axis}: {v}" for axis, v in zip("THW"[-len(values) :], values, strict=True))


def check_windows(
    kind: str, input: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> None:
    shape, dims = input._array.shape, len(kernel)
    text = f"non-empty {dims + 1}D or {dims + 2}D (batch mode) tensor expected for input"
    if kind == "avg" and dims == 2:
        wrap_dim(-dims - 1, len(shape))
    if len(shape) not in (dims + 1, dims + 2):
        raise RuntimeError(text)
    if min(kernel) <= 0:
        raise RuntimeError(f"kernel size should be greater than zero, but got {_named('k', kernel)}")
    for k, s, p, d in zip(kernel, stride, padding, dilation, strict=True):
        if s == 0:
            raise RuntimeError("stride should not be zero")
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if d > 0 and p > ((k - 1) * d + 1) // 2:
            raise RuntimeError(
                f"pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} and dilation={d}"
            )
    if min(stride) <= 0:
        raise RuntimeError(f"stride should be greater than zero, but got {_named('d', stride)}")
    if min(dilation) <= 0:
        raise RuntimeError(f"dilation should be greater than zero, but got {_named('dilation', dilation)}")
    if 0 in shape[-dims - 1 :]:
        if dims == 2:
            raise RuntimeError(
                f"Expected 3D or 4D (batch mode) tensor with optional 0 dim batch size for input, but got:{list(shape)}"
            )
        within = "max_pool3d_with_indices_out_cpu_template" if kind == "max" else "avg_pool3d"
        first = next(i for i, size in enumerate(shape[-dims - 1 :]) if not size)
        raise RuntimeError(
            f"{within}(): Expected input's non-batch dimensions to have positive length, but input has a shape of {list(shape)} and "
            f"non-batch dimension {first} has length zero!"
        )
    space = shape[-dims:]
    outputs = window_outputs(space, kernel, stride, padding, dilation, bool(ceil_mode))
    if min(outputs) < 1:
        if kind == "avg" and dims == 3:
            raise RuntimeError(f"input image ({_named('', space)}) smaller than kernel size ({_named('k', kernel)})")
        channels = shape[-dims - 1]
        raise RuntimeError(
            f"Given input size: ({'x'.join(map(str, (channels, *space)))}). Calculated output size: "
            f"({'x'.join(map(str, (channels, *outputs)))}). Output size is too small"
        )
