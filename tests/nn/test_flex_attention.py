"""Attention whose scores and masks are functions of positions, beside the same written out."""

import pytest

import lamina
from lamina.nn import functional as F
from lamina.nn.attention.flex_attention import (
    BlockMask,
    and_masks,
    create_block_mask,
    create_mask,
    flex_attention,
    or_masks,
)

B, H, L, S, E = 2, 3, 10, 12, 4


def causal(b, h, q, kv):
    return q >= kv


@pytest.fixture
def inputs():
    lamina.manual_seed(0)
    return [lamina.randn(B, H, n, E, dtype=lamina.float64, requires_grad=True) for n in (L, S, S)]


@pytest.mark.parametrize("size", [4, (4, 5), 128])
def test_a_mask_is_that_of_plain_attention_with_gradients(inputs, size):
    lengths = lamina.tensor([3, 12])

    def within(b, h, q, kv):
        return kv < lengths[b]

    mask = create_block_mask(and_masks(causal, within), B, None, L, S, BLOCK_SIZE=size)
    dense = create_mask(and_masks(causal, within), B, None, L, S)
    assert (dense == (lamina.ones(L, S).tril().bool() & (lamina.arange(S) < lengths[:, None, None, None]))).all()
    found = flex_attention(*inputs, block_mask=mask)
    expected = F.scaled_dot_product_attention(*inputs, attn_mask=dense)
    lamina.testing.assert_close(found, expected)
    weights = lamina.randn_like(found)
    lamina.testing.assert_close(
        lamina.autograd.grad(found, inputs, weights), lamina.autograd.grad(expected, inputs, weights)
    )


def test_scores_may_read_captured_tensors_at_positions(inputs):
    bias = lamina.randn(H, L, dtype=lamina.float64, requires_grad=True)
    found, lse = flex_attention(*inputs, score_mod=lambda s, b, h, q, kv: s + bias[h, q] * kv, return_lse=True)
    q, k, v = inputs
    scores = q @ k.mT / E**0.5 + bias[None, :, :, None] * lamina.arange(S)
    lamina.testing.assert_close(found, scores.softmax(-1) @ v)
    lamina.testing.assert_close(lse, scores.logsumexp(-1))
    found.sum().backward()
    assert bias.grad.abs().sum() > 0


def test_blocks_are_listed_by_what_is_in_them():
    mask = create_block_mask(causal, None, None, 300, 200)
    assert mask.shape == (1, 1, 300, 200) and mask.to_dense().tolist() == [[[[1, 0], [1, 1], [1, 1]]]]
    assert mask.kv_num_blocks.tolist() == [[[1, 1, 2]]] and mask.full_kv_num_blocks.tolist() == [[[0, 1, 0]]]
    assert mask.kv_indices.tolist() == [[[[0, 1], [1, 0], [0, 1]]]] and mask.q_num_blocks.tolist() == [[[2, 2]]]
    again = BlockMask.from_kv_blocks(
        mask.kv_num_blocks, mask.kv_indices, mask.full_kv_num_blocks, mask.full_kv_indices, 128, causal, (300, 200)
    )
    assert again.sparsity() == mask.sparsity() and (again.to_dense() == mask.to_dense()).all()


def test_who_sees_nothing_gets_zeros_and_what_does_not_fit_is_refused(inputs):
    q, k, v = inputs
    never = create_block_mask(or_masks(lambda b, h, q, kv: kv < 0), None, None, L, S)
    out, lse = flex_attention(q, k, v, block_mask=never, return_lse=True)
    assert not out.any() and (lse == -lamina.inf).all()
    assert lamina.autograd.grad(out.sum(), q)[0].isfinite().all()
    with pytest.raises(ValueError, match="enable_gqa=True"):
        flex_attention(q, k[:, :1], v[:, :1])
    lamina.testing.assert_close(
        flex_attention(q, k[:, :1], v[:, :1], enable_gqa=True),
        F.scaled_dot_product_attention(q, k[:, :1].expand_as(k), v[:, :1].expand_as(v)),
    )
    with pytest.raises(ValueError, match="block_mask was created for"):
        flex_attention(q, k, v, block_mask=create_block_mask(causal, None, None, 20, 20))
