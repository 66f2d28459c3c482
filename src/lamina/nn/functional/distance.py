"""Distances and similarities between vectors.

Here: cosine_similarity, pairwise_distance, pdist, normalize. Not here: cdist (a primitive).
"""

from __future__ import annotations

import lamina
from lamina.core.tensor import Tensor
from lamina.nn.functional._checks import check_floating, check_tensor, scalar_name
from lamina.nn.functional._out import write_out
from lamina.primitives import fused
from lamina.primitives.inplace import loosely, of_tensors


@of_tensors
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between `x1` and `x2` along `dim`; norms below `eps` count as `eps`.

    Inputs broadcast; result without `dim`. Raises RuntimeError for integers.
    """
    check_tensor(x1, "cosine_similarity", "x1", 1)
    check_tensor(x2, "cosine_similarity", "x2", 2)
    dtype = lamina.promote_types(x1.dtype, x2.dtype)
    if not dtype.is_floating_point:
        one = x1 if x1.dtype == dtype else x2
        raise RuntimeError(f"expected common dtype to be floating point, yet common dtype is {scalar_name(one)}")
    x1, x2 = lamina.broadcast_tensors(x1.to(dtype), x2.to(dtype))
    # The norm is left to its subgradient 0 at the origin: sqrt(sum of squares) would give NaN there.
    norm1 = lamina.linalg.vector_norm(x1, 2, dim, keepdim=True)
    norm2 = lamina.linalg.vector_norm(x2, 2, dim, keepdim=True)
    with lamina.no_grad():  # PyTorch lifts small norms unseen by autograd: the gradient is that of the norm
        lift1, lift2 = lamina.clamp(eps - norm1, min=0.0), lamina.clamp(eps - norm2, min=0.0)
    return ((x1 / (norm1 + lift1)) * (x2 / (norm2 + lift2))).sum(dim)


@of_tensors
def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last dimension; inputs broadcast."""
    check_tensor(x1, "pairwise_distance", "x1", 1)
    check_tensor(x2, "pairwise_distance", "x2", 2)
    last = max(x1.dim(), x2.dim()) - 1
    return lamina.norm(x1 - x2 + eps, p, last, keepdim)


@fused("Pdist")
def _pdist(input: Tensor, rows: Tensor, columns: Tensor, p: float) -> Tensor:
    return lamina.linalg.vector_norm(lamina.index_select(input, 0, rows) - lamina.index_select(input, 0, columns), p, 1)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distances between the rows of `input` (N, M), pairs i < j in order: (N * (N - 1) / 2,)."""
    check_tensor(input, "pdist")
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if not input.is_floating_point():
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    count = input.shape[0]
    if input.shape[1] == 0:
        return input.new_zeros(max(count * (count - 1) // 2, 0))
    check_floating(input, "pdist", "pdist", low=False)
    rows, columns = lamina.triu_indices(count, count, 1)
    return _pdist(input, rows, columns, float(p))


@loosely
def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None) -> Tensor:
    """`input` over its p-norm along `dim`, which counts as `eps` where smaller."""
    norm = input.norm(p, dim, keepdim=True)
    return write_out(input / lamina.clamp_min(norm, eps).expand_as(input), out)
