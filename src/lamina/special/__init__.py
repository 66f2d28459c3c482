"""torch.special: special functions under SciPy's names. All but the wrappers here are lamina.primitives' public
functions.
"""

from __future__ import annotations

from lamina.primitives import special_functions as _s
from lamina.primitives.adjusted import logit, polygamma
from lamina.primitives.adjusted import mvlgamma as multigammaln
from lamina.primitives.adjusted import special_round as round
from lamina.primitives.functions import (
    binary as _binary,
)
from lamina.primitives.functions import (
    digamma,
    erf,
    erfc,
    erfinv,
    exp2,
    expit,
    expm1,
    gammainc,
    gammaincc,
    gammaln,
    i0,
    log1p,
    psi,
    sinc,
    xlogy,
)
from lamina.primitives.functions import (
    unary as _unary,
)
from lamina.primitives.overridable import publish as _publish
from lamina.primitives.reduction import logsumexp
from lamina.primitives.softmax import log_softmax, softmax

entr, erfcx = _unary(_s.entr, "special_entr"), _unary(_s.erfcx, "special_erfcx")
ndtr, ndtri, log_ndtr = (
    _unary(_s.ndtr, "special_ndtr"),
    _unary(_s.ndtri, "special_ndtri"),
    _unary(_s.log_ndtr, "special_log_ndtr"),
)
i0e, i1, i1e = _unary(_s.i0e, "special_i0e"), _unary(_s.i1, "special_i1"), _unary(_s.i1e, "special_i1e")
airy_ai = _unary(_s.airy_ai, "special_airy_ai")
bessel_j0, bessel_j1 = _unary(_s.bessel_j0, "special_bessel_j0"), _unary(_s.bessel_j1, "special_bessel_j1")
bessel_y0, bessel_y1 = _unary(_s.bessel_y0, "special_bessel_y0"), _unary(_s.bessel_y1, "special_bessel_y1")
spherical_bessel_j0 = _unary(_s.spherical_bessel_j0, "special_spherical_bessel_j0")
modified_bessel_i0 = _unary(_s.modified_bessel_i0, "special_modified_bessel_i0")
modified_bessel_i1 = _unary(_s.modified_bessel_i1, "special_modified_bessel_i1")
modified_bessel_k0 = _unary(_s.modified_bessel_k0, "special_modified_bessel_k0")
modified_bessel_k1 = _unary(_s.modified_bessel_k1, "special_modified_bessel_k1")
scaled_modified_bessel_k0 = _unary(_s.scaled_modified_bessel_k0, "special_scaled_modified_bessel_k0")
scaled_modified_bessel_k1 = _unary(_s.scaled_modified_bessel_k1, "special_scaled_modified_bessel_k1")

zeta, xlog1py = _binary(_s.zeta, "special_zeta", "either"), _binary(_s.xlog1py, "special_xlog1py", "either")
chebyshev_polynomial_t = _binary(_s.chebyshev_polynomial_t, "special_chebyshev_polynomial_t", "either")
chebyshev_polynomial_u = _binary(_s.chebyshev_polynomial_u, "special_chebyshev_polynomial_u", "either")
chebyshev_polynomial_v = _binary(_s.chebyshev_polynomial_v, "special_chebyshev_polynomial_v", "either")
chebyshev_polynomial_w = _binary(_s.chebyshev_polynomial_w, "special_chebyshev_polynomial_w", "either")
shifted_chebyshev_polynomial_t = _binary(
    _s.shifted_chebyshev_polynomial_t, "special_shifted_chebyshev_polynomial_t", "either"
)
shifted_chebyshev_polynomial_u = _binary(
    _s.shifted_chebyshev_polynomial_u, "special_shifted_chebyshev_polynomial_u", "either"
)
shifted_chebyshev_polynomial_v = _binary(
    _s.shifted_chebyshev_polynomial_v, "special_shifted_chebyshev_polynomial_v", "either"
)
shifted_chebyshev_polynomial_w = _binary(
    _s.shifted_chebyshev_polynomial_w, "special_shifted_chebyshev_polynomial_w", "either"
)
hermite_polynomial_h = _binary(_s.hermite_polynomial_h, "special_hermite_polynomial_h", "either")
hermite_polynomial_he = _binary(_s.hermite_polynomial_he, "special_hermite_polynomial_he", "either")
laguerre_polynomial_l = _binary(_s.laguerre_polynomial_l, "special_laguerre_polynomial_l", "either")
legendre_polynomial_p = _binary(_s.legendre_polynomial_p, "special_legendre_polynomial_p", "either")

__all__ = [
    "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "chebyshev_polynomial_t", "chebyshev_polynomial_u",
    "chebyshev_polynomial_v", "chebyshev_polynomial_w", "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp2",
    "expit", "expm1",
    "gammainc", "gammaincc", "gammaln", "hermite_polynomial_h", "hermite_polynomial_he", "i0", "i0e", "i1", "i1e",
    "laguerre_polynomial_l", "legendre_polynomial_p", "log1p", "log_ndtr", "log_softmax", "logit", "logsumexp",
    "modified_bessel_i0",
    "modified_bessel_i1",
    "modified_bessel_k0", "modified_bessel_k1", "multigammaln", "ndtr", "ndtri", "polygamma", "psi", "round",
    "scaled_modified_bessel_k0", "scaled_modified_bessel_k1", "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v", "shifted_chebyshev_polynomial_w", "sinc", "softmax", "spherical_bessel_j0", "xlog1py",
    "xlogy", "zeta",
]  # fmt: skip

_publish(globals())
