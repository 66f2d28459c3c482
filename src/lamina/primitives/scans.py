"""Running results along one dimension: cumsum, cumprod, cummax, cummin, logcumsumexp.

Here also: the linear recurrence in which gradients of running products are written without a division, so that zeros
are no special case and every derivative is a recurrence again. Not here: differences and integrals (differences.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina import return_types
from lamina.core import dtype as dtypes
from lamina.core.size import wrap_dim
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.elementary import isinf
from lamina.primitives.elementwise import exp, where_
from lamina.primitives.gathering import gather_adjoint
from lamina.primitives.registry import primitive
from lamina.primitives.signature import not_implemented, parsed, parsed_exact

ndarray = np.ndarray


def _turned(x: Array, dim: int) -> Array:
    return x[(slice(None),) * dim + (slice(None, None, -1),)]


_WIDER = {np.dtype(np.float32): np.float64, np.dtype(np.complex64): np.complex128}


def _scanned(ufunc: Any, x: Array, dim: int, reverse: bool) -> Array:
    """ufunc.accumulate; sums and products of single precision run in double, as PyTorch's do."""
    if not x.ndim:
        return x.copy()
    wide = _WIDER.get(x.dtype)
    if reverse:
        return np.ascontiguousarray(
            _turned(ufunc.accumulate(_turned(x, dim), axis=dim, dtype=wide), dim), dtype=x.dtype
        )
    return ufunc.accumulate(x, axis=dim, dtype=wide).astype(x.dtype, order="C", copy=False)  # type: ignore[no-any-return]


cumsum_ = primitive(
    "cumsum", lambda x, *, dim, reverse: _scanned(np.add, x, dim, reverse),
    grads=(lambda g, dim, reverse: cumsum_(g, dim=dim, reverse=not reverse),))  # fmt: skip


# ---- the linear recurrence -------------------------------------------------------------------------------------------


def _shifted(x: Array, *, dim: int, reverse: bool, fill: float) -> Array:
    out = np.full_like(x, fill, subok=False)
    if x.ndim:
        n = x.shape[dim]
        lead = (slice(None),) * dim
        here, there = slice(0, max(n - 1, 0)), slice(1, n)
        out[(*lead, here if reverse else there)] = x[(*lead, there if reverse else here)]
    return out


shifted = primitive(
    "shifted", _shifted,
    grads=(lambda g, dim, reverse: shifted(g, dim=dim, reverse=not reverse, fill=0.0),), node="Roll")  # fmt: skip
"""Each entry's predecessor along `dim` (reverse: its successor); `fill` for the one that has none."""


def _recurrence(b: Array, a: Array, *, dim: int, reverse: bool) -> Array:
    out = np.array(b)
    if b.ndim:
        rows, factors = np.moveaxis(out, dim, 0), np.moveaxis(a, dim, 0)
        if reverse:
            rows, factors = rows[::-1], factors[::-1]
        for k in range(1, len(rows)):
            rows[k] += factors[k] * rows[k - 1]
    return out


def _recurrence_grads(g: Any, out: Any, rest: Any, dim: int, reverse: bool) -> list[Any]:
    back = recurrence(g, shifted(rest[0], dim=dim, reverse=not reverse, fill=0.0), dim=dim, reverse=not reverse)
    return [back, back * shifted(out, dim=dim, reverse=reverse, fill=0.0)]


recurrence = primitive("recurrence", _recurrence, grads=_recurrence_grads, variadic=True, inputs=2)
"""s with s[k] = b[k] + a[k] * s[k - 1] along `dim` (reverse: s[k + 1]); a's entry at the start is not looked at."""


# ---- running products ------------------------------------------------------------------------------------------------


def _cumprod_grad(g: Any, x: Any, out: Any, dim: int, reverse: bool) -> Any:
    if x.__class__ is ndarray and x.all():
        return _scanned(np.add, g * out, dim, not reverse) / x
    before = shifted(out, dim=dim, reverse=reverse, fill=1.0)
    return before * recurrence(g, shifted(x, dim=dim, reverse=not reverse, fill=0.0), dim=dim, reverse=not reverse)


cumprod_ = primitive(
    "cumprod", lambda x, *, dim, reverse: _scanned(np.multiply, x, dim, reverse), grads=(_cumprod_grad,)
)


def excluded(x: Any, dims: tuple[int, ...]) -> Any:
    """For each element the product of all others over `dims`: none, one dimension, or all."""
    if len(dims) == 1:
        flat, dim = x, dims[0]
    else:
        flat, dim = (x.reshape((-1,)), 0) if dims else (x.reshape((*x.shape, 1)), len(x.shape))
    before = shifted(cumprod_(flat, dim=dim, reverse=False), dim=dim, reverse=False, fill=1.0)
    after = shifted(cumprod_(flat, dim=dim, reverse=True), dim=dim, reverse=True, fill=1.0)
    out = before * after
    return out if flat is x else out.reshape(x.shape)


