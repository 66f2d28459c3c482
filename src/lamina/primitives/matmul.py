"""Matrix products: mm, bmm, mv, dot, outer, matmul.

Here: products. Not here: sums with a product inside (addmm.py), einsum (einsum.py), convolutions (convolution.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina.autograd import errors, modes
from lamina.core.parameter import Parameter
from lamina.core.size import broadcast
from lamina.core.tensor import Tensor
from lamina.primitives import elementwise as e
from lamina.primitives.conversion import to
from lamina.primitives.inplace import with_out
from lamina.primitives.kernels import products
from lamina.primitives.registry import primitive
from lamina.primitives.shape import unbroadcast
from lamina.primitives.signature import not_implemented, scalar_name

PLAIN = frozenset((Tensor, Parameter))
ndarray = np.ndarray


def times(x: Any, y: Any, turned: Any) -> Any:
    """x @ y of two matrices. turned: it shall lie column by column, as what it is the gradient of does."""
    return mm_(y.mT, x.mT).mT if turned else mm_(x, y)


def by_turned(x: Any, y: Any, turned: Any) -> Any:
    """x @ y.mT of two matrices; turned: see `times`."""
    if x.__class__ is ndarray:
        return products.dot(y, x.T).T if turned else products.dot(x, y.T)
    mode = modes.current()
    if mode is None or (mode.plain and not mode.transforms):
        return by_turned_(x, y)
    return times(x, y.mT, turned)


def of_turned(x: Any, y: Any, turned: Any) -> Any:
    """x.mT @ y of two matrices; turned: see `times`."""
    if x.__class__ is ndarray:
        return products.dot(y.T, x).T if turned else products.dot(x.T, y)
    mode = modes.current()
    if mode is None or (mode.plain and not mode.transforms):
        return of_turned_(x, y)
    return times(x.mT, y, turned)


mm_ = primitive(
    "mm", products.dot,
    grads=(lambda g, y, x_turned: by_turned(g, y, x_turned),
           lambda g, x, y_turned: of_turned(x, g, y_turned)))  # fmt: skip

# a gradient that is recorded would else record two views for each product
by_turned_ = primitive(
    "mm_by_turned", lambda x, y: products.dot(x, y.T),
    grads=(lambda g, y: mm_(g, y), lambda g, x: of_turned(g, x, False)), node="Mm")  # fmt: skip

of_turned_ = primitive(
    "mm_of_turned", lambda x, y: products.dot(x.T, y),
    grads=(lambda g, y: by_turned(y, g, False), lambda g, x: mm_(x, g)), node="Mm")  # fmt: skip

bmm_ = primitive(
    "bmm", lambda x, y: products.matmul(x, y),
    grads=(lambda g, y: bmm_(g, y.mT), lambda g, x: bmm_(x.mT, g)))  # fmt: skip


def _matmul_arrays(x: Any, y: Any) -> Any:
    """np.matmul; but one matrix for a whole batch is one product of BLAS's, where NumPy would go entry by entry."""
    if y.ndim == 2 and x.ndim > 2 and x.size:
        return products.dot(x.reshape(-1, x.shape[-1]), y).reshape(*x.shape[:-1], y.shape[1])
    return products.matmul(x, y)


matmul_ = primitive(
    "matmul", _matmul_arrays,
    grads=(lambda g, y, x_shape: unbroadcast(matmul_(g, y.mT), x_shape),
           lambda g, x, y_shape, y_turned: _second(g, x, y_shape, y_turned)),
    node="UnsafeView")  # fmt: skip


def _second(g: Any, x: Any, shape: tuple[int, ...], turned: Any) -> Any:
    if len(shape) == 2:  # one matrix for the whole batch: one product of long matrices
        return of_turned(x.reshape((-1, shape[0])), g.reshape((-1, shape[1])), turned)
    return unbroadcast(matmul_(x.mT, g), shape)


mv_ = primitive(
    "mv", lambda x, y: x.dot(y),
    grads=(lambda g, y: g[:, None] * y, lambda g, x: mv_(x.mT, g)))  # fmt: skip

