"""Sums and what follows from them: a dimension goes away by adding.

Here: sum, mean, cumulative and extreme reductions' primitives. Not here: sorting and counting (sorting.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina.core import dtype as dtypes
from lamina.core.dtype import dtype as dtype_class
from lamina.core.size import wrap_dims
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.registry import primitive, sum_to

ndarray = np.ndarray


def stretched(g: Any, shape: tuple[int, ...], dims: tuple[int, ...], keepdim: bool) -> Any:
    """The cotangent of a reduction, seen in the shape of its input."""
    if not keepdim and dims:
        kept = tuple(1 if i in dims else n for i, n in enumerate(shape))
        g = g.reshape(kept)
    if isinstance(g, Tensor):
        return g.expand(shape)  # type: ignore[attr-defined]
    out = np.broadcast_to(g, shape)
    return out


_PAIRWISE = 8192


def _sum(x: Array, *, dims: tuple[int, ...], keepdim: bool, to: Any) -> Any:
    if len(dims) == x.ndim and not keepdim:
        return x.sum(dtype=to)
    return np.add.reduce(x, axis=dims, dtype=to, keepdims=keepdim)


sum_ = primitive(
    "sum", _sum,
    grads=(lambda g, x_shape, dims, keepdim: stretched(g, x_shape, dims, keepdim),))  # fmt: skip

mean_ = primitive(
    "mean", lambda x, *, dims, keepdim: _mean(x, dims, keepdim),
    grads=(lambda g, x_shape, dims, keepdim: stretched(g / _count(x_shape, dims), x_shape, dims, keepdim),))  # fmt: skip


def _count(shape: tuple[int, ...], dims: tuple[int, ...]) -> int:
    return math.prod(shape[d] for d in dims)


def _mean(x: Array, dims: tuple[int, ...], keepdim: bool) -> Any:
    n = _count(x.shape, dims)
    total = np.add.reduce(x, axis=dims, keepdims=keepdim)
    return total / x.dtype.type(n) if n else total * np.nan


def _sum_dtype(d: dtype_class, wanted: Any) -> dtype_class:
    return wanted if wanted is not None else dtypes.int64 if d.category < 2 else d


def sum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Sum over `dim` (int, tuple; None or (): all). Integers add up in int64.

    Shape: without `dim`, or with 1 in its place. dtype: converted to before adding.
    """
    array = input._array
    dims = wrap_dims(None if dim == () or dim == [] else dim, array.ndim)
    if not array.ndim:
        dims = ()
    d = input._kind.dtype
    to = _sum_dtype(d, dtype)
    if to is not d:
        input = input.to(to)  # type: ignore[attr-defined]
    return sum_(input, dims=dims, keepdim=bool(keepdim), to=None)  # type: ignore[no-any-return]


def mean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over `dim` (None: all). Raises RuntimeError for integers without `dtype`."""
    d = dtype or input._kind.dtype
    if d.category < 2:
        name = {"int64": "Long", "int32": "Int", "bool": "Bool"}.get(d.name, d.name)
        raise RuntimeError(
            f"mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: {name}"
        )
    if d is not input._kind.dtype:
        input = input.to(d)  # type: ignore[attr-defined]
    dims = wrap_dims(None if dim == () or dim == [] else dim, input._array.ndim) if input._array.ndim else ()
    return mean_(input, dims=dims, keepdim=bool(keepdim))  # type: ignore[no-any-return]


def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """Sum so that broadcasting gives back this shape. Raises RuntimeError where `size` does not broadcast to it."""
    target = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else tuple(size)
    shape = self._array.shape
    if tuple(target) == shape:
        return self
    lead = len(shape) - len(target)
    if lead < 0 or any(t not in (1, n) for t, n in zip(target, shape[lead:], strict=True)):
        raise RuntimeError(f"size {{{list(target)}}} is not expandable to size {{{list(shape)}}}.")
    dims = tuple(range(lead)) + tuple(i + lead for i, t in enumerate(target) if t == 1 and shape[i + lead] != 1)
    out = sum_(self, dims=dims, keepdim=True, to=None) if dims else self
    return out.reshape(target)  # type: ignore[no-any-return]


_ = sum_to
