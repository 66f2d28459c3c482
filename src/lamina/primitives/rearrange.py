"""Public functions of shape: view, reshape, expand, permute, squeeze, narrow, diagonal ... on the primitives of shape.py.

Here: views by shape alone. Not here: several tensors in one (joining.py), one in parts (splitting.py), copies (turning.py).
"""

from __future__ import annotations

import math
import operator
from typing import Any

from lamina.core import device as devices
from lamina.core.dtype import dtype as dtype_class
from lamina.core.explained import noted
from lamina.core.size import Size, broadcast, listed, shape_of, wrap_dim, wrap_dims
from lamina.core.tensor import Tensor
from lamina.core.warn import warn_once
from lamina.primitives import shape as s
from lamina.primitives.inplace import of_tensors


def _inferred(shape: tuple[int, ...], numel: int) -> tuple[int, ...]:
    """`shape` with its -1 worked out. Raises RuntimeError where it does not fit."""
    if -1 in shape:
        known = math.prod(n for n in shape if n != -1)
        if shape.count(-1) > 1:
            raise RuntimeError("only one dimension can be inferred")
        if any(n < -1 for n in shape):
            raise RuntimeError(f"invalid shape dimension {min(shape)}")
        if known == 0 and numel == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified dimension size -1 can be any value "
                "and is ambiguous"
            )
        if known and numel % known == 0:
            return tuple(numel // known if n == -1 else n for n in shape)
    elif math.prod(shape) == numel:
        if shape and min(shape) < 0:
            raise RuntimeError(f"invalid shape dimension {min(shape)}")
        return shape
    raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")


def _target(given: tuple[Any, ...], function: str, t: Tensor) -> tuple[int, ...]:
    """The shape that the arguments of `function` say for the elements of `t`."""
    numel = t._array.size
    dims = given[0] if len(given) == 1 and given[0].__class__ is tuple else given
    count = 1
    for n in dims:
        if n.__class__ is not int or n < 0:
            break
        count *= n
    else:
        if count == numel:
            return dims
    shape = shape_of(given, function)
    try:
        return _inferred(shape, numel)
    except RuntimeError as error:
        size = list(t._array.shape)
        first = len(shape) == 2 and shape[0] == -1 and len(size) > 1
        keeps = f".flatten(1) keeps the first dimension: [{size[0]}, {math.prod(size[1:])}]" if first else ""
        noted(error, ("tensor", f"{size}"), ("fix", keeps))
        raise


def view(self: Tensor, *shape: Any, size: Any = None, dtype: Any = None) -> Tensor:
    """The same memory under another shape, or seen as another dtype. Raises RuntimeError where strides do not allow it."""
    if dtype is not None or (len(shape) == 1 and shape[0].__class__ is dtype_class):
        from lamina.primitives.conversion import view_dtype  # conversion stands on this module

        return view_dtype(self, dtype or shape[0])
    if not shape or size is not None:
        shape = listed(shape, size, "view", "size")
    return s.view_(self, _target(shape, "view", self))  # type: ignore[no-any-return]


@of_tensors
def view_as(self: Tensor, other: Tensor) -> Tensor:
    """The same memory in the shape of `other`."""
    return view(self, other._array.shape)


def reshape(input: Tensor, *sizes: Any, shape: Any = None) -> Tensor:
    """Another shape: a view where strides allow it, else a copy."""
    if not isinstance(input, Tensor):
        raise TypeError(f"reshape(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    if not sizes or shape is not None:
        sizes = listed(sizes, shape, "reshape", "shape")
    dims = _target(sizes, "reshape", input)
    array = input._array
    if array.flags.c_contiguous:
        return s.view_(input, dims)  # type: ignore[no-any-return]
    if _viewable(array, dims):
        return s.reshape_alias(input, dims)  # type: ignore[no-any-return]
    return s.copy_reshape(input, dims)  # type: ignore[no-any-return]


def _viewable(array: Any, shape: tuple[int, ...]) -> bool:
    try:
        array.reshape(shape, copy=False)
    except ValueError:
        return False
    return True


@of_tensors
def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """Reshape to the shape of `other`."""
    return reshape(self, other._array.shape)


def expand(self: Tensor, *sizes: Any, size: Any = None, implicit: bool = False) -> Tensor:
    """A view with size-1 dimensions stretched (stride 0); -1 keeps a dimension. Raises RuntimeError where it does not fit."""
    if not sizes or size is not None:
        sizes = listed(sizes, size, "expand", "size")
    target = list(shape_of(sizes, "expand"))
    shape = self._array.shape
    lead = len(target) - len(shape)
    if lead < 0:
        raise RuntimeError(
            f"expand({self._kind.dtype.alias}{{{list(shape)}}}, size={target}): the number of sizes provided ({len(target)}) must be "
            f"greater or equal to the number of dimensions in the tensor ({len(shape)})"
        )
    for i, n in enumerate(target):
        have = shape[i - lead] if i >= lead else None
        if n == -1:
            if have is None:
                raise RuntimeError(
                    f"The expanded size of the tensor ({n}) isn't allowed in a leading, non-existing dimension {i}"
                )
            target[i] = have
        elif have is not None and have != n and have != 1:
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) must match the existing size ({have}) at non-singleton dimension {i}.  "
                f"Target sizes: {target}.  Tensor sizes: {list(shape)}"
            )
    return s.expand_(self, tuple(target))  # type: ignore[no-any-return]


