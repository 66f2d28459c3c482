"""`torch._C._functorch`: which transforms are open, which of them a tensor takes part in, and transforms opened by hand.

Here: these under PyTorch's names. Its tensors are wrapped once for each transform; lamina's are not, and are asked
(primitives/wrapping.py). Not here: interpreters, functionalization: lamina has none.
"""

from __future__ import annotations

import enum
import threading
from typing import Any

from lamina.autograd import modes
from lamina.autograd.graph import next_seq
from lamina.core.tensor import Tensor
from lamina.func.vmap import entry
from lamina.primitives.levels import Level, edge_of_value, levels_of, place, value_at, without_history
from lamina.primitives.rearrange import movedim
from lamina.primitives.wrapping import outlived, places, wrappers

TransformType = enum.Enum("TransformType", "Torch Vmap Grad Jvp Functionalize", module="torch._C._functorch")
RandomnessType = enum.Enum("RandomnessType", "Error Same Different", module="torch._C._functorch")


# ---- questions -------------------------------------------------------------------------------------------------------


def maybe_get_level(tensor: Tensor) -> int:
    """The depth of the innermost transform that `tensor` takes part in; -1: in none; -2: it has outlived its own."""
    around = wrappers(tensor)
    return around[-1][0] if around else -2 if outlived(tensor) else -1


def dlevel(tensor: Tensor) -> int:
    """The depth of the innermost transform of gradients that `tensor` takes part in; 0: in none; -1: it has outlived its own."""
    around = wrappers(tensor)
    if not around:
        return -1 if outlived(tensor) else 0
    depth, level = around[-1]
    return depth if level is None else 0


def is_batchedtensor(tensor: Tensor) -> bool:
    """Whether the innermost transform that `tensor` takes part in is vmap."""
    around = wrappers(tensor)
    return bool(around) and around[-1][1] is not None


def is_gradtrackingtensor(tensor: Tensor) -> bool:
    """Whether the innermost transform that `tensor` takes part in is one of gradients."""
    around = wrappers(tensor)
    return around[-1][1] is None if around else outlived(tensor)


def is_functorch_wrapped_tensor(tensor: Tensor) -> bool:
    """Whether `tensor` takes part in a transform."""
    return bool(wrappers(tensor)) or outlived(tensor)


def is_functionaltensor(tensor: Tensor) -> bool:
    """False: writes in place are carried out."""
    return False


is_legacy_batchedtensor = is_functionaltensor
is_dead_tensor_wrapper = outlived


def unwrap_if_dead(tensor: Tensor) -> Tensor:
    """`tensor` without its history where it has outlived the transform that it was made in."""
    return without_history(tensor) if outlived(tensor) else tensor


def maybe_get_bdim(tensor: Tensor) -> int:
    """Where the entries of a batch lie; -1 where `tensor` is none."""
    return 0 if is_batchedtensor(tensor) else -1


def get_unwrapped(tensor: Tensor) -> Tensor:
    """`tensor` as it is outside of the innermost transform that it takes part in."""
    around = wrappers(tensor)
    level = around[-1][1] if around else None
    return without_history(tensor) if level is None else value_at(tensor, level)


def maybe_current_level() -> int | None:
    """How many transforms are open; None: none."""
    return modes.transforming() or None


def current_level() -> int:
    """How many transforms are open. Raises RuntimeError where none is."""
    if not modes.transforming():
        raise RuntimeError("current_level: no transform of torch.func is running")
    return modes.transforming()


get_dynamic_layer_stack_depth = modes.transforming


def peek_interpreter_stack() -> None:
    """None: operations are not interpreted."""


def get_interpreter_stack() -> None:
    """None."""


# ---- switches that choose nothing here -------------------------------------------------------------------------------


def get_single_level_autograd_function_allowed() -> bool:
    """True: a Function is applied at each level that takes part in it."""
    return True


def set_single_level_autograd_function_allowed(allowed: bool) -> None:
    """Nothing to set."""


def get_inplace_requires_grad_allowed() -> bool:
    """False: `requires_grad_()` is refused inside a transform."""
    return False


set_inplace_requires_grad_allowed = set_single_level_autograd_function_allowed
_set_vmap_fallback_warning_enabled = _set_vmap_fallback_enabled = set_single_level_autograd_function_allowed
_is_vmap_fallback_enabled = get_single_level_autograd_function_allowed


