"""Products by BLAS's pointer on the compiler's threads: many at a time, each in one thread.

Here: the kernel that calls BLAS for rows of a table, and the function that the primitives' products are lent (Slots.products). Not here:
into which blocks a product is cut (primitives/kernels/products.py), BLAS's own threads (core/blas.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.compiler.available import attempted, available
from lamina.compiler.costs import coefficients
from lamina.compiler.runtime.code import Code
from lamina.core import blas
from lamina.core.strided import Array

UNITS = 32

_TEXT = """
define void @NAME(ptr %operands, ptr %scratch, i64 %lo, i64 %hi) nounwind {
entry:
  %table = load ptr, ptr %operands
  %gemm = load ptr, ptr %table
  %count.at = getelementptr i64, ptr %table, i64 1
  %count = load i64, ptr %count.at
  %before = mul i64 %lo, %count
  %first = udiv i64 %before, UNITS
  %until = mul i64 %hi, %count
  %end = udiv i64 %until, UNITS
  br label %head
head:
  %i = phi i64 [ %first, %entry ], [ %next, %body ]
  %more = icmp ult i64 %i, %end
  br i1 %more, label %body, label %done
body:
  %skip = mul i64 %i, 11
  %at = add i64 %skip, 2
  %row = getelementptr i64, ptr %table, i64 %at
FIELDS
  %ta = trunc i64 %f0 to i32
  %tb = trunc i64 %f1 to i32
  %a = inttoptr i64 %f5 to ptr
  %b = inttoptr i64 %f7 to ptr
  %c = inttoptr i64 %f9 to ptr
  call void %gemm(i32 101, i32 %ta, i32 %tb, i64 %f2, i64 %f3, i64 %f4, TYPE 1.0, ptr %a, i64 %f6, ptr %b, i64 %f8, TYPE 0.0, ptr %c, i64 %f10)
  %next = add i64 %i, 1
  br label %head
done:
  ret void
}
"""
"""A table: BLAS's function, how many products; then for each: the transpositions, m, n, k, and pointer and pitch of A, B and C."""

_PLAIN, _TRANSPOSED = 111, 112


def lend() -> Callable[[list[tuple[Array, Array, Array]]], bool] | None:
    """`run(jobs)`: each job's x @ y into its out, by as many threads as are set; False where BLAS cannot take them as they lie.

    None where there is no native code, or a BLAS that counts in 32 bits.
    """
    if not available():
        return None
    functions = {np.dtype(d): blas.address(f"cblas_{letter}gemm") for d, letter in (("f4", "s"), ("f8", "d"))}
    if None in functions.values():
        return None
    entries = {d: attempted(_entry, d) for d in functions}
    if None in entries.values():
        return None

    def run(jobs: list[tuple[Array, Array, Array]]) -> bool:
        dtype = jobs[0][2].dtype
        if dtype not in functions:
            return False
        table = [functions[dtype], len(jobs)]
        size = dtype.itemsize
        for x, y, out in jobs:
            a, b, c = _lies(x, size), _lies(y, size), _lies(out, size)
            if a is None or b is None or c is None or c[0] != _PLAIN:
                return False
            (m, k), n = x.shape, y.shape[1]
            table += a[0], b[0], m, n, k, a[1], a[2], b[1], b[2], c[1], c[2]
        entries[dtype](np.array(table, np.int64))
        return True

    return run


def _entry(dtype: Any) -> Any:
    from lamina.compiler.runtime.program import Launch, Program  # only where llvmlite is

    kind = {4: "float", 8: "double"}[dtype.itemsize]
    fields = "\n".join(
        f"  %p{i} = getelementptr i64, ptr %row, i64 {i}\n  %f{i} = load i64, ptr %p{i}" for i in range(11)
    )
    name = f"gemm_{kind}"
    text = _TEXT.replace("NAME", name).replace("UNITS", str(UNITS)).replace("FIELDS", fields).replace("TYPE", kind)
    code = Code(text, name, UNITS, 0, UNITS * 1.01 * coefficients().share_ns)
    return Program([[Launch(code, ((0, 0),))]], 1, 0).entries[0]


def _lies(x: Array, size: int) -> tuple[int, int, int] | None:
    """How BLAS reads a matrix: as it is or transposed, where, and its pitch; None for any other geometry."""
    (down, across), (rows, columns) = x.strides, x.shape
    if down % size or across % size or not x.flags.aligned:
        return None
    where = x.__array_interface__["data"][0]
    if (across == size or columns == 1) and down >= columns * size:
        return _PLAIN, where, down // size
    if (down == size or rows == 1) and across >= rows * size:
        return _TRANSPOSED, where, across // size
    return None
