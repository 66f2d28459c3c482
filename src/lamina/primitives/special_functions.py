"""Special functions: elementwise primitives computed by SciPy, or by NumPy where a small install has no SciPy.

Here: error, gamma, Bessel and related functions, orthogonal polynomials; values and gradients. Not here: public
signatures (functions.py, lamina/special).
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from lamina.primitives.elementary import absolute, sgn
from lamina.primitives.elementwise import exp, lacks, log, refuse_derivative, where_
from lamina.primitives.kernels import error_function, polynomials
from lamina.primitives.registry import elementwise, primitive


@functools.cache
def _library(name: str) -> Any:
    """SciPy's function, found when it is first called."""
    try:
        from scipy import special  # a tenth of a second, and not there in a small install
    except ImportError:
        if name in _WITHOUT_SCIPY:
            return _WITHOUT_SCIPY[name]
        raise NotImplementedError(
            f"scipy.special.{name} computes this function, and SciPy is not installed: pip install scipy"
        ) from None
    return getattr(special, name)


def _lgamma(x: Any) -> Any:
    def one(v: float) -> float:
        try:
            return math.lgamma(v)
        except (ValueError, OverflowError):
            return math.inf

    return np.fromiter(map(one, np.ravel(x).tolist()), np.float64, np.size(x)).reshape(np.shape(x)).astype(x.dtype)


def _digamma(x: Any) -> Any:
    """By reflection to the right half, recurrence up to 6, and the asymptotic series."""
    wide = np.asarray(x, np.float64)
    right = np.where(wide <= 0, 1 - wide, wide)
    total = np.zeros_like(right)
    for _ in range(6):
        small = right < 6
        total -= np.where(small, 1 / np.where(small, right, 1), 0)
        right = right + small
    inverse = 1 / (right * right)
    series = inverse * (1 / 12 - inverse * (1 / 120 - inverse * (1 / 252 - inverse * (1 / 240 - inverse / 132))))
    total += np.log(right) - 0.5 / right - series
    total = np.where(wide <= 0, total - math.pi / np.tan(math.pi * wide), total)
    return np.where((wide <= 0) & (wide == np.floor(wide)), np.nan, total).astype(np.result_type(x))


_WITHOUT_SCIPY = {
    "erf": error_function.erf, "erfc": error_function.erfc, "erfinv": error_function.erfinv, "gammaln": _lgamma,
    "psi": _digamma,
    "ndtr": lambda x: error_function.erfc(x * -math.sqrt(0.5)) / 2, "i0": lambda x: np.i0(x).astype(x.dtype),
}  # fmt: skip


def _function(
    name: str,
    compute: Any,
    grads: Any = None,
    kernel: str | None = None,
    low: bool = True,
    whole: bool = True,
    **options: Any,
) -> Any:
    """A function of real numbers. low: also of bfloat16 and float16; whole: also of integers, which become the default float."""
    lacking = lacks(kernel or f"{name.removeprefix('special_')}_cpu")
    refused = dict.fromkeys((*(() if whole else (0, 1)), 3, *(() if low else (4,))), lacking)
    return elementwise(name, compute, grads=grads, promote="float" if whole else "same", refuses=refused, **options)


# ---- error functions -------------------------------------------------------------------------------------------------

_SLOPE = 2.0 / math.sqrt(math.pi)
_MANY = 1024
"""Elements of float32 from which the own error function is faster than SciPy's, which rounds by way of float64."""
erf = _function(
    "erf",
    lambda x: error_function.erf(x) if x.dtype == np.float32 and x.size >= _MANY else _library("erf")(x),
    (lambda g, x: g * (exp(-(x * x)) * _SLOPE),),
    "erf_vml_cpu",
    emit=lambda b, x: b.erf(x),
)
erfc = _function(
    "erfc", lambda x: _library("erfc")(x), (lambda g, x: g * (exp(-(x * x)) * -_SLOPE),), "erfc_vml_cpu",
    emit=lambda b, x: b.erfc(x))  # fmt: skip
erfinv = _function(
    "erfinv", lambda x: _library("erfinv")(x), (lambda g, out: g * (exp(out * out) / _SLOPE),), "erfinv_vml_cpu"
)
erfcx = _function(
    "special_erfcx", lambda x: _library("erfcx")(x), (lambda g, x, out: g * (x * out * 2.0 - _SLOPE),), low=False)  # fmt: skip
ndtr = _function(
    "special_ndtr", lambda x: _library("ndtr")(x),
    (lambda g, x: g * (exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))),),
    emit=lambda b, x: b.mul(b.erfc(b.mul(b.cast(x, "float64"), -math.sqrt(0.5))), 0.5))  # fmt: skip
log_ndtr = _function(
    "special_log_ndtr", lambda x: _library("log_ndtr")(x),
    (lambda g, x: g * _hazard(x),), low=False)  # fmt: skip
_hazard = _function(
    "normal_hazard", lambda x: math.sqrt(2 / math.pi) / _library("erfcx")(x * -math.sqrt(0.5)),
    (lambda g, x, out: g * -(out * (x + out)),))  # fmt: skip
