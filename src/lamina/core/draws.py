"""Uniform samples and what PyTorch's CPU kernels make of one uniform each, bit for bit.

Here: uniform, exponential, geometric, cauchy, Bernoulli, the noise of the dropouts and of rrelu. Not here: normal and
log-normal samples (draws_normal.py), integers, permutations, multinomial (draws_discrete.py), distributions sampled by
rejection (draws_rejection.py).

A draw takes the generator and a shape (or an array of parameters) and returns a new C-contiguous array in logical
order; it takes from the stream what PyTorch takes. The memory order of the destination matters to PyTorch in one
place only, the normal samples. All draws hold the generator's lock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from lamina.core.draws_checks import (
    cpp_name,
    is_floating,
    largest,
    not_implemented,
    require_floating,
    require_real,
    torch_name,
)
from lamina.core.generator import Generator
from lamina.core.libm import elementwise, fma32, fma64, narrow

Shape = int | Sequence[int]

_BLOCK = 1 << 14  # words at a time: small enough for a core's own cache
_F = np.float32


def unit32(generator: Generator, size: int) -> np.ndarray:
    """`size` float32 of [0, 1), multiples of 2**-24: the low bits of a word each."""
    if size > _BLOCK:
        return _in_blocks(size, np.dtype(_F), lambda count: unit32(generator, count))
    bits = generator.words(size).astype(np.int32)
    bits &= 0xFFFFFF
    result = bits.astype(_F)
    result *= _F(2.0**-24)
    return result


def unit64(generator: Generator, size: int) -> np.ndarray:
    """`size` doubles of [0, 1), multiples of 2**-53: the low bits of two words each."""
    if size > _BLOCK:
        return _in_blocks(size, np.dtype(np.float64), lambda count: unit64(generator, count))
    bits = generator.words64(size) & np.uint64((1 << 53) - 1)
    result = bits.view(np.int64).astype(np.float64)
    result *= 2.0**-53
    return result


def uniform(generator: Generator, shape: Shape, low: float = 0.0, high: float = 1.0, *, dtype: np.dtype) -> np.ndarray:
    """Samples of [low, high). A sample that rounds to `high` becomes `low`.

    dtype: floating, or complex (both parts are drawn, real first). Raises RuntimeError for impossible bounds.
    """
    if dtype.kind == "c":
        real = np.dtype(f"f{dtype.itemsize // 2}")
        return uniform(generator, (*_as_tuple(shape), 2), low, high, dtype=real).view(dtype)[..., 0]
    require_floating("check_uniform_bounds", dtype)
    unit = unit64 if dtype == np.float64 else unit32
    if low == 0.0 and high == 1.0 and dtype.itemsize > 2:
        with generator.lock:
            return unit(generator, math.prod(_as_tuple(shape))).reshape(shape)
    _check_bounds(low, high, dtype)
    first, last = np.array([low, high]).astype(dtype)
    start, width = (low, high - low) if unit is unit64 else (float(_F(low)), float(_F(high) - _F(low)))
    fma = fma64 if unit is unit64 else fma32

    def block(count: int) -> np.ndarray:
        result = fma(unit(generator, count), width, start).astype(dtype, copy=False)
        result[result == last] = first
        return result

    with generator.lock:
        return _in_blocks(math.prod(_as_tuple(shape)), dtype, block).reshape(shape)


def exponential(generator: Generator, shape: Shape, lambd: float = 1.0, *, dtype: np.dtype) -> np.ndarray:
    """Samples of the exponential distribution of rate `lambd`.

    dtype: floating. Raises RuntimeError unless lambd > 0.
    """
    if not is_floating(dtype):
        raise RuntimeError(
            "Exponential distribution is a continuous probability distribution. dtype must be a floating point but "
            f"you specified {torch_name(dtype)}"
        )
    if not lambd > 0.0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    factor = -1.0 / lambd

    def block(units: np.ndarray) -> np.ndarray:
        return elementwise(np.log1p, math.log1p, -units, lambda x: narrow(factor * x, dtype))

    return _of_units(generator, shape, dtype, block)


def geometric(generator: Generator, shape: Shape, p: float, *, dtype: np.dtype) -> np.ndarray:
    """How many trials of probability `p` until the first success.

    dtype: integer or floating; a count that does not fit wraps. Raises RuntimeError unless 0 < p < 1.
    """
    if not 0.0 < p < 1.0:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    require_real("geometric_cpu", dtype, boolean=False)
    scale = math.log(1.0 - p)

    def finish(logarithm: np.ndarray) -> np.ndarray:
        trials = np.ceil(logarithm / scale)
        return narrow(trials, dtype) if is_floating(dtype) else trials.astype(np.int64).astype(dtype)

    return _of_units(generator, shape, dtype, lambda units: elementwise(np.log, _log, units, finish))


def cauchy(
    generator: Generator, shape: Shape, median: float = 0.0, sigma: float = 1.0, *, dtype: np.dtype
) -> np.ndarray:
    """Samples of the Cauchy distribution.

    dtype: floating. Raises RuntimeError unless sigma > 0.
    """
    if not is_floating(dtype):
        raise RuntimeError(
            "Cauchy distribution is a continuous probability distribution. dtype must be a floating point but you "
            f"specified {cpp_name(dtype)}"
        )
    if not sigma > 0.0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")

    def block(units: np.ndarray) -> np.ndarray:
        return elementwise(np.tan, math.tan, math.pi * (units - 0.5), lambda x: narrow(fma64(x, sigma, median), dtype))

    return _of_units(generator, shape, dtype, block)


def bernoulli(generator: Generator, shape: Shape, p: float = 0.5, *, dtype: np.dtype) -> np.ndarray:
    """Ones with probability `p`, else zeros; p of 0 or 1 draws all the same.

    dtype: real or bool. Raises RuntimeError unless 0 <= p <= 1.
    """
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
    require_real("bernoulli_scalar_cpu_", dtype, boolean=True)
    return _below(generator, shape, p).astype(dtype, copy=False)


def bernoulli_tensor(generator: Generator, p: np.ndarray, *, dtype: np.dtype) -> np.ndarray:
    """Ones with a probability each; `p`, floating, has the result's shape. Only a double `p` draws two words each.

    dtype: real or bool. Raises RuntimeError unless 0 <= p <= 1 everywhere.
    """
    require_real("bernoulli_tensor_cpu_self_", dtype, boolean=True)
    require_floating("bernoulli_tensor_cpu_p_", p.dtype)
    double = p.dtype == np.float64
    limits = p if double else p.astype(_F)
    if not ((limits >= 0) & (limits <= 1)).all():
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
    with generator.lock:
        units = (unit64 if double else unit32)(generator, p.size)
    return (units.reshape(p.shape) < limits).astype(dtype)


def dropout_mask(generator: Generator, shape: Shape, p: float) -> np.ndarray:
    """Which elements a dropout of probability `p` keeps, as bool: what `native_dropout` draws, p of 0 or 1 included."""
    return _below(generator, shape, 1.0 - p)


def dropout_noise(generator: Generator, shape: Shape, p: float, *, dtype: np.dtype) -> np.ndarray:
    """The factor by which dropout multiplies: 0 or 1 / (1 - p). For 0 < p < 1; otherwise PyTorch draws nothing.

    Feature dropouts draw for `feature_shape(shape)`.
    """
    if dtype.kind == "c":
        raise not_implemented("bernoulli_scalar_cpu_", dtype)
    noise = _below(generator, shape, 1.0 - p).astype(dtype)
    noise *= _reciprocal(1.0 - p, dtype)
    return noise


def feature_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """One sample per channel: (N, C, 1, 1, ...).

    Raises RuntimeError for fewer than two dimensions.
    """
    if len(shape) < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    return (*shape[:2], *(1 for _ in shape[2:]))


def alpha_dropout_terms(
    generator: Generator, shape: Shape, p: float, *, dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """(factor, addend) of alpha dropout, `input * factor + addend`; for 0 < p < 1, else PyTorch draws nothing."""
    alpha = 1.7580993408473766  # selu's: the value that a dropped unit takes is -alpha
    a = 1.0 / math.sqrt((alpha * alpha * p + 1.0) * (1.0 - p))
    kept = _below(generator, shape, 1.0 - p)
    wide = np.dtype(np.float64 if dtype == np.float64 else _F)

    def rounded(x: np.ndarray | float) -> np.ndarray:
        return np.asarray(x, wide).astype(dtype).astype(wide)

    # Each step is rounded to `dtype`, as PyTorch's in-place steps are; a number that is added is rounded first.
    addend = rounded((kept - np.ones((), wide)) * (alpha * a)) + rounded(alpha * a * p)
    return rounded(kept * np.asarray(a, wide)).astype(dtype), addend.astype(dtype)


def rrelu_noise(generator: Generator, x: np.ndarray, lower: float, upper: float) -> np.ndarray:
    """The slope of each element: drawn (in double) where x <= 0, else 1 and nothing drawn. dtype: that of `x`."""
    noise = np.ones(x.shape, x.dtype)
    negative = x <= 0
    with generator.lock:
        units = unit64(generator, int(np.count_nonzero(negative)))
    first, last = np.array([lower, upper]).astype(x.dtype).astype(np.float64)
    noise[negative] = narrow(units * (last - first) + first, x.dtype)  # compiled without fused multiply-add
    return noise


def _in_blocks(size: int, dtype: np.dtype, block: Callable[[int], np.ndarray]) -> np.ndarray:
    """`size` elements, a cacheful at a time: `block` gives as many as it is asked for."""
    if size <= _BLOCK:
        return block(size)
    result = np.empty(size, dtype)
    for start in range(0, size, _BLOCK):
        part = result[start : start + _BLOCK]
        part[...] = block(part.size)
    return result


def _of_units(
    generator: Generator, shape: Shape, dtype: np.dtype, function: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """A function of one double uniform an element."""
    with generator.lock:
        size = math.prod(_as_tuple(shape))
        return _in_blocks(size, dtype, lambda count: function(unit64(generator, count))).reshape(shape)


def _below(generator: Generator, shape: Shape, p: float) -> np.ndarray:
    return _of_units(generator, shape, np.dtype(np.bool_), lambda units: units < p)


def _reciprocal(x: float, dtype: np.dtype) -> np.ndarray:
    if dtype == np.float64:
        return np.asarray(1.0 / x)
    return np.asarray(_F(1) / _F(x)).astype(dtype)


def _check_bounds(low: float, high: float, dtype: np.dtype) -> None:
    limit = largest(dtype)
    for name, bound in (("from", low), ("to", high)):
        if not -limit <= bound <= limit:
            raise RuntimeError(f"{name} is out of bounds for {cpp_name(dtype)}")
    if low > high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}")
    if not high - low <= limit:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{torch_name(dtype)}>::max(), but found to={high:g} and "
            f"from={low:g} which result in to-from to exceed the limit"
        )


def _log(x: float) -> float:
    return math.log(x) if x else -math.inf


def _as_tuple(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)
