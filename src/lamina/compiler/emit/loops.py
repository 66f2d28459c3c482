"""A Loop as LLVM IR: loops over what is kept, around passes over a row. Not here: the decisions (schedule.py), what an instruction
is (scalars.py), how a reduction goes (reductions.py)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from lamina.compiler.emit import columns, tiles
from lamina.compiler.emit.code import Code
from lamina.compiler.emit.ir import TYPES, Writer
from lamina.compiler.emit.nest import Pass
from lamina.compiler.emit.place import STREAMED, Place
from lamina.compiler.emit.reductions import POSITIONS, Reduction, State, splat
from lamina.compiler.emit.scalars import STORED, cast
from lamina.compiler.emit.schedule import schedule
from lamina.compiler.emit.simplify import access_of
from lamina.compiler.kernels import REDUCTIONS, SIZES, Access, Inst, Loop
from lamina.compiler.runtime.codegen import READY

BLOCK = 128
"""Float sums over more steps than twice this are made in blocks of it, and so on: the error grows with the logarithm of the steps."""

Turn = Callable[[str, State], State]


def emit_loop(loop: Loop) -> Code:
    """The native function of `loop`."""
    symbol = "k" + hashlib.blake2b(repr(loop).encode(), digest_size=10).hexdigest()
    reduces = any(inst.op in REDUCTIONS for inst in loop.body)
    if 0 in loop.dims[: loop.keep if reduces else None]:
        writer = Writer()
        writer.do("ret void")
        return Code(READY + writer.module(symbol), symbol, 0, 0, 0.0)
    if 0 in loop.dims:
        return _emit(_of_empty_rows(loop), symbol)
    return _emit(loop, symbol)


def _of_empty_rows(loop: Loop) -> Loop:
    """Rows without elements: reductions are constants, and nothing is stored along a row."""
    dims = loop.dims[: loop.keep]
    results = {
        "sum": 0,
        "prod": 1,
        "any": False,
        "all": True,
        "argmax": 0,
        "argmin": 0,
        "max": float("-inf"),
        "min": float("inf"),
    }
    body: list[Inst] = []
    varies: list[bool] = []
    for inst in loop.body:
        access = access_of(inst)
        along = inst.op not in REDUCTIONS and any(varies[a] for a in inst.args)
        if access is not None:
            along = along or any(access.strides[loop.keep :])
            shorter = access._replace(strides=access.strides[: loop.keep])
            inst = inst._replace(data=(shorter, inst.data[1]) if inst.op == "gather" else shorter)
        along = along or (inst.op == "index" and inst.data >= loop.keep)
        varies.append(along)
        if inst.op in REDUCTIONS:
            value = results[inst.op]
            if isinstance(value, float) and inst.dtype not in ("float32", "float64"):
                value = 0
            inst = Inst("const", (), inst.dtype, value)
        body.append(Inst("const", (), inst.dtype, 0) if along else inst)
    return Loop(dims, loop.keep, tuple(body))


def _emit(loop: Loop, symbol: str) -> Code:
    nest = schedule(loop)
    emitter = Loops(nest)
    emitter.kernel()
    return Code(READY + emitter.writer.module(symbol), symbol, nest.units, nest.scratch, nest.cost_ns)


class Loops(Place):
    """Loops over what is kept, around passes over a row."""

    def kernel(self) -> None:
        """The whole function."""
        writer, nest = self.writer, self.nest
        accesses = {a: None for i in nest.alive if (a := access_of(self.body[i])) is not None}
        bases: dict[int, str] = {}
        for operand in sorted({a.operand for a in accesses}):
            slot = writer.let(f"getelementptr inbounds ptr, ptr %operands, i64 {operand}")
            bases[operand] = writer.let(f"load ptr, ptr {slot}, !invariant.load !3")
        self.pointers = {a: bases[a.operand] for a in accesses}
        if nest.unit_dim >= 0:
            self.start = writer.let(f"mul nsw i64 %lo, {nest.block}")
            far = writer.let(f"mul nsw i64 %hi, {nest.block}")
            self.limit = writer.call("llvm.smin.i64", "i64", ("i64", far), ("i64", str(self.loop.dims[nest.unit_dim])))
        done = writer.label("done")
        self._when("icmp slt i64 %lo, %hi", done)
        if nest.streams:
            self._past_the_caches(bases, done)
        with self.inside():
            self._kernel()
        writer.jump(done)
        writer.place(done)
        writer.do("ret void")

    def _kernel(self) -> None:
        self.execute(self._of_level(-1))
        self._kept(0)

    def _when(self, condition: str, otherwise: str) -> None:
        """Go on if a condition holds."""
        some = self.writer.label("some")
        self.writer.branch(self.writer.let(condition), some, otherwise)
        self.writer.place(some)

    def _past_the_caches(self, bases: dict[int, str], done: str) -> None:
        """The whole function with stores past the caches, if outputs are aligned and no inputs; after it, the way for all others."""
        writer, outputs = (
            self.writer,
            {self.body[i].data.operand for i in self.nest.alive if self.body[i].op == "store"},
        )
        plain, bits = writer.label("plain"), "0"
        for o in sorted(outputs):
            bits = writer.let(f"or i64 {bits}, {writer.let(f'ptrtoint ptr {bases[o]} to i64')}")
        self._when(f"icmp eq i64 {writer.let(f'and i64 {bits}, {STREAMED - 1}')}, 0", plain)
        for o in sorted(outputs):
            for i in sorted(bases.keys() - outputs):
                self._when(f"icmp ne ptr {bases[o]}, {bases[i]}", plain)
        self.streaming = True
        with self.inside():
            self._kernel()
        self.streaming = False
        # Such stores are not ordered with others: other threads must see them before they see that the work is done.
        writer.helpers["llvm.x86.sse.sfence"] = "declare void @llvm.x86.sse.sfence()"
        writer.do("call void @llvm.x86.sse.sfence()")
        writer.jump(done)
        writer.place(plain)

    def _of_level(self, level: int) -> list[int]:
        """Instructions made on entering the kept loop `level`: what varies along it, along no inner one, and needs no reduction."""
        nest = self.nest
        inner = sum(1 << d for d in self.kept[level + 1 :]) | nest.reduced_mask
        own = 1 << self.kept[level] if level >= 0 else 0
        return [
            i
            for i in nest.alive
            if nest.stage[i] == 0
            and not nest.depends[i] & inner
            and (level < 0 or nest.depends[i] & own)
            and not (self.body[i].op == "store" and nest.passes)
        ]  # fmt: skip

    # Kept dimensions

    def _kept(self, level: int) -> None:
        """The kept loops from `level` on."""
        if level == len(self.kept):
            self._row()
            return
        start, limit = self.range_of(self.kept[level])
        if self.nest.turned and level == len(self.kept) - 2:
            tiles.turned(self, level, start, limit)
        else:
            self.plain(level, start, limit)

    def range_of(self, d: int) -> tuple[str, str]:
        """From where to where a kept loop goes."""
        return (self.start, self.limit) if d == self.nest.unit_dim else ("0", str(self.loop.dims[d]))

    def plain(self, level: int, start: str, limit: str) -> None:
        """The kept loop `level` from `start` to `limit`, one index or vector after the other."""
        d = self.kept[level]
        if d != self.nest.vec:
            self.loop_over(start, limit, 1, lambda counter: self.turn(level, counter, 1))
        elif self.nest.columns:
            columns.blocks(self, level, start, limit)
        else:
            self.vectors(start, limit, lambda counter, lanes: self.turn(level, counter, lanes))

    def turn(self, level: int, counter: str, lanes: int) -> None:
        """One index or vector of the kept loop `level`."""
        with self.inside():
            self.enter(level, counter, lanes)
            self._kept(level + 1)

    def enter(self, level: int, counter: str, lanes: int) -> None:
        """Go to an index or vector of the kept loop `level`."""
        d = self.kept[level]
        if d == self.nest.vec:
            self.lanes = lanes
        self.step(d, counter, self.nest.alive)
        self.execute(self._of_level(level))

    def vectors(self, start: str, limit: str, turn: Callable[[str, int], None]) -> None:
        """Vectors along the vector dimension, from `start`, which is a multiple of their lanes, to `limit`."""
        n, lanes = self.loop.dims[self.nest.vec], self.nest.lanes
        whole, rest = n // lanes * lanes, n % lanes
        if not rest:
            self.loop_over(start, limit, lanes, lambda counter: turn(counter, lanes))
        elif limit == str(n):
            if whole:
                self.loop_over(start, str(whole), lanes, lambda counter: turn(counter, lanes))
            turn(str(whole), rest)
        else:
            below = self.writer.call("llvm.smin.i64", "i64", ("i64", limit), ("i64", str(whole)))
            self.only_if(
                f"icmp slt i64 {start}, {below}",
                lambda: self.loop_over(start, below, lanes, lambda counter: turn(counter, lanes)),
            )
            self.only_if(f"icmp eq i64 {limit}, {n}", lambda: turn(str(whole), rest))

    def loop_over(self, start: str, limit: str, step: int, turn: Callable[[str], None]) -> None:
        """A loop that hands on nothing."""
        if start.isdigit() and limit.isdigit() and int(limit) <= int(start) + step:
            turn(start)
            return
        mark, _ = self.writer.begin(start, limit, step)
        turn(mark.counter)
        self.writer.end(mark)

    def only_if(self, condition: str, then: Callable[[], None]) -> None:
        """Text under a condition."""
        after = self.writer.label("after")
        self._when(condition, after)
        then()
        self.writer.jump(after)
        self.writer.place(after)

    # A row

    def _row(self) -> None:
        """All passes over a row, or over as many rows as there are lanes."""
        for s, p in enumerate(self.nest.passes):
            reductions = self.reductions(p, p.lanes if self.along_row else self.lanes)
            with self.inside():
                first = [r.begin(self.positions("0", r)) for r in reductions]
                state = self._reduced(0, p, reductions, first)
            self.finish(p, reductions, state)
            self.execute(self.nest.after(s))
        if self.nest.passes:
            self.execute(self.nest.row_stores)

    def reductions(self, p: Pass, lanes: int) -> list[Reduction]:
        """The reductions of a pass, in so many lanes where they have lanes at all."""
        found = []
        for i in p.reductions:
            inst, argument = self.body[i], self.body[i].args[0]
            own = lanes if self.along_row or self.nest.along_vec(argument) else 1
            found.append(Reduction(self.writer, inst.op, self.body[argument].dtype, inst.dtype, own, self.nest.row))
        return found

    def finish(self, p: Pass, reductions: list[Reduction], state: State) -> None:
        """The results of a pass."""
        for i, r, registers in zip(p.reductions, reductions, state, strict=True):
            self.values[i, 1 if self.along_row else r.lanes] = r.finish(registers, self.along_row)

    def positions(self, base: str, r: Reduction) -> str:
        """Where in the row the elements stand that a reduction's lanes get; `base`: the first of them."""
        if r.op not in POSITIONS:
            return ""
        weight = self.nest.weights[self.nest.vec] if self.along_row else 0
        base, element = cast(self.writer, "int64", r.place, 1, base), TYPES[r.place]
        if r.lanes == 1 or weight == 0:
            return splat(self.writer, element, r.lanes, base)
        steps = "<" + ", ".join([f"{element} {i * weight}" for i in range(r.lanes)]) + ">"
        return self.writer.let(f"add {r.types[1]} {splat(self.writer, element, r.lanes, base)}, {steps}")

    def _reduced(self, level: int, p: Pass, reductions: list[Reduction], state: State) -> State:
        """The loops of a pass from `level` on; the state after them."""
        if level == len(self.reduced):
            return self.feed(p, reductions, state, self.lanes if self.along_row else 1)
        d = self.reduced[level]
        n = self.loop.dims[d]
        lanes = p.lanes if d == self.nest.vec else 1
        whole, rest = n // lanes * lanes, n % lanes

        def turn(counter: str, lanes: int, state: State) -> State:
            with self.inside():
                if d == self.nest.vec:
                    self.lanes = lanes
                last = self.nest.passes[-1]
                extra = self.nest.ahead if p is last else last.stores if self.nest.ahead else []
                self.step(d, counter, [*p.needed, *extra])
                if d == self.nest.vec:
                    self._fetch_ahead(p)
                inner = sum(1 << e for e in self.reduced[level + 1 :])
                own = [i for i in p.needed if self.nest.depends[i] >> d & 1 and not self.nest.depends[i] & inner]
                self.execute(own, p)
                deeper = level + 1 < len(self.reduced)
                return self.nested(deeper, reductions, state, lambda s: self._reduced(level + 1, p, reductions, s))

        if d == self.nest.vec:
            self._splat_ahead(p, lanes)
        if whole:
            sizes = [lanes]
            while whole > 2 * BLOCK * sizes[0] and any(r.blocked for r in reductions):
                sizes.insert(0, BLOCK * sizes[0])
            state = self._in_blocks(sizes, "0", str(whole), whole, reductions, state, lambda c, s: turn(c, lanes, s))
        return turn(str(whole), rest, state) if rest else state

    def _in_blocks(
        self,
        sizes: list[int],
        start: str,
        limit: str,
        whole: int,
        reductions: list[Reduction],
        state: State,
        turn: Turn,
    ) -> State:
        """Steps of the last size from `start` to `limit`, in blocks of blocks of the other sizes, each with sums of its own."""
        if len(sizes) == 1:
            return self.carry(start, limit, sizes[0], reductions, state, turn)

        def block(at: str, outer: State) -> State:
            end = self.block_end(at, sizes[0], whole)
            return self.nested(
                True, reductions, outer, lambda s: self._in_blocks(sizes[1:], at, end, whole, reductions, s, turn)
            )

        return self.carry(start, limit, sizes[0], reductions, state, block)

    def _fetch_ahead(self, p: Pass) -> None:
        """Ask for what comes next, lest memory be idle while passes go over what is near: the first pass for the lines that the
        last one writes, the last one for a row that comes soon."""
        if not self.nest.ahead:
            return
        if p is self.nest.passes[0]:
            for i in self.nest.passes[-1].stores:
                self._fetch(self.body[i].data, 0, write=True)
        elif p is self.nest.passes[-1]:
            for i in self.nest.ahead:
                self._fetch(
                    self.body[i].data, self.nest.distance * self.body[i].data.strides[self.kept[-1]], write=False
                )

    def _fetch(self, access: Access, far: int, write: bool) -> None:
        self.writer.helpers["llvm.prefetch.p0"] = "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"
        for first in range(0, self.lanes, 64 // SIZES[access.dtype]):
            at = self.writer.let(
                f"getelementptr {STORED[access.dtype]}, ptr {self.pointers[access]}, i64 {far + first}"
            )
            self.writer.do(f"call void @llvm.prefetch.p0(ptr {at}, i32 {int(write)}, i32 3, i32 1)")

    def block_end(self, start: str, size: int, limit: int) -> str:
        """Where the block that begins at `start` ends."""
        if start.isdigit():
            return str(min(int(start) + size, limit))
        end = self.writer.let(f"add nsw i64 {start}, {size}")
        if limit % size == 0:
            return end
        return self.writer.call("llvm.smin.i64", "i64", ("i64", end), ("i64", str(limit)))

    def nested(self, fresh: bool, reductions: list[Reduction], state: State, inside: Callable[[State], State]) -> State:
        """An inner loop: sums of floats begin anew in it, and are added to what was there before."""
        if not fresh:
            return inside(state)
        first = [r.begin("") if r.blocked else s for r, s in zip(reductions, state, strict=True)]
        result = inside(first)
        return [r.merge(s, t) if r.blocked else t for r, s, t in zip(reductions, state, result, strict=True)]

    def carry(
        self,
        start: str,
        limit: str,
        step: int,
        reductions: list[Reduction],
        state: State,
        turn: Turn,
    ) -> State:
        """A loop that hands on the state of reductions."""
        if start.isdigit() and limit.isdigit() and int(limit) <= int(start) + step:
            return turn(start, state)
        carried = [(k, v) for r, s in zip(reductions, state, strict=True) for k, v in zip(r.types, s, strict=True)]
        mark, flat = self.writer.begin(start, limit, step, tuple(carried))
        waiting = iter(flat)
        result = turn(mark.counter, [[next(waiting) for _ in r.types] for r in reductions])
        self.writer.end(mark, [x for registers in result for x in registers])
        return result

    def feed(self, p: Pass, reductions: list[Reduction], state: State, lanes: int) -> State:
        """The state after one more element or vector."""
        result = []
        for i, r, s in zip(p.reductions, reductions, state, strict=True):
            own = lanes if self.along_row else r.lanes
            x = r.pad(own, r.convert(own, self.value(self.body[i].args[0], own)))
            positions = self.positions(self.linear(self.nest.weights), r) if r.op in POSITIONS else ""
            result.append(r.feed(s, x, positions))
        return result

    def _splat_ahead(self, p: Pass, lanes: int) -> None:
        """Put scalars that the vectors of a pass need into all lanes, before the loop."""
        for i in p.needed:
            if self.nest.along_vec(i):
                for a in self.body[i].args:
                    if not self.nest.along_vec(a) and (a, 1) in self.values and self.body[a].op != "const":
                        self.value(a, lanes)