dot_ = primitive(
    "dot", lambda x, y: x.dot(y),
    grads=(lambda g, y: g * y, lambda g, x: g * x))  # fmt: skip


def autocast(*tensors: Any) -> tuple[Any, ...]:
    """Operands of a product in autocast's dtype, where that is on."""
    mode = modes.current()
    if mode is None or mode.autocast is None:
        return tensors
    wanted = mode.autocast

    def cast(t: Any) -> Any:
        single = isinstance(t, Tensor) and t._kind.dtype.category == 2 and t._kind.dtype.itemsize < 8
        return to(t, wanted) if single else t

    return tuple(map(cast, tensors))


_KERNELS = {"mm": "addmm_impl_cpu_", "addmm": "addmm_impl_cpu_", "mv": "addmv_impl_cpu"}


def check_same(name: str, *tensors: Tensor) -> None:
    """Tensors of one dtype, and not bool."""
    first = tensors[0]._kind
    for t in tensors[1:]:
        if t._kind is not first and t._kind.dtype is not first.dtype:
            raise errors.DtypeError(name, tensors[0], t)
    check_not_bool(name, tensors[0])


def check_not_bool(name: str, t: Tensor) -> None:
    if t._kind.dtype.category == 0:
        raise not_implemented(_KERNELS.get(name, name), t._kind.dtype)


def check_tensors(name: str, **given: Any) -> None:
    for position, (argument, t) in enumerate(given.items(), 1):
        if not isinstance(t, Tensor):
            raise TypeError(
                f"{name}(): argument '{argument}' (position {position}) must be Tensor, not {type(t).__name__}"
            )


@with_out
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices, (n, m) and (m, p). Raises RuntimeError for other shapes and mixed dtypes."""
    if plain_matrices(input, mat2) and input._array.shape[1] == mat2._array.shape[0]:
        return mm_(input, mat2)  # type: ignore[no-any-return]
    check_tensors("mm", input=input, mat2=mat2)
    input, mat2 = autocast(input, mat2)
    for which, t in (("self", input), ("mat2", mat2)):
        if t._array.ndim != 2:
            raise RuntimeError(f"{which} must be a matrix")
    if input._array.shape[1] != mat2._array.shape[0]:
        raise errors.ShapeError(input, mat2)
    check_same("mm", input, mat2)
    return mm_(input, mat2)  # type: ignore[no-any-return]


@with_out
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Products of matrices in a batch, (b, n, m) and (b, m, p)."""
    check_tensors("bmm", input=input, mat2=mat2)
    input, mat2 = autocast(input, mat2)
    if input._array.ndim != 3 or mat2._array.ndim != 3:
        raise RuntimeError(f"batch{1 if input._array.ndim != 3 else 2} must be a 3D tensor")
    b, n, m = input._array.shape
    if mat2._array.shape[:2] != (b, m):
        raise errors.ShapeError(
            input,
            mat2,
            f"Expected size for first two dimensions of batch2 tensor to be: [{b}, {m}] but got: "
            f"[{mat2._array.shape[0]}, {mat2._array.shape[1]}].",
        )
    check_same("bmm", input, mat2)
    return bmm_(input, mat2)  # type: ignore[no-any-return]


@with_out
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """Matrix (n, m) times vector (m)."""
    check_tensors("mv", input=input, vec=vec)
    input, vec = autocast(input, vec)
    if input._array.ndim != 2 or vec._array.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {input._array.ndim}, {vec._array.ndim}")
    if input._array.shape[1] != vec._array.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({input._array.shape[0]}), mat "
            f"({input._array.shape[0]}x{input._array.shape[1]}), vec ({vec._array.shape[0]})"
        )
    if input._kind.dtype is not vec._kind.dtype:
        got = (scalar_name(t._kind.dtype) for t in (vec, input, vec))
        raise RuntimeError(
            f"addmv input tensors must have the same dtype, but got {next(got)}, {next(got)}, and {next(got)}"
        )
    check_not_bool("mv", input)
    return mv_(input, vec)  # type: ignore[no-any-return]


