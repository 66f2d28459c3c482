"""Dtypes that PyTorch's kernels lack are refused by name, where NumPy would compute with them."""

import pytest

import lamina
from lamina.nn import functional

HALF = lamina.ones(2, dtype=lamina.float16)
WHOLE = lamina.ones(2, dtype=lamina.int64)
COMPLEX = lamina.ones(2, dtype=lamina.complex64)
BOOL = lamina.ones(2, dtype=lamina.bool)


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: lamina.special.bessel_j0(HALF), "\"bessel_j0_cpu\" not implemented for 'Half'"),
        (lambda: lamina.special.zeta(HALF, HALF), "\"zeta_cpu\" not implemented for 'Half'"),
        (lambda: lamina.special.hermite_polynomial_h(HALF.bfloat16(), 2), "not implemented for 'BFloat16'"),
        (lambda: lamina.igamma(WHOLE, WHOLE), "\"igamma_cpu\" not implemented for 'Long'"),
        (lambda: lamina.copysign(COMPLEX, COMPLEX), "\"copysign_cpu\" not implemented for 'ComplexFloat'"),
        (lambda: lamina.index_reduce(BOOL, 0, lamina.tensor([0]), BOOL[:1], "amax"), '"index_func_" not implemented'),
        (lambda: functional.mse_loss(WHOLE, WHOLE), "\"mse_cpu\" not implemented for 'Long'"),
        (lambda: functional.smooth_l1_loss(COMPLEX, COMPLEX), "\"smooth_l1_cpu\" not implemented for 'ComplexFloat'"),
        (lambda: functional.prelu(COMPLEX, COMPLEX[:1]), "\"prelu_cpu\" not implemented for 'ComplexFloat'"),
        (lambda: functional.avg_pool3d(HALF.reshape(1, 2, 1, 1, 1), 1), '"avg_pool3d_out_frame" not implemented'),
    ],
)
@pytest.mark.filterwarnings("ignore:index_reduce")
def test_refused_by_name(call, text):
    with pytest.raises(NotImplementedError) as raised:
        call()
    assert text in str(raised.value)


@pytest.mark.full
def test_a_wider_operand_makes_the_common_dtype():
    assert lamina.igamma(WHOLE, WHOLE.double()).dtype == lamina.float64
    assert lamina.special.zeta(HALF + 1, lamina.ones(2) * 2).dtype == lamina.float32
