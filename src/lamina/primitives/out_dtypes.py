"""Which dtypes a function writes to in `out=`: for most, any that the result can be cast to; for those named here, its own alone.

Here: the names, and PyTorch's sentences. Not here: memory and shapes (inplace.py, out_checks.py).
"""

from __future__ import annotations

from lamina.core.dtype import dtype

NAMES = {
    "bool": "Bool", "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int", "int64": "Long", "float16": "Half",
    "bfloat16": "BFloat16", "float32": "Float", "float64": "Double", "complex64": "ComplexFloat", "complex128": "ComplexDouble",
    "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64", "float8_e4m3fn": "Float8_e4m3fn", "float8_e5m2": "Float8_e5m2",
    "float8_e4m3fnuz": "Float8_e4m3fnuz", "float8_e5m2fnuz": "Float8_e5m2fnuz", "float8_e8m0fnu": "Float8_e8m0fnu",
}  # fmt: skip
"""PyTorch's scalar type names, as its messages spell them."""

_IN_C = {
    "float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16", "complex64": "c10::complex<float>",
    "complex128": "c10::complex<double>", "int64": "long int", "int32": "int", "int16": "short int", "int8": "signed char",
    "uint8": "unsigned char",
}  # fmt: skip


def in_c(d: dtype) -> str:
    """C++'s name of an element type, as messages about `out=` spell it."""
    return _IN_C.get(d.name, d.name)


EXACT = "Expected out tensor to have dtype {result_c}, but got {out_c} instead"
_FOUND = "Found dtype {out} but expected {result}"
_MATCH = "result dtype {out} does not match input dtype {result}"
_BOOLEAN = "{name} does not support non-boolean outputs."

_ONLY_OWN = {
    EXACT: (
        "matmul _matmul addmm addmv baddbmm bmm mm cross linalg_cross expand_copy diagonal_copy alias_copy lu_unpack as_strided_copy view_copy "
        "permute_copy "
        "split_copy split_with_sizes_copy unbind_copy unfold_copy squeeze_copy unsqueeze_copy transpose_copy t_copy detach_copy select_copy "
        "slice_copy slice_scatter triangular_solve index_copy index_add index_reduce scatter scatter_add scatter_reduce take_along_dim tril "
        "triu lu_solve legacy_lu_solve svd legacy_svd svdvals legacy_qr qr det linalg_slogdet slogdet cholesky_ex eigh eigvalsh ldl_factor "
        "ldl_factor_ex ldl_solve lu lu_factor lu_factor_ex inv inverse inv_ex solve solve_ex"
    ),
    _FOUND: "abs absolute ceil conj_physical frac floor neg negative round sign sgn trunc fix",
    _MATCH: "dot vdot",
    "expected scalar type {result} but found {out}": "solve_triangular",
    "Expected out type to be {result} but got {out}": "where",
    "nan_to_num: dtype of out: {out} should be same as input: {result}": "nan_to_num",
    _BOOLEAN: "signbit isposinf isneginf",
    "{name} only supports bool tensor for result, got: {out}": "all any",
}
_RULES = {name: sentence for sentence, names in _ONLY_OWN.items() for name in names.split()}


def check_out_dtype(name: str, result: dtype, out: dtype) -> None:
    """Whether what the function `name` made may be written to an `out=` of another dtype. Raises RuntimeError."""
    if result is out:
        return
    sentence = _RULES.get(name)
    if sentence is None:
        check_cast(result, out)
        return
    raise RuntimeError(
        sentence.format(
            name=name, result=NAMES[result.name], out=NAMES[out.name], result_c=in_c(result), out_c=in_c(out)
        )
    )


def check_cast(source: dtype, target: dtype) -> None:
    """Whether a result may be written in place to memory of another dtype. Raises RuntimeError."""
    if source.category > target.category:
        raise RuntimeError(
            f"result type {NAMES[source.name]} can't be cast to the desired output type {NAMES[target.name]}"
        )
