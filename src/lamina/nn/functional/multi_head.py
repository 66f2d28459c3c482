"""Multi-head attention as one function: projections, masks, heads, and the projection of the result.

Not here: the attention itself (attention.py), the module that holds the weights (nn/modules).
"""

from __future__ import annotations

import math

import lamina
from lamina.core.tensor import Tensor
from lamina.core.warn import warn
from lamina.nn.functional.attention import scaled_dot_product_attention
from lamina.nn.functional.dropout import dropout
from lamina.nn.functional.linear import linear
from lamina.nn.functional.softmax import softmax
from lamina.primitives.inplace import loosely


def _expect(condition: bool, message: str) -> None:
    """AssertionError, the type that PyTorch's callers see, also under `python -O`."""
    if not condition:
        raise AssertionError(message)


def _check_shapes(
    query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None, attn_mask: Tensor | None, num_heads: int
) -> bool:
    """Whether there is a batch dimension."""
    _expect(
        query.dim() in (2, 3),
        f"query should be unbatched 2D or batched 3D tensor but received {query.dim()}-D query tensor",
    )
    batched = query.dim() == 3
    kind, padding_rank = ("batched (3-D)", 2) if batched else ("unbatched (2-D)", 1)
    _expect(
        key.dim() == query.dim() and value.dim() == query.dim(),
        f"For {kind} `query`, expected `key` and `value` to be {query.dim()}-D "
        f"but found {key.dim()}-D and {value.dim()}-D tensors respectively",
    )
    if key_padding_mask is not None:
        _expect(
            key_padding_mask.dim() == padding_rank,
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {padding_rank}-D "
            f"but found {key_padding_mask.dim()}-D tensor instead",
        )
    if attn_mask is not None:
        _expect(
            attn_mask.dim() in (2, 3),
            f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D "
            f"but found {attn_mask.dim()}-D tensor instead",
        )
        if not batched and attn_mask.dim() == 3:
            wanted = (num_heads, query.shape[0], key.shape[0])
            _expect(
                tuple(attn_mask.shape) == wanted, f"Expected `attn_mask` shape to be {wanted} but got {attn_mask.shape}"
            )
    return batched


def _additive_mask(
    mask: Tensor | None, name: str, dtype: lamina.dtype, other: Tensor | None = None, other_name: str = ""
) -> Tensor | None:
    """`mask` as numbers to add (here True means: left out); a warning where `other` is of another kind."""
    if mask is None:
        return None
    _expect(
        mask.dtype == lamina.bool or mask.is_floating_point(), f"only bool and floating types of {name} are supported"
    )
    if other is not None and other.dtype != mask.dtype:
        warn(
            f"Support for mismatched {name} and {other_name} is deprecated. Use same type for both instead.",
        )
    if mask.is_floating_point():
        return mask
    return lamina.zeros_like(mask, dtype=dtype).masked_fill_(mask, -math.inf)


