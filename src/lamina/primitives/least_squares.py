"""What singular values give: pseudoinverse, rank, least squares.

Here: primitives with their gradients, PyTorch's functions. Not here: the decomposition itself (eigen.py). A rule uses g in
PyTorch's convention, so it conjugates by itself (holomorphic=False).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import return_types
from lamina.core.strided import Array
from lamina.core.tensor import Tensor, wrap
from lamina.primitives.inplace import of_tensors
from lamina.primitives.linalg_common import adjoint, check_matrix, check_square, like
from lamina.primitives.registry import primitive
from lamina.primitives.signature import parsed, scalar_name
from lamina.primitives.triangular import check_batches

# ---- pinv, matrix_rank -----------------------------------------------------------------------------------------------


def _pinv(a: Array, atol: Array, rtol: Array, *, hermitian: bool) -> Array:
    if not a.size:
        return np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
    if hermitian:
        w, u = np.linalg.eigh(a)
        s, v = np.abs(w), u
    else:
        u, w, vh = np.linalg.svd(a, full_matrices=False)
        s, v = w, np.swapaxes(vh, -1, -2).conj()
    kept = s > np.maximum(atol[..., None], rtol[..., None] * s.max(-1, keepdims=True))
    inverse = np.where(kept, 1 / np.where(kept, w, 1), 0).astype(w.dtype)
    return (v * inverse[..., None, :]) @ np.swapaxes(u, -1, -2).conj()  # type: ignore[no-any-return]


def pinv_back(g: Any, x: Any, out: Any) -> Any:
    """The cotangent of A, from that of its pseudoinverse P (`out`): of dP = -P dA P + P P^H dA^H (I - A P) + (I - P A) dA^H P^H P."""
    p, ph, gh = out, adjoint(out), adjoint(g)
    across = gh @ p @ ph
    along = ph @ p @ gh
    return -(ph @ g @ ph) + (across - x @ (p @ across)) + (along - (along @ p) @ x)


pinv_ = primitive(
    "linalg_pinv", _pinv,
    grads=(lambda g, a, out: pinv_back(g, a, out), None, None), holomorphic=False)  # fmt: skip


def tolerances(A: Tensor, atol: Any, rtol: Any, function: str) -> tuple[Tensor, Tensor]:
    """Absolute and relative tolerance as real tensors that broadcast with the batch; the default where neither is given."""
    *_, m, n = A._array.shape
    real = A._kind.dtype.to_real()
    if rtol is None:
        given = atol is not None and (not isinstance(atol, Tensor) and atol > 0)
        rtol = 0.0 if given else float(np.finfo(real.np).eps) * max(m, n)
        if isinstance(atol, Tensor):  # the default only where atol is 0
            rtol = wrap(np.where(atol._array > 0, 0.0, rtol).astype(real.np))
    made = []
    for name, value in (("atol", 0.0 if atol is None else atol), ("rtol", rtol)):
        if isinstance(value, Tensor):
            if value.is_complex():
                raise RuntimeError(
                    f"{function}: {name} tensor of complex type is not supported. Got {scalar_name(value._kind.dtype)}"
                )
            made.append(value.to(real))
        else:
            made.append(wrap(np.asarray(value, real.np)))
    return made[0], made[1]


@parsed
def pinv(A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """The pseudoinverses of matrices: singular values up to max(atol, rtol * the largest) count as 0."""
    d = A._kind.dtype
    if A._array.ndim < 2 or d.category < 2 or d.is_low:
        raise RuntimeError(
            f"linalg.pinv({scalar_name(d)}{{{list(A._array.shape)}}}): expected a tensor with 2 or more dimensions "
            "of float, double, cfloat or cdouble types"
        )
    if rcond is not None:
        atol, rtol = 0.0, rcond
    absolute, relative = tolerances(A, atol, rtol, "torch.linalg.pinv")
    if hermitian:
        check_square(A, "linalg.pinv")
    return pinv_(A, absolute, relative, hermitian=bool(hermitian))  # type: ignore[no-any-return]


@parsed
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The pseudoinverses of matrices: singular values up to rcond * the largest count as 0."""
    return pinv(input, rcond)  # type: ignore[no-any-return]


def _rank(a: Array, atol: Array, rtol: Array, *, hermitian: bool) -> Array:
    if not a.size:
        return np.zeros(np.broadcast_shapes(a.shape[:-2], atol.shape, rtol.shape), np.int64)
    s = np.abs(np.linalg.eigvalsh(a)) if hermitian else np.linalg.svd(a, compute_uv=False)
    bound = np.maximum(atol[..., None], rtol[..., None] * s.max(-1, keepdims=True))
    return np.count_nonzero(s > bound, axis=-1).astype(np.int64)  # type: ignore[no-any-return]


rank_ = primitive(
    "linalg_matrix_rank", lambda a, atol, rtol, *, hermitian: np.asarray(_rank(a, atol, rtol, hermitian=hermitian))
)


