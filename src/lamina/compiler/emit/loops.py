"""A Loop as LLVM IR: loops over what is kept, around passes over a row. Not here: the decisions (schedule.py), what an instruction
is (scalars.py), how a reduction goes (reductions.py)."""

from __future__ import annotations

import hashlib

from lamina.compiler.emit.code import Code
from lamina.compiler.emit.ir import TYPES, LoopMark, Writer, number, suffix, vector
from lamina.compiler.emit.reductions import POSITIONS, Reduction, splat
from lamina.compiler.emit.scalars import STORED, cast, narrow, scalar, widen
from lamina.compiler.emit.schedule import Nest, Pass, access_of, schedule
from lamina.compiler.kernels import REDUCTIONS, SIZES, Access, Inst, Loop

BLOCK = 256
"""Float sums over more steps than twice this are made in blocks of it: the error grows with the blocks, not with the steps."""

State = list[list[str]]


def emit_loop(loop: Loop) -> Code:
    """The native function of `loop`."""
    symbol = "k" + hashlib.blake2b(repr(loop).encode(), digest_size=10).hexdigest()
    if 0 in loop.dims[: loop.keep]:
        writer = Writer()
        writer.do("ret void")
        return Code(writer.module(symbol), symbol, 0, 0, 0.0)
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
    emitter = _Emitter(nest)
    emitter.kernel()
    return Code(emitter.writer.module(symbol), symbol, nest.units, nest.scratch, nest.cost_ns)


