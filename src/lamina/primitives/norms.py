"""Norms over dimensions: vector_norm, norm, dist, renorm. The norm's subgradient at the origin is 0.

Here: p-norms of vectors and their gradients. Not here: norms of matrices by singular values (linalg), distances
between all pairs (distances.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina.core.promotion import common_dtype
from lamina.core.size import broadcast, wrap_dim
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.argument_types import asks
from lamina.primitives.division import pow
from lamina.primitives.elementary import absolute, conj_, sgn
from lamina.primitives.elementwise import eq, gt, where_
from lamina.primitives.extremes import share
from lamina.primitives.reduction import sum_, total
from lamina.primitives.registry import primitive
from lamina.primitives.signature import parsed, parsed_exact, reduced, scalar_name

# ---- values and gradients --------------------------------------------------------------------------------------------


def norm_of(x: Array, p: float, dims: tuple[int, ...], keepdim: bool) -> Any:
    """The p-norm of an array over `dims`."""
    if p == 2:
        if len(dims) == x.ndim and x.dtype.kind == "f" and x.flags.c_contiguous:
            flat = x.reshape(-1)
            out = np.sqrt(np.dot(flat, flat))  # no memory for squares
            return out.reshape((1,) * x.ndim) if keepdim else out
        squares = np.multiply(x, x) if x.dtype.kind != "c" else x.real**2 + x.imag**2
        return np.sqrt(total(squares, dims, keepdim))
    sizes = np.abs(x)
    if p == math.inf:
        return np.maximum.reduce(sizes, axis=dims, keepdims=keepdim)  # type: ignore[call-overload]
    if p == -math.inf:
        return np.minimum.reduce(sizes, axis=dims, keepdims=keepdim)  # type: ignore[call-overload]
    if p == 0:
        return total((sizes != 0).astype(sizes.dtype), dims, keepdim)
    if p == 1:
        return total(sizes, dims, keepdim)
    return total(sizes**p, dims, keepdim) ** (1.0 / p)


def norm_grad(g: Any, x: Any, norm: Any, p: float, ties: bool = True) -> Any:
    """The gradient of a norm; g and norm have x's dimensions, those of the norm as size 1.

    ties: elements that are the largest together (p infinite) share the gradient; else each has all of it.
    """
    if p == 0:
        return where_(eq(x, x), 0.0, x) * g
    if p == 1:
        return sgn(x) * g
    if math.isinf(p):
        size = absolute(x)
        part = share(size, norm, nan=False) if ties else eq(size, norm)
        return sgn(x) * where_(eq(size, norm), g * part, 0.0)
    at_origin = eq(norm, 0.0)
    safe = where_(at_origin, 1.0, norm)
    if p == 2:
        return x * where_(at_origin, 0.0, g / safe)
    # the power of an element that is 0 is not looked at: its derivatives are infinite
    is_zero = eq(x, 0.0)
    power = where_(is_zero, 0.0, pow(where_(is_zero, 1.0, absolute(x)), p - 1.0))
    return sgn(x) * power * where_(at_origin, 0.0, g * pow(safe, 1.0 - p))


def _kept(v: Any, shape: tuple[int, ...], dims: tuple[int, ...], keepdim: bool) -> Any:
    return v if keepdim else v.reshape(tuple([1 if i in dims else n for i, n in enumerate(shape)]))


def _vector_norm_grad(g: Any, x: Any, out: Any, x_shape: Any, p: float, dims: Any, keepdim: bool) -> Any:
    return norm_grad(_kept(g, x_shape, dims, keepdim), x, _kept(out, x_shape, dims, keepdim), p)


vector_norm_ = primitive(
    "linalg_vector_norm", lambda x, *, p, dims, keepdim: norm_of(x, p, dims, keepdim),
    grads=(_vector_norm_grad,), holomorphic=False)  # fmt: skip


def _check_dtype(input: Tensor, dtype: Any) -> None:
    d = input._kind.dtype
    if d.category < 2:
        raise RuntimeError(
            f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {scalar_name(d)}"
        )
    if dtype is None:
        return
    if dtype.category < 2:
        raise RuntimeError(
            f"linalg.vector_norm: dtype should be floating point or complex, but got {scalar_name(dtype)}"
        )
    if dtype.category != d.category:
        kind = ("real", "real") if d.category == 2 else ("complex", "complex")
        raise RuntimeError(
            f"linalg.vector_norm: dtype should be {kind[0]} for {kind[1]} inputs, but got {scalar_name(dtype)}"
        )
    if dtype.itemsize < d.itemsize:
        raise RuntimeError(
            f"linalg.vector_norm: the dtype of the input ({scalar_name(d)}) should be convertible without narrowing "
            "to the specified dtype "
            f"({scalar_name(dtype)})"
        )


@parsed_exact
def vector_norm(x: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The `ord`-norm over `dim` (None: all): any number, inf, -inf, or 0 (how many are not zero).

    dtype: real also for complex `x`; if given, converted to before.
    """
    if isinstance(ord, str) or not isinstance(ord, (int, float)):
        raise TypeError(f"linalg_vector_norm(): argument 'ord' (position 2) must be Number, not {type(ord).__name__}")
    _check_dtype(x, dtype)
    shape = x._array.shape
    dims, p = reduced(dim, len(shape)), float(ord)
    if (p < 0 or p == math.inf) and not x._array.size:
        what = f"linalg.vector_norm cannot compute the {p:g} norm on "
        if dim is None or not dims:
            raise RuntimeError(f"{what}an empty tensor because the operation does not have an identity")
        for d in dims:
            if not shape[d]:
                raise RuntimeError(
                    f"{what}the dimension {d}because this dimension is empty and the operation does not have an "
                    "identity"
                )
    if dtype is not None and dtype is not x._kind.dtype:
        x = x.to(dtype)
    return vector_norm_(x, p=p, dims=dims, keepdim=bool(keepdim))  # type: ignore[no-any-return]