def _running(op: Any, input: Tensor, dim: Any, dtype: Any) -> Tensor:
    d = wrap_dim(dim, input._array.ndim)
    to = dtype or (dtypes.int64 if input._kind.dtype.category < 2 else input._kind.dtype)
    if to is not input._kind.dtype:
        input = input.to(to)
    return op(input, dim=d, reverse=False)  # type: ignore[no-any-return]


@parsed
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running sums along `dim`. Shape as `input`; integers add up in int64."""
    return _running(cumsum_, input, dim, dtype)


@parsed
def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running products along `dim`. Shape as `input`; integers multiply in int64."""
    return _running(cumprod_, input, dim, dtype)


# ---- running extremes ------------------------------------------------------------------------------------------------


def _extreme(ufunc: Any, x: Array, dim: int) -> tuple[Array, Array]:
    """Running extremes, and where they are: the last such place; a NaN is more extreme than all."""
    if not x.ndim:
        return x.copy(), np.zeros((), np.int64)
    values = ufunc.accumulate(x, axis=dim)
    found = (x == values) | (x != x)
    places = np.arange(x.shape[dim]).reshape(-1, *(1,) * (x.ndim - dim - 1))
    return values, np.maximum.accumulate(np.where(found, places, 0), axis=dim)


def _picked_grad(g: Any, x_shape: tuple[int, ...], out_1: Any, dim: int) -> Any:
    return gather_adjoint(g, out_1, shape=x_shape, dim=dim)


cummax_ = primitive(
    "cummax", lambda x, *, dim: _extreme(np.maximum, x, dim),
    grads=(_picked_grad,), outputs=2, nondiff=(1,))  # fmt: skip
cummin_ = primitive(
    "cummin", lambda x, *, dim: _extreme(np.minimum, x, dim),
    grads=(_picked_grad,), outputs=2, nondiff=(1,))  # fmt: skip


def _running_extreme(op: Any, name: str, input: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    if input._kind.dtype.category == 3:
        raise not_implemented(f"{name}_cpu", input._kind.dtype)
    return op(input, dim=wrap_dim(dim, input._array.ndim))  # type: ignore[no-any-return]


@parsed_exact
def cummax(input: Tensor, dim: int) -> Any:
    """Running maxima along `dim` and their positions (int64; of equal ones the last), as `input` in shape."""
    return return_types.cummax(_running_extreme(cummax_, "cummax", input, dim))


@parsed_exact
def cummin(input: Tensor, dim: int) -> Any:
    """Running minima along `dim` and their positions (int64; of equal ones the last), as `input` in shape."""
    return return_types.cummin(_running_extreme(cummin_, "cummin", input, dim))


# ---- running logsumexp -----------------------------------------------------------------------------------------------


def _logcumsumexp(x: Array, *, dim: int) -> Array:
    if not x.ndim or x.dtype.kind != "c":
        return np.logaddexp.accumulate(x, axis=dim) if x.ndim else x.copy()
    out = x.copy()
    rows = np.moveaxis(out, dim, 0)
    for k in range(1, len(rows)):
        rows[k] = _logaddexp_complex(rows[k - 1], rows[k])
    return out


def _logaddexp_complex(a: Array, b: Array) -> Array:
    """log(exp(a) + exp(b)), the one with the larger real part taken out."""
    swap = b.real > a.real
    big, small = np.where(swap, b, a), np.where(swap, a, b)
    return np.where(np.isneginf(small.real), big, big + np.log1p(np.exp(small - big)))


def _logcumsumexp_grad(g: Any, x: Any, out: Any, dim: int) -> Any:
    # exponents are never positive: a sum's successor is not smaller, so nothing overflows
    after = shifted(out, dim=dim, reverse=True, fill=math.inf)
    ratio = where_(isinf(out), 1.0, exp(out - after))  # not inf - inf
    return exp(x - out) * recurrence(g, ratio, dim=dim, reverse=True)


logcumsumexp_ = primitive("logcumsumexp", _logcumsumexp, grads=(_logcumsumexp_grad,))


@parsed_exact
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """log(cumsum(exp(input), dim)) without overflow. Shape as `input`. Raises NotImplementedError for integers."""
    d = wrap_dim(dim, input._array.ndim)
    if input._kind.dtype.category < 2:
        raise not_implemented("logcumsumexp_out_cpu", input._kind.dtype)
    return logcumsumexp_(input, dim=d)  # type: ignore[no-any-return]