@of_tensors
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """Expand to the shape of `other`."""
    return expand(self, other._array.shape)


@of_tensors
def broadcast_to(input: Tensor, size: Any) -> Tensor:
    """Expand `input` to `size`."""
    return expand(input, size)


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """All tensors expanded to their common shape."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    for i, t in enumerate(given):
        if not isinstance(t, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(t).__name__}")
    shape = broadcast(*(t._array.shape for t in given))
    return tuple(t if t._array.shape == shape else expand(t, shape) for t in given)


def broadcast_shapes(*shapes: Any) -> Size:
    """The common shape of all shapes (an int stands for a 1-d one). Raises RuntimeError where there is none."""
    out: list[int] = []
    for i, given in enumerate(shapes):
        shape = (given,) if isinstance(given, int) else tuple(given)
        if any(n < 0 for n in shape):
            raise ValueError("Attempting to broadcast a dimension with negative length!")
        out[:0] = [1] * (len(shape) - len(out))
        for k in range(-1, -1 - len(shape), -1):
            if shape[k] not in (1, out[k]):
                if out[k] != 1:
                    raise RuntimeError(
                        f"Attempting to broadcast a dimension of length {shape[k]} at {k}! Mismatching argument at index {i} had {shape}; "
                        f"but expected shape should be broadcastable to {out}"
                    )
                out[k] = shape[k]
    return Size(out)


@of_tensors
def permute(input: Tensor, *order: Any, dims: Any = None) -> Tensor:
    """A view with the dimensions in the order `dims`."""
    if not order or dims is not None:
        order = listed(order, dims, "permute", "dims")
    order, n = shape_of(order, "permute", "dims"), input._array.ndim
    if len(order) != n:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of "
            f"dimensions i.e. input.dim() = {n} is not equal to len(dims) = {len(order)}"
        )
    found = tuple(wrap_dim(d, n) for d in order)
    if len(set(found)) != len(found):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return s.permute_(input, found)  # type: ignore[no-any-return]


@of_tensors
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two dimensions swapped."""
    n = input._array.ndim
    a, b = wrap_dim(dim0, n), wrap_dim(dim1, n)
    return s.transpose_(input, a, b)  # type: ignore[no-any-return]


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """A view with two dimensions swapped."""
    return transpose(input, axis0, axis1)


swapdims = transpose


