"""A Loop over fewer dimensions: those of one element dropped, those that are walked as one merged. Not here: decisions (schedule.py)."""

from __future__ import annotations

from itertools import pairwise
from math import prod

from lamina.compiler.kernels import REDUCTIONS, Access, Inst, Loop


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