@with_out
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of products of two vectors."""
    check_tensors("dot", input=input, tensor=tensor)
    if input._array.ndim != 1 or tensor._array.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {input._array.ndim}D and {tensor._array.ndim}D tensors")
    if input._kind.dtype is not tensor._kind.dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found {errors.scalar_name(input)} and {errors.scalar_name(tensor)}"
        )
    if input._array.shape != tensor._array.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{input._array.size}] and src [{tensor._array.size}] to "
            f"have the same number of elements, "
            f"but got {input._array.size} and {tensor._array.size} elements respectively"
        )
    check_not_bool("dot", input)
    return dot_(input, tensor)  # type: ignore[no-any-return]


def plain_matrices(input: Any, other: Any) -> bool:
    """Whether two operands are matrices of one floating dtype in the default mode: nothing but their sizes is to be checked."""
    cls, other_cls = input.__class__, other.__class__
    return (
        (cls is Tensor or cls is Parameter)
        and (other_cls is Tensor or other_cls is Parameter)
        and input._kind is other._kind
        and input._kind.category == 2
        and input._array.ndim == 2 == other._array.ndim
        and modes.current() is None
    )


def matmul_operator(self: Tensor, other: Any) -> Tensor:
    if plain_matrices(self, other) and self._array.shape[1] == other._array.shape[0]:
        return mm_(self, other)  # type: ignore[no-any-return]
    return _matmul(self, other) if isinstance(other, Tensor) else NotImplemented


matmul_operator.__name__ = "matmul"  # so PyTorch names it to `__torch_function__`


def _matmul(input: Tensor, other: Tensor) -> Tensor:
    """Matrix product; vectors count as one row or column, leading dimensions are broadcast batches."""
    if plain_matrices(input, other) and input._array.shape[1] == other._array.shape[0]:
        return mm_(input, other)  # type: ignore[no-any-return]
    check_tensors("matmul", input=input, other=other)
    input, other = autocast(input, other)
    n, m = input._array.ndim, other._array.ndim
    if n == 2 and m == 2:
        if input._array.shape[1] != other._array.shape[0]:
            raise errors.ShapeError(input, other)
        check_same("mm", input, other)
        return mm_(input, other)  # type: ignore[no-any-return]
    if n == 0 or m == 0:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {n}D and {m}D")
    if n == 1 and m == 1:
        return dot(input, other)  # type: ignore[no-any-return]
    if n == 2 and m == 1:
        return mv(input, other)  # type: ignore[no-any-return]
    if n == 1:
        if input._array.shape[0] != other._array.shape[-2]:
            raise errors.ShapeError(input, other)
        row = matmul(input.unsqueeze(0), other)
        # in place, as PyTorch does it: the version shows it
        return row.squeeze_(0) if m == 2 else row.squeeze(-2)  # type: ignore[no-any-return]
    if m == 1:
        return matmul(input, other.unsqueeze(-1)).squeeze(-1)  # type: ignore[no-any-return]
    rows, columns = input._array.shape[-1], other._array.shape[-2]
    if rows != columns:
        if m == 2 or n == 2:  # computed as one product of long matrices
            raise errors.ShapeError(input, other)
        size = math.prod(broadcast(input._array.shape[:-2], other._array.shape[:-2]))
        raise errors.ShapeError(
            input,
            other,
            f"Expected size for first two dimensions of batch2 tensor to be: [{size}, {rows}] but got: [{size}, {columns}].",
        )
    check_same("bmm", input, other)
    if n == m == 3 and input._array.shape[0] == other._array.shape[0]:
        return bmm_(input, other)  # type: ignore[no-any-return]
    broadcast(input._array.shape[:-2], other._array.shape[:-2])
    return matmul_(input, other)  # type: ignore[no-any-return]


_matmul.__name__ = _matmul.__qualname__ = "matmul"  # what errors call it
matmul = with_out(_matmul)


@with_out
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The matrix of products of the entries of two vectors."""
    for which, t in (("self", input), ("vec2", vec2)):
        if t._array.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {which}, but got {t._array.ndim}-D")
    return e.mul(input.unsqueeze(1), vec2)  # type: ignore[no-any-return]


ger = outer
