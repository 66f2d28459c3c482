"""Kernels as LLVM IR: text made by a small writer of our own, one module for each kernel."""

from __future__ import annotations

from lamina.compiler.emit.code import Code
from lamina.compiler.emit.loops import emit_loop
from lamina.compiler.emit.matmul import emit_matmul
from lamina.compiler.kernels import Loop, Matmul

__all__ = ["Code", "emit"]


def emit(kernel: Loop | Matmul) -> Code:
    """The native function of a kernel, as text. Equal kernels give equal text."""
    return emit_matmul(kernel) if isinstance(kernel, Matmul) else emit_loop(kernel)
