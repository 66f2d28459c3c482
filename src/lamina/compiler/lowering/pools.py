"""Pooling over windows of images of two dimensions, and its gradients; that of three runs as calls into NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from lamina.compiler.graph import Node, Ref, Value
from lamina.compiler.kernels import Conv, ConvInput, Inst, MaxPool, MaxPoolInput, Window
from lamina.compiler.loops import WIDE, Body, Core, NotNative, Val, Work, access
from lamina.compiler.lowering.convolutions import core
from lamina.compiler.lowering.products import FLOATS
from lamina.compiler.lowering.rules import collapsed, rule


def _images(given: Any) -> Ref:
    """A ref of (N, C, H, W); of (C, H, W) as one image."""
    if given.__class__ is not Ref or len(given.shape) not in (3, 4) or 0 in given.shape:
        raise NotNative("no images")
    ref: Ref = given
    return ref if len(ref.shape) == 4 else ref._replace(shape=(1, *ref.shape), strides=(0, *ref.strides))


def _floats(ref: Ref) -> str:
    if ref.dtype.name not in FLOATS:
        raise NotNative(ref.dtype.name)
    return WIDE.get(ref.dtype.name, ref.dtype.name)


def _started(dtype: str) -> tuple[Body, Val]:
    body = Body()
    return body, Val(body.put(Inst("product", (), dtype)), dtype)


def _window(params: dict[str, Any], images: Ref, outputs: Ref) -> Window:
    n, c, *size = images.shape
    window = Window(
        n,
        c,
        c,
        c,
        (size[0], size[1]),
        params["kernel"],
        params["stride"],
        params["padding"],
        params.get("dilation", (1, 1)),
    )
    if window.out != outputs.shape[2:]:
        raise NotNative("windows beyond the padding")
    return window


# ---- maxima ----------------------------------------------------------------------------------------------------------


@rule("max_pool2d")
def max_pool(node: Node) -> Sequence[Work]:
    x = _images(node.inputs[0])
    outs = [None if o is None else _images(o) for o in node.outputs]
    made = next(o for o in outs if o is not None)
    body, value = _started(_floats(x))
    if outs[0] is not None:
        body.store(outs[0], outs[0].strides, value)
    if outs[1] is not None:
        body.store(outs[1], outs[1].strides, body.op("place", (), "int64"))
    return [Work(made.shape, 4, body.insts, core=core(MaxPool, _window(node.params, x, made), x))]


def _planes(ref: Ref, spatial: int) -> Ref:
    """A ref of (N, C, *space) with the space as two dimensions."""
    lead = len(ref.shape) - spatial
    if lead == 1:
        ref = ref._replace(shape=(1, *ref.shape), strides=(0, *ref.strides))
    return collapsed(ref, 2, 1 + spatial)


@rule("max_pool2d_grad", "max_pool3d_grad", "adaptive_max_pool2d_grad", "adaptive_max_pool3d_grad",
      "fractional_max_pool2d_grad", "fractional_max_pool3d_grad", "max_unpool2d_grad", "max_unpool3d_grad")  # fmt: skip
def max_pool_grad(node: Node) -> Sequence[Work]:
    spatial = 3 if "3d" in node.name else 2
    if any(r is None or 0 in r.shape for r in (*node.inputs, *node.outputs)):
        raise NotNative("no images")
    g, places, out = (_planes(r, spatial) for r in (*node.inputs, node.outputs[0]))
    n, c, *size = out.shape
    ats = access(g, g.strides), access(places, places.strides)
    made = partial(MaxPoolInput, n, c, (size[0], size[1]), (g.shape[2], g.shape[3]))
    body, value = _started(_floats(g))
    body.store(out, out.strides, value)
    return [Work(out.shape, 4, body.insts, core=Core(made, ats, f"(into {size[0]}x{size[1]})"))]


# ---- means -----------------------------------------------------------------------------------------------------------


def _ones(node: Node, window: Window, dtype: Any) -> tuple[Work, Ref]:
    """A filter of ones for each channel, which is a single one in memory."""
    shape = (window.channels, 1, *window.kernel)
    one = Ref(Value(0, dtype.itemsize, node), 0, shape, (0, 0, 0, 0), dtype)
    body = Body()
    body.store(one._replace(shape=(1,), strides=(0,)), (0,), 1.0)
    return Work((1,), 1, body.insts), one


def _tiles(window: Window) -> bool:
    """Whether each pixel is in one window."""
    even = all(n % k == 0 for n, k in zip(window.size, window.kernel, strict=True))
    return even and window.kernel == window.stride and not any(window.padding)


def _divisor(params: dict[str, Any], window: Window) -> float:
    return float(params["divisor"] or window.kernel[0] * window.kernel[1])


def _divided(body: Body, value: Val, params: dict[str, Any], window: Window) -> Val:
    """A sum over the window at index (.., y, x), divided by what counts."""
    if params["divisor"] is not None or params["count_include_pad"] or not any(window.padding):
        return body.div(value, _divisor(params, window))  # type: ignore[no-any-return]
    count = None
    for d, (n, k, s, p) in enumerate(zip(window.size, window.kernel, window.stride, window.padding, strict=True)):
        start = body.sub(body.mul(body.index(2 + d), s), p)
        inside = body.sub(body.minimum(body.add(start, k), n), body.maximum(start, 0))
        count = inside if count is None else body.mul(count, inside)
    return body.div(value, body.cast(count, value.dtype))  # type: ignore[no-any-return]


@rule("avg_pool2d")
def avg_pool(node: Node) -> Sequence[Work]:
    x, out = _images(node.inputs[0]), _images(node.outputs[0])
    window = _window(node.params, x, out)
    if _tiles(window):
        return _means(x, out, _divisor(node.params, window))
    body, value = _started(_floats(x))
    ones, one = _ones(node, window, x.dtype)
    body.store(out, out.strides, _divided(body, value, node.params, window))
    return [ones, Work(out.shape, 4, body.insts, core=core(Conv, window, x, one))]


@rule("avg_pool2d_grad")
def avg_pool_grad(node: Node) -> Sequence[Work]:
    g, out = _images(node.inputs[0]), _images(node.outputs[0])
    window = _window(node.params, out, g)
    if _tiles(window):
        return _shares(g, out, _divisor(node.params, window))
    wide = _floats(g)
    before = Body()
    parts = Ref(Value(0, g.size * g.dtype.itemsize, node), 0, g.shape, _dense(g), g.dtype)
    before.store(parts, parts.strides, _divided(before, before.load(g, g.strides), node.params, window))
    body, value = _started(wide)
    ones, one = _ones(node, window, g.dtype)
    body.store(out, out.strides, value)
    return [
        ones,
        Work(g.shape, 4, before.insts),
        Work(out.shape, 4, body.insts, core=core(ConvInput, window, parts, one)),
    ]


def _dense(ref: Ref) -> tuple[int, ...]:
    step, strides = ref.dtype.itemsize, []
    for n in reversed(ref.shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def _blocks(whole: Ref, outputs: Sequence[int]) -> tuple[list[int], list[int]]:
    """The sizes of the pooled dimensions of `whole` cut into even windows, and its strides: (.., windows, .., within windows)."""
    lead = len(whole.shape) - len(outputs)
    sizes, shape, strides = [], [], []
    for n, k, s in zip(whole.shape[lead:], outputs, whole.strides[lead:], strict=True):
        if not k or n % k:
            raise NotNative("uneven windows")
        sizes.append(n // k)
        shape.append((k, n // k))
        strides.append((s * (n // k), s))
    dims = [*whole.shape[:lead], *(k for k, _ in shape), *sizes]
    return dims, [*whole.strides[:lead], *(a for a, _ in strides), *(b for _, b in strides)]


def _means(x: Ref, out: Ref, divisor: float | None = None) -> list[Work]:
    """The means of even windows: rows of a loop. divisor: other than their size."""
    _floats(x)
    spatial = len(out.shape) - 2
    dims, strides = _blocks(x, out.shape[-spatial:])
    keep = len(out.shape)
    body = Body()
    mean = body.div(body.sum(body.load(x, strides)), divisor or float(math.prod(dims[keep:])))
    body.store(out, (*out.strides, *(0,) * spatial), mean)
    return [Work(dims, keep, body.insts)]


def _shares(g: Ref, out: Ref, divisor: float | None = None) -> list[Work]:
    """The gradient of that."""
    _floats(g)
    spatial = len(g.shape) - 2
    dims, strides = _blocks(out, g.shape[-spatial:])
    body = Body()
    share = body.div(body.load(g, (*g.strides, *(0,) * spatial)), divisor or float(math.prod(dims[len(g.shape) :])))
    body.store(out, strides, share)
    return [Work(dims, len(dims), body.insts)]


def _adaptive(node: Node) -> tuple[Ref, Ref]:
    """Input and result; without images' batch, with one."""
    x, out = node.inputs[0], node.outputs[0]
    if x.__class__ is not Ref or out is None or 0 in x.shape or 0 in out.shape:
        raise NotNative("no images")
    if len(x.shape) == (3 if "2d" in node.name else 4):
        x, out = (r._replace(shape=(1, *r.shape), strides=(0, *r.strides)) for r in (x, out))
    return x, out


@rule("adaptive_avg_pool2d", "adaptive_avg_pool3d")
def adaptive_avg_pool(node: Node) -> Sequence[Work]:
    return _means(*_adaptive(node))


@rule("adaptive_avg_pool2d_grad", "adaptive_avg_pool3d_grad")
def adaptive_avg_pool_grad(node: Node) -> Sequence[Work]:
    return _shares(*_adaptive(node))
