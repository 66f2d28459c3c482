"""Rows of a table by integer indices, and their gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.strided import Array
from lamina.core.tensor import Tensor, version
from lamina.core.version import users_place
from lamina.primitives.index_checks import INDEX_DTYPES, check_within
from lamina.primitives.kernels import places
from lamina.primitives.registry import primitive


def _embedding(weight: Array, indices: Array, *, padding_idx: int, scale_grad_by_freq: bool) -> Array:
    check_within(indices, weight.shape[0], "index out of range in self", IndexError)
    return np.take(weight, indices, axis=0)


def _embedding_grad(g: Array, indices: Array, *, rows: int, padding_idx: int, scale_grad_by_freq: bool) -> Array:
    index = indices.reshape(-1)
    parts = g.reshape(index.size, g.shape[-1])
    if scale_grad_by_freq:
        parts = parts / np.bincount(index, minlength=rows)[index, None].astype(g.dtype)
    out = places.add_rows(rows, index, parts)
    if padding_idx >= 0:
        out[padding_idx] = 0
    return out


embedding_ = primitive(
    "embedding",
    _embedding,
    grads=(
        lambda g, indices, weight_shape, padding_idx, scale_grad_by_freq: embedding_grad(
            g, indices, rows=weight_shape[0], padding_idx=padding_idx, scale_grad_by_freq=scale_grad_by_freq
        ),
        None,
    ),
    meta=lambda weight, indices, **_: np.broadcast_to(np.zeros((), weight.dtype), (*indices.shape, weight.shape[1])),
)

embedding_grad = primitive(
    "embedding_dense_backward", _embedding_grad,
    grads=(lambda h, indices, padding_idx: _again(h, indices, padding_idx), None),
)  # fmt: skip


def _again(h: Any, indices: Any, padding_idx: int) -> Any:
    """(PyTorch forgets the frequencies here, and so does this.)"""
    rows = embedding_(h, indices, padding_idx=-1, scale_grad_by_freq=False)
    if padding_idx < 0:
        return rows
    picked = indices != padding_idx
    return rows * (picked.to(rows.dtype) if isinstance(rows, Tensor) else picked.astype(rows.dtype))[..., None]


def embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Tensor:
    """The rows of `weight` (n, width) at `indices` (int64 or int32). Shape: (*indices, width).

    padding_idx: a row that gets no gradient (-1: none). scale_grad_by_freq: gradients are divided by how often an index comes.
    Raises IndexError for an index out of range.
    """
    if sparse:
        raise NotImplementedError(
            "lamina has dense tensors only: sparse gradients of embedding are not there; use sparse=False"
        )
    if weight._array.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    _check_indices(indices, "embedding")
    return embedding_(weight, indices, padding_idx=int(padding_idx), scale_grad_by_freq=bool(scale_grad_by_freq))  # type: ignore[no-any-return]


def _check_indices(indices: Tensor, name: str) -> None:
    if indices._kind.dtype.name not in INDEX_DTYPES:
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            f"{indices.type()} instead (while checking arguments for {name})"
        )


def embedding_renorm_(weight: Tensor, indices: Tensor, max_norm: float, norm_type: float = 2.0) -> Tensor:
    """Scale, in place, those of the rows at `indices` whose norm is above `max_norm` down to it. No gradient."""
    if weight._array.ndim != 2:
        raise RuntimeError("'self' must be 2-D")
    _check_indices(indices, "embedding_renorm_")
    table, picked = weight._array, np.unique(indices._array)
    check_within(picked, table.shape[0], "index out of range in self", IndexError)
    rows = table[picked].astype(np.float32) if weight._kind.dtype.is_low else table[picked]
    with np.errstate(all="ignore"):
        norms = np.linalg.norm(rows, norm_type, axis=1)
    large = norms > max_norm
    if large.any():
        table[picked[large]] = (rows[large] * (max_norm / (norms[large] + 1e-7))[:, None].astype(rows.dtype)).astype(
            table.dtype
        )
        version(weight).bump("embedding_renorm_", users_place(2))
    return weight