@of_tensors
def t(input: Tensor) -> Tensor:
    """The transpose of a tensor of at most two dimensions."""
    if input._array.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input._array.ndim}D")
    return s.t_(input)  # type: ignore[no-any-return]


@of_tensors
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """A view with dimensions moved to other positions; the rest keep their order."""
    n = input._array.ndim
    src = (source,) if isinstance(source, int) else tuple(source)
    dst = (destination,) if isinstance(destination, int) else tuple(destination)
    if len(src) != len(dst):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({list(src)} dims) should contain the same number of dims as "
            f"destination ({list(dst)} dims)"
        )
    a, b = [wrap_dim(d, n) for d in src], [wrap_dim(d, n) for d in dst]
    for name, dims in (("source", a), ("destination", b)):
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({list(src if name == 'source' else dst)})")
    if not n:
        return s.alias_(input)  # type: ignore[no-any-return]
    order = [d for d in range(n) if d not in a]
    for at, d in sorted(zip(b, a, strict=True)):
        order.insert(at, d)
    return s.permute_(input, tuple(order))  # type: ignore[no-any-return]


moveaxis = movedim


@of_tensors
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A view with a new dimension of size 1 at `dim`."""
    n = input._array.ndim
    return s.unsqueeze_(input, wrap_dim(dim, n + 1))  # type: ignore[no-any-return]


@of_tensors
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """A view without dimensions of size 1: all, or those among `dim`."""
    shape = input._array.shape
    if dim.__class__ is int and shape:
        d = wrap_dim(dim, len(shape))
        return s.squeeze_dim_(input, (d,) if shape[d] == 1 else ())  # type: ignore[no-any-return]
    dims = wrap_dims(dim, len(shape)) if dim is not None else tuple(range(len(shape)))
    squeezed = s.squeeze_ if dim is None else s.squeeze_dims_ if isinstance(dim, (tuple, list)) else s.squeeze_dim_
    return squeezed(input, tuple(d for d in dims if shape and shape[d] == 1))  # type: ignore[no-any-return]


@of_tensors
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions start_dim..end_dim in one. A 0-d tensor becomes 1-d."""
    shape = input._array.shape
    if not shape:
        return reshape(input, (1,))
    a, b = wrap_dim(start_dim, len(shape)), wrap_dim(end_dim, len(shape))
    if a > b:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if a == b:
        return input
    return reshape(input, (*shape[:a], math.prod(shape[a : b + 1]), *shape[b + 1 :]))


@of_tensors
def unflatten(input: Tensor, dim: int, sizes: Any) -> Tensor:
    """One dimension split into several."""
    shape = input._array.shape
    if not shape:
        raise RuntimeError("unflatten got an unexpected error:\nDimension specified as 0 but tensor has no dimensions")
    d = wrap_dim(dim, len(shape))
    sizes = tuple(operator.index(n) for n in sizes)
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    try:
        parts = _inferred(sizes, shape[d])
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} ({shape[d]}) in the input tensor"
        ) from None
    return view(input, (*shape[:d], *parts, *shape[d + 1 :]))


@of_tensors
def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension."""
    return view(contiguous(input), -1)


@of_tensors
def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """A view of `length` entries of a dimension, from `start` on."""
    shape = input._array.shape
    if not shape:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, len(shape))
    if isinstance(start, Tensor):
        if start._array.ndim or start._kind.dtype.category != 1:
            raise RuntimeError("start must be an 0-dim integral Tensor.")
        start = int(start)
    start, n = operator.index(start), shape[d]
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -n <= start <= n:
        raise IndexError(f"start out of range (expected to be in range of [{-n}, {n}], but got {start})")
    start = start + n if start < 0 else start
    if start + length > n:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return s.slice_(input, d, slice(start, start + length))  # type: ignore[no-any-return]


@of_tensors
def select(input: Tensor, dim: int, index: Any) -> Tensor:
    """A view of one entry of a dimension, which is gone."""
    shape = input._array.shape
    if not shape:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d, i = wrap_dim(dim, len(shape)), operator.index(index)
    if not -shape[d] <= i < shape[d]:
        raise IndexError(f"select(): index {i} out of range for tensor of size {list(shape)} at dimension {d}")
    return s.select_(input, d, i)  # type: ignore[no-any-return]


@of_tensors
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of a diagonal of two dimensions, as the last dimension."""
    n = input._array.ndim
    a, b = wrap_dim(dim1, n), wrap_dim(dim2, n)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return s.diagonal_(input, offset=offset, dim1=a, dim2=b)  # type: ignore[no-any-return]


