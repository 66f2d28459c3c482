"""Sine and cosine on vectors: reduced to an eighth of a turn in three parts of pi/2; huge arguments go to the C library."""

from __future__ import annotations

from lamina.compiler.emit import coefficients as c
from lamina.compiler.emit.ir import Floats, suffix
from lamina.compiler.emit.libm import each

_LIMIT = {"float32": 2.0**16, "float64": 2.0**28}
"""Up to here the three parts of pi/2 are enough."""


def sin(f: Floats, x: str) -> str:
    """The sine."""
    return _turned(f, x, "sin", 0)


def cos(f: Floats, x: str) -> str:
    """The cosine: the sine a quarter further."""
    return _turned(f, x, "cos", 1)


def _turned(f: Floats, x: str, name: str, quarters: int) -> str:
    writer = f.writer
    a = f.abs(x)
    huge = f.both(f.compare("ogt", a, _LIMIT[f.dtype]), f.compare("olt", a, float("inf")))
    near = _near(f, x, quarters)
    some = (
        huge if f.lanes == 1 else writer.call(f"llvm.vector.reduce.or.{suffix('i1', f.lanes)}", "i1", (f.truth, huge))
    )
    before, slow, after = writer.block, writer.label("huge"), writer.label("near")
    writer.branch(some, slow, after)
    writer.place(slow)
    far = each(f, name, [x])
    writer.jump(after)
    writer.place(after)
    return writer.let(f"phi {f.type} [ {near}, %{before} ], [ {far}, %{slow} ]")


def _near(f: Floats, x: str, quarters: int) -> str:
    parts = c.HALF_PI32 if f.single else c.HALF_PI64
    mantissa = 23 if f.single else 52
    magic = 1.5 * 2.0**mantissa
    t = f.fma(x, c.TWO_OVER_PI, magic)
    n = f.neg(f.sub(t, magic))
    first = f.fma(n, parts[0], x)
    r = f.fma(n, parts[1], first)
    lost = f.fma(n, parts[2], f.fma(n, parts[1], f.sub(first, r)))
    z = f.mul(r, r)
    sine = f.add(f.fma(f.mul(r, z), f.poly(z, c.SIN32 if f.single else c.SIN64), lost), r)
    half = f.fma(z, -0.5, 1.0)
    rest = f.fma(z, -0.5, f.sub(1.0, half))
    cosine = f.poly(z, c.COS32 if f.single else c.COS64)
    cosine = f.add(f.fma(f.mul(z, z), cosine, f.fma(f.neg(r), lost, rest)), half)
    quadrant = f.whole_op("add", f.bits(t), quarters) if quarters else f.bits(t)
    odd = f.whole_op("icmp ne", f.whole_op("and", quadrant, 1), 0)
    sign = f.whole_op("shl", f.whole_op("and", quadrant, 2), f.width - 2)
    y = f.from_bits(f.whole_op("xor", f.bits(f.select(odd, cosine, sine)), sign))
    if quarters:
        return y
    return f.select(f.compare("oeq", x, 0.0), x, y)  # the sign of zero
