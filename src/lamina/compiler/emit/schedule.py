"""How a Loop is walked: dimensions dropped, merged and ordered, which of them becomes vectors, passes over a row, units of work.

Here: decisions, as data. Not here: text (loops.py, reductions.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import prod

from lamina.compiler.emit.ir import BITS
from lamina.compiler.kernels import REDUCTIONS, SIZES, Access, Inst, Loop

VECTOR_BYTES = 64
UNIT_NS = 6000.0
CYCLE_NS = 0.3

COSTS = {
    "div": 6, "reciprocal": 6, "sqrt": 8, "rsqrt": 14, "exp": 18, "exp2": 16, "expm1": 24, "log": 22, "log2": 22, "log10": 24,
    "log1p": 28, "tanh": 28, "sigmoid": 26, "erf": 34, "erfc": 60, "sin": 40, "cos": 40, "pow": 160, "floor_div": 200, "mod": 200,
    "fmod": 200, "trunc_div": 60, "tan": 300, "asin": 300, "acos": 300, "atan": 300, "sinh": 300, "cosh": 300, "asinh": 300,
    "acosh": 300, "atanh": 300, "atan2": 300, "gather": 24, "argmax": 5, "argmin": 5, "max": 4, "min": 4, "const": 0,
}  # fmt: skip
"""Rough cycles of an instruction on a whole vector of float32; 1 where not named. float64 costs twice that."""

EXPENSIVE = 12
"""From this cost on a value needed in several passes over a row is kept rather than computed again."""

KEPT_BYTES = 1 << 17
"""Up to this size of a row its values are kept in scratch memory."""


def access_of(inst: Inst) -> Access | None:
    """The Access of a load, store or gather."""
    if inst.op in ("load", "store"):
        return inst.data  # type: ignore[no-any-return]
    return inst.data[0] if inst.op == "gather" else None


def _with_access(inst: Inst, access: Access) -> Inst:
    return inst._replace(data=(access, inst.data[1]) if inst.op == "gather" else access)


def simplify(loop: Loop) -> tuple[Loop, tuple[int, ...]]:
    """The same loop over fewer dimensions, in the order in which memory is walked; and what a step along each new dimension
    adds to the row-major position in the row (0 along kept ones)."""
    reduces = {inst.op for inst in loop.body} & REDUCTIONS
    keep = loop.keep if reduces else len(loop.dims)
    accesses = [a for a in map(access_of, loop.body) if a is not None]
    indexed = {inst.data for inst in loop.body if inst.op == "index"}
    weights = [0] * keep + [prod(loop.dims[d + 1 :]) for d in range(keep, len(loop.dims))]

    def far(d: int) -> tuple[int, int]:
        stores = sum(abs(i.data.strides[d]) for i in loop.body if i.op == "store")
        return stores, sum(abs(a.strides[d]) for a in accesses)

    real = [d for d in range(len(loop.dims)) if loop.dims[d] != 1]
    kept = sorted((d for d in real if d < keep), key=far, reverse=True)
    reduced = [d for d in real if d >= keep]
    if not reduces & {"argmax", "argmin"}:
        reduced.sort(key=far, reverse=True)

    def groups(order: list[int]) -> list[list[int]]:
        found = [[order[0]]] if order else []
        for outer, inner in pairwise(order):
            n = loop.dims[inner]
            joint = all(a.strides[outer] == a.strides[inner] * n for a in accesses)
            in_order = outer < keep or weights[outer] == weights[inner] * n or not reduces & {"argmax", "argmin"}
            if joint and in_order and outer not in indexed and inner not in indexed:
                found[-1].append(inner)
            else:
                found.append([inner])
        return found

    parts = groups(kept)
    new_keep = len(parts)
    parts += groups(reduced)
    place = {d: i for i, part in enumerate(parts) for d in part}
    body = []
    for inst in loop.body:
        access = access_of(inst)
        if access is not None:
            inst = _with_access(inst, access._replace(strides=tuple([access.strides[part[-1]] for part in parts])))
        elif inst.op == "index":
            inst = inst._replace(data=place[inst.data]) if inst.data in place else Inst("const", (), inst.dtype, 0)
        body.append(inst)
    dims = tuple([prod([loop.dims[d] for d in part]) for part in parts])
    return Loop(dims, new_keep, tuple(body)), tuple([weights[part[-1]] for part in parts])


@dataclass(slots=True)
class Nest:
    """A Loop with everything decided."""

    loop: Loop
    weights: tuple[int, ...]
    depends: list[int] = field(
        default_factory=list
    )  # for each instruction: bits of the dimensions its value varies along
    stage: list[int] = field(default_factory=list)  # how many reductions, one after the other, its value needs
    live: list[bool] = field(default_factory=list)
    vec: int = -1  # the dimension that becomes vectors; -1: none
    lanes: int = 1
    passes: list[Pass] = field(default_factory=list)
    scratch: int = 0
    rows: dict[int, int] = field(default_factory=dict)  # values kept in scratch memory: where
    unit_dim: int = -1
    block: int = 1  # indices along unit_dim of one unit
    units: int = 1
    cost_ns: float = 0.0

    @property
    def reduced_mask(self) -> int:
        """Bits of the reduced dimensions."""
        return (1 << len(self.loop.dims)) - (1 << self.loop.keep)

    def along_vec(self, i: int) -> bool:
        """Whether instruction i has a value for each lane."""
        return self.vec >= 0 and bool(self.depends[i] >> self.vec & 1)


@dataclass(slots=True)
class Pass:
    """One walk over a row: what it computes, reduces and stores."""

    reductions: list[int]
    stores: list[int]
    needed: list[int] = field(default_factory=list)  # in order; what varies along the row
    kept: set[int] = field(default_factory=set)  # of these: taken from scratch memory
    keeps: set[int] = field(default_factory=set)  # of these: put there


def schedule(loop: Loop) -> Nest:
    """Decide how `loop`, which has no dimension of size 0, is walked."""
    simple, weights = simplify(loop)
    nest = Nest(simple, weights)
    _analyse(nest)
    _choose_vector(nest)
    _plan_passes(nest)
    _choose_lanes(nest)
    _place_kept(nest)
    _choose_units(nest)
    return nest


def _analyse(nest: Nest) -> None:
    loop = nest.loop
    kept = (1 << loop.keep) - 1
    for inst in loop.body:
        mask = stage = 0
        for a in inst.args:
            mask |= nest.depends[a]
            stage = max(stage, nest.stage[a])
        access = access_of(inst)
        if access is not None:
            for d, stride in enumerate(access.strides):
                if stride:
                    mask |= 1 << d
        elif inst.op == "index":
            mask |= 1 << inst.data
        elif inst.op in REDUCTIONS:
            mask &= kept
            stage += 1
        nest.depends.append(mask)
        nest.stage.append(stage)
    live = [inst.op == "store" for inst in loop.body]
    for i in range(len(loop.body) - 1, -1, -1):
        if live[i]:
            for a in loop.body[i].args:
                live[a] = True
    nest.live = live


def cost_of(nest: Nest, i: int) -> float:
    """Rough cycles of instruction i on a vector of 16."""
    inst = nest.loop.body[i]
    wide = 2 if inst.dtype in ("float64", "int64") else 1
    return COSTS.get(inst.op, 1) * wide


def _choose_vector(nest: Nest) -> None:
    """The dimension along which vectors cost least, counting what is not contiguous along it."""
    loop = nest.loop
    if not loop.dims:
        return
    total = prod(loop.dims)
    rows = prod(loop.dims[: loop.keep])
    reductions = sum(inst.op in REDUCTIONS for inst in loop.body)
    best = float("inf")
    for d in range(len(loop.dims) - 1, -1, -1):
        n = loop.dims[d]
        lanes = min(n, 16)
        work = 2.0
        for i, inst in enumerate(loop.body):
            access = access_of(inst)
            if access is None:
                if nest.depends[i]:
                    work += cost_of(nest, i)
            elif access.strides[d] not in (0, 1) or (inst.op == "gather" and any(access.strides)):
                work += (1.5 if inst.op == "store" else 1.2) * lanes
            else:
                work += 1
        cost = work * (total / n) * -(-n // lanes)
        if d >= loop.keep:
            cost += rows * reductions * 10
        if cost < best:
            best, nest.vec = cost, d


def _plan_passes(nest: Nest) -> None:
    loop, reduced = nest.loop, nest.reduced_mask
    reductions: dict[int, list[int]] = {}
    stores = []
    for i, inst in enumerate(loop.body):
        if not nest.live[i]:
            continue
        if inst.op in REDUCTIONS:
            reductions.setdefault(nest.stage[i] - 1, []).append(i)
        elif inst.op == "store" and nest.depends[i] & reduced:
            stores.append(i)
    last = max([*reductions, *(nest.stage[i] for i in stores), -1])
    # All stores into the row belong to the last pass: an earlier one would destroy what later passes load (in place).
    nest.passes = [Pass(reductions.get(s, []), stores if s == last else []) for s in range(last + 1)]
    available: set[int] = set()
    for p in nest.passes:
        p.needed = _closure(nest, p, available)
    for earlier, p in enumerate(nest.passes):
        for i in p.needed:
            if cost_of(nest, i) >= EXPENSIVE and loop.body[i].op not in ("load", "gather", "store"):
                if any(i in q.needed for q in nest.passes[earlier + 1 :]):
                    available.add(i)
    if available:
        size = prod(loop.dims[loop.keep :]) * max(SIZES[loop.body[i].dtype] for i in available) * len(available)
        if loop.keep <= nest.vec < len(loop.dims):
            fits = size <= KEPT_BYTES
        else:
            fits = size * 16 <= KEPT_BYTES
        if fits:
            _keep(nest, available)


def _keep(nest: Nest, available: set[int]) -> None:
    done: set[int] = set()
    for p in nest.passes:
        p.needed = _closure(nest, p, done)
        p.kept = done & set(p.needed)
        p.keeps = (available - done) & set(p.needed)
        done |= p.keeps
    for p in nest.passes:
        p.keeps = {i for i in p.keeps if any(i in q.kept for q in nest.passes)}
    nest.rows = dict.fromkeys(sorted(set().union(*(p.keeps for p in nest.passes))), 0)


def _closure(nest: Nest, p: Pass, available: set[int]) -> list[int]:
    """What varies along the row and is needed for the results of a pass; nothing behind what is available."""
    needed = set(p.stores)
    waiting = [*p.stores, *p.reductions]
    while waiting:
        i = waiting.pop()
        if i in available:
            continue
        for a in nest.loop.body[i].args:
            if nest.depends[a] & nest.reduced_mask and a not in needed:
                needed.add(a)
                waiting.append(a)
    return sorted(needed)


def _choose_lanes(nest: Nest) -> None:
    if nest.vec < 0:
        return
    body = nest.loop.body
    inner = [i for i in range(len(body)) if nest.live[i] and nest.along_vec(i)]
    widest = max([BITS[body[i].dtype] for i in inner if body[i].op != "store"], default=32)
    base = min(VECTOR_BYTES * 8 // max(widest, 8), 64)
    work = sum(cost_of(nest, i) for i in inner)
    ops = {body[i].op for i in range(len(body))}
    several = 1 if work > 16 or ops & {"argmax", "argmin", "gather"} else 2 if work > 8 else 4
    n = nest.loop.dims[nest.vec]
    nest.lanes = n if n <= base else min(base * several, n)


def _place_kept(nest: Nest) -> None:
    """Room in scratch memory for values kept from pass to pass."""
    row = prod(nest.loop.dims[nest.loop.keep :])
    for i in nest.rows:
        nest.rows[i] = nest.scratch
        lanes = nest.lanes if nest.along_vec(i) and nest.vec < nest.loop.keep else 1
        nest.scratch += (row * lanes * SIZES[nest.loop.body[i].dtype] + 127) // 64 * 64


def _choose_units(nest: Nest) -> None:
    loop = nest.loop
    total = prod(loop.dims)
    cycles, moved = 0.0, 0
    for i, inst in enumerate(loop.body):
        if not nest.live[i]:
            continue
        size = prod([n for d, n in enumerate(loop.dims) if nest.depends[i] >> d & 1])
        if inst.op in REDUCTIONS:
            size = prod([n for d, n in enumerate(loop.dims) if nest.depends[inst.args[0]] >> d & 1])
        access = access_of(inst)
        per_vector = cost_of(nest, i)
        if access is not None:
            moved += size * SIZES[access.dtype]
            if nest.vec >= 0 and access.strides[nest.vec] not in (0, 1):
                per_vector += 20
        cycles += per_vector * -(-size // 16)
    vectors = total / max(nest.lanes, 1)
    nest.cost_ns = 20 + (cycles + 2 * vectors) * CYCLE_NS + moved / (80.0 if moved < 1 << 21 else 12.0)
    wanted = min(int(nest.cost_ns / UNIT_NS), 256)
    if wanted < 2 or not loop.keep:
        return
    steps = [n if d != nest.vec else -(-n // nest.lanes) for d, n in enumerate(loop.dims[: loop.keep])]
    enough = [d for d in range(loop.keep) if steps[d] >= min(wanted, 32)]
    nest.unit_dim = enough[0] if enough else max(range(loop.keep), key=steps.__getitem__)
    many = min(wanted, steps[nest.unit_dim])
    per_unit = -(-steps[nest.unit_dim] // many)
    nest.block = per_unit * (nest.lanes if nest.unit_dim == nest.vec else 1)
    nest.units = -(-loop.dims[nest.unit_dim] // nest.block)
