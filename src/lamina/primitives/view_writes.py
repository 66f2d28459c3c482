"""A tensor with a part replaced, as a new tensor: select_scatter, slice_scatter, diagonal_scatter, as_strided_scatter.

Each is the adjoint of a view: what is written goes where the view would look. Not here: indices by values (scattering.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.core import strided
from lamina.core.size import wrap_dim
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives import shape as s
from lamina.primitives.rearrange import diagonal, select
from lamina.primitives.registry import primitive
from lamina.primitives.signature import parsed


def _zeros(g: Any, shape: tuple[int, ...]) -> Any:
    return g.new_zeros(shape) if isinstance(g, Tensor) else np.zeros(shape, g.dtype)


def _declared(name: str, view: Any) -> Any:
    """The primitive that writes src where the view primitive `view` looks: (x, src, *, at), `at` the view's parameters."""
    look: Callable[..., Array] = view.primitive.forward

    def forward(x: Array, src: Array, *, at: dict[str, Any]) -> Array:
        out = np.array(x, order="C")
        look(out, **at)[...] = src
        return out

    op = primitive(
        name, forward,
        grads=(
            lambda g, src_shape, at: op(g, _zeros(g, src_shape), at=at),
            lambda g, at: view(g, **at),
        ),
    )  # fmt: skip
    return op


_select, _slice = _declared("select_scatter", s.select_), _declared("slice_scatter", s.slice_)
_diagonal = _declared("diagonal_scatter", s.diagonal_)


def _check(src: Tensor, view: Tensor) -> None:
    if src._array.shape != view._array.shape:
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = {list(src._array.shape)}, slice size = "
            f"{list(view._array.shape)}"
        )


def _like(src: Tensor, input: Tensor) -> Tensor:
    return src if src._kind.dtype is input._kind.dtype else src.to(input.dtype)


@parsed
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """`input` with `src` in place of one entry of a dimension."""
    _check(src, select(input.detach(), dim, index))
    return _select(input, _like(src, input), at={"dim": wrap_dim(dim, input._array.ndim), "index": int(index)})  # type: ignore[no-any-return]


@parsed
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """`input` with `src` in place of the entries start:end:step of a dimension."""
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    d = wrap_dim(dim, input._array.ndim)
    part = slice(*slice(start, end, step).indices(input._array.shape[d]))
    _check(src, s.slice_(input.detach(), dim=d, part=part))
    return _slice(input, _like(src, input), at={"dim": d, "part": part})  # type: ignore[no-any-return]


@parsed
def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """`input` with `src` in place of a diagonal of two dimensions."""
    n = input._array.ndim
    _check(src, diagonal(input.detach(), offset, dim1, dim2))
    made: Tensor = _diagonal(
        input, _like(src, input), at={"offset": offset, "dim1": wrap_dim(dim1, n), "dim2": wrap_dim(dim2, n)}
    )
    return made


# ---- any geometry ----------------------------------------------------------------------------------------------------


def _strided_scatter(x: Array, src: Array, *, size: Any, stride: Any, offset: int, like: s.Layout) -> Array:
    shape, inner, start, total = like
    memory = np.zeros(total, x.dtype).view(np.uint8)
    out = strided.over_bytes(memory, x.dtype, shape, inner, start)
    out[...] = x
    strided.over_bytes(memory, x.dtype, size, stride, offset)[...] = src
    return out


_strided = primitive(
    "as_strided_scatter", _strided_scatter,
    grads=(
        lambda g, x_shape, size, stride, offset, like: _strided(
            _zeros(g, x_shape), s.strided_taken(g, size=size, stride=stride, offset=offset, like=like),
            size=size, stride=stride, offset=offset, like=like,
        ),
        lambda g, size, stride, offset, like: s.strided_taken(g, size=size, stride=stride, offset=offset, like=like),
    ),
)  # fmt: skip


@parsed
def as_strided_scatter(input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """`input` with `src` written where `as_strided` of these arguments looks.

    As PyTorch has it, the gradient for `input` is the one of the written part, not that of the rest.
    """
    _check(src, s.as_strided(input.detach(), size, stride, storage_offset))
    offset = input.storage_offset() if storage_offset is None else storage_offset
    where = {"size": tuple(size), "stride": tuple(stride), "offset": offset, "like": s.layout(input)}
    return _strided(input, _like(src, input), **where)  # type: ignore[no-any-return]
