"""Views and rearrangements: the same elements under another shape.

Here: view primitives (zero copies; the result looks at the input's memory), their adjoints, cat and stack. Not here: indexing
by values (indexing.py), the rules of writing to views (autograd/views.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.autograd import views
from lamina.autograd.graph import edge_of, make
from lamina.core import strided
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, wrap
from lamina.core.version import users_place
from lamina.primitives.inplace import of_tensors
from lamina.primitives.registry import primitive, sum_to

ndarray = np.ndarray


# ---- any geometry ----------------------------------------------------------------------------------------------------


def _over(array: Array, size: Sequence[int], stride: Sequence[int], offset: int) -> Array:
    """`size`, `stride` over the memory of `array`; offset counts from its storage's start, all in elements."""
    if array.size and array.strides and not any(array.strides) and not array.flags.writeable:  # a meta tensor's array
        return np.broadcast_to(array.reshape(-1)[:1].reshape(()), tuple(size))
    owner = strided.owner_of(array)
    return strided.over_bytes(strided.bytes_of(owner), array.dtype, size, stride, offset)


def _offset(array: Array) -> int:
    if not array.size:
        return 0
    return (strided.address(array) - strided.address(strided.bytes_of(strided.owner_of(array)))) // array.itemsize


Layout = tuple[tuple[int, ...], tuple[int, ...], int, int]
"""How a tensor lies in its storage: shape, strides, offset of the first element, elements of the storage."""


def layout(t: Tensor) -> Layout:
    array = t._array
    item = array.itemsize
    return array.shape, strided.element_strides(array), _offset(array), strided.owner_of(array).nbytes // item


as_strided_ = primitive(
    "as_strided",
    lambda x, *, size, stride, offset, like: _over(x, size, stride, offset),
    grads=(lambda g, size, stride, offset, like: strided_adjoint(g, size=size, stride=stride, offset=offset, like=like),),
    view=True,
)  # fmt: skip


def _strided_adjoint(g: Array, *, size: Any, stride: Any, offset: int, like: Layout) -> Array:
    """Cotangents of a strided view, added up in the layout of its input; elements that are one in memory share theirs."""
    shape, inner, start, total = like
    memory = _spread(g, size, stride, offset, total)
    out = strided.over_bytes(memory.view(np.uint8), g.dtype, shape, inner, start)
    if _may_overlap(shape, inner):
        return (out / _met(like)).astype(g.dtype)
    return out


def _spread(g: Array, size: Any, stride: Any, offset: int, total: int) -> Array:
    """Memory of zeros, with `g` added where a strided view looks."""
    memory = np.zeros(total, g.dtype)
    if g.size:
        if _may_overlap(size, stride):
            np.add.at(memory, _places(size, stride, offset, total).reshape(-1), g.reshape(-1))
        else:
            strided.over_bytes(memory.view(np.uint8), g.dtype, size, stride, offset)[...] = g
    return memory


def _places(size: Any, stride: Any, offset: int, total: int) -> Array:
    return strided.over_bytes(np.arange(total).view(np.uint8), np.dtype(np.int64), size, stride, offset)


def _met(like: Layout) -> Array:
    """For each element, how many share its memory."""
    shape, inner, start, total = like
    places = _places(shape, inner, start, total)
    return np.bincount(places.reshape(-1), minlength=total)[places]


def _may_overlap(size: Sequence[int], stride: Sequence[int]) -> bool:
    reach = 1
    for s, n in sorted((s, n) for s, n in zip(stride, size, strict=True) if n > 1):
        if s < reach:
            return True
        reach += (n - 1) * s
    return False


strided_adjoint = primitive(
    "as_strided_adjoint", _strided_adjoint,
    grads=(lambda g, size, stride, offset, like: strided_taken(g, size=size, stride=stride, offset=offset, like=like),))  # fmt: skip


