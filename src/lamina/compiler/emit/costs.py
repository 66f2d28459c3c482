"""What things cost, roughly: to choose between ways to walk a Loop, and to say how long it takes. Not here: the choices (schedule.py)."""

from __future__ import annotations

from math import prod

from lamina.compiler.costs import coefficients, memory_ns
from lamina.compiler.emit.nest import Nest
from lamina.compiler.emit.scalars import constant_power
from lamina.compiler.emit.simplify import access_of
from lamina.compiler.kernels import REDUCTIONS, SIZES

COSTS = {
    "div": 6, "reciprocal": 6, "sqrt": 8, "rsqrt": 14, "exp": 18, "exp2": 16, "expm1": 24, "log": 22, "log2": 22, "log10": 24,
    "log1p": 28, "tanh": 28, "sigmoid": 26, "erf": 34, "erfc": 60, "sin": 40, "cos": 40, "pow": 160, "floor_div": 200, "mod": 200,
    "fmod": 200, "trunc_div": 60, "tan": 300, "asin": 300, "acos": 300, "atan": 300, "sinh": 300, "cosh": 300, "asinh": 300,
    "acosh": 300, "atanh": 300, "atan2": 300, "gather": 24, "argmax": 5, "argmin": 5, "max": 4, "min": 4, "const": 0,
}  # fmt: skip
"""Rough cycles of an instruction on a whole vector of float32; 1 where not named. float64 costs twice that."""


def cost_of(nest: Nest, i: int) -> float:
    """Rough cycles of instruction i on a vector of 16."""
    inst = nest.loop.body[i]
    wide = 2 if inst.dtype in ("float64", "int64") else 1
    if constant_power(nest.loop.body, inst) is not None:
        return 4 * wide
    return COSTS.get(inst.op, 1) * wide


def walk_cost(nest: Nest, i: int, d: int, lanes: int) -> float:
    """Cycles of a load, gather or store whose lanes lie along dimension d."""
    inst = nest.loop.body[i]
    access = access_of(inst)
    assert access is not None
    stride = access.strides[d]
    if inst.op == "gather" and any(nest.depends[a] >> d & 1 for a in inst.args):
        return 1.2 * lanes
    if inst.op != "store" and -2 < stride < 5:
        return max(2.0 * abs(stride) - 1, 1)
    return 1 if stride in (0, 1) else (1.5 if inst.op == "store" else 1.2) * lanes


def time_of(nest: Nest) -> float:
    """Rough nanoseconds of all units on one core: of arithmetic or of memory, whichever takes longer."""
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
            per_vector = walk_cost(nest, i, nest.vec, 16) if nest.along_vec(i) else 1
        cycles += per_vector * -(-size // 16)
    vectors = total / max(nest.lanes, 1)
    return 20 + max((cycles + 2 * vectors) * coefficients().vector_ns, memory_ns(moved))
