"""Masks of attention by blocks: which blocks of queries and keys are empty, full, or decided by a function of the positions.

Here: `BlockMask` and functions of mask functions. Not here: what is done with one (flex_attention.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.nn import functional as F

MaskMod = Callable[[Any, Any, Any, Any], Any]

_DEFAULT_SPARSE_BLOCK_SIZE = 128


def noop_mask(batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> Tensor:
    """Every query sees every key."""
    return batch.new_ones(size=(), dtype=lamina.bool, device=batch.device)


def and_masks(*mask_mods: MaskMod) -> MaskMod:
    """The mask function that is true where all are. Raises RuntimeError for what cannot be called."""
    return _combined(mask_mods, lambda a, b: a & b, True)


def or_masks(*mask_mods: MaskMod) -> MaskMod:
    """The mask function that is true where one of them is. Raises RuntimeError for what cannot be called."""
    return _combined(mask_mods, lambda a, b: a | b, False)


def _combined(mask_mods: tuple[MaskMod, ...], combine: Callable[[Any, Any], Any], start: bool) -> MaskMod:
    if not all(callable(mod) for mod in mask_mods):
        raise RuntimeError(f"All inputs should be callable mask_mods: {mask_mods}")

    def mask(b: Any, h: Any, q: Any, kv: Any) -> Any:
        result = b.new_full((), start, dtype=lamina.bool)
        for mod in mask_mods:
            result = combine(result, mod(b, h, q, kv))
        return result

    return mask


def _ordered(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Of a table of blocks (true: there), for each row their number and their columns, those that are there first."""
    table = blocks.to(lamina.int32)
    return table.sum(-1).to(lamina.int32), lamina.argsort(table, dim=-1, descending=True, stable=True).to(lamina.int32)


def _table(count: Tensor, columns: Tensor) -> Tensor:
    """The table of blocks that `_ordered` was given."""
    there = lamina.arange(columns.size(-1), device=columns.device) < count.unsqueeze(-1)
    empty = lamina.zeros(columns.shape, dtype=lamina.bool, device=columns.device)
    return empty.scatter(-1, columns.long(), there)


