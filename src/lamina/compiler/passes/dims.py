"""Dimensions of loops: dropped, cut, put together, walked in another order, so that two loops can be one.

Here: one loop made into another that does the same. Not here: which loops are joined (fuse.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from lamina.compiler.kernels import Inst
from lamina.compiler.loops import At, Work


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
    for inst in insts:
        op, args, dtype, data = inst
        if op in ("load", "store"):
            inst = Inst(op, args, dtype, _along(data, order))
        elif op == "gather":
            inst = Inst(op, args, dtype, (_along(data[0], order), data[1]))
        elif op == "index":
            inst = Inst(op, args, dtype, index[data]) if data in index else Inst("const", (), "int64", 0)
        out.append(inst)
    return out


def _along(at: At, order: Sequence[int | None]) -> At:
    value, offset, strides, dtype = at
    return At(value, offset, tuple([0 if d is None else strides[d] for d in order]), dtype)


def alike(first: Work, second: Work) -> Iterator[tuple[Work, Work]]:
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
        piece: list[int] = []
        got = 1
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
    op, args, dtype, data = inst
    if op in ("load", "store"):
        return Inst(op, args, dtype, At(data.value, data.offset, strides(data.strides), data.dtype))
    if op == "gather":
        at, steps = data
        return Inst(op, args, dtype, (At(at.value, at.offset, strides(at.strides), at.dtype), steps))
    return inst
