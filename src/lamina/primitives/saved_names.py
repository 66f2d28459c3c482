"""What a node's `_saved_<name>` is called: PyTorch names what it saves after the arguments of its own functions.

Here: the names. Not here: the attributes (nodes.py).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from lamina.primitives.primitive import Primitive

_INDICES = {"out_1": "indices"}
_OVER = {"dims": "dim"}
_BOUNDS = {"y": "min", "z": "max"}
_FACTORS = {"y": "tensor1", "z": "tensor2"}
_BATCHES = {"x": "batch1", "y": "batch2", "z_shape": "self_sym_sizes"}

_USUAL = {"x": "self", "y": "other", "input": "self"}

NAMES: dict[str, dict[str, str]] = {
    "pow": {"y": "exponent"}, "rpow": {"x": "exponent", "y": "self"}, "addcmul": _FACTORS, "addcdiv": _FACTORS,
    "lerp_number": {"alpha": "weight"}, "lerp_tensor": {"y": "end", "z": "weight"}, "where": {"x": "condition"},
    "clamp_min": _BOUNDS, "clamp_max": {"y": "max"}, "clamp_below": _BOUNDS, "clamp_above": {"y": "max"},
    "clamp_tensors": _BOUNDS, "clamp_numbers": _BOUNDS, "threshold": {"y": "threshold"}, "prelu_kernel": {"y": "weight"},
    "hardshrink": {"y": "lambd"}, "complex": {"x": "real", "y": "imag"}, "fused _nll_rows": {"out_2": "target", "out_1": "total_weight"},
    "cholesky_inverse": {"factor": "self"}, "fused _gelu": {"out_1": "inner"},
    "mm": {"y": "mat2"}, "bmm": {"y": "mat2"}, "mv": {"y": "vec"}, "dot": {"y": "tensor"},
    "addmm": {"x": "mat1", "y": "mat2", "z_shape": "self_sym_sizes"}, "baddbmm": _BATCHES, "addbmm": _BATCHES,
    "addmv": {"x": "mat", "y": "vec", "z_shape": "self_sym_sizes"}, "addr": {"x": "vec1", "y": "vec2", "z_shape": "self_sym_sizes"},
    **dict.fromkeys(("sum", "mean", "nansum", "prod", "logsumexp", "amax", "amin", "var", "std", "var_mean", "std_mean"), _OVER),
    **dict.fromkeys(
        ("sort", "sort_stable", "topk", "kthvalue", "mode", "median", "nanmedian", "max_dim", "min_dim", "cummax", "cummin"), _INDICES),
    "linalg_vector_norm": {"p": "ord", "dims": "dim"}, "aminmax": {"out_0": "min", "out_1": "max", "dims": "dim"},
    "linalg_inv_ex": {"out_0": "inverse"}, "linalg_cholesky_ex": {"out_0": "L"}, "linalg_det": {"a": "A"},
    "linalg_slogdet": {"a": "A", "out_0": "sign"}, "linalg_solve_ex": {"a": "A", "out_0": "result"},
    "linalg_lu_factor_ex": {"out_0": "LU", "out_1": "pivots"}, "linalg_eigh": {"out_0": "eigenvalues", "out_1": "eigenvectors"},
    "linalg_svd": {"out_0": "U", "out_1": "S", "out_2": "Vh"}, "linalg_qr": {"out_0": "Q", "out_1": "R"},
    "linalg_matrix_exp": {"a": "self"}, "linalg_solve_triangular": {"a": "self", "unit": "unitriangular"},
    **dict.fromkeys(("conv", "conv_bias"), {"x": "input", "w": "weight"}),
    **dict.fromkeys(("fused _layer_norm", "fused _group_norm", "fused _batch_norm_training"), {"x": "input", "out_1": "result1", "out_2": "result2"}),
    "fused _batch_norm_eval": {"x": "input", "mean": "running_mean", "var": "running_var"}, "fused _mse_alike": {"y": "target"},
    **dict.fromkeys(
        ("max_pool2d", "max_pool3d", "avg_pool2d", "avg_pool3d"), {"kernel": "kernel_size", "divisor": "divisor_override"}),
    "cdist": {"x": "x1", "y": "x2"},
    "cholesky_solve": {"b": "self", "factor": "input2"}, "as_strided": {"offset": "storage_offset"},
}  # fmt: skip
"""By primitive: what its rules save, and PyTorch's name of it, where that does not follow."""


def _length(dim: int) -> Callable[..., Any]:
    return lambda shape: shape[dim]


def _same(value: Any) -> Any:
    return value


