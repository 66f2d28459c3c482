"""Samples of elementwise primitives: small arrays for the checks that every declaration passes.

No element stands within a finite difference's step of a kink, a tie, a pole or the edge of a domain; those points have
tests of their own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Sample = tuple[tuple[Any, ...], dict[str, Any]]

ANYWHERE = (
    "neg", "exp", "exp2", "expm1", "sigmoid", "relu", "square", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asinh",
    "atan", "abs", "sgn",
    "sign", "sinc", "sinc_slope", "deg2rad", "rad2deg", "ceil", "floor", "trunc", "round", "frac", "reciprocal",
    "angle", "conj_physical",
    "zeros", "isnan", "isinf", "isfinite", "isposinf", "isneginf", "isreal", "signbit", "logical_not", "erf", "erfc",
    "special_erfcx",
    "special_ndtr", "special_log_ndtr", "normal_hazard", "lgamma", "digamma", "i0", "special_i0e", "special_i1",
    "special_i1e", "special_bessel_j0",
    "special_bessel_j1", "special_modified_bessel_i0", "special_modified_bessel_i1", "special_airy_ai",
    "special_spherical_bessel_j0",
)  # fmt: skip
POSITIVE = (
    "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "special_entr", "special_bessel_y0", "special_bessel_y1",
    "special_modified_bessel_k0",
    "special_modified_bessel_k1", "special_scaled_modified_bessel_k0", "special_scaled_modified_bessel_k1",
)  # fmt: skip
PAIRS = (
    "add", "sub", "rsub", "mul", "true_divide", "maximum", "minimum", "fmax", "fmin", "clamp_min", "clamp_max",
    "clamp_below", "clamp_above",
    "atan2", "hypot", "copysign", "logaddexp", "logaddexp2", "remainder", "fmod", "div_floor", "div_trunc",
    "nextafter", "ldexp",
    "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor", "complex",
)  # fmt: skip
WITH_NUMBER = (
    "add", "sub", "rsub", "mul", "true_divide", "clamp_min", "clamp_max", "clamp_below", "clamp_above", "remainder",
    "fmod", "div_floor",
    "div_trunc", "copysign", "eq", "lt",
)  # fmt: skip
POLYNOMIALS = (
    "chebyshev_polynomial_t", "chebyshev_polynomial_u", "chebyshev_polynomial_v", "chebyshev_polynomial_w",
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v", "shifted_chebyshev_polynomial_w",
    "hermite_polynomial_h",
    "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p",
)  # fmt: skip


def samples(rng: np.random.Generator) -> dict[str, list[Sample]]:
    """For each primitive: (arrays, parameters) of calls."""

    def apart(*shape: int) -> Any:
        """Distinct numbers of either sign, none near an integer, a half or each other."""
        n = math.prod(shape)
        return ((rng.permutation(n) - n // 2) * 0.3 + 0.137).reshape(shape)

    def one(*arrays: Any) -> Sample:
        return tuple(np.asarray(a) if isinstance(a, np.generic) else a for a in arrays), {}

    x, y, row, point, empty = apart(3, 4), apart(3, 4) + 0.07, apart(4) + 0.03, apart(1).reshape(()), apart(0, 3)
    inside, above = np.tanh(x / 2), np.abs(x) + 1.1
    positive, positive_row = np.abs(x) + 0.05, np.abs(row) + 0.05
    whole, whole_row = rng.integers(-9, 9, (3, 4)), rng.integers(1, 5, 4)
    mask = x > y

    found: dict[str, list[Sample]] = {name: [one(x), one(point), one(empty)] for name in ANYWHERE}
    found |= {name: [one(positive), one(np.abs(point))] for name in POSITIVE}
    found |= {name: [one(inside)] for name in ("asin", "acos", "atanh", "erfinv")}
    found |= {name: [one(inside / 2 + 0.5)] for name in ("logit", "special_ndtri")}
    found |= {name: [one(x, y), one(x, row), one(point, y)] for name in PAIRS}
    for name in WITH_NUMBER:
        found[name].append(one(x, 0.75))
    found |= {f"special_{name}": [one(x, np.arange(12.0).reshape(3, 4)), one(inside, 9.0)] for name in POLYNOMIALS}
    found |= {name: [one(whole, whole_row), one(whole, 3)] for name in ("bitwise_and", "bitwise_or", "bitwise_xor")}
    found |= {
        name: [one(whole, whole_row)]
        for name in ("bitwise_left_shift", "bitwise_right_shift", "gcd", "lcm", "floor_divide")
    }
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):  # what is written in place, and leads nowhere
        found[f"{name}_written"] = [((x, row, mask), {}, mask.astype(x.dtype))]
        found[f"{name}_number_written"] = [((x, mask), {}, mask.astype(x.dtype))]
    found |= {
        "bitwise_not": [one(whole), one(mask)],
        "invert": [one(whole), one(mask)],
        "acosh": [one(above)],
        "pow": [one(positive, y), one(x, 2.0), one(x, 3.0), one(x, -1.0), one(positive, 0.5), one(positive, 1.7)],
        "rpow": [one(y, positive), one(x, 2.5)],
        "add_scaled": [one(x, row, 0.5)],
        "sub_scaled": [one(x, row, 0.5)],
        "addcmul": [one(x, row, y, 0.5)],
        "addcdiv": [one(x, row, positive, 0.5)],
        "lerp_number": [one(x, y, 0.3), one(x, row, 0.8)],
        "lerp_tensor": [one(x, y, inside), one(x, row, point)],
        "polar": [one(positive, y), one(positive, row), one(np.abs(point), y)],
        "where": [one(mask, x, y), one(mask, x, row), one(mask, x, 0.0)],
        "clamp_tensors": [one(x, row - 0.5, y + 0.5)],
        "clamp_numbers": [one(x, -0.5, 0.75)],
        "threshold": [one(x, 0.1, 2.0)],
        "heaviside": [one(whole.astype(float), y)],
        "logit_clamped": [((inside / 2 + 0.5,), {"eps": 0.2})],
        "round_decimals": [((x,), {"decimals": d}) for d in (1, -1)],
        "nan_to_num": [((np.where(mask, np.inf, x),), {"nan": 0.0, "posinf": 1.0, "neginf": -1.0})],
        "frexp": [one(x)],
        "scaled": [one(x, whole)],
        "isclose": [((x, x + 1e-6 * row), {"rtol": 1e-6, "atol": 0.0, "equal_nan": False})],
        "xlogy": [one(x, positive), one(x, positive_row), one(x, 2.0)],
        "special_xlog1py": [one(x, positive), one(x, 2.0)],
        "special_zeta": [one(above, positive)],
        "igamma": [one(positive, positive_row)],
        "igammac": [one(positive, positive_row)],
        "polygamma": [((positive,), {"n": n}) for n in (1, 2)],
        "mvlgamma": [((positive + 2,), {"p": p}) for p in (1, 3)],
    }
    return found
