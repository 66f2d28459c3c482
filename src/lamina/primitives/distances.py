"""cdist: distances between all pairs of rows of two batches.

Here: blocks of differences, so that memory stays small. Not here: norms (norms.py), distances of pairs (nn.functional).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.size import broadcast
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.norms import norm_grad, norm_of
from lamina.primitives.reduction import sum_
from lamina.primitives.registry import primitive
from lamina.primitives.shape import unsqueeze_
from lamina.primitives.signature import not_implemented, not_tensor, parsed, scalar_name

ndarray = np.ndarray
_BLOCK = 1 << 20  # differences held at a time


def _blocks(x: Array, y: Array) -> Any:
    """Slices of x's rows, whose differences from all rows of y fit in a block."""
    per_row = max(y.size * (x.size // max(y.size // max(y.shape[-2], 1), 1) // max(x.shape[-2], 1) or 1), 1)
    step = max(_BLOCK // per_row, 1)
    return (slice(i, i + step) for i in range(0, x.shape[-2], step))


def _cdist(x: Array, y: Array, *, p: float, by_product: bool) -> Array:
    if p == 2 and by_product:
        squares = np.add.reduce(x * x, axis=-1)[..., :, None] + np.add.reduce(y * y, axis=-1)[..., None, :]
        squares -= 2 * (x @ np.swapaxes(y, -1, -2))
        return np.sqrt(np.maximum(squares, 0, out=squares), out=squares)  # type: ignore[no-any-return]
    out = np.zeros((*x.shape[:-1], y.shape[-2]), x.dtype)
    if x.shape[-1]:
        for rows in _blocks(x, y):
            out[..., rows, :] = norm_of(x[..., rows, None, :] - y[..., None, :, :], p, (out.ndim,), False)
    return out


def _parts(g: Any, x: Any, y: Any, out: Any, p: float) -> Any:
    """Cotangents of all differences."""
    apart = unsqueeze_(x, dim=len(x.shape) - 1) - unsqueeze_(y, dim=len(y.shape) - 2)
    last = len(out.shape)
    return norm_grad(unsqueeze_(g, dim=last), apart, unsqueeze_(out, dim=last), p, ties=False)


def _grad(g: Any, x: Any, y: Any, out: Any, p: float) -> Any:
    """The gradient with respect to x."""
    if g.__class__ is not ndarray:
        return sum_(_parts(g, x, y, out, p), dims=(len(out.shape) - 1,), keepdim=False, to=None)
    grad = np.zeros(x.shape, g.dtype)
    if not x.size or not y.size:
        return grad
    for rows in _blocks(x, y):
        part = _parts(g[..., rows, :], x[..., rows, :], y, out[..., rows, :], p)
        grad[..., rows, :] = np.add.reduce(part, axis=-2)
    return grad


def _swapped(v: Any) -> Any:
    return v.swapaxes(-1, -2)


cdist_ = primitive(
    "cdist", _cdist,
    grads=(lambda g, x, y, out, p: _grad(g, x, y, out, p),
           lambda g, x, y, out, p: _grad(_swapped(g), y, x, _swapped(out), p)))  # fmt: skip

_MODES = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")


@parsed
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: Any = _MODES[0]) -> Tensor:
    """The p-norm distance between each row of x1 (..., P, M) and each of x2 (..., R, M): (..., P, R).

    compute_mode: whether Euclidean distances come from a matrix product: faster, and less exact for close rows
    (default: above 25 rows). The batch dimensions broadcast.
    """
    if not isinstance(x2, Tensor):
        raise not_tensor("cdist", "x2", 2, x2)
    if compute_mode not in _MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    a, b = x1._array.shape, x2._array.shape
    for name, t in (("X1", x1), ("X2", x2)):
        if t._array.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {t._array.ndim}D")
    if a[-1] != b[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {a[-1]} X2: {b[-1]}")
    for name, t in (("X1", x1), ("X2", x2)):
        if t._kind.dtype.category != 2:
            raise RuntimeError(f"cdist only supports floating-point dtypes, {name} got: {scalar_name(t._kind.dtype)}")
    if x1._kind.dtype is not x2._kind.dtype:
        raise RuntimeError(
            f"expected scalar type {scalar_name(x1._kind.dtype)} but found {scalar_name(x2._kind.dtype)}"
        )
    if x1._kind.dtype.is_low:
        raise not_implemented("cdist", x1._kind.dtype)
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    batch = broadcast(a[:-2], b[:-2])
    by_product = compute_mode == _MODES[1] or (compute_mode == _MODES[0] and (a[-2] > 25 or b[-2] > 25))
    x1, x2 = (t.expand(*batch, *t._array.shape[-2:]) if t._array.shape[:-2] != batch else t for t in (x1, x2))
    return cdist_(x1, x2, p=float(p), by_product=by_product)  # type: ignore[no-any-return]
