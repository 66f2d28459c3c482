"""What a call saves for its rules, read from the declaration; and the steps of straight ways that are loops.

Here: plans, and what the text of the ways calls. Not here: that text (ways.py); saving where something special is switched on
(dispatch.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.autograd.graph import Output
from lamina.autograd.views import View, attach_plain
from lamina.core.parameter import Parameter
from lamina.core.size import broadcast
from lamina.core.tensor import LEAF, Tensor, wrap
from lamina.primitives.dispatch import without_history
from lamina.primitives.primitive import Primitive

ndarray = np.ndarray

# What a rule needs, as a plan: (code, which).
TENSOR, PARAM, SHAPE, DTYPE, NEEDS, OUT, RESULT, TURNED, SHAPES, REST = range(10)
_NAMED = {"needs": NEEDS, "out": OUT, "shapes": SHAPES, "rest": REST}
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
        elif name in _NAMED and (name not in ("shapes", "rest") or (p.variadic and not p.inputs[1:])):
            plan.append((_NAMED[name], None))
        elif name.startswith("out_") and int(name[4:]) in p.nondiff:
            plan.append((RESULT, int(name[4:])))
        else:
            return None
    return plan


# ---- any number of tensors -------------------------------------------------------------------------------------------


def parts_of(tensors: tuple[Any, ...]) -> tuple[list[Any], tuple[Any, ...], bool]:
    """The arrays of plain tensors, the edges that lead to them, and whether one does; no arrays where they are not plain."""
    arrays: list[Any] = []
    edges: list[Any] = []
    history = False
    for t in tensors:
        if (t.__class__ is not Tensor and t.__class__ is not Parameter) or not t._kind.simple:
            return [], (), False
        node = t._node
        if node is not None:
            history = True
        edges.append(t if node is LEAF else node)
        arrays.append(t._array)
    return arrays, tuple(edges), history


def shapes_of(arrays: list[Any]) -> tuple[Any, ...]:
    return tuple([a.shape for a in arrays])


def needs_of(edges: tuple[Any, ...]) -> tuple[bool, ...]:
    return tuple([edge is not None for edge in edges])


def versions_of(tensors: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple([0 if t._version_ is None else t._version_.n for t in tensors])


def raw(tensors: tuple[Any, ...]) -> bool:
    """Whether a call comes from a rule in a plain backward: arrays only."""
    for t in tensors:
        if t.__class__ is not ndarray and isinstance(t, Tensor):
            return False
    return True


def check_shapes(*arrays: Any) -> None:
    """Raises RuntimeError for arrays, among them numbers, that do not broadcast."""
    broadcast(*[a.shape for a in arrays if a.__class__ is ndarray])


# ---- several results -------------------------------------------------------------------------------------------------


def wrapped(results: tuple[Any, ...]) -> tuple[Any, ...]:
    """Tensors around the arrays of several results, of which some may be None."""
    return tuple([None if r is None else wrap(r) for r in results])


def cut_off(p: Primitive, results: tuple[Any, ...], tensors: tuple[Any, ...], mode: Any) -> tuple[Any, ...]:
    """`without_history` of several results."""
    for out in results:
        if out is not None:
            without_history(p, out, tensors, mode)
    return results


def views_of(arrays: tuple[Any, ...], kind: Any, source: Tensor, way: View) -> tuple[Tensor, ...]:
    """Tensors around the arrays of several views of one tensor."""
    outs = tuple([wrap(a, kind) for a in arrays])
    for out in outs:
        attach_plain(out, source, way)
    return outs


def bind(outs: tuple[Tensor, ...], node: Any, kind: Any) -> None:
    """Let `outs` be the outputs of `node`."""
    for nr, out in enumerate(outs):
        out._node = Output(node, nr)
    node._width = len(outs)
    node._ends = tuple([(out._array.shape, kind) for out in outs])
