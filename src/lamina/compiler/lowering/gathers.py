"""Elements picked by integers: gather, embedding, indexing; and their gradients where each place gets one addend at most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina.compiler.graph import Node, Ref
from lamina.compiler.loops import Body, NotNative, Val, Work
from lamina.compiler.lowering.rules import rule, strides_in
from lamina.compiler.lowering.shapes import copied


def _integers(body: Body, index: Ref, strides: Sequence[int]) -> Val:
    if index.dtype.name not in ("int64", "int32", "uint8"):
        raise NotNative(index.dtype.name)
    return body.cast(body.load(index, strides), "int64")


def bounded(body: Body, index: Val, n: int, negative: bool) -> Val:
    """An index that is safe to use: counted from the end where it is negative, and inside in any case (checks are made before)."""
    if negative:
        index = body.select(body.lt(index, 0), body.add(index, n), index)
    return body.maximum(body.minimum(index, n - 1), 0)  # type: ignore[no-any-return]


@rule("gather")
def gather(node: Node) -> Sequence[Work]:
    x, index = node.inputs
    out, dim = node.outputs[0], node.params["dim"]
    assert out is not None
    if 0 in x.shape:
        raise NotNative("nothing to pick from")
    if not x.shape:
        return [copied(x, out)]
    body = Body()
    at = bounded(body, _integers(body, index, index.strides), x.shape[dim], False)
    strides = [0 if d == dim else s for d, s in enumerate(x.strides)]
    body.store(out, out.strides, body.gather(x, strides, (at,), (x.strides[dim],)))
    return [Work(out.shape, len(out.shape), body.insts)]


@rule("embedding", "index_select")
def embedding(node: Node) -> Sequence[Work]:
    if node.name == "embedding":
        weight, index = node.inputs
        dim = 0
    else:
        weight, index = node.inputs
        dim = node.params["dim"]
    out = node.outputs[0]
    assert out is not None
    if not weight.shape or 0 in weight.shape:
        raise NotNative("0-d")
    body = Body()
    rank, picks = len(out.shape), len(index.shape)
    strides = (0,) * dim + index.strides + (0,) * (rank - dim - picks)
    at = bounded(body, _integers(body, index, strides), weight.shape[dim], False)
    walk = weight.strides[:dim] + (0,) * picks + weight.strides[dim + 1 :]
    body.store(out, out.strides, body.gather(weight, walk, (at,), (weight.strides[dim],)))
    return [Work(out.shape, rank, body.insts)]


@rule("index")
def index(node: Node) -> Sequence[Work]:
    x, *indices = node.inputs
    out, at = node.outputs[0], node.params["at"]
    assert out is not None
    if any(b != a + 1 for a, b in zip(at, at[1:], strict=False)) or not at or 0 in x.shape:
        raise NotNative("scattered dimensions")
    common = len(out.shape) - (len(x.shape) - len(at))
    shape = out.shape[at[0] : at[0] + common]
    rest = len(out.shape) - at[0] - common
    body = Body()
    places: list[Any] = []
    for d, one in zip(at, indices, strict=True):
        if one.__class__ is not Ref:
            raise NotNative("a number as index")
        strides = (0,) * at[0] + strides_in(one, shape) + (0,) * rest
        places.append(bounded(body, _integers(body, one, strides), x.shape[d], True))
    walk = x.strides[: at[0]] + (0,) * common + x.strides[at[-1] + 1 :]
    body.store(out, out.strides, body.gather(x, walk, places, [x.strides[d] for d in at]))
    return [Work(out.shape, len(out.shape), body.insts)]
