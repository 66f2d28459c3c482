"""The one table of Tensor's methods: which public function is which method. Installed when lamina is imported.

Here: names. Not here: any computing. A name that is here twice is an error.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

from lamina.autograd import tensor_api
from lamina.core import dtype as dtypes
from lamina.core.tensor import Tensor
from lamina.primitives import (
    addmm,
    adjusted,
    arithmetic,
    bitwise,
    contractions,
    conversion,
    creation,
    decompositions,
    diagonals,
    differences,
    division,
    eigen,
    elementary,
    extremes,
    factored,
    filling,
    functions,
    gathering,
    geometry,
    histograms,
    householder,
    indexing,
    least_squares,
    linalg,
    masking,
    matmul,
    norms,
    protocol,
    questions,
    random,
    ranks,
    rearrange,
    rectifiers,
    reduction,
    refusals,
    scans,
    scatter_reduce,
    scattering,
    searching,
    segments,
    selection,
    shape,
    softmax,
    solvers,
    sorting,
    spectral,
    splitting,
    statistics,
    triangular,
    turning,
    view_copies,
    view_writes,
)
from lamina.primitives import elementwise as e
from lamina.primitives.functions import bare, reflected
from lamina.primitives.inplace import inplace
from lamina.primitives.overridable import overridable

ELEMENTWISE = (
    "abs", "absolute", "neg", "negative", "sign", "sgn", "reciprocal", "sqrt", "rsqrt", "square", "conj_physical", "relu", "exp", "exp2",
    "expm1", "log", "log2", "log10", "log1p", "sigmoid", "sin", "cos", "tan", "asin", "arcsin", "acos", "arccos", "atan", "arctan", "sinh",
    "cosh", "tanh", "asinh", "arcsinh", "acosh", "arccosh", "atanh", "arctanh", "sinc", "deg2rad", "rad2deg", "ceil", "floor", "frac",
    "trunc", "fix", "logical_not", "bitwise_not", "erf", "erfc", "erfinv", "lgamma", "digamma", "i0", "mul", "multiply", "true_divide",
    "floor_divide", "remainder", "fmod", "eq", "ne", "lt", "le", "gt", "ge", "less", "less_equal", "greater", "greater_equal",
    "not_equal", "atan2", "arctan2", "hypot", "nextafter", "copysign", "ldexp", "xlogy", "igamma", "igammac", "logical_and", "logical_or",
    "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift", "gcd", "lcm",
)  # fmt: skip
"""Functions of primitives/functions.py that are methods, and have an in-place form."""
ELEMENTWISE_WITHOUT_INPLACE = (
    "positive", "signbit", "conj", "resolve_conj", "resolve_neg", "angle", "isnan", "isinf", "isfinite", "isposinf", "isneginf", "isreal",
    "maximum", "minimum", "fmax", "fmin", "logaddexp", "logaddexp2",
)  # fmt: skip

OPERATORS: dict[str, Any] = {
    "__add__": e._add.operator, "__radd__": e._add.operator, "__sub__": e._sub.operator, "__rsub__": e._rsub.operator,
    "__mul__": e.mul.operator, "__rmul__": e.mul.operator, "__truediv__": e.true_divide.operator, "__div__": e.true_divide.operator,
    "__rtruediv__": arithmetic.quotient_of, "__rdiv__": arithmetic.quotient_of,
    "__floordiv__": division.floor_divide.operator, "__rfloordiv__": reflected(division.floor_divide),
    "__mod__": division.remainder.operator, "__rmod__": reflected(division.remainder),
    "__pow__": division.pow.operator, "__rpow__": division.rpow.operator,
    "__neg__": e.neg, "__pos__": functions.positive, "__abs__": elementary.absolute, "__invert__": bitwise.invert,
    "__and__": bitwise.bitwise_and.operator, "__rand__": reflected(bitwise.bitwise_and),
    "__or__": bitwise.bitwise_or.operator, "__ror__": reflected(bitwise.bitwise_or),
    "__xor__": bitwise.bitwise_xor.operator, "__rxor__": reflected(bitwise.bitwise_xor),
    "__lshift__": bitwise.left_shift.operator, "__rlshift__": reflected(bitwise.left_shift),
    "__rshift__": bitwise.right_shift.operator, "__rrshift__": reflected(bitwise.right_shift),
    "__eq__": e.eq.operator, "__ne__": e.ne.operator, "__lt__": e.lt.operator, "__le__": e.le.operator, "__gt__": e.gt.operator,
    "__ge__": e.ge.operator,
    "__matmul__": matmul.matmul_operator, "__rmatmul__": reflected(matmul.matmul_operator),
    "__getitem__": indexing.getitem, "__setitem__": indexing.setitem,
}  # fmt: skip

REDUCTIONS: dict[str, Any] = {
    name: getattr(module, name)
    for module, names in (
        (reduction, ("sum", "mean", "nansum", "nanmean", "prod", "logsumexp", "all", "any")),
        (extremes, ("max", "min", "amax", "amin", "aminmax", "argmax", "argmin")),
        (statistics, ("var", "std", "cov", "corrcoef")),
        (ranks, ("median", "nanmedian", "mode", "kthvalue", "quantile", "nanquantile")),
        (scans, ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp")),
        (differences, ("diff",)),
        (sorting, ("sort", "argsort", "msort", "topk")),
        (histograms, ("histc", "histogram", "bincount")),
        (searching, ("unique", "unique_consecutive", "nonzero", "nonzero_static", "argwhere", "count_nonzero")),
        (norms, ("norm", "dist", "renorm")),
        (softmax, ("softmax", "log_softmax")),
    )
    for name in names
}

LINALG: dict[str, Any] = {
    "inner": contractions.inner, "vdot": contractions.vdot, "kron": contractions.kron, "matrix_power": linalg.matrix_power, "cross": linalg.cross,
    "det": solvers.det, "logdet": solvers.logdet, "slogdet": solvers.slogdet, "inverse": solvers.inverse,
    "matrix_exp": solvers.matrix_exp, "pinverse": least_squares.pinverse, "triangular_solve": triangular.triangular_solve,
    "cholesky": decompositions.legacy_cholesky, "cholesky_solve": factored.cholesky_solve,
    "cholesky_inverse": factored.cholesky_inverse, "qr": decompositions.legacy_qr, "geqrf": decompositions.geqrf,
    "orgqr": householder.orgqr, "ormqr": householder.ormqr, "lu": decompositions.legacy_lu, "lu_solve": factored.legacy_lu_solve,
    "svd": eigen.legacy_svd, "stft": spectral.stft, "istft": spectral.istft,
}  # fmt: skip

METHODS: dict[str, Any] = {
    **tensor_api.METHODS,
    **protocol.METHODS,
    **questions.METHODS,
    **refusals.METHODS,
    **conversion.METHODS,
    # shape
    "view": rearrange.view, "view_as": rearrange.view_as, "reshape": rearrange.reshape, "reshape_as": rearrange.reshape_as,
    "expand": rearrange.expand, "expand_as": rearrange.expand_as, "broadcast_to": rearrange.broadcast_to,
    "permute": rearrange.permute, "transpose": rearrange.transpose, "t": rearrange.t, "movedim": rearrange.movedim,
    "unsqueeze": rearrange.unsqueeze, "squeeze": rearrange.squeeze, "flatten": rearrange.flatten,
    "unflatten": rearrange.unflatten, "ravel": rearrange.ravel, "narrow": rearrange.narrow, "select": rearrange.select,
    "split": splitting.split_method, "chunk": splitting.chunk, "unbind": splitting.unbind, "diagonal": rearrange.diagonal,
    "unfold": rearrange.unfold, "contiguous": rearrange.contiguous,
    # activations
    "prelu": rectifiers.prelu, "hardshrink": rectifiers.hardshrink,
    # conversion
    "clone": conversion.clone, "to": conversion.to, "type": conversion.type_, "type_as": conversion.type_as,
    # reduction
    "sum_to_size": reduction.sum_to_size, **REDUCTIONS,
    # elementwise
    **{name: bare(getattr(functions, name)) for name in (*ELEMENTWISE, *ELEMENTWISE_WITHOUT_INPLACE)},
    "pow": division.pow, "add": bare(arithmetic.add), "sub": bare(arithmetic.sub), "subtract": bare(arithmetic.subtract), "div": bare(arithmetic.div),
    "divide": bare(arithmetic.div), "float_power": bare(arithmetic.float_power), "addcmul": bare(arithmetic.addcmul),
    "addcdiv": bare(arithmetic.addcdiv), "lerp": bare(arithmetic.lerp), "clamp": bare(selection.clamp), "clip": bare(selection.clamp),
    "clamp_min": bare(selection.clamp_min), "clamp_max": bare(selection.clamp_max), "where": selection.where_method,
    "heaviside": bare(selection.heaviside), "isclose": selection.isclose, "allclose": selection.allclose, "equal": selection.equal,
    "round": bare(adjusted.round), "logit": bare(adjusted.logit), "nan_to_num": bare(adjusted.nan_to_num), "frexp": bare(adjusted.frexp),
    "polygamma": adjusted.polygamma_method, "mvlgamma": bare(adjusted.mvlgamma),
    # products
    "mm": matmul.mm, "bmm": matmul.bmm, "mv": matmul.mv, "dot": matmul.dot, "matmul": matmul.matmul, "addmm": addmm.addmm,
    "baddbmm": addmm.baddbmm, "addbmm": addmm.addbmm, "addmv": addmm.addmv, "addr": addmm.addr, "outer": matmul.outer,
    "ger": matmul.outer, **LINALG,
    # random draws
    "bernoulli": random.bernoulli, "multinomial": random.multinomial, "uniform_": random.uniform_, "normal_": random.normal_,
    "log_normal_": random.log_normal_, "exponential_": random.exponential_, "geometric_": random.geometric_,
    "cauchy_": random.cauchy_, "bernoulli_": random.bernoulli_fill, "random_": random.random_,
    # writes
    "copy_": filling.copy_, "fill_": filling.fill_, "zero_": filling.zero_, "set_": filling.set_, "resize_": filling.resize_,
    # creation
    "new_zeros": creation.new_zeros, "new_ones": creation.new_ones, "new_empty": creation.new_empty,
    "new_full": creation.new_full, "new_tensor": creation.new_tensor,
    # picking and writing by index and mask
    "gather": gathering.gather, "take_along_dim": gathering.take_along_dim, "index_select": gathering.index_select,
    "take": gathering.take, "masked_select": gathering.masked_select, "masked_fill": masking.masked_fill,
    "tril": masking.tril, "triu": masking.triu,
    "scatter": scattering.scatter, "scatter_add": scattering.scatter_add,
    "scatter_reduce": scatter_reduce.scatter_reduce, "index_add": scattering.index_add,
    "index_copy": scattering.index_copy, "index_fill": scattering.index_fill,
    "index_reduce": scatter_reduce.index_reduce, "put": scattering.put, "masked_scatter": masking.masked_scatter,
    "index_put_": indexing.index_put_,
    # rearranging
    "flip": turning.flip, "fliplr": turning.fliplr, "flipud": turning.flipud, "roll": turning.roll, "rot90": turning.rot90,
    "repeat": turning.repeat, "tile": turning.tile, "repeat_interleave": turning.repeat_interleave,
    "split_with_sizes": splitting.split_with_sizes, "unsafe_split": splitting.unsafe_split,
    "unsafe_split_with_sizes": splitting.unsafe_split_with_sizes, "unsafe_chunk": splitting.unsafe_chunk,
    "tensor_split": splitting.tensor_split, "hsplit": splitting.hsplit, "vsplit": splitting.vsplit,
    "dsplit": splitting.dsplit, "diag": diagonals.diag, "diag_embed": diagonals.diag_embed, "diagflat": diagonals.diagflat,
    "trace": diagonals.trace, "fill_diagonal_": diagonals.fill_diagonal_, "select_scatter": view_writes.select_scatter,
    "slice_scatter": view_writes.slice_scatter, "diagonal_scatter": view_writes.diagonal_scatter,
    "as_strided_scatter": view_writes.as_strided_scatter, "narrow_copy": view_copies.narrow_copy, "t_": geometry.t_,
    "transpose_": geometry.transpose_, "swapaxes_": geometry.swapaxes_, "swapdims_": geometry.swapdims_,
    "squeeze_": geometry.squeeze_, "unsqueeze_": geometry.unsqueeze_, "as_strided_": geometry.as_strided_,
    "resize_as_": geometry.resize_as_, "resize": geometry.resize, "resize_as": geometry.resize_as,
    "hash_tensor": segments.hash_tensor, "slice_inverse": segments.slice_inverse,
    "is_set_to": geometry.is_set_to, "dim_order": geometry.dim_order, "apply_": geometry.apply_, "map_": geometry.map_,
    "map2_": geometry.map2_, "adjoint": rearrange.adjoint, "new_empty_strided": creation.new_empty_strided,
    "index_put": indexing.index_put, "swapaxes": rearrange.swapaxes, "swapdims": rearrange.transpose,
    "moveaxis": rearrange.movedim, "as_strided": shape.as_strided, "new": protocol.new,
}  # fmt: skip
METHODS |= {
    name: conversion.caster(d)
    for name, d in (
        ("float", dtypes.float32), ("double", dtypes.float64), ("half", dtypes.float16), ("bfloat16", dtypes.bfloat16),
        ("long", dtypes.int64), ("int", dtypes.int32), ("short", dtypes.int16), ("char", dtypes.int8), ("byte", dtypes.uint8),
        ("bool", dtypes.bool_), ("chalf", dtypes.complex32), ("cfloat", dtypes.complex64), ("cdouble", dtypes.complex128),
    )
}  # fmt: skip

INPLACE: dict[str, Any] = {
    **{f"{name}_": bare(getattr(functions, name)) for name in ELEMENTWISE},
    "pow_": division.pow, "add_": bare(arithmetic.add), "sub_": bare(arithmetic.sub), "subtract_": bare(arithmetic.subtract), "div_": bare(arithmetic.div),  # noqa: E501
    "divide_": bare(arithmetic.div), "float_power_": arithmetic.float_power_, "addcmul_": bare(arithmetic.addcmul),
    "addcdiv_": bare(arithmetic.addcdiv), "lerp_": bare(arithmetic.lerp), "clamp_": bare(selection.clamp), "clip_": bare(selection.clamp),
    "clamp_min_": bare(selection.clamp_min), "clamp_max_": bare(selection.clamp_max), "heaviside_": bare(selection.heaviside),
    "round_": bare(adjusted.round), "logit_": bare(adjusted.logit), "nan_to_num_": bare(adjusted.nan_to_num),
    "polygamma_": adjusted.polygamma_method, "mvlgamma_": bare(adjusted.mvlgamma),
    "addmm_": addmm.addmm, "baddbmm_": addmm.baddbmm, "addbmm_": addmm.addbmm, "addmv_": addmm.addmv, "addr_": addmm.addr,
    "cumsum_": scans.cumsum, "cumprod_": scans.cumprod, "renorm_": norms.renorm,
    "__iadd__": e._add, "__isub__": e._sub, "__imul__": e.mul, "__itruediv__": e.true_divide,
    "__idiv__": e.true_divide, "__ifloordiv__": division.floor_divide, "__imod__": division.remainder, "__ipow__": division.pow,
    "__iand__": bitwise.bitwise_and, "__ior__": bitwise.bitwise_or, "__ixor__": bitwise.bitwise_xor, "__ilshift__": bitwise.left_shift,
    "__irshift__": bitwise.right_shift,
    "masked_fill_": masking.masked_fill, "tril_": masking.tril, "triu_": masking.triu,
    "scatter_": scattering.scatter, "scatter_add_": scattering.scatter_add,
    "scatter_reduce_": scatter_reduce.scatter_reduce, "index_add_": scattering.index_add,
    "index_copy_": scattering.index_copy, "index_fill_": scattering.index_fill,
    "index_reduce_": scatter_reduce.index_reduce, "put_": scattering.put, "masked_scatter_": masking.masked_scatter,
}  # fmt: skip

PROPERTIES: dict[str, Any] = {
    **tensor_api.PROPERTIES,
    **questions.PROPERTIES,
    "T": property(rearrange.turned),
    "mT": property(rearrange.matrix_transpose),
    "H": property(rearrange.hermitian),
    "mH": property(rearrange.matrix_hermitian),
    "real": property(conversion.real, conversion.set_real),
    "imag": property(conversion.imag, conversion.set_imag),
}

NOT_ASKED = frozenset((
    "__iter__", "as_subclass", "new", "new_empty", "new_empty_strided", "new_full", "new_ones", "new_tensor", "new_zeros",
    "unflatten",
))  # fmt: skip
"""Methods that go past `__torch_function__`, as PyTorch's."""

