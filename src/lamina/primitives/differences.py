"""Differences and integrals of samples along a dimension: diff, trapezoid, cumulative_trapezoid, gradient.

Composites of slices and sums, as in PyTorch. Not here: running sums (scans.py).
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

from lamina.core import dtype as dtypes
from lamina.core.size import wrap_dim, wrap_dims
from lamina.core.tensor import Tensor
from lamina.primitives.elementwise import ne
from lamina.primitives.joining import cat
from lamina.primitives.rearrange import narrow
from lamina.primitives.scans import cumsum
from lamina.primitives.signature import not_tensor, parsed

# ---- diff ------------------------------------------------------------------------------------------------------------


@parsed
def diff(input: Tensor, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """The n-th differences of neighbours along `dim` (of bool: whether they differ). prepend, append: joined before.

    Shape: `dim` is n shorter.
    """
    ndim = input._array.ndim
    if not ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    d = wrap_dim(dim, ndim)
    for more in (prepend, append):
        if more is None:
            continue
        if more._array.ndim != ndim:
            raise RuntimeError("diff expects prepend or append to be the same dimension as input")
        for k, (have, wanted) in enumerate(zip(more._array.shape, input._array.shape, strict=True)):
            if k != d and have != wanted:
                raise RuntimeError(
                    "diff expects the shape of tensor to prepend or append to match that of input except along the "
                    "differencing "
                    f"dimension; input.size({k}) = {wanted}, but got tensor.size({k}) = {have}"
                )
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    if n == 0:  # nothing is joined either
        return input.clone()
    parts = [t for t in (prepend, input, append) if t is not None]
    out: Any = cat(parts, d) if len(parts) > 1 else input
    is_bool = out._kind.dtype.category == 0
    for _ in range(builtins.min(n, out._array.shape[d])):
        length = out._array.shape[d] - 1
        late, early = narrow(out, d, 1, length), narrow(out, d, 0, length)
        out = ne(late, early) if is_bool else late - early
    return out  # type: ignore[no-any-return]


# ---- integrals -------------------------------------------------------------------------------------------------------


def _samples(name: str, y: Any, x: Any, dx: Any) -> None:
    if not isinstance(y, Tensor):
        raise not_tensor(name, "y", 1, y)
    if x is not None and dx is not None:
        raise TypeError(f"{name}() received an invalid combination of arguments: only one of x and dx is allowed")
    if x is not None and not isinstance(x, Tensor):
        raise not_tensor(name, "x", 2, x)
    if y._kind.dtype.category == 0 or (x is not None and x._kind.dtype.category == 0):
        which = "`y`" if x is None else "`x` or `y`"
        raise RuntimeError(f"{name}: received a bool input for {which}, but bool is not supported")


def _widths(name: str, y: Any, x: Any, dim: int) -> Any:
    """Distances of neighbouring samples, in a shape that broadcasts with pairs of y."""
    n = y._array.shape[dim]
    if x._array.ndim < y._array.ndim:
        if x._array.ndim == 1 and x._array.shape[0] != n:
            raise RuntimeError(f"{name}: There must be one `x` value for each sample point")
        if x._array.ndim <= 1:
            x = x.reshape(*(1,) * dim, -1, *(1,) * (y._array.ndim - dim - 1))
        else:
            x = x.reshape(*(1,) * (y._array.ndim - x._array.ndim), *x._array.shape)
    if x._array.shape[dim] == 1:
        return x * 0
    return narrow(x, dim, 1, x._array.shape[dim] - 1) - narrow(x, dim, 0, x._array.shape[dim] - 1)


def _pairs(name: str, y: Any, x: Any, dim: int) -> Any:
    """Twice the area over each step."""
    n = y._array.shape[dim]
    sums = narrow(y, dim, 1, n - 1) + narrow(y, dim, 0, n - 1)
    return sums if x is None else _widths(name, y, x, dim) * sums


def trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integral of samples `y` along `dim` by the trapezoidal rule; steps: between the `x`, or `dx` (default 1)."""
    _samples("trapezoid", y, x, dx)
    if not y._array.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    d = wrap_dim(dim, y._array.ndim)
    n = y._array.shape[d]
    if not n:
        return y.sum(d)  # type: ignore[no-any-return]
    if x is not None:
        return _pairs("trapezoid", y, x, d).sum(d) / 2.0  # type: ignore[no-any-return]
    ends = y.select(d, 0) + y.select(d, n - 1)
    return (y.sum(d) - ends * 0.5) * (1 if dx is None else dx)  # type: ignore[no-any-return]


trapz = trapezoid


