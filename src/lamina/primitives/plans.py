"""What a call saves for its rules: read once from the declaration, filled in at each call.

Here: plans, and the small steps that the straight ways share. Not here: the calls (straight.py, straight_many.py); saving where something
special is switched on (dispatch.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.autograd.saved import SavedOutput
from lamina.core.parameter import Parameter
from lamina.core.size import broadcast
from lamina.core.strided import is_turned
from lamina.core.tensor import LEAF, Tensor, version
from lamina.primitives.dispatch import wanted_saves
from lamina.primitives.primitive import Primitive

ndarray = np.ndarray
new = object.__new__

# What a rule needs, as a plan: (code, which).
TENSOR, PARAM, SHAPE, DTYPE, NEEDS, OUT, RESULT, TURNED = range(8)
_FACTS = {"shape": SHAPE, "dtype": DTYPE, "turned": TURNED}


def plan_of(p: Primitive, params: tuple[str, ...]) -> list[tuple[int, Any]] | None:
    """How to find what the rules of `p` need; None where it takes a closer look."""
    plan: list[tuple[int, Any]] = []
    for name in p.saves:
        base, _, what = name.rpartition("_")
        if name in p.inputs:
            plan.append((TENSOR, p.inputs.index(name)))
        elif name in params:
            plan.append((PARAM, params.index(name)))
        elif base in p.inputs and what in _FACTS:
            plan.append((_FACTS[what], p.inputs.index(base)))
        elif name == "needs":
            plan.append((NEEDS, None))
        elif name == "out":
            plan.append((OUT, None))
        elif name.startswith("out_") and int(name[4:]) in p.nondiff:
            plan.append((RESULT, int(name[4:])))
        else:
            return None
    return plan


def save(plan: Any, node: Any, tensors: Any, values: Any, out: Any, wanted: Any) -> None:
    """What the rules need, by plan. out: the result, or all of them; wanted: which of it (None: all)."""
    saved: list[Any] = []
    versions: list[Any] = []
    for code, which in plan:
        held = value = None
        if wanted is not None and len(saved) not in wanted:
            pass
        elif code == TENSOR:
            value = tensors[which]
            if value.__class__ is Tensor or value.__class__ is Parameter:
                counter = value._version_
                held = 0 if counter is None else counter.n
        elif code == PARAM:
            value = values[which]
        elif code == SHAPE:
            value = tensors[which]
            value = None if value is None else value._array.shape
        elif code == OUT:
            value, held = new(SavedOutput), 0
            value.array, value.kind, value.nr, value.version = out._array, out._kind, None, version(out)
        elif code == RESULT:
            value = out[which]  # it has no history, so that no cycle closes
            held = None if value is None else 0
        elif code == DTYPE:
            value = tensors[which]
            value = None if value is None else value._kind.dtype
        elif code == TURNED:
            value = is_turned(tensors[which]._array)
        else:
            value = tuple([e is not None for e in node._edges])
        saved.append(value)
        versions.append(held)
    node._saved, node._versions = tuple(saved), tuple(versions)


# Functions of their own, as a comprehension in a function makes every access to the variables that it reads slower.


def in_order(names: tuple[str, ...], values: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
    """All parameters in order, from those given by position and by name."""
    return (*values, *[named[n] for n in names[len(values) :] if n in named])


def picked(facts: tuple[Any, ...], at: list[int]) -> tuple[Any, ...]:
    return tuple([facts[i] for i in at])


def wanted_of(p: Primitive, edges: tuple[Any, ...], known: dict[tuple[bool, ...], Any]) -> Any:
    asked = tuple([e is not None for e in edges])
    found = known.get(asked)
    if found is None:
        found = known[asked] = wanted_saves(p, edges)
    return found


def edges_of(tensors: tuple[Any, ...], arrays: list[Any]) -> tuple[Any, ...]:
    return tuple([
        None if a.__class__ is not ndarray or t._node is None else t if t._node is LEAF else t._node
        for t, a in zip(tensors, arrays)  # noqa: B905
    ])  # fmt: skip


def facts_of(arrays: list[Any]) -> tuple[Any, ...]:
    """Shapes and dtypes of the inputs that are tensors, for the way back."""
    return tuple([(a.shape, a.dtype) if a.__class__ is ndarray else None for a in arrays])


def check_shapes(arrays: list[Any]) -> None:
    broadcast(*[a.shape for a in arrays if a.__class__ is ndarray])


def save_many(
    saves: tuple[str, ...], tensors: tuple[Tensor, ...], arrays: list[Any], nodes: list[Any], named: dict[str, Any]
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """What the rule of any number of tensors needs, and the versions of what can be written to."""
    saved: list[Any] = []
    versions: list[Any] = []
    for name in saves:
        held: Any = None
        if name == "shapes":
            value: Any = tuple([a.shape for a in arrays])
        elif name == "needs":
            value = tuple([node is not None for node in nodes])
        elif name == "rest":
            value = tensors[1:]
            held = tuple([0 if t._version_ is None else t._version_.n for t in value])
        else:
            value = named[name]
        saved.append(value)
        versions.append(held)
    return tuple(saved), tuple(versions)


def raw(tensors: tuple[Any, ...]) -> bool:
    """Whether a call comes from a rule in a plain backward: arrays only."""
    for t in tensors:
        if t.__class__ is not ndarray and isinstance(t, Tensor):
            return False
    return True
