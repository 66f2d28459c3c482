"""The error functions of a small install, against the C library's."""

import math

import numpy as np
import pytest

from lamina.primitives.kernels import error_function

POINTS = np.concatenate([np.linspace(-6.0, 6.0, 4001), np.geomspace(1e-300, 26.0, 500), [0.0, -0.0, np.inf, -np.inf]])


def _ulps(found: np.ndarray, wanted: np.ndarray, dtype: type) -> float:
    return float(np.max(np.abs(found.astype(float) - wanted) / np.spacing(np.abs(wanted.astype(dtype))).astype(float)))


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 1.5), (np.float64, 8.0)])
@pytest.mark.parametrize("name", ["erf", "erfc"])
def test_within_a_few_ulps(name: str, dtype: type, bound: float) -> None:
    x = POINTS.astype(dtype)
    x = x[np.isinf(x) | (np.abs(x) > np.finfo(dtype).tiny) | (x == 0)]
    x = x[x < (9.0 if dtype is np.float32 else 26.0)]  # beyond, erfc is subnormal
    wanted = np.array([getattr(math, name)(v) for v in x.tolist()])
    assert _ulps(getattr(error_function, name)(x), wanted, dtype) <= bound


def test_blocks_change_nothing() -> None:
    x = np.linspace(-5, 5, 50_000, dtype=np.float32).reshape(100, 500)
    assert np.array_equal(error_function.erf(x.T), np.stack([error_function.erf(row) for row in x], 1))


def test_erfinv_inverts() -> None:
    y = np.array([-0.999999, -0.5, -1e-9, 0.0, 1e-300, 0.3, 0.9, 1 - 1e-12])
    np.testing.assert_allclose(error_function.erf(error_function.erfinv(y)), y, rtol=1e-14)
    assert error_function.erfinv(np.array([1.0, -1.0, 1.5])).tolist()[:2] == [np.inf, -np.inf]


def test_nan_stays() -> None:
    for function in (error_function.erf, error_function.erfc, error_function.erfinv):
        assert np.isnan(function(np.array([np.nan]))).all()
