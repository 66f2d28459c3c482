"""What `emit` hands to the runtime: one kernel as text, and how to call it. Not here: how it is made (loops.py and its neighbours)."""

from __future__ import annotations

from typing import NamedTuple

from ..runtime.codegen import READY  # the first line of text that goes to code generation without optimising passes

__all__ = ["READY", "Code"]


class Code(NamedTuple):
    """One kernel as a module of LLVM IR with one public function, `void symbol(ptr operands, ptr scratch, i64 lo, i64 hi)`."""

    ir: str
    symbol: str  # follows from the kernel alone: equal kernels have equal symbols
    units: int  # independent pieces of the work, 0 .. units - 1; 0: there is nothing to do
    scratch: int  # bytes of memory that each calling thread lends, aligned to 64
    cost_ns: float  # rough time of all units on one core
