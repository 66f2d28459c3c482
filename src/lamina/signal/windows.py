"""Windows for spectra and filters, symmetric (sym=True) or periodic, float32 or float64."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import lamina
from lamina.core.tensor import Tensor

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine", "general_hamming", "hamming", "hann", "kaiser",
    "nuttall",
]  # fmt: skip


def _checked(name: str, M: int, dtype: Any, layout: Any) -> Any:
    """The window's dtype. Raises ValueError for what has no window."""
    d = lamina.get_default_dtype() if dtype is None else dtype
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if layout is not None and layout is not lamina.strided:
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    if d not in (lamina.float32, lamina.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {d}")
    return d


def _short(M: int, d: Any, device: Any, requires_grad: bool) -> Tensor:
    return lamina.ones((M,), dtype=d, device=device, requires_grad=requires_grad)  # type: ignore[no-any-return]


def _line(start: Any, end: Any, M: int, d: Any, device: Any, requires_grad: bool) -> Tensor:
    return lamina.linspace(start, end, M, dtype=d, device=device, requires_grad=requires_grad)


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """exp(-|k - center| / tau). center: default the middle, and only that for symmetric windows."""
    d = _checked("exponential", M, dtype, layout)
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    if M == 0:
        return _short(M, d, device, requires_grad)
    middle = (M if not sym and M > 1 else M - 1) / 2.0 if center is None else center
    k = _line(-middle / tau, (-middle + (M - 1)) / tau, M, d, device, requires_grad)
    return lamina.exp(-lamina.abs(k))  # type: ignore[no-any-return]


def cosine(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """sin(pi (k + 0.5) / M)."""
    d = _checked("cosine", M, dtype, layout)
    if M == 0:
        return _short(M, d, device, requires_grad)
    step = math.pi / (M + 1 if not sym and M > 1 else M)
    k = _line(0.5 * step, (0.5 + (M - 1)) * step, M, d, device, requires_grad)
    return lamina.sin(k)  # type: ignore[no-any-return]


def gaussian(
    M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """exp(-((k - (M - 1) / 2) / std)^2 / 2)."""
    d = _checked("gaussian", M, dtype, layout)
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    if M == 0:
        return _short(M, d, device, requires_grad)
    start = -(M if not sym and M > 1 else M - 1) / 2.0
    step = 1 / (std * math.sqrt(2))
    k = _line(start * step, (start + (M - 1)) * step, M, d, device, requires_grad)
    return lamina.exp(-(k**2))  # type: ignore[no-any-return,operator]


def kaiser(
    M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """I0(beta sqrt(1 - ((k - a) / a)^2)) / I0(beta), a the middle."""
    d = _checked("kaiser", M, dtype, layout)
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    if M < 2:
        return _short(M, d, device, requires_grad)
    height = lamina.tensor(beta, dtype=d, device=device)
    step = 2.0 * beta / (M if not sym else M - 1)
    # rounding must not take the end beyond beta, where the root is of a negative number
    end = min(beta, -beta + (M - 1) * step)
    k = _line(-beta, end, M, d, device, requires_grad)
    return lamina.i0(lamina.sqrt(height * height - k**2)) / lamina.i0(height)  # type: ignore[no-any-return,operator]


def bartlett(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A triangle from 0 over 1 to 0."""
    d = _checked("bartlett", M, dtype, layout)
    if M < 2:
        return _short(M, d, device, requires_grad)
    step = 2 / (M if not sym else M - 1)
    k = _line(-1, -1 + (M - 1) * step, M, d, device, requires_grad)
    return 1 - lamina.abs(k)  # type: ignore[no-any-return]


def general_cosine(
    M: int, *, a: Iterable[float], sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The sum over i of (-1)^i a[i] cos(2 pi i k / (M - 1))."""
    d = _checked("general_cosine", M, dtype, layout)
    if M < 2:
        return _short(M, d, device, requires_grad)
    if not isinstance(a, (list, tuple)):
        raise TypeError("Coefficients must be a list/tuple")
    if not a:
        raise ValueError("Coefficients cannot be empty")
    step = 2 * math.pi / (M if not sym else M - 1)
    k = _line(0, (M - 1) * step, M, d, device, requires_grad)
    signed = lamina.tensor([(-1) ** i * weight for i, weight in enumerate(a)], dtype=d, device=device)
    order = lamina.arange(len(a), dtype=d, device=device)
    return (signed.unsqueeze(-1) * lamina.cos(order.unsqueeze(-1) * k)).sum(0)  # type: ignore[attr-defined,no-any-return]


def general_hamming(
    M: int, *, alpha: float = 0.54, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """alpha - (1 - alpha) cos(2 pi k / (M - 1))."""
    return general_cosine(
        M, a=[alpha, 1.0 - alpha], sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad
    )


def hamming(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """0.54 - 0.46 cos(2 pi k / (M - 1))."""
    return general_hamming(M, sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad)


def hann(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """0.5 - 0.5 cos(2 pi k / (M - 1))."""
    return general_hamming(
        M, alpha=0.5, sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad
    )


def blackman(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """0.42 - 0.5 cos(2 pi k / (M - 1)) + 0.08 cos(4 pi k / (M - 1))."""
    _checked("blackman", M, dtype, layout)
    return general_cosine(
        M, a=[0.42, 0.5, 0.08], sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad
    )


def nuttall(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The minimum 4-term window of Nuttall (1981)."""
    weights = [0.3635819, 0.4891775, 0.1365995, 0.0106411]
    return general_cosine(M, a=weights, sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad)
