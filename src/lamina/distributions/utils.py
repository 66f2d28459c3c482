"""Small tools of the distributions: broadcasting of parameters, logits and probabilities, attributes computed once.

Not here: draws (lamina.primitives.random) and anything that knows a distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

import lamina
import lamina.nn.functional as F
from lamina import Tensor
from lamina.overrides import is_tensor_like

euler_constant = 0.57721566490153286060


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """The values as tensors of one shape; numbers take the dtype of the first tensor, or the default one.

    Raises ValueError for what is neither a number nor a tensor.
    """
    if not all(is_tensor_like(v) or isinstance(v, (int, float, complex)) for v in values):
        raise ValueError(
            "Input arguments must all be instances of Number, torch.Tensor or objects implementing __torch_function__."
        )
    tensors = [v for v in values if is_tensor_like(v)]
    if len(tensors) == len(values):
        return tuple(lamina.broadcast_tensors(*values))
    dtype = tensors[0].dtype if tensors else lamina.get_default_dtype()
    device = tensors[0].device if tensors else None
    made = [v if is_tensor_like(v) else lamina.tensor(v, dtype=dtype, device=device) for v in values]
    return tuple(lamina.broadcast_tensors(*made))


def _standard_normal(shape: Any, dtype: Any, device: Any) -> Tensor:
    """Draws from the normal distribution of mean 0 and variance 1."""
    return lamina.normal(
        lamina.zeros(shape, dtype=dtype, device=device), lamina.ones(shape, dtype=dtype, device=device)
    )


def clamp_probs(probs: Tensor) -> Tensor:
    """The probabilities, kept away from 0 and 1 by the dtype's eps."""
    eps = lamina.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities of log-odds (binary), or of unnormalised logarithms along the last dimension."""
    return lamina.sigmoid(logits) if is_binary else F.softmax(logits, dim=-1)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Log-odds (binary) or logarithms of clamped probabilities."""
    safe = clamp_probs(probs)
    return safe.log() - (-safe).log1p() if is_binary else safe.log()


def sum_rightmost(value: Tensor, dim: int) -> Tensor:
    """`value` with its last `dim` dimensions summed."""
    if dim == 0:
        return value
    return value.reshape(tuple(value.shape[: value.dim() - dim]) + (-1,)).sum(-1)


_sum_rightmost = sum_rightmost  # the name that packages import


def one_probs_or_logits(probs: Any, logits: Any) -> None:
    """Raises ValueError unless exactly one of them is given."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")


def standard_normal(shape: Any, dtype: Any, device: Any) -> Tensor:
    """Draws of N(0, 1), by the same draw that `torch.normal` of two tensors makes."""
    return lamina.normal(
        lamina.zeros(shape, dtype=dtype, device=device), lamina.ones(shape, dtype=dtype, device=device)
    )


def uniform_open(like: Tensor, shape: Any) -> Tensor:
    """Draws of the uniform distribution of (0, 1), without its ends, in the dtype of `like`."""
    return like.new_empty(shape).uniform_(lamina.finfo(like.dtype).tiny, 1)


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """The entries on and below the diagonal `diag` of D x D matrices, row by row, as vectors. Raises ValueError for other diagonals."""
    n = mat.shape[-1]
    if diag < -n or diag >= n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    rows, columns = lamina.tril_indices(n, n, diag)
    return mat[..., rows, columns]


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """The inverse of `tril_matrix_to_vec`: zeros above the diagonal. Raises ValueError for vectors that fill no triangle."""
    # the root of n (n + 1) / 2 = size + what lies between the main diagonal and `diag`
    size = (-(1 + 2 * diag) + ((1 + 2 * diag) ** 2 + 8 * vec.shape[-1] + 4 * abs(diag) * (diag + 1)) ** 0.5) / 2
    eps = lamina.finfo(vec.dtype).eps
    if not round(size) - eps <= size <= round(size) + eps:
        raise ValueError(
            f"The size of last dimension is {vec.shape[-1]} which cannot be expressed as the lower triangular part of a square D x D matrix."
        )
    n = round(size)
    rows, columns = lamina.tril_indices(n, n, diag)
    matrix = vec.new_zeros((*vec.shape[:-1], n, n))
    matrix[..., rows, columns] = vec
    return matrix


class lazy_property:
    """A property that is computed at the first use and then stored as an attribute of the instance."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        update_wrapper(self, wrapped)  # type: ignore[arg-type]

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return _LazyOnClass(self.wrapped)
        with lamina.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


class _LazyOnClass(lazy_property, property):
    """What a class shows for a lazy property: documented and recognised as a property."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        property.__init__(self, wrapped)
