"""What the checks of declarations cannot know: that factors multiply to their matrix, PyTorch's refusals, einsum, windows."""

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import fft, linalg
from lamina.autograd import gradcheck, gradgradcheck

SHAPES = [(3, 3), (2, 4, 4), (0, 0), (2, 0, 0), (1, 1), (30, 30)]
OBLONG = [*SHAPES, (4, 2), (2, 3, 5), (0, 3), (2, 0), (40, 25)]


def draw(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if dtype.startswith("complex") else 0)
    return lamina.tensor(a, dtype=getattr(lamina, dtype))


def same(found: Any, wanted: Any) -> None:
    assert found.dtype is wanted.dtype
    atol = 1e-9 if wanted.dtype.to_real() is lamina.float64 else 1e-3
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), atol=atol)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize("shape", OBLONG, ids=str)
def test_factors_multiply_to_the_matrix(shape: tuple[int, ...], dtype: str) -> None:
    a = draw(shape, dtype)
    q, r = linalg.qr(a)
    same(q @ r, a)
    p, lower, upper = linalg.lu(a)
    same(p @ lower @ upper, a)
    for full in (True, False):
        u, s, vh = linalg.svd(a, full_matrices=full)
        k = s.shape[-1]
        same((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], a)
    same(a @ linalg.pinv(a) @ a, a)
    if shape[-2] >= shape[-1] and a.numel():
        same(linalg.householder_product(*lamina.geqrf(a)), q)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_square_matrices(shape: tuple[int, ...], dtype: str) -> None:
    a, b = draw(shape, dtype), draw((*shape[:-1], 2), dtype, 1)
    one = a.mH @ a + lamina.eye(shape[-1], dtype=a.dtype)
    same(one @ linalg.inv(one), lamina.eye(shape[-1], dtype=a.dtype).expand(shape))
    same(one @ linalg.solve(one, b), b)
    factor = linalg.cholesky(one)
    same(factor @ factor.mH, one)
    same(lamina.cholesky_solve(b, factor), linalg.solve(one, b))
    same(lamina.cholesky_inverse(factor), linalg.inv(one))
    same(linalg.lu_solve(*linalg.lu_factor(one), b), linalg.solve(one, b))
    same(linalg.lu_solve(*linalg.lu_factor(one), b.mT, left=False), linalg.solve(one, b.mT, left=False))
    w, v = linalg.eigh(one)
    same((v * w[..., None, :]) @ v.mH, one)
    w, v = linalg.eig(one)
    same(v @ (w[..., None] * linalg.inv(v)), one + 0j)
    same(
        linalg.slogdet(one).sign * linalg.slogdet(one).logabsdet.exp() / linalg.det(one),
        lamina.ones(shape[:-2], dtype=a.dtype),
    )
    same(linalg.matrix_exp(a * 0.1) @ linalg.matrix_exp(a * -0.1), lamina.eye(shape[-1], dtype=a.dtype).expand(shape))


