"""Kernels as LLVM IR: text made by a small writer of our own, one module for each kernel."""

from __future__ import annotations

from lamina.compiler.emit.code import Code
from lamina.compiler.emit.conv import emit_conv
from lamina.compiler.emit.conv_weight import emit_conv_weight
from lamina.compiler.emit.loops import emit_loop
from lamina.compiler.emit.matmul import emit_matmul
from lamina.compiler.emit.pool import emit_max_pool
from lamina.compiler.emit.scatter import emit_scatter
from lamina.compiler.kernels import Conv, ConvInput, ConvWeight, Loop, Matmul, MaxPool, MaxPoolInput, NotNative, Scatter

__all__ = ["Code", "Kernel", "NotNative", "emit"]


Kernel = Loop | Matmul | Conv | ConvInput | ConvWeight | MaxPool | MaxPoolInput | Scatter


def emit(kernel: Kernel) -> Code:
    """The native function of a kernel, as text. Equal kernels give equal text. Raises NotNative where there is no native form."""
    match kernel:
        case Loop():
            return emit_loop(kernel)
        case Matmul():
            return emit_matmul(kernel)
        case Conv() | ConvInput():
            return emit_conv(kernel)
        case ConvWeight():
            return emit_conv_weight(kernel)
        case MaxPool() | MaxPoolInput():
            return emit_max_pool(kernel)
        case Scatter():
            return emit_scatter(kernel)
