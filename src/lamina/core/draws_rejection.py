"""Distributions that reject some of their uniforms: sample by sample, in PyTorch's order, bit for bit.

Here: Poisson, binomial, gamma, Dirichlet. Not here: everything that takes a fixed number of words a sample.

Each sampler reads doubles of [0, 1) from a `_Uniforms`. Elements are Python floats and the functions those of `math`,
so results are the C library's; only lgamma, of which a comparison depends, is Python's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import TracebackType

import numpy as np

from lamina.core.draws import unit64
from lamina.core.draws_checks import require_floating
from lamina.core.draws_normal import box_muller
from lamina.core.generator import Generator
from lamina.core.libm import narrow


def poisson(generator: Generator, rates: np.ndarray) -> np.ndarray:
    """Poisson samples of the given rates; shape and dtype (floating) of `rates`.

    Raises RuntimeError for a rate that is negative or NaN.
    """
    require_floating("poisson_cpu", rates.dtype)
    flat = rates.astype(np.float64).ravel()
    if not (flat >= 0).all():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    with generator.lock, _Uniforms(generator) as uniform:
        return _array([_poisson(rate, uniform) for rate in flat.tolist()], rates)


def binomial(generator: Generator, count: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """Binomial samples; `count` and `prob` have the result's shape. dtype: that of `count`, float32 or float64.

    A NaN in either gives NaN.
    """
    require_floating("binomial_cpu", count.dtype, wide=True)
    single = count.dtype == np.float32
    pairs = zip(count.ravel().tolist(), prob.astype(count.dtype).ravel().tolist(), strict=True)
    with generator.lock, _Uniforms(generator) as uniform:
        return _array([_binomial(n, p, uniform, _single if single else float) for n, p in pairs], count)


def standard_gamma(generator: Generator, alpha: np.ndarray) -> np.ndarray:
    """Gamma samples of the given shapes and rate 1, at least the smallest normal number.

    Shape and dtype (float32 or float64) of `alpha`.
    """
    require_floating("gamma_cpu", alpha.dtype, wide=True)
    samples, least = (
        _array(_gammas(generator, alpha, _single if alpha.dtype == np.float32 else float), alpha),
        np.finfo(alpha.dtype).tiny,
    )
    return np.where(samples > least, samples, least)  # the least for a NaN too


def dirichlet(generator: Generator, alpha: np.ndarray) -> np.ndarray:
    """Dirichlet samples along the last dimension; shape and dtype (float32 or float64) of `alpha`."""
    require_floating("dirichlet", alpha.dtype, wide=True)
    gammas = np.array(_gammas(generator, alpha, float)).reshape(alpha.shape)
    parts = narrow(gammas / gammas.sum(-1, keepdims=True), alpha.dtype)
    info = np.finfo(alpha.dtype)
    return np.asarray(np.clip(parts, info.tiny, 1.0 - info.eps / 2, dtype=alpha.dtype))


class _Uniforms:
    """Doubles of [0, 1) one at a time. It reads ahead, and on leaving puts the generator where the last one was."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self._ahead: list[float] = []
        self._read = 0

    def __enter__(self) -> _Uniforms:
        self._mark = self.generator.mark()
        return self

    def __call__(self) -> float:
        if not self._ahead:
            block = min(max(64, self._read), 1 << 14)
            self._ahead = unit64(self.generator, block)[::-1].tolist()
            self._read += block
        return self._ahead.pop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.generator.rewind(self._mark, 2 * (self._read - len(self._ahead)))


def _array(samples: list[float], like: np.ndarray) -> np.ndarray:
    return narrow(np.array(samples, np.float64), like.dtype).reshape(like.shape)


def _poisson(rate: float, uniform: _Uniforms) -> float:
    if rate >= 10.0:
        return _poisson_ptrs(rate, uniform)
    if rate == 0.0:
        return 0.0
    limit, count, product = math.exp(-rate), 0, 1.0
    while True:
        product *= uniform()
        if product <= limit:
            return float(count)
        count += 1


def _poisson_ptrs(rate: float, uniform: _Uniforms) -> float:
    """Hörmann's transformed rejection with squeeze (PTRS, 1993)."""
    root, log_rate = math.sqrt(rate), math.log(rate)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    squeeze = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u = uniform() - 0.5
        v = uniform()
        us = 0.5 - abs(u)
        if us == 0.0:
            continue
        k = _to_int64((2.0 * a / us + b) * u + rate + 0.43)
        if us >= 0.07 and v <= squeeze:
            return float(k)
        if k < 0 or (us < 0.013 and v > us):
            continue
        left = _log(v) + math.log(inverse_alpha) - math.log(a / (us * us) + b)
        if left <= -rate + k * log_rate - math.lgamma(k + 1.0):
            return float(k)


def _binomial(count: float, prob: float, uniform: _Uniforms, number: Callable[[float], float]) -> float:
    """`number` rounds what PyTorch keeps in variables of the element type; float32 shows in counts of a million."""
    if math.isnan(count) or math.isnan(prob):
        return math.nan
    if count <= 0.0 or prob <= 0.0:
        return 0.0
    if prob >= 1.0:
        return count
    if prob > 0.5:
        return count - _binomial_below_half(count, number(1.0 - prob), uniform, number)
    return _binomial_below_half(count, prob, uniform, number)


