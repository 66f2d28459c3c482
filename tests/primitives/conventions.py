"""What the checks must know of single primitives: where a gradient is not simply the slope of the value.

Here: facts, each a convention of PyTorch's or of mathematics. Not here: the checks (checks.py, checks_transforms.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

DRAWS = frozenset((
    "bernoulli", "poisson", "normal_by_mean", "normal_by_std", "normal_by_both", "standard_gamma", "sample_dirichlet",
))  # fmt: skip
"""Every call gives other values; the gradient is zero, or that of the distribution."""

KEEPS: dict[str, int] = {
    "fused _cross_entropy_rows": 1, "fused _gru": 2, "fused _lstm": 3, "fused _mse_alike": 1, "fused _nll_rows": 1, "fused _plain": 2,
}  # fmt: skip
"""How many results of a kernel are a caller's: those behind are kept for the rules."""


def results(p: Any, outs: Any) -> list[Any]:
    """What a caller sees of a call, as a list."""
    return [o for o in (outs if isinstance(outs, tuple) else (outs,))[: KEEPS.get(p.name)] if o is not None]


def _symmetric(t: Any, params: dict[str, Any]) -> Any:
    return (t + t.mH) * 0.5


def _triangle(t: Any, params: dict[str, Any]) -> Any:
    return t.triu() if params["upper"] else t.tril()


FREE: dict[str, dict[int, Callable[..., Any]]] = {
    "cholesky": {0: _symmetric},
    "cholesky_inverse": {0: _triangle},
    "cholesky_solve": {1: _triangle},
    "linalg_cholesky_ex": {0: _symmetric},
    "linalg_eigh": {0: _symmetric},
    "lobpcg": {0: _symmetric},
}
"""Arguments whose elements are not free: what makes one that may be given from any matrix. Gradients go through it."""

INVARIANT: dict[str, Callable[..., Any]] = {
    "linalg_eig": lambda w, v: (w, v.abs()),
    "linalg_eigh": lambda w, v: (w, v.abs()),
    "linalg_svd": lambda u, s, v: (u[..., : s.shape[-1]].abs(), s, v[..., : s.shape[-1], :].abs()),
    "lobpcg": lambda w, v: (w, v.abs()),
}
"""Results determined up to sign or phase, or up to a rotation of what a null space is spanned by: what is left without that."""

OTHERWISE: dict[str, tuple[int, ...]] = {
    "as_strided_scatter": (0,),  # the gradient of the written part, not of the rest
    "fused _ctc": (0,),  # that of a softmax before it
}
"""Arguments whose gradient PyTorch defines otherwise: compared with PyTorch's own, not with the slope."""


def otherwise(p: Any, params: dict[str, Any]) -> tuple[int, ...]:
    """Those of a call. Of embeddings, a row of padding has values, but no gradient; and the second gradient forgets frequencies."""
    padded = p.name == "embedding" and params["padding_idx"] >= 0
    scaled = p.name == "embedding_dense_backward" and params["scale_grad_by_freq"]
    return (0,) if padded or scaled else OTHERWISE.get(p.name, ())


CONSTANT: dict[str, tuple[int, ...]] = {"fused _batch_norm_eval": (3, 4), "nn.functional.nll_loss": (2,)}
"""Arguments of variadic rules and of composites that have no gradient."""

REFUSED: dict[int, frozenset[str]] = {
    1: frozenset((
        "bincount", "dirichlet_grad", "geqrf", "heaviside", "histc", "igamma", "igammac", "linalg_ldl_factor_ex",
        "linalg_ldl_solve", "scatter_with", "special_zeta",
        "standard_gamma_grad", "unique", "unique_consecutive", "unique_dim",
    )),
    2: frozenset(),
}  # fmt: skip
"""Whose gradient of first or second order PyTorch does not have either."""

APPROXIMATE: dict[str, float] = {"dirichlet_grad": 1e-3, "standard_gamma_grad": 1e-3}
"""Values that PyTorch computes by series of low order: how near they are."""