def _constant(value: Any) -> Callable[..., Any]:
    return lambda: value


def _indices(at: tuple[int, ...], rest: tuple[Any, ...]) -> tuple[Any, ...]:
    found: list[Any] = [None] * (at[-1] + 1)
    for dim, index in zip(at, rest, strict=True):
        found[dim] = index
    return tuple(found)


def _shape(t: Any) -> Any:
    return None if t is None else tuple(t.shape)


def _strides(t: Any) -> Any:
    return None if t is None else t.stride()


def _either(n: int, m: int) -> Callable[..., Any]:
    """A length that both operands of a product have; either may not be there."""
    return lambda x, y: x.shape[n] if x is not None else None if m < 0 else y.shape[m]


_RESIZED: dict[str, Any] = {
    "output_size": (_same, "outputs"), "scales": (_length(0), "scales"), "scales_w": (_length(-1), "scales"),
    "scales_h": (lambda scales: scales[-2] if len(scales) > 1 else None, "scales"), "scales_d": (_length(0), "scales"),
}  # fmt: skip
_CONVOLVED: dict[str, Any] = {
    "transposed": (_constant(False),), "output_padding": (lambda stride: (0,) * len(stride), "stride"),
}  # fmt: skip
_PRODUCT: dict[str, Any] = {
    "self_sym_sizes": (_shape, "x"), "self_sym_strides": (_strides, "x"), "mat2_sym_sizes": (_shape, "y"), "mat2_sym_strides": (_strides, "y"),
}  # fmt: skip

DERIVED: dict[str, dict[str, Any]] = {
    "index": {"indices": (_indices, "at", "rest"), "self_sym_sizes": (_length(0), "shapes")},
    "mean_all": {"self_sym_numel": (math.prod, "x_shape")}, "mean": {"self_sym_numel": (math.prod, "x_shape")},
    "add": {"alpha": (_constant(1),)}, "sub": {"alpha": (_constant(1),)}, "logit": {"eps": (_constant(None),)},
    "div_trunc": {"rounding_mode": (_constant("trunc"),)}, "div_floor": {"rounding_mode": (_constant("floor"),)},
    "conv": {**_CONVOLVED, "bias_sym_sizes_opt": (_constant((0,)),)},
    "conv_bias": {**_CONVOLVED, "bias_sym_sizes_opt": (lambda shape: shape[:1], "w_shape")},
    "addbmm": {
        "batch1_sym_argsize_0": (_either(0, 0), "x", "y"), "batch1_sym_argsize_1": (_either(1, -1), "x", "y"),
        "batch2_sym_argsize_2": (lambda y: None if y is None else y.shape[2], "y")},
    "mm": _PRODUCT,
    "addmm": {name.replace("self", "mat1"): how for name, how in _PRODUCT.items()},
    "im2col": {
        "self_sym_argsize_minus_1": (_length(-1), "x_shape"), "self_sym_argsize_minus_2": (_length(-2), "x_shape"),
        "kernel_size": (_same, "kernel")},
    "split": {"split_size": (_length(0), "sizes"), "split_sizes": (_same, "sizes")},
    "slice": {name: (operator.attrgetter(name), "part") for name in ("start", "end", "step")}
    | {"end": (operator.attrgetter("stop"), "part"), "step": (lambda part: part.step or 1, "part")},
    **dict.fromkeys(
        [f"upsample_{kind}" for kind in ("nearest1d", "nearest2d", "nearest3d", "nearest_exact1d", "nearest_exact2d", "nearest_exact3d",
                                         "linear1d", "bilinear2d", "trilinear3d", "bicubic2d")], _RESIZED),
}  # fmt: skip
"""By primitive: PyTorch's names of what follows from what is saved: (function, the names of its arguments)."""

CODES = {"none": 0, "mean": 1, "sum": 2}
"""PyTorch's numbers of reductions."""


def saved_names(p: Primitive) -> dict[str, int]:
    """The names of what the nodes of `p` save, and where it stands in `_saved`."""
    found: dict[str, int] = {}
    given = NAMES.get(p.name, {})
    for at, name in enumerate(p.saves):
        if name in ("needs", "shapes", "rest", "others") or name.endswith("_turned"):
            continue
        if name in given:
            found[given[name]] = at
        elif name in p.inputs:
            found[_USUAL.get(name, name)] = at
        elif name == "out" or name.startswith("out_"):
            found["result" + name[4:]] = at
        elif name.endswith("_shape") and name[:-6] in p.inputs:
            found[("self" if p.inputs[0] == name[:-6] else name[:-6]) + "_sym_sizes"] = at
        else:
            found[name] = at
    return found
