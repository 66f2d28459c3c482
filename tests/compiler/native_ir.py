"""Kernels written by hand, small, for tests of what runs kernels."""

from __future__ import annotations

from lamina.compiler.emit.code import Code

_EACH = """
define void @NAME(ptr %operands, ptr %scratch, i64 %lo, i64 %hi) {
  %source = load ptr, ptr %operands
  %second = getelementptr ptr, ptr %operands, i64 1
  %target = load ptr, ptr %second
  %any = icmp slt i64 %lo, %hi
  br i1 %any, label %loop, label %end
loop:
  %i = phi i64 [%lo, %0], [%next, %loop]
  %from = getelementptr double, ptr %source, i64 %i
  %x = load double, ptr %from
BODY
  %to = getelementptr double, ptr %target, i64 %i
  store double %y, ptr %to
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %hi
  br i1 %more, label %loop, label %end
end:
  ret void
}
"""


def each(name: str, body: str, units: int, *, declare: str = "", cost_ns: float = 100.0, scratch: int = 0) -> Code:
    """y = body(x) for each of `units` doubles; a unit is one."""
    return Code(_EACH.replace("NAME", name).replace("BODY", body) + declare, name, units, scratch, cost_ns)


def affine(factor: float, units: int, cost_ns: float = 100.0) -> Code:
    """y = factor * x + 1."""
    body = f"  %p = fmul double %x, {factor!r}\n  %y = fadd double %p, 1.0"
    return each(f"affine{factor:g}".replace(".", "_").replace("-", "m"), body, units, cost_ns=cost_ns)
