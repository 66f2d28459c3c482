"""Random draws inside vmap: one for all entries, or one for each, as the level says.

Here: `spread` (new tensors), `draw` (draws that depend on tensors), `filling` (draws in place). Not here: any distribution
(random.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from lamina.autograd import modes
from lamina.core.strided import Array
from lamina.core.tensor import Tensor
from lamina.primitives.argument_types import check_strict, refuse, strict_arguments
from lamina.primitives.batching import filled
from lamina.primitives.levels import Level, batch_levels, batched, in_batch
from lamina.primitives.shape import stack_


def _check(level: Level) -> None:
    if level.randomness == "error":
        raise RuntimeError(
            "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' randomness flags "
            "on vmap or perform the randomness operation out of vmap"
        )


def reported(draw: Callable[[], Array]) -> Array:
    """The draws; where a run is recorded, the recording learns how to draw again."""
    array = draw()
    now = modes.current()
    if now is not None and now.listener is not None:
        now.listener.drawn(array, draw)
    return array


def spread(shape: tuple[int, ...], make: Callable[[tuple[int, ...]], Tensor], *, one_by_one: bool = False) -> Tensor:
    """A new tensor of draws: `make(shape)`, or with draws for each entry. one_by_one: `make` cannot draw for all at once."""
    return _spread(shape, batch_levels(), make, one_by_one)


def _spread(shape: tuple[int, ...], levels: Sequence[Level], make: Any, one_by_one: bool) -> Tensor:
    if not levels:
        return make(shape)  # type: ignore[no-any-return]
    *outer, level = levels
    _check(level)
    if level.randomness == "same":
        return _spread(shape, outer, make, one_by_one)
    if one_by_one:
        return batched(stack_(*[_spread(shape, outer, make, True) for _ in range(level.size or 0)], dim=0), level)
    return batched(_spread((level.size or 0, *shape), outer, make, False), level)


def draw(tensors: Sequence[Any], compute: Callable[..., Tensor]) -> Tensor:
    """`compute(*tensors)`, whose draws depend on tensors (or numbers), which broadcast."""
    return _draw(tensors, batch_levels(), compute)


def _draw(tensors: Sequence[Any], levels: Sequence[Level], compute: Callable[..., Tensor]) -> Tensor:
    if not levels:
        now = modes.current()
        if now is not None and now.listener is not None:
            now.listener.fail("random draws that depend on a tensor's values")
        return compute(*tensors)
    *outer, level = levels
    _check(level)
    if level.randomness == "same":
        if any(in_batch(t, level) for t in tensors):
            raise RuntimeError(
                "Vmap does not currently support same randomness with a batched tensor input. Please file an issue with functorch"
            )
        return _draw(tensors, outer, compute)
    rank = max(t._array.ndim for t in tensors if isinstance(t, Tensor))
    values = [filled(t, rank, level) if isinstance(t, Tensor) else t for t in tensors]
    return batched(_draw(values, outer, compute), level)


def filling(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let a method that fills its tensor with draws do so for each entry of a batch."""

    strict = strict_arguments(method)

    @functools.wraps(method)
    def at_levels(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_strict(method, strict, (self, *args), kwargs)
        levels = batch_levels()
        if not levels:
            try:
                return method(self, *args, **kwargs)
            except Exception as error:
                refuse(method, (self, *args), kwargs, error)
                raise
        now = modes.mode().transforms
        token = modes.change(transforms=tuple(level for level in now if level.size is None))
        try:
            _fill(self, levels, lambda t: method(t, *args, **kwargs))
        finally:
            modes.reset(token)
        return self

    return at_levels


def _fill(self: Any, levels: Sequence[Level], method: Callable[[Tensor], Any]) -> None:
    if not levels:
        method(self)
        return
    *outer, level = levels
    _check(level)
    if not in_batch(self, level):
        if level.randomness == "different":
            raise RuntimeError(
                "vmap: Cannot ask for different inplace randomness on an unbatched tensor. This will appear like same randomness. If this "
                "is necessary for your usage, please file an issue with functorch."
            )
        _fill(self, outer, method)
    elif level.randomness == "different":
        _fill(self._value, outer, method)
    else:
        one = self._value[0].clone()
        _fill(one, outer, method)
        self._value.copy_(one)
