"""Lowering: what each primitive is as a loop, a matrix product or another kernel. What has no rule here runs as a call into NumPy.

`lower(node)` gives a list of Work. Rules are found by the primitive's name; primitives with an `emit` in their declaration need none:
it is the rule. Here: this choice. Not here: the rules (one file for each family), joining loops (passes/fuse.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.compiler.calls import Call
from lamina.compiler.graph import Node
from lamina.compiler.loops import WIDE, Body, NotNative, Work
from lamina.compiler.lowering import (
    convolutions,
    distances,
    gathers,
    pools,
    products,
    reductions,
    regions,
    resizing,
    scatters,
    shapes,
    windows,
)
from lamina.compiler.lowering.rules import RULES, name_of, operand

FAMILIES = (convolutions, distances, gathers, pools, products, reductions, regions, resizing, scatters, shapes, windows)
"""The files whose rules are in the table."""


def lower(node: Node) -> list[Any]:
    """The work of a node: kernels, or one call."""
    try:
        found = RULES.get(node.name)
        if found is not None:
            works = list(found(node))
        elif node.primitive is not None and node.primitive.emit is not None:
            works = [elementwise(node)]
        else:
            return [Call(node)]
    except NotNative:
        return [Call(node)]
    for work in works:
        work.places, work.names = (node.place,), (node.name.removeprefix("fused "),)
    return [work for work in works if 0 not in work.dims or work.core is not None]


def elementwise(node: Node) -> Work:
    """The primitive's own expression. Parameters are keywords of it."""
    p, out = node.primitive, node.outputs[0]
    assert out is not None
    dtypes = [name_of(given) for given in node.inputs]
    if any(d.startswith("complex") for d in dtypes):
        raise NotNative("complex")
    if p.promote == "bool" and len(set(dtypes)) > 1:  # integers of several sizes are compared as they are
        dtypes = [np.result_type(*dtypes).name] * len(dtypes)
    body = Body()
    values = [operand(body, given, out.shape, WIDE.get(d, d)) for given, d in zip(node.inputs, dtypes, strict=True)]
    result = p.emit(body, *values, **node.params)
    body.store(out, out.strides, result)
    return Work(out.shape, len(out.shape), body.insts)
