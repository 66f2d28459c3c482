"""Parametrizations to use: `weight_norm`, `spectral_norm`, `orthogonal`.

How they are hung on a module: parametrize.py.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.nn.functional import normalize
from lamina.nn.modules.module import Module
from lamina.nn.utils import parametrize
from lamina.nn.utils.spectral_norm import as_matrix, default_dim, power_iteration, random_direction
from lamina.nn.utils.weight_norm import norm_except_dim, scaled_direction

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def _is_orthogonal(matrix: Tensor) -> bool:
    """Whether the columns of `matrix` (or matrices) are orthonormal, to rounding."""
    rows, columns = matrix.shape[-2:]
    identity = lamina.eye(columns, dtype=matrix.dtype, device=matrix.device)
    tolerance = 10.0 * rows * lamina.finfo(matrix.dtype).eps
    return bool(lamina.allclose(matrix.mH @ matrix, identity, atol=tolerance))


def _make_orthogonal(matrix: Tensor) -> Tensor:
    """The Q of the QR decomposition whose R has a positive diagonal: `matrix` itself where it is orthogonal."""
    packed, tau = lamina.geqrf(matrix)
    q = lamina.linalg.householder_product(packed, tau)
    return q * packed.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


class _OrthMaps(Enum):
    matrix_exp = auto()
    cayley = auto()
    householder = auto()


class _Orthogonal(Module):
    """A matrix with orthonormal columns (rows, where it is wide), made from any matrix of that shape by a map.

    With trivialization the map goes out from `base`, the last matrix that was assigned, so that assigning works for
    each of them.
    """

    base: Tensor

    def __init__(self, weight: Tensor, orthogonal_map: _OrthMaps, *, use_trivialization: bool = True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map is _OrthMaps.householder:
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        """The orthogonal matrix of `X` (..., n, k)."""
        wide = X.size(-2) < X.size(-1)
        q = self._of_tall(X.mT if wide else X)
        if getattr(self, "base", None) is not None:
            q = self.base @ q
        return q.mT if wide else q

    def _of_tall(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[-2:]
        if self.orthogonal_map is _OrthMaps.householder:
            below = x.tril(diagonal=-1)
            tau = 2.0 / (1.0 + (below * below).sum(dim=-2))
            q = lamina.linalg.householder_product(below, tau)
            # the diagonal holds signs: reflections alone reach half of the orthogonal matrices only
            return q * x.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        x = x.tril()
        if rows != columns:
            x = lamina.cat([x, x.new_zeros(rows, rows - columns).expand(*x.shape[:-2], -1, -1)], dim=-1)
        skew = x - x.mH
        if self.orthogonal_map is _OrthMaps.matrix_exp:
            q = lamina.linalg.matrix_exp(skew)
        else:  # Cayley: (I - A/2)^-1 (I + A/2)
            identity = lamina.eye(rows, dtype=skew.dtype, device=skew.device)
            q = lamina.linalg.solve(lamina.add(identity, skew, alpha=-0.5), lamina.add(identity, skew, alpha=0.5))
        return q[..., :columns] if rows != columns else q

    def right_inverse(self, Q: Tensor) -> Tensor:
        """The matrix that the map takes to `Q` (made orthogonal first, with trivialization)."""
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {Q.shape}."
            )
        wide = Q.size(-2) < Q.size(-1)
        tall = Q.mT if wide else Q
        if not hasattr(self, "base"):
            x = self._inverse_of_tall(tall)
            return x.mT if wide else x
        rows, columns = tall.shape[-2:]
        if rows != columns:  # complete it to a square one
            tall = _make_orthogonal(
                lamina.cat([tall, tall.new_empty(*tall.shape[:-1], rows - columns).normal_()], dim=-1)
            )
        elif not _is_orthogonal(tall):
            tall = _make_orthogonal(tall)
        else:
            tall = tall.clone()
        self.base = tall
        # -I: the diagonal says for the reflections that all signs are minus, and does not matter to the other maps
        start = lamina.zeros_like(Q)
        start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return start

    def _inverse_of_tall(self, q: Tensor) -> Tensor:
        if self.orthogonal_map is not _OrthMaps.householder:
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                "use_trivialization=False."
            )
        packed, tau = lamina.geqrf(q)
        diagonal = packed.diagonal(dim1=-2, dim2=-1)
        diagonal.sign_()
        diagonal[tau == 0.0] *= -1  # no reflection where LAPACK found the column done
        return packed


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """Keep `module`'s matrix `name` orthogonal: by "matrix_exp", "cayley" or "householder".

    The default map is the first for square and complex matrices, else the last. Raises ValueError for another map, or
    where `name` is no matrix.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in _OrthMaps.__members__:
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    made = _Orthogonal(weight, _OrthMaps[orthogonal_map], use_trivialization=use_trivialization)
    return parametrize.register_parametrization(module, name, made, unsafe=True)


class _WeightNorm(Module):
    """magnitude * direction / |direction|."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        """The weight of that magnitude and direction."""
        return scaled_direction(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Magnitude and direction of `weight`."""
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Keep `module`'s `name` as magnitude (`original0`, one for each slice along `dim`) and direction (`original1`)."""
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def from_old_form(state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
        """States saved under the hook's names load too."""
        old = [f"{prefix}{name}_g", f"{prefix}{name}_v"]
        if all(key in state_dict for key in old):
            for i, key in enumerate(old):
                state_dict[f"{prefix}parametrizations.{name}.original{i}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(from_old_form)
    return module


class _SpectralNorm(Module):
    """The weight divided by its largest singular value."""

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        ndim = weight.ndim
        if dim >= ndim or dim < -ndim:
            raise IndexError(f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % ndim
        self.eps = eps
        if ndim > 1:  # a vector's only singular value is its norm
            self.n_power_iterations = n_power_iterations
            with lamina.no_grad():
                matrix = as_matrix(weight, self.dim)
                self.register_buffer("_u", random_direction(matrix, matrix.size(0), eps))
                self.register_buffer("_v", random_direction(matrix, matrix.size(1), eps))
                self._power_method(matrix, 15)

    def _power_method(self, weight_mat: Tensor, n_power_iterations: int) -> None:
        # transposed, so that u is improved first, from v: the old form has it the other way round
        power_iteration(weight_mat.t(), self._v, self._u, n_power_iterations, self.eps)

    def forward(self, weight: Tensor) -> Tensor:
        """`weight` divided by the estimate of its largest singular value, better at each call in training."""
        if weight.ndim == 1:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        # copies: the next forward changes the buffers in place, maybe before this one's backward
        u, v = self._u.clone(), self._v.clone()
        sigma = lamina.vdot(u, lamina.mv(matrix, v))
        return weight / sigma

    def right_inverse(self, value: Tensor) -> Tensor:
        """`value` itself: it may have any norm, and stands for the normalised one."""
        return value


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divide `module`'s `name` by its largest singular value, estimated by power iteration."""
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if dim is None:
        dim = default_dim(module)
    return parametrize.register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