def _strided_taken(h: Array, *, size: Any, stride: Any, offset: int, like: Layout) -> Array:
    """What a strided view sees when `h` lies in memory as `like`: the adjoint of the adjoint."""
    shape, inner, start, total = like
    if _may_overlap(shape, inner):
        h = (h / _met(like)).astype(h.dtype)
    return strided.over_bytes(
        _spread(h, shape, inner, start, total).view(np.uint8), h.dtype, size, stride, offset
    ).copy()


strided_taken = primitive(
    "as_strided_taken", _strided_taken,
    grads=(lambda g, size, stride, offset, like: strided_adjoint(g, size=size, stride=stride, offset=offset, like=like),))  # fmt: skip


@of_tensors
def as_strided(input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
    """A view with the given size, strides and offset (in elements of the storage). Raises RuntimeError out of bounds."""
    size, stride = tuple(size), tuple(stride)
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(s < 0 for s in stride):
        raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
    offset = input.storage_offset() if storage_offset is None else storage_offset
    if offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {offset}")
    return as_strided_(input, size=size, stride=stride, offset=offset, like=layout(input))  # type: ignore[no-any-return]


# ---- what autograd/views.py borrows ----------------------------------------------------------------------------------


def _take(base: Tensor, size: Any, stride: Any, offset: int) -> Tensor:
    return as_strided_(base, size=size, stride=stride, offset=offset + _offset(base._array), like=layout(base))  # type: ignore[no-any-return]


def _node(base: Tensor, size: Any, stride: Any, offset: int) -> Any:
    p = as_strided_.primitive
    node = make(p.node, (edge_of(base),), place=users_place(3))
    values = {"size": size, "stride": stride, "offset": offset + _offset(base._array), "like": layout(base)}
    node._saved = tuple(values[name] for name in p.saves)
    node._versions = (None,) * len(p.saves)
    return node


def _put(g: Any, node: Any, create: bool) -> Any:
    """CopySlices: the written part of the cotangent goes through the inner node, the rest to the old base."""
    shape, base_strides, kind, view_kind = node.like
    where = node.geometry
    if callable(where):  # a view of another dtype: found again by repeating how it was made
        base = np.zeros(shape, kind.np)
        if create:
            part = where(g.clone())
            rest = _blend(g, where, None)
        else:
            memory = wrap(np.array(g, kind.np), kind)
            view = where(memory)
            part = view._array.copy()
            view._array[...] = 0
            rest = memory._array
            del base
    else:
        size, stride, offset = where
        if create:
            part, rest = (
                take_slice(g, geometry=where, like=(shape, base_strides)),
                clear_slice(g, geometry=where, like=(shape, base_strides)),
            )
        else:
            part, rest = _split_slice(g, where, (shape, base_strides))
    results = list(node.inner._vjp(part, create))
    into = results[0]
    if into is not None:
        if not callable(where) and _may_overlap(size, stride):  # PyTorch copies into such a view of the gradient
            raise RuntimeError(
                "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
                "Please clone() the tensor before performing the operation."
            )
        if callable(where):
            if create:
                rest = _blend(g, where, into)
            else:
                view._array[...] += into
                rest = memory._array
        elif create:
            rest = rest + put_slice(into, geometry=where, like=(shape, base_strides))
        else:
            _slice_of(rest, where)[...] += into
    return [rest, *results[1:]]


def _blend(g: Any, where: Any, into: Any) -> Any:
    made = g.clone()
    view = where(made)
    if into is None:
        view.zero_()
    else:
        view.copy_(into)
    return made


def _laid(g: Array, like: Any) -> Array:
    """A copy of `g` in memory with the base's strides."""
    shape, base_strides = like
    span = 1 + sum((n - 1) * s for n, s in zip(shape, base_strides, strict=True)) if g.size else 0
    memory = np.zeros(span, g.dtype)
    out = strided.over_bytes(memory.view(np.uint8), g.dtype, shape, base_strides, 0)
    out[...] = g
    return out


def _slice_of(laid: Array, where: Any) -> Array:
    size, stride, offset = where
    return strided.over_bytes(strided.bytes_of(strided.owner_of(laid)), laid.dtype, size, stride, offset)


def _split_slice(g: Array, where: Any, like: Any) -> tuple[Array, Array]:
    rest = _laid(np.asarray(g), like)
    view = _slice_of(rest, where)
    part = view.copy()
    view[...] = 0
    return part, rest


take_slice = primitive(
    "take_slice", lambda g, *, geometry, like: _split_slice(g, geometry, like)[0],
    grads=(lambda h, geometry, like: put_slice(h, geometry=geometry, like=like),))  # fmt: skip
clear_slice = primitive(
    "clear_slice", lambda g, *, geometry, like: _split_slice(g, geometry, like)[1],
    grads=(lambda h, geometry, like: clear_slice(h, geometry=geometry, like=like),))  # fmt: skip


def _put_slice(h: Array, *, geometry: Any, like: Any) -> Array:
    out = _laid(np.zeros(like[0], h.dtype), like)
    _slice_of(out, geometry)[...] = h
    return out


put_slice = primitive(
    "put_slice", _put_slice,
    grads=(lambda g, geometry, like: take_slice(g, geometry=geometry, like=like),))  # fmt: skip

views.Strided.take, views.Strided.node, views.Strided.put = staticmethod(_take), staticmethod(_node), staticmethod(_put)


# ---- views by shape --------------------------------------------------------------------------------------------------

alias_ = primitive("alias", lambda x: x.view(), grads=(lambda g: g,), view=True)


def _viewing(name: str) -> Any:
    return primitive(
        name, lambda x, *, shape: _viewed(x, shape), grads=(lambda g, x_shape: g.reshape(x_shape),), view=True
    )


view_ = _viewing("view")
reshape_alias = _viewing("reshape_alias")  # what reshape does where memory is not contiguous


def _viewed(x: Array, shape: tuple[int, ...]) -> Array:
    if x.flags.c_contiguous:
        return x.reshape(shape)
    try:
        return x.reshape(shape, copy=False)
    except ValueError:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead."
        ) from None


