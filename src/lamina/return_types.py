"""Named tuples that functions with several results return, printed as torch.return_types.max(values=..., indices=...).

Here: the classes. Not here: the functions that return them.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any


class StructSeq(tuple[Any, ...]):
    """A tuple whose items have names; `type(result)(items)` makes another."""

    __slots__ = ()
    __module__ = "torch.return_types"
    n_fields: int
    n_sequence_fields: int
    n_unnamed_fields = 0
    __match_args__: tuple[str, ...]

    def __new__(cls, sequence: Iterable[Any], dict: Any = None) -> StructSeq:
        items = tuple(sequence)
        if len(items) != cls.n_fields:
            raise TypeError(
                f"torch.return_types.{cls.__name__}() takes a {cls.n_fields}-sequence ({len(items)}-sequence given)"
            )
        return tuple.__new__(cls, items)

    def __repr__(self) -> str:
        fields = ",\n".join(f"{name}={value!r}" for name, value in zip(self.__match_args__, self, strict=True))
        return f"torch.return_types.{type(self).__name__}(\n{fields})"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self).__name__, tuple(self))


def _rebuilt(name: str, items: tuple[Any, ...]) -> StructSeq:
    return globals()[name](items)  # type: ignore[no-any-return]


def _declare(name: str, *fields: str) -> Any:
    facts: dict[str, Any] = {field: property(operator.itemgetter(i)) for i, field in enumerate(fields)}
    facts |= {
        "__slots__": (), "__module__": "torch.return_types", "__match_args__": fields, "n_fields": len(fields),
        "n_sequence_fields": len(fields),
    }  # fmt: skip
    return type(name, (StructSeq,), facts)


aminmax = _declare("aminmax", "min", "max")
cummax = _declare("cummax", "values", "indices")
cummin = _declare("cummin", "values", "indices")
frexp = _declare("frexp", "mantissa", "exponent")
geqrf = _declare("geqrf", "a", "tau")
histogram = _declare("histogram", "hist", "bin_edges")
histogramdd = _declare("histogramdd", "hist", "bin_edges")
kthvalue = _declare("kthvalue", "values", "indices")
linalg_cholesky_ex = _declare("linalg_cholesky_ex", "L", "info")
linalg_eig = _declare("linalg_eig", "eigenvalues", "eigenvectors")
linalg_eigh = _declare("linalg_eigh", "eigenvalues", "eigenvectors")
linalg_inv_ex = _declare("linalg_inv_ex", "inverse", "info")
linalg_ldl_factor = _declare("linalg_ldl_factor", "LD", "pivots")
linalg_ldl_factor_ex = _declare("linalg_ldl_factor_ex", "LD", "pivots", "info")
linalg_lstsq = _declare("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
linalg_lu = _declare("linalg_lu", "P", "L", "U")
linalg_lu_factor = _declare("linalg_lu_factor", "LU", "pivots")
linalg_lu_factor_ex = _declare("linalg_lu_factor_ex", "LU", "pivots", "info")
_lu_with_info = _declare("_lu_with_info", "LU", "pivots", "info")
linalg_qr = _declare("linalg_qr", "Q", "R")
linalg_slogdet = _declare("linalg_slogdet", "sign", "logabsdet")
linalg_solve_ex = _declare("linalg_solve_ex", "result", "info")
linalg_svd = _declare("linalg_svd", "U", "S", "Vh")
lu_unpack = _declare("lu_unpack", "P", "L", "U")
max = _declare("max", "values", "indices")
median = _declare("median", "values", "indices")
min = _declare("min", "values", "indices")
mode = _declare("mode", "values", "indices")
nanmedian = _declare("nanmedian", "values", "indices")
qr = _declare("qr", "Q", "R")
slogdet = _declare("slogdet", "sign", "logabsdet")
sort = _declare("sort", "values", "indices")
svd = _declare("svd", "U", "S", "V")
topk = _declare("topk", "values", "indices")
triangular_solve = _declare("triangular_solve", "solution", "cloned_coefficient")

all_return_types = [
    c for c in list(globals().values()) if isinstance(c, type) and issubclass(c, StructSeq) and c is not StructSeq
]
