"""vmap: a function of one entry becomes a function of a batch.

Here: arguments and results, chunks, checks. Not here: what operations do with a batch (primitives/batching.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from lamina.autograd import (
    function_transforms,  # noqa: F401 (tells Function what to do at a level)
    modes,
)
from lamina.core.tensor import Tensor
from lamina.primitives import shape as s
from lamina.primitives.levels import Entry, Level, batched, in_batch, value_at
from lamina.primitives.random import get_rng_state, set_rng_state
from lamina.primitives.rearrange import movedim
from lamina.utils._pytree import TreeSpec, _broadcast_to_and_flatten, tree_flatten, tree_structure


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that applies `func` to each entry along a dimension of its arguments, all at once.

    in_dims: for each argument (or part of one) the dimension to take apart; None: the argument is the same for all. out_dims: where
    in the results the entries lie. randomness: what random operations do, "error", "same" or "different" draws for each entry.
    chunk_size: how many entries go at once. Raises ValueError for arguments that do not fit.
    """
    check_randomness(randomness)
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        _check_out_dims(out_dims, func)
        size, dims, flat, spec = arguments(in_dims, args, func)
        if chunk_size is None or size <= chunk_size:
            return run(func, size, dims, flat, spec, out_dims, randomness, kwargs)
        return _in_chunks(func, size, dims, flat, spec, out_dims, randomness, chunk_size, kwargs)

    return wrapped


def check_randomness(randomness: str) -> None:
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")


def name_of(func: Any) -> str:
    return getattr(func, "__name__", None) or repr(func)


# ---- arguments -------------------------------------------------------------------------------------------------------


def arguments(in_dims: Any, args: tuple[Any, ...], func: Any) -> tuple[int, list[Any], list[Any], TreeSpec]:
    """The size of the batch, the dimension of each leaf, the leaves and the structure of the arguments."""
    call = f"vmap({name_of(func)}, in_dims={in_dims}, ...)(<inputs>)"
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            f"{call}: expected `in_dims` to be int or a (potentially nested) tuple matching the structure of inputs, got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({name_of(func)})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a function "
            "with no inputs. The latter is unsupported."
        )
    flat, spec = tree_flatten(args)
    dims = _broadcast_to_and_flatten(in_dims, spec)
    if dims is None:
        raise ValueError(
            f"{call}: in_dims is not compatible with the structure of `inputs`. in_dims has structure {tree_structure(in_dims)} but inputs "
            f"has structure {spec}."
        )
    dims = [_checked_dim(call, t, dim) for t, dim in zip(flat, dims, strict=True)]
    sizes = [t._array.shape[dim] for t, dim in zip(flat, dims, strict=True) if dim is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if any(n != sizes[0] for n in sizes):
        raise ValueError(
            f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} for the mapped dimension"
        )
    return sizes[0], dims, flat, spec


def _checked_dim(call: str, t: Any, dim: Any) -> int | None:
    if not isinstance(dim, int) and dim is not None:
        raise ValueError(
            f"{call}: Got in_dim={dim} for an input but in_dim must be either an integer dimension or None."
        )
    if dim is None:
        return None
    if not isinstance(t, Tensor):
        raise ValueError(
            f"{call}: Got in_dim={dim} for an input but the input is of type {type(t)}. We cannot vmap over non-Tensor arguments, please use "
            "None as the respective in_dim"
        )
    rank = t._array.ndim
    if not -rank <= dim < rank:
        raise ValueError(
            f"{call}: Got in_dim={dim} for some input, but that input is a Tensor of dimensionality {rank} so expected in_dim to satisfy "
            f"-{rank} <= in_dim < {rank}."
        )
    return dim % rank


# ---- running ---------------------------------------------------------------------------------------------------------


def run(
    func: Callable[..., Any], size: int, dims: Sequence[int | None], flat: Sequence[Any], spec: TreeSpec, out_dims: Any, randomness: str,
    kwargs: dict[str, Any],
) -> Any:  # fmt: skip
    """`func` on a whole batch."""
    results, places, out_spec = _flat(func, size, dims, flat, spec, out_dims, randomness, kwargs)
    return out_spec.unflatten([_moved(r, place) for r, place in zip(results, places, strict=True)])


