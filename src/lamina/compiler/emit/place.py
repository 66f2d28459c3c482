"""Where the emitter stands: what is known there (values, pointers, counters), and how elements come and go.

Here: loads, gathers, stores, values kept in scratch memory. Not here: loops (loops.py, columns.py, tiles.py), decisions (schedule.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lamina.compiler.emit.ir import TYPES, Writer, number, suffix, vector
from lamina.compiler.emit.nest import Nest, Pass
from lamina.compiler.emit.reductions import splat
from lamina.compiler.emit.scalars import STORED, cast, constant_power, narrow, power_of, scalar, widen
from lamina.compiler.emit.simplify import access_of
from lamina.compiler.kernels import SIZES, Access, Inst


class Place:
    """What is known at the place that is being written; what a loop makes known is dropped behind it."""

    def __init__(self, nest: Nest) -> None:
        self.nest, self.loop, self.body = nest, nest.loop, nest.loop.body
        self.writer = Writer()
        self.values: dict[tuple[int, int], str] = {}  # by instruction and lanes
        self.pointers: dict[Access, str] = {}
        self.counters: dict[int, str] = {}  # by dimension
        self.tiles: dict[Access, str] = {}  # where elements lie turned, in scratch memory
        self.saved: dict[int, Callable[[int, int], str]] = {}  # instructions whose value can be fetched again, and how
        self.lanes = 1  # of the vector dimension
        self.streaming = False  # stores go past the caches
        self.kept = list(range(self.loop.keep))
        self.reduced = list(range(self.loop.keep, len(self.loop.dims)))
        for order in (self.kept, self.reduced):
            if nest.vec in order:  # vectors are innermost
                order.remove(nest.vec)
                order.append(nest.vec)
        if nest.turned:
            self.kept.remove(nest.tile_dim)
            self.kept.insert(len(self.kept) - 1, nest.tile_dim)
        self.along_row = nest.vec in self.reduced

    @contextmanager
    def inside(self) -> Iterator[None]:
        """A stretch of text after which all is as before."""
        before = (self.values, self.pointers, self.counters, self.tiles, self.lanes)
        self.values, self.pointers = dict(self.values), dict(self.pointers)
        self.counters, self.tiles = dict(self.counters), dict(self.tiles)
        yield
        self.values, self.pointers, self.counters, self.tiles, self.lanes = before

    def step(self, d: int, counter: str, insts: list[int]) -> None:
        """Move the pointers of these instructions along dimension d."""
        self.counters[d] = counter
        moved: set[Access] = set()
        for i in insts:
            access = access_of(self.body[i])
            if access is None or not access.strides[d] or access in moved:
                continue
            moved.add(access)
            self.pointers[access] = self.offset(self.pointers[access], access.dtype, counter, access.strides[d])

    def offset(self, pointer: str, dtype: str, counter: str, stride: int = 1) -> str:
        """The address of the element counter * stride further on."""
        if counter == "0":
            return pointer
        if counter.isdigit():
            counter, stride = str(int(counter) * stride), 1
        far = counter if stride == 1 else self.writer.let(f"mul nsw i64 {counter}, {stride}")
        return self.writer.let(f"getelementptr inbounds {STORED[dtype]}, ptr {pointer}, i64 {far}")

    def sum_of(self, x: str, y: str) -> str:
        """The sum of two counters."""
        if x.isdigit() and y.isdigit():
            return str(int(x) + int(y))
        return x if y == "0" else y if x == "0" else self.writer.let(f"add nsw i64 {x}, {y}")

    def linear(self, weights: tuple[int, ...]) -> str:
        """sum(counter * weight) over the reduced dimensions."""
        total = "0"
        for d in self.reduced:
            counter, weight = self.counters[d], weights[d]
            if counter == "0" or weight == 0:
                continue
            term = counter if weight == 1 else self.writer.let(f"mul nsw i64 {counter}, {weight}")
            total = term if total == "0" else self.writer.let(f"add nsw i64 {total}, {term}")
        return total

    # Values

    def value(self, i: int, lanes: int) -> str:
        """The value of instruction i in `lanes` lanes, one or those of this place."""
        found = self.values.get((i, lanes))
        if found is None:
            inst = self.body[i]
            own = self.lanes if self.nest.along_vec(i) else 1
            if inst.op == "const":
                found = number(TYPES[inst.dtype], lanes, inst.data)
            elif i in self.saved and (i, own) not in self.values:
                self.values[i, own] = self.saved[i](i, own)
                return self.value(i, lanes)
            else:
                found = splat(self.writer, TYPES[inst.dtype], lanes, self.values[i, 1])
            self.values[i, lanes] = found
        return found

    def execute(self, insts: list[int], p: Pass | None = None) -> None:
        """Write these instructions here."""
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
        dtype = self.body[inst.args[-1]].dtype
        exponent = constant_power(self.body, inst)
        if exponent is not None:
            return power_of(self.writer, dtype, lanes, self.value(inst.args[0], lanes), exponent)
        args = [self.value(a, lanes) for a in inst.args]
        return scalar(self.writer, inst.op, dtype, inst.dtype, lanes, args)

    def _index(self, inst: Inst, lanes: int) -> str:
        counter = self.counters[inst.data]
        if lanes > 1:
            counter = self.writer.let(
                f"add {vector('i64', lanes)} {splat(self.writer, 'i64', lanes, counter)}, {ramp(lanes, 1)}"
            )
        return cast(self.writer, "int64", inst.dtype, lanes, counter)

    # Elements

    def _load(self, access: Access, lanes: int) -> str:
        pointer = self.tiles.get(access)
        stride = access.strides[self.nest.vec] if lanes > 1 and not pointer else 1
        return self._elements(access, lanes, stride, pointer or self.pointers[access])

    def _elements(self, access: Access, lanes: int, stride: int, pointer: str) -> str:
        """Elements that are `stride` apart."""
        if stride not in SHUFFLED:
            x = self._gathered(access, lanes, self._lane_pointers(access, lanes, stride, pointer))
            return widen(self.writer, access.dtype, lanes, x)
        element, size = STORED[access.dtype], SIZES[access.dtype]
        kind = vector(element, lanes)

        def whole(first: int) -> str:
            at = self.writer.let(f"getelementptr inbounds {element}, ptr {pointer}, i64 {first}") if first else pointer
            return self.writer.let(f"load {kind}, ptr {at}, align {size}")

        if stride == 1:
            return widen(self.writer, access.dtype, lanes, whole(0))
        if stride == -1:
            x = self._shuffled(kind, whole(1 - lanes), "poison", [lanes - 1 - i for i in range(lanes)])
            return widen(self.writer, access.dtype, lanes, x)
        # Whole vectors, the last one ending with the last element that is asked for: what lies behind may not be there.
        starts = [k * lanes for k in range(stride - 1)] + [(stride - 1) * (lanes - 1)]
        x = whole(0)
        for k, start in enumerate(starts[1:], 1):
            mask = []
            for i in range(lanes):
                place = i * stride
                if place < k * lanes:  # found before, or by the first load
                    mask.append(place if k == 1 else i)
                else:
                    mask.append(lanes + min(place - start, lanes - 1))
            x = self._shuffled(kind, x, whole(start), mask)
        return widen(self.writer, access.dtype, lanes, x)

    def _shuffled(self, kind: str, x: str, y: str, mask: list[int]) -> str:
        places = ", ".join([f"i32 {i}" for i in mask])
        return self.writer.let(f"shufflevector {kind} {x}, {kind} {y}, <{len(mask)} x i32> <{places}>")

    def _lane_pointers(self, access: Access, lanes: int, stride: int, pointer: str, offsets: str = "") -> str:
        """The address of each lane."""
        steps = ramp(lanes, stride) if stride else ""
        if offsets and steps:
            offsets = self.writer.let(f"add {vector('i64', lanes)} {offsets}, {steps}")
        places = offsets or steps
        return self.writer.let(
            f"getelementptr inbounds {STORED[access.dtype]}, ptr {pointer}, {vector('i64', lanes)} {places}"
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
        own = lanes if any(self.nest.along_vec(a) for a in inst.args) else 1
        total = "0"
        for a, stride in zip(inst.args, strides, strict=True):
            place = cast(self.writer, self.body[a].dtype, "int64", own, self.value(a, own))
            if stride != 1:
                place = self.writer.let(f"mul {vector('i64', own)} {place}, {number('i64', own, stride)}")
            total = place if total == "0" else self.writer.let(f"add {vector('i64', own)} {total}, {place}")
        along = access.strides[self.nest.vec] if lanes > 1 else 1
        if own == 1:
            return self._elements(access, lanes, along, self.offset(self.pointers[access], access.dtype, total))
        x = self._gathered(access, lanes, self._lane_pointers(access, lanes, along, self.pointers[access], total))
        return widen(self.writer, access.dtype, lanes, x)

    def _store(self, inst: Inst, lanes: int) -> None:
        access: Access = inst.data
        element, size = STORED[access.dtype], SIZES[access.dtype]
        source = inst.args[0]
        x = narrow(self.writer, self.body[source].dtype, access.dtype, lanes, self.value(source, lanes))
        kind = vector(element, lanes)
        stride = access.strides[self.nest.vec] if lanes > 1 else 1
        if stride == 1:
            self._store_row(element, size, lanes, x, self.pointers[access])
            return
        pointers = self._lane_pointers(access, lanes, stride, self.pointers[access])
        kinds, truth = vector("ptr", lanes), vector("i1", lanes)
        name = f"llvm.masked.scatter.{suffix(element, lanes)}.{suffix('ptr', lanes)}"
        self.writer.helpers.setdefault(name, f"declare void @{name}({kind}, {kinds}, i32, {truth})")
        every = number("i1", lanes, True)
        self.writer.do(f"call void @{name}({kind} {x}, {kinds} {pointers}, i32 {size}, {truth} {every})")

    def _store_row(self, element: str, size: int, lanes: int, x: str, pointer: str) -> None:
        kind = vector(element, lanes)
        if not self.streaming or lanes * size % STREAMED:
            self.writer.do(f"store {kind} {x}, ptr {pointer}, align {size}")
            return
        part = STREAMED // size
        small = vector(element, part)
        for first in range(0, lanes, part):
            mask = ", ".join([f"i32 {first + i}" for i in range(part)])
            piece = self.writer.let(f"shufflevector {kind} {x}, {kind} poison, <{part} x i32> <{mask}>")
            at = self.writer.let(f"getelementptr inbounds {element}, ptr {pointer}, i64 {first}")
            self.writer.do(f"store {small} {piece}, ptr {at}, align {STREAMED}, !nontemporal !2")

    # Values kept along a row, from one pass to another

    def _room(self, i: int, lanes: int) -> str:
        sizes = [0] * len(self.loop.dims)
        size = self.nest.lanes if self.nest.along_vec(i) and not self.along_row else 1
        for d in reversed(self.reduced):
            sizes[d] = size
            size *= self.loop.dims[d]
        return self.scratch(self.nest.rows[i], self.body[i].dtype, self.linear(tuple(sizes)))

    def scratch(self, offset: int, dtype: str, element: str) -> str:
        """The address of an element of an array in scratch memory."""
        base = self.writer.let(f"getelementptr inbounds i8, ptr %scratch, i64 {offset}") if offset else "%scratch"
        return self.offset(base, dtype, element)

    def _remember(self, i: int, lanes: int) -> None:
        self.write(self.body[i].dtype, lanes, self.values[i, lanes], self._room(i, lanes))

    def _recall(self, i: int, lanes: int) -> str:
        return self.read(self.body[i].dtype, lanes, self._room(i, lanes))

    def write(self, dtype: str, lanes: int, x: str, pointer: str) -> None:
        """Put a value into scratch memory."""
        x = narrow(self.writer, dtype, dtype, lanes, x)
        self.writer.do(f"store {vector(STORED[dtype], lanes)} {x}, ptr {pointer}, align {SIZES[dtype]}")

    def read(self, dtype: str, lanes: int, pointer: str) -> str:
        """Get a value from scratch memory."""
        x = self.writer.let(f"load {vector(STORED[dtype], lanes)}, ptr {pointer}, align {SIZES[dtype]}")
        return widen(self.writer, dtype, lanes, x)


SHUFFLED = (1, 2, 3, 4, -1)
"""Strides along the vectors for which whole vectors are loaded and picked from."""

STREAMED = 16
"""Bytes of a store that goes past the caches, and what its address must be a multiple of."""


def ramp(lanes: int, stride: int) -> str:
    """0, stride, 2 stride, .. as a constant."""
    return "<" + ", ".join([f"i64 {i * stride}" for i in range(lanes)]) + ">"
