"""Norms and distances: powers summed along rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lamina.compiler.graph import Node, Ref
from lamina.compiler.loops import Body, NotNative, Val, Work
from lamina.compiler.lowering.products import FLOATS
from lamina.compiler.lowering.reductions import Rows
from lamina.compiler.lowering.rules import rule, strides_in


def _norm(body: Body, value: Val, p: float) -> Any:
    """The p-norm of a row."""
    if p == 2:
        return body.sqrt(body.sum(body.mul(value, value)))
    size = body.abs(value)
    if p == math.inf:
        return body.max(size)
    if p == -math.inf:
        return body.min(size)
    if p == 0:
        return body.sum(body.cast(body.ne(size, 0.0), size.dtype))
    if p == 1:
        return body.sum(size)
    return body.pow(body.sum(body.pow(size, float(p))), 1.0 / p)


def _stretched(ref: Ref, shape: Sequence[int]) -> Ref:
    return ref._replace(shape=tuple(shape), strides=strides_in(ref, shape))


def _checked(*refs: Any) -> None:
    if any(r.__class__ is not Ref or r.dtype.name not in FLOATS or 0 in r.shape for r in refs):
        raise NotNative("no floats")


@rule("linalg_vector_norm")
def norm(node: Node) -> Sequence[Work]:
    x, out = node.inputs[0], node.outputs[0]
    _checked(x)
    assert out is not None
    rows = Rows(x, node.params["dims"])
    rows.store_row(out, _norm(rows.body, rows.load(x), node.params["p"]))
    return rows.work()


@rule("dist")
def dist(node: Node) -> Sequence[Work]:
    x, y = node.inputs
    out = node.outputs[0]
    _checked(x, y)
    assert out is not None
    rank = max(len(x.shape), len(y.shape))
    sizes = [(1,) * (rank - len(r.shape)) + r.shape for r in (x, y)]
    shape = [b if a == 1 else a for a, b in zip(*sizes, strict=True)]
    x, y = _stretched(x, shape), _stretched(y, shape)
    rows = Rows(x, None)
    rows.store_row(out, _norm(rows.body, rows.body.sub(rows.load(x), rows.load(y)), node.params["p"]))
    return rows.work()


@rule("cdist")
def cdist(node: Node) -> Sequence[Work]:
    """For p = 2 as for any other: the differences themselves, where a product of matrices would cancel."""
    x, y = node.inputs
    out = node.outputs[0]
    _checked(x, y, out)
    assert out is not None
    shape = (*out.shape, x.shape[-1])
    x = x._replace(shape=(*x.shape[:-1], 1, x.shape[-1]), strides=(*x.strides[:-1], 0, x.strides[-1]))
    y = y._replace(shape=(*y.shape[:-2], 1, *y.shape[-2:]), strides=(*y.strides[:-2], 0, *y.strides[-2:]))
    x, y = _stretched(x, shape), _stretched(y, shape)
    rows = Rows(x, (len(shape) - 1,))
    rows.store_row(out, _norm(rows.body, rows.body.sub(rows.load(x), rows.load(y)), node.params["p"]))
    return rows.work()
