"""Operations of PyTorch's with private names, which programs and test suites call nevertheless.

Here: other forms of public operations. Not here: the operations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lamina.core.tensor import Tensor
from lamina.primitives.indexing import index_put
from lamina.primitives.inplace import of_tensors
from lamina.primitives.joining import cat
from lamina.primitives.padding import constant_pad_nd
from lamina.primitives.selection import where


@of_tensors
def _chunk_cat(tensors: Sequence[Tensor], dim: int, num_chunks: int) -> Tensor:
    """Each tensor cut into `num_chunks` along `dim` (padded with zeros where it does not go in), and the chunks beside each other.

    Shape: the dimensions before `dim`, `num_chunks`, and all the rest in one.
    """
    if num_chunks < 1:
        raise RuntimeError("_chunk_cat expects positive num_chunks")
    if not tensors:
        raise RuntimeError("_chunk_cat expects a non-empty input tensor list")
    parts = []
    for t in tensors:
        if not t.numel():
            raise RuntimeError("_chunk_cat expects non-empty tensor")
        size = t.shape[dim]
        each = math.ceil(size / num_chunks)
        behind = 2 * (t.dim() - dim - 1)
        padded = constant_pad_nd(t, [0] * behind + [0, each * num_chunks - size])
        parts.append(padded.reshape(*t.shape[:dim], num_chunks, -1))
    joined: Tensor = cat(parts, -1)
    return joined


def _inside(input: Tensor, mask: Tensor, indices: Sequence[Tensor | None]) -> list[Tensor | None]:
    """The indices, 0 where the mask is False."""
    return [
        None if i is None else i.clamp(0, n - 1).masked_fill(~mask, 0)
        for i, n in zip(indices, input.shape, strict=False)
    ]


@of_tensors
def _unsafe_masked_index(input: Tensor, mask: Tensor, indices: Sequence[Tensor | None], fill: Any) -> Tensor:
    """`input[indices]`, and `fill` where `mask` is False; the indices there may be anything."""
    found = input[tuple(slice(None) if i is None else i for i in _inside(input, mask, indices))]
    kept: Tensor = where(mask.reshape(*mask.shape, *[1] * (found.dim() - mask.dim())), found, fill)
    return kept


@of_tensors
def _unsafe_masked_index_put_accumulate(
    input: Tensor, mask: Tensor, indices: Sequence[Tensor | None], values: Tensor
) -> Tensor:
    """`values` added at `indices` to a copy of `input`, where `mask` is True."""
    kept = values.masked_fill(~mask.reshape(*mask.shape, *[1] * (values.dim() - mask.dim())), 0)
    found: Tensor = index_put(input, _inside(input, mask, indices), kept, accumulate=True)
    return found
