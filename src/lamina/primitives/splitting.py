"""Cutting a tensor into parts along a dimension: split, chunk, tensor_split, hsplit ... All parts are views but the unsafe ones'.

Here: argument checks. Not here: the primitives (shape.py), joining (joining.py).
"""

from __future__ import annotations

import operator
from typing import Any

from lamina.core.size import wrap_dim
from lamina.core.tensor import Tensor
from lamina.primitives import shape as s
from lamina.primitives.argument_types import asks
from lamina.primitives.inplace import of_tensors
from lamina.primitives.registry import primitive
from lamina.primitives.signature import no_overload

# ---- by sizes --------------------------------------------------------------------------------------------------------


def _sizes(tensor: Tensor, wanted: Any, dim: int) -> tuple[int, tuple[int, ...]]:
    """The dimension, and the sizes of its parts: from one size, or from all of them."""
    shape = tensor._array.shape
    if not shape:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = wrap_dim(dim, len(shape))
    n = shape[d]
    if isinstance(wanted, (tuple, list)):
        sizes = tuple(operator.index(k) for k in wanted)
        if sum(sizes) != n or any(k < 0 for k in sizes):
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension {dim}), but got "
                f"split_sizes={list(sizes)}"
            )
        return d, sizes
    k = operator.index(wanted)
    if k < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={k}")
    if k == 0:
        if n:
            raise RuntimeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {n}")
        return d, (0,)
    return d, tuple(min(k, n - i) for i in range(0, n, k)) or (0,)


@of_tensors
@asks("split")
def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts of a dimension: of one size (the last may be smaller), or of given sizes."""
    d, sizes = _sizes(tensor, split_size_or_sections, dim)
    op = s.several_sizes_ if isinstance(split_size_or_sections, (tuple, list)) else s.several_
    return op(tensor, dim=d, sizes=sizes)  # type: ignore[no-any-return]


def split_method(self: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts of a dimension: of one size (the last may be smaller), or of given sizes."""
    return split(self, split_size, dim)


split_method.__name__ = split_method.__qualname__ = "split"


@of_tensors
def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts of a dimension, of the given sizes."""
    return split(input, tuple(split_sizes), dim)


def _parts(input: Tensor, chunks: int, dim: int) -> tuple[int, tuple[int, ...]]:
    if not input._array.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    d = wrap_dim(dim, input._array.ndim)
    n = input._array.shape[d]
    return (d, (0,) * chunks) if n == 0 else _sizes(input, -(-n // chunks), dim)


@of_tensors
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of at most `chunks` consecutive parts of a dimension."""
    d, sizes = _parts(input, chunks, dim)
    op = s.several_ if input._array.shape[d] else s.several_sizes_
    return op(input, dim=d, sizes=sizes)  # type: ignore[no-any-return]


unsafe = primitive(
    "unsafe_split", lambda x, *, dim, sizes: tuple(part.copy() for part in s._pieces(x, dim, sizes)),
    grads=(lambda gs, x_shape, dim, sizes: s._joined(gs, x_shape, dim, sizes),), outputs=0)  # fmt: skip


@of_tensors
def unsafe_split(tensor: Tensor, split_size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """As split, of one size, but the parts are no views: they may be written to. (In lamina they have memory of their own.)"""
    d, sizes = _sizes(tensor, split_size, dim)
    return unsafe(tensor, dim=d, sizes=sizes)  # type: ignore[no-any-return]


@of_tensors
def unsafe_split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """As split_with_sizes, but the parts are no views."""
    d, sizes = _sizes(input, tuple(split_sizes), dim)
    return unsafe(input, dim=d, sizes=sizes)  # type: ignore[no-any-return]


@of_tensors
def unsafe_chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """As chunk, but the parts are no views."""
    d, sizes = _parts(input, chunks, dim)
    return unsafe(input, dim=d, sizes=sizes)  # type: ignore[no-any-return]


@of_tensors
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of all entries of a dimension, which is gone."""
    if not input._array.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return s.unbind_(input, dim=wrap_dim(dim, input._array.ndim))  # type: ignore[no-any-return]


# ---- by places -------------------------------------------------------------------------------------------------------


@of_tensors
def tensor_split(
    input: Tensor, indices_or_sections: Any = None, dim: int = 0, *, indices: Any = None, sections: Any = None
) -> tuple[Tensor, ...]:
    """Views of parts of a dimension: of almost equal size (a number), or cut before the given places."""
    wanted: Any = next((w for w in (indices_or_sections, indices, sections) if w is not None), None)
    shape = input._array.shape
    if not shape:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    if isinstance(wanted, Tensor):
        if wanted._array.ndim > 1:
            raise RuntimeError(
                "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor, but got a tensor "
                f"with {wanted._array.ndim} dims"
            )
        if wanted._kind.dtype.name != "int64":
            raise RuntimeError(
                f"tensor_split expected tensor_indices_or_sections to have dtype of long, but got {wanted._kind.dtype.alias[:-6]}"
            )
        wanted = wanted.tolist()
    d = wrap_dim(dim, len(shape))
    n = shape[d]
    if isinstance(wanted, (tuple, list)):
        cuts = [operator.index(i) for i in wanted]
    else:
        k = operator.index(wanted)
        if k <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {k}")
        base, more = divmod(n, k)
        cuts = [base * i + min(i, more) for i in range(1, k)]
    ends = list(zip([0, *cuts], [*cuts, n], strict=True))
    return tuple(s.slice_(input, dim=d, part=slice(*slice(a, b).indices(n)[:2])) for a, b in ends)


def _along(name: str, dim: int, at_least: int) -> Any:
    def function(input: Tensor, *wanted: Any, indices: Any = None, sections: Any = None) -> tuple[Tensor, ...]:
        n = input._array.ndim
        if n < at_least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {at_least} dimension, but got a tensor with {n} dimensions!"
            )
        given = wanted[0] if len(wanted) == 1 else wanted or (indices if indices is not None else sections)
        if not isinstance(given, (tuple, list)) and not hasattr(given, "__index__"):
            raise no_overload(
                name, (input, *wanted), "Tensor input, int sections", "Tensor input, tuple of ints indices"
            )
        d = 0 if n == 1 else dim
        if not isinstance(given, (tuple, list)):
            k = operator.index(given)
            if k == 0 or input._array.shape[d] % k:
                raise RuntimeError(
                    f"torch.{name} attempted to split along dimension {d}, but the size of the dimension {input._array.shape[d]} is not "
                    f"divisible by the split_size {k}!"
                )
        return tensor_split(input, given, d)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Views of parts of dimension {dim}: equal ones (a number), or cut before the given places."
    return function


hsplit, vsplit, dsplit = _along("hsplit", 1, 1), _along("vsplit", 0, 2), _along("dsplit", 2, 3)
