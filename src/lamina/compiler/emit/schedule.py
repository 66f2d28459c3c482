"""How a Loop is walked: dimensions dropped, merged and ordered, which of them becomes vectors, passes over a row, units of work.

Here: decisions, as data. Not here: text (loops.py, reductions.py).
"""

from __future__ import annotations

from math import prod

from lamina.compiler.costs import loop_unit_ns
from lamina.compiler.emit.costs import cost_of, time_of, walk_cost
from lamina.compiler.emit.ir import BITS
from lamina.compiler.emit.nest import Nest, Pass
from lamina.compiler.emit.reductions import POSITIONS, registers
from lamina.compiler.emit.simplify import access_of, simplify
from lamina.compiler.kernels import REDUCTIONS, SIZES, Access, Loop, carried

VECTOR_BYTES = 64

EXPENSIVE = 12
"""From this cost on a value needed in several passes over a row is kept rather than computed again."""

KEPT_BYTES = 1 << 17
"""Up to this size of a row its values are kept in scratch memory."""


COLUMN_ROWS = 16
"""From this many rows on columns are reduced in blocks."""

COLUMN_BYTES = 1 << 14
"""Of such a block's accumulators."""

NEAR_BYTES = 1 << 19
"""What is smaller is in the second cache anyway."""

ROW_BYTES = 1 << 17
"""A row that is larger leaves no room there for the next one."""

AHEAD_BYTES = 3 << 12
"""So far ahead of its use memory is asked for: it takes longer than a pass over a short row."""

STREAM_BYTES = 1 << 25
"""Beyond this size an output does not stay in any cache."""


def schedule(loop: Loop) -> Nest:
    """Decide how `loop`, which has no dimension of size 0, is walked."""
    simple, weights = simplify(loop)
    nest = Nest(simple, weights)
    _analyse(nest)
    _choose_vector(nest)
    _plan_passes(nest)
    _choose_lanes(nest)
    _choose_columns(nest)
    _choose_tiles(nest)
    _place_kept(nest)
    _choose_streaming(nest)
    _choose_ahead(nest)
    _choose_units(nest)
    return nest


def _analyse(nest: Nest) -> None:
    loop = nest.loop
    kept = (1 << loop.keep) - 1
    nest.carried = carried(loop)
    stored = {inst.data for inst in loop.body if inst.op == "store"}
    for inst in loop.body:
        mask = stage = 0
        if inst.op == "load" and inst.data in stored:  # another one at each index
            mask = sum(1 << d for d in nest.carried)
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


def _choose_vector(nest: Nest) -> None:
    """The dimension along which vectors cost least, counting what is not contiguous along it."""
    loop = nest.loop
    if not loop.dims:
        return
    total = prod(loop.dims)
    rows = prod(loop.dims[: loop.keep])
    reductions = sum(inst.op in REDUCTIONS for inst in loop.body)
    ordered = any(inst.op in POSITIONS for inst in loop.body)
    best = float("inf")
    for d in range(len(loop.dims) - 1, -1, -1):
        if d in nest.carried or (ordered and loop.keep <= d < len(loop.dims) - 1):
            continue  # each lane must meet positions in their order
        n = loop.dims[d]
        lanes = min(n, 16)
        work = 2.0
        for i, inst in enumerate(loop.body):
            access = access_of(inst)
            if access is None:
                if nest.depends[i]:
                    work += cost_of(nest, i)
            else:
                work += walk_cost(nest, i, d, lanes)
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
        size = nest.row * max(SIZES[loop.body[i].dtype] for i in available) * len(available)
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
    """Several registers' worth at once where little is done with them: chains of additions then overlap."""
    if nest.vec < 0:
        return
    n, base = nest.loop.dims[nest.vec], _base_lanes(nest)

    def lanes(insts: list[int]) -> int:
        work = sum(cost_of(nest, i) for i in insts if nest.along_vec(i) or nest.loop.body[i].op in REDUCTIONS)
        several = 1 if work > 20 or any(_scattered(nest, i) for i in insts) else 2 if work > 9 else 4
        return n if n <= base else min(base * several, n)

    nest.lanes = lanes(nest.alive)
    for p in nest.passes:
        p.lanes = lanes([*p.needed, *p.reductions])