copy_reshape = primitive(
    "unsafe_view", lambda x, *, shape: np.ascontiguousarray(x).reshape(shape) if x.flags.c_contiguous else x.copy().reshape(shape),
    grads=(lambda g, x_shape: g.reshape(x_shape),), node="UnsafeView", meta=lambda x, *, shape: strided.untouched(shape, x.dtype))  # fmt: skip

expand_ = primitive(
    "expand", lambda x, *, size: _expanded(x, size),
    grads=(lambda g, x_shape: unbroadcast(g, x_shape),), view=True)  # fmt: skip


def _expanded(x: Array, size: tuple[int, ...]) -> Array:
    if 0 in size:
        return np.empty(size, x.dtype)
    if x.flags.c_contiguous:  # what np.broadcast_to does, ten times as fast
        lead = len(size) - x.ndim
        steps = [s if n == m else 0 for s, n, m in zip(x.strides, x.shape, size[lead:])]  # noqa: B905
        return ndarray(size, x.dtype, x, 0, (0,) * lead + tuple(steps))
    out = np.broadcast_to(x, size)
    if x.flags.writeable:
        out.flags.writeable = True
    return out


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum what expanding from `shape` added."""
    if isinstance(g, Tensor):
        return g.sum_to_size(shape)
    return sum_to(np.asarray(g), shape)


permute_ = primitive(
    "permute", lambda x, *, dims: x.transpose(dims),
    grads=(lambda g, dims: g.permute(_inverse(dims)) if isinstance(g, Tensor) else g.transpose(_inverse(dims)),), view=True)  # fmt: skip

transpose_ = primitive(
    "transpose", lambda x, *, dim0, dim1: x.swapaxes(dim0, dim1) if x.ndim else x.view(),
    grads=(lambda g, dim0, dim1: transpose_(g, dim0=dim0, dim1=dim1),), view=True)  # fmt: skip
t_ = primitive("t", lambda x: x.T, grads=(lambda g: t_(g),), view=True, node="T")


def _inverse(dims: tuple[int, ...]) -> tuple[int, ...]:
    out = [0] * len(dims)
    for i, d in enumerate(dims):
        out[d] = i
    return tuple(out)


unsqueeze_ = primitive(
    "unsqueeze", lambda x, *, dim: x.reshape(*x.shape[:dim], 1, *x.shape[dim:]),
    grads=(lambda g, dim: g.squeeze(dim),), view=True)  # fmt: skip


def _squeezing(name: str, node: str) -> Any:
    return primitive(
        name,
        lambda x, *, dims: x.squeeze(dims),
        grads=(lambda g, x_shape: g.reshape(x_shape),),
        view=True,
        node=node,
    )


squeeze_ = _squeezing("squeeze", "SqueezeBackward0")  # of all dimensions
squeeze_dim_ = _squeezing("squeeze_dim", "SqueezeBackward1")
squeeze_dims_ = _squeezing("squeeze_dims", "SqueezeBackward2")

select_ = primitive(
    "select", lambda x, *, dim, index: x[(slice(None),) * dim + (index, ...)] if dim else x[index, ...],
    grads=(lambda g, x_shape, dim, index: embed(g, shape=x_shape, index=(slice(None),) * dim + (index,)),), view=True)  # fmt: skip

slice_ = primitive(
    "slice", lambda x, *, dim, part: x[(slice(None),) * dim + (part,)] if dim else x[part],
    grads=(lambda g, x_shape, dim, part: embed(g, shape=x_shape, index=(slice(None),) * dim + (part,)),), view=True)  # fmt: skip


def _embed(g: Array, *, shape: tuple[int, ...], index: Any) -> Array:
    out = np.zeros(shape, g.dtype)
    out[index] = g
    return out


embed = primitive(
    "embed", _embed,
    grads=(lambda g, index: g[index],))  # fmt: skip


diagonal_ = primitive(
    "diagonal", lambda x, *, offset, dim1, dim2: _diagonal(x, offset, dim1, dim2),
    grads=(lambda g, x_shape, offset, dim1, dim2: diagonal_adjoint(g, shape=x_shape, offset=offset, dim1=dim1, dim2=dim2),),
    view=True)  # fmt: skip


def _diagonal(x: Array, offset: int, dim1: int, dim2: int) -> Array:
    offset = max(-x.shape[dim1], min(offset, x.shape[dim2]))  # NumPy's is an int
    out = np.diagonal(x, offset, dim1, dim2)
    if x.flags.writeable and out.base is not None:
        out.flags.writeable = True
    return out


def _diagonal_adjoint(g: Array, *, shape: Any, offset: int, dim1: int, dim2: int) -> Array:
    out = np.zeros(shape, g.dtype)
    _diagonal(out, offset, dim1, dim2)[...] = g
    return out


diagonal_adjoint = primitive(
    "diagonal_adjoint", _diagonal_adjoint,
    grads=(lambda g, offset, dim1, dim2: diagonal_(g, offset=offset, dim1=dim1, dim2=dim2),), node="DiagonalBackward")  # fmt: skip

unfold_ = primitive(
    "unfold", lambda x, *, dim, size, step: _windows(x, dim, size, step),
    grads=(lambda g, x_shape, dim, size, step: unfold_adjoint(g, shape=x_shape, dim=dim, size=size, step=step),), view=True)  # fmt: skip


def _windows(x: Array, dim: int, size: int, step: int) -> Array:
    if not x.ndim:
        return np.lib.stride_tricks.as_strided(x, (size,), (x.itemsize,))
    n = (x.shape[dim] - size) // step + 1
    shape = (*x.shape[:dim], n, *x.shape[dim + 1 :], size)
    strides = (*x.strides[:dim], x.strides[dim] * step, *x.strides[dim + 1 :], x.strides[dim])
    return np.lib.stride_tricks.as_strided(x, shape, strides)


def _unfold_adjoint(g: Array, *, shape: Any, dim: int, size: int, step: int) -> Array:
    out = np.zeros(shape, g.dtype)
    if not shape:
        return out + g.reshape(())
    lead = (slice(None),) * dim
    n = g.shape[dim]
    for k in range(size):
        out[(*lead, slice(k, k + (n - 1) * step + 1, step))] += g[..., k]
    return out


unfold_adjoint = primitive(
    "unfold_adjoint", _unfold_adjoint,
    grads=(lambda g, dim, size, step: unfold_(g, dim=dim, size=size, step=step),), node="UnfoldBackward")  # fmt: skip


def _splitting(name: str) -> Any:
    return primitive(
        name, lambda x, *, dim, sizes: _pieces(x, dim, sizes),
        grads=(lambda gs, x_shape, dim, sizes: _joined(gs, x_shape, dim, sizes),), view=True, outputs=0)  # fmt: skip


several_, several_sizes_ = _splitting("split"), _splitting("split_with_sizes")


def _pieces(x: Array, dim: int, sizes: tuple[int, ...]) -> tuple[Array, ...]:
    out, start = [], 0
    lead = (slice(None),) * dim
    for n in sizes:
        out.append(x[(*lead, slice(start, start + n))])
        start += n
    return tuple(out)


def _joined(gs: Any, shape: tuple[int, ...], dim: int, sizes: tuple[int, ...]) -> Any:
    known = next(g for g in gs if g is not None)
    parts = []
    for g, n in zip(gs, sizes, strict=True):
        if g is None:
            part_shape = (*shape[:dim], n, *shape[dim + 1 :])
            g = (
                wrap(np.zeros(part_shape, known._kind.np))
                if isinstance(known, Tensor)
                else np.zeros(part_shape, known.dtype)
            )
        parts.append(g)
    return cat_(*parts, dim=dim)


# ---- joining ---------------------------------------------------------------------------------------------------------


def _cut_apart(g: Any, shapes: Any, dim: int, needs: Any) -> list[Any]:
    out, start = [], 0
    for shape, need in zip(shapes, needs, strict=True):
        n = shape[dim]
        out.append(g[(slice(None),) * dim + (slice(start, start + n),)] if need else None)
        start += n
    return out


cat_ = primitive(
    "cat", lambda *xs, dim: np.ascontiguousarray(np.concatenate(xs, axis=dim)),
    grads=lambda g, shapes, dim, needs: _cut_apart(g, shapes, dim, needs), variadic=True)  # fmt: skip


def _stacked(xs: Sequence[Array], dim: int) -> Array:
    lead = (slice(None),) * dim + (None,)
    return np.ascontiguousarray(np.concatenate([x[lead] for x in xs], axis=dim))  # np.stack takes thrice as long


stack_ = primitive(
    "stack", lambda *xs, dim: _stacked(xs, dim),
    grads=lambda g, dim, needs: [g[(slice(None),) * dim + (i,)] if need else None for i, need in enumerate(needs)],
    variadic=True)  # fmt: skip

unbind_ = primitive(
    "unbind", lambda x, *, dim: _entries(x if dim == 0 else np.moveaxis(x, dim, 0)),
    grads=(lambda gs, x_shape, dim: _restacked(gs, x_shape, dim),), view=True, outputs=0)  # fmt: skip


def _entries(x: Array) -> tuple[Array, ...]:
    return tuple(x) if x.ndim > 1 else tuple([x[i, ...] for i in range(len(x))])


def _restacked(gs: Any, shape: tuple[int, ...], dim: int) -> Any:
    known = next(g for g in gs if g is not None)
    zero = wrap(np.zeros(known._array.shape, known._kind.np)) if isinstance(known, Tensor) else np.zeros_like(known)
    return stack_(*(zero if g is None else g for g in gs), dim=dim)
