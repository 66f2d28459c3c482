"""Additions by index: gradients of what picks elements, index_add and scatter_add."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from lamina.compiler.graph import Node, Ref, Value, row_major
from lamina.compiler.kernels import Inst, Scatter
from lamina.compiler.loops import WIDE, Body, Core, NotNative, Val, Work, access
from lamina.compiler.lowering.products import FLOATS
from lamina.compiler.lowering.rules import collapsed, rule, strides_in
from lamina.compiler.lowering.shapes import copied, filled, region

_INT64 = np.dtype(np.int64)
Finish = Callable[[Body, Val], Any]


def added(out: Ref, index: Ref, values: Ref, finish: Finish | None = None, skip: int | None = None) -> Work:
    """out (*batch, rows, width) = finish(body, the sums of values (*batch, count, width) by index (*batch, count))."""
    if values.dtype.name not in FLOATS or index.dtype.name not in ("int64", "int32", "uint8") or 0 in out.shape:
        raise NotNative(f"sums of {values.dtype.name} by {index.dtype.name}")
    *batch, rows, width = out.shape
    count = index.shape[-1]
    wide = WIDE.get(out.dtype.name, out.dtype.name)
    body = Body()
    value = Val(body.put(Inst("product", (), wide)), wide)
    body.store(out, out.strides, value if finish is None else finish(body, value))
    made = partial(_made, tuple(batch), rows, width, count, skip)
    core = Core(made, [access(index, index.strides), access(values, values.strides)], f"({count} into {rows}x{width})")
    return Work(out.shape, len(out.shape), body.insts, core=core)


def _made(
    batch: Any, rows: int, width: int, count: int, skip: int | None, indices: Any, values: Any, body: Any
) -> Scatter:
    return Scatter(batch, rows, width, count, indices, values, body, skip)


def _lines(ref: Ref, dim: int) -> Ref:
    """(*before, dim, *behind) as (*before, dim, what is behind)."""
    return collapsed(ref, dim + 1, len(ref.shape))


def _each(ref: Ref, dim: int) -> Ref:
    """`dim` as the last, before one of size 1."""
    order = [d for d in range(len(ref.shape)) if d != dim] + [dim]
    return ref._replace(shape=(*(ref.shape[d] for d in order), 1), strides=(*(ref.strides[d] for d in order), 0))


def _without_last(ref: Ref) -> Ref:
    return ref._replace(shape=ref.shape[:-1], strides=ref.strides[:-1])


def _stretched(ref: Ref, shape: Sequence[int]) -> Ref:
    return ref._replace(shape=tuple(shape), strides=strides_in(ref, shape))


def _picks(index: Ref, batch: Sequence[int]) -> Ref:
    """An index of any shape as one line, the same for the whole batch."""
    flat = collapsed(index, 0, len(index.shape))
    return _stretched(flat, (*batch, *flat.shape))


def _ready(node: Node) -> tuple[Any, ...]:
    out = node.outputs[0]
    if (
        out is None
        or not out.shape
        or 0 in out.shape
        or any(i.__class__ is not Ref or 0 in i.shape for i in node.inputs)
    ):
        raise NotNative("nothing to add")
    return (out, *node.inputs)


@rule("embedding_dense_backward")
def embedding_grad(node: Node) -> Sequence[Work]:
    out, g, index = _ready(node)
    if node.params["scale_grad_by_freq"]:
        raise NotNative("gradients by frequency")
    padding = node.params["padding_idx"]
    values = collapsed(g, 0, len(index.shape))
    return [added(out, _picks(index, ()), values, skip=padding if padding >= 0 else None)]


@rule("index_select_adjoint")
def index_select_grad(node: Node) -> Sequence[Work]:
    out, g, index = _ready(node)
    dim = node.params["dim"]
    return [added(_lines(out, dim), _picks(index, out.shape[:dim]), _lines(g, dim))]


@rule("index_add")
def index_add(node: Node) -> Sequence[Work]:
    out, x, index, source = _ready(node)
    dim, alpha = node.params["dim"], node.params["alpha"]
    into, before = _lines(out, dim), _lines(x, dim)

    def finish(body: Body, value: Val) -> Any:
        scaled = value if alpha == 1 else body.mul(value, float(alpha))
        return body.add(body.load(before, before.strides), scaled)

    return [added(into, _picks(index, out.shape[:dim]), _lines(source, dim), finish)]


@rule("scatter_add")
def scatter_add(node: Node) -> Sequence[Work]:
    out, x, index, source = _ready(node)
    dim = node.params["dim"]
    covered = [(0, n if d == dim else index.shape[d]) for d, n in enumerate(out.shape)]
    into, before = _each(region(out, covered), dim), _each(region(x, covered), dim)
    values = _each(region(source, [(0, n) for n in index.shape]), dim)
    work = added(
        into,
        _without_last(_each(index, dim)),
        values,
        lambda body, value: body.add(body.load(before, before.strides), value),
    )
    whole = all(b == n for (_, b), n in zip(covered, out.shape, strict=True))
    return [work] if whole else [copied(x, out), work]


@rule("gather_adjoint")
def gather_grad(node: Node) -> Sequence[Work]:
    """Each line of g is added into a line of the result; where a line is one element, every place asks whether it was picked."""
    out, g, index = _ready(node)
    dim = node.params["dim"]
    if index.shape[dim] == 1 and all(
        a == b for d, (a, b) in enumerate(zip(index.shape, out.shape, strict=True)) if d != dim
    ):
        body = Body()
        at = body.cast(body.load(index, strides_in(index, out.shape)), "int64")
        picked = body.select(body.eq(at, body.index(dim)), body.load(g, strides_in(g, out.shape)), 0)
        body.store(out, out.strides, picked)
        return [Work(out.shape, len(out.shape), body.insts)]
    covered = [(0, n if d == dim else index.shape[d]) for d, n in enumerate(out.shape)]
    work = added(_each(region(out, covered), dim), _without_last(_each(index, dim)), _each(g, dim))
    whole = all(b == n for (_, b), n in zip(covered, out.shape, strict=True))
    return [work] if whole else [filled(out, 0), work]


@rule("take_adjoint")
def take_grad(node: Node) -> Sequence[Work]:
    out, g, index = _ready(node)
    flat = collapsed(out, 0, len(out.shape))
    values = collapsed(g, 0, len(g.shape))
    column = Ref(flat.value, flat.offset, (*flat.shape, 1), (*flat.strides, 0), flat.dtype)
    return [added(column, _picks(index, ()), values._replace(shape=(*values.shape, 1), strides=(*values.strides, 0)))]


# ---- several indices -------------------------------------------------------------------------------------------------


def _line_of(node: Node, indices: Sequence[Ref], sizes: Sequence[int]) -> tuple[Ref, list[Work]]:
    """Indices of several dimensions as one of all, in memory of its own where they are more than one; and what computes it."""
    if len(indices) == 1:
        return indices[0], []
    common = np.broadcast_shapes(*(i.shape for i in indices))
    line = Ref(Value(0, 8 * math.prod(common), node), 0, common, row_major(common, 8), _INT64)
    body = Body()
    total: Any = None
    for index, n in zip(indices, sizes, strict=True):
        one = body.cast(body.load(index, strides_in(index, common)), "int64")
        one = body.select(body.lt(one, 0), body.add(one, n), one)
        total = one if total is None else body.add(body.mul(total, n), one)
    body.store(line, line.strides, total)
    return line, [Work(common, len(common), body.insts)]


def _turned(ref: Ref, at: Sequence[int]) -> Ref:
    """The dimensions `at` as one; in front, where they are no neighbours."""
    first, last = at[0], at[-1] + 1
    if last - first != len(at):
        order = [*at, *(d for d in range(len(ref.shape)) if d not in at)]
        ref = ref._replace(shape=tuple(ref.shape[d] for d in order), strides=tuple(ref.strides[d] for d in order))
        first, last = 0, len(at)
    return _lines(collapsed(ref, first, last), first)


@rule("index_adjoint")
def index_grad(node: Node) -> Sequence[Work]:
    out, g, *indices = _ready(node)
    return _by_indices(node, out, g, indices, None)


@rule("index_put")
def index_put(node: Node) -> Sequence[Work]:
    out, x, values, *indices = _ready(node)
    if not node.params["accumulate"]:
        raise NotNative("what is written last counts")
    at = node.params["at"]
    before = _turned(x, at)
    first = at[0] if at[-1] + 1 - at[0] == len(at) else 0
    common = np.broadcast_shapes(*(i.shape for i in indices))
    rest = [n for d, n in enumerate(x.shape) if d not in at]
    full = _stretched(values, (*rest[:first], *common, *rest[first:]))
    return _by_indices(node, out, full, indices, lambda body, value: body.add(body.load(before, before.strides), value))


def _by_indices(node: Node, out: Ref, values: Ref, indices: Sequence[Ref], finish: Finish | None) -> Sequence[Work]:
    at = node.params["at"]
    line, works = _line_of(node, indices, [out.shape[d] for d in at])
    into = _turned(out, at)
    first = len(into.shape) - 2
    source = _lines(collapsed(values, first, first + len(line.shape)), first)
    return [*works, added(into, _picks(line, into.shape[:first]), source, finish)]


# ---- what is written -------------------------------------------------------------------------------------------------


def _written(node: Node, source: Any) -> Sequence[Work]:
    """Where one index writes into each line: every place asks whether it is meant. source: a Ref like the index, or a number."""
    out, x, index = _ready_to_write(node)
    dim = node.params["dim"]
    if len(index.shape) != len(out.shape) or any(
        n != (1 if d == dim else m) for d, (n, m) in enumerate(zip(index.shape, out.shape, strict=True))
    ):
        raise NotNative("what is written last counts")
    body = Body()
    at = body.cast(body.load(index, strides_in(index, out.shape)), "int64")
    before = body.load(x, x.strides)
    value = (
        body.load(source, strides_in(source, out.shape))
        if source.__class__ is Ref
        else body.const(source, before.dtype)
    )
    body.store(out, out.strides, body.select(body.eq(at, body.index(dim)), value, before))
    return [Work(out.shape, len(out.shape), body.insts)]


def _ready_to_write(node: Node) -> tuple[Ref, Ref, Ref]:
    x, index = node.inputs[:2]
    out = node.outputs[0]
    if out is None or not out.shape or 0 in out.shape or x.__class__ is not Ref or index.__class__ is not Ref:
        raise NotNative("nothing to write")
    return out, x, index


@rule("scatter_value")
def scatter_value(node: Node) -> Sequence[Work]:
    return _written(node, node.params["value"])


@rule("scatter")
def scatter(node: Node) -> Sequence[Work]:
    out, _, index = _ready_to_write(node)
    source = node.inputs[2]
    return _written(node, region(source, [(0, n) for n in index.shape]))


@rule("index_fill")
def index_fill(node: Node) -> Sequence[Work]:
    """Every place asks each of the indices, of which there may be a few."""
    out, x, index = _ready_to_write(node)
    value, dim = node.inputs[2], node.params["dim"]
    picks = collapsed(index, 0, len(index.shape))
    if not 0 < picks.shape[0] <= 16 or value.__class__ is not Ref:
        raise NotNative("many indices")
    body = Body()
    rank = len(out.shape)
    at = body.cast(body.load(picks, (*(0,) * rank, picks.strides[0])), "int64")
    at = body.select(body.lt(at, 0), body.add(at, out.shape[dim]), at)
    meant = body.any(body.eq(at, body.index(dim)))
    before = body.load(x, (*x.strides, 0))
    body.store(out, (*out.strides, 0), body.select(meant, body.load(value, (0,) * (rank + 1)), before))
    return [Work((*out.shape, picks.shape[0]), rank, body.insts)]
