"""jacrev, jacfwd, hessian: all derivatives at once, from products with the vectors of a basis."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.core.tensor import Tensor, wrap
from lamina.func.forward import jvp
from lamina.func.gradients import Argnums, checked_argnums, picked, replaced, vjp_by
from lamina.func.vmap import check_randomness, vmap
from lamina.primitives import shape as s
from lamina.utils._pytree import tree_flatten, tree_map


def _basis(tensors: Sequence[Tensor], start: int, stop: int) -> list[Tensor]:
    """Unit vectors start..stop of the space that all tensors span together: of each tensor its part."""
    parts, before = [], 0
    for t in tensors:
        n = t._array.size
        part = np.zeros((stop - start, n), t._kind.np)
        for row in range(max(start, before), min(stop, before + n)):
            part[row - start, row - before] = 1
        parts.append(wrap(part.reshape((stop - start, *t._array.shape)), t._kind))
        before += n
    return parts


def _refuse_complex(name: str, tensors: Sequence[Tensor], which: str) -> None:
    for i, t in enumerate(tensors):
        if isinstance(t, Tensor) and t._kind.dtype.category == 3:
            raise RuntimeError(
                f"{name}: Expected all {which}s to be real but received complex tensor at flattened {which} idx: {i}"
            )


def jacrev(
    func: Callable[..., Any], argnums: Argnums = 0, *, has_aux: bool = False, chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:  # fmt: skip
    """A function that returns the Jacobian of `func` by the arguments `argnums`, row by row (reverse mode).

    Shape: of each output, then of each input. has_aux: func returns (value, aux), the result is (jacobian, aux). chunk_size: how many
    rows go at once. Raises ValueError for a chunk_size below 1, RuntimeError for complex tensors.
    """
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        numbers = checked_argnums(argnums, len(args))
        _refuse_complex("jacrev", picked(args, numbers)[0], "input")
        value, pull, *aux = vjp_by(functools.partial(func, **kwargs) if kwargs else func, numbers, args, has_aux)
        outs, out_spec = tree_flatten(value)
        _refuse_complex("jacrev", outs, "output")
        inputs, spec = picked(args, numbers)
        sizes = [o._array.size for o in outs]
        rows = sum(sizes)
        step = chunk_size or rows or 1
        chunks = [_rows(pull, outs, out_spec, start, min(rows, start + step)) for start in range(0, rows, step) or (0,)]
        columns = [parts[0] if len(parts) == 1 else s.cat_(*parts, dim=0) for parts in zip(*chunks, strict=True)]
        pieces = [_split(c, sizes, 0) for c in columns]
        jacobian = out_spec.unflatten([
            spec.unflatten([
                piece[i].reshape((*o._array.shape, *t._array.shape)) for piece, t in zip(pieces, inputs, strict=True)  # type: ignore[attr-defined]
            ])
            for i, o in enumerate(outs)
        ])  # fmt: skip
        return (jacobian, *aux) if has_aux else jacobian

    return wrapper


def _rows(pull: Any, outs: list[Tensor], out_spec: Any, start: int, stop: int) -> list[Tensor]:
    basis = _basis(outs, start, stop)
    if stop - start == 1:  # one row needs no batch
        found = pull(out_spec.unflatten([s.select_(b, dim=0, index=0) for b in basis]))
        return [s.unsqueeze_(t, dim=0) for t in tree_flatten(found)[0]]
    return tree_flatten(vmap(pull)(out_spec.unflatten(basis)))[0]


def _split(t: Tensor, sizes: list[int], dim: int) -> Sequence[Tensor]:
    return (t,) if len(sizes) == 1 else s.several_(t, dim=dim, sizes=tuple(sizes))  # type: ignore[no-any-return]


def jacfwd(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Callable[..., Any]:
    """A function that returns the Jacobian of `func` by the arguments `argnums`, column by column (forward mode).

    Shape: of each output, then of each input. has_aux: func returns (value, aux), the result is (jacobian, aux). randomness: as in
    vmap. Raises RuntimeError for complex tensors.
    """
    check_randomness(randomness)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        numbers = checked_argnums(argnums, len(args))
        inputs, spec = picked(args, numbers)
        _refuse_complex("jacfwd", inputs, "input")
        sizes = [t._array.size for t in inputs]

        def push(*along: Tensor) -> Any:
            def by_leaves(*leaves: Any) -> Any:
                return func(*replaced(args, numbers, leaves, spec), **kwargs)

            _, derivative, *aux = jvp(by_leaves, tuple(inputs), along, has_aux=has_aux)
            return (derivative, aux[0]) if has_aux else derivative

        results = vmap(push, randomness=randomness)(*_basis(inputs, 0, sum(sizes)))
        results, *aux = results if has_aux else (results,)
        outs, out_spec = tree_flatten(results)
        _refuse_complex("jacfwd", outs, "output")
        jacobian = out_spec.unflatten([
            spec.unflatten([
                piece.reshape((*o._array.shape[1:], *t._array.shape))  # type: ignore[attr-defined]
                for piece, t in zip(_split(_last(o), sizes, o._array.ndim - 1), inputs, strict=True)
            ])
            for o in outs
        ])  # fmt: skip
        return (jacobian, tree_map(lambda t: t[0] if isinstance(t, Tensor) else t, aux[0])) if has_aux else jacobian  # type: ignore[index]

    return wrapper


def _last(t: Tensor) -> Tensor:
    """With the first dimension behind all others."""
    return s.permute_(t, dims=(*range(1, t._array.ndim), 0))  # type: ignore[no-any-return]


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """A function that returns the second derivatives of `func` by the arguments `argnums`: forward over reverse mode."""
    return jacfwd(jacrev(func, argnums), argnums)
