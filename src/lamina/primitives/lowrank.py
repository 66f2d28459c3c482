"""Few singular values or eigenvalues of a large matrix: svd_lowrank, pca_lowrank, lobpcg.

Here: randomised subspaces (Halko, Martinsson, Tropp 2009) and the locally optimal block method (Knyazev 2001). Not here: whole
decompositions (eigen.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.strided import Array
from lamina.core.tensor import Tensor, wrap
from lamina.primitives.decompositions import qr
from lamina.primitives.eigen import eigh_, svd
from lamina.primitives.linalg_common import adjoint, like, numpy_dtype, values
from lamina.primitives.random import randn
from lamina.primitives.registry import primitive
from lamina.primitives.signature import not_tensor

# ---- singular values -------------------------------------------------------------------------------------------------


def _basis(A: Any, q: int, niter: int, M: Any) -> Any:
    """Orthonormal columns that nearly span what A - M reaches: of random vectors, then by power iterations."""

    def applied(x: Any) -> Any:
        return A @ x if M is None else A @ x - M @ x

    def applied_back(x: Any) -> Any:
        return adjoint(A) @ x if M is None else adjoint(A) @ x - adjoint(M) @ x

    found = qr(applied(randn(A.shape[-1], q, dtype=A.dtype)))[0]
    for _ in range(niter):
        found = qr(applied_back(found))[0]
        found = qr(applied(found))[0]
    return found


def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """U, S and V of the q largest singular values of A - M, nearly; draws random numbers. niter: power iterations."""
    if not isinstance(A, Tensor):
        raise not_tensor("svd_lowrank", "A", 1, A)
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    m, n = A._array.shape[-2:]
    a: Any = A
    mean = None if M is None else M.expand(A._array.shape)
    if m < n:
        a, mean = adjoint(a), None if mean is None else adjoint(mean)
    basis = _basis(a, min(q, m, n), niter, mean)
    small = adjoint(basis) @ a
    if mean is not None:
        small = small - adjoint(basis) @ mean
    u, s, vh = svd(small, full_matrices=False)
    u, v = basis @ u, adjoint(vh)
    return (v, s, u) if m < n else (u, s, v)


def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """U, S and V of the q largest principal components of the rows of A, nearly; draws random numbers."""
    if not isinstance(A, Tensor):
        raise not_tensor("pca_lowrank", "A", 1, A)
    m, n = A._array.shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, True) if center else A, q, niter)


# ---- eigenvalues -----------------------------------------------------------------------------------------------------


def _lobpcg(
    a: Array, b: Array | None, x: Array, preconditioner: Array | None, *, k: int, niter: int, tol: float, largest: bool
) -> tuple[Array, Array]:
    *batch, n, _ = a.shape
    w, v = np.empty((*batch, k), a.real.dtype), np.empty((*batch, n, k), a.dtype)
    for i in np.ndindex(*batch):
        one = [None if t is None else np.broadcast_to(t, (*batch, *t.shape[-2:]))[i] for t in (b, preconditioner)]
        found = _block_method(a[i], one[0], x[i], one[1], niter, tol, largest)
        w[i], v[i] = found[0][:k], found[1][:, :k]
    return w, v


def _block_method(
    a: Array, b: Array | None, x: Array, preconditioner: Array | None, niter: int, tol: float, largest: bool
) -> tuple[Array, Array]:
    size = x.shape[1]
    step: Array | None = None
    bound = tol * max(1.0, float(np.abs(a).sum(0).max()))
    values, x, _ = _best(a, b, x, size, largest)
    for _ in range(niter if niter >= 0 else 1000):
        residual = a @ x - (x if b is None else b @ x) * values
        if float(np.linalg.norm(residual, axis=0).max()) <= bound:
            break
        towards = residual if preconditioner is None else preconditioner @ residual
        # what lies in the space of x already is taken out, so that small residuals keep their digits
        towards = towards - x @ (x.conj().T @ (towards if b is None else b @ towards))
        lengths = np.linalg.norm(towards, axis=0)
        towards = towards / np.where(lengths > 0, lengths, 1).astype(a.real.dtype)
        space = np.concatenate([x, towards] if step is None else [x, towards, step], axis=1)
        values, x, coefficients = _best(a, b, space, size, largest)
        step = space[:, size:] @ coefficients[size:]
    return values, x


def _best(a: Array, b: Array | None, space: Array, size: int, largest: bool) -> tuple[Array, Array, Array]:
    """The best eigenpairs within a space, and how they are made of its columns (Rayleigh and Ritz)."""
    gram = space.conj().T @ (space if b is None else b @ space)
    scale, turn = np.linalg.eigh(gram)
    kept = scale > np.finfo(scale.dtype).eps * scale.shape[0] * scale.max()
    turn = turn[:, kept] / np.sqrt(scale[kept])
    w, inner = np.linalg.eigh(turn.conj().T @ (space.conj().T @ (a @ space)) @ turn)
    order = np.argsort(-w if largest else w)[:size]
    coefficients = turn @ inner[:, order]
    return w[order], space @ coefficients, coefficients


def _lobpcg_back(gs: Any, a: Any, out_0: Any, out_1: Any, b: Any) -> Any:
    """Through the whole spectrum: dx = (lambda - A)^+ dA x for each pair."""
    if b is not None:
        raise NotImplementedError(
            "lobpcg: the gradient of the generalized problem (B given) is not supported; use B = None"
        )
    gw, gx = gs
    xh = adjoint(out_1)
    total = None if gw is None else (out_1 * gw[..., None, :]) @ xh
    if gx is not None:
        w, v = eigh_(a, uplo="L")
        gaps = out_0[..., None, :] - w[..., :, None]
        found = np.abs(values(gaps))
        same = found <= found.min(-2, keepdims=True)  # the pair itself
        mask = like(same.astype(numpy_dtype(w)), w)
        part = (v @ ((adjoint(v) @ gx) * ((1.0 - mask) / (gaps + mask)))) @ xh
        total = part if total is None else total + part
    return total


lobpcg_ = primitive(
    "lobpcg",
    _lobpcg,
    grads=(_lobpcg_back, None, None, None),
    outputs=2,
    holomorphic=False,
    meta=lambda a, b, x, preconditioner, *, k, **_: (
        np.empty((*a.shape[:-2], k), a.real.dtype),
        np.empty((*a.shape[:-1], k), a.dtype),
    ),
)


def lobpcg(
    A: Tensor, k: int | None = None, B: Tensor | None = None, X: Tensor | None = None, n: int | None = None,
    iK: Tensor | None = None, niter: int | None = None, tol: float | None = None, largest: bool | None = None,
    method: str | None = None, tracker: None = None, ortho_iparams: dict[str, int] | None = None,
    ortho_fparams: dict[str, float] | None = None, ortho_bparams: dict[str, bool] | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The k largest (largest=False: smallest) eigenvalues and eigenvectors of Hermitian A x = lambda B x.

    X: where to start (n columns; default: random numbers). iK: multiplies the residuals, near A's inverse. tol: of the residuals.
    Both methods of PyTorch ("ortho", "basic") are one here. Raises NotImplementedError for a tracker.
    """
    if not isinstance(A, Tensor):
        raise not_tensor("lobpcg", "A", 1, A)
    if tracker is not None:
        raise NotImplementedError(
            "lobpcg: a tracker is not supported; call it with a small niter and X=, and look at the residuals"
        )
    if method not in (None, "ortho", "basic"):
        raise ValueError(f"Unknown method {method}")
    shape, d = A._array.shape, A._kind.dtype
    m = shape[-1]
    size = n if n is not None else X._array.shape[-1] if X is not None else 1 if k is None else k
    count = size if k is None else k
    if m < 3 * size:
        raise ValueError(
            f"LOBPCG algorithm is not applicable when the number of A rows (={m}) is smaller than 3 x the number of requested "
            f"eigenpairs (={size})"
        )
    start = randn(*shape[:-2], m, size, dtype=d) if X is None else X
    bound = float(np.finfo(d.np).eps) ** 0.5 if tol is None else float(tol)
    for t in (B, iK):
        if t is not None and t._array.shape[-2:] != (m, m):
            raise ValueError(f"lobpcg: expected matrices of {m} by {m}, got {list(t._array.shape)}")
    first = wrap(np.broadcast_to(start._array, (*shape[:-2], m, size)))
    return lobpcg_(  # type: ignore[no-any-return]
        A,
        B,
        first,
        iK,
        k=count,
        niter=1000 if niter is None else niter,
        tol=bound,
        largest=largest is None or bool(largest),
    )
