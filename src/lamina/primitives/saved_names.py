"""What a node's `_saved_<name>` is called: PyTorch names what it saves after the arguments of its own functions.

Here: the names. Not here: the attributes (nodes.py).
"""

from __future__ import annotations

from lamina.primitives.primitive import Primitive

_INDICES = {"out_1": "indices"}
_OVER = {"dims": "dim"}
_BOUNDS = {"y": "min", "z": "max"}
_FACTORS = {"y": "tensor1", "z": "tensor2"}
_BATCHES = {"x": "batch1", "y": "batch2", "z_shape": "self_sym_sizes"}

_USUAL = {"x": "self", "y": "other", "input": "self"}

NAMES: dict[str, dict[str, str]] = {
    "pow": {"y": "exponent"}, "rpow": {"x": "exponent", "y": "self"}, "addcmul": _FACTORS, "addcdiv": _FACTORS,
    "lerp_number": {"z": "weight"}, "lerp_tensor": {"y": "end", "z": "weight"}, "where": {"x": "condition"},
    "clamp_min": _BOUNDS, "clamp_max": {"y": "max"}, "clamp_below": _BOUNDS, "clamp_above": {"y": "max"},
    "clamp_tensors": _BOUNDS, "clamp_numbers": _BOUNDS, "threshold": {"y": "threshold"}, "prelu_kernel": {"y": "weight"},
    "hardshrink": {"y": "lambd"},
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


def saved_names(p: Primitive) -> dict[str, int]:
    """The names of what the nodes of `p` save, and where it stands in `_saved`."""
    found: dict[str, int] = {}
    if p.variadic:
        return found
    given = NAMES.get(p.name, {})
    for at, name in enumerate(p.saves):
        if name == "needs" or name.endswith("_turned"):
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
