"""Normal samples: PyTorch's CPU kernels bit for bit.

Here: normal, its complex and tensor-parameter forms, log-normal, and the one-by-one sampler that gamma shares.
Not here: other distributions (draws.py, draws_discrete.py, draws_rejection.py), range checks (core's and draws.py's).

PyTorch has two streams. Sixteen and more contiguous elements are Box-Muller in blocks of 16, in float32 by Cephes'
polynomials (below). Fewer elements, or a destination that is not contiguous, take doubles two by two and keep the
odd one for later: a caller with such a destination asks `normal(..., contiguous=False)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from lamina.core.draws_checks import require_floating
from lamina.core.generator import Generator
from lamina.core.libm import elementwise, fma32, fma64, narrow

Shape = int | Sequence[int]

_BLOCK = 1 << 15
_TWO_PI = 2.0 * math.pi
_MASK53 = np.uint64((1 << 53) - 1)
_F = np.float32


class Kernels(NamedTuple):
    """Native loops, which give the bits of this file's NumPy: (words or uniforms, room for samples, count, mean, std)."""

    normal32: Callable[..., np.ndarray]
    normal64: Callable[..., np.ndarray]
    pairs64: Callable[..., np.ndarray]

    def fill32(self, words: np.ndarray, mean: float, std: float) -> np.ndarray:
        return self.normal32(words, np.empty(words.size, _F), words.size // 16, mean, std)

    def fill64(self, uniforms: np.ndarray, mean: float, std: float) -> np.ndarray:
        return self.normal64(uniforms, np.empty(uniforms.size), uniforms.size // 16, mean, std)


class Native:
    """The slot for native loops. The compiler fills it, once NumPy has spent about as long on draws as loading them takes."""

    lend: Callable[[], Kernels | None] | None = None
    kernels: Kernels | None = None
    _spent = 0  # in elements; a call counts as many as NumPy could do in the time that its calls take

    @classmethod
    def wanted(cls, count: int) -> Kernels | None:
        cls._spent += count + 10_000
        if cls.lend is not None and cls._spent > 2_000_000:
            lend, cls.lend = cls.lend, None
            cls.kernels = lend()
        return cls.kernels


def normal(
    generator: Generator,
    shape: Shape,
    mean: float = 0.0,
    std: float = 1.0,
    *,
    dtype: np.dtype,
    contiguous: bool = True,
) -> np.ndarray:
    """Samples of N(mean, std**2).

    dtype: floating or complex; a complex number has its variance halved between its parts, and `mean` in both.
    Raises RuntimeError for a negative std.
    """
    if not std >= 0.0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    if dtype.kind == "c":
        real = np.dtype(f"f{dtype.itemsize // 2}")
        parts = (*_as_tuple(shape), 2)
        pairs = normal(generator, parts, mean, std / math.sqrt(2.0), dtype=real, contiguous=contiguous)
        return pairs.view(dtype)[..., 0]
    require_floating("normal_kernel_cpu", dtype)
    size = math.prod(_as_tuple(shape))
    with generator.lock:
        if size < 16 or not contiguous:
            flat = narrow(scaled(standard_normals(generator, size), mean, std), dtype)
        elif dtype == np.float64:
            flat = _blocks64(generator, size, mean, std)
        else:
            flat = _blocks32(generator, size, mean, std, dtype)
    return flat.reshape(shape)


def normal_tensors(
    generator: Generator, mean: np.ndarray | float, std: np.ndarray | float, shape: Shape, *, dtype: np.dtype
) -> np.ndarray:
    """Samples with a mean, a deviation or both of their own; PyTorch takes `dtype` from the mean if it is a tensor.

    Rounded to `dtype` after each of PyTorch's steps: draw, times a tensor `std`, plus `mean`. Arrays have the result's
    shape. Raises RuntimeError where a std is negative.
    """
    if isinstance(std, np.ndarray):
        if not (std.astype(np.float64) >= 0).all():
            raise RuntimeError("normal expects all elements of std >= 0.0")
        result = _step(np.multiply, normal(generator, shape, dtype=dtype), std)
    else:
        result = normal(generator, shape, 0.0, std, dtype=dtype)
    return _step(np.add, result, mean)


def log_normal(
    generator: Generator, shape: Shape, mean: float = 1.0, std: float = 2.0, *, dtype: np.dtype
) -> np.ndarray:
    """exp of normal samples, drawn one by one in double whatever the size.

    Raises RuntimeError unless std > 0.
    """
    require_floating("log_normal_cpu", dtype)
    if not std > 0.0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    size = math.prod(_as_tuple(shape))
    with generator.lock:
        exponents = scaled(standard_normals(generator, size), mean, std)
    return elementwise(np.exp, _exp, exponents, lambda x: narrow(x, dtype)).reshape(shape)


def standard_normals(generator: Generator, count: int) -> np.ndarray:
    """`count` doubles of N(0, 1), by pairs; the second of a pair waits in the generator if it is not needed."""
    result = np.empty(count)
    kept = int(generator.next_double is not None and count > 0)
    if kept:
        result[0], generator.next_double = generator.next_double, None
    pairs = (count - kept + 1) // 2
    uniforms = (generator.words64(2 * pairs) & _MASK53) * 2.0**-53
    samples = np.empty((pairs, 2))
    native = Native.kernels or Native.wanted(count)
    if native is not None:
        native.pairs64(uniforms, samples, pairs)
    else:
        _pairs(uniforms, samples)
    if kept + 2 * pairs > count:
        generator.next_double = float(samples[-1, 1])
    result[kept:] = samples.reshape(-1)[: count - kept]
    return result


def _pairs(uniforms: np.ndarray, samples: np.ndarray) -> None:
    u1, u2 = uniforms.reshape(samples.shape).T
    radius = np.sqrt(-2.0 * _each(math.log1p, -u2))
    theta = _TWO_PI * u1
    np.multiply(radius, _each(math.cos, theta), out=samples[:, 0])
    np.multiply(radius, _each(math.sin, theta), out=samples[:, 1])


def box_muller(u1: float, u2: float) -> tuple[float, float]:
    """Two independent N(0, 1) samples of two uniforms in [0, 1)."""
    radius = math.sqrt(-2.0 * math.log1p(-u2))
    theta = _TWO_PI * u1
    return radius * math.cos(theta), radius * math.sin(theta)


def scaled(samples: np.ndarray, mean: float, std: float) -> np.ndarray:
    """samples * std + mean, rounded once (so that -0 becomes 0 without a mean)."""
    return samples + 0.0 if mean == 0.0 and std == 1.0 else fma64(samples, std, mean)


def _blocks64(generator: Generator, size: int, mean: float, std: float) -> np.ndarray:
    """Whole blocks, then the last 16 elements once more from 16 new uniforms unless the size is a multiple of 16."""
    uniforms = (generator.words64(size) & _MASK53) * 2.0**-53
    result = np.empty(size)
    whole = size // 16 * 16
    native = Native.kernels or Native.wanted(size)
    fill = _fill64 if native is None else native.fill64
    result[:whole] = fill(uniforms[:whole], mean, std)
    if size > whole:
        again = (generator.words64(16) & _MASK53) * 2.0**-53
        result[-16:] = fill(again, mean, std)
    return result


def _fill64(uniforms: np.ndarray, mean: float, std: float) -> np.ndarray:
    first, second = uniforms.reshape(-1, 2, 8).swapaxes(0, 1)
    radius = np.sqrt(-2.0 * _each(math.log, (1.0 - first).ravel()))
    theta = _TWO_PI * second.ravel()
    samples = np.stack((radius * _each(math.cos, theta), radius * _each(math.sin, theta)))
    return scaled(samples.reshape(2, -1, 8).swapaxes(0, 1).ravel(), mean, std)


def _each(function: Callable[[float], float], x: np.ndarray) -> np.ndarray:
    """A function of `math`, so the C library's, of each double: NumPy's own differ in the last place."""
    return np.fromiter(map(function, x.tolist()), np.float64, x.size)


def _blocks32(generator: Generator, size: int, mean: float, std: float, dtype: np.dtype) -> np.ndarray:
    """Blocks as in `_blocks64`, in float32.

    The 16-bit types go through a buffer of 16 float32: they draw no uniforms for the incomplete block.
    """
    result = np.empty(size, dtype)
    whole = size // 16 * 16
    native = Native.kernels or Native.wanted(size)
    fill = _fill32 if native is None else native.fill32
    direct = native is not None and dtype == np.float32
    for start in range(0, whole, _BLOCK):
        part = result[start : min(start + _BLOCK, whole)]
        words = generator.words(part.size)
        if direct:
            native.normal32(words, part, part.size // 16, mean, std)  # type: ignore[union-attr]
        else:
            part[...] = fill(words, mean, std)
    if size > whole:
        if dtype == np.float32:
            generator.words(size - whole)
        result[-16:] = fill(generator.words(16), mean, std)
    return result


def _fill32(words: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Box-Muller on blocks of 16 words: uniforms of 24 bits, eight radii and eight angles."""
    # Eight numbers are moved as one item: NumPy's loops over rows of eight are slow.
    bits = words.astype(np.int32)
    bits &= 0xFFFFFF
    bits = bits.view("V32").reshape(-1, 2)
    radius = _radius(np.ascontiguousarray(bits[:, 0]).view(np.int32))
    cosine, sine = _cos_sin(np.ascontiguousarray(bits[:, 1]).view(np.int32))
    cosine *= radius
    sine *= radius
    result = np.empty(bits.shape, "V32")
    result[:, 0], result[:, 1] = cosine.view("V32"), sine.view("V32")
    samples = result.view(_F).ravel()
    if mean == 0.0 and std == 1.0:
        samples += _F(0)  # -0 becomes 0
        return samples
    return fma32(samples, float(_F(std)), float(_F(mean)))


# Cephes' logf, sinf and cosf (Moshier), in the order of operations and with the fused steps of PyTorch's build. A fused
# step is done in double and rounded to float32: rounding twice is harmless here, as a comparison of all 2**24 radii
# and angles with PyTorch's showed. Steps whose product is exact (by 0.5, by Q2) need no fusing.
_LOG = tuple(
    float(_F(c))
    for c in (
        7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
        2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
    )
)  # fmt: skip
_LOG_Q1, _LOG_Q2 = _F(-2.12194440e-4), _F(0.693359375)
_ROOT_HALF = np.int32(0x3F3504F3)  # the bits of sqrt(1/2)
_FOUR_OVER_PI = _F(1.27323954473516)
# pi/4 in three parts, the first two so short that their multiples are exact.
_QUARTER_PI = (_F(0.78515625), _F(2.4187564849853515625e-4), np.float64(_F(3.77489497744594108e-8)))
_COS = tuple(float(_F(c)) for c in (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2))
_SIN = tuple(float(_F(c)) for c in (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1))


def _radius(bits: np.ndarray) -> np.ndarray:
    """sqrt(-2 log(1 - bits / 2**24)) of int32 below 2**24, as float32."""
    number = np.subtract(1 << 24, bits, out=bits).astype(_F)
    # number = (1 + x) * 2**exponent, with 1 + x in [sqrt(1/2), sqrt(2)): shift sqrt(1/2) to the start of a binade.
    pattern = number.view(np.int32)
    pattern -= _ROOT_HALF
    exponent = (pattern >> 23).astype(_F)
    exponent -= _F(24)
    pattern &= 0x7FFFFF
    pattern += _ROOT_HALF
    x = number
    x -= _F(1)
    wide, step = x.astype(np.float64), np.empty(x.shape)
    y = _horner(_LOG, wide, step)
    y *= x
    square = x * x
    np.multiply(y, square, out=step, dtype=np.float64)
    step += exponent * _LOG_Q1
    y[...] = step
    square *= _F(0.5)
    y -= square
    x += y
    exponent *= _LOG_Q2
    x += exponent
    x *= _F(-2)
    np.sqrt(x, out=x)
    return np.asarray(x)


def _cos_sin(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin of 2 pi bits / 2**24 of int32 below 2**24, as float32."""
    x = bits.astype(_F)
    x *= _F(_TWO_PI * 2.0**-24)
    # The nearest even multiple of pi/4 is taken off; `octant` names it.
    octant = (x * _FOUR_OVER_PI).astype(np.int32)
    octant += 1
    octant &= ~1
    multiple = octant.astype(_F)
    for part in _QUARTER_PI[:2]:
        x -= multiple * part
    step = multiple * _QUARTER_PI[2]
    np.subtract(x, step, out=x, casting="same_kind")
    square = x * x
    wide = square.astype(np.float64)
    cosine = _horner(_COS, wide, step)
    cosine *= square
    np.multiply(cosine, wide, out=step)
    wide *= 0.5
    step -= wide
    sine = _horner(_SIN, np.multiply(wide, 2.0, out=wide), wide_step := np.empty(x.shape))
    cosine[...] = step
    cosine += _F(1)
    sine *= square
    np.multiply(sine, x, out=wide_step, dtype=np.float64)
    wide_step += x
    sine[...] = wide_step
    # Every second quarter turn swaps the two; signs follow the quarter. Done on the bits, without branches.
    c, s = cosine.view(np.int32), sine.view(np.int32)
    swap = octant << 30
    swap >>= 31
    swap &= c ^ s
    c ^= swap
    s ^= swap
    sign = np.int32(-(1 << 31))
    s ^= (octant << 29) & sign
    octant += 2
    c ^= (octant << 29) & sign
    return cosine, sine


def _horner(coefficients: tuple[float, ...], x: np.ndarray, step: np.ndarray) -> np.ndarray:
    """The polynomial at x by fused steps in float32; `x` holds float32 values as doubles, `step` is scratch."""
    y = np.empty(x.shape, _F)
    np.multiply(x, coefficients[0], out=step)
    step += coefficients[1]
    y[...] = step
    for c in coefficients[2:]:
        step[...] = y
        step *= x
        step += c
        y[...] = step
    return y


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _step(operation: np.ufunc, samples: np.ndarray, operand: np.ndarray | float) -> np.ndarray:
    """An in-place operation on `samples`: in double if either is, else in float32; a number takes their type first."""
    other = operand if isinstance(operand, np.ndarray) else np.asarray(operand).astype(samples.dtype)
    wide = np.float64 if np.float64 in (samples.dtype, other.dtype) else _F
    return narrow(operation(samples.astype(wide), other.astype(wide)), samples.dtype)


def _as_tuple(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)
