"""Maxima and averages of windows of images. Averages whose windows tile the image are loops; others run as calls into NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

from lamina.compiler.graph import Node, Ref, Value
from lamina.compiler.kernels import Inst, MaxPool, MaxPoolInput, Window
from lamina.compiler.loops import WIDE, At, Body, NotNative, Val, Work, access, frozen
from lamina.compiler.lowering import rule
from lamina.compiler.lowering.products import FLOATS


class Core:
    """A kernel of its own form: `make(accesses, body)` is it; `ats` are what it reads beside its body."""

    def __init__(self, make: Callable[..., Any], text: str, *ats: At) -> None:
        self.make, self.text, self.ats = make, text, ats

    def reads(self) -> Iterator[Value]:
        return (at.value for at in self.ats)

    def writes(self) -> Iterator[Value]:
        return iter(())

    def frozen(self, operands: dict[tuple[Value, int], int]) -> Any:
        return tuple(frozen(at, operands) for at in self.ats)

    def kernel(self, accesses: Any, body: tuple[Inst, ...]) -> Any:
        return self.make(*accesses, body)

    def __repr__(self) -> str:
        return f"({self.text})"


def product(body: Body, out: Ref) -> Val:
    """What the core gives, in the dtype that `out` is computed in."""
    wide = WIDE.get(out.dtype.name, out.dtype.name)
    return Val(body.put(Inst("product", (), wide)), wide)


def _images(ref: Any) -> Ref:
    """A ref of (C, H, W) or (N, C, H, W) as one of four dimensions."""
    if ref.__class__ is not Ref or ref.dtype.name not in (*FLOATS, "int64") or 0 in ref.shape:
        raise NotNative("pooling of this")
    if len(ref.shape) == 4:
        return ref
    return Ref(ref.value, ref.offset, (1, *ref.shape), (0, *ref.strides), ref.dtype)


@rule("max_pool2d")
def max_pool(node: Node) -> Sequence[Work]:
    x, out, places = _images(node.inputs[0]), _images(node.outputs[0]), node.outputs[1]
    n, c, *size = x.shape
    p = node.params
    w = Window(
        n, c, c, c, (size[0], size[1]), *(tuple(p[name]) for name in ("kernel", "stride", "padding", "dilation"))
    )
    if w.out != tuple(out.shape[2:]):
        raise NotNative("outputs that no window gives")
    body = Body()
    body.store(out, out.strides, product(body, out))
    if places is not None and p["indices"]:
        places = _images(places)
        body.store(places, places.strides, Val(body.put(Inst("place", (), "int64")), "int64"))
    core = Core(lambda a, body: MaxPool(w, a, body), f"{'x'.join(map(str, w.kernel))} of {size}", access(x, x.strides))
    return [Work(out.shape, 4, body.insts, core=core)]


@rule("max_pool2d_grad")
def max_pool_grad(node: Node) -> Sequence[Work]:
    g, places, out = _images(node.inputs[0]), _images(node.inputs[1]), _images(node.outputs[0])
    n, c, height, width = out.shape
    body = Body()
    body.store(out, out.strides, product(body, out))
    outputs = g.shape[2], g.shape[3]
    core = Core(
        lambda a, b, body: MaxPoolInput(n, c, (height, width), outputs, a, b, body), f"of {[height, width]}",
        access(g, g.strides), access(places, places.strides),
    )  # fmt: skip
    return [Work(out.shape, 4, body.insts, core=core)]


def _tiles(node: Node, image: Ref, outputs: Ref) -> tuple[int, int]:
    """The window of an average that takes each pixel once."""
    p = node.params
    size, out = image.shape[2:], outputs.shape[2:]
    kernel = tuple(a // b for a, b in zip(size, out, strict=True))
    if any(a != b * k for a, b, k in zip(size, out, kernel, strict=True)):
        raise NotNative("windows that do not tile the image")
    if "kernel" in p and (tuple(p["kernel"]) != kernel or tuple(p["stride"]) != kernel or any(p["padding"])):
        raise NotNative("windows that overlap, or borders")
    return kernel[0], kernel[1]


def _split(ref: Ref, kernel: tuple[int, int]) -> list[int]:
    """Strides over (N, C, rows of windows, columns of windows, rows in a window, columns in it)."""
    n, c, h, w = ref.strides
    return [n, c, h * kernel[0], w * kernel[1], h, w]


@rule("avg_pool2d", "adaptive_avg_pool2d")
def avg_pool(node: Node) -> Sequence[Work]:
    x, out = _images(node.inputs[0]), _images(node.outputs[0])
    kernel = _tiles(node, x, out)
    body = Body()
    total = body.sum(body.load(x, _split(x, kernel)))
    mean = body.div(total, float(node.params.get("divisor") or prod(kernel)))
    body.store(out, (*out.strides, 0, 0), mean)
    return [Work((*out.shape, *kernel), 4, body.insts)]


@rule("avg_pool2d_grad", "adaptive_avg_pool2d_grad")
def avg_pool_grad(node: Node) -> Sequence[Work]:
    g, out = _images(node.inputs[0]), _images(node.outputs[0])
    kernel = _tiles(node, out, g)
    body = Body()
    share = body.div(body.load(g, (*g.strides, 0, 0)), float(node.params.get("divisor") or prod(kernel)))
    body.store(out, _split(out, kernel), share)
    return [Work((*g.shape, *kernel), 6, body.insts)]
