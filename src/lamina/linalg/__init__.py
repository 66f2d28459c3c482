"""torch.linalg: linear algebra. Here: names. Not here: any computing (primitives/)."""

from lamina.primitives.contractions import multi_dot
from lamina.primitives.decompositions import (
    cholesky,
    cholesky_ex,
    ldl_factor,
    ldl_factor_ex,
    lu,
    lu_factor,
    lu_factor_ex,
    qr,
)
from lamina.primitives.eigen import eig, eigh, eigvals, eigvalsh, svd, svdvals
from lamina.primitives.factored import ldl_solve, lu_solve
from lamina.primitives.householder import householder_product
from lamina.primitives.least_squares import lstsq, matrix_rank, pinv
from lamina.primitives.linalg import linalg_cross as cross
from lamina.primitives.linalg import linalg_diagonal as diagonal
from lamina.primitives.linalg import linalg_vander as vander
from lamina.primitives.linalg import matrix_power, tensorinv, tensorsolve, vecdot
from lamina.primitives.linalg_common import LinAlgError
from lamina.primitives.matmul import matmul
from lamina.primitives.matrix_norms import cond, matrix_norm, norm
from lamina.primitives.norms import vector_norm
from lamina.primitives.overridable import publish as _publish
from lamina.primitives.solvers import det, inv, inv_ex, matrix_exp, solve, solve_ex
from lamina.primitives.solvers import linalg_slogdet as slogdet
from lamina.primitives.triangular import solve_triangular

__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh",
    "householder_product", "inv", "inv_ex", "ldl_factor", "ldl_factor_ex", "ldl_solve", "lstsq", "lu", "lu_factor", "lu_factor_ex",
    "lu_solve", "matmul", "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet",
    "solve", "solve_ex", "solve_triangular", "svd", "svdvals", "tensorinv", "tensorsolve", "vander", "vecdot", "vector_norm",
]  # fmt: skip

_publish(globals())
