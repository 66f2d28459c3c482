"""`make_tensor` keeps to what a dtype holds."""

import pytest

import lamina
from lamina.testing import make_tensor


@pytest.mark.parametrize(
    "dtype, low, high, inside",
    [
        (lamina.uint8, -5, 3, (0, 2)),
        (lamina.int8, 0, 300, (0, 127)),
        (lamina.bool, -1, 1, (0, 0)),
        (lamina.float8_e4m3fn, -9, 9, (-9, 9)),
    ],
)
def test_bounds_are_those_of_the_dtype(dtype, low, high, inside):
    made = make_tensor((50,), dtype=dtype, device="cpu", low=low, high=high)
    values = made.float()
    assert made.dtype is dtype and inside[0] <= values.min() and values.max() <= inside[1]


@pytest.mark.parametrize("dtype, low, high", [(lamina.uint8, -9, -2), (lamina.bool, 5, 9)])
def test_an_interval_outside_is_refused(dtype, low, high):
    with pytest.raises(ValueError, match="only supports"):
        make_tensor((2,), dtype=dtype, device="cpu", low=low, high=high)
