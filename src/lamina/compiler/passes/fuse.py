"""fuse: loops that walk the same elements become one.

Reads and writes a list of work (loops.Work, calls.Call) in the order of the program. A loop joins an earlier one when its dimensions
can be matched with the other's so that every value that goes between them is read exactly where it was written (or a row's result
anywhere in the row), and when nothing between the two stands in the way. Values that then nobody reads from memory are not stored.
Not here: what a loop computes, where values live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import permutations
from typing import Any

from lamina.compiler.graph import Value
from lamina.compiler.kernels import REDUCTIONS, Inst
from lamina.compiler.loops import WIDE, At, Body, Work

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
            out.append(inst._replace(args=tuple(at[a] for a in inst.args)))
    return out


# ---- one loop --------------------------------------------------------------------------------------------------------


def squeezed(work: Work) -> Work:
    """The loop without dimensions of size 1."""
    if work.core is not None or 1 not in work.dims:
        return work
    kept = [d for d, n in enumerate(work.dims) if n != 1]
    moved = rewalked(work.insts, kept, {d: i for i, d in enumerate(kept)})
    return _like(work, [work.dims[d] for d in kept], sum(d < work.keep for d in kept), moved)


def _like(work: Work, dims: Sequence[int], keep: int, insts: Sequence[Inst]) -> Work:
    made = Work(dims, keep, insts, work.places, work.core)
    made.names, made.follows = work.names, work.follows
    return made


def rewalked(insts: Sequence[Inst], order: Sequence[int | None], index: dict[int, int]) -> list[Inst]:
    """The instructions in a loop whose dimension j is their dimension order[j] (None: they do not vary along it)."""
    out = []
    zero = None
    for inst in insts:
        if inst.op in ("load", "store"):
            at = inst.data
            inst = inst._replace(data=at._replace(strides=tuple(0 if d is None else at.strides[d] for d in order)))
        elif inst.op == "gather":
            at, steps = inst.data
            inst = inst._replace(
                data=(at._replace(strides=tuple(0 if d is None else at.strides[d] for d in order)), steps)
            )
        elif inst.op == "index":
            if inst.data in index:
                inst = inst._replace(data=index[inst.data])
            else:
                zero = Inst("const", (), "int64", 0)
                inst = zero
        out.append(inst)
    return out


# ---- two loops -------------------------------------------------------------------------------------------------------


def joined(first: Work, second: Work) -> Work | None:
    """One loop that does the work of both, or None. first comes before second in the program."""
    if len(first.insts) + len(second.insts) > MOST_INSTS:
        return None
    stored: dict[Value, list[At]] = {}
    for at in first.ats("store"):
        stored.setdefault(at.value, []).append(at)
    if set(second.follows) & stored.keys() or any(at.value in stored for at in second.ats("gather", "store")):
        return None
    if set(second.follows) & {at.value for at in first.ats("load", "gather")} or set(first.follows) & set(
        second.reads()
    ):
        return None
    between = [at for at in second.ats("load") if at.value in stored]
    if any(len(stored[at.value]) != 1 or at.dtype in WIDE for at in between):
        return None
    for one, two in _alike(first, second):
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
                    tuple(real[j] for j in sorted(range(m), key=lambda j, o=order: o[j])),
                    tuple(range(m)),
                )  # type: ignore[misc]
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


# ---- dimensions: cut and put together --------------------------------------------------------------------------------


def _alike(first: Work, second: Work) -> Iterator[tuple[Work, Work]]:
    """Both as they are; then with their dimensions cut, or put together, so that they could be the same."""
    yield first, second
    a, b = first.dims, second.dims
    if sorted(a) == sorted(b) or not a or not b:
        return
    for m in {len(b), second.keep}:
        for n in {len(a), first.keep}:
            fine = _common(a[:n], b[:m])
            if fine is None:
                continue
            one = first if fine == a[:n] else cut(first, (*fine, *a[n:]))
            two = cut(second, (*fine, *b[m:]))
            if one is not None and two is not None:
                yield one, two
            elif one is None:
                whole = together(second, (*a[:n], *b[m:]))
                if whole is not None:
                    yield first, whole


def _common(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...] | None:
    """The coarsest dimensions of which both are made by putting neighbours together."""
    out: list[int] = []
    left, right = list(a[::-1]), list(b[::-1])
    while left and right:
        x, y = left.pop(), right.pop()
        if x == y:
            out.append(x)
        elif x % y == 0:
            out.append(y)
            left.append(x // y)
        elif y % x == 0:
            out.append(x)
            right.append(y // x)
        else:
            return None
    return tuple(out) if not left and not right else None


def cut(work: Work, dims: Sequence[int]) -> Work | None:
    """The loop with its dimensions cut into finer ones, or None."""
    if tuple(dims) == work.dims:
        return work
    if work.core is not None or any(i.op == "index" for i in work.insts):
        return None
    pieces: list[list[int]] = []  # for each of the work's dimensions the sizes it is cut into
    rest = list(dims[::-1])
    keep = 0
    for d, size in enumerate(work.dims):
        piece, got = [], 1
        while got < size or (not piece and rest):
            piece.append(rest.pop())
            got *= piece[-1]
        if got != size:
            return None
        pieces.append(piece)
        keep += len(piece) if d < work.keep else 0
    if rest:
        return None

    def walked(strides: Sequence[int]) -> tuple[int, ...]:
        out: list[int] = []
        for stride, piece in zip(strides, pieces, strict=True):
            steps, step = [], stride
            for size in reversed(piece):
                steps.append(step)
                step *= size
            out.extend(reversed(steps))
        return tuple(out)

    return _like(work, dims, keep, [_walked(i, walked) for i in work.insts])


def together(work: Work, dims: Sequence[int]) -> Work | None:
    """The loop with neighbouring dimensions put together to `dims`, or None where some access has a gap between them."""
    if work.core is not None or any(i.op == "index" for i in work.insts):
        return None
    groups: list[list[int]] = []
    d = 0
    for size in dims:
        group, got = [], 1
        while got < size and d < len(work.dims):
            group.append(d)
            got *= work.dims[d]
            d += 1
        if got != size or not group:
            return None
        groups.append(group)
    if d != len(work.dims):
        return None
    keep = sum(group[-1] < work.keep for group in groups)
    if any(group[0] < work.keep <= group[-1] for group in groups):
        return None
    for at in work.ats("load", "store", "gather"):
        for group in groups:
            for outer, inner in zip(group, group[1:], strict=False):
                if at.strides[outer] != at.strides[inner] * work.dims[inner]:
                    return None
    return _like(
        work, dims, keep, [_walked(i, lambda strides: tuple(strides[g[-1]] for g in groups)) for i in work.insts]
    )


def _walked(inst: Inst, strides: Callable[[Sequence[int]], tuple[int, ...]]) -> Inst:
    if inst.op in ("load", "store"):
        return inst._replace(data=inst.data._replace(strides=strides(inst.data.strides)))
    if inst.op == "gather":
        at, steps = inst.data
        return inst._replace(data=(at._replace(strides=strides(at.strides)), steps))
    return inst


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
    body = Body()
    stored: dict[tuple[Value, int, tuple[int, ...]], int] = {}
    for work, order in ((first, one), (second, two)):
        index = {d: j for j, d in enumerate(order) if d is not None}
        at: dict[int, int] = {}
        for n, inst in enumerate(rewalked(work.insts, order, index)):
            if inst.op == "load":
                known = stored.get((inst.data.value, inst.data.offset, inst.data.strides))
                if known is not None:
                    at[n] = known
                    continue
            inst = inst._replace(args=tuple(at[a] for a in inst.args))
            if inst.op in REDUCTIONS and len(dims) == keep:
                return None
            at[n] = body.put(inst)
            if inst.op == "store":
                stored[inst.data.value, inst.data.offset, inst.data.strides] = inst.args[0]
    written = {v for v, _, _ in stored}
    if any(i.op == "load" and i.data.value in written for i in body.insts):
        return None
    operands = {(i.data.value, i.data.offset) for i in body.insts if i.op in ("load", "store")}
    if len(operands) > MOST_OPERANDS or len(body.insts) > MOST_INSTS:
        return None
    made = Work(dims, keep, body.insts, (*first.places, *second.places), first.core)
    made.names = (*first.names, *second.names)
    made.follows = (*first.follows, *second.follows)
    return made
