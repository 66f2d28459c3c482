"""The forms in which pooling functions take their sizes: an integer, or one per dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina.core.tensor import Tensor

Ints = int | Sequence[int]
_WORDS = {1: "one int", 2: "two ints", 3: "three ints"}


def sizes(value: Any, rank: int, function: str, name: str, position: int, omissible: bool = False) -> list[int]:
    """`value` as `rank` integers, [] if it may be and is left out."""
    if value is None or (isinstance(value, Sequence) and len(value) == 0):
        if omissible:
            return []
        value = () if value is not None else value
    items = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    for item in items:
        if not hasattr(item, "__index__") or item.__class__ is bool:
            raise TypeError(
                f"{function}(): argument '{name}' (position {position}) must be tuple of ints, not "
                f"{type(item).__name__}"
            )
    if len(items) == 1:
        return [items[0].__index__()] * rank
    if len(items) == rank:
        return [item.__index__() for item in items]
    if rank == 1:
        raise RuntimeError(f"{function}() argument '{name}' should contain one int (got {len(items)})")
    choices = "either be omitted, a single int," if omissible else "either be a single int,"
    raise RuntimeError(f"{function}: {name} must {choices} or a tuple of {_WORDS[rank]}")


def with_defaults(output_size: Any, input: Tensor, rank: int) -> list[int]:
    """The output size of an adaptive pool: a None means the input's own size."""
    size = input.size()
    if isinstance(output_size, int):
        return [output_size] * rank
    if len(size) <= rank:
        raise ValueError(f"Input dimension should be at least {rank + 1}")
    own = size[-len(output_size) :] if len(output_size) else ()
    return [n if wanted is None else wanted for wanted, n in zip(output_size, own, strict=True)]
