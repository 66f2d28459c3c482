"""Makes src/lamina/compiler/emit/coefficients.py: minimax polynomials for the vector functions. Needs mpmath.

python tools/minimax.py        prints each polynomial's largest weighted error, and writes the file
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import mpmath as mp

mp.mp.dps = 50
TARGET = Path(__file__).parent.parent / "src/lamina/compiler/emit/coefficients.py"
Function = Callable[[mp.mpf], mp.mpf]


class Wanted(NamedTuple):
    """A polynomial of `terms` terms near `function` on [low, high]; errors count times `weight`."""

    name: str
    says: str
    function: Function
    weight: Function
    low: float
    high: float
    terms: int
    bits: int  # 32 or 64: what the coefficients are rounded to


def rounded(x: mp.mpf, bits: int) -> mp.mpf:
    """The nearest number of that many bits."""
    if bits == 64:
        return mp.mpf(float(x))
    return mp.mpf(struct.unpack("f", struct.pack("f", float(x)))[0])


def remez(values: list[mp.mpf], weights: list[mp.mpf], grid: list[mp.mpf], terms: int) -> tuple[list[mp.mpf], mp.mpf]:
    """The coefficients of x**0 ... x**(terms - 1) whose largest weighted error on the grid is least; and that error."""
    last = len(grid) - 1
    nodes = [round(last * (1 - mp.cos(mp.pi * i / terms)) / 2) for i in range(terms + 1)]
    coefficients: list[mp.mpf] = []
    for _ in range(30):
        system, right = mp.matrix(terms + 1, terms + 1), mp.matrix(terms + 1, 1)
        for row, at in enumerate(nodes):
            for k in range(terms):
                system[row, k] = grid[at] ** k * weights[at]
            system[row, terms], right[row] = (-1) ** row, values[at] * weights[at]
        solved = mp.lu_solve(system, right)
        coefficients = [solved[k] for k in range(terms)]
        errors = [(mp.polyval(coefficients[::-1], x) - v) * w for x, v, w in zip(grid, values, weights, strict=True)]
        runs = [list(run) for _, run in groupby(range(len(grid)), key=lambda i: errors[i] > 0)]
        peaks = [max(run, key=lambda i: abs(errors[i])) for run in runs]
        while len(peaks) > terms + 1:
            peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
        worst = max(abs(e) for e in errors)
        if len(peaks) < terms + 1 or worst <= abs(solved[terms]) * 1.001:
            return coefficients, worst
        nodes = peaks
    return coefficients, worst


def fit(wanted: Wanted) -> tuple[list[mp.mpf], mp.mpf, mp.mpf]:
    """Coefficients from the lowest power on, rounded; what the first lost by that; and the largest weighted error with them."""
    count = 24 * wanted.terms
    middle, half = mp.mpf(wanted.high + wanted.low) / 2, mp.mpf(wanted.high - wanted.low) / 2
    grid = [middle - half * mp.cos(mp.pi * i / count) for i in range(count + 1)]
    grid = [x if x else mp.mpf(10) ** -12 for x in grid]
    values, weights = [wanted.function(x) for x in grid], [wanted.weight(x) for x in grid]
    # Where the weight vanishes inside the interval the powers are no Chebyshev system, and the exchange goes astray.
    floor = max(abs(w) for w in weights) / 20
    coefficients, _ = remez(values, [max(abs(w), floor) for w in weights], grid, wanted.terms)
    done = [rounded(c, wanted.bits) for c in coefficients]
    errors = [(mp.polyval(done[::-1], x) - v) * w for x, v, w in zip(grid, values, weights, strict=True)]
    return done, coefficients[0] - done[0], max(abs(e) for e in errors)


def _series(f: Function, taylor: Function) -> Function:
    """`f`, and `taylor` near 0, where `f` loses its digits."""
    return lambda x: taylor(x) if abs(x) < mp.mpf(10) ** -8 else f(x)


def _erf_ratio(z: mp.mpf) -> mp.mpf:
    return mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1


def _scaled_erfc(t: mp.mpf) -> mp.mpf:
    x = 2 * (1 + t) / (1 - t)
    return mp.exp(x * x) * mp.erfc(x) * (1 + 2 * x)


def _sine(z: mp.mpf) -> mp.mpf:
    x = mp.sqrt(z)
    return (mp.sin(x) / x - 1) / z


def _cosine(z: mp.mpf) -> mp.mpf:
    return (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2


def _log_s(z: mp.mpf) -> mp.mpf:
    s = mp.sqrt(z)
    return (mp.log((1 + s) / (1 - s)) / s - 2) / z


EXP = _series(lambda r: (mp.expm1(r) - r) / r**2, lambda r: mp.mpf(1) / 2 + r / 6)
LOG = _series(lambda f: (mp.log1p(f) - f + f * f / 2) / f**3, lambda f: mp.mpf(1) / 3 - f / 4)
HALF_LN2, QUARTER = 0.3467, float(mp.pi / 4) * 1.0001
LOW, HIGH = float(mp.sqrt(0.5)) - 1, float(mp.sqrt(2)) - 1
FAR = {32: 10.2, 64: 27.3}


def wanted() -> list[Wanted]:
    """All polynomials."""
    found = []
    for bits, exp, log, sine, cosine, erf, erfc in ((32, 5, 9, 4, 4, 7, 11), (64, 10, 7, 6, 6, 13, 27)):
        z = (QUARTER) ** 2
        found += [
            Wanted(f"EXP{bits}", "(e^r - 1 - r) / r^2 on r = -ln2/2 .. ln2/2", EXP, lambda r: r * r / mp.exp(r), -HALF_LN2, HALF_LN2, exp, bits),
            Wanted(f"EXPM1_{bits}", "the same, for e^r - 1", EXP, lambda r: r * r / abs(mp.expm1(r)), -HALF_LN2, HALF_LN2, exp + 1, bits),
            Wanted(f"SIN{bits}", "(sin x / x - 1) / z of z = x^2, x up to pi/4", _sine, lambda z: z, 1e-9, z, sine, bits),
            Wanted(f"COS{bits}", "(cos x - 1 + z/2) / z^2 of z = x^2", _cosine, lambda z: z * z / mp.cos(mp.sqrt(z)), 1e-9, z, cosine, bits),
            Wanted(f"ERFC{bits}", "e^(x^2) erfc(x) (1 + 2x) of t = (x - 2) / (x + 2)", _scaled_erfc, lambda t: 1 / _scaled_erfc(t),
                   -1.0, (FAR[bits] - 2) / (FAR[bits] + 2), erfc, 64),  # float32 too is computed in float64
            Wanted(f"ERF{bits}", "erf(x) / x - 1 of z = x^2, x up to 1", _erf_ratio, lambda z: 1 / (1 + _erf_ratio(z)), 1e-12, 1.0, erf, bits),
        ]  # fmt: skip
        if bits == 32:
            found += [
                Wanted(f"LOG{bits}", "(log(1 + f) - f + f^2/2) / f^3, 1 + f from sqrt(1/2) to sqrt(2)", LOG,
                       lambda f: f**3 / mp.log1p(f), LOW, HIGH, log, 32),
                Wanted(f"ERF_FAR{bits}", "-log(erfc(x)), x from 1 to 4", lambda x: -mp.log(mp.erfc(x)), lambda x: mp.erfc(x) / mp.erf(x),
                       0.98, 4.0, 8, 32),
            ]  # fmt: skip
        else:
            s = float((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1))
            found += [
                Wanted(f"LOG{bits}", "(log((1 + s) / (1 - s)) / s - 2) / s^2 of s^2",
                       _log_s, lambda z: z / 2, 1e-12, s * s, log, 64),
                Wanted(f"LOG2_MIDDLE{bits}", "log2(1 + f) / f to 2^-36, 1 + f from sqrt(1/2) to sqrt(2)",
                       _series(lambda f: mp.log1p(f) / f / mp.ln2, lambda f: (1 - f / 2) / mp.ln2), lambda f: f / mp.log1p(f),
                       LOW, HIGH, 14, 64),
                Wanted(f"EXP2_MIDDLE{bits}", "2^r to 2^-36, r = -1/2 .. 1/2", lambda r: mp.mpf(2) ** r, lambda r: mp.mpf(2) ** -r, -0.5, 0.5, 8, 64),
            ]  # fmt: skip
    return found


def parts(x: mp.mpf, *bits: int) -> list[mp.mpf]:
    """`x` as a sum of numbers with so many bits each."""
    found = []
    for n in bits:
        exponent = int(mp.floor(mp.log(abs(x), 2))) + 1
        scale = mp.mpf(2) ** (n - exponent)
        found.append(mp.nint(x * scale) / scale)
        x -= found[-1]
    return found


def constants() -> dict[str, tuple[str, list[mp.mpf]]]:
    """Numbers in parts. Where the first has few bits, its product with an exponent is exact."""
    return {
        "LN2_32": ("ln 2", parts(mp.ln2, 12, 24)),
        "LN2_64": ("ln 2", parts(mp.ln2, 40, 53)),
        "LN2_WHOLE32": ("ln 2, the first part rounded", parts(mp.ln2, 24, 24)),
        "LN2_WHOLE64": ("ln 2, the first part rounded", parts(mp.ln2, 53, 53)),
        "LOG2E32": ("1 / ln 2", parts(1 / mp.ln2, 24, 24)),
        "LOG2E64": ("1 / ln 2", parts(1 / mp.ln2, 53, 53)),
        "LOG10E32": ("1 / ln 10", parts(1 / mp.ln10, 24, 24)),
        "LOG10E64": ("1 / ln 10", parts(1 / mp.ln10, 53, 53)),
        "LOG10_2_32": ("ln 2 / ln 10", parts(mp.ln2 / mp.ln10, 12, 24)),
        "LOG10_2_64": ("ln 2 / ln 10", parts(mp.ln2 / mp.ln10, 40, 53)),
        "HALF_PI32": ("pi / 2", parts(mp.pi / 2, 24, 24, 24)),
        "HALF_PI64": ("pi / 2", parts(mp.pi / 2, 53, 53, 53)),
    }


def main() -> None:
    lines = [
        '"""Coefficients of the vector functions (math.py), highest power first. Made by tools/minimax.py: change that."""',
        "",
    ]
    for w in wanted():
        coefficients, rest, error = fit(w)
        print(f"{w.name}: 2^{float(mp.log(error, 2)):.1f}", file=sys.stderr)
        lines += [f"{w.name} = ("]
        lines += [f"    {float(c)!r}," for c in reversed(coefficients)]
        lines += [")", f'"""{w.says}."""', ""]
        if w.name == "ERFC64":
            lines += [f"ERFC64_REST = {float(rest)!r}", '"""To be added to the last one."""', ""]
    for name, (says, numbers) in constants().items():
        lines += [f"{name} = ({', '.join([repr(float(x)) for x in numbers])})", f'"""{says}."""', ""]
    lines += [f"TWO_OVER_PI = {float(2 / mp.pi)!r}", ""]
    TARGET.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
