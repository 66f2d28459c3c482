"""Diagonals of matrices: diag, diag_embed, diagflat, trace, fill_diagonal_; indices and numbers in triangles.

Here: what makes or writes diagonals. Not here: the view of one (rearrange.py's diagonal), tril and triu (masking.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina.core import dtype as dtypes
from lamina.core.factories import kind_of, place_on
from lamina.core.size import check_room, wrap_dim
from lamina.core.strided import Array, counted
from lamina.core.tensor import Tensor
from lamina.primitives import shape as s
from lamina.primitives.argument_types import Number
from lamina.primitives.filling import fill_
from lamina.primitives.inplace import of_tensors
from lamina.primitives.rearrange import diagonal as diagonal_view
from lamina.primitives.registry import primitive
from lamina.primitives.signature import not_implemented, parsed


def _diag_embed(x: Array, *, offset: int, dim1: int, dim2: int) -> Array:
    n = x.shape[-1] + abs(offset)
    order = [d for d in range(x.ndim + 1) if d not in (dim1, dim2)]
    shape = [0] * (x.ndim + 1)
    shape[dim1] = shape[dim2] = n
    for d, size in zip(order, x.shape, strict=False):
        shape[d] = size
    out = np.zeros(shape, x.dtype)
    s._diagonal(out, offset, dim1, dim2)[...] = x
    return out


diag_embed_ = primitive(
    "diag_embed", _diag_embed,
    grads=(lambda g, offset, dim1, dim2: s.diagonal_(g, offset=offset, dim1=dim1, dim2=dim2),))  # fmt: skip


@parsed
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The last dimension on the diagonal of two new ones, zeros elsewhere."""
    n = input._array.ndim + 1
    a, b = wrap_dim(dim1, n), wrap_dim(dim2, n)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return diag_embed_(input, offset=offset, dim1=a, dim2=b)  # type: ignore[no-any-return]


@parsed
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A vector as a matrix with it on the diagonal; the diagonal of a matrix, as a copy."""
    n = input._array.ndim
    if n == 1:
        return diag_embed_(input, offset=diagonal, dim1=0, dim2=1)  # type: ignore[no-any-return]
    if n == 2:
        return diagonal_view(input, diagonal).clone()
    raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {n}D")


@of_tensors
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The elements of a tensor, flattened, on the diagonal of a matrix."""
    return diag_embed_(input.reshape(-1), offset=offset, dim1=0, dim2=1)  # type: ignore[no-any-return]


trace_ = primitive(
    "trace", lambda x: np.trace(x), grads=(lambda g, x_shape: _on_diagonal(g, x_shape),))  # fmt: skip


def _on_diagonal(g: Any, shape: tuple[int, ...]) -> Any:
    n = min(shape)
    row = g.reshape(1)
    row = row.expand(n) if isinstance(g, Tensor) else np.broadcast_to(row, n)
    return s.diagonal_adjoint(row, shape=shape, offset=0, dim1=0, dim2=1)


@parsed
def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal. Integers add up in int64."""
    if input._array.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input._array.ndim}")
    d = input._kind.dtype
    if d.category == 0:
        raise not_implemented("trace", d)
    return trace_(input if d.category > 1 else input.to(dtypes.int64))  # type: ignore[no-any-return]


# ---- fill_diagonal_ --------------------------------------------------------------------------------------------------


@of_tensors
def fill_diagonal_(self: Tensor, fill_value: Number, wrap: bool = False) -> Tensor:
    """Write a number on the main diagonal. wrap: for tall matrices, again after each `columns` + 1 rows."""
    shape = self._array.shape
    if len(shape) < 2:
        raise RuntimeError("dimensions must larger than 1")
    if len(shape) > 2 and len(set(shape)) != 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    strides, start, size = self.stride(), self.storage_offset(), min(shape)
    steps = (sum(strides),)
    fill_(s.as_strided(self, (size,), steps, start), fill_value)
    if wrap and len(shape) == 2 and shape[0] > shape[1] + 1:  # a row stays free between one diagonal and the next
        again = -(-math.prod(shape) // (shape[1] + 1)) - size
        fill_(s.as_strided(self, (again,), steps, start + strides[0] * (shape[1] + 1)), fill_value)
    return self


# ---- indices ---------------------------------------------------------------------------------------------------------


def _triangle(name: str, lower: bool) -> Any:
    def function(
        row: int, col: int, offset: int = 0, *, dtype: Any = dtypes.int64, layout: Any = None, device: Any = None,
        pin_memory: bool = False,
    ) -> Tensor:  # fmt: skip
        for which, n in (("row", row), ("col", col)):
            if n < 0:
                raise RuntimeError(f"{which} must be non-negative, got{n}")
        kind = kind_of(dtype, device)
        if kind.dtype.name not in ("int64", "int32"):
            raise not_implemented(name, kind.dtype)
        offset = max(-row, min(offset, col))
        # those rows that have any element, how many, and where they begin
        rows = counted(row + min(offset, 0)) - min(offset, 0) if lower else counted(min(row, col - offset))
        starts = np.zeros_like(rows) if lower else np.maximum(rows + offset, 0)
        counts = (np.minimum(rows + offset + 1, col) if lower else col) - starts
        check_room((2, int(counts.sum(dtype=np.float64))), 8)
        ends = counts.cumsum()
        columns = counted(int(counts.sum())) - np.repeat(ends - counts - starts, counts)
        return place_on(np.stack((np.repeat(rows, counts), columns)).astype(kind.np), kind)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"Rows and columns of the {'lower' if lower else 'upper'} triangle of a (row, col) matrix. Shape: (2, n)."
    )
    return of_tensors(function)


tril_indices, triu_indices = _triangle("tril_indices", True), _triangle("triu_indices", False)