def _project_packed(
    query: Tensor, key: Tensor, value: Tensor, weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value through the three parts of one weight; equal inputs share a product."""
    width = query.shape[-1]
    if key is value and query is key:
        parts = linear(query, weight, bias).unflatten(-1, (3, width)).unsqueeze(0).transpose(0, -2).squeeze(-2)
        query, key, value = parts.contiguous()
        return query, key, value
    if key is value:
        for_query, for_rest = weight.split([width, width * 2])
        bias_query, bias_rest = (None, None) if bias is None else bias.split([width, width * 2])
        rest = linear(key, for_rest, bias_rest).unflatten(-1, (2, width)).unsqueeze(0).transpose(0, -2).squeeze(-2)
        projected_key, projected_value = rest.contiguous()
        return linear(query, for_query, bias_query), projected_key, projected_value
    weights = weight.chunk(3)
    biases = (None, None, None) if bias is None else bias.chunk(3)
    query, key, value = (linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))
    return query, key, value


def _project_separately(
    inputs: tuple[Tensor, Tensor, Tensor], weights: tuple[Tensor | None, ...], bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    query, key, value = inputs
    for letter, weight in zip("qkv", weights, strict=True):
        _expect(weight is not None, f"use_separate_proj_weight is True but {letter}_proj_weight is None")
    width = query.shape[-1]
    sizes = (width, key.shape[-1], value.shape[-1])
    for letter, weight, size in zip("QKV", weights, sizes, strict=True):
        name = {"Q": "query", "K": "key", "V": "value"}[letter]
        _expect(
            tuple(weight.shape) == (width, size),
            f"expecting {name} weights shape of {(width, size)}, but got {weight.shape}",
        )
    biases = (None, None, None) if bias is None else bias.chunk(3)
    query, key, value = (linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True))
    return query, key, value


def _longer(mask: Tensor | None, by: int = 1) -> Tensor | None:
    """A mask with columns for keys that everybody attends to."""
    return None if mask is None else lamina.constant_pad_nd(mask, [0, by], 0)


def _heads(tensor: Tensor, static: Tensor | None, name: str, rows: int, width: int) -> Tensor:
    """(length, batch, embed) as (batch * heads, length, width), or the given `static` one."""
    if static is None:
        return tensor.view(tensor.shape[0], rows, width).transpose(0, 1)
    _expect(static.size(0) == rows, f"expecting {name}.size(0) of {rows}, but got {static.size(0)}")
    _expect(static.size(2) == width, f"expecting {name}.size(2) of {width}, but got {static.size(2)}")
    return static


@loosely
def multi_head_attention_forward(
    query: Tensor, key: Tensor, value: Tensor, embed_dim_to_check: int, num_heads: int, in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None, bias_k: Tensor | None, bias_v: Tensor | None, add_zero_attn: bool, dropout_p: float,
    out_proj_weight: Tensor, out_proj_bias: Tensor | None, training: bool = True,
    key_padding_mask: Tensor | None = None, need_weights: bool = True, attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False, q_proj_weight: Tensor | None = None, k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None, static_k: Tensor | None = None, static_v: Tensor | None = None,
    average_attn_weights: bool = True, is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """Attention with `num_heads` heads between projections; and the attention weights if `need_weights`.

    Shapes: query (L, N, E), key and value (S, N, E'), or without N; result (L, N, E), weights (N, L, S), or
    (N, heads, L, S) unless averaged. `key_padding_mask` (N, S) and `attn_mask` (L, S) or (N * heads, L, S): True
    leaves out,
    numbers are added. `is_causal` is a hint that `attn_mask` is the causal one.
    """
    batched = _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        same_key, same_query = key is value, query is key
        query = query.unsqueeze(1)
        key = query if same_query else key.unsqueeze(1)
        value = key if same_key else value.unsqueeze(1)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    length, batch, width = query.shape
    source = key.shape[0]
    padding = _additive_mask(key_padding_mask, "key_padding_mask", query.dtype, attn_mask, "attn_mask")
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    if is_causal and padding is None and not need_weights:
        mask = None  # the hint is enough for the attention
    else:
        mask = _additive_mask(attn_mask, "attn_mask", query.dtype)
        is_causal = is_causal and padding is None
    _expect(width == embed_dim_to_check, f"was expecting embedding dimension of {embed_dim_to_check}, but got {width}")
    head = width // num_heads
    _expect(head * num_heads == width, f"embed_dim {width} not divisible by num_heads {num_heads}")
    if use_separate_proj_weight:
        _expect(
            key.shape[:2] == value.shape[:2],
            f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}",
        )
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
        q, k, v = _project_separately((query, key, value), weights, in_proj_bias)
    else:
        _expect(key.shape == value.shape, f"key shape {key.shape} does not match value shape {value.shape}")
        _expect(in_proj_weight is not None, "use_separate_proj_weight is False but in_proj_weight is None")
        q, k, v = _project_packed(query, key, value, in_proj_weight, in_proj_bias)

    rows = batch * num_heads
    if mask is not None:
        wanted = (length, source) if mask.dim() == 2 else (rows, length, source)
        if tuple(mask.shape) != wanted:
            raise RuntimeError(f"The shape of the {mask.dim()}D attn_mask is {mask.shape}, but should be {wanted}.")
        mask = mask.unsqueeze(0) if mask.dim() == 2 else mask
    if bias_k is not None and bias_v is not None:
        _expect(static_k is None, "bias cannot be added to static key.")
        _expect(static_v is None, "bias cannot be added to static value.")
        k = lamina.cat([k, bias_k.repeat(1, batch, 1)])
        v = lamina.cat([v, bias_v.repeat(1, batch, 1)])
        mask, padding = _longer(mask), _longer(padding)
    else:
        _expect(bias_k is None, "bias_k is set but bias_v is None")
        _expect(bias_v is None, "bias_v is set but bias_k is None")
    q = q.view(length, rows, head).transpose(0, 1)
    k = _heads(k, static_k, "static_k", rows, head)
    v = _heads(v, static_v, "static_v", rows, head)
    if add_zero_attn:
        zeros = lamina.zeros((rows, 1, head), dtype=k.dtype, device=k.device)
        k, v = lamina.cat([k, zeros], 1), lamina.cat([v, zeros], 1)
        mask, padding = _longer(mask), _longer(padding)
    source = k.size(1)
    if padding is not None:
        _expect(
            padding.shape[0] == batch, f"Expected key_padded_mask.shape[0] to be {batch}, but got {padding.shape[0]}"
        )
        _expect(
            padding.shape[1] == source, f"Expected key_padded_mask.shape[1] to be {source}, but got {padding.shape[1]}"
        )
        padding = padding.view(batch, 1, 1, source).expand(-1, num_heads, -1, -1).reshape(rows, 1, source)
        mask = padding if mask is None else mask + padding
    if not training:
        dropout_p = 0.0

    if need_weights:
        scores_of = q * math.sqrt(1.0 / float(head))
        _expect(not (is_causal and mask is None), "FIXME: is_causal not implemented for need_weights")
        turned = k.transpose(-2, -1)
        scores = lamina.bmm(scores_of, turned) if mask is None else lamina.baddbmm(mask, scores_of, turned)
        attention = softmax(scores, dim=-1)
        if dropout_p > 0.0:
            attention = dropout(attention, p=dropout_p)
        out = lamina.bmm(attention, v).transpose(0, 1).contiguous().view(length * batch, width)
        out = linear(out, out_proj_weight, out_proj_bias).view(length, batch, -1)
        attention = attention.view(batch, num_heads, length, source)
        if average_attn_weights:
            attention = attention.mean(dim=1)
        return (out, attention) if batched else (out.squeeze(1), attention.squeeze(0))

    if mask is not None:
        mask = mask.unsqueeze(0) if mask.size(0) == 1 else mask.view(batch, num_heads, -1, source)
    shape = (batch, num_heads, -1, head)
    out = scaled_dot_product_attention(q.view(shape), k.view(shape), v.view(shape), mask, dropout_p, is_causal)
    out = out.permute(2, 0, 1, 3).contiguous().view(batch * length, width)
    out = linear(out, out_proj_weight, out_proj_bias).view(length, batch, -1)
    return (out, None) if batched else (out.squeeze(1), None)
