"""Random integers, permutations and categories: PyTorch's CPU kernels bit for bit.

Here: random_ and randint in all forms, randperm, multinomial. Not here: Bernoulli and geometric (draws.py), counts
sampled by rejection (draws_rejection.py).
"""

from __future__ import annotations

import math

import numpy as np

from lamina.core.draws import Shape, exponential, unit64
from lamina.core.draws_checks import cpp_name, digits, is_floating, not_implemented, require_real, torch_name
from lamina.core.generator import Generator
from lamina.core.warn import warn

_MIN64, _MAX64 = -(2**63), 2**63 - 1
_ONE_WORD = 1 << 28  # a range as large takes two words a number: the remainder of one would be too uneven
_FULL_RANGE = frozenset(("int64", "float64", "float32", "bfloat16"))
_BY_HAND = 1 << 14  # elements that are swapped one by one, in a list
_LARGE_PERMUTATION = (2**32 - 1) // 20  # from here on another algorithm, of two words a number


def random(generator: Generator, shape: Shape, *, dtype: np.dtype) -> np.ndarray:
    """Integers of the whole non-negative range of `dtype`; floating: [0, 2**digits], all exact. (`random_()`)"""
    require_real("random_kernel_cpu", dtype, boolean=True)
    # bool and integers: as many values as fit; floating ones include the power of two itself.
    values = 2 ** digits(dtype) + is_floating(dtype)
    return _remainders(generator, shape, values, two_words=values > 2**32, base=0, dtype=dtype)


def randint(generator: Generator, shape: Shape, low: int, high: int | None, *, dtype: np.dtype) -> np.ndarray:
    """Integers of [low, high); None stands for the end of the range of `dtype`. (`random_(from, to)`, `randint`)

    A floating type rounds bounds beyond its exact integers inwards, with a warning. Raises RuntimeError for bounds
    that do not fit the type or are not in order.
    """
    if high is None and low == _MIN64:
        return _any_word(generator, shape, dtype)
    if high is None:
        if dtype.kind == "c":
            raise RuntimeError("random_from_to_impl handles only integral, floating-point and boolean types")
        last = 2 ** digits(dtype) - (not is_floating(dtype))
        _check_bounds(low, last, dtype)
        low = _round_in_low(low, dtype)
        if low > last:
            raise RuntimeError(
                "random_ expects 'from' casted to dtype to be less than or equal to 'to_inc' casted to dtype, but got "
                f"from={low} > to_inc={last}"
            )
        values = last - low + 1
    else:
        if low >= high:
            raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
        _check_bounds(low, high - 1, dtype)
        low, high = _round_in_low(low, dtype), _round_in_high(high, dtype)
        if low >= high:
            raise RuntimeError(
                f"random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, but got from={low} >= "
                f"to={high}"
            )
        values = high - low
    return _remainders(generator, shape, values, two_words=values >= _ONE_WORD, base=low, dtype=dtype)


def randperm(generator: Generator, n: int, *, dtype: np.dtype) -> np.ndarray:
    """The integers below `n` in random order.

    dtype: signed integer, uint8 or floating. Raises RuntimeError where it cannot hold n - 1.
    """
    _check_permutation(n, dtype)
    with generator.lock:
        result = _inside_out(generator, n) if n >= _LARGE_PERMUTATION else _fisher_yates(generator, n)
    return result.astype(dtype, copy=False)


def multinomial(generator: Generator, weights: np.ndarray, count: int, replacement: bool = False) -> np.ndarray:
    """`count` categories of each row of non-negative `weights`, shape (n,) or (rows, n); int64.

    Raises RuntimeError for weights that are no distribution, or too few for drawing without replacement.
    """
    if weights.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if not is_floating(weights.dtype):
        raise RuntimeError(
            f"multinomial only supports floating-point dtypes for input, got: {torch_name(weights.dtype)}"
        )
    if count <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and count > weights.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    if weights.shape[-1] > 1 << 24:
        raise RuntimeError("number of categories cannot exceed 2^24")
    if replacement and count > 1:
        return _with_replacement(generator, weights, count)
    return _race(generator, weights, count)


