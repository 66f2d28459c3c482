"""Products of Householder reflections, as geqrf keeps them.

Composites: one node each, whose gradient is that of the reflections one after another. Not here: making them (decompositions.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.factories import place_on
from lamina.core.tensor import Tensor
from lamina.primitives.fused import fused
from lamina.primitives.linalg_common import adjoint, check_kernel
from lamina.primitives.masking import tril_
from lamina.primitives.signature import not_tensor, parsed, scalar_name


def _reflected(vectors: Tensor, tau: Tensor, x: Any, first_to_last: bool, left: bool) -> Any:
    """x multiplied by H_0 H_1 ... on one side, reflection by reflection."""
    m, k = vectors._array.shape[-2:]
    columns = tril_(vectors, diagonal=-1) + place_on(np.eye(m, k, dtype=vectors._kind.np), vectors._kind)
    if not tau._array.shape[-1]:  # nothing to do, but the result depends on the inputs all the same
        none = columns[..., :, :0]
        return x + none @ (none.mT @ x) if left else x + (x @ none) @ none.mT
    for i in range(tau._array.shape[-1]) if first_to_last else range(tau._array.shape[-1] - 1, -1, -1):
        v, scale = columns[..., :, i : i + 1], tau[..., i, None, None]
        if left:
            x = x - (v * scale) @ (adjoint(v) @ x)
        else:
            x = x - (x @ (v * scale)) @ adjoint(v)
    return x.mT.contiguous().mT  # column by column, as LAPACK leaves it


@fused("LinalgHouseholderProduct")
def _householder_product(input: Tensor, tau: Tensor) -> Tensor:
    *batch, m, n = input._array.shape
    one = place_on(np.broadcast_to(np.eye(m, n, dtype=input._kind.np), (*batch, m, n)), input._kind)
    return _reflected(input, tau, one, False, True)  # type: ignore[no-any-return]


@fused("Ormqr")
def _ormqr(input: Tensor, tau: Tensor, other: Tensor, left: bool, transpose: bool) -> Tensor:
    scales = tau.conj() if transpose else tau
    return _reflected(input, scales, other, left == transpose, left)  # type: ignore[no-any-return]


def _check(t: Tensor, tau: Tensor, function: str, name: str) -> None:
    """The reflections' scales: one for each, batch by batch."""
    if t._kind.dtype is not tau._kind.dtype:
        raise RuntimeError(
            f"{function}: {name} dtype {scalar_name(tau._kind.dtype)} does not match input dtype {scalar_name(t._kind.dtype)}"
        )


@parsed
def householder_product(input: Tensor, tau: Tensor) -> Tensor:
    """The first columns of H_0 H_1 ...; H_i = 1 - tau_i v_i v_i^H, v_i column i of `input` below its diagonal.

    Shapes: (..., m, n), (..., k) -> (..., m, n), m >= n >= k.
    """
    function = "torch.linalg.householder_product"
    if not isinstance(tau, Tensor):
        raise not_tensor("linalg_householder_product", "tau", 2, tau)
    shape, scales = input._array.shape, tau._array.shape
    if len(shape) < 2:
        raise RuntimeError(f"{function}: input must have at least 2 dimensions.")
    if shape[-2] < shape[-1]:
        raise RuntimeError(f"{function}: input.shape[-2] must be greater than or equal to input.shape[-1]")
    if scales and shape[-1] < scales[-1]:
        raise RuntimeError(f"{function}: input.shape[-1] must be greater than or equal to tau.shape[-1]")
    if len(shape) != len(scales) + 1:
        raise RuntimeError(
            f"{function}: Expected tau to have one dimension less than input, but got tau.ndim equal to {len(scales)} and input.ndim "
            f"is equal to {len(shape)}"
        )
    if shape[:-2] != scales[:-1]:
        raise RuntimeError(
            f"{function}: Expected batch dimensions of tau to be equal to input.shape[:-2], but got {list(scales[:-1])}"
        )
    _check(input, tau, function, "tau")
    check_kernel(input, "orgqr_cpu")
    return _householder_product(input, tau)  # type: ignore[no-any-return]


orgqr = householder_product


@parsed
def ormqr(input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False) -> Tensor:
    """`other` multiplied by Q = H_0 H_1 ... (left=False: from the right; transpose=True: by Q^H)."""
    function = "torch.ormqr"
    a, b = input._array.shape, other._array.shape
    if len(a) < 2:
        raise RuntimeError(f"{function}: input must have at least 2 dimensions.")
    if len(b) < 2:
        raise RuntimeError(f"{function}: other must have at least 2 dimensions.")
    at = -2 if left else -1
    if b[at] != a[-2]:
        raise RuntimeError(f"{function}: other.shape[{at}] must be equal to input.shape[-2]")
    if tau._array.shape[-1] != min(b[at], a[-1]):
        raise RuntimeError(f"{function}: tau.shape[-1] must be equal to min(other.shape[{at}], input.shape[-1])")
    if len(a) != tau._array.ndim + 1:
        raise RuntimeError(
            f"{function}: Expected tau to have one dimension less than input, but got tau.ndim equal to {tau._array.ndim} and "
            f"input.ndim is equal to {len(a)}"
        )
    if len(a) != len(b):
        raise RuntimeError(
            f"{function}: Expected other to have the same number of dimensions as input, but got other.ndim equal to {len(b)} and "
            f"input.ndim is equal to {len(a)}"
        )
    for name, got in (("tau", tau._array.shape[:-1]), ("other", b[:-2])):
        if got != a[:-2]:
            raise RuntimeError(
                f"{function}: Expected batch dimensions of {name} to be equal to input.shape[:-2], but got {list(got)}"
            )
    _check(input, tau, function, "tau")
    if input._kind.dtype is not other._kind.dtype:
        raise RuntimeError(
            f"{function}: Expected input and other to have the same dtype, but input has dtype{scalar_name(input._kind.dtype)} and "
            f"other has dtype {scalar_name(other._kind.dtype)}"
        )
    check_kernel(input, "ormqr_cpu")
    return _ormqr(input, tau, other, bool(left), bool(transpose))  # type: ignore[no-any-return]
