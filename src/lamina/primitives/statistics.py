"""Spread: var, std, var_mean, std_mean, cov, corrcoef.

Here: second moments. Not here: means (reduction.py), medians and quantiles (selection.py), histograms (histograms.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina.core import dtype as dtypes
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.primitives.elementwise import eq, where_
from lamina.primitives.reduction import average, mean_, stretched, total
from lamina.primitives.registry import primitive
from lamina.primitives.signature import parsed, reduced

# ---- variance --------------------------------------------------------------------------------------------------------


def _freedom(shape: tuple[int, ...], dims: tuple[int, ...], correction: float) -> float:
    return max(math.prod([shape[d] for d in dims]) - correction, 0)


def _var_mean(x: Array, dims: tuple[int, ...], keepdim: bool, correction: float) -> tuple[Any, Array]:
    """Variance, and the mean with its dimensions kept; in two passes, so that no digits cancel."""
    mean = average(x, dims, True)
    apart = np.asarray(x - mean)
    squares = np.multiply(apart, apart, out=apart) if apart.dtype.kind != "c" else apart.real**2 + apart.imag**2
    added = total(squares, dims, keepdim)
    return added / added.dtype.type(_freedom(x.shape, dims, correction)), mean


def _scale(shape: tuple[int, ...], dims: tuple[int, ...], correction: float) -> float:
    n = _freedom(shape, dims, correction)
    return 1.0 / n if n else math.inf


def _var_grad(g: Any, x: Any, x_shape: Any, dims: Any, keepdim: bool, correction: float) -> Any:
    g = stretched(g * (2.0 * _scale(x_shape, dims, correction)), x_shape, dims, keepdim)
    return g * (x - mean_(x, dims=dims, keepdim=True))


def _std_grad(g: Any, x: Any, out: Any, x_shape: Any, dims: Any, keepdim: bool, correction: float) -> Any:
    g = where_(eq(out, 0.0), 0.0, g / out) * _scale(x_shape, dims, correction)
    return stretched(g, x_shape, dims, keepdim) * (x - mean_(x, dims=dims, keepdim=True))


def _with_mean_grad(
    rule: Any, gs: Any, out: Any, x: Any, x_shape: Any, dims: Any, keepdim: bool, correction: float
) -> Any:
    spread, mean = gs
    result: Any = 0.0
    if spread is not None:
        more = (out,) if rule is _std_grad else ()
        result = rule(spread, x, *more, x_shape, dims, keepdim, correction)
    if mean is not None:
        share = stretched(mean / (math.prod([x_shape[d] for d in dims]) or 1), x_shape, dims, keepdim)
        result = share if spread is None else result + share
    return result


def _pair(x: Array, dims: tuple[int, ...], keepdim: bool, correction: float, root: bool) -> tuple[Any, Any]:
    var, mean = _var_mean(x, dims, keepdim, correction)
    return np.sqrt(var) if root else var, mean if keepdim else np.squeeze(mean, dims)


var_ = primitive(
    "var", lambda x, *, dims, keepdim, correction: _var_mean(x, dims, keepdim, correction)[0],
    grads=(_var_grad,), holomorphic=False)  # fmt: skip
std_ = primitive(
    "std", lambda x, *, dims, keepdim, correction: np.sqrt(_var_mean(x, dims, keepdim, correction)[0]),
    grads=(_std_grad,), holomorphic=False)  # fmt: skip
var_mean_ = primitive(
    "var_mean", lambda x, *, dims, keepdim, correction: _pair(x, dims, keepdim, correction, False),
    grads=(lambda gs, x, out_0, x_shape, dims, keepdim, correction:
           _with_mean_grad(_var_grad, gs, out_0, x, x_shape, dims, keepdim, correction),),
    outputs=2, holomorphic=False)  # fmt: skip
std_mean_ = primitive(
    "std_mean", lambda x, *, dims, keepdim, correction: _pair(x, dims, keepdim, correction, True),
    grads=(lambda gs, x, out_0, x_shape, dims, keepdim, correction:
           _with_mean_grad(_std_grad, gs, out_0, x, x_shape, dims, keepdim, correction),),
    outputs=2, holomorphic=False)  # fmt: skip

_GIVEN_NOT = object()


def _spread(name: str, op: Any, input: Tensor, dim: Any, unbiased: Any, keepdim: bool, correction: Any) -> Any:
    if isinstance(dim, bool):  # var(input, unbiased)
        dim, unbiased = None, dim
    if unbiased is not _GIVEN_NOT and correction is not None:
        raise TypeError(
            f"{name}() received an invalid combination of arguments - unbiased and correction exclude each other"
        )
    if unbiased is not _GIVEN_NOT:
        correction = 1 if unbiased else 0
    elif correction is None:
        correction = 1
    if input._kind.dtype.category < 2:
        what = "std and var" if name in ("var", "std") else name
        raise RuntimeError(f"{what} only support floating point and complex dtypes")
    dims = reduced(dim, input._array.ndim)
    if math.prod([input._array.shape[d] for d in dims]) - correction <= 0:
        warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction factor "
            "(input numel divided "
            "by output numel).",
        )
    return op(input, dims=dims, keepdim=bool(keepdim), correction=correction)


@parsed
def var(
    input: Tensor, dim: Any = None, unbiased: Any = _GIVEN_NOT, keepdim: bool = False, *, correction: Any = None
) -> Tensor:
    """The variance over `dim` (None: all), divided by n - correction (1 where not given; unbiased=False: 0).

    dtype: as `input`, real for complex. Raises RuntimeError for integers.
    """
    return _spread("var", var_, input, dim, unbiased, keepdim, correction)  # type: ignore[no-any-return]


@parsed
def std(
    input: Tensor, dim: Any = None, unbiased: Any = _GIVEN_NOT, keepdim: bool = False, *, correction: Any = None
) -> Tensor:
    """The standard deviation over `dim`: the root of `var`. Its gradient is 0 where it is 0."""
    return _spread("std", std_, input, dim, unbiased, keepdim, correction)  # type: ignore[no-any-return]


@parsed
def var_mean(
    input: Tensor, dim: Any = None, unbiased: Any = _GIVEN_NOT, keepdim: bool = False, *, correction: Any = None
) -> Any:
    """(var, mean) over `dim`."""
    return _spread("var_mean", var_mean_, input, dim, unbiased, keepdim, correction)


@parsed
def std_mean(
    input: Tensor, dim: Any = None, unbiased: Any = _GIVEN_NOT, keepdim: bool = False, *, correction: Any = None
) -> Any:
    """(std, mean) over `dim`."""
    return _spread("std_mean", std_mean_, input, dim, unbiased, keepdim, correction)


# ---- covariance ------------------------------------------------------------------------------------------------------


def _check_weights(name: str, weights: Tensor, count: int, category: int) -> None:
    d = weights._kind.dtype
    if weights._array.ndim > 1:
        raise RuntimeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {name} with {weights._array.ndim} "
            "dimensions"
        )
    if d.category != category:
        kind = "integral" if category == 1 else "floating point"
        raise RuntimeError(f"cov(): expected {name} to have {kind} dtype but got {name} with {d.alias[:-6]} dtype")
    if weights._array.size != count:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations in the input but got "
            f"{weights._array.size} != {count}"
        )
    if (weights._array < 0).any():
        raise RuntimeError(f"cov(): {name} cannot be negative")


@parsed
def cov(input: Tensor, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Tensor:
    """Covariances of variables (rows) over observations (columns).

    fweights: how often each observation counts (integers); aweights: how much (floating).
    """
    if input._array.ndim > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {input._array.ndim} "
            "dimensions"
        )
    if input._kind.dtype.category == 0:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x: Any = input if input._array.ndim == 2 else input.reshape(1, -1)
    if input._kind.dtype.category == 1:
        x = x.to(dtypes.get_default_dtype())
    count = x.shape[1]
    if fweights is not None:
        _check_weights("fweights", fweights, count, 1)
    if aweights is not None:
        _check_weights("aweights", aweights, count, 2)
    weights = fweights if aweights is None else aweights if fweights is None else fweights * aweights
    weight_sum = count if weights is None else weights.sum()
    if weights is not None and count and not weight_sum._array:
        raise RuntimeError("cov(): weights sum to zero, can't be normalized")
    mean = (x if weights is None else x * weights).sum(1) / weight_sum
    if aweights is None or not correction:
        norm = weight_sum - correction
    else:
        norm = weight_sum - correction * (weights * aweights).sum() / weight_sum
    if float(norm) <= 0:
        warn(
            "cov(): degrees of freedom is <= 0. Correction should be strictly less than the number of observations.",
        )
        norm = 0 if not isinstance(norm, Tensor) else norm * 0
    apart = x - mean.unsqueeze(1)
    products = apart @ (apart if weights is None else apart * weights).t().conj()
    return (products / norm).squeeze()  # type: ignore[no-any-return]


@parsed
def corrcoef(input: Tensor) -> Tensor:
    """Pearson's correlation coefficients of variables (rows): `cov` over the standard deviations, held in [-1, 1]."""
    if input._array.ndim > 2:
        raise RuntimeError(
            f"corrcoef(): expected input to have two or fewer dimensions but got an input with {input._array.ndim} "
            "dimensions"
        )
    c: Any = cov(input)
    if not c.dim():
        return c / c  # type: ignore[no-any-return]
    d = c.diagonal()
    deviation = (d.real if c.is_complex() else d).sqrt()
    c = c / deviation.view(-1, 1) / deviation.view(1, -1)
    if not c.is_complex():
        return c.clamp(-1.0, 1.0)  # type: ignore[no-any-return]
    return c.real.clamp(-1.0, 1.0) + c.imag.clamp(-1.0, 1.0) * 1j  # type: ignore[no-any-return]
