"""Text of one LLVM function, written front to back: what loops over tiles need beside straight-line code.

Here: names, i64 arithmetic with constants folded while writing, addresses, loops with carried values, guards. Not here: what the
instructions mean (tile.py, pack.py, epilogue.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Index = int | str
"""An i64: a number known while writing, or the name of a value."""


class Builder:
    """The body of a function, with the declarations that it makes use of."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.helpers: dict[str, str] = {}
        self.block = "entry"
        self._count = 0

    def let(self, expression: str) -> str:
        """A new register holding `expression`."""
        self._count += 1
        name = f"%v{self._count}"
        self.lines.append(f"  {name} = {expression}")
        return name

    def do(self, statement: str) -> None:
        """A statement without result."""
        self.lines.append("  " + statement)

    def call(self, name: str, result: str, *arguments: tuple[str, str]) -> str:
        """Call a function or intrinsic of typed arguments, declared at need; of result "void" there is none."""
        if name not in self.helpers:
            self.helpers[name] = f"declare {result} @{name}({', '.join([kind for kind, _ in arguments])})"
        text = f"call {result} @{name}({', '.join([f'{kind} {value}' for kind, value in arguments])})"
        if result == "void":
            self.do(text)
            return ""
        return self.let(text)

    def label(self, stem: str) -> str:
        """A new label, to be placed by `place`."""
        self._count += 1
        return f"{stem}{self._count}"

    def place(self, label: str) -> None:
        """Begin the block `label`."""
        self.lines.append(f"{label}:")
        self.block = label

    def jump(self, label: str) -> None:
        """Go on at `label`."""
        self.lines.append(f"  br label %{label}")

    def branch(self, condition: str, yes: str, no: str) -> None:
        """Go on at one of two labels."""
        self.lines.append(f"  br i1 {condition}, label %{yes}, label %{no}")

    # Integers

    def _binary(self, op: str, x: Index, y: Index) -> str:
        return self.let(f"{op} i64 {x}, {y}")

    def add(self, x: Index, y: Index) -> Index:
        if isinstance(x, int) and isinstance(y, int):
            return x + y
        if x == 0 or y == 0:
            return y if x == 0 else x
        return self._binary("add nsw", x, y)

    def sub(self, x: Index, y: Index) -> Index:
        if isinstance(x, int) and isinstance(y, int):
            return x - y
        return x if y == 0 else self._binary("sub nsw", x, y)

    def mul(self, x: Index, y: Index) -> Index:
        if isinstance(x, int) and isinstance(y, int):
            return x * y
        if x == 0 or y == 0:
            return 0
        if x == 1 or y == 1:
            return y if x == 1 else x
        return self._binary("mul nsw", x, y)

    def div(self, x: Index, y: int) -> Index:
        if y == 1:
            return x
        return x // y if isinstance(x, int) else self._binary("udiv", x, y)

    def mod(self, x: Index, y: int) -> Index:
        if y == 1:
            return 0
        return x % y if isinstance(x, int) else self._binary("urem", x, y)

    def min(self, x: Index, y: Index) -> Index:
        if isinstance(x, int) and isinstance(y, int):
            return min(x, y)
        return self.call("llvm.smin.i64", "i64", ("i64", str(x)), ("i64", str(y)))

    def max(self, x: Index, y: Index) -> Index:
        if isinstance(x, int) and isinstance(y, int):
            return max(x, y)
        return self.call("llvm.smax.i64", "i64", ("i64", str(x)), ("i64", str(y)))

    def unravel(self, flat: Index, dims: Sequence[int]) -> list[Index]:
        """The row-major index that `flat` stands for."""
        index: list[Index] = []
        for size in reversed(dims[1:]):
            index.append(self.mod(flat, size))
            flat = self.div(flat, size)
        return ([flat] if dims else []) + index[::-1]

    def dot(self, index: Sequence[Index], strides: Sequence[int]) -> Index:
        total: Index = 0
        for x, stride in zip(index, strides, strict=True):
            total = self.add(total, self.mul(x, stride))
        return total

    def at(self, pointer: str, offset: Index) -> str:
        """The address `offset` bytes behind `pointer`."""
        return pointer if offset == 0 else self.let(f"getelementptr i8, ptr {pointer}, i64 {offset}")

    # Control

    def when(self, x: Index, op: str, y: Index, body: Callable[[], object]) -> None:
        """Run `body` if `x op y` (slt, sgt, eq, ne, ...)."""
        if isinstance(x, int) and isinstance(y, int):
            if {"slt": x < y, "sgt": x > y, "eq": x == y, "ne": x != y}[op]:
                body()
            return
        inside, behind = self.label("if"), self.label("behind")
        self.branch(self.let(f"icmp {op} i64 {x}, {y}"), inside, behind)
        self.place(inside)
        body()
        self.jump(behind)
        self.place(behind)

    def loop(
        self,
        start: Index,
        stop: Index,
        step: int,
        body: Callable[[Index, list[str]], Sequence[str]],
        carried: Sequence[tuple[str, str]] = (),
        *,
        some: bool = False,
    ) -> list[str]:
        """for (i = start; i < stop; i += step): `body(i, values)` gives the carried values' next state; returns their last.

        `carried`: (type, initial value) each. `some`: the loop is known to run at least once.
        """
        values = [value for _, value in carried]
        if isinstance(start, int) and isinstance(stop, int):
            if start >= stop:
                return values
            if start + step >= stop:
                return list(body(start, values))
            some = True
        before, head, behind = self.block, self.label("loop"), self.label("behind")
        if some:
            self.jump(head)
        else:
            self.branch(self.let(f"icmp slt i64 {start}, {stop}"), head, behind)
        self.place(head)
        index = self.let(f"phi i64 [ {start}, %{before} ],")
        place = len(self.lines) - 1
        names = [self.let(f"phi {kind} [ {value}, %{before} ],") for kind, value in carried]
        after = list(body(index, names))
        following = self.let(f"add nsw i64 {index}, {step}")
        last = self.block
        for line, value in enumerate((following, *after), place):
            self.lines[line] += f" [ {value}, %{last} ]"
        self.branch(self.let(f"icmp slt i64 {following}, {stop}"), head, behind)
        self.place(behind)
        if some:
            return after
        return [
            self.let(f"phi {kind} [ {value}, %{before} ], [ {end}, %{last} ]")
            for (kind, value), end in zip(carried, after, strict=True)
        ]

    def split(self, count: Index, step: int, tail: int, body: Callable[[Index, int], object]) -> None:
        """`body(i, step)` for every whole step in `count`, then `body(i, tail)` if there is a rest: it is `tail`, if any."""

        def whole(i: Index, _: list[str]) -> list[str]:
            body(i, step)
            return []

        rest = self.mod(count, step)
        full = self.sub(count, rest)
        self.loop(0, full, step, whole)
        if tail:
            self.when(rest, "ne", 0, lambda: body(full, tail))

    # The whole

    def module(self, symbol: str, width: int) -> str:
        """The function `void symbol(ptr operands, ptr scratch, i64 lo, i64 hi)` and what it needs, as one module."""
        head = f"define void @{symbol}(ptr noalias readonly %operands, ptr noalias %scratch, i64 %lo, i64 %hi) #0 {{"
        attributes = (
            f'attributes #0 = {{ nounwind "min-legal-vector-width"="{width}" "prefer-vector-width"="{width}" }}'
        )
        return "\n".join((head, "entry:", *self.lines, "  ret void", "}", *self.helpers.values(), attributes, ""))
