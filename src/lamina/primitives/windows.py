"""Windows for spectra: bartlett, blackman, hamming, hann, kaiser, at the top level. Not here: those of torch.signal.windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.core import device as devices
from lamina.core.factories import kind_of
from lamina.core.size import check_room
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, meta_array, refuse_layout
from lamina.primitives.creation import made
from lamina.primitives.signature import not_implemented


def _window(
    name: str,
    n: Any,
    periodic: bool,
    shape: Callable[[Array, int], Array],
    dtype: Any,
    layout: Any,
    device: Any,
    requires_grad: bool,
) -> Tensor:
    """`shape` of 0 ... n - 1; a periodic window is a symmetric one of n + 1, without its last value."""
    if not hasattr(n, "__index__"):
        raise TypeError(f"{name}(): argument 'window_length' (position 1) must be int, not {type(n).__name__}")
    kind = kind_of(dtype, device)
    if layout is not None and layout is not devices.strided:
        refuse_layout(str(layout))
    if kind.dtype.category == 3:
        raise not_implemented("arange_cpu", kind.dtype)
    if kind.dtype.category < 2:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {kind.dtype}")
    if n < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got window_length={n}")
    if kind.device is devices.meta:
        return made(meta_array((n,), kind), kind, requires_grad)
    check_room((n + 1,), 8)
    if n < 2:
        return made(np.ones(n, kind.np), kind, requires_grad)
    full = n + 1 if periodic else n
    values = shape(np.arange(full).astype(kind.np), full)
    return made(np.ascontiguousarray(values[:n]).astype(kind.np), kind, requires_grad)


def _scaled(x: Array, by: float) -> Array:
    return x * x.dtype.type(by)  # type: ignore[no-any-return]


def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A triangle from 0 over 1 to 0. periodic: for spectra; else symmetric."""

    def shape(x: Array, n: int) -> Array:
        out = _scaled(x, 2.0 / (n - 1))
        half = ((n - 1) >> 1) + 1
        out[half:] = x.dtype.type(2) - out[half:]
        return out

    return _window("bartlett_window", window_length, periodic, shape, dtype, layout, device, requires_grad)


def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """0.42 - 0.5 cos(2 pi k / (n - 1)) + 0.08 cos(4 pi k / (n - 1))."""

    def shape(x: Array, n: int) -> Array:
        x = _scaled(x, math.pi / (n - 1))
        return _scaled(np.cos(_scaled(x, 4)), 0.08) - _scaled(np.cos(_scaled(x, 2)), 0.5) + x.dtype.type(0.42)  # type: ignore[no-any-return]

    return _window("blackman_window", window_length, periodic, shape, dtype, layout, device, requires_grad)


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """alpha - beta cos(2 pi k / (n - 1))."""
    return _raised_cosine("hamming_window", window_length, periodic, alpha, beta, dtype, layout, device, requires_grad)


def hann_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """0.5 - 0.5 cos(2 pi k / (n - 1))."""
    return _raised_cosine("hann_window", window_length, periodic, 0.5, 0.5, dtype, layout, device, requires_grad)


def _raised_cosine(
    name: str,
    n: int,
    periodic: bool,
    alpha: float,
    beta: float,
    dtype: Any,
    layout: Any,
    device: Any,
    requires_grad: bool,
) -> Tensor:
    def shape(x: Array, full: int) -> Array:
        return _scaled(np.cos(_scaled(x, math.pi * 2 / (full - 1))), -beta) + x.dtype.type(alpha)  # type: ignore[no-any-return]

    return _window(name, n, periodic, shape, dtype, layout, device, requires_grad)


def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """I0(beta sqrt(1 - ((k - a) / a)^2)) / I0(beta), a = (n - 1) / 2."""

    def shape(x: Array, n: int) -> Array:
        a = (n - 1) / 2.0
        place = (x.astype(np.float64) - a) / a
        return np.i0(beta * np.sqrt(np.maximum(0.0, 1 - place * place))) / np.i0(beta)

    return _window("kaiser_window", window_length, periodic, shape, dtype, layout, device, requires_grad)
