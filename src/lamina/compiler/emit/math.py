"""Transcendental functions on vectors, straight-line code within 2 ulp: zeros, denormals, infinities and NaN included.

Here: exponentials, logarithms, powers, error functions; what has no vector form calls the C library lane by lane. Not here: sines and
cosines (trigonometry.py), arithmetic that LLVM has instructions for (scalars.py), how coefficients are found (tools/minimax.py).
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log, nan

from lamina.compiler.emit import coefficients as c
from lamina.compiler.emit.ir import Floats
from lamina.compiler.emit.libm import each
from lamina.compiler.emit.trigonometry import cos, sin

__all__ = ["function"]


class Format:
    """The numbers of a floating format that the functions need."""

    def __init__(self, single: bool) -> None:
        self.mantissa = 23 if single else 52
        self.bias = 127 if single else 1023
        self.magic = 1.5 * 2.0**self.mantissa  # added, it rounds to integers, which then stand in the low bits
        self.magic_bits = ((self.bias + self.mantissa) << self.mantissa) + (1 << (self.mantissa - 1))
        self.least = 2.0 ** (1 - self.bias)  # the least normal number
        self.overflow = 89.0 if single else 710.0  # exp of it is infinite
        self.underflow = -104.0 if single else -746.0  # exp of it is 0
        self.epsilon = 2.0**-self.mantissa
        self.ln2 = c.LN2_32 if single else c.LN2_64
        self.half_root = 0x3F3504F3 if single else 0x3FE6A09E667F3BCD  # bits of sqrt(1/2)
        self.exp = c.EXP32 if single else c.EXP64
        self.expm1 = c.EXPM1_32 if single else c.EXPM1_64
        self.log = c.LOG32 if single else c.LOG64


_FORMATS = {"float32": Format(True), "float64": Format(False)}


def function(f: Floats, op: str, args: list[str]) -> str:
    """`op` of vectors of floats."""
    rule = _RULES.get(op)
    if rule is None or (op == "pow" and not f.single):
        return each(f, op, args)
    return rule(f, *args)


# Exponentials


def _reduced(f: Floats, x: str) -> tuple[str, str]:
    """x = n ln2 + r with |r| <= ln2 / 2: n + magic, r."""
    k = _FORMATS[f.dtype]
    t = f.fma(x, 1 / log(2), k.magic)
    n = f.sub(t, k.magic)
    return t, f.fma(n, -k.ln2[1], f.fma(n, -k.ln2[0], x))


def _exp1(f: Floats, r: str, terms: tuple[float, ...]) -> str:
    """e^r - 1 for |r| <= ln2 / 2."""
    return f.fma(f.mul(r, r), f.poly(r, terms), r)


def _scaled(f: Floats, p: str, t: str) -> str:
    """p * 2^n, given n + magic; in two steps, so that n may go beyond the exponents on either side."""
    k = _FORMATS[f.dtype]
    n = f.whole_op("sub", f.bits(t), k.magic_bits - 2 * k.bias)
    first = f.whole_op("lshr", n, 1)
    second = f.whole_op("sub", n, first)
    left = f.from_bits(f.whole_op("shl", first, k.mantissa))
    right = f.from_bits(f.whole_op("shl", second, k.mantissa))
    return f.mul(f.mul(p, left), right)


def _clamped(f: Floats, x: str) -> str:
    k = _FORMATS[f.dtype]
    return f.at_least(f.at_most(x, k.overflow), k.underflow)


def exp(f: Floats, x: str) -> str:
    """e^x."""
    t, r = _reduced(f, _clamped(f, x))
    return _scaled(f, f.add(_exp1(f, r, _FORMATS[f.dtype].exp), 1.0), t)


def exp2(f: Floats, x: str) -> str:
    """2^x."""
    k = _FORMATS[f.dtype]
    limit = 130.0 if f.single else 1026.0
    x = f.at_least(f.at_most(x, limit), -limit - k.mantissa)
    t = f.add(x, k.magic)
    r = f.sub(x, f.sub(t, k.magic))
    ln2 = c.LN2_WHOLE32 if f.single else c.LN2_WHOLE64
    r = f.fma(r, ln2[1], f.mul(r, ln2[0]))
    return _scaled(f, f.add(_exp1(f, r, _FORMATS[f.dtype].exp), 1.0), t)


def _grown(f: Floats, scale: str, r: str, base: str) -> str:
    """scale (e^r - 1) + base; r is added before the rest of the series, as it cancels against the base exactly."""
    return f.fma(scale, f.mul(f.mul(r, r), f.poly(r, _FORMATS[f.dtype].expm1)), f.fma(scale, r, base))


def expm1(f: Floats, x: str) -> str:
    """e^x - 1."""
    k = _FORMATS[f.dtype]
    clamped = f.at_least(f.at_most(x, k.overflow), -20.0 if f.single else -40.0)
    t, r = _reduced(f, clamped)
    # 2^n (e^r - 1) + (2^n - 1), halved: 2^n itself may be out of range where the result is not.
    n = f.whole_op("sub", f.bits(t), k.magic_bits - k.bias + 1)
    half = f.from_bits(f.whole_op("shl", n, k.mantissa))
    y = _grown(f, half, r, f.sub(half, 0.5))
    return f.select(f.compare("olt", f.abs(x), k.epsilon / 4), x, f.add(y, y))


def tanh(f: Floats, x: str) -> str:
    """The hyperbolic tangent, by way of e^(2|x|) - 1."""
    k = _FORMATS[f.dtype]
    a = f.at_most(f.abs(x), 10.0 if f.single else 20.0)
    t, r = _reduced(f, f.add(a, a))
    n = f.whole_op("sub", f.bits(t), k.magic_bits - k.bias)
    whole = f.from_bits(f.whole_op("shl", n, k.mantissa))
    y = _grown(f, whole, r, f.sub(whole, 1.0))
    below = f.add(y, 2.0)
    lost = f.add(f.sub(2.0, below), y)
    y = f.div(y, below)
    y = f.at_most(f.fma(f.mul(y, lost), f.fma(y, 0.5, -0.5), y), 1.0)  # 1 / below is (1 - y) / 2
    return f.copysign(f.select(f.compare("olt", a, k.epsilon**0.5 / 2), a, y), x)


def sigmoid(f: Floats, x: str) -> str:
    """1 / (1 + e^-x), without overflow on either side."""
    e = exp(f, f.neg(f.abs(x)))
    y = f.div(e, f.add(e, 1.0))
    return f.select(f.compare("olt", x, 0.0), f.fma(f.neg(e), y, e), f.sub(1.0, y))


# Logarithms


def _fraction(f: Floats, x: str) -> tuple[str, str]:
    """x = 2^n (1 + u) with 1 + u between sqrt(1/2) and sqrt(2), of x > 0: n, u."""
    k = _FORMATS[f.dtype]
    tiny = f.compare("olt", x, k.least)
    bits = f.bits(f.select(tiny, f.mul(x, 2.0**k.mantissa), x))
    above = f.whole_op("sub", bits, k.half_root)
    n = f.to_float(_exponent(f, above))
    n = f.select(tiny, f.sub(n, float(k.mantissa)), n)
    low = f.whole_op("and", above, (1 << k.mantissa) - 1)
    return n, f.sub(f.from_bits(f.whole_op("add", low, k.half_root)), 1.0)


def _exponent(f: Floats, bits: str) -> str:
    return f.whole_op("ashr", bits, _FORMATS[f.dtype].mantissa)


def _log1(f: Floats, u: str) -> str:
    """log(1 + u) - u, for 1 + u between sqrt(1/2) and sqrt(2)."""
    k = _FORMATS[f.dtype]
    half = f.mul(f.mul(u, u), 0.5)
    if f.single:
        return f.fma(f.mul(f.mul(u, u), u), f.poly(u, k.log), f.neg(half))
    s = f.div(u, f.add(u, 2.0))
    z = f.mul(s, s)
    rest = f.mul(z, f.poly(z, k.log))  # log(1 + u) = u - (u^2/2 - s (u^2/2 + rest))
    return f.fma(s, f.add(half, rest), f.neg(half))


def _special(f: Floats, x: str, y: str) -> str:
    """The logarithm y of x, where x is 0, infinite, negative or NaN."""
    y = f.select(f.compare("oeq", x, 0.0), -inf, y)
    y = f.select(f.compare("oeq", x, inf), inf, y)
    return f.select(f.compare("oge", x, 0.0), y, nan)


def natural(f: Floats, x: str) -> str:
    """The natural logarithm."""
    k = _FORMATS[f.dtype]
    n, u = _fraction(f, x)
    y = f.add(f.fma(n, k.ln2[1], _log1(f, u)), u)
    return _special(f, x, f.fma(n, k.ln2[0], y))


def _to_base(f: Floats, x: str, scale: tuple[float, float], digit: tuple[float, float]) -> str:
    """log(x) * scale, where log(2) * scale = digit; both in two parts."""
    n, u = _fraction(f, x)
    y = f.fma(_log1(f, u), scale[0], f.mul(u, scale[1]))
    y = f.fma(n, digit[1], y) if digit[1] else y
    high = f.mul(u, scale[0])
    y = f.add(y, f.fma(u, scale[0], f.neg(high)))
    whole = f.fma(n, digit[0], high)
    lost = f.add(f.fma(n, digit[0], f.neg(whole)), high)
    return _special(f, x, f.add(whole, f.add(lost, y)))


def base2(f: Floats, x: str) -> str:
    """The logarithm to base 2."""
    return _to_base(f, x, c.LOG2E32 if f.single else c.LOG2E64, (1.0, 0.0))


def base10(f: Floats, x: str) -> str:
    """The logarithm to base 10."""
    if f.single:
        return _to_base(f, x, c.LOG10E32, c.LOG10_2_32)
    return _to_base(f, x, c.LOG10E64, c.LOG10_2_64)


def log1p(f: Floats, x: str) -> str:
    """log(1 + x)."""
    k = _FORMATS[f.dtype]
    whole = f.add(x, 1.0)
    above = f.whole_op("sub", f.bits(whole), k.half_root)
    n = _exponent(f, above)
    # x is scaled itself, not 1 + x, which has lost its last digits; by 2^(2 - n) / 4, as 2^-n may be no normal number.
    scale = f.from_bits(f.whole_op("shl", f.whole_op("sub", k.bias + 2, n), k.mantissa))
    u = f.fma(scale, f.mul(x, 0.25), f.fma(scale, 0.25, -1.0))
    count = f.to_float(n)
    y = f.fma(count, k.ln2[0], f.add(f.fma(count, k.ln2[1], _log1(f, u)), u))
    y = _special(f, whole, y)
    return f.select(f.compare("olt", f.abs(x), k.epsilon / 4), x, y)


# Error functions


def _near_erf(f: Floats, a: str) -> str:
    return f.fma(a, f.poly(f.mul(a, a), c.ERF32 if f.single else c.ERF64), a)


def erf(f: Floats, x: str) -> str:
    """The error function."""
    a = f.abs(x)
    near = f.compare("olt", a, 1.0)
    if not f.single:
        small = f.select(near, a, 1.0)
        large = f.select(near, 1.0, f.at_most(a, 6.0))
        far = f.sub(1.0, _erfc_above(f, large))
        return f.copysign(f.select(near, _near_erf(f, small), far), x)
    # Beyond 4 it rounds to 1; e^-q needs no care for its range.
    q = f.poly(f.at_most(a, 4.0), c.ERF_FAR32)
    t, r = _reduced(f, f.neg(q))
    p = f.add(_exp1(f, r, c.EXP32), 1.0)
    k = _FORMATS[f.dtype]
    n = f.whole_op("shl", f.whole_op("sub", f.bits(t), k.magic_bits - k.bias), k.mantissa)
    far = f.fma(f.neg(p), f.from_bits(n), 1.0)
    return f.copysign(f.select(near, _near_erf(f, a), far), x)


def _erfc_above(f: Floats, a: str) -> str:
    """erfc of float64 a >= 0 (no NaN): e^(-a^2) q(t) / (1 + 2a), what each rounding takes being put back before the last one."""
    square = f.mul(a, a)
    lost = f.fma(a, a, f.neg(square))
    t, r = _reduced(f, f.neg(square))
    e = _exp1(f, f.sub(r, lost), c.EXP64)
    place = f.div(f.sub(a, 2.0), f.add(a, 2.0))
    tail = f.poly(place, c.ERFC64[:-1])
    q = f.fma(tail, place, c.ERFC64[-1])
    rest = f.fma(tail, place, f.sub(c.ERFC64[-1], q))
    rest = f.add(rest, c.ERFC64_REST)
    below = f.fma(a, 2.0, 1.0)
    inverse = f.div(1.0, below)
    y = f.mul(q, inverse)
    rest = f.add(rest, f.fma(f.neg(y), below, q))
    rest = f.mul(f.fma(f.neg(y), f.fma(a, 2.0, f.sub(1.0, below)), rest), inverse)
    return _scaled(f, f.add(f.fma(y, e, rest), y), t)


def erfc(f: Floats, x: str) -> str:
    """1 - erf(x), exact in its tail."""
    if f.single:
        return _erfc_single(f, x)
    a = f.abs(x)
    near = f.sub(1.0, f.copysign(_near_erf(f, f.at_most(a, 0.5)), x))
    y = _erfc_above(f, f.at_most(a, 27.3))
    y = f.select(f.compare("olt", x, 0.0), f.sub(2.0, y), y)
    return f.select(f.compare("olt", a, 0.5), near, y)


def _erfc_single(f: Floats, x: str) -> str:
    """erfc of float32, by way of float64: so no rounding needs to be put back."""
    w = f.writer
    wide = Floats(w, "float64", f.lanes)
    a = w.let(f"fpext {f.type} {f.at_most(f.abs(x), 10.2)} to {wide.type}")
    t, r = _reduced(wide, wide.neg(wide.mul(a, a)))
    q = wide.poly(wide.div(wide.sub(a, 2.0), wide.add(a, 2.0)), c.ERFC32)
    e = wide.add(_exp1(wide, r, c.EXP32), 1.0)
    n = wide.whole_op("shl", wide.whole_op("sub", wide.bits(t), _FORMATS["float64"].magic_bits), 52)
    y = wide.mul(wide.from_bits(wide.whole_op("add", wide.bits(e), n)), wide.div(q, wide.fma(a, 2.0, 1.0)))
    y = wide.select(f.compare("olt", x, 0.0), wide.sub(2.0, y), y)
    return w.let(f"fptrunc {wide.type} {y} to {f.type}")


# Powers


def power(f: Floats, x: str, y: str) -> str:
    """x^y of float32, computed in float64: 2^(y log2 |x|), then sign and special cases."""
    w = f.writer
    wide = Floats(w, "float64", f.lanes)
    ax, ay = (w.let(f"fpext {f.type} {v} to {wide.type}") for v in (f.abs(x), y))
    n, u = _fraction(wide, ax)
    logarithm = wide.fma(u, wide.poly(u, c.LOG2_MIDDLE64), n)
    logarithm = _special(wide, ax, logarithm)
    k = _FORMATS["float64"]
    e = wide.at_least(wide.at_most(wide.mul(logarithm, ay), 300.0), -300.0)
    t = wide.add(e, k.magic)
    r = wide.sub(e, wide.sub(t, k.magic))
    exponent = wide.whole_op("shl", wide.whole_op("sub", wide.bits(t), k.magic_bits), k.mantissa)
    p = wide.whole_op("add", wide.bits(wide.poly(r, c.EXP2_MIDDLE64)), exponent)
    result = w.let(f"fptrunc {wide.type} {wide.from_bits(p)} to {f.type}")
    result = f.select(f.compare("uno", x, y), nan, result)
    # A negative x: the sign of odd integers y, NaN of fractions; infinities have neither.
    whole = f.compare("oeq", f.unary("trunc", y), y)
    half = f.mul(y, 0.5)
    odd = f.both(whole, f.compare("une", f.unary("trunc", half), half))
    negative = f.whole_op("icmp slt", f.bits(x), 0)
    result = f.select(f.both(negative, odd), f.neg(result), result)
    fraction = f.both(f.compare("olt", x, 0.0), f.compare("une", f.unary("trunc", y), y))
    result = f.select(f.both(fraction, f.compare("ogt", x, -inf)), nan, result)
    ones = f.either(f.compare("oeq", x, 1.0), f.compare("oeq", y, 0.0))
    minus = f.both(f.compare("oeq", x, -1.0), f.compare("oeq", f.abs(y), inf))
    return f.select(f.either(ones, minus), 1.0, result)


_RULES: dict[str, Callable[..., str]] = {
    "exp": exp, "exp2": exp2, "expm1": expm1, "tanh": tanh, "sigmoid": sigmoid, "log": natural, "log2": base2, "log10": base10,
    "log1p": log1p, "erf": erf, "erfc": erfc, "pow": power, "sin": sin, "cos": cos,
}  # fmt: skip
