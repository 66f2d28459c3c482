"""Matrix products, with what is added to them as epilogue."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

from lamina.compiler import costs
from lamina.compiler.graph import Node, Ref
from lamina.compiler.kernels import SIZES, Inst, Matmul
from lamina.compiler.loops import WIDE, Body, Core, NotNative, Val, Work, access
from lamina.compiler.lowering.rules import operand, rule, strides_in

FLOATS = frozenset(("float32", "float64", "bfloat16", "float16"))


def product(a: Ref, b: Ref, out: Ref, finish: Any = None) -> list[Work]:
    """out[..., m, n] = finish(body, a[..., m, k] @ b[..., k, n])."""
    if a.dtype.name not in FLOATS or a.dtype != b.dtype:
        raise NotNative(f"a product of {a.dtype.name} and {b.dtype.name}")
    *batch, m, n = out.shape
    k = a.shape[-1]
    if not k or 0 in out.shape:
        raise NotNative("an empty product")
    wide = WIDE.get(out.dtype.name, out.dtype.name)
    if costs.blas_wins(prod(batch), m, n, k, SIZES[wide]):
        raise NotNative("BLAS is quicker")
    body = Body()
    value = Val(body.put(Inst("product", (), wide)), wide)
    if finish is not None:
        value = finish(body, value)
    body.store(out, out.strides, value)
    if batch and finish is None and not any(strides_in(b, (*batch, k, n))[: len(batch)]):
        rows, into = _rows(a), _rows(out)
        if len(rows.shape) == len(into.shape) == 2:  # one matrix for the whole batch: it is one product
            return product(rows, Ref(b.value, b.offset, b.shape[-2:], b.strides[-2:], b.dtype), into)
    ats = access(a, strides_in(a, (*batch, m, k))), access(b, strides_in(b, (*batch, k, n)))
    text = f"({'x'.join(map(str, batch))}{' ' if batch else ''}{m}x{k} @ {k}x{n})"
    core = Core(partial(Matmul, tuple(batch), m, n, k), ats, text)
    return [Work(out.shape, len(out.shape), body.insts, core=core)]


@rule("mm", "bmm")
def mm(node: Node) -> Sequence[Work]:
    (a, b), out = node.inputs, node.outputs[0]
    assert out is not None
    return product(a, b, out)


def _turned(ref: Ref) -> Ref:
    """The transpose of a matrix."""
    return Ref(ref.value, ref.offset, ref.shape[::-1], ref.strides[::-1], ref.dtype)


@rule("mm_by_turned")
def by_turned(node: Node) -> Sequence[Work]:
    (a, b), out = node.inputs, node.outputs[0]
    assert out is not None
    return product(a, _turned(b), out)


@rule("mm_of_turned")
def of_turned(node: Node) -> Sequence[Work]:
    (a, b), out = node.inputs, node.outputs[0]
    assert out is not None
    return product(_turned(a), b, out)


@rule("affine")
def affine(node: Node) -> Sequence[Work]:
    c, a, b = node.inputs
    out = node.outputs[0]
    assert out is not None
    return product(a, _turned(b), out, lambda body, value: _plus(body, value, c, out, 1, 1))


@rule("matmul")
def matmul(node: Node) -> Sequence[Work]:
    a, b = node.inputs
    out = node.outputs[0]
    assert out is not None
    if len(a.shape) == 1:
        a = Ref(a.value, a.offset, (1, *a.shape), (0, *a.strides), a.dtype)
        out = Ref(out.value, out.offset, (*out.shape[: len(b.shape) - 2], 1, *out.shape[len(b.shape) - 2 :]),
                  (*out.strides[: len(b.shape) - 2], 0, *out.strides[len(b.shape) - 2 :]), out.dtype)  # fmt: skip
    if len(b.shape) == 1:
        b = Ref(b.value, b.offset, (*b.shape, 1), (*b.strides, 0), b.dtype)
        out = Ref(out.value, out.offset, (*out.shape, 1), (*out.strides, 0), out.dtype)
    return product(a, b, out)


@rule("mv", "dot", "vdot")
def vectors(node: Node) -> Sequence[Work]:
    return matmul(node)


@rule("addmm", "baddbmm")
def addmm(node: Node) -> Sequence[Work]:
    c, a, b = node.inputs
    out = node.outputs[0]
    assert out is not None
    return product(a, b, out, lambda body, value: _plus(body, value, c, out, **node.params))


def _plus(body: Body, value: Any, c: Any, out: Ref, beta: float, alpha: float) -> Any:
    """beta * c + alpha * value; a c that counts for nothing is not looked at."""
    if alpha != 1:
        value = body.mul(value, float(alpha))
    if beta == 0:
        return value
    added = operand(body, c, out.shape, value.dtype)
    return body.add(value, added if beta == 1 else body.mul(added, float(beta)))


@rule("addmv")
def addmv(node: Node) -> Sequence[Work]:
    c, a, b = node.inputs
    out: Ref = _column(node.outputs[0])
    return product(a, _column(b), out, lambda body, value: _plus(body, value, _column(c), out, **node.params))


def _column(ref: Any) -> Any:
    """A vector as a matrix of one column; numbers stay."""
    if ref.__class__ is not Ref or not ref.shape:
        return ref
    return Ref(ref.value, ref.offset, (*ref.shape, 1), (*ref.strides, 0), ref.dtype)


@rule("addr")
def addr(node: Node) -> Sequence[Work]:
    c, a, b = node.inputs
    out = node.outputs[0]
    assert out is not None
    wide = WIDE.get(out.dtype.name, out.dtype.name)
    if wide not in FLOATS:
        raise NotNative(wide)
    body = Body()
    value = body.mul(operand(body, _column(a), out.shape, wide), operand(body, b, out.shape, wide))
    body.store(out, out.strides, _plus(body, value, c, out, **node.params))
    return [Work(out.shape, 2, body.insts)]


def _rows(ref: Ref) -> Ref:
    """A ref of any rank as a matrix, where its leading dimensions are one walk; a vector as one row."""
    if len(ref.shape) == 1:
        return Ref(ref.value, ref.offset, (1, *ref.shape), (0, *ref.strides), ref.dtype)
    *lead, n = ref.shape
    *steps, step = ref.strides
    for outer, inner, count in zip(steps, steps[1:], lead[1:], strict=False):
        if outer != inner * count:
            return ref
    rows = 1
    for count in lead:
        rows *= count
    return Ref(ref.value, ref.offset, (rows, n), (steps[-1], step), ref.dtype)
