"""Convolutions of one and two dimensions, and their gradients; those of three run as calls into NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from lamina.compiler import costs
from lamina.compiler.graph import Node, Ref
from lamina.compiler.kernels import SIZES, Conv, ConvInput, ConvWeight, Inst, Window
from lamina.compiler.loops import WIDE, Body, Core, NotNative, Val, Work, access
from lamina.compiler.lowering.products import FLOATS
from lamina.compiler.lowering.rules import rule


def core(kind: Any, window: Window, *refs: Ref) -> Core:
    """A kernel of this form over refs of four dimensions."""
    taps = "x".join(map(str, window.kernel))
    text = f"({window.channels} -> {window.filters}, {taps} of {window.batch}x{'x'.join(map(str, window.size))})"
    return Core(partial(kind, window), [access(r, r.strides) for r in refs], text)


def flat(ref: Ref) -> Ref:
    """A ref of (N, C, L) as one of images of height 1."""
    if len(ref.shape) != 3:
        return ref
    return Ref(
        ref.value, ref.offset, (*ref.shape[:2], 1, ref.shape[2]), (*ref.strides[:2], 0, ref.strides[2]), ref.dtype
    )


def _pair(values: Sequence[int], first: int) -> tuple[int, int]:
    return (first, values[0]) if len(values) == 1 else (values[0], values[1])


def _window(
    params: dict[str, Any], images: Sequence[int], filters: int, kernel: Sequence[int], outputs: Sequence[int]
) -> Window:
    """images: the shape of the convolution's input, of four dimensions."""
    window = Window(
        images[0], images[1], filters, params["groups"], (images[2], images[3]), (kernel[0], kernel[1]),
        _pair(params["stride"], 1), _pair(params["padding"], 0), _pair(params["dilation"], 1),
    )  # fmt: skip
    if window.out != tuple(outputs):
        raise NotNative("outputs that no window gives")
    return window


def _made(node: Node, kind: Any, window: Window, a: Ref, b: Ref, bias: Any = None) -> list[Work]:
    out = node.outputs[0]
    assert out is not None
    out = flat(out)
    if a.dtype.name not in FLOATS or a.dtype != b.dtype or 0 in a.shape or 0 in b.shape or 0 in out.shape:
        raise NotNative(f"a convolution of {a.dtype.name}{list(a.shape)} and {b.dtype.name}{list(b.shape)}")
    wide = WIDE.get(out.dtype.name, out.dtype.name)
    if costs.columns_win(window, SIZES[wide]):
        raise NotNative("columns and BLAS are quicker")
    body = Body()
    value = Val(body.put(Inst("product", (), wide)), wide)
    if bias is not None:
        value = body.add(value, body.cast(body.load(bias, (0, bias.strides[0], 0, 0)), wide))
    body.store(out, out.strides, value)
    return [Work(out.shape, 4, body.insts, core=core(kind, window, a, b))]


def _inputs(node: Node) -> list[Ref]:
    if any(i.__class__ is not Ref or len(i.shape) not in (3, 4) for i in node.inputs[:2]):
        raise NotNative("three dimensions")
    return [flat(i) for i in node.inputs[:2]]


@rule("conv", "conv_bias")
def conv(node: Node) -> Sequence[Work]:
    x, w = _inputs(node)
    out = flat(node.outputs[0])  # type: ignore[arg-type]
    window = _window(node.params, x.shape, w.shape[0], w.shape[2:], out.shape[2:])
    return _made(node, Conv, window, x, w, *node.inputs[2:])


@rule("conv_input", "conv_input_bias")
def conv_input(node: Node) -> Sequence[Work]:
    g, w = _inputs(node)
    out = flat(node.outputs[0])  # type: ignore[arg-type]
    window = _window(node.params, out.shape, w.shape[0], w.shape[2:], g.shape[2:])
    return _made(node, ConvInput, window, g, w, *node.inputs[2:])


@rule("conv_weight")
def conv_weight(node: Node) -> Sequence[Work]:
    g, x = _inputs(node)
    out = flat(node.outputs[0])  # type: ignore[arg-type]
    window = _window(node.params, x.shape, out.shape[0], out.shape[2:], g.shape[2:])
    return _made(node, ConvWeight, window, g, x)
