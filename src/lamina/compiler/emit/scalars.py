"""Scalar instructions as LLVM IR: one rule per operation, for every dtype and number of lanes.

Here: arithmetic, comparisons, conversions, how elements are widened when loaded and narrowed when stored. Not here: transcendental
functions (math.py), loops and reductions (loops.py).
"""

from __future__ import annotations

from collections.abc import Callable

from lamina.compiler.emit import math
from lamina.compiler.emit.ir import BITS, TYPES, Floats, Writer, floats, number, suffix, vector
from lamina.compiler.kernels import Inst

FLOATING = ("float32", "float64")
Rule = Callable[[Writer, str, int, list[str]], str]

STORED = {
    "bool": "i8", "uint8": "i8", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "float16": "half", "bfloat16": "i16", "float32": "float", "float64": "double",
}  # fmt: skip
"""The type of an element in memory, by name of its dtype."""

WIDENED = {"float16": "float32", "bfloat16": "float32"}
"""What a narrow dtype is in registers."""

_FLOAT_BINARY = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_INT_BINARY = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}
_BOOL_BINARY = {
    "add": "or", "mul": "and", "maximum": "or", "minimum": "and", "and": "and", "or": "or", "xor": "xor", "sub": "xor",
}  # fmt: skip
_FLOAT_COMPARE = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
_ROUNDING = {"floor": "floor", "ceil": "ceil", "round": "roundeven", "trunc": "trunc"}
_EXTREMES = {"maximum": "gt", "minimum": "lt"}


def scalar(writer: Writer, op: str, dtype: str, result: str, lanes: int, args: list[str]) -> str:
    """One instruction of SCALAR_OPS; `dtype` is that of its (last) argument, `result` its own."""
    kind = vector(TYPES[dtype], lanes)
    if op == "cast":
        return cast(writer, dtype, result, lanes, args[0])
    if op == "select":
        return writer.let(f"select {vector('i1', lanes)} {args[0]}, {kind} {args[1]}, {kind} {args[2]}")
    if op in _FLOAT_COMPARE:
        return writer.let(f"{_comparison(dtype, op)} {kind} {args[0]}, {args[1]}")
    if op in _TESTS:
        return _test(writer, op, dtype, lanes, args[0])
    if dtype in FLOATING:
        return _floating(writer, op, dtype, lanes, args)
    if dtype == "bool":
        return _boolean(writer, op, lanes, args)
    return _integer(writer, op, dtype, lanes, args)


def _comparison(dtype: str, op: str) -> str:
    if dtype in FLOATING:
        return f"fcmp {_FLOAT_COMPARE[op]}"
    if op in ("eq", "ne"):
        return f"icmp {op}"
    return f"icmp {'s' if signed(dtype) else 'u'}{op}"


def signed(dtype: str) -> bool:
    """Whether an integer dtype has negative values."""
    return dtype not in ("bool", "uint8")


# Tests of a float; an integer is always finite.

_TESTS = ("isnan", "isinf", "isfinite")


def _test(writer: Writer, op: str, dtype: str, lanes: int, x: str) -> str:
    if dtype not in FLOATING:
        return number("i1", lanes, op == "isfinite")
    f = floats(writer, dtype, lanes)
    if op == "isnan":
        return f.compare("uno", x, x)
    return f.compare("oeq" if op == "isinf" else "olt", f.abs(x), float("inf"))


def constant_power(body: tuple[Inst, ...], inst: Inst) -> float | None:
    """The exponent of a power that is made of a few products, if it is one."""
    if inst.op != "pow" or body[inst.args[1]].op != "const":
        return None
    exponent = float(body[inst.args[1]].data)
    few = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, -0.5, -1.0, -2.0) if inst.dtype in FLOATING else range(9)
    return exponent if exponent in few else None


