"""Borders around a tensor: constant ones. The others (reflect, replicate, circular) are indices, in nn/functional/padding.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core import strided
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.argument_types import Number
from lamina.primitives.index_checks import number_as
from lamina.primitives.inplace import of_tensors
from lamina.primitives.registry import primitive


def _padded(x: Array, *, pad: tuple[tuple[int, int], ...], value: Any) -> Array:
    """pad: before and after, for each dimension; negative amounts cut."""
    shape = tuple(n + a + b for n, (a, b) in zip(x.shape, pad, strict=True))
    order = None if not strided.is_channels_last(x) or x.flags.c_contiguous else (0, *range(2, x.ndim), 1)
    if order is None:
        out = np.full(shape, value, x.dtype)
    else:
        out = np.full([shape[d] for d in order], value, x.dtype).transpose(0, x.ndim - 1, *range(1, x.ndim - 1))
    inner = tuple(slice(max(a, 0), m - max(b, 0)) for m, (a, b) in zip(shape, pad, strict=True))
    kept = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, pad, strict=True))
    out[inner] = x[kept]
    return out


constant_pad = primitive(
    "constant_pad_nd", _padded,
    grads=(lambda g, pad: constant_pad(g, pad=tuple((-a, -b) for a, b in pad), value=0),))  # fmt: skip


@of_tensors
def constant_pad_nd(input: Tensor, pad: Sequence[int], value: Number = 0) -> Tensor:
    """`input` with `value` around: pad[0] before and pad[1] after in the last dimension, and so on backwards. Negative: cut."""
    amounts, shape = tuple(pad), input._array.shape
    if len(amounts) % 2:
        raise RuntimeError(f"Length of pad must be even but instead it equals {len(amounts)}")
    if len(amounts) > 2 * len(shape):
        raise RuntimeError(
            f"Length of pad should be no more than twice the number of dimensions of the input. Pad length is {len(amounts)}while the "
            f"input has {len(shape)}dimensions."
        )
    pairs = [(0, 0)] * (len(shape) - len(amounts) // 2) + [
        (int(amounts[i]), int(amounts[i + 1])) for i in range(len(amounts) - 2, -1, -2)
    ]
    for n, (a, b) in zip(shape, pairs, strict=True):
        if n + a + b < 0:
            raise RuntimeError(
                f"The input size {n}, plus negative padding {a} and {b} resulted in a negative output size, which is invalid. "
                f"Check dimension {shape.index(n)} of your input."
            )
    return constant_pad(input, pad=tuple(pairs), value=number_as(value, input._kind).item() if value else 0)  # type: ignore[no-any-return]
