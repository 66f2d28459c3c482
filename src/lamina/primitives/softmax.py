"""softmax and log_softmax along one dimension.

Here: the two primitives and their public forms. Not here: nn.functional's forms (implicit dimensions, softmin,
gumbel_softmax).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.size import wrap_dim
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.elementwise import exp
from lamina.primitives.kernels import rows, sums
from lamina.primitives.reduction import sum_, total
from lamina.primitives.registry import primitive
from lamina.primitives.signature import not_implemented, parsed_exact

ndarray = np.ndarray


def _shifted(x: Array, dim: int) -> Array:
    """x minus its maximum along `dim`, in new memory."""
    return np.subtract(x, np.maximum.reduce(x, axis=dim, keepdims=True), order="C")


def _added(x: Array, dim: int) -> Any:
    """The sums along `dim`, which stays."""
    added = sums.rows(x) if dim == 1 else None
    return total(x, (dim,), True) if added is None else added[:, None]


def _in_rows(x: Array, dim: int) -> bool:
    """Whether the rows' kernels are the faster way."""
    return dim == x.ndim - 1


def _softmax(x: Array, *, dim: int) -> Array:
    if not x.size or not x.ndim:
        return np.exp(x - x)  # type: ignore[no-any-return]
    if _in_rows(x, dim):
        return rows.softmax(x.reshape(-1, x.shape[-1])).reshape(x.shape)
    out = _shifted(x, dim)
    np.exp(out, out=out)
    return np.divide(out, _added(out, dim), out=out)  # type: ignore[no-any-return]


def _softmax_grad(g: Any, out: Any, dim: int) -> Any:
    if out.__class__ is not ndarray:
        weighted = g * out
        return weighted - out * sum_(weighted, dims=(dim,) if out.dim() else (), keepdim=True, to=None)
    if out.size and _in_rows(out, dim):
        return rows.softmax_grad(g.reshape(-1, g.shape[-1]), out.reshape(-1, g.shape[-1])).reshape(out.shape)
    weighted = np.multiply(g, out)
    if not out.ndim:
        return weighted - out * weighted
    return np.subtract(weighted, np.multiply(out, _added(weighted, dim)), out=weighted)


softmax_ = primitive("softmax", _softmax, grads=(_softmax_grad,), large=True)


def _log_softmax(x: Array, *, dim: int) -> Array:
    # not x - logsumexp(x): that would round at the size of the maximum
    if not x.size or not x.ndim:
        return x - x
    if _in_rows(x, dim):
        return rows.log_softmax(x.reshape(-1, x.shape[-1])).reshape(x.shape)
    out = _shifted(x, dim)
    return np.subtract(out, np.log(_added(np.exp(out), dim)), out=out)  # type: ignore[no-any-return]


def _log_softmax_grad(g: Any, out: Any, dim: int) -> Any:
    if out.__class__ is not ndarray:
        return g - exp(out) * sum_(g, dims=(dim,) if out.dim() else (), keepdim=True, to=None)
    if out.size and _in_rows(out, dim):
        return rows.log_softmax_grad(g.reshape(-1, g.shape[-1]), out.reshape(-1, g.shape[-1])).reshape(out.shape)
    powers = np.exp(out)
    if not out.ndim:
        return g - powers * g
    np.multiply(powers, _added(g, dim), out=powers)
    return np.subtract(g, powers, out=powers)


log_softmax_ = primitive("log_softmax", _log_softmax, grads=(_log_softmax_grad,), large=True)


def _along(op: Any, kernel: str, input: Tensor, dim: int, dtype: Any) -> Tensor:
    ndim = input._array.ndim
    if dtype is not None and dtype is not input._kind.dtype:
        input = input.to(dtype)
    d = wrap_dim(dim, ndim)
    if input._kind.dtype.category != 2:
        raise not_implemented(f"{kernel}_{'lastdim_' if d >= ndim - 1 else ''}kernel_impl", input._kind.dtype)
    return op(input, d)  # type: ignore[no-any-return]


@parsed_exact
def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """exp(input) over its sum along `dim`; with `dtype`, of `input` cast to it. Shape: as `input`."""
    return _along(softmax_, "softmax", input, dim, dtype)


@parsed_exact
def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """log(softmax(input, dim)), computed without forming the quotient. Shape: as `input`."""
    return _along(log_softmax_, "log_softmax", input, dim, dtype)
