"""Lowering: what each primitive is as a loop, a matrix product or another kernel. What has no rule here runs as a call into NumPy.

`lower(node)` gives a list of Work. Rules are found by the primitive's name; elementwise primitives need none: their `emit` is the
rule. Here: the table and the elementwise rule. Not here: joining loops (passes/fuse.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.compiler.calls import Call
from lamina.compiler.graph import Node, Ref
from lamina.compiler.loops import WIDE, Body, NotNative, Val, Work

Rule = Callable[[Node], Sequence[Any]]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Let this function lower the primitives of these names. It may raise NotNative."""

    def add(function: Rule) -> Rule:
        for name in names:
            RULES[name] = function
        return function

    return add


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


def strides_in(ref: Ref, shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a ref broadcast to `shape`, in bytes."""
    lead = len(shape) - len(ref.shape)
    return (0,) * lead + tuple(0 if n == 1 else s for n, s in zip(ref.shape, ref.strides, strict=True))


def operand(body: Body, given: Any, shape: Sequence[int], dtype: str) -> Val:
    """An input of a node as a value in the loop over `shape`."""
    if given.__class__ is Ref:
        return body.cast(body.load(given, strides_in(given, shape)), dtype)
    return body.const(given.value.item(), WIDE.get(dtype, dtype))


def name_of(given: Any) -> str:
    return str(given.dtype.name if given.__class__ is Ref else given.value.dtype.name)


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


from lamina.compiler.lowering import (  # noqa: E402, F401 (their rules register themselves)
    convolutions,
    distances,
    gathers,
    pooling,
    products,
    reductions,
    regions,
    scatters,
    shapes,
)
