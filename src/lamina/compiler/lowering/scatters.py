"""Rows added up at indices: gradients of embeddings and of selections with one index."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from lamina.compiler.graph import Node, Ref
from lamina.compiler.kernels import Scatter
from lamina.compiler.loops import Body, NotNative, Work, access
from lamina.compiler.lowering import rule
from lamina.compiler.lowering.pooling import Core, product
from lamina.compiler.lowering.products import FLOATS


def _joined(ref: Ref, first: int, last: int) -> Ref:
    """Dimensions first .. last - 1 as one (of size 1 where there are none). Raises NotNative where they are not one walk."""
    real = [(n, s) for n, s in zip(ref.shape[first:last], ref.strides[first:last], strict=True) if n != 1]
    for (_, outer), (count, inner) in zip(real, real[1:], strict=False):
        if outer != inner * count:
            raise NotNative("rows that are no one walk")
    size, stride = prod(n for n, _ in real), real[-1][1] if real else ref.dtype.itemsize
    shape, strides = (*ref.shape[:first], size, *ref.shape[last:]), (*ref.strides[:first], stride, *ref.strides[last:])
    return Ref(ref.value, ref.offset, shape, strides, ref.dtype)


def _added(g: Any, index: Any, out: Any, dim: int, skip: int | None = None) -> list[Work]:
    """out[..., index[i], ...] += g[..., i, ...]: the index's dimensions stand in g where `dim` is in out."""
    if g.__class__ is not Ref or index.__class__ is not Ref or g.dtype.name not in FLOATS or 0 in out.shape:
        raise NotNative("a sum of such rows")
    if index.dtype.name not in ("int64", "int32", "uint8") or not g.shape or 0 in g.shape:
        raise NotNative("a sum at such indices")
    picks = len(index.shape)
    index = _joined(index, 0, picks)
    values = _joined(_joined(g, dim + picks, len(g.shape)), dim, dim + picks)
    target = _joined(out, dim + 1, len(out.shape))
    *batch, rows, width = target.shape
    body = Body()
    body.store(target, target.strides, product(body, target))
    core = Core(
        lambda a, b, body: Scatter(tuple(batch), rows, width, values.shape[-2], a, b, body, skip), f"{index.shape[0]} of {rows}",
        access(index, (0,) * dim + index.strides), access(values, values.strides),
    )  # fmt: skip
    return [Work(target.shape, len(target.shape), body.insts, core=core)]


@rule("embedding_dense_backward")
def embedding_grad(node: Node) -> Sequence[Work]:
    if node.params["scale_grad_by_freq"]:
        raise NotNative("gradients shared by frequency")
    padding = node.params["padding_idx"]
    g, index = node.inputs
    return _added(g, index, node.outputs[0], 0, None if padding < 0 else padding)


@rule("index_select_adjoint")
def index_select_adjoint(node: Node) -> Sequence[Work]:
    g, index = node.inputs
    return _added(g, index, node.outputs[0], node.params["dim"])


@rule("index_adjoint")
def index_adjoint(node: Node) -> Sequence[Work]:
    if len(node.params["at"]) != 1 or len(node.inputs) != 2:
        raise NotNative("several indices")
    g, index = node.inputs
    return _added(g, index, node.outputs[0], node.params["at"][0])