def power_of(writer: Writer, dtype: str, lanes: int, x: str, exponent: float) -> str:
    """x to one of those powers."""
    kind = vector(TYPES[dtype], lanes)
    if dtype == "bool":
        return x if exponent else number("i1", lanes, True)
    if dtype not in FLOATING:
        result, base, left = number(TYPES[dtype], lanes, 1), x, int(exponent)
        while left:
            if left & 1:
                result = writer.let(f"mul {kind} {result}, {base}")
            left >>= 1
            base = writer.let(f"mul {kind} {base}, {base}") if left else base
        return result
    f = floats(writer, dtype, lanes)
    size = abs(exponent)
    y = f.of(1.0) if not size else f.unary("sqrt", x) if size == 0.5 else x
    if size >= 2:
        square = f.mul(x, x)
        y = square if size == 2 else f.mul(square, x if size == 3 else square)
    return f.div(1.0, y) if exponent < 0 else y


def _floating(writer: Writer, op: str, dtype: str, lanes: int, args: list[str]) -> str:
    kind = vector(TYPES[dtype], lanes)
    if op in _FLOAT_BINARY:
        return writer.let(f"{_FLOAT_BINARY[op]} contract {kind} {args[0]}, {args[1]}")
    f = floats(writer, dtype, lanes)
    if op in _EXTREMES:
        return extreme(writer, op, dtype, lanes, args[0], args[1])
    if op in _ROUNDING:
        return f.unary(_ROUNDING[op], args[0])
    rule = _FLOAT_RULES.get(op)
    if rule is not None:
        return rule(f, *args)
    return math.function(f, op, args)


def _sign(f: Floats, x: str) -> str:
    """-1, 0 or 1; 0 of a NaN, as PyTorch."""
    return f.select(f.compare("ogt", x, 0.0), 1.0, f.select(f.compare("olt", x, 0.0), -1.0, 0.0))


def _float_mod(f: Floats, x: str, y: str) -> str:
    """The remainder that has the sign of the divisor."""
    rest = math.function(f, "fmod", [x, y])
    unlike = f.compare("olt", f.copysign(1.0, rest), 0.0)
    below = f.compare("olt", y, 0.0)
    differ = f.writer.let(f"xor {f.truth} {unlike}, {below}")
    moved = f.select(f.both(f.compare("une", rest, 0.0), differ), f.add(rest, y), rest)
    return f.select(f.compare("oeq", moved, 0.0), f.copysign(0.0, y), moved)


def _float_floor_div(f: Floats, x: str, y: str) -> str:
    """floor(x / y), exact also where x / y is rounded to the next integer; x / 0 stays what it is."""
    rest = math.function(f, "fmod", [x, y])
    quotient = f.div(f.sub(x, rest), y)
    differ = f.writer.let(f"xor {f.truth} {f.compare('olt', rest, 0.0)}, {f.compare('olt', y, 0.0)}")
    quotient = f.select(f.both(f.compare("une", rest, 0.0), differ), f.sub(quotient, 1.0), quotient)
    floor = f.unary("floor", quotient)
    floor = f.select(f.compare("ogt", f.sub(quotient, floor), 0.5), f.add(floor, 1.0), floor)
    plain = f.div(x, y)
    floor = f.select(f.compare("oeq", quotient, 0.0), f.copysign(0.0, plain), floor)
    return f.select(f.compare("oeq", y, 0.0), plain, floor)


_FLOAT_RULES: dict[str, Callable[..., str]] = {
    "neg": lambda f, x: f.neg(x),
    "abs": lambda f, x: f.abs(x),
    "copysign": lambda f, x, y: f.copysign(x, y),
    "sqrt": lambda f, x: f.unary("sqrt", x),
    "rsqrt": lambda f, x: f.div(1.0, f.unary("sqrt", x)),
    "reciprocal": lambda f, x: f.div(1.0, x),
    "fma": lambda f, x, y, z: f.fma(x, y, z),
    "trunc_div": lambda f, x, y: f.unary("trunc", f.div(x, y)),
    "sign": _sign,
    "mod": _float_mod,
    "floor_div": _float_floor_div,
}


