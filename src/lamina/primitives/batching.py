"""Rules for batches: how a primitive is carried out for all entries at once.

A rule gets the primitive's inputs, some of them in the batch, and returns the result with all entries along dimension 0. What has
no rule goes entry by entry. Here: the rules. Not here: batches themselves (levels.py), rules of indexing (batching_indices.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.core.promotion import common_dtype
from lamina.core.tensor import Tensor, wrap
from lamina.primitives import shape as s
from lamina.primitives.levels import Level, batched, in_batch, value_at
from lamina.primitives.registry import PRIMITIVES, Primitive

ndarray = np.ndarray
Params = dict[str, Any]
BATCH: dict[str, Callable[[Primitive, Sequence[Any], Params, Level], Any]] = {}
"""By name of primitive: the rule."""


def batch(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    """The result of a primitive of which some inputs are in the batch of `level`."""
    if p.elementwise:
        result = aligned(p, tensors, params, level)
    else:
        result = (p.batch or BATCH.get(p.name, one_by_one))(p, tensors, params, level)
    equal = all(t._array.__class__ is ndarray for t in tensors if in_batch(t, level))
    if isinstance(result, tuple):
        return tuple([None if r is None else batched(r, level, equal) for r in result])
    return batched(result, level, equal)


def call(p: Primitive, tensors: Sequence[Any], params: Params) -> Any:
    """Call a primitive as a program does: in the fast way where there is one."""
    return p.function(*tensors, **params)


def register(rule: Callable[..., Any], *names: str) -> None:
    for name in names:
        BATCH[name] = rule


# ---- general ways ----------------------------------------------------------------------------------------------------


def aligned(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    """Batches side by side: entries are filled up with dimensions of size 1 in front, so that they broadcast."""
    given = [t for t in tensors if isinstance(t, Tensor)]
    rank = max([t._array.ndim for t in given])
    tensors = _promoted(p, tensors, given)
    values = [filled(t, rank, level) if in_batch(t, level) else t for t in tensors]
    return call(p, values, params)


def filled(t: Tensor, rank: int, level: Level) -> Tensor:
    """All entries of `t`, each with `rank` dimensions."""
    value, missing = value_at(t, level), rank - t._array.ndim
    return value if missing <= 0 else s.view_(value, shape=(level.size, *(1,) * missing, *t._array.shape))


def _promoted(p: Primitive, tensors: Sequence[Any], given: Sequence[Tensor]) -> Sequence[Any]:
    """Operands of the dtype that the entries would meet in: a 0-d entry's dtype counts less, that of a batch of them does not."""
    kind = given[0]._kind
    if p.promote == "none" or all(t._kind is kind for t in given) or all(t._array.ndim for t in given):
        return tensors
    first = 1 if p.promote == "rest" else 0
    shared = common_dtype(tensors[first:])
    return [
        t.to(shared)
        if i >= first and isinstance(t, Tensor) and not t._array.ndim and t._kind.dtype is not shared
        else t
        for i, t in enumerate(tensors)
    ]


