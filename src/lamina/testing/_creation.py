"""`make_tensor`: a tensor of random values for tests, drawn from the global stream."""

import math

import lamina
from lamina.core.device import device as Device
from lamina.core.device import memory_format as MemoryFormat
from lamina.core.dtype import dtype as DType
from lamina.core.tensor import Tensor

__all__ = ["make_tensor"]


def make_tensor(
    *shape: int | tuple[int, ...] | list[int],
    dtype: DType,
    device: str | Device,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: MemoryFormat | None = None,
) -> Tensor:
    """Values uniform in [low, high): by default [-9, 9), for integers from -9 (uint8: 0) to 9, for bool both.

    `noncontiguous` makes a view of every second element; `exclude_zero` replaces zeros by the smallest positive value.

    Raises
    ------
    ValueError
        If a bound is NaN, `low` is above `high`, `requires_grad` is asked for a dtype without gradients, or
        `noncontiguous` is combined with `memory_format`.
    """
    sizes = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    differentiable = dtype.is_floating_point or dtype.is_complex
    if requires_grad and not differentiable:
        raise ValueError(
            f"`requires_grad=True` is not supported for boolean and integral dtypes, but got dtype={dtype}"
        )
    if noncontiguous and memory_format is not None:
        raise ValueError(
            "The parameters `noncontiguous` and `memory_format` are mutually exclusive, "
            f"but got noncontiguous={noncontiguous} and memory_format={memory_format}"
        )
    low, high = _bounds(dtype, low, high)
    numel = math.prod(int(size) for size in sizes)
    doubled = noncontiguous and numel > 1
    result = lamina.empty((*sizes[:-1], 2 * sizes[-1]) if doubled else sizes, dtype=dtype, device=device)
    if dtype.is_complex:
        lamina.view_as_real(result).uniform_(low, high)
    elif differentiable and dtype.itemsize == 1:
        result.copy_(lamina.empty(result.shape, device=device).uniform_(low, high))
    elif differentiable:
        result.uniform_(low, high)
    else:
        result.random_(math.ceil(low), math.ceil(high))
    if doubled:
        result = result[..., 1::2]
    elif memory_format is not None:
        result = result.clone(memory_format=memory_format)
    if exclude_zero:
        result[result == 0] = lamina.finfo(dtype).tiny if differentiable else 1
    return result.requires_grad_() if requires_grad else result


def _bounds(dtype: DType, low: float | None, high: float | None) -> tuple[float, float]:
    if dtype == lamina.bool:
        lowest, highest = 0, 2
    elif dtype == lamina.uint8:
        lowest, highest = 0, 10
    else:
        lowest, highest = -9, 9 if dtype.is_floating_point or dtype.is_complex else 10
    low, high = lowest if low is None else low, highest if high is None else high
    if math.isnan(low) or math.isnan(high):
        raise ValueError(f"`low` and `high` cannot be NaN, but got low={low} and high={high}")
    if low > high or (low == high and not (dtype.is_floating_point or dtype.is_complex)):
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    least, most = _range(dtype)
    if low >= most or high < least:
        raise ValueError(
            f"The value interval specified by `low` and `high` is [{low}, {high}), but {dtype} only supports [{least}, {most})"
        )
    return max(low, least), min(high, most)


def _range(dtype: DType) -> tuple[float, float]:
    """The values that the dtype holds: the smallest, and (of whole numbers) one above the largest."""
    if dtype == lamina.bool:
        return 0, 2
    if dtype.is_floating_point or dtype.is_complex:
        return lamina.finfo(dtype).min, lamina.finfo(dtype).max
    limits = lamina.iinfo(dtype)
    return limits.min, limits.max + (0 if dtype == lamina.int64 else 1)