# ---- transforms opened by hand ---------------------------------------------------------------------------------------


class _Opened(threading.local):
    """The transforms that this thread has opened by hand, and the places of what they differentiate by."""

    def __init__(self) -> None:
        self.contexts: list[tuple[modes.Transforming, Level | None, list[Any]]] = []


_opened = _Opened()


def _open(level: Level | None) -> int:
    context = modes.Transforming()
    depth = context.__enter__()
    if level is not None:
        level.__enter__()
    _opened.contexts.append((context, level, []))
    return depth


def _close() -> int:
    if not _opened.contexts:
        raise RuntimeError("no transform has been opened")
    context, level, inside = _opened.contexts.pop()
    now = next_seq()
    for opened in inside:
        opened.closed = now
    if level is not None:
        level.__exit__()
    context.__exit__()
    return modes.transforming() + 1


def _vmap_increment_nesting(batch_size: int, randomness: str) -> int:
    """Open a vmap; its depth."""
    return _open(Level(batch_size, randomness))


def _jvp_increment_nesting() -> int:
    """Open a transform of tangents; its depth."""
    return _open(Level())


def _grad_increment_nesting() -> int:
    """Open a transform of gradients; its depth."""
    return _open(None)


_vmap_decrement_nesting = _jvp_decrement_nesting = _grad_decrement_nesting = _close


def pop_dynamic_layer_stack_and_undo_to_depth(depth: int) -> None:
    """Close what was opened beyond `depth`."""
    while modes.transforming() > depth:
        _close()


def _wrap_for_grad(tensor: Tensor, level: int) -> Tensor:
    """`tensor`, to differentiate by in the transform of this depth."""
    for context, _, inside in _opened.contexts:
        if context.before + 1 == level:
            made = place(tensor)
            own = edge_of_value(made)
            own.depth = level
            inside.append(own)
            return made
    raise RuntimeError(f"_wrap_for_grad: no transform of depth {level} was opened")


def _unwrap_for_grad(tensor: Tensor, level: int) -> Tensor:
    """`tensor` as it is outside of the transform of this depth."""
    return without_history(tensor) if any(own.depth == level for own in places(tensor)) else tensor


def _level_of(depth: int) -> Level:
    for level in modes.mode().transforms:
        if level.depth == depth and level.size is not None:
            return level  # type: ignore[no-any-return]
    raise RuntimeError(f"no vmap of depth {depth} is open")


def _add_batch_dim(tensor: Tensor, batch_dim: int, level: int) -> Tensor:
    """`tensor` as a batch of the vmap of this depth, its entries along `batch_dim`."""
    return entry(tensor, batch_dim % max(1, tensor._array.ndim), _level_of(level))


def _remove_batch_dim(tensor: Tensor, level: int, batch_size: int, out_dim: int) -> Tensor:
    """All entries of `tensor` along `out_dim`."""
    return movedim(value_at(tensor, _level_of(level)), 0, out_dim)


def _unwrap_batched(tensor: Tensor, level: int) -> tuple[Tensor, int | None]:
    """All entries of `tensor` at the vmap of this depth and where they lie; itself and None where it is no batch there."""
    own = _level_of(level)
    return (value_at(tensor, own), 0) if own in levels_of(tensor) else (tensor, None)


# ---- dimensions ------------------------------------------------------------------------------------------------------


def reshape_dim_into(src: int, dst: int, x: Tensor) -> Tensor:
    """The dimension `src` of `x` joined to `dst`, counted among the others, as its outer part."""
    rank = x._array.ndim
    dst %= max(1, rank - 1)
    shape = [n for i, n in enumerate(x._array.shape) if i != src % rank]
    shape[dst] *= x._array.shape[src]
    return movedim(x, src, dst).reshape(shape)  # type: ignore[attr-defined,no-any-return]


def reshape_dim_outof(src: int, size1: int, x: Tensor) -> Tensor:
    """The dimension `src` of `x` as two, the outer of size `size1`."""
    shape = list(x._array.shape)
    src %= len(shape)
    if shape[src] % size1:
        raise RuntimeError(f"reshape_dim_outof: {shape[src]} is not divisible by {size1}")
    shape[src : src + 1] = [size1, shape[src] // size1]
    return x.reshape(shape)  # type: ignore[attr-defined,no-any-return]
