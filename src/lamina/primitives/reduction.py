"""Sums and what follows from them: a dimension goes away by adding, multiplying, or asking of all.

Here: sum, mean, nansum, nanmean, prod, logsumexp, all, any. Not here: max and min (extremes.py), var and the rest of
statistics (moments.py, statistics.py), norms (norms.py), running sums (scans.py).
"""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from lamina.core import dtype as dtypes
from lamina.core.dtype import dtype as dtype_class
from lamina.core.explained import noted
from lamina.core.size import listed, shape_of
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.elementwise import eq, exp, where_
from lamina.primitives.kernels import sums
from lamina.primitives.kernels.sums import LARGE
from lamina.primitives.registry import Slots, primitive
from lamina.primitives.scans import excluded
from lamina.primitives.shape import expand_
from lamina.primitives.signature import parsed, reduced, scalar_name

ndarray = np.ndarray
HUGE = 1 << 20  # elements: a sum that waits for memory, which a native loop reads faster
PARTS = 32  # of such a sum
FEW = 8  # summands: NumPy adds them one by one, as PyTorch does, and where they cancel each other that shows


def stretched(g: Any, shape: tuple[int, ...], dims: tuple[int, ...], keepdim: bool) -> Any:
    """The cotangent of a reduction, seen in the shape of its input."""
    if not keepdim and dims:
        g = g.reshape(tuple([1 if i in dims else n for i, n in enumerate(shape)]))
    return expand_(g, size=shape) if isinstance(g, Tensor) else np.broadcast_to(g, shape)


def _spread(g: Any, shape: tuple[int, ...]) -> Any:
    """One number, seen in any shape."""
    if isinstance(g, Tensor):
        return g.expand(shape)
    if g.__class__ is not ndarray or g.dtype.kind == "V":  # a quotient of 0-d arrays is a scalar
        return np.broadcast_to(g, shape)
    out = ndarray(shape, g.dtype, g, 0, (0,) * len(shape))  # what np.broadcast_to does, ten times as fast
    out.flags.writeable = False
    return out


# ---- sum and mean ----------------------------------------------------------------------------------------------------


def total(x: Array, dims: tuple[int, ...], keepdim: bool, to: Any = None) -> Any:
    """np.add.reduce, faster and no less exact for large contiguous arrays of floats.

    Trailing dimensions: einsum adds in many lanes. Leading ones: long rows are added instead of short ones, in two
    steps, so that rounding errors grow with the root of their number only.
    """
    shape, ndim = x.shape, x.ndim
    if to is None and ndim == 2 and x.size < LARGE and len(dims) == 1 and shape[dims[0]] > FEW:
        added = sums.columns(x) if dims == (0,) else sums.rows(x)
        if added is not None:
            return added.reshape((1, -1) if dims == (0,) else (-1, 1)) if keepdim else added
    if to is None and dims and x.size >= LARGE and x.dtype.kind == "f" and x.flags.c_contiguous:
        if ndim - 1 in dims:
            first = ndim - 1
            while first and first - 1 in dims:
                first -= 1
            added = _rows_added(x.reshape(math.prod(shape[:first]), -1)).reshape(shape[:first])
            rest = tuple([d for d in dims if d < first])
            out = np.add.reduce(added, axis=rest) if rest else added
        elif dims == tuple(range(len(dims))):
            out = _columns_added(x.reshape(math.prod(shape[: len(dims)]), -1)).reshape(shape[len(dims) :])
        else:
            return np.add.reduce(x, axis=dims, keepdims=keepdim)  # type: ignore[call-overload]
        return out.reshape(tuple([1 if d in dims else n for d, n in enumerate(shape)])) if keepdim else out
    out = np.add.reduce(x, axis=dims, dtype=to, keepdims=keepdim)  # type: ignore[call-overload]
    return out if x.flags.c_contiguous else np.asarray(out, order="C")  # NumPy would lay it out as x