def _scattered(nest: Nest, i: int) -> bool:
    """Whether an instruction has an address for each lane."""
    inst = nest.loop.body[i]
    access = access_of(inst)
    if access is None or not nest.along_vec(i):
        return False
    return access.strides[nest.vec] not in (0, 1) or any(nest.along_vec(a) for a in inst.args if inst.op == "gather")


def _base_lanes(nest: Nest) -> int:
    """Elements in a vector register, of the widest dtype there is."""
    body = nest.loop.body
    inner = [i for i in nest.alive if nest.along_vec(i) and body[i].op != "store"]
    dtypes = [body[i].dtype for i in inner]
    for i in nest.alive:
        if body[i].op in REDUCTIONS and nest.along_vec(body[i].args[0]):
            dtypes += registers(body[i].op, body[body[i].args[0]].dtype, body[i].dtype, nest.row)
    widest = max([BITS[dtype] for dtype in dtypes], default=32)
    return min(VECTOR_BYTES * 8 // max(widest, 8), 64)


def _choose_columns(nest: Nest) -> None:
    """Whether rows that lie side by side are reduced in blocks of many, and where these have their accumulators."""
    loop, body = nest.loop, nest.loop.body
    if not nest.passes or not 0 <= nest.vec < loop.keep or not nest.reduced_mask:
        return
    n = loop.dims[nest.vec]
    if n <= nest.lanes or nest.row < COLUMN_ROWS:
        return
    for p in nest.passes:
        p.keeps, p.kept = set(), set()
        p.needed = _closure(nest, p, set())
    nest.rows = {}
    last = len(nest.passes) - 1

    def group(i: int) -> int:
        return last if body[i].op == "store" else nest.stage[i] - 1

    users: dict[int, list[int]] = {}
    for i in nest.alive:
        for a in body[i].args:
            users.setdefault(a, []).append(i)
    kept = [
        i for i in nest.alive if not nest.depends[i] & nest.reduced_mask and nest.stage[i] and body[i].op != "store"
    ]
    saved = [
        i for i in kept
        if any(nest.depends[u] & nest.reduced_mask or body[u].op in REDUCTIONS or group(u) != group(i) for u in users.get(i, ()))
    ]  # fmt: skip
    sizes = [(i, SIZES[body[i].dtype]) for i in saved]
    states = []
    for p in nest.passes:
        for i in p.reductions:
            inst = body[i]
            dtypes = registers(inst.op, body[inst.args[0]].dtype, inst.dtype, nest.row)
            states += [((i, k), SIZES[dtype]) for k, dtype in enumerate(dtypes)]
            if inst.op == "sum":
                states.append(((i, 2), SIZES[dtypes[0]]))
    per_column = sum(size for _, size in sizes) + sum(size for _, size in states)
    most = max(COLUMN_BYTES // max(per_column, 1) // nest.lanes, 1) * nest.lanes
    nest.columns = min(most, -(-n // nest.lanes) * nest.lanes)
    for i, size in sizes:
        nest.saved[i] = nest.scratch
        nest.scratch += (nest.columns * size + 63) // 64 * 64
    for key, size in states:
        nest.states[key] = nest.scratch
        nest.scratch += (nest.columns * size + 63) // 64 * 64


def _choose_tiles(nest: Nest) -> None:
    """Whether loads that are contiguous along another kept dimension are turned in squares."""
    loop, vec = nest.loop, nest.vec
    if nest.passes or vec < 0:
        return
    crossed = {
        a for i in nest.alive
        if loop.body[i].op == "load" and (a := access_of(loop.body[i])) is not None and a.strides[vec] not in (0, 1, 2, 3, 4)
    }  # fmt: skip
    side = _base_lanes(nest)
    by_dim = {
        d: tuple(sorted(a for a in crossed if a.strides[d] == 1))
        for d in range(loop.keep)
        if d != vec and d not in nest.carried and loop.dims[d] >= side
    }
    if side & (side - 1) or side > 16 or loop.dims[vec] < side or not any(by_dim.values()):
        return
    nest.tile_dim = max(by_dim, key=lambda d: len(by_dim[d]))
    nest.turned = by_dim[nest.tile_dim]
    nest.lanes = side
    nest.tiles = nest.scratch
    nest.scratch += sum(side * side * SIZES[a.dtype] for a in nest.turned)


def _choose_streaming(nest: Nest) -> None:
    """Stores past the caches: of outputs that no cache holds, each written once, in whole aligned pieces, and not read."""
    loop = nest.loop
    accesses = [(loop.body[i].op, a) for i in nest.alive if (a := access_of(loop.body[i])) is not None]
    stores = [a for op, a in accesses if op == "store"]
    read = {a.operand for op, a in accesses if op != "store"}
    if nest.passes or nest.vec < 0 or any(a.operand in read for a in stores):
        return
    size = sum(prod(loop.dims) * SIZES[a.dtype] for a in stores)
    regular = all(
        a.strides[nest.vec] == 1
        and all(s and s * SIZES[a.dtype] % 16 == 0 for d, s in enumerate(a.strides) if d != nest.vec)
        for a in stores
    )
    nest.streams = regular and size > STREAM_BYTES


def _choose_ahead(nest: Nest) -> None:
    """Where a row is gone over several times, its first pass waits for memory and the others do not use it."""
    loop = nest.loop
    if len(nest.passes) < 2 or not loop.keep or nest.vec < loop.keep:
        return
    loads: dict[Access, int] = {}
    for i in nest.passes[0].needed:
        access = access_of(loop.body[i])
        if (
            loop.body[i].op == "load"
            and access is not None
            and access.strides[nest.vec] == 1
            and access.strides[loop.keep - 1]
        ):
            loads.setdefault(access, i)
    if prod(loop.dims) * 4 * len(loads) > NEAR_BYTES and nest.row * 4 * len(loads) < ROW_BYTES:
        nest.ahead = list(loads.values())
        nest.distance = min(max(AHEAD_BYTES // (nest.row * 4), 1), 16)


def _place_kept(nest: Nest) -> None:
    """Room in scratch memory for values kept from pass to pass."""
    row = nest.row
    for i in nest.rows:
        nest.rows[i] = nest.scratch
        lanes = nest.lanes if nest.along_vec(i) and nest.vec < nest.loop.keep else 1
        nest.scratch += (row * lanes * SIZES[nest.loop.body[i].dtype] + 127) // 64 * 64


def _choose_units(nest: Nest) -> None:
    loop = nest.loop
    nest.cost_ns = time_of(nest)
    wanted = min(int(nest.cost_ns / loop_unit_ns()), 256)
    free = [d for d in range(loop.keep) if d not in nest.carried]
    if wanted < 2 or not free:
        return
    steps = [n if d != nest.vec else -(-n // nest.lanes) for d, n in enumerate(loop.dims[: loop.keep])]
    enough = [d for d in free if steps[d] >= min(wanted, 32)]
    nest.unit_dim = enough[0] if enough else max(free, key=steps.__getitem__)
    many = min(wanted, steps[nest.unit_dim])
    per_unit = -(-steps[nest.unit_dim] // many)
    if nest.unit_dim == nest.vec:
        per_unit *= nest.lanes
        if nest.columns:  # pieces of a row that are worth a page's opening
            per_unit = -(-max(per_unit, 256) // nest.lanes) * nest.lanes
    elif nest.unit_dim == nest.tile_dim:
        per_unit = -(-per_unit // nest.lanes) * nest.lanes
    nest.block = per_unit
    nest.units = -(-loop.dims[nest.unit_dim] // nest.block)
