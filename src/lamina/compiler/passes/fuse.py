"""fuse: loops that walk the same elements become one.

Reads and writes a list of work (loops.Work, calls.Call) in the order of the program. A loop joins an earlier one when its dimensions
can be matched with the other's so that every value that goes between them is read exactly where it was written (or a row's result
anywhere in the row), and when nothing between the two stands in the way. Values that then nobody reads from memory are not stored.
Not here: what a loop computes, where values live.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations
from typing import Any

from lamina.compiler.graph import Value
from lamina.compiler.kernels import REDUCTIONS, Inst
from lamina.compiler.loops import WIDE, At, Body, Partial, Work
from lamina.compiler.passes.columns import beside_rows
from lamina.compiler.passes.dims import alike, rewalked, squeezed

MOST_INSTS, MOST_OPERANDS = 160, 24
"""A loop beyond this is compiled slowly and keeps too much in registers."""


def fuse(items: Sequence[Any], needed: Iterable[Value]) -> list[Any]:
    """Join loops; drop stores of values that only the joined loop itself reads. needed: values that must be in memory."""
    keep = set(needed)
    groups: list[Any] = []
    ancestors: list[int] = []  # for each group, a bit for each group that it needs, directly or not
    writer: dict[Value, list[int]] = {}
    readers: dict[Value, list[int]] = {}
    for item in items:
        if isinstance(item, Work):
            item = squeezed(item)
        needs = 0
        direct: list[int] = []
        for v in item.reads():
            for g in writer.get(v, ()):
                if g not in direct:
                    direct.append(g)
        for v in item.writes():  # a value of several writers, or of one that reads: in order
            for g in writer.get(v, ()):
                if g not in direct:
                    direct.append(g)
        for g in direct:
            needs |= ancestors[g] | 1 << g
        home = None
        if isinstance(item, Work) and item.core is None:
            near = sorted(direct, reverse=True)
            siblings = sorted(
                {g for at in item.ats("load") for g in readers.get(at.value, ())} - set(direct), reverse=True
            )
            for g in [*near, *siblings[:4]]:
                other = groups[g]
                if not isinstance(other, Work) or any(ancestors[d] >> g & 1 for d in direct if d != g):
                    continue
                made = joined(other, item)
                if made is not None:
                    home = g
                    groups[g] = made
                    break
        if home is None:
            home = len(groups)
            groups.append(item)
            ancestors.append(needs)
        else:
            extra = needs & ~(1 << home) & ~ancestors[home]
            if extra:
                ancestors[home] |= extra
                for g in range(len(groups)):
                    if ancestors[g] >> home & 1:
                        ancestors[g] |= extra
        for v in item.writes():
            if home not in writer.setdefault(v, []):
                writer[v].append(home)
        for v in item.reads():
            if home not in readers.setdefault(v, []):
                readers[v].append(home)
    _join_groups(groups, ancestors, writer)
    beside_rows(groups, ancestors, joined)
    order = _ordered(groups, ancestors)
    return _without_dead_stores([groups[g] for g in order], keep)


def _join_groups(groups: list[Any], ancestors: list[int], writer: dict[Value, list[int]]) -> None:
    """Join whole groups with what they feed, where items alone could not: the first disappears (None) into the second."""
    for b in _ordered(groups, ancestors):
        again = True
        while again:
            again = False
            second = groups[b]
            if not isinstance(second, Work) or second.core is not None:
                break
            direct = {g for v in (*second.reads(), *second.writes()) for g in writer.get(v, ()) if g != b}
            for a in sorted(direct, reverse=True):
                first = groups[a]
                if not isinstance(first, Work) or any(ancestors[d] >> a & 1 for d in direct if d != a):
                    continue
                made = joined(first, second)
                if made is None:
                    continue
                groups[b], groups[a] = made, None
                mask = ancestors[a] | ancestors[b]
                for g in range(len(groups)):
                    if ancestors[g] >> a & 1:
                        ancestors[g] |= mask | 1 << b
                for g in range(len(groups)):
                    ancestors[g] &= ~(1 << a)
                ancestors[b] = mask & ~(1 << a) & ~(1 << b)
                ancestors[a] = 0
                for users in writer.values():
                    if a in users:
                        users[:] = [b if g == a else g for g in users if g != b or a not in users]
                again = True
                break


def _ordered(groups: Sequence[Any], ancestors: Sequence[int]) -> list[int]:
    """The groups so that each comes after what it needs; else as they were made."""
    done, order, waiting = 0, [], [g for g in range(len(groups)) if groups[g] is not None]
    while waiting:
        rest = []
        for g in waiting:
            if ancestors[g] & ~done:
                rest.append(g)
            else:
                order.append(g)
                done |= 1 << g
        assert len(rest) < len(waiting), "a circle of loops"
        waiting = rest
    return order


def _without_dead_stores(groups: list[Any], keep: set[Value]) -> list[Any]:
    while True:
        read: set[Value] = set(keep)
        for g in groups:
            read.update(g.reads())
        kept: list[Any] = []
        changed = False
        for g in groups:
            if isinstance(g, Work):
                live = [i for i in g.insts if i.op != "store" or i.data.value in read]
                if len(live) != len(g.insts) or _has_dead(g.insts):
                    changed = True
                    g.insts = alive(g.insts, read)
                    if not g.insts:
                        continue
            kept.append(g)
        groups = kept
        if not changed:
            return groups


def _has_dead(insts: Sequence[Inst]) -> bool:
    used = {a for i in insts for a in i.args}
    return any(n not in used and i.op not in ("store", "product") for n, i in enumerate(insts))


def alive(insts: Sequence[Inst], read: set[Value]) -> list[Inst]:
    """The instructions that stores of values in `read` depend on."""
    wanted = [i.op == "store" and i.data.value in read for i in insts]
    for n in range(len(insts) - 1, -1, -1):
        if wanted[n]:
            for a in insts[n].args:
                wanted[a] = True
    if not any(wanted):
        return []
    at: dict[int, int] = {}
    out: list[Inst] = []
    for n, inst in enumerate(insts):
        if wanted[n] or inst.op == "product":
            at[n] = len(out)
            out.append(Inst(inst.op, tuple([at[a] for a in inst.args]), inst.dtype, inst.data))
    return out


# ---- two loops -------------------------------------------------------------------------------------------------------


def joined(first: Work, second: Work) -> Work | None:
    """One loop that does the work of both, or None. first comes before second in the program."""
    if len(first.insts) + len(second.insts) > MOST_INSTS:
        return None
    stored: dict[Value, list[At]] = {}
    for at in first.ats("store"):
        stored.setdefault(at.value, []).append(at)
    if any(at.value in stored for at in second.ats("gather", "store")):
        return None
    if second.follows and not stored.keys().isdisjoint(second.follows):
        return None
    if second.follows and not {at.value for at in first.ats("load", "gather")}.isdisjoint(second.follows):
        return None
    if first.follows and not set(first.follows).isdisjoint(second.reads()):
        return None
    for at in second.ats("load"):
        if at.value in stored and (len(stored[at.value]) != 1 or at.dtype in WIDE):
            return None
    for one, two in alike(first, second):
        for dims, keep, a, b in _matches(one, two):
            merged = _merged(dims, keep, a, b, one, two)
            if merged is not None:
                return merged
    return None


def _reduces(work: Work) -> bool:
    return any(i.op in REDUCTIONS for i in work.insts)


Order = tuple[int | None, ...]
_CHEAP = frozenset(
    (
        "load",
        "store",
        "const",
        "add",
        "sub",
        "mul",
        "div",
        "maximum",
        "minimum",
        "select",
        "lt",
        "le",
        "gt",
        "ge",
        "eq",
        "ne",
        "neg",
        "cast",
    )
)
"""What may stand behind a matrix product, element by element while it is in registers: whatever takes long is better a loop of its own."""


def _matches(first: Work, second: Work) -> Iterator[tuple[tuple[int, ...], int, Order, Order]]:
    """Ways to walk both in one loop: (dims, keep, first's dimension for each, second's dimension for each)."""
    n, m = len(first.dims), len(second.dims)
    one, two = _reduces(first), _reduces(second)
    if first.core is not None and (two or any(i.op not in _CHEAP for i in second.insts)):
        return
    stores = {at.value: at for at in first.ats("store")}
    loads = {at.value: at for at in first.ats("load")}
    pairs = [(stores[at.value], at) for at in second.ats("load") if at.value in stores]
    if not pairs:  # nothing goes between: they may still read the same
        pairs = [
            (loads[at.value], at)
            for at in second.ats("load")
            if loads.get(at.value, at).offset == at.offset and at.value in loads
        ]
        if n != m or not any(all(b.strides) for _, b in pairs):  # a number that both read is no reason
            return
    real = [d for d, size in enumerate(first.dims) if size != 1]
    if len(real) == m and not (one and two and first.keep != second.keep):
        for order in _orders([first.dims[d] for d in real], second.dims):
            if not _agree(pairs, real, order):
                continue
            if (
                one
                and two
                and (
                    sorted(order[: first.keep]) != list(range(first.keep))
                    or order[first.keep :] != tuple(range(first.keep, m))
                )
            ):
                continue
            if two and not one:
                yield (
                    second.dims,
                    second.keep,
                    tuple(real[j] for j in sorted(range(m), key=order.__getitem__)),
                    tuple(range(m)),
                )
            else:
                place = dict(zip(real, order, strict=True))
                yield first.dims, first.keep if one else n, tuple(range(n)), tuple(place.get(d) for d in range(n))
    if one and not two and m == first.keep and m < n and not any(any(s.strides[m:]) for s, _ in pairs):
        for order in _orders(first.dims[:m], second.dims):
            if _agree(pairs, range(m), order):
                yield first.dims, first.keep, tuple(range(n)), (*order, *(None,) * (n - m))
    if (
        two
        and not one
        and first.core is None
        and n == second.keep
        and n < m
        and not any(any(b.strides[n:]) for _, b in pairs)
    ):
        for order in _orders(second.dims[:n], first.dims):
            if _agree([(b, a) for a, b in pairs], range(n), order):
                yield second.dims, second.keep, (*order, *(None,) * (m - n)), tuple(range(m))


def _orders(dims: Sequence[int], others: Sequence[int]) -> Any:
    """Permutations of `others` that give `dims`; the one that leaves all in place first."""
    if len(dims) != len(others) or sorted(dims) != sorted(others):
        return
    if tuple(dims) == tuple(others):
        yield tuple(range(len(dims)))
    if len(dims) > 5:
        return
    for order in permutations(range(len(dims))):
        if order != tuple(range(len(dims))) and all(others[o] == n for o, n in zip(order, dims, strict=True)):
            yield order


def _agree(pairs: Iterable[tuple[At, At]], ours: Iterable[int], theirs: Sequence[int]) -> bool:
    """Whether each pair of looks sees the same element at each index, when dimension ours[j] is theirs[j]."""
    ours = tuple(ours)
    return all(
        a.offset == b.offset
        and a.dtype == b.dtype
        and all(a.strides[i] == b.strides[j] for i, j in zip(ours, theirs, strict=True))
        for a, b in pairs
    )


def _merged(
    dims: Sequence[int], keep: int, one: Sequence[int | None], two: Sequence[int | None], first: Work, second: Work
) -> Work | None:
    stored: dict[tuple[Value, int, tuple[int, ...]], int] = {}
    parts = [(first, one), (second, two)]
    if len(one) == len(dims) and tuple(one) == tuple(range(len(dims))) and not (len(dims) == keep and _reduces(first)):
        body = first.body()  # it stays as it is
        for inst in first.insts:
            if inst.op == "store":
                stored[inst.data.value, inst.data.offset, inst.data.strides] = inst.args[0]
        del parts[0]
    else:
        body = Body()
    for work, order in parts:
        index = {d: j for j, d in enumerate(order) if d is not None}
        at: dict[int, int] = {}
        for n, inst in enumerate(rewalked(work.insts, order, index)):
            if inst.op == "load":
                known = stored.get((inst.data.value, inst.data.offset, inst.data.strides))
                if known is not None:
                    at[n] = known
                    continue
            if inst.args:
                inst = Inst(inst.op, tuple([at[a] for a in inst.args]), inst.dtype, inst.data)
            if inst.op in REDUCTIONS and len(dims) == keep:
                return None
            at[n] = body.put(inst)
            if inst.op == "store":
                stored[inst.data.value, inst.data.offset, inst.data.strides] = inst.args[0]
    written = {v for v, _, _ in stored if v.__class__ is not Partial}
    looks = [i.data for i in body.insts if i.op == "load"]
    if any(at.value in written for at in looks):
        return None
    operands = {(at.value, at.offset) for at in looks} | {(v, offset) for v, offset, _ in stored}
    if len(operands) > MOST_OPERANDS or len(body.insts) > MOST_INSTS:
        return None
    made = Work(dims, keep, (), (*first.places, *second.places), first.core)
    made.have(body)
    made.names = (*first.names, *second.names)
    made.follows = (*first.follows, *second.follows)
    return made
