"""Largest and smallest: max, min, amax, amin, aminmax, argmax, argmin.

At ties max() and amax share the gradient equally, max(dim) gives all of it to the index; a NaN wins. Here also: the
gradient of functions whose values are picked from one dimension. Not here: sorting (sorting.py), median and mode
(selection.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina import return_types
from lamina.core.size import wrap_dim
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.elementwise import maximum, minimum
from lamina.primitives.gathering import gather_adjoint
from lamina.primitives.reduction import stretched
from lamina.primitives.registry import primitive
from lamina.primitives.shape import unsqueeze_
from lamina.primitives.signature import nonempty, not_implemented, parsed, parsed_exact, reduced


def picked_grad(g: Any, x_shape: tuple[int, ...], index: Any, dim: int, keepdim: bool) -> Any:
    """The gradient of values that were picked at `index` from a dimension."""
    if not keepdim and x_shape:
        g, index = unsqueeze_(g, dim=dim), unsqueeze_(index, dim=dim)
    return gather_adjoint(g, index, shape=x_shape, dim=dim)


# ---- values alone: ties share ----------------------------------------------------------------------------------------


def _share(x: Array, best: Array, *, nan: bool) -> Array:
    """What part of the gradient each element gets: one over the number of those equal to `best`, 0 for the rest.

    best: the reduced dimensions are kept, as size 1.
    nan: where the best is NaN all NaN share; else everything there is NaN.
    """
    winners = x == best
    if nan and x.dtype.kind == "f" and np.isnan(best).any():
        winners |= np.isnan(x) & np.isnan(best)
    dims = tuple([d for d, n in enumerate(best.shape) if n == 1])
    counts = np.add.reduce(winners, axis=dims, keepdims=True, dtype=x.dtype)
    return winners / counts  # type: ignore[no-any-return]


share = primitive("share", _share)


def _kept(out: Any, shape: tuple[int, ...], dims: tuple[int, ...], keepdim: bool) -> Any:
    """A result of a reduction with its dimensions kept, as size 1."""
    return out if keepdim else out.reshape(tuple([1 if i in dims else n for i, n in enumerate(shape)]))


def _shared_grad(g: Any, x: Any, out: Any, x_shape: tuple[int, ...], dims: tuple[int, ...], keepdim: bool) -> Any:
    return stretched(g, x_shape, dims, keepdim) * share(x, _kept(out, x_shape, dims, keepdim), nan=False)


def _all_shared_grad(g: Any, x: Any, out: Any, x_shape: tuple[int, ...]) -> Any:
    dims = tuple(range(len(x_shape)))
    return stretched(g, x_shape, dims, False) * share(x, _kept(out, x_shape, dims, False), nan=True)


max_all = primitive("max_all", lambda x: x.max(), grads=(_all_shared_grad,), node="MaxBackward1")
min_all = primitive("min_all", lambda x: x.min(), grads=(_all_shared_grad,), node="MinBackward1")
amax_ = primitive(
    "amax", lambda x, *, dims, keepdim: np.maximum.reduce(x, axis=dims, keepdims=keepdim),
    grads=(_shared_grad,))  # fmt: skip
amin_ = primitive(
    "amin", lambda x, *, dims, keepdim: np.minimum.reduce(x, axis=dims, keepdims=keepdim),
    grads=(_shared_grad,))  # fmt: skip


def _aminmax_grad(gs: Any, x: Any, out_0: Any, out_1: Any, x_shape: Any, dims: Any, keepdim: bool) -> Any:
    parts = [
        _shared_grad(g, x, out, x_shape, dims, keepdim)
        for g, out in zip(gs, (out_0, out_1), strict=True)
        if g is not None
    ]
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


aminmax_ = primitive(
    "aminmax", lambda x, *, dims, keepdim: (
        np.minimum.reduce(x, axis=dims, keepdims=keepdim), np.maximum.reduce(x, axis=dims, keepdims=keepdim)),
    grads=(_aminmax_grad,), outputs=2)  # fmt: skip


def _dims(name: str, kernel: str, input: Tensor, dim: Any) -> tuple[int, ...]:
    shape = input._array.shape
    dims = reduced(dim, len(shape))
    if not input._array.size:
        if dim is None or len(dims) == 0:
            raise RuntimeError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim "
                "with the 'dim' "
                "argument."
            )
        for d in dims:
            nonempty(name, shape, d)
    if input._kind.dtype.category == 3:
        raise not_implemented(kernel, input._kind.dtype)
    return dims


@parsed_exact
def amax(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The largest element over `dim` (int, several; None or (): all). Ties share the gradient."""
    dims = _dims("amax", "max_values_cpu", input, dim)
    return amax_(input, dims=dims, keepdim=bool(keepdim))  # type: ignore[no-any-return]


