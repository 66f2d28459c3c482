"""Images whose channels lie innermost: functions of images give their results in the format of what they were given.

Here: what `follows=True` in a declaration does. Not here: formats as arguments (conversion.py), what elementwise functions keep anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from lamina.core.strided import Array, is_channels_last
from lamina.primitives.code_objects import by_position


def following(compute: Callable[..., Any], tensors: int, lay: Callable[[Array], Array]) -> Callable[..., Any]:
    """`compute`, whose images lie as the channels-last ones among its first `tensors` arguments do. lay: brings one into that format."""
    wrapped = hasattr(compute, "__wrapped__")
    by_place = compute if wrapped else by_position(compute)

    def forward(*arrays: Any, **params: Any) -> Any:
        made = compute(*arrays, **params) if params else by_place(*arrays)
        rank = channels_last_rank(arrays[:tensors])
        if not rank:
            return made
        if made.__class__ is tuple:
            return tuple([lay(m) if m is not None and m.ndim == rank else m for m in made])
        return lay(made)

    forward.__wrapped__ = compute.__wrapped__ if wrapped else compute  # type: ignore[attr-defined]
    return forward


def channels_last_rank(arrays: Iterable[Any]) -> int:
    """4 or 5 where an image of that many dimensions has its channels innermost, else 0."""
    for a in arrays:
        if a is not None and a.ndim > 3 and not a.flags.c_contiguous and is_channels_last(a):
            return a.ndim  # type: ignore[no-any-return]
    return 0


def channels_last(x: Array) -> Array:
    """The same elements, channels innermost."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def untouched_channels_last(x: Array) -> Array:
    """Memory in the place of `x`, channels innermost."""
    n, c, *space = x.shape
    return np.moveaxis(np.empty((n, *space, c), x.dtype), -1, 1)
