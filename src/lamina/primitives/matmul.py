"""Matrix products: mm, bmm, matmul and the sums with a product inside.

Here: products. Not here: decompositions and solvers (linalg.py), convolutions (convolution.py), einsum (einsum.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.autograd import errors, modes
from lamina.core.size import broadcast
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives import elementwise as e
from lamina.primitives.conversion import to
from lamina.primitives.inplace import with_out
from lamina.primitives.registry import primitive
from lamina.primitives.shape import unbroadcast

mm_ = primitive(
    "mm", lambda x, y: np.matmul(x, y),
    grads=(lambda g, y: mm_(g, y.mT), lambda g, x: mm_(x.mT, g)))  # fmt: skip

bmm_ = primitive(
    "bmm", lambda x, y: np.matmul(x, y),
    grads=(lambda g, y: bmm_(g, y.mT), lambda g, x: bmm_(x.mT, g)))  # fmt: skip

matmul_ = primitive(
    "matmul", lambda x, y: np.matmul(x, y),
    grads=(lambda g, y, x_shape: unbroadcast(matmul_(g, y.mT), x_shape),
           lambda g, x, y_shape: _second(g, x, y_shape)),
    node="UnsafeView")  # fmt: skip


def _second(g: Any, x: Any, shape: tuple[int, ...]) -> Any:
    if len(shape) == 2:  # one matrix for the whole batch: one product of long matrices
        return mm_(x.reshape((-1, shape[0])).mT, g.reshape((-1, shape[1])))
    return unbroadcast(matmul_(x.mT, g), shape)


mv_ = primitive(
    "mv", lambda x, y: np.matmul(x, y),
    grads=(lambda g, y: g[:, None] * y, lambda g, x: mv_(x.mT, g)))  # fmt: skip

dot_ = primitive(
    "dot", lambda x, y: np.dot(x, y),
    grads=(lambda g, y: g * y, lambda g, x: g * x))  # fmt: skip


def _addmm(z: Array, x: Array, y: Array, *, beta: Any, alpha: Any) -> Array:
    product = np.matmul(x, y)
    if alpha != 1:
        product *= product.dtype.type(alpha)
    if beta == 0:  # z is not read: NaN in it does not spread
        return product
    if product.dtype != z.dtype or product.shape != np.broadcast_shapes(product.shape, z.shape):
        return product + (z if beta == 1 else z.dtype.type(beta) * z)
    return np.add(product, z if beta == 1 else z.dtype.type(beta) * z, out=product)


def _times(x: Any, factor: Any) -> Any:
    return x if factor == 1 else x * factor


addmm_ = primitive(
    "addmm", _addmm,
    grads=(lambda g, z_shape, beta: unbroadcast(_times(g, beta), z_shape),
           lambda g, y, alpha: _times(mm_(g, y.mT), alpha),
           lambda g, x, alpha: _times(mm_(x.mT, g), alpha)))  # fmt: skip

baddbmm_ = primitive(
    "baddbmm", _addmm,
    grads=(lambda g, z_shape, beta: unbroadcast(_times(g, beta), z_shape),
           lambda g, y, alpha: _times(bmm_(g, y.mT), alpha),
           lambda g, x, alpha: _times(bmm_(x.mT, g), alpha)))  # fmt: skip

linear_ = primitive(
    "linear", lambda x, w, b: _addmm(b, x, w.T, beta=1, alpha=1),
    grads=(lambda g, w: mm_(g, w), lambda g, x: mm_(g.mT, x), lambda g: g.sum(0)), node="Addmm")  # fmt: skip


def autocast(*tensors: Any) -> tuple[Any, ...]:
    """Operands of a product in autocast's dtype, where that is on."""
    mode = modes.current()
    if mode is None or mode.autocast is None:
        return tensors
    return tuple(to(t, mode.autocast) if isinstance(t, Tensor) and t._kind.dtype.category == 2 and t._kind.dtype.itemsize < 8 else t for t in tensors)


def _same(name: str, *tensors: Tensor) -> None:
    """Tensors of one dtype, and not bool."""
    first = tensors[0]._kind
    for t in tensors[1:]:
        if t._kind is not first and t._kind.dtype is not first.dtype:
            raise errors.DtypeError(name, tensors[0], t)
    if first.dtype.category == 0:
        raise RuntimeError(f'"{name}_impl_cpu" not implemented for \'Bool\'')


def _tensors(name: str, **given: Any) -> None:
    for position, (argument, t) in enumerate(given.items(), 1):
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be Tensor, not {type(t).__name__}")


