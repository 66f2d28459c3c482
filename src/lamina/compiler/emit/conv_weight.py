"""The gradient of a convolution's weight: for each filter and tap the inner product of two images, output gradient and input.

Here: which of the two ways it goes, along pixels or along filters.
"""

from __future__ import annotations

from math import prod

from .. import costs
from ..kernels import SIZES, ConvWeight, NotNative
from . import weight_filters, weight_pixels
from .builder import Builder
from .code import Code
from .names import symbol_of
from .vectors import FLOATS, Vec


def emit_conv_weight(kernel: ConvWeight, machine: costs.Machine | None = None) -> Code:
    """The kernel's text. Raises NotNative where the dtypes or the epilogue have no native form."""
    machine = machine or costs.machine()
    w = kernel.window
    symbol = symbol_of(kernel, machine)
    dtype = kernel.body[0].dtype
    if dtype not in ("float32", "float64") or not {kernel.grad.dtype, kernel.input.dtype} <= FLOATS:
        raise NotNative(f"a convolution of {kernel.grad.dtype} and {kernel.input.dtype} in {dtype}")
    if not prod((w.filters, w.channels, *w.kernel)):
        return Code(Builder().finish(symbol), symbol, 0, 0, 0.0)
    if min(w.out) < 1:
        raise NotNative("a convolution without output")
    v = Vec(dtype, machine.vector // SIZES[dtype])
    pixels, filters = weight_pixels.plan(kernel, v, machine), weight_filters.plan(kernel, v, machine)
    if filters.nanoseconds < pixels.nanoseconds:
        writer: weight_filters.Filters | weight_pixels.Pixels = weight_filters.Filters(kernel, filters)
    else:
        writer = weight_pixels.Pixels(kernel, pixels)
    units = w.groups * prod(writer.blocks)
    return Code(writer.text(symbol), symbol, units, writer.scratch.bytes, writer.p.nanoseconds)
