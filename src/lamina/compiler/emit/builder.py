"""Text of one LLVM function, written front to back: what loops over tiles need beside straight-line code.

Here: names, i64 arithmetic with constants folded while writing, addresses, loops with carried values, guards. Not here: what the
instructions mean (tile.py, pack.py, epilogue.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .code import READY
from .ir import Writer

Index = int | str
"""An i64: a number known while writing, or the name of a value."""


class Builder(Writer):
    """The body of a function, with loops over blocks and tiles."""

    def do_call(self, name: str, *arguments: tuple[str, str]) -> None:
        """Call a function without result."""
        self.helpers.setdefault(name, f"declare void @{name}({', '.join([kind for kind, _ in arguments])})")
        self.do(f"call void @{name}({', '.join([f'{kind} {value}' for kind, value in arguments])})")

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

    def follow(self, first: str, body: Callable[[str], str]) -> None:
        """`i = body(i)` from `first` on, while i is not negative."""
        before, head, behind = self.block, self.label("loop"), self.label("behind")
        self.branch(self.let(f"icmp sge i64 {first}, 0"), head, behind)
        self.place(head)
        value = self.let(f"phi i64 [ {first}, %{before} ],")
        place = len(self.lines) - 1
        following = body(value)
        self.lines[place] += f" [ {following}, %{self.block} ]"
        self.branch(self.let(f"icmp sge i64 {following}, 0"), head, behind)
        self.place(behind)

    # The whole

    def finish(self, symbol: str) -> str:
        """The whole module."""
        self.do("ret void")
        return READY + self.module(symbol)