def _race(generator: Generator, weights: np.ndarray, count: int) -> np.ndarray:
    """The largest of weight / exponential sample win. Equal ones (frequent in 16 bits): the first wins."""
    wide = weights if weights.dtype == np.float64 else weights.astype(np.float32)
    if not ((wide >= 0) & (wide < math.inf)).all():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if (wide.sum(-1) <= 0).any():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    noise = exponential(generator, weights.shape, dtype=weights.dtype).astype(wide.dtype, copy=False)
    scores = (wide / noise).astype(weights.dtype).astype(wide.dtype)
    if count == 1:
        return np.asarray(scores.argmax(-1, keepdims=True))
    order: np.ndarray = np.argsort(-scores, axis=-1, kind="stable")
    return order[..., :count]


def _with_replacement(generator: Generator, weights: np.ndarray, count: int) -> np.ndarray:
    """Each sample is a binary search for a double in the row's cumulative weights, summed in order in float32."""
    rows = np.atleast_2d(weights)
    rows = rows if rows.dtype == np.float64 else rows.astype(np.float32)
    if (rows < 0).any():
        raise RuntimeError("invalid multinomial distribution (encountering probability entry < 0)")
    if not np.isfinite(rows).all():
        raise RuntimeError("invalid multinomial distribution (encountering probability entry = infinity or NaN)")
    totals = np.cumsum(rows, -1)
    if rows.shape[0] and (rows.shape[1] == 0 or (totals[:, -1] <= 0).any()):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    with generator.lock:
        units = unit64(generator, len(rows) * count).reshape(-1, count)
    result = np.empty((len(rows), count), np.int64)
    for row, total, unit in zip(result, totals, units, strict=True):
        limits = (total / total[-1]).astype(np.float64)
        limits[-1] = 1.0
        row[...] = np.searchsorted(limits, unit)
    return result.reshape(*weights.shape[:-1], count)


def _any_word(generator: Generator, shape: Shape, dtype: np.dtype) -> np.ndarray:
    kernel = "random_full_64_bits_range_kernel_cpu"
    if dtype.name in _FULL_RANGE:
        return _remainders(generator, shape, 2**64, two_words=True, base=0, dtype=dtype)
    require_real(kernel, dtype, boolean=False)
    if is_floating(dtype):
        raise not_implemented(kernel, dtype)
    raise RuntimeError(f"{kernel} handles only int64, double, float and bfloat16")


def _remainders(
    generator: Generator, shape: Shape, values: int, *, two_words: bool, base: int, dtype: np.dtype
) -> np.ndarray:
    """base + word % values, wrapping at 64 bits."""
    size = math.prod((shape,) if isinstance(shape, int) else shape)
    with generator.lock:
        words = generator.words64(size) if two_words else generator.words(size).astype(np.uint32)
    if values < 2 ** (8 * words.itemsize):
        words = words % words.dtype.type(values)
    numbers = words.astype(np.uint64) + np.uint64(base % 2**64)
    signed = numbers.view(np.int64)
    if dtype.name == "bfloat16":
        return signed.astype(np.float32).astype(dtype).reshape(shape)
    return signed.astype(dtype).reshape(shape)


def _check_bounds(low: int, last: int, dtype: np.dtype) -> None:
    if dtype.kind == "c":
        raise RuntimeError("check_random_bounds handles only integral, floating-point and boolean types")
    exact = digits(dtype)
    if is_floating(dtype):
        bound = 65504 if dtype.name == "float16" else math.inf
        least = -bound
    else:
        bound = 2**exact - 1
        least = -bound - 1 if dtype.kind == "i" else 0
    for name, value in (("from", low), ("to - 1", last)):
        if not (least <= value <= bound and value <= _MAX64):
            raise RuntimeError(f"{name} is out of bounds for {cpp_name(dtype)}")
        if is_floating(dtype) and not -(2**exact) <= value <= 2**exact:
            warn(
                f"{name} is out of bounds [-(2^{exact}), 2^{exact}]. Due to precision limitations {cpp_name(dtype)} "
                "can support discrete uniform distribution only within this range.",
                UserWarning,
            )


