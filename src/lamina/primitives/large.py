"""Where large arrays leave for native kernels: a primitive's computation and its gradient rules, declared `large=True`.

The compiler fills `Slots.fuser`; it answers NotImplemented where it has nothing (yet). Here: the two wrappers. Not here: what is compiled, and
when (compiler/eager.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.primitives.code_objects import by_position
from lamina.primitives.primitive import Rule, Slots

ndarray = np.ndarray
LARGE = 1 << 15
"""Elements from which on a kernel of its own is worth the question."""


def large_forward(compute: Callable[..., Any], tensors: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """`compute` on arrays, by a native kernel where they are large. tensors: gives the same function on Tensors."""

    code = compute.__code__
    count = code.co_argcount
    names = code.co_varnames[count : count + code.co_kwonlyargcount]

    by_place = by_position(compute)

    def forward(*arrays: Any, **params: Any) -> Any:
        if arrays[0].size < LARGE or Slots.fuser is None:
            return by_place(*arrays, **params)
        if len(arrays) > count:  # parameters by position
            params = dict(zip(names, arrays[count:], strict=False)) | params
            arrays = arrays[:count]
        found = Slots.fuser(tensors(), arrays, params)
        return compute(*arrays, **params) if found is NotImplemented else found

    forward.__wrapped__ = compute  # type: ignore[attr-defined]
    return forward


def large_elementwise(compute: Callable[..., Any], tensors: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """`large_forward` of elements: of one array, or of two alike."""

    def one(x: Any) -> Any:
        if x.size >= LARGE and Slots.fuser is not None:
            found = Slots.fuser(tensors(), (x,), {})
            if found is not NotImplemented:
                return found
        return compute(x)

    def two(x: Any, y: Any) -> Any:
        if x.__class__ is ndarray and x.size >= LARGE and Slots.fuser is not None:
            found = Slots.fuser(tensors(), (x, y), {})
            if found is not NotImplemented:
                return found
        return compute(x, y)

    forward: Any = one if compute.__code__.co_argcount == 1 else two
    forward.__wrapped__ = compute
    return forward  # type: ignore[no-any-return]


def large_call(function: Callable[..., Any], compute: Callable[..., Any], *arrays: Any) -> Any:
    """compute(*arrays), by a native kernel where one is large. function: the same on Tensors."""
    if Slots.fuser is not None and any(a.size >= LARGE for a in arrays):
        found = Slots.fuser(function, arrays, {})
        if found is not NotImplemented:
            return found
    return compute(*arrays)


def large_rule(rule: Rule | None) -> Rule | None:
    """A gradient rule, which on arrays may leave for a native kernel."""
    if rule is None:
        return None
    plain = rule

    def vjp(g: Any, *saved: Any) -> Any:
        if Slots.fuser is not None:
            first = g[0] if g.__class__ is list else g
            if first.__class__ is ndarray and first.size >= LARGE:
                found = Slots.fuser(plain, (g, *saved), {})
                if found is not NotImplemented:
                    return found
        return plain(g, *saved)

    vjp.__wrapped__ = plain  # type: ignore[attr-defined]
    return vjp
