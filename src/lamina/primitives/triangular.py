"""Triangular systems: what the gradients of factorizations and solvers stand on.

Here: solve_triangular and its older form. Not here: other systems (solvers.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import return_types
from lamina.core.size import broadcast
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.kernels import factorizations as kernels
from lamina.primitives.linalg_common import (
    check_fit,
    check_floating,
    check_kernel,
    check_square,
    column_major,
    discourage,
)
from lamina.primitives.masking import tril_, triu_
from lamina.primitives.registry import primitive
from lamina.primitives.signature import parsed, scalar_name


def _solved(a: Array, b: Array, *, upper: bool, left: bool, unit: bool) -> Array:
    if left:
        return column_major(kernels.triangular(a, b, upper, unit))
    return np.swapaxes(kernels.triangular(np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2), not upper, unit), -1, -2)


def _by_matrix(g: Any, a: Any, out: Any, upper: bool, left: bool, unit: bool) -> Any:
    gb = solve_triangular_(a.mT, g, upper=not upper, left=left, unit=unit)
    product = gb @ out.mT if left else out.mT @ gb
    return -triu_(product, diagonal=int(unit)) if upper else -tril_(product, diagonal=-int(unit))


def _by_right(g: Any, a: Any, upper: bool, left: bool, unit: bool) -> Any:
    return solve_triangular_(a.mT, g, upper=not upper, left=left, unit=unit)


solve_triangular_ = primitive(
    "linalg_solve_triangular", _solved, grads=(_by_matrix, _by_right), restores=True)  # fmt: skip


def check_batches(a: Tensor, b: Tensor) -> None:
    """Raise RuntimeError where the batches do not broadcast; B comes first in PyTorch's sentence."""
    broadcast(b._array.shape[:-2], a._array.shape[:-2])


@parsed
def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """X of A X = B (left=False: X A = B) for triangular A, whose other half is not read."""
    check_square(A, "linalg.solve_triangular")
    check_fit(A, B, left, "linalg.solve_triangular")
    check_floating(A, "linalg.solve_triangular")
    check_kernel(A, "triangular_solve_cpu")
    check_batches(A, B)
    return solve_triangular_(A, B, upper=bool(upper), left=bool(left), unit=bool(unitriangular))  # type: ignore[no-any-return]


legacy_ = primitive(
    "triangular_solve", lambda b, a, *, upper, transpose, unit: (_legacy(a, b, upper, transpose, unit), column_major(a)),
    grads=(lambda gs, a, upper, transpose, unit: None if gs[0] is None else _legacy_right(gs[0], a, upper, transpose, unit),
           lambda gs, a, out_0, upper, transpose, unit: _legacy_matrix(gs, a, out_0, upper, transpose, unit)),
    outputs=2, restores=True)  # fmt: skip


def _legacy(a: Array, b: Array, upper: bool, transpose: bool, unit: bool) -> Array:
    return column_major(kernels.triangular(np.swapaxes(a, -1, -2) if transpose else a, b, upper != transpose, unit))


def _legacy_right(g: Any, a: Any, upper: bool, transpose: bool, unit: bool) -> Any:
    return solve_triangular_(a if transpose else a.mT, g, upper=upper == transpose, left=True, unit=unit)


def _legacy_matrix(gs: Any, a: Any, x: Any, upper: bool, transpose: bool, unit: bool) -> Any:
    out = gs[1]
    if gs[0] is not None:
        gb = _legacy_right(gs[0], a, upper, transpose, unit)
        product = x @ gb.mT if transpose else gb @ x.mT
        part = -triu_(product, diagonal=int(unit)) if upper else -tril_(product, diagonal=-int(unit))
        out = part if out is None else out + part
    return out


@parsed
def triangular_solve(
    b: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Any:
    """X of A X = b and a copy of A: the older form of linalg.solve_triangular."""
    discourage("torch.triangular_solve")
    for name, t in (("b", b), ("A", A)):
        if t._array.ndim < 2:
            raise RuntimeError(
                f"torch.triangular_solve: Expected {name} to have at least 2 dimensions, but it has {t._array.ndim} dimensions instead"
            )
    check_system(b, A, "triangular_solve")
    check_kernel(A, "triangular_solve_cpu")
    check_batches(A, b)
    return return_types.triangular_solve(
        legacy_(b, A, upper=bool(upper), transpose=bool(transpose), unit=bool(unitriangular))
    )


def check_system(b: Tensor, a: Tensor, function: str) -> None:
    """The checks of the older solvers."""
    if a._kind.dtype is not b._kind.dtype:
        raise RuntimeError(
            f"Expected b and A to have the same dtype, but found b of type {scalar_name(b._kind.dtype)} and A of type "
            f"{scalar_name(a._kind.dtype)} instead."
        )
    (m, n), (rows, columns) = a._array.shape[-2:], b._array.shape[-2:]
    if m != n:
        raise RuntimeError(f"A must be batches of square matrices, but they are {m} by {n} matrices")
    if rows != n:
        raise RuntimeError(
            f"Incompatible matrix sizes for {function}: each A matrix is {n} by {n} but each b matrix is {rows} by {columns}"
        )
