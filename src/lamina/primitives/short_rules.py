"""The short ways backward: the vjp of the common case, made for each primitive at its declaration.

A node whose inputs were plain tensors of one kind and shape runs its rules on arrays, after a look at the versions; whatever else was
the case goes to `PrimitiveNode._vjp` (nodes.py), which also tells what is wrong. Here: these functions. Not here: any rule.

Where a node's class says `_scalars`, cotangents of 0-d tensors may come as NumPy's scalars, which compute ten times as fast as
0-d arrays; what was saved is then taken out of its array.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.autograd.saved import Packed, SavedOutput
from lamina.core.parameter import Parameter
from lamina.core.tensor import Tensor
from lamina.primitives.code_objects import own_code
from lamina.primitives.nodes import PrimitiveNode, select_edges
from lamina.primitives.primitive import Primitive
from lamina.primitives.second import recorded

ndarray = np.ndarray


def unary_vjp(p: Primitive) -> Any:
    """The vjp of one input with at most one thing saved: the common case in few steps."""
    (rule,) = p.rules
    assert rule is not None
    general = PrimitiveNode._vjp

    def vjp(self: PrimitiveNode, g: Any, create: bool) -> Sequence[Any]:
        saved = self._saved
        if self._fix is not None or saved is None or (create and g.__class__ is not Tensor):
            return general(self, g, create)
        if not saved:
            return recorded(self, (rule(g),)) if create else (rule(g),)
        kept = saved[0]
        if kept.__class__ is SavedOutput:
            if kept.version.n == self._versions[0]:
                if create:
                    return recorded(self, (rule(g, kept.tensor(self)),))
                return (rule(g, kept.array if g.__class__ is ndarray else kept.array[()]),)
        elif kept.__class__ is Tensor or kept.__class__ is Parameter:
            counter = kept._version_
            if counter is None or counter.n == self._versions[0]:
                if create:
                    return recorded(self, (rule(g, kept),))
                return (rule(g, kept._array if g.__class__ is ndarray else kept._array[()]),)
        return general(self, g, create)

    return own_code(vjp)


def binary_vjp(p: Primitive) -> Any:
    """The vjp of two inputs, for plain tensors of one kind and shape."""
    first, second = p.rules
    assert first is not None and second is not None
    general = PrimitiveNode._vjp
    if not p.saves:

        def free(self: PrimitiveNode, g: Any, create: bool, chosen: Any = None) -> Sequence[Any]:
            if self._fix is not None or (create and g.__class__ is not Tensor):
                return general(self, g, create, chosen)
            one, two = self._edges if chosen is None else select_edges(self._edges, chosen)
            results = None if one is None else first(g), None if two is None else second(g)
            return recorded(self, results) if create else results

        return own_code(free)
    if any(len(pick) != 1 for pick in p.picks):
        return straight_vjp(p)
    (at_first,), (at_second,) = p.picks

    def vjp(self: PrimitiveNode, g: Any, create: bool, chosen: Any = None) -> Sequence[Any]:
        saved = self._saved
        if self._fix is not None or saved is None or (create and g.__class__ is not Tensor):
            return general(self, g, create, chosen)
        one, two = self._edges
        versions = self._versions
        x: Any = None
        y: Any = None
        if one is not None:
            x = saved[at_first]
            if x.__class__ is not Tensor and x.__class__ is not Parameter:
                return general(self, g, create, chosen)
            counter = x._version_
            if counter is not None and counter.n != versions[at_first]:
                return general(self, g, create, chosen)
        if two is not None:
            y = saved[at_second]
            if y.__class__ is not Tensor and y.__class__ is not Parameter:
                return general(self, g, create, chosen)
            counter = y._version_
            if counter is not None and counter.n != versions[at_second]:
                return general(self, g, create, chosen)
        if chosen is not None:
            one, two = select_edges(self._edges, chosen)
        if create:
            return recorded(self, (None if one is None else first(g, x), None if two is None else second(g, y)))
        if g.__class__ is ndarray:
            return (
                None if one is None else first(g, x._array),
                None if two is None else second(g, y._array),
            )
        return (
            None if one is None else first(g, x._array[()]),
            None if two is None else second(g, y._array[()]),
        )

    return own_code(vjp)


def number_vjp(p: Primitive) -> Any:
    """The vjp for (Tensor, number)."""
    (rule,) = p.rules
    assert rule is not None
    general = PrimitiveNode._vjp
    at = p.saves.index(p.inputs[0]) if p.inputs[0] in p.saves else -1
    several = len(p.saves) == 2

    def vjp(self: PrimitiveNode, g: Any, create: bool) -> Sequence[Any]:
        saved = self._saved
        if self._fix is not None or saved is None or (create and g.__class__ is not Tensor):
            return general(self, g, create)
        if not saved:
            results: Any = (rule(g),)
        elif at < 0:
            results = (rule(g, saved[0]),)
        else:
            kept, held = saved[at], self._versions[at]
            counter = kept._version_ if held is not None else None
            if held is None or (counter is not None and counter.n != held):
                return general(self, g, create)
            value = kept if create else kept._array if g.__class__ is ndarray else kept._array[()]
            if not several:
                results = (rule(g, value),)
            else:
                results = (rule(g, value, saved[1]),) if at == 0 else (rule(g, saved[0], value),)
        return recorded(self, results) if create else results

    return own_code(vjp)


def straight_vjp(p: Primitive) -> Any:
    """The vjp of any inputs with one result: what was saved is looked at once, each rule asked for is called."""
    general = PrimitiveNode._vjp
    ruled = tuple(zip(p.rules, p.picks, strict=True))
    whole = len(ruled) == 1 and p.picks[0] == tuple(range(len(p.saves)))
    rule: Any = p.rules[0]
    variadic, restores = p.variadic, p.restores

    def vjp(self: PrimitiveNode, g: Any, create: bool, chosen: Any = None) -> Sequence[Any]:
        kept = self._saved
        if kept is None or self._fix is not None or (create and (restores or g.__class__ is not Tensor)):
            return general(self, g, create, chosen)
        values: list[Any] = []
        for value, held in zip(kept, self._versions):  # noqa: B905
            cls = value.__class__
            if cls is Tensor or cls is Parameter:
                counter = value._version_
                if counter is not None and counter.n != held:
                    return general(self, g, create, chosen)
                if not create:
                    value = value._array
            elif cls is SavedOutput:
                if value.version.n != held:
                    return general(self, g, create, chosen)
                value = value.tensor(self) if create else value.array
            elif cls is tuple and held.__class__ is tuple:  # `rest`
                for t, n in zip(value, held):  # noqa: B905
                    if (t.__class__ is not Tensor and t.__class__ is not Parameter) or (
                        t._version_ is not None and t._version_.n != n
                    ):
                        return general(self, g, create, chosen)
                if not create:
                    value = _arrays(value)
            elif held is not None or cls is Packed or isinstance(value, Tensor):
                return general(self, g, create, chosen)
            values.append(value)
        if whole:
            results: Sequence[Any] = rule(g, *values) if variadic else (rule(g, *values),)
        else:
            results = _results(self._edges if chosen is None else select_edges(self._edges, chosen), g, values, ruled)
        return recorded(self, results) if create else results

    if p.holds:
        return own_code(vjp)

    def light(self: PrimitiveNode, g: Any, create: bool, chosen: Any = None) -> Sequence[Any]:
        """Where shapes and parameters are all that is saved."""
        values = self._saved
        if values is None or self._fix is not None or create:
            return vjp(self, g, create, chosen)
        if whole:
            return rule(g, *values) if variadic else (rule(g, *values),)
        return _results(self._edges if chosen is None else select_edges(self._edges, chosen), g, values, ruled)

    own_code(vjp)
    return own_code(light)


def _arrays(tensors: tuple[Tensor, ...]) -> tuple[Any, ...]:
    return tuple([t._array for t in tensors])


def _results(edges: tuple[Any, ...], g: Any, values: Any, ruled: Any) -> list[Any]:
    """The rules asked for, each with what it needs."""
    return [
        None if edge is None or rule is None else rule(g, *[values[j] for j in pick])
        for edge, (rule, pick) in zip(edges, ruled)  # noqa: B905
    ]
