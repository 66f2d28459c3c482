"""What the files of linear algebra share: PyTorch's checks, its error, and adjoints and diagonals of arrays and Tensors alike.

Here: nothing that is public but LinAlgError. Not here: any operation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core import device as devices
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, wrap
from lamina.core.warn import warn_once
from lamina.primitives.expected import expect_none
from lamina.primitives.shape import diagonal_adjoint
from lamina.primitives.signature import not_implemented, scalar_name


class LinAlgError(RuntimeError):
    """A matrix for which an operation has no answer: singular, not positive-definite, not finite."""

    __module__ = "torch._C"

    def __reduce__(self) -> tuple[Any, ...]:
        return _failed, self.args  # the name under which the class goes is the stand-in's


def _failed(*args: Any) -> LinAlgError:
    return LinAlgError(*args)


LinAlgError.__name__ = LinAlgError.__qualname__ = "_LinAlgError"


# ---- checks ----------------------------------------------------------------------------------------------------------


def check_matrix(t: Tensor, function: str, argument: str = "A") -> None:
    if t._array.ndim < 2:
        raise RuntimeError(f"{function}: The input tensor {argument} must have at least 2 dimensions.")


def check_square(t: Tensor, function: str, argument: str = "A") -> None:
    check_matrix(t, function, argument)
    m, n = t._array.shape[-2:]
    if m != n:
        raise RuntimeError(f"{function}: A must be batches of square matrices, but they are {m} by {n} matrices")


def check_floating(t: Tensor, function: str, low: bool = True) -> None:
    """Floating point or complex; with low=False not float16 and bfloat16."""
    d = t._kind.dtype
    if d.category < 2:
        raise RuntimeError(f"{function}: Expected a floating point or complex tensor as input. Got {scalar_name(d)}")
    if not low and d.is_low:
        raise RuntimeError(f"{function}: Low precision dtypes not supported. Got {scalar_name(d)}")


def check_kernel(t: Tensor, kernel: str) -> None:
    """The dtypes for which there is LAPACK: float32, float64 and their complex ones."""
    d = t._kind.dtype
    if d.category < 2 or d.is_low:
        raise not_implemented(kernel, d)


def check_same(a: Tensor, b: Tensor, function: str, first: str = "A", second: str = "B") -> None:
    if a._kind.dtype is not b._kind.dtype:
        raise RuntimeError(
            f"{function}: Expected {first} and {second} to have the same dtype, but found {first} of type "
            f"{scalar_name(a._kind.dtype)} and {second} of type {scalar_name(b._kind.dtype)} instead"
        )


def check_fit(a: Tensor, b: Tensor, left: bool, function: str) -> None:
    """Whether the rows (left=False: columns) of B are those of A."""
    check_matrix(b, function, "B")
    n, (rows, columns) = a._array.shape[-1], b._array.shape[-2:]
    if (rows if left else columns) != n:
        raise RuntimeError(
            f"{function}: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
            f"({n}x{n} and {rows}x{columns})"
        )


def first_bad(info: Tensor) -> tuple[str, int] | None:
    """The place ("(Batch element 1): " in a batch) and the code of the first matrix that failed; None where none did."""
    if info._kind.device is devices.meta:
        return None
    expect_none(lambda: info)
    codes = values(info)
    if not codes.any():
        return None
    at = int(np.flatnonzero(codes)[0])
    return (f"(Batch element {at}): " if codes.ndim else ""), int(codes.reshape(-1)[at])


_OLDER = {
    "torch.lu": ("torch.linalg.lu_factor / torch.linalg.lu_factor_ex", "LU, pivots = torch.linalg.lu_factor(A, compute_pivots)"),
    "torch.qr": ("torch.linalg.qr", "Q, R = torch.linalg.qr(A, 'reduced' if some else 'complete')"),
    "torch.cholesky": ("torch.linalg.cholesky", "L = torch.linalg.cholesky(A), or U = torch.linalg.cholesky(A).mH for upper=True"),
    "torch.lu_solve": ("torch.linalg.lu_solve", "X = torch.linalg.lu_solve(LU, pivots, B)"),
    "torch.triangular_solve": ("torch.linalg.solve_triangular", "X = torch.linalg.solve_triangular(A, B), which gives no copy of A"),
}  # fmt: skip
"""Older functions: what took their place, and how it is called."""


def discourage(function: str) -> None:
    """Say once that an older function has a successor."""
    instead, call = _OLDER[function]
    warn_once(
        f"{function} is deprecated in favor of {instead} and will be removed in a future PyTorch release.\n"
        f"It should be replaced with\n{call}"
    )


# ---- arrays and Tensors alike ----------------------------------------------------------------------------------------


def adjoint(x: Any) -> Any:
    """The conjugate transposes."""
    return x.mT.conj()


def column_major(x: Array) -> Array:
    """Matrices that lie column by column, as LAPACK leaves them and PyTorch hands them on."""
    return np.swapaxes(np.ascontiguousarray(np.swapaxes(x, -1, -2)), -1, -2)


def like(array: Array, x: Any) -> Any:
    """A constant array as what a rule works on: a Tensor among Tensors."""
    return wrap(array) if isinstance(x, Tensor) else array


def numpy_dtype(x: Any) -> Any:
    return x._kind.np if isinstance(x, Tensor) else x.dtype


def real_dtype(x: Any) -> Any:
    return np.empty(0, numpy_dtype(x)).real.dtype


def identity(x: Any, n: int) -> Any:
    """The n x n identity in the dtype of `x`."""
    return like(np.eye(n, dtype=numpy_dtype(x)), x)


def diagonal_of(x: Any) -> Any:
    return x.diagonal(0, -2, -1)


def diagonal_matrix(d: Any) -> Any:
    """Matrices with `d` on their diagonals."""
    return diagonal_adjoint(d, shape=(*d.shape, d.shape[-1]), offset=0, dim1=d.ndim - 1, dim2=d.ndim)


def is_complex(x: Any) -> bool:
    return numpy_dtype(x).kind == "c"  # type: ignore[no-any-return]


def values(x: Any) -> Array:
    """The numbers of an array or Tensor; of a batched one those of all entries."""
    while isinstance(x, Tensor):
        x = getattr(x, "_value", x._array)
    return x  # type: ignore[no-any-return]