"""The normal density over the distribution function, without overflow in either."""
ndtri = _function(
    "special_ndtri", lambda x: _library("ndtri")(x),
    (lambda g, out: g * (exp(out * out * 0.5) * math.sqrt(2 * math.pi)),), low=False)  # fmt: skip

# ---- gamma functions -------------------------------------------------------------------------------------------------

lgamma = _function(
    "lgamma",
    lambda x: np.where(np.isinf(x), np.inf, _library("gammaln")(x)).astype(x.dtype),
    (lambda g, x: g * digamma(x),),
    "lgamma_vml_cpu",
)
digamma = _function(
    "digamma", lambda x: np.where(x == 0, np.copysign(np.inf, -x), _library("psi")(x)).astype(x.dtype),
    (lambda g, x: g * polygamma_(x, n=1),))  # fmt: skip


def _polygamma(x: Any, *, n: int) -> Any:
    if n == 0:
        return digamma(x)
    if n == 1:
        near = np.where(x < 0.5, 1 - x, x)
        value = _library("zeta")(2, near)
        return np.where(x < 0.5, (math.pi / np.sin(math.pi * x)) ** 2 - value, value).astype(x.dtype)
    scale = float(math.factorial(n)) if n < 171 else math.inf
    return ((-1) ** (n + 1) * scale * _library("zeta")(n + 1, x)).astype(x.dtype)


polygamma_ = primitive("polygamma", _polygamma, grads=(lambda g, x, n: g * polygamma_(x, n=n + 1),))

mvlgamma_ = primitive(
    "mvlgamma", lambda x, *, p: _sum_of(lgamma, x, p) + p * (p - 1) / 4 * math.log(math.pi),
    grads=(lambda g, x, p: g * _sum_of(digamma, x, p),))  # fmt: skip


def _sum_of(f: Any, x: Any, p: int) -> Any:
    total = f(x)
    for j in range(1, p):
        total = total + f(x - j / 2)
    return total


def _gamma_density(x: Any, y: Any) -> Any:
    """The derivative of igamma(x, y) by y."""
    return exp((x - 1.0) * log(y) - y - lgamma(x))


igamma = _function(
    "igamma", lambda x, y: _library("gammainc")(x, y),
    (refuse_derivative("the derivative for 'igamma: input' is not implemented."),
     lambda g, x, y: g * _gamma_density(x, y)), whole=False)  # fmt: skip
igammac = _function(
    "igammac", lambda x, y: _library("gammaincc")(x, y),
    (refuse_derivative("the derivative for 'igammac: input' is not implemented."),
     lambda g, x, y: -g * _gamma_density(x, y)), whole=False)  # fmt: skip
zeta = _function(
    "special_zeta", lambda x, y: np.asarray(_library("zeta")(x, y), np.result_type(x, y)),
    (refuse_derivative("the derivative for 'zeta' is not implemented."), lambda g, x, y: g * (-x * zeta(x + 1.0, y))),
    number="SpecialZetaBackward2", low=False)  # fmt: skip

# ---- x log y ---------------------------------------------------------------------------------------------------------


def _weighted(x: Any, y: Any, log_y: Any) -> Any:
    """x * log_y, and 0 where x is 0, whatever the logarithm."""
    return np.where(np.isnan(y), np.nan, np.where(np.equal(x, 0), 0, x * log_y)).astype(np.result_type(log_y))


def _emit_weighted(b: Any, x: Any, y: Any, log_y: Any) -> Any:
    return b.select(b.isnan(y), math.nan, b.select(b.eq(x, 0.0), 0.0, b.mul(x, log_y)))


xlogy = _function(
    "xlogy", lambda x, y: _weighted(x, y, np.log(np.asarray(y, getattr(x, "dtype", None)))),
    (lambda g, x, y: xlogy(where_((x == 0) & (y <= 0), 0.0, g), y), lambda g, x, y: g * x / y),
    emit=lambda b, x, y: _emit_weighted(b, x, y, b.log(y)), number="XlogyBackward2")  # fmt: skip
xlog1py = _function(
    "special_xlog1py", lambda x, y: _weighted(x, y, np.log1p(np.asarray(y, getattr(x, "dtype", None)))),
    (lambda g, x, y: xlog1py(where_((x == 0) & (y <= -1), 0.0, g), y), lambda g, x, y: g * x / (y + 1.0)),
    emit=lambda b, x, y: _emit_weighted(b, x, y, b.log1p(y)), node="SpecialXlog1PyBackward0", number="SpecialXlog1PyBackward2")  # fmt: skip
entr = _function(
    "special_entr", lambda x: _entropy(x),
    (lambda g, x: g * (-log(x) - 1.0),), emit=lambda b, x: _emit_entropy(b, x))  # fmt: skip


def _entropy(x: Any) -> Any:
    beyond = np.where(x == 0, 0, np.where(x < 0, -np.inf, x))
    return np.where(x > 0, -x * np.log(x), beyond).astype(x.dtype)


