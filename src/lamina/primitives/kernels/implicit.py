"""How a draw moves with the parameter of its distribution, on arrays: -(dF/da) / (dF/dx) of the distribution function F.

Here: Gamma(a, 1) by a, Beta(a, b) by a. Not here: the draws (core/draws_rejection.py), the primitives (gamma_draws.py).
"""

import numpy as np

from lamina.core.strided import Array

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(100)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2  # for the interval (0, 1)

# A double exponential rule for (0, inf): it finds the scale of a decaying function by itself, from 1e-17 to 1e17.
_STEP = 0.05
_U = np.arange(-3.2, 3.2 + _STEP / 2, _STEP)
_POINTS = np.exp(np.pi / 2 * np.sinh(_U))
_POINT_WEIGHTS = _STEP * np.pi / 2 * np.cosh(_U) * _POINTS
_ROWS = 4096  # so many elements at a time, each with all points


def gamma_slope(x: Array, a: Array, mean_log: Array) -> Array:
    """dx/da of draws x of Gamma(a, 1), all doubles; mean_log is digamma(a).

    From dF/da = integral over t < x of p(t) (log t - digamma(a)), which is minus the integral over t > x:
    below a + 1 as a series of positive terms, above by quadrature of exp(-s) (1 + s/x)**(a-1) (log(x+s) - digamma(a)).
    """
    values, shapes, centres = x.ravel(), a.ravel(), mean_log.ravel()
    low = values <= shapes + 1
    slopes = np.empty_like(values)
    slopes[low] = _series(values[low], shapes[low], centres[low])
    slopes[~low] = _quadrature(values[~low], shapes[~low], centres[~low])
    return np.asarray(slopes.reshape(x.shape))


def _series(x: Array, a: Array, mean_log: Array) -> Array:
    # sum over n of x**(n+1) / (a (a+1) ... (a+n)) * (digamma(a) - log x + 1/a + ... + 1/(a+n))
    term, harmonic = x / a, 1 / a
    offset = mean_log - np.log(np.maximum(x, np.finfo(x.dtype).tiny))
    total, n = term * (offset + harmonic), 0
    while term.size and (term > 1e-17 * np.abs(total)).any():
        n += 1
        term = term * x / (a + n)
        harmonic = harmonic + 1 / (a + n)
        total = total + term * (offset + harmonic)
    return np.asarray(total)


def _quadrature(x: Array, a: Array, mean_log: Array) -> Array:
    length = 45 + 10 * np.sqrt(a)  # beyond it exp(-s) (1 + s/x)**(a-1) is below 1e-16
    s = length[:, None] * _NODES
    x, a, mean_log = x[:, None], a[:, None], mean_log[:, None]
    density = np.exp((a - 1) * np.log1p(s / x) - s)
    slope: Array = length * ((density * (np.log(x + s) - mean_log)) @ _WEIGHTS)
    return slope


def beta_slope(x: Array, a: Array, b: Array, mean_log: Array) -> Array:
    """dx/da of draws x of Beta(a, b), all doubles of one shape; mean_log is digamma(a) - digamma(a + b).

    From dF/da = integral over t < x of p(t) (log t - mean_log), which is minus the integral over t > x. The side away
    from the mean is taken: there the density only falls, and t = x exp(-s) leaves one smooth decaying integrand.
    """
    values, ones, others, centres = x.ravel(), a.ravel(), b.ravel(), mean_log.ravel()
    slopes = np.empty_like(values)
    low = values * (ones + others) <= ones
    for side, left in ((low, True), (~low, False)):
        places = np.flatnonzero(side)
        for start in range(0, places.size, _ROWS):
            chosen = places[start : start + _ROWS]
            slopes[chosen] = _one_side(values[chosen], ones[chosen], others[chosen], centres[chosen], left)
    return slopes.reshape(x.shape)


def _one_side(x: Array, a: Array, b: Array, mean_log: Array, left: bool) -> Array:
    end, falls, rises = (x, a, b) if left else (1 - x, b, a)
    tiny = np.finfo(x.dtype).tiny
    end = np.clip(end, tiny, 1 - np.finfo(x.dtype).eps / 2)
    # the scale of the decay is taken out, so that the rule's points lie where something is
    ratio = end / (1 - end)
    rate = np.maximum(falls - (rises - 1) * ratio, falls * 1e-3)
    s = _POINTS / rate[:, None]
    t = np.exp(-s)
    log_density = -falls[:, None] * s + (rises[:, None] - 1) * np.log1p(ratio[:, None] * -np.expm1(-s))
    place = end[:, None] * t
    if left:
        away = np.log(end)[:, None] - s - mean_log[:, None]
    else:
        away = np.log1p(-place) - mean_log[:, None]
    total: Array = end * ((np.exp(log_density) * away) @ _POINT_WEIGHTS) / rate
    return -total if left else total
