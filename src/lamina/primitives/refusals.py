"""What lamina has not, by name: sparse, quantised and nested tensors, and what PyTorch has removed. Each says what to use instead."""

from __future__ import annotations

from typing import Any, NoReturn

from lamina.primitives import removed
from lamina.primitives.overridable import overridable

_SPARSE = "sparse tensors are not supported; use a dense tensor, with a mask or with index_add and gather"
_QUANTISED = "quantised tensors are not supported; use float32 or bfloat16"


def refusal(name: str, why: str) -> Any:
    """A function or method `name` that raises NotImplementedError."""

    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(f"{name}: {why}")

    refuse.__name__ = refuse.__qualname__ = name
    return overridable(refuse)


FUNCTIONS: dict[str, Any] = {
    **{name: refusal(name, _SPARSE) for name in (
        "sparse_coo_tensor", "sparse_csr_tensor", "sparse_csc_tensor", "sparse_bsr_tensor", "sparse_bsc_tensor",
        "sparse_compressed_tensor", "hspmm", "smm", "spmm", "dsmm", "sspaddmm", "saddmm", "hsmm",
    )},
    **{name: refusal(name, _QUANTISED) for name in (
        "quantize_per_tensor", "quantize_per_channel", "quantize_per_tensor_dynamic", "dequantize", "fake_quantize_per_tensor_affine",
        "fake_quantize_per_channel_affine", "empty_quantized", "int_repr", "q_scale", "q_zero_point", "q_per_channel_scales",
        "q_per_channel_zero_points", "q_per_channel_axis", "choose_qparams_optimized", "fused_moving_avg_obs_fake_quant",
        "quantized_batch_norm", "quantized_gru", "quantized_gru_cell", "quantized_lstm", "quantized_lstm_cell",
        "quantized_max_pool1d", "quantized_max_pool2d", "quantized_max_pool3d", "quantized_rnn_relu_cell", "quantized_rnn_tanh_cell",
    )},
    **{name: refusal(name, "products of scaled float8 matrices are not supported; widen to float32 or bfloat16, and use mm") for name in (
        "_scaled_mm", "_scaled_mm_v2", "_scaled_grouped_mm", "_scaled_grouped_mm_v2", "_grouped_mm",
    )},
    **removed.FUNCTIONS,
}  # fmt: skip
METHODS: dict[str, Any] = {
    **{name: refusal(name, _SPARSE) for name in (
        "to_sparse", "to_sparse_coo", "to_sparse_csr", "to_sparse_csc", "to_sparse_bsr", "to_sparse_bsc", "coalesce", "indices",
        "values", "crow_indices", "col_indices", "row_indices", "ccol_indices", "sparse_mask", "sparse_resize_",
        "sparse_resize_and_clear_", "resize_as_sparse_", "is_coalesced", "smm", "sspaddmm", "to_padded_tensor",
    )},
    **{name: refusal(name, _QUANTISED) for name in (
        "dequantize", "int_repr", "q_scale", "q_zero_point", "q_per_channel_scales", "q_per_channel_zero_points",
        "q_per_channel_axis", "qscheme",
    )},
    **removed.METHODS,
    "to_mkldnn": refusal("to_mkldnn", "there is one layout; use the tensor itself"),
}  # fmt: skip
