"""Comparisons in place: the target keeps its dtype and a history, through which nothing flows.

Here: the nodes. Not here: comparing (elementwise.py), the write (inplace.py).
"""

from __future__ import annotations

from typing import Any

from lamina.core.tensor import Tensor
from lamina.primitives.registry import primitive, sum_to


def _nothing(g: Any, y_shape: tuple[int, ...]) -> Any:
    return (g * 0).sum_to_size(y_shape) if isinstance(g, Tensor) else sum_to(g * 0, y_shape)


def _declared(name: str) -> tuple[Any, Any]:
    with_number = primitive(
        f"{name}_number_written", lambda x, found: found.astype(x.dtype),
        grads=(lambda g: g * 0, None), node=f"{name.capitalize()}Backward0")  # fmt: skip
    with_tensor = primitive(
        f"{name}_written", lambda x, y, found: found.astype(x.dtype),
        grads=(lambda g: g * 0, _nothing, None), node=f"{name.capitalize()}Backward1")  # fmt: skip
    return with_number, with_tensor


_WRITTEN = {name: _declared(name) for name in ("eq", "ne", "lt", "le", "gt", "ge")}


def as_written(name: str, target: Tensor, other: Any, found: Tensor) -> Tensor:
    """What the comparison `name` of `target` with `other` found, as it is written into the target; other results as they are."""
    if name not in _WRITTEN or found._array.shape != target._array.shape:
        return found
    with_number, with_tensor = _WRITTEN[name]
    return with_tensor(target, other, found) if isinstance(other, Tensor) else with_number(target, found)  # type: ignore[no-any-return]
