"""Matrix products, with what is added to them as epilogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina.compiler.graph import Node, Ref
from lamina.compiler.kernels import Inst
from lamina.compiler.loops import WIDE, Body, NotNative, Product, Val, Work, access
from lamina.compiler.lowering import operand, rule, strides_in

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
    body = Body()
    value = Val(body.put(Inst("product", (), wide)), wide)
    if finish is not None:
        value = finish(body, value)
    body.store(out, out.strides, value)
    if batch and finish is None and not any(strides_in(b, (*batch, k, n))[: len(batch)]):
        rows, into = _rows(a), _rows(out)
        if len(rows.shape) == len(into.shape) == 2:  # one matrix for the whole batch: it is one product
            return product(rows, Ref(b.value, b.offset, b.shape[-2:], b.strides[-2:], b.dtype), into)
    core = Product(
        tuple(batch), m, n, k, access(a, strides_in(a, (*batch, m, k))), access(b, strides_in(b, (*batch, k, n)))
    )
    return [Work(out.shape, len(out.shape), body.insts, core=core)]


@rule("mm", "bmm")
def mm(node: Node) -> Sequence[Work]:
    out = node.outputs[0]
    assert out is not None
    return product(*node.inputs, out)


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


@rule("mv", "dot")
def vectors(node: Node) -> Sequence[Work]:
    return matmul(node)


@rule("addmm", "baddbmm")
def addmm(node: Node) -> Sequence[Work]:
    c, a, b = node.inputs
    out = node.outputs[0]
    assert out is not None
    beta, alpha = node.params["beta"], node.params["alpha"]

    def finish(body: Body, value: Any) -> Any:
        if alpha != 1:
            value = body.mul(value, float(alpha))
        if beta == 0:
            return value
        added = operand(body, c, out.shape, value.dtype)
        return body.add(value, added if beta == 1 else body.mul(added, float(beta)))

    return product(a, b, out, finish)