QUICK = frozenset((
    "__getitem__", "__matmul__", "__setitem__", "add", "backward", "bool", "clone", "contiguous", "copy_", "detach", "div", "double",
    "expand", "fill_", "flatten", "float", "half", "int", "long", "narrow", "permute", "requires_grad_",
    "reshape", "select", "squeeze", "sub", "t", "to", "transpose", "unsqueeze", "view", "zero_",
))  # fmt: skip
"""Methods that programs call all the time: plain tensors do not ask in them; a subclass that has a say gets asking ones (overrides.py)."""


def install(cls: type[Any] = Tensor) -> None:
    """Give `cls` its methods. Raises TypeError for a name that it has already."""
    written = {name: inplace(op, name) for name, op in INPLACE.items()}
    for table in (OPERATORS, METHODS, written, PROPERTIES):
        for name, function in table.items():
            if name in vars(cls):
                raise TypeError(f"Tensor.{name} is declared twice")
            function = getattr(function, "of_a_tensor", function)
            if (
                function.__class__ is FunctionType
                and name not in ("__iter__", "as_subclass", "new", "unflatten")
                and name not in QUICK
                and table is not written
            ):
                function = overridable(function)
            if function.__class__ is FunctionType and name.startswith("__") and table is METHODS:
                function.__name__ = name
            setattr(cls, name, function)