@parsed_exact
def amin(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The smallest element over `dim` (int, several; None or (): all). Ties share the gradient."""
    dims = _dims("amin", "min_values_cpu", input, dim)
    return amin_(input, dims=dims, keepdim=bool(keepdim))  # type: ignore[no-any-return]


@parsed_exact
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """The smallest and the largest element, of all or over one dimension: (min, max)."""
    shape = input._array.shape
    if dim is None and not input._array.size:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
        )
    dims = tuple(range(len(shape))) if dim is None else reduced(wrap_dim(dim, len(shape)), len(shape))
    if dims and shape[dims[0]] == 0:
        raise IndexError(f"aminmax: Expected reduction dim {dims[0]} to have non-zero size.")
    if input._kind.dtype.category == 3:
        raise not_implemented("aminmax_cpu", input._kind.dtype)
    return return_types.aminmax(aminmax_(input, dims=dims, keepdim=bool(keepdim)))


# ---- values and indices ----------------------------------------------------------------------------------------------


def _position_grad(g: Any, x_shape: Any, out_1: Any, dim: int, keepdim: bool) -> Any:
    return picked_grad(g, x_shape, out_1, dim, keepdim)


max_dim = primitive(
    "max_dim", lambda x, *, dim, keepdim: (
        np.maximum.reduce(x, axis=dim if x.ndim else (), keepdims=keepdim), _arg(np.argmax, x, dim, keepdim)),
    grads=(_position_grad,), outputs=2, nondiff=(1,), node="Max")  # fmt: skip
min_dim = primitive(
    "min_dim", lambda x, *, dim, keepdim: (
        np.minimum.reduce(x, axis=dim if x.ndim else (), keepdims=keepdim), _arg(np.argmin, x, dim, keepdim)),
    grads=(_position_grad,), outputs=2, nondiff=(1,), node="Min")  # fmt: skip


def _arg(find: Any, x: Array, dim: int | None, keepdim: bool) -> Any:
    """The first position of the extreme along a dimension (None: in all elements)."""
    if dim is None:
        index = find(x)
        return np.full((1,) * x.ndim, index) if keepdim else index
    if not x.ndim:
        return np.zeros((), np.int64)
    return find(x, axis=dim, keepdims=keepdim)


def _overloaded(
    name: str, both: Any, whole: Any, along: Any, input: Tensor, dim: Any, keepdim: bool, other: Any
) -> Any:
    if isinstance(dim, Tensor) or other is not None:
        return both(input, dim if other is None else other)
    d = input._kind.dtype
    if dim is None:
        if not input._array.size:
            raise RuntimeError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim "
                "with the 'dim' "
                "argument."
            )
        if d.category == 3:
            raise not_implemented(f"{name}_all", d)
        return whole(input)
    dim = wrap_dim(dim, input._array.ndim)
    nonempty(name, input._array.shape, dim)
    if d.category == 3:
        raise RuntimeError(f"{name}(): does not support complex input")
    return getattr(return_types, name)(along(input, dim=dim, keepdim=bool(keepdim)))


@parsed
def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The largest element; (values, indices) over `dim`; or, of two tensors, the larger elements.

    max(input), max(input, dim, keepdim=False), max(input, other). A NaN is larger than all.
    """
    return _overloaded("max", maximum, max_all, max_dim, input, dim, keepdim, other)


@parsed
def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The smallest element; (values, indices) over `dim`; or, of two tensors, the smaller elements.

    min(input), min(input, dim, keepdim=False), min(input, other). A NaN is smaller than all.
    """
    return _overloaded("min", minimum, min_all, min_dim, input, dim, keepdim, other)


argmax_ = primitive("argmax", lambda x, *, dim, keepdim: _arg(np.argmax, x, dim, keepdim))
argmin_ = primitive("argmin", lambda x, *, dim, keepdim: _arg(np.argmin, x, dim, keepdim))


def _argument(name: str, op: Any, input: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    d = input._kind.dtype
    if d.category in (0, 3):
        raise RuntimeError(f"{name}(): does not support {'complex' if d.category else 'bool'} input")
    shape = input._array.shape
    if dim is not None:
        dim = wrap_dim(dim, len(shape))
        nonempty(name, shape, dim)
    elif not math.prod(shape):
        raise IndexError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.")
    return op(input, dim=dim, keepdim=bool(keepdim))  # type: ignore[no-any-return]


@parsed_exact
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The position of the largest element over `dim`, or of all: the first of equal ones. dtype: int64."""
    return _argument("argmax", argmax_, input, dim, keepdim)


@parsed_exact
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The position of the smallest element over `dim`, or of all: the first of equal ones. dtype: int64."""
    return _argument("argmin", argmin_, input, dim, keepdim)
