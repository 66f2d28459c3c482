"""Kernels as LLVM IR: text made by a small writer of our own, one module for each kernel."""

from __future__ import annotations

from lamina.compiler.emit.code import Code
from lamina.compiler.emit.conv import emit_conv
from lamina.compiler.emit.conv_weight import emit_conv_weight
from lamina.compiler.emit.epilogue import NotNative
from lamina.compiler.emit.loops import emit_loop
from lamina.compiler.emit.matmul import emit_matmul
from lamina.compiler.kernels import Conv, ConvInput, ConvWeight, Loop, Matmul

__all__ = ["Code", "NotNative", "emit"]


def emit(kernel: Loop | Matmul | Conv | ConvInput | ConvWeight) -> Code:
    """The native function of a kernel, as text. Equal kernels give equal text. Raises NotNative where there is no native form."""
    if isinstance(kernel, Loop):
        return emit_loop(kernel)
    if isinstance(kernel, Matmul):
        return emit_matmul(kernel)
    return emit_conv_weight(kernel) if isinstance(kernel, ConvWeight) else emit_conv(kernel)
