"""Reductions, softmax and what is made of them, as loops over rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lamina.compiler.graph import Node, Ref
from lamina.compiler.loops import WIDE, Body, NotNative, Val, Work
from lamina.compiler.lowering.rules import rule


class Rows:
    """A loop over the elements of `x`, with `dims` reduced."""

    def __init__(self, x: Ref, dims: Sequence[int] | None) -> None:
        rank = len(x.shape)
        reduced = tuple(range(rank)) if dims is None else tuple(sorted(d % rank for d in dims)) if rank else ()
        kept = tuple(d for d in range(rank) if d not in reduced)
        self.order = (*kept, *reduced)
        self.dims = tuple(x.shape[d] for d in self.order)
        self.keep = len(kept)
        self.kept, self.reduced = kept, reduced
        self.count = math.prod(x.shape[d] for d in reduced)
        self.body = Body()
        if x.dtype.name not in _READY:
            raise NotNative(x.dtype.name)

    def load(self, x: Ref) -> Val:
        return self.body.load(x, [x.strides[d] for d in self.order])

    def store_row(self, out: Ref, value: Any) -> None:
        """Store one value for each row; `out` may keep the reduced dimensions, as size 1."""
        if len(out.shape) == len(self.order):
            strides = [out.strides[d] for d in self.kept]
        else:
            strides = list(out.strides)
        self.body.store(out, [*strides, *(0,) * len(self.reduced)], value)

    def store_all(self, out: Ref, value: Any) -> None:
        self.body.store(out, [out.strides[d] for d in self.order], value)

    def work(self) -> list[Work]:
        return [Work(self.dims, self.keep, self.body.insts)]


_READY = frozenset(("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"))


def _parts(node: Node) -> tuple[Ref, Ref]:
    x, out = node.inputs[0], node.outputs[0]
    if x.__class__ is not Ref or out is None or 0 in x.shape:
        raise NotNative("nothing to reduce")
    return x, out


def _sum(rows: Rows, x: Ref, out: Ref) -> Val:
    wide = WIDE.get(out.dtype.name, out.dtype.name)
    return rows.body.sum(rows.body.cast(rows.load(x), wide))  # type: ignore[no-any-return]


@rule("sum", "sum_all")
def sum_(node: Node) -> Sequence[Work]:
    x, out = _parts(node)
    rows = Rows(x, node.params.get("dims"))
    rows.store_row(out, _sum(rows, x, out))
    return rows.work()


@rule("mean", "mean_all")
def mean(node: Node) -> Sequence[Work]:
    x, out = _parts(node)
    rows = Rows(x, node.params.get("dims"))
    rows.store_row(out, rows.body.div(_sum(rows, x, out), float(rows.count)))
    return rows.work()


@rule("amax", "max_all", "amin", "min_all")
def extreme(node: Node) -> Sequence[Work]:
    x, out = _parts(node)
    rows = Rows(x, node.params.get("dims"))
    body = rows.body
    rows.store_row(out, (body.max if "max" in node.name else body.min)(rows.load(x)))
    return rows.work()


@rule("argmax", "argmin")
def position(node: Node) -> Sequence[Work]:
    x, out = _parts(node)
    dim = node.params["dim"]
    rows = Rows(x, None if dim is None or not x.shape else (dim,))
    body = rows.body
    rows.store_row(out, (body.argmax if node.name == "argmax" else body.argmin)(rows.load(x)))
    return rows.work()


@rule("max_dim", "min_dim")
def extreme_and_position(node: Node) -> Sequence[Work]:
    x, _ = _parts(node)
    rows = Rows(x, (node.params["dim"],) if x.shape else None)
    body, value = rows.body, rows.load(x)
    greatest = node.name == "max_dim"
    if node.outputs[0] is not None:
        rows.store_row(node.outputs[0], (body.max if greatest else body.min)(value))
    if node.outputs[1] is not None:
        rows.store_row(node.outputs[1], (body.argmax if greatest else body.argmin)(value))
    return rows.work()


@rule("any", "all")
def truth(node: Node) -> Sequence[Work]:
    x, out = _parts(node)
    rows = Rows(x, node.params["dims"])
    body, value = rows.body, rows.load(x)
    as_bool = value if value.dtype == "bool" else body.ne(value, 0)
    rows.store_row(out, (body.any if node.name == "any" else body.all)(as_bool))
    return rows.work()


@rule("softmax", "log_softmax")
def softmax(node: Node) -> Sequence[Work]:
    x, out = _parts(node)
    if not x.shape:
        raise NotNative("0-d")
    rows = Rows(x, (node.params["dim"],))
    body, value = rows.body, rows.load(x)
    shifted = body.sub(value, body.max(value))
    powers = body.exp(shifted)
    total = body.sum(powers)
    rows.store_all(out, body.div(powers, total) if node.name == "softmax" else body.sub(shifted, body.log(total)))
    return rows.work()


@rule("logsumexp")
def logsumexp(node: Node) -> Sequence[Work]:
    x, out = _parts(node)
    if not x.dtype.name.endswith(("float32", "float64", "bfloat16", "float16")):
        raise NotNative("integers")
    rows = Rows(x, node.params["dims"])
    body, value = rows.body, rows.load(x)
    top = body.max(value)
    safe = body.select(body.isfinite(top), top, 0.0)
    rows.store_row(out, body.add(body.log(body.sum(body.exp(body.sub(value, safe)))), safe))
    return rows.work()


@rule("var", "std", "var_mean", "std_mean")
def variance(node: Node) -> Sequence[Work]:
    x, _ = _parts(node)
    dims, correction = node.params["dims"], node.params["correction"]
    rows = Rows(x, dims)
    free = rows.count - correction
    if not x.dtype.name.startswith(("float", "bfloat")) or free <= 0:
        raise NotNative("too few elements")
    body, value = rows.body, rows.load(x)
    average = body.div(body.sum(value), float(rows.count))
    off = body.sub(value, average)
    spread = body.div(body.sum(body.mul(off, off)), float(free))
    first = body.sqrt(spread) if node.name.startswith("std") else spread
    for out, result in zip(node.outputs, (first, average), strict=False):
        if out is not None:
            rows.store_row(out, result)
    return rows.work()


@rule("nansum")
def nansum(node: Node) -> Sequence[Work]:
    x, out = _parts(node)
    rows = Rows(x, node.params["dims"])
    body, value = rows.body, rows.load(x)
    rows.store_row(out, body.sum(body.select(body.isnan(value), 0, value)))
    return rows.work()


@rule("prod", "prod_all")
def prod(node: Node) -> Sequence[Work]:
    x, out = _parts(node)
    rows = Rows(x, node.params.get("dims"))
    rows.store_row(out, rows.body.prod(rows.body.cast(rows.load(x), out.dtype.name)))
    return rows.work()


@rule("count_nonzero")
def count_nonzero(node: Node) -> Sequence[Work]:
    x, out = _parts(node)
    rows = Rows(x, node.params["dims"])
    body, value = rows.body, rows.load(x)
    rows.store_row(out, body.sum(body.cast(body.cast(value, "bool"), "int64")))
    return rows.work()


@rule("aminmax")
def aminmax(node: Node) -> Sequence[Work]:
    x = node.inputs[0]
    if 0 in x.shape:
        raise NotNative("nothing to reduce")
    rows = Rows(x, node.params["dims"])
    body, value = rows.body, rows.load(x)
    for out, reduce in zip(node.outputs, (body.min, body.max), strict=True):
        if out is not None:
            rows.store_row(out, reduce(value))
    return rows.work()


@rule("trace")
def trace(node: Node) -> Sequence[Work]:
    x, out = _parts(node)
    n = min(x.shape)
    rows = Rows(x._replace(shape=(n,), strides=(sum(x.strides),)), None)
    rows.store_row(out, _sum(rows, x._replace(shape=(n,), strides=(sum(x.strides),)), out))
    return rows.work()


@rule("share")
def share(node: Node) -> Sequence[Work]:
    """One over the number of the best among the best, 0 elsewhere."""
    x, best = node.inputs
    out = node.outputs[0]
    if out is None or 0 in x.shape:
        raise NotNative("nothing to reduce")
    rows = Rows(x, [d for d, n in enumerate(best.shape) if n == 1])
    body, value = rows.body, rows.load(x)
    top = body.load(best, [0 if best.shape[d] == 1 else best.strides[d] for d in rows.order])
    winners = body.eq(value, top)
    if node.params["nan"]:
        winners = body.or_(winners, body.and_(body.isnan(value), body.isnan(top)))
    part = body.cast(winners, value.dtype)
    rows.store_all(out, body.div(part, body.sum(part)))
    return rows.work()


MOST_SCANNED = 64
"""Running sums of more elements are better by NumPy, which looks at each once."""


@rule("cumsum", "cumprod")
def scan(node: Node) -> Sequence[Work]:
    """Each element the sum of those before it, and itself."""
    x, out = _parts(node)
    dim = node.params["dim"]
    if not x.shape or x.shape[dim] > MOST_SCANNED or x.dtype.name not in _READY:
        raise NotNative("a long running sum")
    rank = len(x.shape)
    body = Body()
    value = body.cast(
        body.load(x, (*(0 if d == dim else s for d, s in enumerate(x.strides)), x.strides[dim])), out.dtype.name
    )
    met = (body.ge if node.params["reverse"] else body.le)(body.index(rank), body.index(dim))
    if node.name == "cumsum":
        total = body.sum(body.select(met, value, 0))
    else:
        total = body.prod(body.select(met, value, 1))
    body.store(out, (*out.strides, 0), total)
    return [Work((*x.shape, x.shape[dim]), rank, body.insts)]