@parsed
def matrix_rank(
    input: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Tensor:
    """How many singular values exceed max(atol, rtol * the largest); int64."""
    check_matrix(input, "torch.linalg.matrix_rank", "input")
    d = input._kind.dtype
    if d.category < 2 or d.is_low:
        raise RuntimeError("This function doesn't handle types other than float and double")
    if tol is not None:
        atol, rtol = tol, 0.0
    absolute, relative = tolerances(input, atol, rtol, "torch.linalg.matrix_rank")
    if hermitian:
        check_square(input, "linalg.matrix_rank")
    return rank_(input, absolute, relative, hermitian=bool(hermitian))  # type: ignore[no-any-return]


# ---- least squares ---------------------------------------------------------------------------------------------------

_DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


def _lstsq(a: Array, b: Array, *, rcond: float, driver: str, vector: bool) -> tuple[Array, Array, Array, Array]:
    *_, m, n = a.shape
    if vector:
        b = b[..., None]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    real = a.real.dtype
    if a.size:
        u, s, vh = np.linalg.svd(a, full_matrices=False)
        kept = s > rcond * s.max(-1, keepdims=True)
        if driver == "gels":  # takes A as of full rank
            kept = s > 0
        scaled = np.where(kept, 1 / np.where(kept, s, 1), 0).astype(real)[..., None]
        x = np.swapaxes(vh, -1, -2).conj() @ (scaled * (np.swapaxes(u, -1, -2).conj() @ b))
        rank = np.count_nonzero(kept, -1)
    else:
        s, rank = np.zeros((*a.shape[:-2], min(m, n)), real), np.zeros(a.shape[:-2], np.int64)
        x = np.zeros((*batch, n, b.shape[-1]), np.result_type(a, b))
    none = np.zeros(0, real)
    residuals = none
    if m > n and driver != "gelsy" and (driver == "gels" or np.all(rank == n)):
        residuals = (np.abs(a @ x - b) ** 2).sum(-2).astype(real)
    if vector:
        x = x[..., 0]
    elif x.size:  # LAPACK writes it over B, which has m rows
        long = np.empty((*batch, x.shape[-1], max(m, n)), x.dtype)
        long[..., :n] = np.swapaxes(x, -1, -2)
        x = np.swapaxes(long[..., :n], -1, -2)
    return (
        x, residuals,
        np.zeros(0, np.int64) if driver == "gels" else np.asarray(rank, np.int64), s if driver in ("gelsd", "gelss") else none,
    )  # fmt: skip


def _columns(x: Any, vector: bool) -> Any:
    return x[..., None] if vector else x


def _lstsq_by_matrix(gs: Any, a: Any, b: Any, out_0: Any, vector: bool) -> Any:
    p, right = _pseudoinverse(a), _columns(b, vector)
    out = None
    if gs[0] is not None:
        out = pinv_back(_columns(gs[0], vector) @ adjoint(right), a, p)
    if _has_residuals(gs[1]):
        part = _residual(a, right, out_0, gs[1], vector) @ adjoint(_columns(out_0, vector))
        out = part if out is None else out + part
    return out


def _lstsq_by_right(gs: Any, a: Any, b: Any, out_0: Any, vector: bool) -> Any:
    out = None
    if gs[0] is not None:
        out = adjoint(_pseudoinverse(a)) @ _columns(gs[0], vector)
    if _has_residuals(gs[1]):
        part = -_residual(a, _columns(b, vector), out_0, gs[1], vector)
        out = part if out is None else out + part
    return out[..., 0] if vector and out is not None else out


def _has_residuals(g: Any) -> bool:
    return g is not None and tuple(g.shape) != (0,)


def _residual(a: Any, right: Any, x: Any, g: Any, vector: bool) -> Any:
    """2 g (A X - B): X makes the residuals smallest, so they change with A and B only directly."""
    return (a @ _columns(x, vector) - right) * (2.0 * g[..., None, :])


def _pseudoinverse(a: Any) -> Any:
    zero = like(np.zeros((), np.float64), a)
    return pinv_(a, zero, zero, hermitian=False)


lstsq_ = primitive(
    "linalg_lstsq", _lstsq,
    grads=(_lstsq_by_matrix, _lstsq_by_right), outputs=4, nondiff=(2, 3), holomorphic=False, restores=True)  # fmt: skip


@of_tensors
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """X that makes |A X - B| smallest, residuals, rank, singular values (what the driver does not find is empty).

    driver: "gelsy" (default), "gels" (A of full rank), "gelsd", "gelss". Singular values up to rcond * the largest count as 0.
    """
    for position, (name, t) in enumerate((("input", A), ("b", B)), 1):
        if not isinstance(t, Tensor):
            raise TypeError(
                f"linalg_lstsq(): argument '{name}' (position {position}) must be Tensor, not {type(t).__name__}"
            )
    function = "torch.linalg.lstsq"
    a, b = A._array.shape, B._array.shape
    if len(a) < 2:
        raise RuntimeError(f"{function}: input must have at least 2 dimensions.")
    if len(b) < 1:
        raise RuntimeError(f"{function}: other must have at least 1 dimension.")
    d = A._kind.dtype
    if d is not B._kind.dtype:
        raise RuntimeError(
            f"{function}: Expected input and other to have the same dtype, but got input's dtype {scalar_name(d)} and other's dtype "
            f"{scalar_name(B._kind.dtype)}"
        )
    if d.category < 2 or d.is_low:
        raise RuntimeError("This function doesn't handle types other than float and double")
    if driver is not None and driver not in _DRIVERS:
        raise RuntimeError(f"{function}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)")
    vector = len(b) == 1 or (len(a) - 1 == len(b) and b == a[:-1])
    if not vector and len(b) < len(a) and len(b) < 2:
        raise RuntimeError(
            f"{function}: input.dim() must be greater or equal to other.dim() and (input.dim() - other.dim()) <= 1"
        )
    if b[-1 if vector else -2] != a[-2]:
        raise RuntimeError(f"{function}: input.size({-2}) should match other.size({-1 if vector else -2})")
    if not vector:
        check_batches(B, A)
    bound = float(np.finfo(d.to_real().np).eps) * max(a[-2:]) if rcond is None else float(rcond)
    return return_types.linalg_lstsq(lstsq_(A, B, rcond=bound, driver=driver or "gelsy", vector=vector))
