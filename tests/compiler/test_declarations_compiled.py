"""Every primitive's declaration compiled: replayed with other values than it was recorded with, beside eager.

All samples of a primitive are one compiled function: values and gradients, float32 and float64, bfloat16 and int64 where they apply, and
arrays whose elements lie turned, with gaps or in one place.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from declared import cases_of, other, together
from samples import primitives

import lamina
from lamina.compiler.calls import Call
from lamina.primitives.primitive import Primitive

pytestmark = [pytest.mark.full, pytest.mark.filterwarnings("ignore::RuntimeWarning")]  # NaN is made an integer, by both

PRIMITIVES = [pytest.param(p, id=p.name.replace(" ", "-")) for p in primitives() if isinstance(p, Primitive)]

NUMPY = frozenset(
    """
    adaptive_max_pool2d adaptive_max_pool3d addbmm as_strided_adjoint as_strided_scatter as_strided_taken avg_pool3d
    avg_pool3d_grad cholesky cholesky_inverse cholesky_solve cofactors complex cummax cummin  digamma dirichlet_grad
    erfinv fft_r2c fractional_max_pool2d fractional_max_pool3d frexp gcd geqrf grid_index_2d grid_index_3d grid_nothing grid_pick
    grid_place grid_put grid_slope grid_whole histogramdd i0 igamma igammac index_copy index_reduce isin kthvalue lcm lgamma
    linalg_cholesky_ex linalg_cross linalg_det linalg_eig linalg_eigh linalg_inv_ex linalg_ldl_factor_ex linalg_ldl_solve
    linalg_lstsq linalg_lu linalg_lu_factor_ex linalg_lu_solve linalg_matrix_exp linalg_matrix_rank linalg_pinv linalg_qr
    linalg_slogdet linalg_solve_ex linalg_solve_triangular linalg_svd lobpcg logcumsumexp lu_unpack max_pool3d max_unpool2d
    max_unpool3d median median_all mode mvlgamma nanmedian nanmedian_all nextafter nonzero_static normal_hazard permutation_matrix
    polar polygamma put recurrence renorm scaled scatter_reduce scatter_with searchsorted sort sort_stable special_airy_ai
    special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1 special_chebyshev_polynomial_t
    special_chebyshev_polynomial_u special_chebyshev_polynomial_v special_chebyshev_polynomial_w special_erfcx
    special_hermite_polynomial_h special_hermite_polynomial_he special_i0e special_i1 special_i1e special_laguerre_polynomial_l
    special_legendre_polynomial_p special_log_ndtr special_modified_bessel_i0 special_modified_bessel_i1
    special_modified_bessel_k0 special_modified_bessel_k1 special_ndtri special_scaled_modified_bessel_k0
    special_scaled_modified_bessel_k1 special_shifted_chebyshev_polynomial_t special_shifted_chebyshev_polynomial_u
    special_shifted_chebyshev_polynomial_v special_shifted_chebyshev_polynomial_w special_zeta standard_gamma_grad topk
    triangular_solve
""".split()
)
"""What has no kernel: factorizations, orders, special functions, running sums; what writes what comes last."""

SOMETIMES = {
    "adaptive_avg_pool2d": "uneven windows", "adaptive_avg_pool2d_grad": "uneven windows",
    "adaptive_avg_pool3d": "uneven windows", "adaptive_avg_pool3d_grad": "uneven windows",
    "adaptive_max_pool3d_grad": "planes with gaps", "fractional_max_pool3d_grad": "planes with gaps",
    "max_pool3d_grad": "planes with gaps", "max_unpool3d_grad": "planes with gaps",
    "embedding_dense_backward": "gradients by frequency", "floor_divide": "integers, whose division by zero raises",
    "index_put": "what is written last counts", "scatter_value": "several writes into a line", "sinc_slope": "integers",
    "take_slice": "a cotangent that does not lie as its base", "unfold_adjoint": "0-d",
}  # fmt: skip
"""What has none in some cases."""

VALUES_DECIDE = frozenset(
    "bincount masked_scatter masked_select masked_select_adjoint nonzero unique unique_consecutive unique_dim".split()
)
"""Whose shapes Python sees; and gradients of such."""

FIXED = frozenset("histc grid_unmoved unsafe_view drawn_bernoulli_ drawn_cauchy_ drawn_exponential_ drawn_geometric_ drawn_log_normal_ "
                  "drawn_normal_ drawn_random_ drawn_random_any drawn_random_to drawn_uniform_".split())  # fmt: skip
"""Calls that the library makes in no such way: with arrays as parameters, or giving back what they were given."""

TOLERANCE = {lamina.float32: 3e-5, lamina.float64: 1e-9, lamina.bfloat16: 2**-6}
MOVES = frozenset(
    """
    alias block_diag cat clear_slice clone constant_pad_nd copy diag_embed diagonal diagonal_adjoint embed embedding expand fill_diagonal flip
    gather index index_select permute put_slice repeat roll rot90 select select_scatter shifted slice slice_scatter split stack t take take_slice
    to_copy transpose tril triu unfold unsafe_split unsqueeze view
""".split()
)
"""What computes nothing: values are the same bits."""


@pytest.fixture(scope="module", autouse=True)
def kernels(tmp_path_factory, monkeypatch_module):
    """A cache of kernels for these tests; and no long walks over objects that are there for good."""
    folder = tmp_path_factory.mktemp("kernels")
    folder.chmod(0o700)
    monkeypatch_module.setenv("LAMINA_CACHE_DIR", str(folder))
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def compare(name, case, got, want):
    what = f"{name} of {[getattr(a, 'dtype', a) for a in case.args]}, layout {case.layout}, gradients by {case.smooth}"
    assert (got.dtype, got.shape) == (want.dtype, want.shape), what
    a, b = (t.detach().to(lamina.float64 if t.is_floating_point() else t.dtype).numpy() for t in (got, want))
    tolerance = 0.0 if name in MOVES and not case.smooth else TOLERANCE.get(want.dtype, 0.0)
    if want.is_complex():
        tolerance = 1e-5
    known = np.abs(b[np.isfinite(b)], dtype=np.float64) if b.dtype.kind == "f" else np.zeros(0)
    scale = max(1.0, float(known.max(initial=0.0)))
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale / 8, err_msg=what)


def calls_of(replay):
    """The nodes that run in NumPy, without those of complex numbers."""
    nodes = [item.node for item in replay.program.work if isinstance(item, Call)]
    return {
        n.name
        for n in nodes
        if not any(r.dtype.kind == "c" for r in (*n.reads(), *(o for o in n.outputs if o is not None)))
    }


@pytest.mark.parametrize("p", PRIMITIVES)
def test_declaration_compiled(p):
    cases = cases_of(p)
    if not cases or p.name in FIXED:
        pytest.skip("its samples are draws, complex, or no calls that a step makes")
    compiled = lamina.compile(together(cases), verify="never")
    compiled(*(a for case in cases for a in case.arguments()))
    found = compiled(*(a for case in cases for a in case.arguments(other)))
    if p.name in VALUES_DECIDE:
        assert compiled.calls["replayed"] == 0
        return
    assert compiled.calls["replayed"] == 1, compiled.explain()
    found = iter(found)
    for case in cases:
        for want in together([case])(*case.arguments(other)):
            compare(p.name, case, next(found), want)
    assert calls_of(compiled.recordings[0].built()) <= NUMPY | SOMETIMES.keys()
