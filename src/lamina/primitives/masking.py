"""Writing by a mask: masked_fill, masked_scatter; the parts of a matrix above and below a diagonal: tril, triu.

Here: what a mask decides. Not here: `where` (comparison's), picking by a mask (gathering.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina.core.size import broadcast
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.gathering import masked_select_
from lamina.primitives.index_checks import check_mask, fill_value
from lamina.primitives.kernels.select import select
from lamina.primitives.nodes import of_number, overload
from lamina.primitives.out_dtypes import NAMES
from lamina.primitives.padding import constant_pad as padded
from lamina.primitives.registry import elementwise, primitive
from lamina.primitives.signature import parsed

# ---- masked_fill -----------------------------------------------------------------------------------------------------

_kept = elementwise(
    "masked_kept", lambda x, mask: select(mask, x, x.dtype.type(0)),
    grads=(lambda g, mask: _kept(g, mask), None), emit=lambda b, x, mask: b.select(mask, x, 0),
    promote="none", node="MaskedFill")  # fmt: skip

_dropped = elementwise(
    "masked_dropped", lambda x, mask: select(mask, x.dtype.type(0), x),
    grads=(lambda g, mask: _dropped(g, mask), None), emit=lambda b, x, mask: b.select(mask, 0, x),
    promote="none", node="MaskedFill")  # fmt: skip

masked_filled = elementwise(
    "masked_fill", lambda x, mask, value: select(np.asarray(mask, order="C"), value, np.asarray(x, order="C")),
    grads=(lambda g, mask: _dropped(g, mask), None, lambda g, mask: _kept(g, mask)),
    emit=lambda b, x, mask, value: b.select(mask, value, x), promote="none")  # fmt: skip


@parsed
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """`input` with `value` (a number or a 0-d tensor) where `mask` (bool) holds; input and mask broadcast."""
    check_mask(mask, "masked_fill_")
    out: Tensor = masked_filled(input, mask, fill_value(input, value, "masked_fill_"))
    return overload(out) if isinstance(value, Tensor) else of_number(out)


# ---- masked_scatter --------------------------------------------------------------------------------------------------


def _masked_scatter(x: Array, source: Array, mask: Array) -> Array:
    shape = np.broadcast_shapes(x.shape, mask.shape)
    out = np.array(np.broadcast_to(x, shape))
    where = np.broadcast_to(mask, shape)
    n = int(np.count_nonzero(where))
    if n > source.size:
        raise RuntimeError("Number of elements of source < number of ones in mask")
    out[where] = source.reshape(-1)[:n]
    return out


def _picked(g: Any, mask: Any, shape: tuple[int, ...]) -> Any:
    """What of a cotangent lies under the mask, in the front of a tensor of `shape`, zeros behind."""
    found = masked_select_(g, mask)
    return padded(found, pad=((0, math.prod(shape) - found.shape[0]),), value=0).reshape(shape)


masked_scattered = primitive(
    "masked_scatter", _masked_scatter,
    grads=(lambda g, mask: _dropped(g, mask), lambda g, source_shape, mask: _picked(g, mask, source_shape), None), restores=True,
)  # fmt: skip


@parsed
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """`input` with the elements of `source`, one after another, where `mask` (bool) holds. Raises RuntimeError for too few."""
    check_mask(mask, "masked_scatter_", NAMES)
    if source._kind.dtype is not input._kind.dtype:
        names = NAMES[input.dtype.name], NAMES[source.dtype.name]
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got{names[0]} and {names[1]}"
        )
    broadcast(input._array.shape, mask._array.shape)
    return masked_scattered(input, source, mask)  # type: ignore[no-any-return]


# ---- triangles -------------------------------------------------------------------------------------------------------

tril_ = primitive(
    "tril", lambda x, *, diagonal: np.tril(x, diagonal), grads=(lambda g, diagonal: tril_(g, diagonal=diagonal),)
)
triu_ = primitive(
    "triu", lambda x, *, diagonal: np.triu(x, diagonal), grads=(lambda g, diagonal: triu_(g, diagonal=diagonal),)
)


@parsed
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of a matrix, or of each in a batch, zeros above. diagonal: the last one kept (0: the main one)."""
    return tril_(_matrix(input, "tril"), diagonal=diagonal)  # type: ignore[no-any-return]


@parsed
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of a matrix, or of each in a batch, zeros below. diagonal: the first one kept (0: the main one)."""
    return triu_(_matrix(input, "triu"), diagonal=diagonal)  # type: ignore[no-any-return]


def _matrix(input: Tensor, name: str) -> Tensor:
    if input._array.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
    return input