def _rows_added(x: Array) -> Array:
    n = x.shape[1]
    if n > LARGE:  # in parts, so that no lane adds up many
        whole = n - n % LARGE
        parts = np.einsum("ijk->ij", x[:, :whole].reshape(len(x), -1, LARGE))
        return np.add.reduce(parts, axis=1) + np.add.reduce(x[:, whole:], axis=1)  # type: ignore[no-any-return]
    return np.einsum("ij->i", x)  # type: ignore[no-any-return]


def _columns_added(x: Array) -> Array:
    n, width = x.shape
    rows = math.isqrt(n)
    if rows * width > n:  # the rows are long
        return np.add.reduce(x, axis=0)  # type: ignore[no-any-return]
    whole = n - n % rows
    folded = np.add.reduce(x[:whole].reshape(n // rows, rows * width), axis=0).reshape(rows, width)
    return np.add.reduce(folded, axis=0) + np.add.reduce(x[whole:], axis=0)  # type: ignore[no-any-return]


def _everything(x: Array, to: Any = None) -> Any:
    added = sums.everything(x) if to is None else None
    if added is not None:
        return added
    if x.size < LARGE:
        return x.sum(dtype=to)
    if x.size >= HUGE and to is None and Slots.fuser is not None:
        whole = x.flags.c_contiguous and x.size % PARTS == 0
        added = Slots.fuser(_by_parts, (x,), {}) if whole else Slots.fuser(sum_all, (x,), {"to": None})
        if added is not NotImplemented:
            return added
    return total(x, tuple(range(x.ndim)), False, to)


def _by_parts(x: Tensor) -> Any:
    """The sum of all elements, in parts that threads can share."""
    return sum_all(sum_(x.reshape(PARTS, -1), dims=(1,), keepdim=False, to=None), to=None)


sum_all = primitive(
    "sum_all", lambda x, *, to: _everything(x, to), grads=(lambda g, x_shape: _spread(g, x_shape),), node="Sum"
)

sum_ = primitive(
    "sum", lambda x, *, dims, keepdim, to: total(x, dims, keepdim, to),
    grads=(lambda g, x_shape, dims, keepdim: stretched(g, x_shape, dims, keepdim),), node="SumBackward1")  # fmt: skip


def _count(shape: tuple[int, ...], dims: tuple[int, ...]) -> int:
    return math.prod([shape[d] for d in dims])


mean_all = primitive(
    "mean_all", lambda x: _everything(x) / x.dtype.type(x.size),
    grads=(lambda g, x_shape: _shared(_spread(g, x_shape), math.prod(x_shape)),), node="Mean")  # fmt: skip

mean_ = primitive(
    "mean", lambda x, *, dims, keepdim: average(x, dims, keepdim),
    grads=(lambda g, x_shape, dims, keepdim: _shared(stretched(g, x_shape, dims, keepdim), _count(x_shape, dims)),),
    node="MeanBackward1")  # fmt: skip


def _shared(g: Any, n: int) -> Any:
    """A spread cotangent by the number of those who share it.

    Memory of its own, as PyTorch's, which hooks may write to.
    """
    if isinstance(g, Tensor):
        return g / (n or 1)
    return np.divide(g, g.dtype.type(n or 1), out=np.empty(g.shape, g.dtype))


def average(x: Array, dims: tuple[int, ...], keepdim: bool) -> Any:
    n = _count(x.shape, dims)
    added = total(x, dims, keepdim)
    if added.__class__ is ndarray and added.ndim:
        return np.true_divide(added, x.dtype.type(n), out=added)
    return added / x.dtype.type(n)


@parsed
def sum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Sum over `dim` (int, several; None or (): all). Integers add up in int64.

    Shape: without `dim`, or with 1 in its place. dtype: converted to before adding.
    """
    d = input._kind.dtype
    to = None
    if dtype is not None:
        if dtype is not d:
            input = input.to(dtype)
        to = dtype.np if dtype.category < 2 else None  # NumPy adds small integers up in int64
    elif d.category < 2:
        to = np.int64
    if dim is None and not keepdim:
        return sum_all(input, to)  # type: ignore[no-any-return]
    return sum_(input, reduced(dim, input._array.ndim), bool(keepdim), to)  # type: ignore[no-any-return]


@parsed
def mean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over `dim` (None or (): all). Raises RuntimeError for integers without `dtype`."""
    d = dtype or input._kind.dtype
    if d.category < 2:
        what = "Input" if dtype is None else "Optional"
        raise noted(
            RuntimeError(
                f"mean(): could not infer output dtype. {what} dtype must be either a floating point or complex dtype. "
                f"Got: {scalar_name(d)}"
            ),
            ("fix", ".float().mean(), or mean(dtype=torch.float32)"),
        )
    if d is not input._kind.dtype:
        input = input.to(d)
    if dim is None and not keepdim:
        return mean_all(input)  # type: ignore[no-any-return]
    return mean_(input, reduced(dim, input._array.ndim), bool(keepdim))  # type: ignore[no-any-return]


def sum_to_size(self: Tensor, *sizes: Any, size: Any = None) -> Tensor:
    """Sum so that broadcasting gives back this shape. Raises RuntimeError where `size` does not broadcast to it."""
    target = shape_of(listed(sizes, size, "sum_to_size", "size"), "sum_to_size")
    shape = self._array.shape
    if not target:
        return sum(self)  # type: ignore[no-any-return]
    if tuple(target) == shape:
        return self
    lead = len(shape) - len(target)
    if lead < 0 or builtins.any(t not in (1, n) for t, n in zip(target, shape[lead:], strict=True)):
        raise RuntimeError(f"size {{{list(target)}}} is not expandable to size {{{list(shape)}}}.")
    dims = tuple(range(lead)) + tuple(i + lead for i, t in enumerate(target) if t == 1 and shape[i + lead] != 1)
    to = np.int64 if self._kind.dtype.category < 2 else None
    out = sum_(self, dims=dims, keepdim=True, to=to) if dims else self
    return out.reshape(target)


# ---- without NaN -----------------------------------------------------------------------------------------------------

nansum_ = primitive(
    "nansum", lambda x, *, dims, keepdim: total(np.where(np.isnan(x), x.dtype.type(0), x), dims, keepdim),
    grads=(
        lambda g, x, x_shape, dims, keepdim: where_(eq(x, x), stretched(g, x_shape, dims, keepdim), 0.0),
    ))  # fmt: skip


@parsed
def nansum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum over `dim`, NaN counted as zero. Raises RuntimeError for complex tensors."""
    d = input._kind.dtype
    if d.category == 3:
        raise RuntimeError("nansum on CPU does not support complex inputs")
    if (dtype or d).category < 2:
        return sum(input, dim, keepdim, dtype=dtype)  # type: ignore[no-any-return]
    if dtype is not None and dtype is not d:
        input = input.to(dtype)
    return nansum_(input, dims=reduced(dim, input._array.ndim), keepdim=bool(keepdim))  # type: ignore[no-any-return]


@parsed
def nanmean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over `dim` of what is not NaN. Raises RuntimeError for integers."""
    if input._kind.dtype.category < 2:
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{scalar_name(input._kind.dtype)}"
        )
    counted = sum(eq(input, input), dim, keepdim)
    return nansum(input, dim, keepdim, dtype=dtype) / counted  # type: ignore[no-any-return]


# ---- products --------------------------------------------------------------------------------------------------------


def _prod(x: Array, *, dims: tuple[int, ...], keepdim: bool) -> Any:
    return np.multiply.reduce(x, axis=dims, keepdims=keepdim)  # type: ignore[call-overload]


def _prod_grad(g: Any, x: Any, out: Any, x_shape: tuple[int, ...], dims: tuple[int, ...], keepdim: bool) -> Any:
    g = stretched(g, x_shape, dims, keepdim)
    if x.__class__ is ndarray and x.all():
        return g * stretched(out, x_shape, dims, keepdim) / x
    return g * excluded(x, dims)


prod_all = primitive(
    "prod_all", lambda x: _prod(x, dims=tuple(range(x.ndim)), keepdim=False),
    grads=(lambda g, x, out, x_shape: _prod_grad(g, x, out, x_shape, tuple(range(len(x_shape))), False),),
    node="Prod")  # fmt: skip

prod_ = primitive("prod", _prod, grads=(_prod_grad,), node="ProdBackward1")


@parsed
def prod(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product over `dim` (an int; None: all). Integers multiply in int64."""
    d = input._kind.dtype
    to = dtype or (dtypes.int64 if d.category < 2 else d)
    if to is dtypes.bool_:
        return prod(input.to(to), dim, keepdim).to(to)  # type: ignore[no-any-return]
    if to is not d:
        input = input.to(to)
    if dim is None:
        return prod_all(input)  # type: ignore[no-any-return]
    if isinstance(dim, (tuple, list)):
        raise TypeError(f"prod(): argument 'dim' must be int, not {type(dim).__name__}")
    return prod_(input, dims=reduced(dim, input._array.ndim), keepdim=bool(keepdim))  # type: ignore[no-any-return]


# ---- logsumexp -------------------------------------------------------------------------------------------------------


def _logsumexp(x: Array, *, dims: tuple[int, ...], keepdim: bool) -> Any:
    """log(sum(exp(x))), the maximum taken out first, where it is finite."""
    if not x.size:
        return np.log(np.add.reduce(x, axis=dims, keepdims=keepdim))  # type: ignore[call-overload]
    top = np.maximum.reduce(x.real, axis=dims, keepdims=True)
    top = np.where(np.isfinite(top), top, x.real.dtype.type(0))
    powers = np.asarray(x - top)
    out = np.log(np.add.reduce(np.exp(powers, out=powers), axis=dims, keepdims=True)) + top
    return out if keepdim else np.squeeze(out, dims)


logsumexp_ = primitive(
    "logsumexp", _logsumexp,
    grads=(lambda g, x, out, x_shape, dims, keepdim:
           stretched(g, x_shape, dims, keepdim) * exp(x - stretched(out, x_shape, dims, keepdim)),))  # fmt: skip


@parsed
def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """log(sum(exp(input))) over `dim` without overflow. Integers are computed in the default dtype."""
    if input._kind.dtype.category < 2:
        input = input.to(dtypes.get_default_dtype())
    return logsumexp_(input, dims=reduced(dim, input._array.ndim), keepdim=bool(keepdim))  # type: ignore[no-any-return]


# ---- all and any -----------------------------------------------------------------------------------------------------


def _as_truth(result: Any, d: dtype_class) -> Any:
    return np.asarray(result).astype(np.uint8) if d is dtypes.uint8 else result


all_ = primitive(
    "all", lambda x, *, dims, keepdim, of: _as_truth(np.logical_and.reduce(x, axis=dims, keepdims=keepdim), of)
)
any_ = primitive(
    "any", lambda x, *, dims, keepdim, of: _as_truth(np.logical_or.reduce(x, axis=dims, keepdims=keepdim), of)
)


def _asked(op: Any, input: Tensor, dim: Any, keepdim: bool) -> Tensor:
    none = isinstance(dim, (tuple, list)) and not dim  # here, and here only, no dimensions means none
    dims = () if none else reduced(dim, input._array.ndim)
    return op(input, dims=dims, keepdim=bool(keepdim), of=input._kind.dtype)  # type: ignore[no-any-return]


@parsed
def all(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether all elements over `dim` (None: all dimensions) are nonzero. dtype: bool; uint8 of uint8."""
    return _asked(all_, input, dim, keepdim)


@parsed
def any(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether some element over `dim` (None: all dimensions) is nonzero. dtype: bool; uint8 of uint8."""
    return _asked(any_, input, dim, keepdim)