def extreme(writer: Writer, op: str, dtype: str, lanes: int, x: str, y: str) -> str:
    """maximum or minimum; NaN wins."""
    kind, truth = vector(TYPES[dtype], lanes), vector("i1", lanes)
    if dtype == "bool":
        return writer.let(f"{_BOOL_BINARY[op]} {truth} {x}, {y}")
    if dtype not in FLOATING:
        name = ("s" if signed(dtype) else "u") + op[:3]
        return writer.call(f"llvm.{name}.{suffix(TYPES[dtype], lanes)}", kind, (kind, x), (kind, y))
    wins = writer.let(f"fcmp o{_EXTREMES[op]} {kind} {x}, {y}")
    nan = writer.let(f"fcmp uno {kind} {x}, {x}")
    first = writer.let(f"or {truth} {wins}, {nan}")
    return writer.let(f"select {truth} {first}, {kind} {x}, {kind} {y}")


def _boolean(writer: Writer, op: str, lanes: int, args: list[str]) -> str:
    kind = vector("i1", lanes)
    if op in _BOOL_BINARY:
        return writer.let(f"{_BOOL_BINARY[op]} {kind} {args[0]}, {args[1]}")
    if op == "not":
        return writer.let(f"xor {kind} {args[0]}, {number('i1', lanes, True)}")
    if op in ("abs", "sign", *_ROUNDING):
        return args[0]
    raise NotImplementedError(f"{op} of bool has no native form; cast to an integer first")


def _integer(writer: Writer, op: str, dtype: str, lanes: int, args: list[str]) -> str:
    element = TYPES[dtype]
    kind = vector(element, lanes)
    if op in _INT_BINARY:
        return writer.let(f"{_INT_BINARY[op]} {kind} {args[0]}, {args[1]}")
    if op in _EXTREMES:
        return extreme(writer, op, dtype, lanes, args[0], args[1])
    if op in _ROUNDING:
        return args[0]
    rule = _INT_RULES.get(op)
    if rule is None:
        raise NotImplementedError(f"{op} of {dtype} has no native form; cast to a floating dtype first")
    return rule(Ints(writer, dtype, lanes), *args)


class Ints:
    """Plain arithmetic on vectors of one integer dtype."""

    def __init__(self, writer: Writer, dtype: str, lanes: int) -> None:
        self.writer, self.dtype, self.lanes = writer, dtype, lanes
        self.element, self.bits, self.signed = TYPES[dtype], BITS[dtype], signed(dtype)
        self.type, self.truth = vector(self.element, lanes), vector("i1", lanes)

    def of(self, x: str | int) -> str:
        return x if isinstance(x, str) else number(self.element, self.lanes, x)

    def two(self, op: str, x: str | int, y: str | int) -> str:
        """An integer instruction or `icmp ..`."""
        return self.writer.let(f"{op} {self.type} {self.of(x)}, {self.of(y)}")

    def select(self, condition: str, x: str | int, y: str | int) -> str:
        return self.writer.let(f"select {self.truth} {condition}, {self.type} {self.of(x)}, {self.type} {self.of(y)}")

    def logic(self, op: str, p: str, q: str) -> str:
        return self.writer.let(f"{op} {self.truth} {p}, {q}")