def _emit_entropy(b: Any, x: Any) -> Any:
    beyond = b.select(b.lt(x, 0.0), -math.inf, x)
    return b.select(b.gt(x, 0.0), b.mul(b.neg(x), b.log(x)), b.select(b.eq(x, 0.0), 0.0, beyond))


# ---- Bessel functions ------------------------------------------------------------------------------------------------


def _off_zero(x: Any) -> Any:
    return absolute(x) > float(np.finfo(np.float32 if x.dtype.itemsize == 4 else np.float64).eps)


def _i1_slope(x: Any, out: Any) -> Any:
    off = _off_zero(x)
    return where_(off, i0(x) - out / where_(off, x, 1.0), 0.5)


def _i1e_slope(x: Any, out: Any) -> Any:
    off = _off_zero(x)
    safe = where_(off, x, 1.0)
    return where_(off, i0e(x) - out * (sgn(safe) + 1.0 / safe), 0.5)


i0 = _function("i0", lambda x: _library("i0")(x), (lambda g, x: g * i1(x),), "i0_cpu")
i0e = _function(
    "special_i0e", lambda x: _library("i0e")(x), (lambda g, x, out: g * (i1e(x) - sgn(x) * out),), node="SpecialI0E"
)
i1 = _function("special_i1", lambda x: _library("i1")(x), (lambda g, x, out: g * _i1_slope(x, out),))
i1e = _function(
    "special_i1e", lambda x: _library("i1e")(x), (lambda g, x, out: g * _i1e_slope(x, out),), node="SpecialI1E"
)

bessel_j0 = _function("special_bessel_j0", lambda x: _library("j0")(x), low=False)
bessel_j1 = _function("special_bessel_j1", lambda x: _library("j1")(x), low=False)
bessel_y0 = _function("special_bessel_y0", lambda x: _library("y0")(x), low=False)
bessel_y1 = _function("special_bessel_y1", lambda x: _library("y1")(x), low=False)
modified_bessel_i0 = _function("special_modified_bessel_i0", lambda x: _library("i0")(x), low=False)
modified_bessel_i1 = _function("special_modified_bessel_i1", lambda x: _library("i1")(x), low=False)
modified_bessel_k0 = _function("special_modified_bessel_k0", lambda x: _library("k0")(x), low=False)
modified_bessel_k1 = _function("special_modified_bessel_k1", lambda x: _library("k1")(x), low=False)
scaled_modified_bessel_k0 = _function("special_scaled_modified_bessel_k0", lambda x: _library("k0e")(x), low=False)
scaled_modified_bessel_k1 = _function("special_scaled_modified_bessel_k1", lambda x: _library("k1e")(x), low=False)
airy_ai = _function("special_airy_ai", lambda x: _library("airy")(x)[0], low=False)
spherical_bessel_j0 = _function(
    "special_spherical_bessel_j0",
    low=False,
    compute=lambda x: np.where(np.isinf(x), 0, np.where(x == 0, 1, np.sin(x) / x)).astype(x.dtype),
    emit=lambda b, x: b.select(b.isinf(x), 0.0, b.select(b.eq(x, 0.0), 1.0, b.div(b.sin(x), x))))  # fmt: skip

# ---- orthogonal polynomials ------------------------------------------------------------------------------------------


def _polynomial(name: str, compute: Any) -> Any:
    def values(x: Any, n: Any) -> Any:
        return compute(x if hasattr(x, "dtype") else np.asarray(x, n.dtype), n)

    return _function(f"special_{name}", values, low=False)


chebyshev_polynomial_t = _polynomial("chebyshev_polynomial_t", polynomials.chebyshev_t)
chebyshev_polynomial_u = _polynomial("chebyshev_polynomial_u", polynomials.chebyshev_u)
chebyshev_polynomial_v = _polynomial("chebyshev_polynomial_v", polynomials.chebyshev_v)
chebyshev_polynomial_w = _polynomial("chebyshev_polynomial_w", polynomials.chebyshev_w)
shifted_chebyshev_polynomial_t = _polynomial(
    "shifted_chebyshev_polynomial_t", polynomials.shifted(polynomials.chebyshev_t)
)
shifted_chebyshev_polynomial_u = _polynomial(
    "shifted_chebyshev_polynomial_u", polynomials.shifted(polynomials.chebyshev_u)
)
shifted_chebyshev_polynomial_v = _polynomial(
    "shifted_chebyshev_polynomial_v", polynomials.shifted(polynomials.chebyshev_v)
)
shifted_chebyshev_polynomial_w = _polynomial(
    "shifted_chebyshev_polynomial_w", polynomials.shifted(polynomials.chebyshev_w)
)
hermite_polynomial_h = _polynomial("hermite_polynomial_h", polynomials.hermite_h)
hermite_polynomial_he = _polynomial("hermite_polynomial_he", polynomials.hermite_he)
laguerre_polynomial_l = _polynomial("laguerre_polynomial_l", polynomials.laguerre_l)
legendre_polynomial_p = _polynomial("legendre_polynomial_p", polynomials.legendre_p)
