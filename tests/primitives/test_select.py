"""`select` is np.where, to the bit."""

import numpy as np
import pytest

from lamina.primitives.kernels.select import select

SHAPES = [
    ((2000,), (2000,), (2000,)),
    ((40, 50), (50,), (40, 1)),
    ((50,), (40, 50), (40, 50)),
    ((40, 50), (), (40, 50)),
]
ODD = (0.0, -0.0, np.nan, np.inf, -np.inf, 1.5)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128", "int8", "int64", "bool"])
@pytest.mark.parametrize("shapes", SHAPES)
def test_arrays(dtype: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    rng = np.random.default_rng(0)
    mask, a, b = (
        rng.random(shapes[0]) < 0.5,
        *(rng.choice(ODD[-1:] if dtype[0] in "ib" else ODD, s).astype(dtype) for s in shapes[1:]),
    )
    _same(select(mask, a, b), np.where(mask, a, b))


@pytest.mark.parametrize("number", [0, 0.0, -0.0, 2, 2.5, np.float32(0), np.float32(-0.0), True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_numbers(dtype: str, number: float) -> None:
    rng = np.random.default_rng(0)
    mask, a = rng.random((3, 1000)) < 0.5, rng.choice(ODD[-1:] if dtype[0] in "ib" else ODD, (3, 1000)).astype(dtype)
    _same(select(mask, a, number), np.where(mask, a, number))
    _same(select(mask, number, a), np.where(mask, number, a))


def _same(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    assert found.tobytes() == wanted.tobytes()