def _divided(i: Ints, x: str, y: str, floor: bool) -> tuple[str, str]:
    """Quotient and remainder, towards minus infinity or zero; of a division by zero 0 and 0. Nothing traps."""
    zero = i.two("icmp eq", y, 0)
    if not i.signed:
        safe = i.select(zero, 1, y)
        quotient = _towards_zero(i, x, safe)
        rest = i.two("sub", x, i.two("mul", quotient, safe))
    else:
        minus = i.two("icmp eq", y, -1)  # the lowest number divided by -1 is out of range, and traps
        safe = i.select(i.logic("or", zero, minus), 1, y)
        quotient = _towards_zero(i, x, safe)
        rest = i.two("sub", x, i.two("mul", quotient, safe))
        if floor:
            differ = i.two("icmp slt", i.two("xor", rest, safe), 0)
            moved = i.logic("and", i.two("icmp ne", rest, 0), differ)
            quotient = i.select(moved, i.two("sub", quotient, 1), quotient)
            rest = i.select(moved, i.two("add", rest, safe), rest)
        quotient = i.select(minus, i.two("sub", 0, x), quotient)
    return i.select(zero, 0, quotient), i.select(zero, 0, rest)


def _towards_zero(i: Ints, x: str, y: str) -> str:
    """x / y. There are no vectors of integer divisions, and floats of twice the bits are exact: no quotient is rounded to an integer."""
    if i.bits == 64:
        return i.two("sdiv", x, y)
    wide = "float64" if i.bits == 32 else "float32"
    left, right = (cast(i.writer, i.dtype, wide, i.lanes, v) for v in (x, y))
    kind, whole = vector(TYPES[wide], i.lanes), vector("i32", i.lanes)
    quotient = i.writer.let(f"fptosi {kind} {i.writer.let(f'fdiv {kind} {left}, {right}')} to {whole}")
    return cast(i.writer, "int32", i.dtype, i.lanes, quotient)


def _int_power(i: Ints, x: str, y: str) -> str:
    """x ** y by squaring; for a negative exponent 1 of 1, 1 or -1 of -1, else 0."""
    one = i.of(1)
    mark, (result, base, left) = i.writer.begin("0", str(i.bits), 1, ((i.type, one), (i.type, x), (i.type, y)))
    chosen = i.two("icmp ne", i.two("and", left, 1), 0)
    product = i.select(chosen, i.two("mul", result, base), result)
    i.writer.end(mark, (product, i.two("mul", base, base), i.two("lshr", left, 1)))
    result = product
    if not i.signed:
        return result
    odd = i.two("icmp ne", i.two("and", y, 1), 0)
    inverse = i.select(i.two("icmp eq", x, -1), i.select(odd, -1, 1), 0)
    inverse = i.select(i.two("icmp eq", x, 1), 1, inverse)
    return i.select(i.two("icmp slt", y, 0), inverse, result)


def _shift(i: Ints, op: str, x: str, y: str) -> str:
    """A shift; by as many bits as there are, or more: all of them."""
    within = i.two("icmp ult", y, i.bits)
    if op == "shr" and i.signed:
        return i.two("ashr", x, i.select(within, y, i.bits - 1))
    return i.select(within, i.two("shl" if op == "shl" else "lshr", x, i.select(within, y, 0)), 0)


def _int_abs(i: Ints, x: str) -> str:
    return i.select(i.two("icmp slt", x, 0), i.two("sub", 0, x), x) if i.signed else x


def _int_sign(i: Ints, x: str) -> str:
    positive = i.select(i.two("icmp ne", x, 0), 1, 0)
    return i.select(i.two("icmp slt", x, 0), -1, positive) if i.signed else positive


_INT_RULES: dict[str, Callable[..., str]] = {
    "floor_div": lambda i, x, y: _divided(i, x, y, True)[0],
    "trunc_div": lambda i, x, y: _divided(i, x, y, False)[0],
    "mod": lambda i, x, y: _divided(i, x, y, True)[1],
    "fmod": lambda i, x, y: _divided(i, x, y, False)[1],
    "pow": _int_power,
    "fma": lambda i, x, y, z: i.two("add", i.two("mul", x, y), z),
    "neg": lambda i, x: i.two("sub", 0, x),
    "not": lambda i, x: i.two("xor", x, -1),
    "abs": _int_abs,
    "sign": _int_sign,
    "shl": lambda i, x, y: _shift(i, "shl", x, y),
    "shr": lambda i, x, y: _shift(i, "shr", x, y),
}


