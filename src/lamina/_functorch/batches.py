"""Forms of vmap that torch.func has not, and how its transforms choose arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from lamina.autograd import modes
from lamina.core.tensor import Tensor
from lamina.func.gradients import checked_argnums
from lamina.func.vmap import arguments, check_randomness, entry, vmap
from lamina.primitives.levels import Level, in_batch, levels_of, value_at
from lamina.primitives.wrapping import as_given
from lamina.utils._pytree import _broadcast_to_and_flatten, tree_flatten


def chunk_vmap(
    func: Callable[..., Any], in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", chunks: int = 2
) -> Callable[..., Any]:
    """`vmap` that takes the batch in `chunks` parts, one after the other."""
    check_randomness(randomness)
    if chunks == 1:
        return vmap(func, in_dims, out_dims, randomness)

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        size = arguments(in_dims, args, func)[0]
        return vmap(func, in_dims, out_dims, randomness, chunk_size=-(-size // chunks))(*args, **kwargs)

    return wrapped


def restore_vmap(func: Callable[..., Any], in_dims: Any, batch_size: int, randomness: str) -> Callable[..., Any]:
    """`vmap` without checks: no argument need be a batch, results need not be tensors. It returns results, and where entries lie."""

    def inner(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        flat, spec = tree_flatten(args)
        dims = _broadcast_to_and_flatten(in_dims, spec)
        if dims is None:
            raise ValueError(f"restore_vmap: in_dims {in_dims} does not fit the structure of the arguments, {spec}")
        with modes.Transforming(), Level(batch_size, randomness) as level:
            entries = [t if d is None else entry(t, d, level) for t, d in zip(flat, dims, strict=True)]
            outs, out_spec = tree_flatten(func(*spec.unflatten(entries), **kwargs))
        found = [_at(o, level) if isinstance(o, Tensor) and level in levels_of(o) else (o, None) for o in outs]
        return out_spec.unflatten([value for value, _ in found]), out_spec.unflatten([dim for _, dim in found])

    return inner


def _at(t: Tensor, level: Level) -> tuple[Tensor, int]:
    """All entries of a batch at `level`, and along which dimension."""
    return as_given(t) if in_batch(t, level) else (value_at(t, level), 0)


def _slice_argnums(args: tuple[Any, ...], argnums: Any, as_tuple: bool = True) -> Any:
    """The arguments of these numbers; of one number, alone or in a tuple."""
    numbers = checked_argnums(argnums, len(args))
    if isinstance(numbers, int):
        return (args[numbers],) if as_tuple else args[numbers]
    return tuple(args[n] for n in numbers)
