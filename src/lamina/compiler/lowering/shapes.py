"""Copies and rearrangements: what moves elements without computing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina.compiler.graph import Node, Ref, plain, row_major
from lamina.compiler.loops import WIDE, Body, NotNative, Work
from lamina.compiler.lowering.rules import rule, strides_in


def copied(source: Any, out: Ref) -> Work:
    """The elements of `source`, broadcast and cast, into the region `out`."""
    body = Body()
    value: Any = source
    if source.__class__ is Ref:
        if source.dtype.name.startswith("complex") or out.dtype.name.startswith("complex"):
            raise NotNative("complex")
        value = body.load(source, strides_in(source, out.shape))
    body.store(out, out.strides, value)
    return Work(out.shape, len(out.shape), body.insts)


def filled(out: Ref, number: Any) -> Work:
    """A whole value's elements, all `number`."""
    body = Body()
    count = out.value.nbytes // out.dtype.itemsize
    flat = Ref(out.value, 0, (count,), (out.dtype.itemsize,), out.dtype)
    wide = WIDE.get(out.dtype.name, out.dtype.name)
    body.store(flat, flat.strides, body.const(number, wide))
    return Work((count,), 1, body.insts)


_COMPARED = [
    f"{name}_{form}" for name in ("eq", "ne", "lt", "le", "gt", "ge") for form in ("written", "number_written")
]
"""Comparisons in place: what was found, in the target's dtype."""


@rule("clone", "to_copy", "cast", "copy", "unsafe_view", *_COMPARED)
def copy(node: Node) -> Sequence[Work]:
    source, out = node.inputs[-1], node.outputs[0]
    assert out is not None
    if source.__class__ is not Ref:
        return [copied(source.value.item(), out)]
    if source.shape != out.shape and node.name == "unsafe_view":
        if not plain(out):
            raise NotNative("a view of scattered elements")
        out = Ref(out.value, out.offset, source.shape, row_major(source.shape, out.dtype.itemsize), out.dtype)
    return [copied(source, out)]


@rule("update")
def update(node: Node) -> Sequence[Work]:
    before, content = node.inputs
    out = node.outputs[0]
    assert out is not None
    work = copied(content, out)
    if content.value is before.value:
        raise NotNative("a region moved within its own memory")
    work.follows = (before.value,)
    return [work]


@rule("fill", "zero")
def fill(node: Node) -> Sequence[Work]:
    out = node.outputs[0]
    assert out is not None
    if node.name == "zero":
        return [copied(0, out)]
    value = node.inputs[1]
    return [copied(value if value.__class__ is Ref else value.value.item(), out)]


@rule("zeros")
def zeros(node: Node) -> Sequence[Work]:
    out = node.outputs[0]
    assert out is not None
    return [copied(0, out)]


@rule("cat")
def cat(node: Node) -> Sequence[Work]:
    out = node.outputs[0]
    assert out is not None
    dim, at, works = node.params["dim"], 0, []
    for source in node.inputs:
        if source.shape == (0,):
            continue
        n = source.shape[dim]
        region = Ref(
            out.value,
            out.offset + at * out.strides[dim],
            (*out.shape[:dim], n, *out.shape[dim + 1 :]),
            out.strides,
            out.dtype,
        )
        works.append(copied(source, region))
        at += n
    return works


@rule("stack")
def stack(node: Node) -> Sequence[Work]:
    out = node.outputs[0]
    assert out is not None
    dim = node.params["dim"]
    rest = (*out.shape[:dim], *out.shape[dim + 1 :]), (*out.strides[:dim], *out.strides[dim + 1 :])
    return [
        copied(source, Ref(out.value, out.offset + i * out.strides[dim], *rest, out.dtype))
        for i, source in enumerate(node.inputs)
    ]


@rule("constant_pad_nd")
def pad(node: Node) -> Sequence[Work]:
    x, out = node.inputs[0], node.outputs[0]
    assert out is not None
    pairs = node.params["pad"]
    source = region(x, [(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, pairs, strict=True)])
    target = region(out, [(max(a, 0), n - max(b, 0)) for n, (a, b) in zip(out.shape, pairs, strict=True)])
    if source.shape == out.shape:
        return [copied(source, out)]
    return [filled(out, node.params["value"]), copied(source, target)]


def region(ref: Ref, ends: Sequence[tuple[int, int]]) -> Ref:
    """The elements from a first to before a last, for each dimension."""
    offset = ref.offset + sum(a * s for (a, _), s in zip(ends, ref.strides, strict=True))
    return Ref(ref.value, offset, tuple(max(b - a, 0) for a, b in ends), ref.strides, ref.dtype)


@rule("tril", "triu")
def triangle(node: Node) -> Sequence[Work]:
    x, out = node.inputs[0], node.outputs[0]
    assert out is not None
    rank = len(out.shape)
    body = Body()
    value = body.load(x, x.strides)
    offset = body.sub(body.index(rank - 1), body.index(rank - 2))
    inside = (body.le if node.name == "tril" else body.ge)(offset, node.params["diagonal"])
    body.store(out, out.strides, body.select(inside, value, 0))
    return [Work(out.shape, rank, body.insts)]