@with_out
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices, (n, m) and (m, p). Raises RuntimeError for other shapes and mixed dtypes."""
    _tensors("mm", input=input, mat2=mat2)
    input, mat2 = autocast(input, mat2)
    for which, t in (("self", input), ("mat2", mat2)):
        if t._array.ndim != 2:
            raise RuntimeError(f"{which} must be a matrix")
    if input._array.shape[1] != mat2._array.shape[0]:
        raise errors.ShapeError(input, mat2)
    _same("mm", input, mat2)
    return mm_(input, mat2)  # type: ignore[no-any-return]


@with_out
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Products of matrices in a batch, (b, n, m) and (b, m, p)."""
    _tensors("bmm", input=input, mat2=mat2)
    input, mat2 = autocast(input, mat2)
    if input._array.ndim != 3 or mat2._array.ndim != 3:
        raise RuntimeError(f"batch{1 if input._array.ndim != 3 else 2} must be a 3D tensor")
    b, n, m = input._array.shape
    if mat2._array.shape[:2] != (b, m):
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{b}, {m}] but got: [{mat2._array.shape[0]}, {mat2._array.shape[1]}]."
        )
    _same("bmm", input, mat2)
    return bmm_(input, mat2)  # type: ignore[no-any-return]


@with_out
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """Matrix (n, m) times vector (m)."""
    _tensors("mv", input=input, vec=vec)
    input, vec = autocast(input, vec)
    if input._array.ndim != 2 or vec._array.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {input._array.ndim}, {vec._array.ndim}")
    if input._array.shape[1] != vec._array.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({input._array.shape[0]}), mat ({input._array.shape[0]}x{input._array.shape[1]}), vec ({vec._array.shape[0]})"
        )
    _same("addmv", input, vec)
    return mv_(input, vec)  # type: ignore[no-any-return]


@with_out
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of products of two vectors."""
    _tensors("dot", input=input, tensor=tensor)
    if input._array.ndim != 1 or tensor._array.ndim != 1:
        raise RuntimeError(
            f"1D tensors expected, but got {input._array.ndim}D and {tensor._array.ndim}D tensors"
        )
    if input._kind.dtype is not tensor._kind.dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found {errors.scalar_name(input)} and {errors.scalar_name(tensor)}"
        )
    if input._array.shape != tensor._array.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{input._array.size}] and src [{tensor._array.size}] to have the same number of elements, "
            f"but got {input._array.size} and {tensor._array.size} elements respectively"
        )
    return dot_(input, tensor)  # type: ignore[no-any-return]


def matmul_operator(self: Tensor, other: Any) -> Tensor:
    return matmul(self, other) if isinstance(other, Tensor) else NotImplemented  # type: ignore[no-any-return]


@with_out
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """Matrix product; vectors count as one row or column, leading dimensions are broadcast batches."""
    _tensors("matmul", input=input, other=other)
    input, other = autocast(input, other)
    n, m = input._array.ndim, other._array.ndim
    if n == 2 and m == 2:
        if input._array.shape[1] != other._array.shape[0]:
            raise errors.ShapeError(input, other)
        _same("mm", input, other)
        return mm_(input, other)  # type: ignore[no-any-return]
    if n == 0 or m == 0:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {n}D and {m}D"
        )
    if n == 1 and m == 1:
        return dot(input, other)  # type: ignore[no-any-return]
    if n == 2 and m == 1:
        return mv(input, other)  # type: ignore[no-any-return]
    if n == 1:
        if input._array.shape[0] != other._array.shape[-2]:
            raise errors.ShapeError(input, other)
        row = matmul(input.unsqueeze(0), other)  # type: ignore[attr-defined]
        return row.squeeze_(0) if m == 2 else row.squeeze(-2)  # as PyTorch's: its version shows it
    if m == 1:
        return matmul(input, other.unsqueeze(-1)).squeeze(-1)  # type: ignore[attr-defined,no-any-return]
    if input._array.shape[-1] != other._array.shape[-2]:
        raise errors.ShapeError(input, other)
    _same("bmm", input, other)
    if n == m == 3 and input._array.shape[0] == other._array.shape[0]:
        return bmm_(input, other)  # type: ignore[no-any-return]
    broadcast(input._array.shape[:-2], other._array.shape[:-2])
    return matmul_(input, other)  # type: ignore[no-any-return]


def _number(name: str, value: Any, like: Tensor) -> None:
    if like._kind.dtype.category == 1 and isinstance(value, float):
        raise RuntimeError(f"For integral input tensors, argument {name} must not be a floating point number.")


@with_out
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2); input is broadcast."""
    _tensors("addmm", input=input, mat1=mat1, mat2=mat2)
    input, mat1, mat2 = autocast(input, mat1, mat2)
    for which, t in (("mat1", mat1), ("mat2", mat2)):
        if t._array.ndim != 2:
            raise RuntimeError(f"{which} must be a matrix, got {t._array.ndim}-D tensor")
    if mat1._array.shape[1] != mat2._array.shape[0]:
        raise errors.ShapeError(mat1, mat2)
    _same("addmm", mat1, mat2)
    _same("addmm", input, mat1)
    _number("beta", beta, input)
    _number("alpha", alpha, input)
    _expandable(input, (mat1._array.shape[0], mat2._array.shape[1]))
    return addmm_(input, mat1, mat2, beta=beta, alpha=alpha)  # type: ignore[no-any-return]


