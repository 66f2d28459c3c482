"""One kernel as text, and how to call it: what emit hands over. Not here: how it is made (emit/), which kernels make a program (program.py)."""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """One kernel as a module of LLVM IR with one public function, `void symbol(ptr operands, ptr scratch, i64 lo, i64 hi)`."""

    ir: str
    symbol: str  # follows from the kernel alone: equal kernels have equal symbols
    units: int  # independent pieces of the work, 0 .. units - 1; 0: there is nothing to do
    scratch: int  # bytes of memory that each calling thread lends, aligned to 64
    cost_ns: float  # rough time of all units on one core
