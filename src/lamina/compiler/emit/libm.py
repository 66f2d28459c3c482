"""Functions of the C library on vectors, lane by lane: for what has no vector form of its own."""

from __future__ import annotations

from lamina.compiler.emit.ir import Floats


def each(f: Floats, name: str, args: list[str]) -> str:
    """A function of the C library, lane by lane."""
    symbol = name + ("f" if f.single else "")
    if f.lanes == 1:
        return f.writer.call(symbol, f.element, *((f.element, x) for x in args))
    helper = f"each.{symbol}.{f.lanes}"
    if helper not in f.writer.helpers:
        f.writer.helpers[symbol] = f"declare {f.element} @{symbol}({', '.join([f.element] * len(args))})"
        f.writer.helpers[helper] = _loop(f, helper, symbol, len(args))
    return f.writer.let(f"call {f.type} @{helper}({', '.join([f'{f.type} {x}' for x in args])})")


def _loop(f: Floats, helper: str, symbol: str, arity: int) -> str:
    element, kind = f.element, f.type
    names = [f"x{i}" for i in range(arity)]
    rooms = "\n".join([f"  %{n}.room = alloca {kind}\n  store {kind} %{n}, ptr %{n}.room" for n in names])
    loads = "\n".join([
        f"  %{n}.at = getelementptr {element}, ptr %{n}.room, i64 %i\n  %{n}.one = load {element}, ptr %{n}.at" for n in names
    ])  # fmt: skip
    return f"""define internal {kind} @{helper}({", ".join([f"{kind} %{n}" for n in names])}) noinline nounwind {{
entry:
{rooms}
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
{loads}
  %y = call {element} @{symbol}({", ".join([f"{element} %{n}.one" for n in names])})
  store {element} %y, ptr %x0.at
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, {f.lanes}
  br i1 %more, label %loop, label %after, !llvm.loop !0
after:
  %result = load {kind}, ptr %x0.room
  ret {kind} %result
}}"""