class _Emitter:
    """What is known at the place that is being written: values and pointers by what they are of; a loop's are dropped behind it."""

    def __init__(self, nest: Nest) -> None:
        self.nest, self.loop, self.body = nest, nest.loop, nest.loop.body
        self.writer = Writer()
        self.values: dict[tuple[int, int], str] = {}  # by instruction and lanes
        self.pointers: dict[Access, str] = {}
        self.counters: dict[int, str] = {}  # by dimension
        self.lanes = 1  # of the vector dimension, at this place
        self.kept = list(range(self.loop.keep))
        self.reduced = list(range(self.loop.keep, len(self.loop.dims)))
        for order in (self.kept, self.reduced):
            if nest.vec in order:  # vectors are innermost
                order.remove(nest.vec)
                order.append(nest.vec)
        self.along_row = nest.vec in self.reduced

    # Places

    def _enter(self) -> tuple[dict[tuple[int, int], str], dict[Access, str], dict[int, str], int]:
        saved = (self.values, self.pointers, self.counters, self.lanes)
        self.values, self.pointers, self.counters = dict(self.values), dict(self.pointers), dict(self.counters)
        return saved

    def _leave(self, saved: tuple[dict[tuple[int, int], str], dict[Access, str], dict[int, str], int]) -> None:
        self.values, self.pointers, self.counters, self.lanes = saved

    def _step(self, d: int, counter: str, insts: list[int]) -> None:
        """Move the pointers of these instructions along dimension d."""
        self.counters[d] = counter
        moved = {}
        for i in insts:
            access = access_of(self.body[i])
            if access is None or not access.strides[d] or access in moved:
                continue
            self.pointers[access] = moved[access] = self._offset(
                self.pointers[access], access.dtype, counter, access.strides[d]
            )

    def _offset(self, pointer: str, dtype: str, counter: str, stride: int) -> str:
        if counter == "0":
            return pointer
        if counter.isdigit():
            counter, stride = str(int(counter) * stride), 1
        far = counter if stride == 1 else self.writer.let(f"mul nsw i64 {counter}, {stride}")
        return self.writer.let(f"getelementptr inbounds {STORED[dtype]}, ptr {pointer}, i64 {far}")

    # The kernel

    def kernel(self) -> None:
        """The whole function."""
        writer, nest = self.writer, self.nest
        live = [i for i in range(len(self.body)) if nest.live[i]]
        accesses = {a: None for i in live if (a := access_of(self.body[i])) is not None}
        bases: dict[int, str] = {}
        for operand in sorted({a.operand for a in accesses}):
            slot = writer.let(f"getelementptr inbounds ptr, ptr %operands, i64 {operand}")
            bases[operand] = writer.let(f"load ptr, ptr {slot}, !invariant.load !3")
        self.pointers = {a: bases[a.operand] for a in accesses}
        if nest.unit_dim >= 0:
            self.start = writer.let(f"mul nsw i64 %lo, {nest.block}")
            far = writer.let(f"mul nsw i64 %hi, {nest.block}")
            self.limit = writer.call("llvm.smin.i64", "i64", ("i64", far), ("i64", str(self.loop.dims[nest.unit_dim])))
        some, done = writer.label("some"), writer.label("done")
        writer.branch(writer.let("icmp slt i64 %lo, %hi"), some, done)
        writer.place(some)
        self._values(self._of_level(-1))
        self._kept(0)
        writer.jump(done)
        writer.place(done)
        writer.do("ret void")

    def _of_level(self, level: int) -> list[int]:
        """Instructions made on entering the kept loop `level`: what varies along it, along no inner one, and needs no reduction."""
        nest = self.nest
        inner = sum(1 << d for d in self.kept[level + 1 :]) | nest.reduced_mask
        own = 1 << self.kept[level] if level >= 0 else 0
        return [
            i
            for i in range(len(self.body))
            if nest.live[i]
            and nest.stage[i] == 0
            and not nest.depends[i] & inner
            and (level < 0 or nest.depends[i] & own)
            and not (self.body[i].op == "store" and nest.passes)
        ]  # fmt: skip

    def _kept(self, level: int) -> None:
        if level == len(self.kept):
            self._row()
            return
        d = self.kept[level]
        n = self.loop.dims[d]
        start, limit = (self.start, self.limit) if d == self.nest.unit_dim else ("0", str(n))
        everything = [i for i in range(len(self.body)) if self.nest.live[i]]

        def turn(counter: str, lanes: int) -> None:
            saved = self._enter()
            if d == self.nest.vec:
                self.lanes = lanes
            self._step(d, counter, everything)
            self._values(self._of_level(level))
            self._kept(level + 1)
            self._leave(saved)

        if d != self.nest.vec:
            self._loop(start, limit, 1, lambda counter: turn(counter, 1))
            return
        lanes = self.nest.lanes
        whole, rest = n // lanes * lanes, n % lanes
        if whole == n:
            self._loop(start, limit, lanes, lambda counter: turn(counter, lanes))
        elif d != self.nest.unit_dim:
            self._loop("0", str(whole), lanes, lambda counter: turn(counter, lanes))
            turn(str(whole), rest)
        else:
            below = self.writer.call("llvm.smin.i64", "i64", ("i64", limit), ("i64", str(whole)))
            self._if(
                f"icmp slt i64 {start}, {below}", lambda: self._loop(start, below, lanes, lambda c: turn(c, lanes))
            )
            self._if(f"icmp eq i64 {limit}, {n}", lambda: turn(str(whole), rest))

    def _loop(self, start: str, limit: str, step: int, turn: object) -> None:
        assert callable(turn)
        if start.isdigit() and limit.isdigit() and int(limit) <= int(start) + step:
            turn(start)
            return
        mark, _ = self.writer.begin(start, limit, step)
        turn(mark.counter)
        self.writer.end(mark)

    def _if(self, condition: str, then: object) -> None:
        assert callable(then)
        yes, no = self.writer.label("yes"), self.writer.label("no")
        self.writer.branch(self.writer.let(condition), yes, no)
        self.writer.place(yes)
        then()
        self.writer.jump(no)
        self.writer.place(no)

    # A row

    def _row(self) -> None:
        nest = self.nest
        if not nest.passes:
            return
        rows = [i for i in range(len(self.body)) if nest.live[i] and not nest.depends[i] & nest.reduced_mask]
        for s, p in enumerate(nest.passes):
            self._pass(p)
            later = [i for i in rows if nest.stage[i] == s + 1 and self.body[i].op not in REDUCTIONS]
            self._values([i for i in later if self.body[i].op != "store"])
        self._values([i for i in rows if self.body[i].op == "store"])

    def _pass(self, p: Pass) -> None:
        reductions = []
        for i in p.reductions:
            inst, argument = self.body[i], self.body[i].args[0]
            lanes = self.nest.lanes if self.along_row else self.lanes if self.nest.along_vec(argument) else 1
            reductions.append(Reduction(self.writer, inst.op, self.body[argument].dtype, inst.dtype, lanes))
        first = [r.begin(self._positions("0", r.lanes)) for r in reductions]
        saved = self._enter()
        state = self._reduced(0, p, reductions, first)
        self._leave(saved)
        for i, r, registers in zip(p.reductions, reductions, state, strict=True):
            lanes = 1 if self.along_row else r.lanes
            self.values[i, lanes] = r.finish(registers, self.along_row)

    def _positions(self, base: str, lanes: int) -> str:
        """Where in the row the elements of these lanes stand."""
        weight = self.nest.weights[self.nest.vec] if self.along_row else 0
        if lanes == 1:
            return base
        if weight == 0:
            return splat(self.writer, "i64", lanes, base)
        steps = "<" + ", ".join([f"i64 {i * weight}" for i in range(lanes)]) + ">"
        if base == "0":
            return steps
        return self.writer.let(f"add {vector('i64', lanes)} {splat(self.writer, 'i64', lanes, base)}, {steps}")

    def _reduced(self, level: int, p: Pass, reductions: list[Reduction], state: State) -> State:
        """The loops of a pass from `level` on; the state after them."""
        if level == len(self.reduced):
            return self._feed(p, reductions, state, self.lanes if self.along_row else 1)
        d = self.reduced[level]
        n = self.loop.dims[d]
        lanes = self.nest.lanes if d == self.nest.vec else 1
        whole, rest = n // lanes * lanes, n % lanes
        steps = n // lanes

        def turn(counter: str, lanes: int, state: State) -> State:
            saved = self._enter()
            if d == self.nest.vec:
                self.lanes = lanes
            self._step(d, counter, p.needed)
            inner = sum(1 << e for e in self.reduced[level + 1 :])
            own = [i for i in p.needed if self.nest.depends[i] >> d & 1 and not self.nest.depends[i] & inner]
            self._values(own, p)
            deeper = level + 1 < len(self.reduced)
            result = self._nested(deeper, reductions, state, lambda s: self._reduced(level + 1, p, reductions, s))
            self._leave(saved)
            return result

        if d == self.nest.vec:
            self._splat_ahead(p, lanes)
        if whole:
            blocked = steps > 2 * BLOCK and any(r.blocked for r in reductions)
            if blocked:
                state = self._carry(
                    "0", str(whole), BLOCK * lanes, reductions, state,
                    lambda at, outer: self._nested(True, reductions, outer, lambda s: self._carry(
                        at, self._block_end(at, BLOCK * lanes, whole), lanes, reductions, s, lambda c, t: turn(c, lanes, t)
                    )),
                )  # fmt: skip
            else:
                state = self._carry("0", str(whole), lanes, reductions, state, lambda c, s: turn(c, lanes, s))
        if rest:
            state = turn(str(whole), rest, state)
        return state

    def _block_end(self, start: str, size: int, limit: int) -> str:
        end = self.writer.let(f"add nsw i64 {start}, {size}")
        if limit % size == 0:
            return end
        return self.writer.call("llvm.smin.i64", "i64", ("i64", end), ("i64", str(limit)))

    def _nested(self, fresh: bool, reductions: list[Reduction], state: State, inside: object) -> State:
        """An inner loop: sums of floats begin anew in it, and are added to what was there before."""
        assert callable(inside)
        if not fresh:
            return inside(state)  # type: ignore[no-any-return]
        first = [r.begin("") if r.blocked else s for r, s in zip(reductions, state, strict=True)]
        result = inside(first)
        return [r.merge(s, t) if r.blocked else t for r, s, t in zip(reductions, state, result, strict=True)]

    def _carry(
        self, start: str, limit: str, step: int, reductions: list[Reduction], state: State, turn: object
    ) -> State:
        """A loop that hands on the state of reductions."""
        assert callable(turn)
        if start.isdigit() and limit.isdigit() and int(limit) <= int(start) + step:
            return turn(start, state)  # type: ignore[no-any-return]
        carried = tuple(
            [(k, v) for r, s in zip(reductions, state, strict=True) for k, v in zip(r.types, s, strict=True)]
        )
        mark: LoopMark
        mark, flat = self.writer.begin(start, limit, step, carried)
        result = turn(mark.counter, _grouped(reductions, flat))
        self.writer.end(mark, [x for registers in result for x in registers])
        return result  # type: ignore[no-any-return]

    def _feed(self, p: Pass, reductions: list[Reduction], state: State, lanes: int) -> State:
        result = []
        for i, r, s in zip(p.reductions, reductions, state, strict=True):
            own = lanes if self.along_row else r.lanes
            x = r.pad(own, r.convert(own, self._value(self.body[i].args[0], own)))
            positions = self._positions(self._linear(self.nest.weights), r.lanes) if r.op in POSITIONS else ""
            result.append(r.feed(s, x, positions))
        return result

    def _linear(self, weights: tuple[int, ...]) -> str:
        """sum(counter * weight) over the reduced dimensions."""
        total = "0"
        for d in self.reduced:
            counter, weight = self.counters[d], weights[d]
            if counter == "0" or weight == 0:
                continue
            term = counter if weight == 1 else self.writer.let(f"mul nsw i64 {counter}, {weight}")
            total = term if total == "0" else self.writer.let(f"add nsw i64 {total}, {term}")
        return total

    def _splat_ahead(self, p: Pass, lanes: int) -> None:
        """Put scalars that the vectors of a pass need into all lanes, before the loop."""
        for i in p.needed:
            if self.nest.along_vec(i):
                for a in self.body[i].args:
                    if not self.nest.along_vec(a) and (a, 1) in self.values and self.body[a].op != "const":
                        self._value(a, lanes)

    # Values

    def _value(self, i: int, lanes: int) -> str:
        """The value of instruction i in `lanes` lanes, one or those of this place."""
        found = self.values.get((i, lanes))
        if found is None:
            inst = self.body[i]
            if inst.op == "const":
                found = number(TYPES[inst.dtype], lanes, inst.data)
            else:
                found = splat(self.writer, TYPES[inst.dtype], lanes, self.values[i, 1])
            self.values[i, lanes] = found
        return found

    def _values(self, insts: list[int], p: Pass | None = None) -> None:
        """Execute these instructions here."""
        for i in insts:
            inst = self.body[i]
            lanes = self.lanes if self.nest.along_vec(i) else 1
            if inst.op == "const":
                continue
            if inst.op == "store":
                self._store(inst, lanes)
            elif p is not None and i in p.kept:
                self.values[i, lanes] = self._recall(i, lanes)
            else:
                self.values[i, lanes] = self._compute(inst, lanes)
                if p is not None and i in p.keeps:
                    self._remember(i, lanes)

    def _compute(self, inst: Inst, lanes: int) -> str:
        if inst.op == "load":
            return self._load(inst.data, lanes)
        if inst.op == "gather":
            return self._gather(inst, lanes)
        if inst.op == "index":
            return self._index(inst, lanes)
        args = [self._value(a, lanes) for a in inst.args]
        dtype = self.body[inst.args[-1]].dtype
        return scalar(self.writer, inst.op, dtype, inst.dtype, lanes, args)

    def _index(self, inst: Inst, lanes: int) -> str:
        counter = self.counters[inst.data]
        if lanes > 1:
            steps = "<" + ", ".join([f"i64 {i}" for i in range(lanes)]) + ">"
            counter = self.writer.let(
                f"add {vector('i64', lanes)} {splat(self.writer, 'i64', lanes, counter)}, {steps}"
            )
        return cast(self.writer, "int64", inst.dtype, lanes, counter)

    def _load(self, access: Access, lanes: int) -> str:
        element, pointer = STORED[access.dtype], self.pointers[access]
        stride = access.strides[self.nest.vec] if lanes > 1 else 1
        if stride == 1:
            x = self.writer.let(f"load {vector(element, lanes)}, ptr {pointer}, align {SIZES[access.dtype]}")
        else:
            x = self._gathered(access, lanes, self._lane_pointers(access, lanes))
        return widen(self.writer, access.dtype, lanes, x)

    def _lane_pointers(self, access: Access, lanes: int, offsets: str = "") -> str:
        """The address of each lane."""
        stride = access.strides[self.nest.vec] if self.nest.vec >= 0 else 0
        steps = "<" + ", ".join([f"i64 {i * stride}" for i in range(lanes)]) + ">" if stride else ""
        if offsets and steps:
            offsets = self.writer.let(f"add {vector('i64', lanes)} {offsets}, {steps}")
        places = offsets or steps
        return self.writer.let(
            f"getelementptr inbounds {STORED[access.dtype]}, ptr {self.pointers[access]}, {vector('i64', lanes)} {places}"
        )

    def _gathered(self, access: Access, lanes: int, pointers: str) -> str:
        kind = vector(STORED[access.dtype], lanes)
        return self.writer.call(
            f"llvm.masked.gather.{suffix(STORED[access.dtype], lanes)}.{suffix('ptr', lanes)}", kind,
            (vector("ptr", lanes), pointers), ("i32", str(SIZES[access.dtype])),
            (vector("i1", lanes), number("i1", lanes, True)), (kind, "poison"),
        )  # fmt: skip

    def _gather(self, inst: Inst, lanes: int) -> str:
        access, strides = inst.data
        total = ""
        for a, stride in zip(inst.args, strides, strict=True):
            place = cast(self.writer, self.body[a].dtype, "int64", lanes, self._value(a, lanes))
            if stride != 1:
                place = self.writer.let(f"mul {vector('i64', lanes)} {place}, {number('i64', lanes, stride)}")
            total = self.writer.let(f"add {vector('i64', lanes)} {total}, {place}") if total else place
        element = STORED[access.dtype]
        if lanes > 1:
            x = self._gathered(access, lanes, self._lane_pointers(access, lanes, total))
        else:
            at = self.writer.let(f"getelementptr inbounds {element}, ptr {self.pointers[access]}, i64 {total or '0'}")
            x = self.writer.let(f"load {element}, ptr {at}, align {SIZES[access.dtype]}")
        return widen(self.writer, access.dtype, lanes, x)

    def _store(self, inst: Inst, lanes: int) -> None:
        access: Access = inst.data
        element, size = STORED[access.dtype], SIZES[access.dtype]
        source = inst.args[0]
        x = narrow(self.writer, self.body[source].dtype, access.dtype, lanes, self._value(source, lanes))
        kind = vector(element, lanes)
        stride = access.strides[self.nest.vec] if lanes > 1 else 1
        if stride == 1:
            self.writer.do(f"store {kind} {x}, ptr {self.pointers[access]}, align {size}")
            return
        pointers, kinds, truth = self._lane_pointers(access, lanes), vector("ptr", lanes), vector("i1", lanes)
        name = f"llvm.masked.scatter.{suffix(element, lanes)}.{suffix('ptr', lanes)}"
        self.writer.helpers.setdefault(name, f"declare void @{name}({kind}, {kinds}, i32, {truth})")
        every = number("i1", lanes, True)
        self.writer.do(f"call void @{name}({kind} {x}, {kinds} {pointers}, i32 {size}, {truth} {every})")

    # Values kept along a row, from one pass to another

    def _room(self, i: int, lanes: int) -> str:
        sizes = [0] * len(self.loop.dims)
        step = self.nest.lanes if self.nest.along_vec(i) and not self.along_row else 1
        for d in reversed(self.reduced):
            sizes[d] = step
            step *= self.loop.dims[d]
        element = TYPES[self.body[i].dtype]
        offset = self._linear(tuple(sizes))
        base = self.writer.let(f"getelementptr inbounds i8, ptr %scratch, i64 {self.nest.rows[i]}")
        return self.writer.let(f"getelementptr inbounds {element}, ptr {base}, i64 {offset}")

    def _remember(self, i: int, lanes: int) -> None:
        dtype = self.body[i].dtype
        x = self.values[i, lanes]
        element = "i8" if dtype == "bool" else TYPES[dtype]
        x = narrow(self.writer, dtype, dtype, lanes, x)
        self.writer.do(f"store {vector(element, lanes)} {x}, ptr {self._room(i, lanes)}, align {SIZES[dtype]}")

    def _recall(self, i: int, lanes: int) -> str:
        dtype = self.body[i].dtype
        element = "i8" if dtype == "bool" else TYPES[dtype]
        x = self.writer.let(f"load {vector(element, lanes)}, ptr {self._room(i, lanes)}, align {SIZES[dtype]}")
        return widen(self.writer, dtype, lanes, x)


def _grouped(reductions: list[Reduction], flat: list[str]) -> State:
    state, at = [], 0
    for r in reductions:
        state.append(flat[at : at + len(r.types)])
        at += len(r.types)
    return state
