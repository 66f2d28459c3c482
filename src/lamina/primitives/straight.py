"""Which way a call takes: of a primitive that is not elementwise, or elementwise with more than two inputs.

Here: the choice. Not here: the straight way (ways.py); elementwise calls of one or two inputs (fast.py).
"""

from __future__ import annotations

from typing import Any

from lamina.core.tensor import Tensor
from lamina.primitives.dispatch import apply
from lamina.primitives.plans import plan_of, raw
from lamina.primitives.primitive import Primitive
from lamina.primitives.ways import way


def straight(p: Primitive, params: tuple[str, ...] = ()) -> Any:
    """The function of a primitive: called with its tensors, then its parameters, by position or by name."""
    if p.outputs > 1:
        common = len(p.nondiff) == p.outputs - 1
    elif p.outputs == 0:
        common = p.view
    elif p.elementwise:
        common = p.promote in ("same", "float", "rest") and not p.native
    else:
        common = not p.variadic or not p.inputs[1:]
    if not common or plan_of(p, params) is None:
        return _general(p)
    many = p.outputs == 1 and p.variadic
    names = () if many else ("input",) if len(p.inputs) == 1 else tuple([f"input{i}" for i in range(len(p.inputs))])
    return way(p, names, params)


def _general(p: Primitive) -> Any:
    """Any number of tensors or results."""
    forward = p.forward

    def op(*tensors: Any, **params: Any) -> Any:
        if tensors and tensors[0].__class__ is not Tensor and raw(tensors):
            return forward(*tensors, **params)
        return apply(p, tensors, params)

    return op
