"""`torch.nn.attention.flex_attention`: attention whose scores and mask are functions of positions.

Here: the call and `create_mask`. The functions get numbers of batch, head, query and key as tensors without dimensions; they are run for all
positions at once, under vmap. Not here: masks by blocks (block_mask.py); kernels that skip blocks: every score is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import lamina
from lamina.core.tensor import Tensor
from lamina.func import vmap
from lamina.nn.attention.block_mask import (
    _DEFAULT_SPARSE_BLOCK_SIZE,
    BlockMask,
    MaskMod,
    and_masks,
    noop_mask,
    or_masks,
)

__all__ = [
    "AuxOutput", "AuxRequest", "BlockMask", "FlexKernelOptions", "and_masks", "create_block_mask", "create_mask", "flex_attention",
    "noop_mask", "or_masks",
]  # fmt: skip

FlexKernelOptions = dict[str, Any]  # accepted: there is no kernel to choose

_POSITIONS = ((None, None, None, 0), (None, None, 0, None), (None, 0, None, None), (0, None, None, None))


class AuxRequest(NamedTuple):
    """What to return beside the result: logarithms of the sums of exponentials, largest scores."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """What was asked for; None for the rest."""

    lse: Tensor | None = None
    max_scores: Tensor | None = None


def _positions(shape: tuple[int, ...], device: Any) -> list[Tensor]:
    return [lamina.arange(0, n, device=device) for n in shape]


def _at_all_positions(function: Callable[..., Any], with_score: bool) -> Callable[..., Any]:
    """`function` of a score (if any) and four positions, for all of them."""
    for axes in _POSITIONS:
        function = vmap(function, in_dims=(0, *axes) if with_score else axes)
    return function


def create_mask(mod_fn: MaskMod, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None) -> Tensor:
    """A bool tensor (B, H, Q_LEN, KV_LEN) of a mask function; B or H None: 1."""
    found = _at_all_positions(mod_fn, False)(*_positions((B or 1, H or 1, Q_LEN, KV_LEN), device))
    return found  # type: ignore[no-any-return]


def create_block_mask(
    mask_mod: MaskMod, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE, _compile: bool = False, separate_full_blocks: bool = True,
    **options: Any,
) -> BlockMask:  # fmt: skip
    """The mask of a function by blocks: which are empty, which are full, which the function decides."""
    size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
    mask = create_mask(mask_mod, B, H, Q_LEN, KV_LEN, device)
    return BlockMask.from_mask(mask, size, mask_mod, separate_full_blocks)


def flex_attention(
    query: Tensor, key: Tensor, value: Tensor, score_mod: Callable[..., Any] | None = None, block_mask: BlockMask | None = None,
    scale: float | None = None, enable_gqa: bool = False, return_lse: bool = False, kernel_options: FlexKernelOptions | None = None,
    *, return_aux: AuxRequest | None = None,
) -> Any:  # fmt: skip
    """softmax(score_mod(query @ key.T * scale)) @ value, where the block mask lets a query see a key; rows that see nothing are 0.

    Shapes: (B, Hq, L, E), (B, Hkv, S, E), (B, Hkv, S, Ev) to (B, Hq, L, Ev). Raises ValueError for a number of heads that does not fit,
    and for a mask of other lengths.
    """
    heads, length, keys = query.size(1), query.size(-2), key.size(-2)
    if heads != key.size(1):
        if not enable_gqa:
            raise ValueError(
                "Expect query and key/value to have the same number of heads "
                f"but got Hq={heads} and Hkv={key.size(1)}. Try setting enable_gqa=True for GQA."
            )
        key, value = (t.repeat_interleave(heads // t.size(1), 1) for t in (key, value))
    if block_mask is not None and (block_mask.seq_lengths[0] < length or block_mask.seq_lengths[1] < keys):
        raise ValueError(
            f"block_mask was created for block_mask.shape={block_mask.shape} but got q_len={length} and kv_len={keys}. "
            "Create a new block mask of these lengths."
        )
    if block_mask is not None and block_mask.seq_lengths != (length, keys):
        raise ValueError(
            f"block_mask was created for block_mask.shape={block_mask.shape} but got q_len={length} and kv_len={keys}. As the block "
            "mask was created for a larger length than you're using it for, create a new block mask with the correct length."
        )
    dtype = lamina.float64 if query.dtype == lamina.float64 else lamina.float32
    scores = (query @ key.transpose(-2, -1)).to(dtype) * (1.0 / math.sqrt(query.size(-1)) if scale is None else scale)
    shape = (query.size(0), heads, length, keys)
    if score_mod is not None:
        scores = _at_all_positions(score_mod, True)(scores, *_positions(shape, query.device)).to(dtype)
    if block_mask is not None:
        decided = create_mask(block_mask.mask_mod, *shape, device=query.device)
        scores = scores.masked_fill(~block_mask.seen(decided), -math.inf)
    lse = lamina.logsumexp(scores, -1)
    blind = lse == -math.inf
    weights = lamina.softmax(scores.masked_fill(blind.unsqueeze(-1), 0.0), -1).masked_fill(blind.unsqueeze(-1), 0.0)
    out = weights.to(query.dtype) @ value
    if return_aux is not None:
        largest = scores.detach().amax(-1) if return_aux.max_scores else None
        return out, AuxOutput(lse if return_aux.lse else None, largest)
    return (out, lse) if return_lse else out