def cumulative_trapezoid(y: Tensor, x: Any = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """Running integrals of samples `y` along `dim` by the trapezoidal rule. Shape: `dim` is one shorter."""
    _samples("cumulative_trapezoid", y, x, dx)
    if not y._array.ndim:
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, y._array.ndim)
    pairs = _pairs("cumulative_trapezoid", y, x, d)
    if x is None:
        return cumsum(pairs * ((1 if dx is None else dx) / 2.0), d)  # type: ignore[no-any-return]
    return cumsum(pairs, d) / 2.0  # type: ignore[no-any-return]


# ---- gradient --------------------------------------------------------------------------------------------------------


def _coordinates(x: Any, dim: int, spacing: Tensor, edge_order: int) -> Tensor:
    """The derivative along `dim` where samples stand at given coordinates: second order inside."""
    n = x._array.shape[dim]
    back = (1,) * (x._array.ndim - dim - 1)
    step: Any = narrow(spacing, 0, 1, n - 1) - narrow(spacing, 0, 0, n - 1)

    def at(i: int, length: int = 1) -> Any:
        return narrow(x, dim, i, length)

    before, after = step[:-1].reshape(-1, *back), step[1:].reshape(-1, *back)
    inside = (
        at(0, n - 2) * (-after / (before * (before + after)))
        + at(1, n - 2) * ((after - before) / (before * after))
        + at(2, n - 2) * (before / (after * (before + after)))
    )
    if edge_order == 1:
        first, last = (at(1) - at(0)) / step[0], (at(n - 1) - at(n - 2)) / step[-1]
    else:
        a, b = step[0], step[1]
        first = at(0) * (-(a * 2.0 + b) / (a * (a + b))) + at(1) * ((a + b) / (a * b)) + at(2) * (-a / (b * (a + b)))
        a, b = step[-2], step[-1]
        last = (
            at(n - 3) * (b / (a * (a + b)))
            + at(n - 2) * (-(a + b) / (a * b))
            + at(n - 1) * ((b * 2.0 + a) / (b * (a + b)))
        )
    return cat((first, inside, last), dim)  # type: ignore[no-any-return]


def _even(x: Any, dim: int, step: Any, edge_order: int) -> Tensor:
    """The derivative along `dim` where samples are `step` apart: second order inside."""
    n = x._array.shape[dim]

    def at(i: int, length: int = 1) -> Any:
        return narrow(x, dim, i, length)

    inside = (at(2, n - 2) - at(0, n - 2)) / 2.0 / step
    if edge_order == 1:
        first, last = (at(1) - at(0)) / step, (at(n - 1) - at(n - 2)) / step
    else:
        first = (at(1) * 2.0 - at(0) * 1.5 - at(2) * 0.5) / step
        last = (at(n - 1) * 1.5 - at(n - 2) * 2.0 + at(n - 3) * 0.5) / step
    return cat((first, inside, last), dim)  # type: ignore[no-any-return]


@parsed
def gradient(input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """Derivatives of samples along each of `dim` (None: all), central inside, one-sided at the edges.

    spacing: a step, or one for each dimension, or 1-d tensors of coordinates.
    """
    if input._kind.dtype.name == "uint8":
        raise RuntimeError("torch.gradient does not support uint8 input.")
    ndim = input._array.ndim
    if spacing is None:
        spacing = 1
    dims = tuple(range(ndim)) if dim is None else wrap_dims(dim, ndim)
    if isinstance(spacing, Tensor):
        raise TypeError("gradient(): argument 'spacing' must be a number, or a tuple of numbers or Tensors, not Tensor")
    steps: Sequence[Any] = tuple(spacing) if isinstance(spacing, (tuple, list)) else (spacing,) * len(dims)
    if len(steps) != len(dims):
        if dim is None:
            raise RuntimeError(
                "torch.gradient expected spacing to be unspecified, a scalar, or a list of length equal to "
                f"'self.dim() = {ndim}', since "
                f"dim argument was not given, but got a list of length {len(steps)}"
            )
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar or it's spacing and dim arguments to have "
            "the same length, but "
            f"got a spacing argument of length {len(steps)} and a dim argument of length {len(dims)}."
        )
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    for d in dims:
        if input._array.shape[d] < edge_order + 1:
            raise RuntimeError("torch.gradient expected each dimension size to be at least edge_order+1")
    x: Any = input if input._kind.dtype.category >= 2 else input.to(dtypes.get_default_dtype())
    if input._kind.dtype.category == 0:
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
            "operator instead."
        )
    return tuple(
        _coordinates(x, d, step, edge_order) if isinstance(step, Tensor) else _even(x, d, step, edge_order)
        for d, step in zip(dims, steps, strict=True)
    )