def _flat(
    func: Any,
    size: int,
    dims: Sequence[int | None],
    flat: Sequence[Any],
    spec: TreeSpec,
    out_dims: Any,
    randomness: str,
    kwargs: Any,
) -> tuple[list[Any], list[int | None], TreeSpec]:
    """The results' leaves with entries along dimension 0, where they shall lie (None: no batch), the results' structure."""
    with modes.Transforming(), Level(size, randomness) as level:
        entries = [t if dim is None else entry(t, dim, level) for t, dim in zip(flat, dims, strict=True)]
        out = func(*spec.unflatten(entries), **kwargs)
    outs, out_spec = tree_flatten(out)
    places = _places(out_dims, out, out_spec, func)
    return [_unwrapped(o, place, level, func) for o, place in zip(outs, places, strict=True)], places, out_spec


def entry(t: Tensor, dim: int, level: Level) -> Tensor:
    """`t` as a batch at `level`, its entries along `dim`."""
    made = batched(_front(t, dim), level)
    made._given_dim = dim
    return made


def _front(t: Tensor, dim: int) -> Tensor:
    if not dim:
        return t
    n = t._array.ndim
    return s.permute_(t, dims=(dim, *range(dim), *range(dim + 1, n)))  # type: ignore[no-any-return]


def _places(out_dims: Any, out: Any, out_spec: TreeSpec, func: Any) -> list[int | None]:
    if isinstance(out, Tensor) and isinstance(out_dims, tuple) and len(out_dims) == 1:
        out_dims = out_dims[0]
    found = _broadcast_to_and_flatten(out_dims, out_spec, is_leaf=lambda x: x is None)
    if found is None:
        raise ValueError(
            f"vmap({name_of(func)}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the structure of `outputs`. "
            f"out_dims has structure {tree_structure(out_dims)} but outputs has structure {out_spec}."
        )
    return found


def _check_out_dims(out_dims: Any, func: Any) -> None:
    if not all(isinstance(d, int) or d is None for d in tree_flatten(out_dims)[0]):
        raise ValueError(
            f"vmap({name_of(func)}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a python collection of ints representing "
            "where in the outputs the vmapped dimension should appear."
        )


def _unwrapped(out: Any, place: int | None, level: Level, func: Any) -> Any:
    name = name_of(func)
    if place is None:
        if not in_batch(out, level):
            return out
        if out._array.__class__ is Entry:
            raise ValueError(f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None")
        return s.select_(out._value, dim=0, index=0)
    if not isinstance(out, Tensor):
        raise ValueError(
            f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(out)}. Did you mean to set out_dims= to None for output?"
        )
    return value_at(out, level)


def _moved(t: Any, place: int | None) -> Any:
    return t if not place else movedim(t, 0, place)


def _in_chunks(
    func: Any,
    size: int,
    dims: list[Any],
    flat: list[Any],
    spec: TreeSpec,
    out_dims: Any,
    randomness: str,
    chunk_size: int,
    kwargs: Any,
) -> Any:
    """Some entries at a time, and the results together."""
    parts = []
    state = get_rng_state() if randomness == "same" else None
    for start in range(0, size, chunk_size):
        stop = min(size, start + chunk_size)
        if state is not None:
            set_rng_state(state)
        part = [
            t if dim is None else s.slice_(t, dim=dim, part=slice(start, stop))
            for t, dim in zip(flat, dims, strict=True)
        ]
        parts.append(_flat(func, stop - start, dims, part, spec, out_dims, randomness, kwargs))
    _, places, out_spec = parts[0]
    together = [
        leaves[0] if place is None else _moved(s.cat_(*leaves, dim=0), place)
        for leaves, place in zip(zip(*[p[0] for p in parts], strict=True), places, strict=True)
    ]
    return out_spec.unflatten(together)
