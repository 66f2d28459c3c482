"""Several tensors in one, and grids from several: cat, stack, hstack, block_diag, meshgrid, cartesian_prod ...

Here: argument checks and composites. Not here: the primitives cat and stack (shape.py), cutting apart (splitting.py).
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from lamina.core.explained import noted
from lamina.core.promotion import common_dtype
from lamina.core.size import wrap_dim
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, wrap
from lamina.core.warn import warn
from lamina.primitives import shape as s
from lamina.primitives.gathering import index_select
from lamina.primitives.inplace import of_tensors, with_out
from lamina.primitives.out_checks import apart_out
from lamina.primitives.rearrange import expand, reshape, unsqueeze
from lamina.primitives.registry import primitive


def tensors_of(tensors: Any, name: str) -> list[Tensor]:
    """The tensors in a sequence. Raises TypeError for anything else."""
    if isinstance(tensors, Tensor) or not isinstance(tensors, (tuple, list)):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not {type(tensors).__name__}"
        )
    for i, x in enumerate(tensors):
        if not isinstance(x, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(x).__name__}")
    return list(tensors)


def given_tensors(tensors: tuple[Any, ...], name: str) -> list[Tensor]:
    """The tensors in `f(a, b)` or `f((a, b))`. Raises TypeError for anything else."""
    alone = len(tensors) == 1 and isinstance(tensors[0], (tuple, list))
    return tensors_of(tensors[0] if alone else tensors, name)


def _some(tensors: Any, name: str) -> list[Tensor]:
    given = tensors_of(tensors, name)
    if not given:
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return given


def _alike(tensors: list[Tensor], kind: Any, shape: tuple[int, ...]) -> bool:
    for x in tensors:
        if x._kind is not kind or x._array.shape != shape:
            return False
    return True


@apart_out
def cat(tensors: Any, dim: int = 0, *, axis: int | None = None) -> Tensor:
    """Tensors one after another along a dimension; shapes agree elsewhere (1-d empty tensors are passed over)."""
    given = tensors_of(tensors, "cat")
    if len(given) > 1 and axis is None:
        first = given[0]
        shape, kind = first._array.shape, first._kind
        if len(shape) > 1 and _alike(given, kind, shape):
            return s.cat_(*given, dim=wrap_dim(dim, len(shape)))  # type: ignore[no-any-return]
    if not given:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    shared = common_dtype(given)
    kept = [x for x in given if x._array.shape != (0,)]
    if not kept:  # whatever the dimension
        return s.cat_(*given, dim=0)  # type: ignore[no-any-return]
    first = kept[0]._array.shape
    if not first:
        raise RuntimeError(f"zero-dimensional tensor (at position {given.index(kept[0])}) cannot be concatenated")
    d = wrap_dim(dim if axis is None else axis, len(first))
    for i, x in enumerate(given):
        shape = x._array.shape
        if shape == (0,):
            continue
        if len(shape) != len(first):
            if not shape:
                raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
            raise RuntimeError(f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}")
        for k, (a, b) in enumerate(zip(first, shape, strict=True)):
            if a != b and k != d:
                raise noted(
                    RuntimeError(
                        f"Sizes of tensors must match except in dimension {d}. Expected size {a} but got size {b} for tensor number {i} in "
                        "the list."
                    ),
                    (
                        "shapes",
                        f"{', '.join(str(list(t._array.shape)) for t in given[:8])}{', ...' * (len(given) > 8)}",
                    ),
                )
    return s.cat_(*(x if x._kind.dtype is shared else x.to(shared) for x in kept), dim=d)  # type: ignore[no-any-return]


def concat(tensors: Any, dim: int = 0, *, axis: int | None = None, out: Any = None) -> Tensor:
    """The same as cat."""
    return cat(tensors, dim if axis is None else axis, out=out)  # type: ignore[no-any-return]


concatenate = concat


@apart_out
def stack(tensors: Any, dim: int = 0, *, axis: int | None = None) -> Tensor:
    """Tensors of one shape along a new dimension."""
    given = _some(tensors, "stack")
    shape, kind, rank = given[0]._array.shape, given[0]._kind, given[0]._array.ndim + 1
    if _alike(given, kind, shape):
        return s.stack_(*given, dim=wrap_dim(dim if axis is None else axis, rank))  # type: ignore[no-any-return]
    for i, x in enumerate(given):
        if x._array.shape != shape:
            raise noted(
                RuntimeError(
                    f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and {list(x._array.shape)} at entry {i}"
                ),
                ("fix", "pad them to one size (nn.utils.rnn.pad_sequence; of a DataLoader: in its collate_fn)"),
            )
    shared = common_dtype(given)
    alike = [x if x._kind.dtype is shared else x.to(shared) for x in given]
    return s.stack_(*alike, dim=wrap_dim(dim if axis is None else axis, rank))  # type: ignore[no-any-return]


# ---- at least so many dimensions -------------------------------------------------------------------------------------


def _each(make: Any, tensors: tuple[Any, ...]) -> Any:
    made = tuple(map(make, given_tensors(tensors, "atleast")))
    return made[0] if len(tensors) == 1 and isinstance(tensors[0], Tensor) else made


def _one(t: Tensor) -> Tensor:
    return t if t._array.ndim else reshape(t, (1,))


def _two(t: Tensor) -> Tensor:
    return t if t._array.ndim >= 2 else unsqueeze(_one(t), 0)


def _three(t: Tensor) -> Tensor:
    return t if t._array.ndim >= 3 else unsqueeze(_two(t), -1)


def atleast_1d(*tensors: Any) -> Any:
    """Each tensor, with one dimension where it has none."""
    return _each(_one, tensors)


def atleast_2d(*tensors: Any) -> Any:
    """Each tensor with at least two dimensions: a vector as a row."""
    return _each(_two, tensors)


def atleast_3d(*tensors: Any) -> Any:
    """Each tensor with at least three dimensions: a matrix gets a last one of size 1."""
    return _each(_three, tensors)


@with_out
def hstack(tensors: Any) -> Tensor:
    """Tensors side by side: along dimension 1, or 0 where they are 1-d."""
    given = [_one(t) for t in _some(tensors, "hstack")]
    return cat(given, 0 if given[0]._array.ndim == 1 else 1)  # type: ignore[no-any-return]


@with_out
def vstack(tensors: Any) -> Tensor:
    """Tensors one below another: along dimension 0; a vector is a row."""
    return cat([_two(t) for t in _some(tensors, "vstack")], 0)  # type: ignore[no-any-return]


row_stack = vstack


@with_out
def dstack(tensors: Any) -> Tensor:
    """Tensors one behind another: along dimension 2."""
    return cat([_three(t) for t in _some(tensors, "dstack")], 2)  # type: ignore[no-any-return]


@with_out
def column_stack(tensors: Any) -> Tensor:
    """Tensors side by side, vectors as columns."""
    given = _some(tensors, "column_stack")
    return hstack([t if t._array.ndim > 1 else reshape(t, (t._array.size, 1)) for t in given])  # type: ignore[no-any-return]


# ---- grids -----------------------------------------------------------------------------------------------------------


def _block_diag(*blocks: Array) -> Array:
    shape = sum(b.shape[0] for b in blocks), sum(b.shape[1] for b in blocks)
    out = np.zeros(shape, blocks[0].dtype)
    row = column = 0
    for b in blocks:
        out[row : row + b.shape[0], column : column + b.shape[1]] = b
        row, column = row + b.shape[0], column + b.shape[1]
    return out


def _blocks(g: Any, shapes: Any, needs: Any) -> list[Any]:
    out, row, column = [], 0, 0
    for (m, n), need in zip(shapes, needs, strict=True):
        out.append(g[row : row + m, column : column + n] if need else None)
        row, column = row + m, column + n
    return out


block_diag_ = primitive(
    "block_diag", _block_diag, grads=lambda g, shapes, needs: _blocks(g, shapes, needs), variadic=True
)


def block_diag(*tensors: Any) -> Tensor:
    """Matrices along the diagonal of one, zeros elsewhere; a vector is a row."""
    given = tensors_of(list(tensors), "block_diag")
    if not given:
        return wrap(np.zeros((1, 0), np.float32))
    for i, t in enumerate(given):
        if t._array.ndim > 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {t._array.ndim} dimensions"
            )
    shared = common_dtype(given)
    return block_diag_(*(_two(t if t._kind.dtype is shared else t.to(shared)) for t in given))  # type: ignore[no-any-return]


@of_tensors
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Views of vectors, each stretched along its own dimension of a common grid. indexing: "ij", or "xy" (first two swapped)."""
    given = given_tensors(tensors, "meshgrid")
    if not given:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if any(t._kind is not given[0]._kind for t in given):
        raise RuntimeError("meshgrid expects all tensors to have the same dtype")
    for t in given:
        if t._array.ndim > 1:
            raise RuntimeError(
                f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {list(t._array.shape)}"
            )
    if indexing is None:
        warn("torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.")
    elif indexing not in ("xy", "ij"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    swap = indexing == "xy" and len(given) >= 2
    if swap:
        given[:2] = given[1::-1]
    shape = tuple(t._array.size for t in given)
    grids = [
        expand(reshape(t, (1,) * i + (t._array.size,) + (1,) * (len(given) - i - 1)), shape)
        for i, t in enumerate(given)
    ]
    if swap:
        grids[:2] = grids[1::-1]
    return tuple(grids)


def _vector(t: Tensor) -> Tensor:
    if t._array.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(t._array.shape)}")
    return t


def cartesian_prod(*tensors: Any) -> Tensor:
    """All tuples of one element of each vector. Shape: (product of sizes, number of vectors); a single vector: itself."""
    given = [_vector(t) for t in tensors_of(tensors, "cartesian_prod")]
    if len(given) == 1:
        return given[0]
    return stack([g.reshape(-1) for g in meshgrid(*given, indexing="ij")], 1)  # type: ignore[no-any-return]


@of_tensors
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All ways to choose r elements of a vector, in order. Shape: (how many, r)."""
    _vector(input)
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return wrap(np.empty(0, input._kind.np))
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    flat = itertools.chain.from_iterable(choose(range(input._array.size), r))
    index = np.fromiter(flat, np.int64).reshape(-1, r)
    columns = [index_select(input, 0, wrap(np.ascontiguousarray(index[:, k]))) for k in range(r)]
    return stack(columns, 1)  # type: ignore[no-any-return]
