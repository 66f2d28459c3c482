"""Sums with a product inside: addmm, baddbmm, addbmm, addmv, addr, linear.

beta * input + alpha * product, in one step; with beta = 0 the input is not read. Not here: products alone (matmul.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.autograd import errors
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives import elementwise as e
from lamina.primitives.argument_types import Number
from lamina.primitives.inplace import with_out
from lamina.primitives.kernels import products
from lamina.primitives.matmul import (
    autocast,
    bmm_,
    by_turned,
    check_not_bool,
    check_same,
    check_tensors,
    matmul_,
    mv_,
    of_turned,
    outer,
)
from lamina.primitives.registry import primitive
from lamina.primitives.shape import unbroadcast
from lamina.primitives.signature import scalar_name

# ---- primitives ------------------------------------------------------------------------------------------------------


def _as(factor: Any, kind: Any) -> Any:
    """A factor in the dtype of what it multiplies: for integers its whole part."""
    if isinstance(factor, complex) and kind.kind != "c":
        raise RuntimeError(f"value cannot be converted to type {_C_NAMES.get(kind.name, kind.name)} without overflow")
    return kind.type(factor)


_C_NAMES = {"float32": "float", "float64": "double"}


def _plus(z: Array, product: Array, beta: Any, alpha: Any) -> Array:
    """beta * z + alpha * product, into the memory of `product`."""
    if alpha != 1:
        product = (
            product * _as(alpha, product.dtype)
            if not product.ndim
            else np.multiply(product, _as(alpha, product.dtype), out=product)
        )
    if beta == 1:
        scaled = z
    else:
        factor = _as(beta, z.dtype)
        if factor == 0:  # z is not read: NaN in it does not spread
            return product
        scaled = factor * z
    if product.dtype != z.dtype or not product.ndim:
        return product + scaled
    if z.ndim == 1 and z.shape == product.shape[-1:]:  # a bias
        return np.add(product, scaled, product)
    if product.shape != np.broadcast_shapes(product.shape, z.shape):
        return product + scaled
    return np.add(product, scaled, product)


def _times(x: Any, factor: Any) -> Any:
    return x if factor == 1 else x * factor


addmm_ = primitive(
    "addmm", lambda z, x, y, *, beta, alpha: _plus(z, products.dot(x, y), beta, alpha),
    grads=(lambda g, z_shape, beta: unbroadcast(_times(g, beta), z_shape),
           lambda g, y, alpha, x_turned: _times(by_turned(g, y, x_turned), alpha),
           lambda g, x, alpha, y_turned: _times(of_turned(x, g, y_turned), alpha)))  # fmt: skip

baddbmm_ = primitive(
    "baddbmm", lambda z, x, y, *, beta, alpha: _plus(z, products.matmul(x, y), beta, alpha),
    grads=(lambda g, z_shape, beta: unbroadcast(_times(g, beta), z_shape),
           lambda g, y, alpha: _times(bmm_(g, y.mT), alpha),
           lambda g, x, alpha: _times(bmm_(x.mT, g), alpha)))  # fmt: skip

addbmm_ = primitive(
    "addbmm", lambda z, x, y, *, beta, alpha: _plus(z, np.add.reduce(products.matmul(x, y), axis=0, dtype=x.dtype), beta, alpha),
    grads=(lambda g, z_shape, beta: unbroadcast(_times(g, beta), z_shape),
           lambda g, y, alpha: _times(matmul_(g, y.mT), alpha),
           lambda g, x, alpha: _times(matmul_(x.mT, g), alpha)))  # fmt: skip

addmv_ = primitive(
    "addmv", lambda z, x, y, *, beta, alpha: _plus(z, x.dot(y), beta, alpha),
    grads=(lambda g, z_shape, beta: unbroadcast(_times(g, beta), z_shape),
           lambda g, y, alpha: _times(g[:, None] * y, alpha),
           lambda g, x, alpha: _times(mv_(x.mT, g), alpha)))  # fmt: skip

addr_ = primitive(
    "addr", lambda z, x, y, *, beta, alpha: _plus(z, x[:, None] * y, beta, alpha),
    grads=(lambda g, z_shape, beta: unbroadcast(_times(g, beta), z_shape),
           lambda g, y, alpha: _times(mv_(g, y), alpha),
           lambda g, x, alpha: _times(mv_(g.mT, x), alpha)))  # fmt: skip

# ---- checks ----------------------------------------------------------------------------------------------------------


def check_addend(addend: Tensor, product: Tensor) -> None:
    if addend._kind.dtype is not product._kind.dtype:
        raise errors.DtypeError("self", addend, product)


def _expandable(input: Tensor, shape: tuple[int, ...]) -> None:
    have = input._array.shape
    if len(have) > len(shape):
        input.expand(shape)  # raises
    for at in range(1, len(have) + 1):
        n, k = have[-at], shape[-at]
        if n not in (1, k):
            raise RuntimeError(
                f"The expanded size of the tensor ({k}) must match the existing size ({n}) at non-singleton dimension "
                f"{len(shape) - at}.  Target sizes: {list(shape)}.  Tensor sizes: {list(have)}"
            )


def _batches(batch1: Tensor, batch2: Tensor) -> tuple[int, int, int]:
    """The shape of a product of batches."""
    for i, t in ((1, batch1), (2, batch2)):
        if t._array.ndim != 3:
            raise RuntimeError(f"batch{i} must be a 3D tensor")
    b, n, m = batch1._array.shape
    if batch2._array.shape[:2] != (b, m):
        raise errors.ShapeError(
            batch1,
            batch2,
            f"Expected size for first two dimensions of batch2 tensor to be: [{b}, {m}] but got: "
            f"[{batch2._array.shape[0]}, {batch2._array.shape[1]}].",
        )
    return b, n, batch2._array.shape[2]


def _factor(name: str, value: Any, like: Tensor) -> None:
    """addr is strict about its factors; the products take their whole part for integers."""
    category = like._kind.dtype.category
    if category and isinstance(value, bool):
        raise RuntimeError(f"Boolean {name} only supported for Boolean results.")
    if category == 1 and isinstance(value, float):
        raise RuntimeError(f"For integral input tensors, argument {name} must not be a floating point number.")


# ---- functions -------------------------------------------------------------------------------------------------------


@with_out
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2); input is broadcast."""
    check_tensors("addmm", input=input, mat1=mat1, mat2=mat2)
    input, mat1, mat2 = autocast(input, mat1, mat2)
    for which, t in (("mat1", mat1), ("mat2", mat2)):
        if t._array.ndim != 2:
            raise RuntimeError(f"{which} must be a matrix, got {t._array.ndim}-D tensor")
    if mat1._array.shape[1] != mat2._array.shape[0]:
        raise errors.ShapeError(mat1, mat2)
    check_addend(input, mat2)
    check_same("addmm", mat1, mat2)
    _expandable(input, (mat1._array.shape[0], mat2._array.shape[1]))
    return addmm_(input, mat1, mat2, beta=beta, alpha=alpha)  # type: ignore[no-any-return]