def _expandable(input: Tensor, shape: tuple[int, ...]) -> None:
    have = input._array.shape
    if len(have) > len(shape) or any(n not in (1, k) for n, k in zip(have[::-1], shape[::-1], strict=False)):
        input.expand(shape)  # type: ignore[attr-defined]
        raise RuntimeError(f"The expanded size of the tensor {list(have)} does not match {list(shape)}")


@with_out
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (batch1 @ batch2), matrix by matrix."""
    product_shape = bmm_shape(batch1, batch2)
    _same("baddbmm", input, batch1, batch2)
    _expandable(input, product_shape)
    return baddbmm_(input, batch1, batch2, beta=beta, alpha=alpha)  # type: ignore[no-any-return]


def bmm_shape(batch1: Tensor, batch2: Tensor) -> tuple[int, int, int]:
    for i, t in ((1, batch1), (2, batch2)):
        if t._array.ndim != 3:
            raise RuntimeError(f"batch{i} must be a 3D tensor")
    b, n, m = batch1._array.shape
    if batch2._array.shape[:2] != (b, m):
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{b}, {m}] but got: [{batch2._array.shape[0]}, {batch2._array.shape[1]}]."
        )
    return b, n, batch2._array.shape[2]


@with_out
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * the sum over the batch of batch1 @ batch2."""
    _, n, m = bmm_shape(batch1, batch2)
    _same("addbmm", input, batch1, batch2)
    _expandable(input, (n, m))
    total = bmm_(batch1, batch2).sum(0)
    scaled = total if alpha == 1 else total * alpha
    return scaled.expand((n, m)) if beta == 0 else e._add(_scaled(input, beta), scaled)  # type: ignore[no-any-return]


def _scaled(t: Tensor, factor: Any) -> Tensor:
    return t if factor == 1 else e.mul(t, factor)


@with_out
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (mat @ vec)."""
    if mat._array.ndim != 2 or vec._array.ndim != 1 or input._array.ndim > 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got {input._array.ndim}, {mat._array.ndim}, {vec._array.ndim}")
    if mat._array.shape[1] != vec._array.shape[0] or input._array.size not in (1, mat._array.shape[0]):
        raise RuntimeError(
            f"size mismatch, got input ({input._array.size}), mat ({mat._array.shape[0]}x{mat._array.shape[1]}), vec ({vec._array.shape[0]})"
        )
    _same("addmv", input, mat, vec)
    product = mv_(mat, vec)
    product = product if alpha == 1 else product * alpha
    return product if beta == 0 else e._add(_scaled(input, beta), product)


@with_out
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * the outer product of two vectors."""
    for i, t in ((1, vec1), (2, vec2)):
        if t._array.ndim != 1:
            raise RuntimeError(f"addr: Expected 1-D argument vec{i}, but got {t._array.ndim}-D")
    _expandable(input, (vec1._array.shape[0], vec2._array.shape[0]))
    product = outer(vec1, vec2)
    if input._kind.dtype.category == 0 and product._kind.dtype.category == 0:
        product = e.mul(product, bool(alpha))
        return product if not beta else e._add(input, product)
    product = product if alpha == 1 else product * alpha
    return product if beta == 0 else e._add(_scaled(input, beta), product)


@with_out
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The matrix of products of the entries of two vectors."""
    for which, t in (("self", input), ("vec2", vec2)):
        if t._array.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {which}, but got {t._array.ndim}-D")
    return e.mul(input.unsqueeze(1), vec2)  # type: ignore[attr-defined,no-any-return]


ger = outer


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias. Shapes (..., in), (out, in), (out) -> (..., out)."""
    _tensors("linear", input=input, weight=weight)
    input, weight, bias = autocast(input, weight, bias)
    if weight._array.ndim == 2 and input._array.ndim == 2 and bias is not None and bias._array.ndim == 1:
        if input._array.shape[1] != weight._array.shape[1]:
            raise errors.ShapeError(input, weight, transposed=True)
        _same("addmm", input, weight)
        _same("addmm", input, bias)
        if bias._array.shape[0] in (1, weight._array.shape[0]) and bias._array.shape[0] == weight._array.shape[0]:
            return linear_(input, weight, bias)  # type: ignore[no-any-return]
    if weight._array.ndim > 1 and input._array.ndim and input._array.shape[-1] != weight._array.shape[-1]:
        raise errors.ShapeError(input, weight, transposed=True)
    if weight._array.ndim == 1:
        out = matmul(input, weight)
    elif input._array.ndim > 2 and weight._array.ndim == 2:
        _same("addmm" if bias is not None else "mm", input, weight)
        shape = input._array.shape
        rows = input.reshape(-1, shape[-1])  # type: ignore[attr-defined]
        if bias is not None and bias._array.shape == weight._array.shape[:1]:
            _same("addmm", input, bias)
            return linear_(rows, weight, bias).view(*shape[:-1], weight._array.shape[0])  # type: ignore[no-any-return]
        out = mm_(rows, weight.t()).view(*shape[:-1], weight._array.shape[0])  # type: ignore[attr-defined]
    else:
        out = matmul(input, weight.t())  # type: ignore[attr-defined]
    return out if bias is None else e._add(out, bias)
