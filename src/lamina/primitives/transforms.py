"""A call while levels are open: which of them it belongs to. And writes in place, where values, batches and tangents follow.

Batches come first, from the innermost on; what is left are calls on plain tensors, which may carry tangents. Here: this order.
Not here: levels (levels.py), rules (batching.py, tangents.py), the public transforms (func/, autograd/forward_ad.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from lamina.autograd import modes, views
from lamina.core.strided import overlaps_itself
from lamina.core.tensor import LEAF, Tensor, more, wrap
from lamina.primitives import batching_images, batching_indices  # noqa: F401 (their rules register themselves)
from lamina.primitives.batching import batch
from lamina.primitives.levels import (
    Batched,
    Entry,
    Level,
    alias,
    batch_levels,
    rebatched,
    tangent_of,
    value_at,
    with_tangent,
)
from lamina.primitives.registry import Primitive, Slots
from lamina.primitives.tangents import dual

__all__ = ["alias", "inplace", "transform"]


def transform(p: Primitive, tensors: Sequence[Any], params: dict[str, Any]) -> Any:
    """Carry out a call at the level that it belongs to; NotImplemented where it belongs to none."""
    level: Level | None = None
    for t in tensors:
        if t.__class__ is Batched and (level is None or t._level.id > level.id):
            level = t._level
    if level is not None:
        return batch(p, tensors, params, level)
    carrier = innermost_tangent(tensors)
    return NotImplemented if carrier is None else dual(p, tensors, params, carrier)


def innermost_tangent(tensors: Sequence[Any]) -> Level | None:
    """The innermost level at which one of these plain tensors has a tangent."""
    mode = modes.mode()
    for level in mode.transforms:
        if level.size is None:
            break
    else:
        return None
    if not mode.forward_level or mode.inference:
        return None
    carried = [t._more.tangents for t in tensors if isinstance(t, Tensor) and t._more is not None and t._more.tangents]
    if carried:
        for level in reversed(mode.transforms):
            if level.size is None and any(level.id in tangents for tangents in carried):
                return level  # type: ignore[no-any-return]
    return None


# ---- writes ----------------------------------------------------------------------------------------------------------

_TOO_BIG = (
    "vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a Tensor `other` in extra_args that has more "
    "elements than `self`. This happened due to `other` being vmapped over but `self` not being vmapped over in a vmap. Please try to "
    "use out-of-place operators instead of inplace arithmetic. If said operator is being called inside the PyTorch framework, please "
    "file a bug report instead."
)


def inplace(self: Tensor, name: str, compute: Callable[[Tensor], Tensor], args: Iterable[Any]) -> Any:
    """A write in which levels take part: to all entries, and to the tangents. NotImplemented where none does."""
    if not any(_takes_part(t) for t in (self, *args)):
        return NotImplemented
    result = compute(_before(self, modes.is_grad_enabled()))
    if self.__class__ is Batched:
        return _write_batch(self, result)
    if result.__class__ is Batched:
        raise RuntimeError(_TOO_BIG)
    levels = [level for level in modes.mode().transforms if level.size is None]
    moved = [(level, tangent_of(result, level)) for level in levels]
    token = modes.change(transforms=batch_levels())
    try:
        self.copy_(result)
    finally:
        modes.reset(token)
    for level, tangent in moved:
        _write_tangent(self, tangent, level)
    return self


def _takes_part(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(_takes_part, value))
    return value.__class__ is Batched or (isinstance(value, Tensor) and innermost_tangent((value,)) is not None)


def _before(t: Tensor, copied: bool) -> Tensor:
    """What is to be written, as it is now: with its history, and memory of its own where that may be saved."""
    if t.__class__ is Batched:
        return rebatched(_before(t._value, copied), t)
    old = wrap(t._array.copy() if copied else t._array, t._kind)
    old._node = None if t._node is LEAF else t._node
    if t._more is not None and t._more.tangents:  # they are written in place as well
        more(old).tangents = {n: _before(tangent, copied) for n, tangent in t._more.tangents.items()}
    return old


def _write_batch(self: Any, result: Tensor) -> Tensor:
    if result.__class__ is Batched and result._level.id > self._level.id:
        raise RuntimeError(_TOO_BIG)
    if result._array.shape != self._array.shape:
        raise RuntimeError(
            f"output with shape {list(self._array.shape)} doesn't match the broadcast shape {list(result._array.shape)}"
        )
    self._value.copy_(value_at(result, self._level))
    if result._array.__class__ is Entry and self._array.__class__ is not Entry:
        self._array = self._array.view(Entry)
    return self  # type: ignore[no-any-return]


def _write_tangent(self: Tensor, tangent: Any, level: Level) -> None:
    """Views share the memory of tangents as they share that of values: so a tangent is written in place too."""
    token = modes.set_current(level.without())
    try:
        held = tangent_of(self, level)
        if held is None:
            if tangent is None:
                return
            base = self if self._base is None else self._base
            root = wrap(np.zeros_like(base._array), base._kind)
            with_tangent(base, root, level)
            for ref in (base._more.views if base._more is not None else None) or ():
                view = ref()
                if view is not None:
                    again = view._more.view.replay
                    with_tangent(
                        view, again(root) if again else views.Strided.take(root, *views.geometry(view, base)), level
                    )
            held = tangent_of(self, level)
        elif overlaps_itself(held._array):
            held = held.clone()
            with_tangent(self, held, level)
        if tangent is None:
            held.zero_()
        else:
            held.copy_(tangent)
    finally:
        modes.reset(token)


Slots.transform, Slots.inplace = staticmethod(transform), staticmethod(inplace)