@parsed_exact
@asks("layout")
def norm(input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """The p-norm over `dim` (None: all).

    p: a number, inf, -inf, "fro" (of all squares, as 2) or "nuc" (of the singular values of matrices).
    """
    if p is None or (p == "fro" and (dim is None or isinstance(dim, int) or len(dim) <= 2)):
        p = 2
    if not isinstance(p, str):
        return vector_norm(input, p, dim, keepdim, dtype=dtype)  # type: ignore[no-any-return]
    if p not in ("fro", "nuc"):
        raise RuntimeError(f"linalg.matrix_norm: Order {p} not supported.")
    from lamina.primitives.matrix_norms import matrix_norm  # matrix norms stand on these

    return matrix_norm(input, p, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)  # type: ignore[no-any-return]


# ---- dist and renorm -------------------------------------------------------------------------------------------------


def _dist_grad(g: Any, x: Any, y: Any, out: Any, p: float) -> Any:
    apart = x - y
    ones = (1,) * len(apart.shape)
    return norm_grad(g.reshape(ones), apart, out.reshape(ones), p)


def _dist(x: Array, y: Array, *, p: float) -> Any:
    apart = np.asarray(x - y)
    return norm_of(apart, p, tuple(range(apart.ndim)), False)


dist_ = primitive(
    "dist", _dist,
    grads=(_dist_grad, lambda g, x, y, out, p: -_dist_grad(g, x, y, out, p)),
    holomorphic=False, restores=True)  # fmt: skip


@parsed
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of input - other, which broadcast."""
    shared = common_dtype((input, other))
    if shared.category < 2:
        raise RuntimeError(
            f"norm(): input dtype should be either floating point or complex. Got {scalar_name(shared)} instead."
        )
    broadcast(input._array.shape, other._array.shape)
    from_both = (t if t._kind.dtype is shared else t.to(shared) for t in (input, other))
    return dist_(*from_both, p=float(p))  # type: ignore[no-any-return]


_EPS = 1e-7  # PyTorch's: keeps a factor finite


def _renorm(x: Array, *, p: float, dim: int, maxnorm: float) -> Array:
    norms = norm_of(x, p, tuple(d for d in range(x.ndim) if d != dim), True)
    return x * np.where(  # type: ignore[no-any-return]
        norms > maxnorm, norms.dtype.type(maxnorm) / (norms + norms.dtype.type(_EPS)), norms.dtype.type(1)
    )


def _renorm_grad(g: Any, x: Any, x_shape: tuple[int, ...], p: float, dim: int, maxnorm: float) -> Any:
    dims = tuple(d for d in range(len(x_shape)) if d != dim)
    norms = vector_norm_(x, p=p, dims=dims, keepdim=True)
    is_long = gt(norms, float(maxnorm))
    inverse = 1.0 / (norms + _EPS)
    along = sum_((conj_(g) * x).real, dims=dims, keepdim=True, to=None)
    through = norm_grad(along * inverse * inverse * -float(maxnorm), x, norms, p)
    return g * where_(is_long, inverse * float(maxnorm), 1.0) + where_(is_long, through, 0.0)


renorm_ = primitive("renorm", _renorm, grads=(_renorm_grad,), holomorphic=False)


@parsed_exact
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """`input` with those slices along `dim` scaled down whose p-norm is above `maxnorm`. Shape: as `input`."""
    value: Any
    for name, value, position in (("p", p, 1), ("maxnorm", maxnorm, 3)):
        if isinstance(value, Tensor) or not isinstance(value, (int, float)):
            raise TypeError(
                f"renorm(): argument '{name}' (position {position}) must be Number, not {type(value).__name__}"
            )
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm:g}")
    ndim = input._array.ndim
    if ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {ndim} dimensions")
    if input._kind.category < 2:
        raise RuntimeError(
            f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {scalar_name(input.dtype)}"
        )
    return renorm_(input, p=float(p), dim=wrap_dim(dim, ndim), maxnorm=float(maxnorm))  # type: ignore[no-any-return]
