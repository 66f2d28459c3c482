"""Scaled dot-product attention.

Here: masks, grouped queries, the choice of one graph node or of the composite's own. Not here: heads and projections
(multi_head.py).
"""

from __future__ import annotations

import math

import lamina
from lamina.core.tensor import Tensor
from lamina.nn.functional._checks import check_tensor
from lamina.nn.functional.dropout import dropout
from lamina.primitives import fused
from lamina.primitives.inplace import of_tensors

_NAMES = {
    lamina.float32: "float", lamina.float64: "double", lamina.float16: "c10::Half", lamina.bfloat16: "c10::BFloat16",
    lamina.int64: "long int", lamina.int32: "int", lamina.bool: "bool",
}  # fmt: skip


def _safe_softmax_grad(g: Tensor, out: Tensor) -> Tensor:
    weighted = g * out
    return weighted - out * lamina.sum(weighted, -1, keepdim=True)


def _safe_softmax_body(scores: Tensor) -> Tensor:
    """softmax over the last dimension, whose rows without any finite score give zeros instead of NaN."""
    top = lamina.amax(scores, -1, keepdim=True)
    powers = lamina.exp(scores - lamina.where(top == -math.inf, 0.0, top))
    total = lamina.sum(powers, -1, keepdim=True)
    return powers / lamina.where(total == 0.0, 1.0, total)


_safe_softmax = fused("SafeSoftmax", grads=(_safe_softmax_grad,))(_safe_softmax_body)


@fused("ScaledDotProductFlashAttentionForCpu")
def _attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    scores = lamina.matmul(query * scale, lamina.transpose(key, -2, -1))
    if mask is not None:
        scores = scores + mask
    return lamina.matmul(_safe_softmax(scores), value)


@of_tensors
def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """softmax(query key' * scale + mask) value.

    Shapes: query (*, L, E), key (*, S, E), value (*, S, Ev): result (*, L, Ev). `attn_mask` broadcasts to (*, L, S):
    boolean
    (True: takes part) or added. `scale`: by default 1 / sqrt(E). `enable_gqa`: key and value may have fewer heads
    (dimension -3), a divisor of the query's. A row that attends to nothing gives zeros.
    """
    _check(query, key, value, attn_mask, dropout_p)
    length, width = query.shape[-2:]
    factor = 1.0 / math.sqrt(width) if scale is None and width else (scale or 0.0)
    as_one = (
        dropout_p == 0.0
        and query.dim() == key.dim() == value.dim() == 4
        and query.shape[0] == key.shape[0] == value.shape[0]
        and (query.shape[1] == key.shape[1] == value.shape[1] or enable_gqa)
        and query.shape[3] == key.shape[3] == value.shape[3]
        and query.numel() > 0
        and key.numel() > 0
        and (attn_mask is None or not attn_mask.requires_grad)
    )
    if is_causal and attn_mask is not None and not as_one:
        raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if enable_gqa:
        key, value = _repeat_heads(query, key), _repeat_heads(query, value)
    mask = _additive(attn_mask, query)
    if is_causal:
        earlier = lamina.ones(length, key.shape[-2], dtype=lamina.bool, device=query.device).tril()
        causal = _additive(earlier, query)
        mask = causal if mask is None else mask + causal
    if as_one:
        return _attention(query, key, value, mask, factor)
    wide = lamina.float32 if query.dtype in (lamina.float16, lamina.bfloat16) else query.dtype
    result = _in_steps(query.to(wide), key.to(wide), value.to(wide), mask, dropout_p, factor)
    return result.to(query.dtype)


def _in_steps(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout_p: float, factor: float
) -> Tensor:
    """Attention as the several graph nodes that PyTorch records where its single kernel does not apply."""
    root = math.sqrt(abs(factor))
    scores = lamina.matmul(query * math.copysign(root, factor), key.transpose(-2, -1) * root)
    if mask is not None:
        scores = scores + mask
    weights = _safe_softmax(scores) if scores.numel() else scores
    if dropout_p > 0.0:
        weights = dropout(weights, dropout_p)
    return lamina.matmul(weights, value)


def _check(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout_p: float) -> None:
    for position, (name, tensor) in enumerate((("query", query), ("key", key), ("value", value)), 1):
        check_tensor(tensor, "scaled_dot_product_attention", name, position)
    if not query.dtype == key.dtype == value.dtype:
        raise RuntimeError(
            f"Expected query, key, and value to have the same dtype, but got query.dtype: {_name(query)} "
            f"key.dtype: {_name(key)} and value.dtype: {_name(value)} instead."
        )
    if min(query.dim(), key.dim(), value.dim()) < 2:
        raise RuntimeError(
            f"Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: {query.dim()} "
            f"key.dim: {key.dim()} and value.dim: {value.dim()} instead."
        )
    if mask is not None and mask.dtype not in (lamina.bool, lamina.float32, query.dtype):
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: "
            f"{_name(mask)} and  query.dtype: {_name(query)} instead."
        )
    if not 0.0 <= dropout_p <= 1.0:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {dropout_p:g}")


def _name(tensor: Tensor) -> str:
    return _NAMES.get(tensor.dtype, str(tensor.dtype))


def _additive(mask: Tensor | None, query: Tensor) -> Tensor | None:
    """A boolean mask as the numbers 0 and -inf."""
    if mask is None or mask.dtype != lamina.bool:
        return mask
    return lamina.zeros(mask.shape, dtype=query.dtype, device=query.device).masked_fill_(~mask, -math.inf)


def _repeat_heads(query: Tensor, other: Tensor) -> Tensor:
    heads, own = query.shape[-3], other.shape[-3]
    if own == heads:
        return other
    if own == 0 or heads % own:
        raise RuntimeError("Number of heads in key and value must divide the number of heads in query")
    return other.repeat_interleave(heads // own, -3)
