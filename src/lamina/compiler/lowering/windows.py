"""Windows as columns, elements at flat places, and images of other sizes whose pixels are nearest ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina.compiler.graph import Node, Ref
from lamina.compiler.loops import Body, NotNative, Val, Work
from lamina.compiler.lowering.gathers import bounded
from lamina.compiler.lowering.rules import rule


def _filled(*refs: Any) -> None:
    if any(r.__class__ is not Ref or 0 in r.shape for r in refs):
        raise NotNative("nothing to read")


# ---- columns ---------------------------------------------------------------------------------------------------------


def _met(body: Body, at: Val, tap: Val, dilation: int, stride: int, padding: int, n: int) -> tuple[Val, Val]:
    """Which of n windows has its tap at a place, and whether there is one."""
    from_start = body.sub(body.add(at, padding), body.mul(tap, dilation))
    window = from_start if stride == 1 else body.floor_div(from_start, stride)
    inside = body.and_(body.ge(window, 0), body.lt(window, n))
    if stride != 1:
        inside = body.and_(inside, body.eq(body.mul(window, stride), from_start))
    return body.maximum(body.minimum(window, n - 1), 0), inside


@rule("unfold_adjoint")
def unfold_grad(node: Node) -> Sequence[Work]:
    """Each element asks for each place in a window which window it was there in."""
    g, out, p = node.inputs[0], node.outputs[0], node.params
    _filled(g, out)
    assert out is not None
    rank, dim = len(out.shape), p["dim"]
    if not rank:
        raise NotNative("0-d")
    body = Body()
    window, inside = _met(body, body.index(dim), body.index(rank), 1, p["step"], 0, g.shape[dim])
    walk = (*g.strides[:dim], 0, *g.strides[dim + 1 :])
    value = body.select(inside, body.gather(g, walk, (window,), (g.strides[dim],)), 0)
    body.store(out, (*out.strides, 0), body.sum(value))
    return [Work((*out.shape, p["size"]), rank, body.insts)]


def _columns(ref: Ref, kernel: Sequence[int], blocks: Sequence[int]) -> Ref:
    """(N, C * taps, windows) as (N, C, *taps, *windows)."""
    n, rows, _ = ref.shape
    a, b, c = ref.strides
    taps = kernel[0] * kernel[1]
    strides = (a, b * taps, b * kernel[1], b, c * blocks[1], c)
    return ref._replace(shape=(n, rows // taps, *kernel, *blocks), strides=strides)


def _blocks(space: Sequence[int], p: dict[str, Any]) -> tuple[int, ...]:
    parts = zip(space, p["kernel"], p["stride"], p["padding"], p["dilation"], strict=True)
    return tuple((n + 2 * a - d * (k - 1) - 1) // s + 1 for n, k, s, a, d in parts)


@rule("im2col")
def im2col(node: Node) -> Sequence[Work]:
    x, made, p = node.inputs[0], node.outputs[0], node.params
    _filled(x, made)
    assert made is not None
    out = _columns(made, p["kernel"], _blocks(x.shape[2:], p))
    body = Body()
    places, inside = [], None
    for d in range(2):
        at = body.sub(
            body.add(body.mul(body.index(4 + d), p["stride"][d]), body.mul(body.index(2 + d), p["dilation"][d])),
            p["padding"][d],
        )
        if p["padding"][d]:
            here = body.and_(body.ge(at, 0), body.lt(at, x.shape[2 + d]))
            inside = here if inside is None else body.and_(inside, here)
        places.append(bounded(body, at, x.shape[2 + d], False))
    value = body.gather(x, (*x.strides[:2], 0, 0, 0, 0), places, x.strides[2:])
    body.store(out, out.strides, value if inside is None else body.select(inside, value, 0))
    return [Work(out.shape, 6, body.insts)]


@rule("col2im")
def col2im(node: Node) -> Sequence[Work]:
    g, out, p = node.inputs[0], node.outputs[0], node.params
    _filled(g, out)
    assert out is not None
    blocks = _blocks(p["space"], p)
    columns = _columns(g, p["kernel"], blocks)
    body = Body()
    y, inside = _met(body, body.index(2), body.index(4), p["dilation"][0], p["stride"][0], p["padding"][0], blocks[0])
    x, also = _met(body, body.index(3), body.index(5), p["dilation"][1], p["stride"][1], p["padding"][1], blocks[1])
    n, c, *rest = columns.strides
    value = body.gather(columns, (n, c, 0, 0, rest[0], rest[1]), (y, x), rest[2:])
    body.store(out, (*out.strides, 0, 0), body.sum(body.select(body.and_(inside, also), value, 0)))
    return [Work((*out.shape, *p["kernel"]), 4, body.insts)]


# ---- places in the flattened array -----------------------------------------------------------------------------------


def at_flat(body: Body, x: Ref, first: int, walk: Sequence[int], flat: Val) -> Val:
    """The element of x at a number that counts its dimensions from `first` on in row-major order."""
    places, steps = [], []
    for d in range(len(x.shape) - 1, first - 1, -1):
        last = d == first
        places.append(flat if last else body.mod(flat, x.shape[d]))
        steps.append(x.strides[d])
        if not last:
            flat = body.floor_div(flat, x.shape[d])
    return body.gather(x, walk, places, steps) if places else body.load(x, walk)


@rule("take")
def take(node: Node) -> Sequence[Work]:
    x, index = node.inputs
    out = node.outputs[0]
    _filled(x, index)
    assert out is not None
    body = Body()
    flat = bounded(body, body.load(index, index.strides), x.size, True)
    body.store(out, out.strides, at_flat(body, x, 0, (0,) * len(out.shape), flat))
    return [Work(out.shape, len(out.shape), body.insts)]


@rule("max_pool2d_take", "max_pool3d_take", "adaptive_max_pool2d_take", "adaptive_max_pool3d_take",
      "fractional_max_pool2d_take", "fractional_max_pool3d_take", "max_unpool2d_take", "max_unpool3d_take")  # fmt: skip
def max_pool_take(node: Node) -> Sequence[Work]:
    """Elements by their place in the flattened plane."""
    x, places = node.inputs
    out, spatial = node.outputs[0], 3 if "3d" in node.name else 2
    _filled(x, places)
    assert out is not None
    lead, plane = len(x.shape) - spatial, 1
    for n in x.shape[lead:]:
        plane *= n
    body = Body()
    at = bounded(body, body.load(places, places.strides), plane, False)
    body.store(out, out.strides, at_flat(body, x, lead, (*x.strides[:lead], *(0,) * spatial), at))
    return [Work(out.shape, len(out.shape), body.insts)]