def _binomial_below_half(count: float, prob: float, uniform: _Uniforms, number: Callable[[float], float]) -> float:
    if number(count * prob) >= 10.0:
        return _binomial_btrs(count, prob, uniform, number)
    # The waiting times between successes are geometric: how many fit into `count` trials?
    log_failure, trials, successes = number(math.log1p(-prob)), 0.0, 0
    while True:
        wait = _log(uniform()) / log_failure
        trials += math.ceil(wait) if wait < math.inf else wait
        if not trials <= count:
            return float(successes)
        successes += 1


def _binomial_btrs(count: float, prob: float, uniform: _Uniforms, number: Callable[[float], float]) -> float:
    """Hörmann's transformed rejection for the binomial distribution (BTRS, 1993)."""
    deviation = number(math.sqrt(number(number(count * prob) * number(1.0 - prob))))
    b = number(1.15 + 2.53 * deviation)
    a = number(-0.0873 + 0.0248 * b + 0.01 * prob)
    c = number(number(count * prob) + 0.5)
    squeeze = number(0.92 - 4.2 / b)
    odds = number(prob / number(1.0 - prob))
    alpha = number((2.83 + 5.1 / b) * deviation)
    mode = _floor(number(number(count + 1.0) * prob))
    while True:
        u = uniform() - 0.5
        v = uniform()
        us = 0.5 - abs(u)
        if us == 0.0:
            continue
        k = _floor((2.0 * a / us + b) * u + c)
        if us >= 0.07 and v <= squeeze:
            return float(k)
        if k < 0 or k > count:
            continue
        bound = (
            (mode + 0.5) * math.log((mode + 1.0) / (odds * (count - mode + 1.0)))
            + (count + 1.0) * math.log((count - mode + 1.0) / (count - k + 1.0))
            + (k + 0.5) * math.log(odds * (count - k + 1.0) / (k + 1.0))
            + _stirling_tail(mode)
            + _stirling_tail(count - mode)
            - _stirling_tail(k)
            - _stirling_tail(count - k)
        )
        if _log(v * alpha / (a / (us * us) + b)) <= bound:
            return float(k)


def _stirling_tail(k: float) -> float:
    """log(k!) less Stirling's approximation of it."""
    if k <= 9:
        return _TAILS[int(k)]
    square = (k + 1.0) * (k + 1.0)
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1.0)


_THIRD = float(np.float32(1.0) / np.float32(3.0))  # PyTorch's 1/3 is a float's, also for doubles

_TAILS = [
    math.lgamma(k + 1.0) - 0.5 * math.log(2.0 * math.pi) - (k + 0.5) * math.log(k + 1.0) + (k + 1.0) for k in range(10)
]


def _gammas(generator: Generator, alpha: np.ndarray, number: Callable[[float], float]) -> list[float]:
    shapes = alpha.astype(np.float64).ravel().tolist()
    with generator.lock, _Uniforms(generator) as uniform:
        return [_gamma(shape, uniform, number) for shape in shapes]


def _gamma(alpha: float, uniform: _Uniforms, number: Callable[[float], float]) -> float:
    """Marsaglia and Tsang's method (2000); below 1, a power of a uniform times a sample of alpha + 1."""
    scale = 1.0
    if alpha < 1.0:
        if alpha == 0.0:
            return 0.0
        scale = _pow(1.0 - uniform(), number(1.0 / alpha))
        alpha = number(alpha + 1.0)
    d = number(alpha - _THIRD)
    c = 1.0 / math.sqrt(9.0 * d) if d > 0.0 else math.nan  # an impossible shape gives NaN, from as much of the stream
    while True:
        x = _normal(uniform)
        y = 1.0 + c * x
        if y <= 0.0:
            continue
        v = y * y * y
        u = 1.0 - uniform()
        xx = x * x
        if u < 1.0 - 0.0331 * xx * xx or math.log(u) < 0.5 * xx + d * (1.0 - v + math.log(v)):
            return scale * d * v


def _normal(uniform: _Uniforms) -> float:
    """One N(0, 1) sample; its twin waits in the generator, where `normal` also finds it."""
    generator = uniform.generator
    waiting = generator.next_double
    if waiting is not None:
        generator.next_double = None
        return waiting
    u1 = uniform()
    sample, generator.next_double = box_muller(u1, uniform())
    return sample


def _floor(x: float) -> float:
    return float(math.floor(x)) if math.isfinite(x) else x


def _to_int64(x: float) -> int:
    """C's conversion: what does not fit gives the least integer."""
    return math.floor(x) if -(2.0**63) <= x < 2.0**63 else -(2**63)


def _single(x: float) -> float:
    return float(np.float32(x))


def _pow(x: float, y: float) -> float:
    try:
        return math.pow(x, y)
    except OverflowError:
        return math.inf


def _log(x: float) -> float:
    return math.log(x) if x else -math.inf