def _rounded(value: int, dtype: np.dtype) -> int:
    """The integer that is left of `value` in a floating type; at 2**63 C's conversion wraps."""
    number = int(np.asarray(value, np.int64).astype(np.float32 if dtype.itemsize < 8 else dtype).astype(dtype))
    return number if number <= _MAX64 else _MIN64


def _round_in_low(low: int, dtype: np.dtype) -> int:
    """`low`, or the next number above that the floating type holds, should rounding go below."""
    if not is_floating(dtype) or _rounded(low + 1, dtype) >= low:
        return low
    return _rounded(low + 1, dtype) + (1 << (abs(low + 1).bit_length() - digits(dtype)))


def _round_in_high(high: int, dtype: np.dtype) -> int:
    """`high`, or a number below that the floating type holds, should the last integer round up to it."""
    if not is_floating(dtype) or _rounded(high - 1, dtype) < high:
        return high
    return _rounded(high - 1, dtype) - (1 << (abs(high - 1).bit_length() - digits(dtype)))


def _check_permutation(n: int, dtype: np.dtype) -> None:
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    if dtype.kind in "bc" or dtype.name in ("uint16", "uint32", "uint64"):
        raise not_implemented("randperm", dtype)
    exact = digits(dtype)
    if is_floating(dtype):
        if n > 2**exact + 1 and dtype.name != "bfloat16":
            limit = "2049" if dtype.name == "float16" else f"2^{exact}+1"
            raise RuntimeError(f"n cannot be greater than {limit} for {torch_name(dtype)} type.")
    elif n > 2**exact:
        name = "int" if dtype.name == "int32" else f"{dtype.name}_t"
        raise RuntimeError(f"value cannot be converted to type {name} without overflow")


def _fisher_yates(generator: Generator, n: int) -> np.ndarray:
    """0..n-1 after swapping, for each i but the last, the elements i and i + word % (n - i)."""
    offsets = (generator.words(max(n - 1, 0)) % np.arange(n, 1, -1, dtype=np.uint64)).view(np.int64)
    result, seen = np.arange(n), np.empty(n, np.int64)
    start = 0
    while n - start > _BY_HAND:
        here = np.arange(start, start + (n - start) // 64)
        _swap(result, seen, here, here + offsets[start : start + here.size])
        start += here.size
    rest = result[start:].tolist()
    for i, offset in enumerate(offsets[start:].tolist()):
        rest[i], rest[i + offset] = rest[i + offset], rest[i]
    result[start:] = rest
    return result


def _inside_out(generator: Generator, n: int) -> np.ndarray:
    """0..n-1 after swapping, for each i, the elements i and (two words) % (i + 1)."""
    result, seen = np.arange(n), np.empty(n, np.int64)
    start = min(n, _BY_HAND)
    first = result[:start].tolist()
    for i, j in enumerate((generator.words64(start) % np.arange(1, start + 1, dtype=np.uint64)).tolist()):
        first[i], first[j] = first[j], first[i]
    result[:start] = first
    while start < n:
        here = np.arange(start, min(n, start + start // 64))
        _swap(result, seen, here, (generator.words64(here.size) % (here + 1).view(np.uint64)).view(np.int64))
        start += here.size
    return result


def _swap(numbers: np.ndarray, seen: np.ndarray, here: np.ndarray, there: np.ndarray) -> None:
    """Swap the elements here[k] (consecutive) and there[k], for each k in order. `seen` is scratch.

    Swaps that share no element with another are done at once. The blocks are so small a part of the numbers that few
    others are left.
    """
    seen[there[::-1]] = here[::-1]
    alone = seen[there] == here
    seen[there] = here
    alone &= seen[there] == here
    inside = (there >= here[0]) & (there <= here[-1]) & (there != here)
    alone &= ~inside
    alone[there[inside] - here[0]] = False
    for i, j in zip(here[~alone].tolist(), there[~alone].tolist(), strict=True):
        numbers[i], numbers[j] = numbers[j], numbers[i]
    here, there = here[alone], there[alone]
    numbers[here], numbers[there] = numbers[there], numbers[here]