def unfold(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """A view of all windows of `size` along a dimension, `step` apart, as a last dimension."""
    n = self._array.ndim
    d = wrap_dim(dimension, n)
    length = self._array.shape[d] if n else 1
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > length:
        raise RuntimeError(f"maximum size for tensor at dimension {d} is {length} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    return s.unfold_(self, dim=d, size=size, step=step)  # type: ignore[no-any-return]


def contiguous(self: Tensor, memory_format: Any = devices.contiguous_format) -> Tensor:
    """The tensor itself where its memory is in order, else a copy that is."""
    return self if self.is_contiguous(memory_format) else self.clone(memory_format=memory_format)


def turned(self: Tensor) -> Tensor:
    """A view with the dimensions in reverse: `x.T`."""
    n = self._array.ndim
    if n == 0:
        warn_once("Tensor.T is deprecated on 0-D tensors. This function is the identity in these cases.")
    elif n != 2:
        warn_once(
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated and it will throw an "
            "error in a future release. Consider `x.mT` to transpose batches of matrices or "
            "`x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the dimensions of a tensor."
        )
    return s.permute_(self, (1, 0) if n == 2 else tuple(range(n - 1, -1, -1)))  # type: ignore[no-any-return]


def matrix_transpose(self: Tensor) -> Tensor:
    """A view with the last two dimensions swapped."""
    n = self._array.ndim
    if not n:
        warn_once("Tensor.mT is deprecated on 0-D tensors. This function is the identity in these cases.")
        return s.permute_(self, ())  # type: ignore[no-any-return]
    if n < 2:
        raise RuntimeError(f"tensor.mT is only supported on matrices or batches of matrices. Got {n}-D tensor.")
    return s.transpose_(self, n - 2, n - 1)  # type: ignore[no-any-return]


def hermitian(self: Tensor) -> Tensor:
    """The conjugate transpose of a matrix."""
    n = self._array.ndim
    if n not in (0, 2):
        batches = " For batches of matrices, consider using tensor.mH" if n > 2 else ""
        raise RuntimeError(f"tensor.H is only supported on matrices (2-D tensors). Got {n}-D tensor.{batches}")
    if not n:
        warn_once("Tensor.H is deprecated on 0-D tensors. Consider using x.conj().")
    return (transpose(self, 0, 1) if n else self).conj()


def adjoint(input: Tensor) -> Tensor:
    """The conjugate transpose of a matrix, or of each in a batch."""
    n = input._array.ndim
    if not n:
        warn_once("adjoint() is deprecated on 0-D tensors. Consider using x.conj().")
        return input.conj()
    if n < 2:
        raise RuntimeError(f"tensor.adjoint() is only supported on matrices or batches of matrices. Got {n}-D tensor.")
    transposed = matrix_transpose(input)
    return transposed.conj() if input.is_complex() else transposed


def matrix_hermitian(self: Tensor) -> Tensor:
    """The conjugate transposes of a batch of matrices."""
    n = self._array.ndim
    if not n:
        warn_once("Tensor.mH is deprecated on 0-D tensors. Consider using x.conj().")
        return self.conj()
    if n < 2:
        raise RuntimeError(f"tensor.mH is only supported on matrices or batches of matrices. Got {n}-D tensor.")
    return matrix_transpose(self).conj()