@pytest.mark.full
@pytest.mark.parametrize("hermitian", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_ldl_solves(dtype: str, hermitian: bool) -> None:
    a, b = draw((3, 5, 5), dtype), draw((5, 2), dtype, 1)
    a = a + (a.mH if hermitian else a.mT)
    a[..., 0, 0] = 0  # takes a block of two
    same(a @ linalg.ldl_solve(*linalg.ldl_factor(a, hermitian=hermitian), b, hermitian=hermitian), b.expand(3, 5, 2))


TRIANGLES: dict[str, Any] = {
    "cholesky": lambda a: linalg.cholesky(_positive(a)),
    "cholesky, upper": lambda a: linalg.cholesky(_positive(a), upper=True),
    "eigh": lambda a: _without_signs(linalg.eigh(_positive(a))),
    "eigh, upper": lambda a: _without_signs(linalg.eigh(_positive(a), "U")),
    "cholesky_solve": lambda a: lamina.cholesky_solve(a, lamina.tril(a)),
    "cholesky_solve, upper": lambda a: lamina.cholesky_solve(a, lamina.triu(a), upper=True),
    "cholesky_inverse": lambda a: lamina.cholesky_inverse(lamina.tril(a)),
}


def _positive(a: Any) -> Any:
    return a @ a.mH + lamina.eye(a.shape[-1], dtype=a.dtype)


def _without_signs(pair: Any) -> Any:
    w, v = pair
    return w, (v * w[..., None, :] ** 3) @ v.mH


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("name", TRIANGLES)
def test_gradients_of_what_reads_a_triangle(name: str, dtype: str) -> None:
    a = (
        draw((2, 3, 3), dtype) * 0.3 + lamina.diag(lamina.tensor([1.0, 2.0, 3.0])).to(getattr(lamina, dtype))
    ).requires_grad_()
    assert gradcheck(TRIANGLES[name], (a,))
    assert gradgradcheck(TRIANGLES[name], (a,))


REFUSALS: list[tuple[str, Any, type[Exception], str]] = [
    ("not square", lambda: linalg.det(lamina.ones(3, 2)), RuntimeError,
     "linalg.det: A must be batches of square matrices, but they are 3 by 2 matrices"),
    ("vector", lambda: linalg.inv(lamina.ones(3)), RuntimeError, "linalg.inv: The input tensor A must have at least 2 dimensions."),
    ("integers", lambda: linalg.svd(lamina.ones(2, 2).long()), RuntimeError,
     "linalg.svd: Expected a floating point or complex tensor as input. Got Long"),
    ("half", lambda: linalg.eigh(lamina.ones(2, 2).half()), NotImplementedError, "\"linalg_eigh_cpu\" not implemented for 'Half'"),
    ("singular", lambda: linalg.inv(lamina.ones(2, 2)), linalg.LinAlgError,
     "linalg.inv: The diagonal element 2 is zero, the inversion could not be completed because the input matrix is singular."),
    ("singular in a batch", lambda: linalg.solve(lamina.stack([lamina.eye(2), lamina.ones(2, 2)]), lamina.ones(2, 2)), linalg.LinAlgError,
     "torch.linalg.solve: (Batch element 1): The solver failed because the input matrix is singular."),
    ("not positive", lambda: linalg.cholesky(lamina.tensor([[1.0, 2.0], [2.0, 1.0]])), linalg.LinAlgError,
     "linalg.cholesky: The factorization could not be completed because the input is not positive-definite "
     "(the leading minor of order 2 is not positive-definite)."),
    ("shapes", lambda: linalg.solve(lamina.eye(3), lamina.ones(2, 1)), RuntimeError,
     "linalg.solve: Incompatible shapes of A and B for the equation AX = B (3x3 and 2x1)"),
    ("einsum", lambda: lamina.einsum("ij,jk", lamina.ones(2, 3), lamina.ones(2, 3)), RuntimeError,
     "einsum(): subscript j has size 2 for operand 1 which does not broadcast with previously seen size 3"),
    ("fft", lambda: fft.fft(lamina.ones(0)), RuntimeError, "Invalid number of data points (0) specified"),
    ("window", lambda: lamina.stft(lamina.ones(10), 4, window=lamina.ones(4)), RuntimeError,
     "stft requires the return_complex parameter be given for real inputs, and will further require that return_complex=True in a "
     "future PyTorch release."),

    ("out", lambda: linalg.inv(lamina.eye(2), out=lamina.eye(2).double()), RuntimeError,
     "Expected out tensor to have dtype float, but got double instead"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "sentence"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS])
def test_refusals(call: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == sentence


@pytest.mark.parametrize("dtype", ["complex128"])
@pytest.mark.parametrize("decompose", [linalg.eigh, linalg.eig, linalg.svd], ids=["eigh", "eig", "svd"])
def test_a_loss_that_depends_on_the_phase_has_no_gradient(decompose: Any, dtype: str) -> None:
    a = draw((3, 3), dtype).requires_grad_()
    vectors = decompose(a + a.mH if decompose is linalg.eigh else a)[0 if decompose is linalg.svd else 1]
    with pytest.raises(RuntimeError, match="specified up to multiplication by e"):
        vectors.real.sum().backward()


COLUMN_BY_COLUMN: dict[str, Any] = {
    "svd": lambda a, b: linalg.svd(a)[::2], "qr": lambda a, b: linalg.qr(a), "eigh": lambda a, b: linalg.eigh(a)[1:],
    "eig": lambda a, b: linalg.eig(a)[1:], "inv": lambda a, b: [linalg.inv(a)], "cholesky": lambda a, b: [linalg.cholesky(a)],
    "lu_factor": lambda a, b: linalg.lu_factor(a)[:1], "solve": lambda a, b: [linalg.solve(a, b)],
    "solve_triangular": lambda a, b: [linalg.solve_triangular(a, b, upper=True)], "lstsq": lambda a, b: linalg.lstsq(a, b)[:1],
    "cholesky_solve": lambda a, b: [lamina.cholesky_solve(b, linalg.cholesky(a))],
    "householder_product": lambda a, b: [linalg.householder_product(*lamina.geqrf(a))],
}  # fmt: skip


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("name", COLUMN_BY_COLUMN)
def test_matrices_lie_as_lapack_leaves_them(name: str, device: str) -> None:
    a, b = draw((2, 3, 3), "float64"), draw((2, 3, 2), "float64")
    a, b = (a @ a.mT + lamina.eye(3)).to(device), b.to(device)
    for made in COLUMN_BY_COLUMN[name](a, b):
        assert made.stride()[1:] == (1, 3)


EQUATIONS = [
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("ij->ji", (2, 3)), ("ii->i", (3, 3)), ("ii", (3, 3)), ("iij->j", (2, 2, 3)),
    ("i,i", (3,), (3,)), ("i,j->ji", (2,), (3,)), ("bij,bjk->bik", (2, 3, 4), (2, 4, 2)), ("...ij,...jk->...ik", (5, 1, 2, 3), (2, 3, 2)),
    ("b...i,b...i->b...", (2, 3, 4), (2, 3, 4)), ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
    ("ijk,ilm,njm,nlk,abc->", (2,) * 3, (2,) * 3, (2,) * 3, (2,) * 3, (2,) * 3),
    ("aB,Bc", (2, 3), (3, 2)), ("i...->...", (2, 3)), (",i", (), (3,)), ("ij,ij->j", (2, 3), (2, 3)), ("ij,kl->", (2, 3), (2, 2)),
]  # fmt: skip


@pytest.mark.parametrize("case", EQUATIONS, ids=lambda c: c[0])
def test_einsum_is_numpys(case: tuple[Any, ...]) -> None:
    equation, *shapes = case
    given = [draw(shape, "float64", i) for i, shape in enumerate(shapes)]
    same(lamina.einsum(equation, *given), lamina.tensor(np.einsum(equation, *(t.numpy() for t in given))))


def test_einsum_broadcasts_and_takes_lists() -> None:
    a, b = draw((2, 1), "float64"), draw((3, 4), "float64", 1)
    same(lamina.einsum("ij,jk->ik", a, b), a.expand(2, 3) @ b)  # what NumPy refuses
    same(lamina.einsum(a, [0, 1], b, [1, 2], [0, 2]), a.expand(2, 3) @ b)


@pytest.mark.parametrize(
    "options", [{}, {"center": False}, {"normalized": True, "win_length": 6}, {"onesided": False}], ids=str
)
def test_windows_add_up_to_the_signal(options: dict[str, Any]) -> None:
    signal = draw((2, 64), "float64").requires_grad_()
    window = lamina.tensor(0.6 - 0.4 * np.cos(2 * np.pi * np.arange(options.get("win_length", 8)) / 8))
    spectrum = lamina.stft(signal, 8, 2, window=window, return_complex=True, **options)
    back = lamina.istft(spectrum, 8, 2, window=window, length=64, **options)
    same(back.detach(), signal.detach())
    back.sum().backward()
    same(signal.grad, lamina.ones_like(signal))


def test_transforms_keep_single_precision() -> None:
    x = draw((4, 6), "float32")
    for transform in (fft.fft, fft.rfft, fft.ihfft, fft.fftn, fft.rfftn):
        assert transform(x).dtype is lamina.complex64
    for transform in (fft.irfft, fft.hfft, fft.irfft2):
        assert transform(x).dtype is lamina.float32


def test_a_result_prints_as_pytorchs() -> None:
    assert (
        repr(linalg.slogdet(lamina.eye(2)))
        == "torch.return_types.linalg_slogdet(\nsign=tensor(1.),\nlogabsdet=tensor(0.))"
    )


def test_extreme_eigenpairs_of_a_large_matrix() -> None:
    q = linalg.qr(draw((60, 60), "float64")).Q
    a = ((q * lamina.arange(1, 61, dtype=lamina.float64)) @ q.T).requires_grad_()
    for largest in (True, False):
        w, v = lamina.lobpcg(a, k=3, largest=largest, niter=200)
        wanted = lamina.tensor([60.0, 59.0, 58.0] if largest else [1.0, 2.0, 3.0], dtype=lamina.float64)
        np.testing.assert_allclose(w.detach().numpy(), wanted.numpy(), atol=1e-6)
        np.testing.assert_allclose((a @ v).detach().numpy(), (v * w).detach().numpy(), atol=1e-3)
    (slope,) = lamina.autograd.grad(w.sum(), a)
    np.testing.assert_allclose(slope.numpy(), (v @ v.T).detach().numpy(), atol=1e-9)