@with_out
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta * input + alpha * (batch1 @ batch2), matrix by matrix."""
    check_tensors("baddbmm", input=input, batch1=batch1, batch2=batch2)
    shape = _batches(batch1, batch2)
    if batch1._kind.dtype is batch2._kind.dtype is not input._kind.dtype:
        names = (
            _C_NAMES.get(t._kind.dtype.name, _IN_C.get(t._kind.dtype.name, t._kind.dtype.name))
            for t in (input, batch1, batch2)
        )
        raise RuntimeError(
            f"Input dtypes must be the same, got: input {next(names)}, batch1: {next(names)}, batch2: {next(names)}"
        )
    check_same("baddbmm", batch1, batch2)
    _expandable(input, shape)
    return baddbmm_(input, batch1, batch2, beta=beta, alpha=alpha)  # type: ignore[no-any-return]


_IN_C = {"int32": "int", "int64": "long int", "int16": "short int", "uint8": "unsigned char", "int8": "signed char"}


@with_out
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta * input + alpha * the sum over the batch of batch1 @ batch2."""
    check_tensors("addbmm", input=input, batch1=batch1, batch2=batch2)
    _, n, m = _batches(batch1, batch2)
    check_addend(input, batch2)
    check_same("addmm", batch1, batch2)
    _expandable(input, (n, m))
    return addbmm_(input, batch1, batch2, beta=beta, alpha=alpha)  # type: ignore[no-any-return]


@with_out
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta * input + alpha * (mat @ vec)."""
    check_tensors("addmv", input=input, mat=mat, vec=vec)
    if mat._array.ndim != 2 or vec._array.ndim != 1 or input._array.ndim > 1:
        raise RuntimeError(
            f"vector + matrix @ vector expected, got {input._array.ndim}, {mat._array.ndim}, {vec._array.ndim}"
        )
    if mat._array.shape[1] != vec._array.shape[0] or input._array.size not in (1, mat._array.shape[0]):
        raise RuntimeError(
            f"size mismatch, got input ({input._array.size}), mat ({mat._array.shape[0]}x{mat._array.shape[1]}), "
            f"vec ({vec._array.shape[0]})"
        )
    if not input._kind.dtype is mat._kind.dtype is vec._kind.dtype:
        got = (scalar_name(t._kind.dtype) for t in (input, mat, vec))
        raise RuntimeError(
            f"addmv input tensors must have the same dtype, but got {next(got)}, {next(got)}, and {next(got)}"
        )
    check_not_bool("mv", mat)
    return addmv_(input, mat, vec, beta=beta, alpha=alpha)  # type: ignore[no-any-return]


@with_out
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta * input + alpha * the outer product of two vectors."""
    check_tensors("addr", input=input, vec1=vec1, vec2=vec2)
    for i, t in ((1, vec1), (2, vec2)):
        if t._array.ndim != 1:
            raise RuntimeError(f"addr: Expected 1-D argument vec{i}, but got {t._array.ndim}-D")
    _expandable(input, (vec1._array.shape[0], vec2._array.shape[0]))
    if not input._kind.dtype is vec1._kind.dtype is vec2._kind.dtype:  # the only one of its family that promotes
        product = outer(vec1, vec2)
        product = product if alpha == 1 else product * alpha
        return product if beta == 0 else e._add(input if beta == 1 else input * beta, product)  # type: ignore[no-any-return]
    if input._kind.dtype.category == 0:
        product = e.mul(outer(vec1, vec2), bool(alpha))
        return product if not beta else e._add(input, product)  # type: ignore[no-any-return]
    _factor("beta", beta, input)
    _factor("alpha", alpha, input)
    return addr_(input, vec1, vec2, beta=beta, alpha=alpha)  # type: ignore[no-any-return]