class BlockMask:
    """A mask over queries and keys in blocks. `kv_*` list for each row of blocks the partial ones, `full_kv_*` the full ones."""

    def __init__(
        self, seq_lengths: tuple[int, int], kv_num_blocks: Tensor, kv_indices: Tensor, full_kv_num_blocks: Tensor | None,
        full_kv_indices: Tensor | None, q_num_blocks: Tensor | None, q_indices: Tensor | None, full_q_num_blocks: Tensor | None,
        full_q_indices: Tensor | None, BLOCK_SIZE: tuple[int, int] = (128, 128), mask_mod: MaskMod = noop_mask, **options: Any,
    ) -> None:  # fmt: skip
        if kv_indices.dim() < 2:
            raise RuntimeError("BlockMask must have at least 2 dimensions")
        self.seq_lengths, self.BLOCK_SIZE, self.mask_mod = seq_lengths, BLOCK_SIZE, mask_mod
        self.kv_num_blocks, self.kv_indices = kv_num_blocks, kv_indices
        self.full_kv_num_blocks, self.full_kv_indices = full_kv_num_blocks, full_kv_indices
        self.q_num_blocks, self.q_indices = q_num_blocks, q_indices
        self.full_q_num_blocks, self.full_q_indices = full_q_num_blocks, full_q_indices

    @classmethod
    def from_mask(cls, mask: Tensor, size: tuple[int, int], mask_mod: MaskMod, separate_full_blocks: bool) -> BlockMask:
        """Of a bool tensor (B, H, queries, keys), looked at in blocks of `size`."""
        b, h, length, keys = mask.shape
        rows, columns = math.ceil(length / size[0]), math.ceil(keys / size[1])
        padded = F.pad(mask, (0, columns * size[1] - keys, 0, rows * size[0] - length))
        blocks = padded.reshape(b, h, rows, size[0], columns, size[1])
        some, full = blocks.any(-1).any(3), blocks.all(-1).all(3)
        if not separate_full_blocks:
            full = lamina.zeros_like(full)
        partial = some & ~full
        return cls._of_tables(partial, full if separate_full_blocks else None, (length, keys), size, mask_mod)

    @classmethod
    def _of_tables(
        cls, partial: Tensor, full: Tensor | None, lengths: tuple[int, int], size: tuple[int, int], mask_mod: MaskMod
    ) -> BlockMask:
        nothing = (None, None)
        by_row = (_ordered(partial), nothing if full is None else _ordered(full))
        by_column = (_ordered(partial.mT), nothing if full is None else _ordered(full.mT))
        return cls(lengths, *by_row[0], *by_row[1], *by_column[0], *by_column[1], BLOCK_SIZE=size, mask_mod=mask_mod)

    @classmethod
    def from_kv_blocks(
        cls, kv_num_blocks: Tensor, kv_indices: Tensor, full_kv_num_blocks: Tensor | None = None,
        full_kv_indices: Tensor | None = None, BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE,
        mask_mod: MaskMod | None = None, seq_lengths: tuple[int, int] | None = None, compute_q_blocks: bool = True, **options: Any,
    ) -> BlockMask:  # fmt: skip
        """Of numbers and columns of the blocks in each row."""
        size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
        lengths = seq_lengths or (kv_indices.size(-2) * size[0], kv_indices.size(-1) * size[1])
        full = None
        if full_kv_num_blocks is not None and full_kv_indices is not None:
            full = _table(full_kv_num_blocks, full_kv_indices)
        return cls._of_tables(_table(kv_num_blocks, kv_indices), full, lengths, size, mask_mod or noop_mask)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.kv_indices.shape[:-2], *self.seq_lengths)

    def __getitem__(self, index: Any) -> BlockMask:
        """The mask of some batches, heads and rows of blocks."""
        index = index if isinstance(index, tuple) else (index,)
        kept = tuple(
            slice(i, i + 1) if isinstance(i, int) and i != -1 else slice(i, None) if i == -1 else i for i in index
        )
        parts = (self.kv_num_blocks, self.kv_indices, self.full_kv_num_blocks, self.full_kv_indices)
        rows = [None if t is None else t[kept] for t in parts]
        assert rows[0] is not None and rows[1] is not None  # partial blocks are always listed
        length = min(self.seq_lengths[0], rows[1].size(-2) * self.BLOCK_SIZE[0])
        return BlockMask.from_kv_blocks(
            rows[0], rows[1], rows[2], rows[3], self.BLOCK_SIZE, None, (length, self.seq_lengths[1])
        )

    def seen(self, decided: Tensor) -> Tensor:
        """What each query sees, where `decided` is what the mask function says of each position."""
        partial, full = self._at_positions(self.kv_num_blocks, self.kv_indices), None
        if self.full_kv_num_blocks is not None and self.full_kv_indices is not None:
            full = self._at_positions(self.full_kv_num_blocks, self.full_kv_indices)
        return partial & decided if full is None else full | (partial & decided)

    def _at_positions(self, count: Tensor, columns: Tensor) -> Tensor:
        table = (
            _table(count, columns).repeat_interleave(self.BLOCK_SIZE[0], -2).repeat_interleave(self.BLOCK_SIZE[1], -1)
        )
        return table[..., : self.seq_lengths[0], : self.seq_lengths[1]]

    def to_dense(self) -> Tensor:
        """An int32 table of blocks: 1 where there is something to see."""
        table = _table(self.kv_num_blocks, self.kv_indices)
        if self.full_kv_num_blocks is not None and self.full_kv_indices is not None:
            table = table | _table(self.full_kv_num_blocks, self.full_kv_indices)
        return table.to(lamina.int32)

    def numel(self) -> int:
        """How many positions there are."""
        return math.prod(self.shape)

    def sparsity(self) -> float:
        """The percentage of positions that no block covers."""
        covered = int(self.to_dense().sum()) * self.BLOCK_SIZE[0] * self.BLOCK_SIZE[1]
        return 100 * (1 - covered / self.numel())

    def as_tuple(self, flatten: bool = True) -> tuple[Any, ...]:
        """All that it is made of."""
        size = self.BLOCK_SIZE if flatten else (self.BLOCK_SIZE,)
        lengths = self.seq_lengths if flatten else (self.seq_lengths,)
        return (
            *lengths, self.kv_num_blocks, self.kv_indices, self.full_kv_num_blocks, self.full_kv_indices, self.q_num_blocks,
            self.q_indices, self.full_q_num_blocks, self.full_q_indices, *size, self.mask_mod,
        )  # fmt: skip

    def to(self, device: Any) -> BlockMask:
        """The same mask with its tensors on `device`."""
        tensors = [t.to(device) if isinstance(t, Tensor) else t for t in self.as_tuple(flatten=False)[1:9]]
        return BlockMask(self.seq_lengths, *tensors, BLOCK_SIZE=self.BLOCK_SIZE, mask_mod=self.mask_mod)

    def __repr__(self) -> str:
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%)"