def cast(writer: Writer, source: str, target: str, lanes: int, x: str) -> str:
    """To another dtype, in registers. Floats go to integers towards zero; NaN and what is out of range is the least one, as in eager."""
    if source == target:
        return x
    kind, result = vector(TYPES[source], lanes), vector(TYPES[target], lanes)
    if source in FLOATING:
        if target in FLOATING:
            return writer.let(f"{'fpext' if target == 'float64' else 'fptrunc'} {kind} {x} to {result}")
        if target == "bool":
            return writer.let(f"fcmp une {kind} {x}, {number(TYPES[source], lanes, 0.0)}")
        # By way of int32 to the narrow ones: numbers beyond them wrap around, as NumPy's and C's do.
        whole = target if target in ("int32", "int64") else "int32"
        into, end = vector(TYPES[whole], lanes), 2 ** (BITS[whole] - 1)
        names = suffix(TYPES[whole], lanes), suffix(TYPES[source], lanes)
        nearest = writer.call(f"llvm.fptosi.sat.{names[0]}.{names[1]}", into, (kind, x))
        below = writer.let(f"fcmp olt {kind} {x}, {number(TYPES[source], lanes, float(end))}")
        least = number(TYPES[whole], lanes, -end)
        value = writer.let(f"select {vector('i1', lanes)} {below}, {into} {nearest}, {into} {least}")
        return cast(writer, whole, target, lanes, value)
    if target == "bool":
        return writer.let(f"icmp ne {kind} {x}, {number(TYPES[source], lanes, 0)}")
    if target in FLOATING:
        return writer.let(f"{'sitofp' if signed(source) else 'uitofp'} {kind} {x} to {result}")
    if BITS[target] < BITS[source]:
        return writer.let(f"trunc {kind} {x} to {result}")
    if BITS[target] == BITS[source]:
        return x
    return writer.let(f"{'sext' if signed(source) else 'zext'} {kind} {x} to {result}")


def widen(writer: Writer, dtype: str, lanes: int, x: str) -> str:
    """An element as loaded from memory, as a value in registers."""
    if dtype == "bool":
        return writer.let(f"icmp ne {vector('i8', lanes)} {x}, {number('i8', lanes, 0)}")
    if dtype == "float16":
        return writer.let(f"fpext {vector('half', lanes)} {x} to {vector('float', lanes)}")
    if dtype == "bfloat16":
        whole = writer.let(f"zext {vector('i16', lanes)} {x} to {vector('i32', lanes)}")
        high = writer.let(f"shl {vector('i32', lanes)} {whole}, {number('i32', lanes, 16)}")
        return writer.let(f"bitcast {vector('i32', lanes)} {high} to {vector('float', lanes)}")
    return x


def narrow(writer: Writer, value: str, dtype: str, lanes: int, x: str) -> str:
    """A value of dtype `value` in registers, as an element of `dtype` in memory."""
    x = cast(writer, value, WIDENED.get(dtype, dtype), lanes, x)
    if dtype == "bool":
        return writer.let(f"zext {vector('i1', lanes)} {x} to {vector('i8', lanes)}")
    if dtype == "float16":
        return writer.let(f"fptrunc {vector('float', lanes)} {x} to {vector('half', lanes)}")
    if dtype != "bfloat16":
        return x
    f = floats(writer, "float32", lanes)
    bits = f.bits(x)
    odd = f.whole_op("and", f.whole_op("lshr", bits, 16), 1)
    rounded = f.whole_op("add", f.whole_op("add", bits, 0x7FFF), odd)
    quiet = f.whole_op("or", bits, 0x400000)  # a NaN whose upper half were all zeros would become infinity
    high = f.whole_op("lshr", f.int_select(f.compare("uno", x, x), quiet, rounded), 16)
    return writer.let(f"trunc {f.integer} {high} to {vector('i16', lanes)}")
