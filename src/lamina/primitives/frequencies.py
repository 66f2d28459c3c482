"""What stands beside the transforms: the frequencies of their entries, and moving the zero frequency to the middle."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.factories import kind_of
from lamina.core.size import check_room, wrap_dims
from lamina.core.strided import counted
from lamina.core.tensor import Tensor
from lamina.primitives.creation import made
from lamina.primitives.signature import parsed
from lamina.primitives.turning import roll


def _frequencies(counts: Any, n: int, d: float, dtype: Any, device: Any, requires_grad: bool, out: Any) -> Tensor:
    kind = kind_of(dtype, device)
    scale = kind.np.type(1.0 / (n * d)) if n else kind.np.type(0)
    return made(counts.astype(kind.np) * scale, kind, requires_grad, out)


def fftfreq(
    n: int, d: float = 1.0, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The frequencies of fft's n entries, for samples d apart: 0, 1, ... then the negative ones, over n * d."""
    _check_length(n)
    check_room((n,), 8)
    counts = np.concatenate((np.arange((n + 1) // 2), np.arange(-(n // 2), 0)))
    return _frequencies(counts, n, d, dtype, device, requires_grad, out)


def rfftfreq(
    n: int, d: float = 1.0, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The frequencies of rfft's n // 2 + 1 entries, for samples d apart."""
    _check_length(n)
    return _frequencies(counted(n // 2 + 1), n, d, dtype, device, requires_grad, out)


def _check_length(n: int) -> None:
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")


def _shifted(input: Tensor, dim: Any, up: bool) -> Tensor:
    dims = wrap_dims(dim, input._array.ndim)
    sizes = [input._array.shape[d] if input._array.ndim else 1 for d in dims]
    return roll(input, [n // 2 if up else (n + 1) // 2 for n in sizes], list(dims))  # type: ignore[no-any-return]


@parsed
def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The zero frequency in the middle of the given dimensions (default: all)."""
    return _shifted(input, dim, True)


@parsed
def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The inverse of fftshift."""
    return _shifted(input, dim, False)