def one_by_one(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    """The general way: entry after entry, and the results together. Of an empty batch, one of zeros tells the shapes."""
    if level.size:
        results = [
            call(p, [s.select_(t._value, dim=0, index=i) if in_batch(t, level) else t for t in tensors], params)
            for i in range(level.size)
        ]
    else:
        results = [
            _unknown(
                p,
                [wrap(np.zeros(t._array.shape, t._kind.np), t._kind) if in_batch(t, level) else t for t in tensors],
                params,
            )
        ]
    if not isinstance(results[0], tuple):
        return _together(results, level)
    return tuple([None if parts[0] is None else _together(parts, level) for parts in zip(*results, strict=True)])


def _unknown(p: Primitive, tensors: Sequence[Any], params: Params) -> Any:
    """A result of which only shape and dtype count; few operations fail on zeros, and those have a rule for it."""
    if p.meta is None:
        return call(p, tensors, params)
    found = p.meta(*[t._array if isinstance(t, Tensor) else t for t in tensors], **params)
    return tuple([None if part is None else wrap(part) for part in found]) if isinstance(found, tuple) else wrap(found)


def _together(parts: Sequence[Tensor], level: Level) -> Tensor:
    if not level.size:
        return s.expand_(s.unsqueeze_(parts[0], dim=0), size=(0, *parts[0]._array.shape))  # type: ignore[no-any-return]
    return s.stack_(*parts, dim=0)  # type: ignore[no-any-return]


def values_at(tensors: Sequence[Any], level: Level) -> list[Any]:
    return [value_at(t, level) if isinstance(t, Tensor) else t for t in tensors]


def same(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    """Parameters that count from the last dimension, or none: one more dimension in front changes nothing."""
    return call(p, values_at(tensors, level), params)


def first_only(change: Callable[..., Params]) -> Callable[..., Any]:
    """For a primitive whose only batched input is the first: the same primitive with other parameters."""

    def rule(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
        if any(in_batch(t, level) for t in tensors[1:]):
            return one_by_one(p, tensors, params, level)
        return call(p, (tensors[0]._value, *tensors[1:]), change(tensors[0], level.size, **params))

    return rule


def moved_back(*names: str) -> Callable[..., Any]:
    """Dimensions, given by number from the front, lie one further back, of all tensors alike."""

    def rule(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
        return call(p, values_at(tensors, level), _back(params, names))

    return rule


def _back(params: Params, names: Sequence[str]) -> Params:
    return {
        n: v if n not in names else tuple([d + 1 for d in v]) if isinstance(v, tuple) else v + 1
        for n, v in params.items()
    }


def shifted(*names: str, like: int = 0) -> Callable[..., Any]:
    """As `moved_back`; 0-d entries, which have their only element along dimension 0, get that dimension for this while.

    like: the tensor whose entries tell whether results are 0-d.
    """

    def rule(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
        given = [t for t in tensors if isinstance(t, Tensor)]
        if all(t._array.ndim for t in given) or all(params[n] == () for n in names):
            return call(p, values_at(tensors, level), _back(params, names))
        values = [
            v if not isinstance(t, Tensor) or t._array.ndim else s.unsqueeze_(v, dim=1)
            for t, v in zip(tensors, values_at(tensors, level), strict=True)
        ]
        result = call(p, values, _back(params, names))
        if tensors[like]._array.ndim:
            return result
        if isinstance(result, tuple):
            return tuple([r.reshape((level.size,)) for r in result])
        return result.reshape((level.size,))

    return rule


register(
    shifted("dims"), "sum", "mean", "prod", "nansum", "logsumexp", "amax", "amin", "aminmax", "var", "std", "var_mean", "std_mean",
    "all", "any", "count_nonzero", "linalg_vector_norm", "squeeze_dim", "squeeze_dims",
)  # fmt: skip
register(
    shifted("dim"), "cumsum", "cumprod", "cummax", "cummin",
    "logcumsumexp", "shifted", "recurrence", "softmax", "log_softmax", "max_dim", "min_dim", "sort", "sort_stable", "topk", "median",
    "nanmedian", "kthvalue", "mode",
    "scatter", "scatter_value", "scatter_add", "scatter_with", "scatter_reduce",
)  # fmt: skip
register(shifted("dim", like=1), "gather")
register(moved_back("dim"), "unsqueeze", "select", "slice", "split", "split_with_sizes", "unbind", "cat", "stack")
register(moved_back("dims"), "squeeze")
register(moved_back("dim1", "dim2"), "diagonal", "diag_embed")
register(moved_back("dims"), "flip", "rot90", "fft_c2c", "fft_r2c", "fft_c2r")
register(
    same, "to_copy", "real", "imag", "view_as_real", "view_as_real_copy", "view_as_complex_copy", "view_dtype",
    "tril", "triu", "logit_clamped", "round_decimals", "frexp", "nan_to_num", "polygamma", "mvlgamma", "zero", "alias",
    "linalg_cholesky_ex", "cholesky", "linalg_qr", "geqrf", "linalg_lu_factor_ex", "linalg_lu", "linalg_ldl_factor_ex",
    "linalg_inv_ex", "cofactors", "linalg_det", "linalg_slogdet", "linalg_matrix_exp", "linalg_eigh", "linalg_eig", "linalg_svd",
    "cholesky_inverse",
)  # fmt: skip


# ---- shapes ----------------------------------------------------------------------------------------------------------


def _embed(t: Tensor, n: int, shape: Any, index: Any) -> Params:
    return {"shape": (n, *shape), "index": (slice(None), *(index if isinstance(index, tuple) else (index,)))}


register(first_only(lambda t, n, shape: {"shape": (n, *shape)}), "view", "reshape_alias", "unsafe_view")
register(first_only(lambda t, n, dims: {"dims": (0, *[d + 1 for d in dims])}), "permute")
register(first_only(_embed), "embed")
register(
    first_only(
        lambda t, n, shape, offset, dim1, dim2: {
            "shape": (n, *shape),
            "offset": offset,
            "dim1": dim1 + 1,
            "dim2": dim2 + 1,
        }
    ),
    "diagonal_adjoint",
)
register(
    first_only(lambda t, n, shape, dim, size, step: {"shape": (n, *shape), "dim": dim + 1, "size": size, "step": step}),
    "unfold_adjoint",
)
register(first_only(lambda t, n, order: {"order": "preserve" if order == "preserve" else "contiguous"}), "clone")
register(first_only(lambda t, n, pad, value: {"pad": ((0, 0), *pad), "value": value}), "constant_pad_nd")


def _roll(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    value = tensors[0]._value
    if params["dims"] or not tensors[0]._array.ndim:
        return call(p, (value,), _back(params, ("dims",)))
    flat = value.reshape((level.size, -1)) if value._array.size else value  # without dims: along the flattened entry
    return call(p, (flat,), {**params, "dims": (1,)}).reshape(value._array.shape)


def _repeat(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    repeats = params["repeats"]
    return call(p, (filled(tensors[0], len(repeats), level),), {"repeats": (1, *repeats)})


def _unfold(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    if not tensors[0]._array.ndim:
        return s.view_(tensors[0]._value, shape=(level.size, params["size"]))
    return call(p, (tensors[0]._value,), _back(params, ("dim",)))


def _as_complex(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    value = tensors[0]._value
    return call(p, (value if value._array.strides[-1] == value._array.itemsize else value.contiguous(),), params)


def _trace(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    return s.diagonal_(tensors[0]._value, offset=0, dim1=1, dim2=2).sum(1)


def _scattered(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    """select_scatter and its kin, whose parameters are those of a view."""
    names = ("dim", "dim1", "dim2")
    return call(p, values_at(tensors, level), {"at": _back(params["at"], names)})


def _expand(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    size = params["size"]
    return call(p, (filled(tensors[0], len(size), level),), {"size": (level.size, *size)})


def _transpose(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    value = tensors[0]._value
    return call(p, (value,), _back(params, ("dim0", "dim1"))) if tensors[0]._array.ndim else s.alias_(value)


def _transposed(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    value = tensors[0]._value
    return s.transpose_(value, dim0=1, dim1=2) if value._array.ndim == 3 else s.view_(value, shape=value._array.shape)


def _as_strided(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    """The offset counts in the storage of the whole batch, in which the entries lie a stride apart."""
    value = tensors[0]._value
    apart = value._array.strides[0] // value._array.itemsize
    where = {"size": (level.size, *params["size"]), "stride": (apart, *params["stride"]), "like": s.layout(value)}
    return call(p, (value,), {**params, **where})


def _of_all(name: str) -> Callable[..., Any]:
    """A reduction of all elements is, for each entry, one over all dimensions but the first."""

    def rule(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
        value = tensors[0]._value
        dims = tuple(range(1, value._array.ndim))
        return call(PRIMITIVES[name], (value,), {**params, "dims": dims, "keepdim": False})

    return rule


register(_expand, "expand")
register(_roll, "roll")
register(_repeat, "repeat")
register(_unfold, "unfold")
register(_as_complex, "view_as_complex", "view_as_complex_copy")
register(_trace, "trace")
register(_scattered, "select_scatter", "slice_scatter", "diagonal_scatter")
register(_transpose, "transpose")
register(_transposed, "t")
register(_as_strided, "as_strided")
for _whole, _by_dims in (
    ("sum_all", "sum"),
    ("mean_all", "mean"),
    ("max_all", "amax"),
    ("min_all", "amin"),
):
    register(_of_all(_by_dims), _whole)


def _prod_all(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    """The gradient of a product is known along one dimension."""
    entries = tensors[0]._value.reshape((level.size, tensors[0]._array.size))
    return call(PRIMITIVES["prod"], (entries,), {"dims": (1,), "keepdim": False})


register(_prod_all, "prod_all")


def _argmax(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    value, dim, keepdim = tensors[0]._value, params["dim"], params["keepdim"]
    if dim is not None and tensors[0]._array.ndim:
        return call(p, (value,), {"dim": dim + 1, "keepdim": keepdim})
    out = call(p, (value.reshape((level.size, -1)),), {"dim": 1, "keepdim": False})
    return out.reshape((level.size, *(1,) * tensors[0]._array.ndim)) if keepdim else out


register(_argmax, "argmax", "argmin")


def _written(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    """A copy into the first: in its shape."""
    x, source = tensors
    return call(p, (value_at(x, level), filled(source, x._array.ndim, level)), params)


register(_written, "copy", "fill")
register(aligned, "isclose")


# ---- products --------------------------------------------------------------------------------------------------------


def _product(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    """Matrix products of a batch are products with one more leading dimension."""
    x, y = tensors
    n, m = x._array.ndim, y._array.ndim
    a = x._value if in_batch(x, level) else x
    b = y._value if in_batch(y, level) else y
    if n == m == 1 and a is not x and b is not y:
        return (a * b).sum(1)
    if n == 1:
        a = s.unsqueeze_(a, dim=a._array.ndim - 1)
    if m == 1:
        b = s.unsqueeze_(b, dim=b._array.ndim)
    rank = max(n, m, 2)
    if a is not x and in_batch(x, level) and rank > max(n, 2):
        a = a.reshape((level.size, *(1,) * (rank - max(n, 2)), *a._array.shape[1:]))
    if in_batch(y, level) and rank > max(m, 2):
        b = b.reshape((level.size, *(1,) * (rank - max(m, 2)), *b._array.shape[1:]))
    if b._array.ndim == 2 and a._array.ndim > 2:  # one matrix for the whole batch: one product of long matrices
        *lead, width = a._array.shape
        out = call(PRIMITIVES["mm"], (a.reshape((math.prod(lead), width)), b), {}).reshape((*lead, b._array.shape[1]))
    else:
        out = call(PRIMITIVES["matmul"], (a, b), {})
    if n == 1:
        out = s.squeeze_(out, dims=(out._array.ndim - 2,))
    if m == 1:
        out = s.squeeze_(out, dims=(out._array.ndim - 1,))
    return out


def _sum_and_product(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    """beta * z + alpha * (x @ y)."""
    z, x, y = tensors
    out = call(PRIMITIVES["matmul"], (x, y), {})
    if params["alpha"] != 1:
        out = out * params["alpha"]
    if params["beta"]:
        out = out + (z if params["beta"] == 1 else z * params["beta"])
    return value_at(out, level)


def _linear(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    x, w, b = tensors
    if in_batch(w, level) or in_batch(b, level):
        return _sum_and_product(p, (b, x, w.mT), {"alpha": 1, "beta": 1}, level)
    rows = x._value.reshape((math.prod(x._value._array.shape[:-1]), x._array.shape[-1]))
    return call(p, (rows, w, b), params).reshape((level.size, *x._array.shape[:-1], w._array.shape[0]))


register(_product, "mm", "bmm", "matmul", "mv", "dot")
register(_sum_and_product, "addmm", "baddbmm", "addmv")
register(_linear, "linear")


def _matrices(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    """Matrices, or batches of them, side by side."""
    rank = max(t._array.ndim for t in tensors)
    return call(p, [filled(t, rank, level) for t in tensors], params)


def _solve(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    """As `_matrices`; vectors on the right are matrices of one column for this while."""
    a, b = tensors
    if not params["vector"]:
        return _matrices(p, tensors, params, level)
    found = _matrices(p, (a, s.unsqueeze_(b, dim=b._array.ndim)), {**params, "vector": False}, level)
    return (found[0].squeeze(-1), *found[1:])


def _lu_solve(p: Primitive, tensors: Sequence[Any], params: Params, level: Level) -> Any:
    lu, pivots, b = tensors
    rank = max(lu._array.ndim, b._array.ndim)
    return call(p, (filled(lu, rank, level), filled(pivots, rank - 1, level), filled(b, rank, level)), params)


register(_matrices, "linalg_solve_triangular", "triangular_solve", "cholesky_solve", "cdist")
register(_solve, "linalg_solve_ex")
register(_lu_solve, "linalg_lu_solve", "linalg_ldl_solve")
register(_matrices, "linalg_cross")
