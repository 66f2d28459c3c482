"""Sequences of different lengths: padding them to one tensor, packing them for recurrent layers, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

import lamina
from lamina.core.tensor import Tensor
from lamina.primitives import fused

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence_(NamedTuple):
    """The fields of `PackedSequence`."""

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(PackedSequence_):
    """Sequences, longest first, interleaved by time: the first elements of all, then the second ones.

    `data` (total length, *), `batch_sizes` (longest length) on the CPU; `sorted_indices` and `unsorted_indices`
    (sequences) where they were sorted on the way in. To be made by `pack_padded_sequence` and `pack_sequence` only.
    """

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        if batch_sizes is None:
            if not (isinstance(data, (list, tuple)) and len(data) == 2):
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be created manually. "
                "They should be instantiated by functions like pack_sequence and pack_padded_sequences in nn.utils.rnn."
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """With `data` as its `to` gives it (the same object where nothing changes); indices follow to the device."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        indices = (None if i is None else i.to(data.device) for i in (self.sorted_indices, self.unsorted_indices))
        return type(self)(data, self.batch_sizes, *indices)

    def cuda(self, *args: Any, **kwargs: Any) -> Self:
        """With the tensors on a GPU. Raises as a tensor's `cuda` does where there is none."""
        return self if self.is_cuda else self._with_data(self.data.cuda(*args, **kwargs))

    def cpu(self, *args: Any, **kwargs: Any) -> Self:
        """With the tensors on the CPU."""
        return self.to("cpu", *args, **kwargs)

    def pin_memory(self) -> Self:
        """With the tensors in page-locked memory."""
        pinned = (None if t is None else t.pin_memory() for t in self)
        return type(self)(*pinned)

    def double(self) -> Self:
        """With `data` as float64."""
        return self.to(dtype=lamina.double)

    def float(self) -> Self:
        """With `data` as float32."""
        return self.to(dtype=lamina.float)

    def half(self) -> Self:
        """With `data` as float16."""
        return self.to(dtype=lamina.half)

    def long(self) -> Self:
        """With `data` as int64."""
        return self.to(dtype=lamina.long)

    def int(self) -> Self:
        """With `data` as int32."""
        return self.to(dtype=lamina.int)

    def short(self) -> Self:
        """With `data` as int16."""
        return self.to(dtype=lamina.short)

    def char(self) -> Self:
        """With `data` as int8."""
        return self.to(dtype=lamina.int8)

    def byte(self) -> Self:
        """With `data` as uint8."""
        return self.to(dtype=lamina.uint8)

    @property
    def is_cuda(self) -> bool:
        """Whether `data` is on a GPU."""
        return bool(self.data.is_cuda)

    def is_pinned(self) -> bool:
        """Whether `data` is in page-locked memory."""
        return bool(self.data.is_pinned())

    def _with_data(self, data: Tensor) -> Self:
        return type(self)(data, self.batch_sizes, self.sorted_indices, self.unsorted_indices)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes `permutation`."""
    if permutation is None:
        return None
    inverse = lamina.empty_like(permutation)
    return inverse.scatter_(0, permutation, lamina.arange(permutation.numel(), device=permutation.device))


@fused("PackPaddedSequence")
def _rows(input: Tensor, rows: Tensor) -> Tensor:
    return input.flatten(0, 1).index_select(0, rows)


def _batch_sizes(lengths: Tensor) -> Tensor:
    """How many of the sequences (of positive `lengths`, longest first) have a t-th element, for each t."""
    return (lamina.arange(int(lengths[0])).unsqueeze(1) < lengths).sum(1)


def _packed_rows(batch_sizes: Tensor, batch: int) -> Tensor:
    """For each packed element its row in (time, batch) flattened."""
    present = lamina.arange(batch) < batch_sizes.unsqueeze(1)
    return present.flatten().nonzero().squeeze(1)


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack padded sequences `input` (time, batch, *), or (batch, time, *) where `batch_first`, of those `lengths`.

    Without `enforce_sorted` they are sorted by length here. Raises RuntimeError for lengths that are not positive, not
    sorted, or not one for each sequence.
    """
    lengths = lamina.as_tensor(lengths, dtype=lamina.int64, device="cpu")
    sorted_indices = None
    if not enforce_sorted:
        lengths, sorted_indices = lamina.sort(lengths, descending=True)
        sorted_indices = sorted_indices.to(input.device)
        input = input.index_select(0 if batch_first else 1, sorted_indices)
    if batch_first:
        input = input.transpose(0, 1)
    _check_lengths(input, lengths)
    batch_sizes = _batch_sizes(lengths)
    # a length beyond the padded one counts in batch_sizes, though there is nothing to take
    rows = _packed_rows(batch_sizes[: input.size(0)], input.size(1))
    return PackedSequence(_rows(input, rows), batch_sizes, sorted_indices, None)


def _check_lengths(input: Tensor, lengths: Tensor) -> None:
    if input.numel() == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    if lengths.dim() != 1:
        raise RuntimeError(
            f"'lengths' argument should be a 1D CPU int64 tensor, but got {lengths.dim()}D cpu "
            f"{lengths.type().split('.')[-1].removesuffix('Tensor')} tensor"
        )
    if lengths.numel() != input.size(1):
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {lengths.numel()} (batch_size={input.size(1)})"
        )
    if bool((lengths <= 0).any()):
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if bool((lengths[1:] > lengths[:-1]).any()):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you "
            "do not need ONNX exportability."
        )


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The padded sequences (time, batch, *), or (batch, time, *) where `batch_first`, and their lengths.

    Raises ValueError where `total_length` is given and below the longest length.
    """
    batch_sizes = sequence.batch_sizes
    longest = batch_sizes.size(0)
    if total_length is None:
        total_length = longest
    elif total_length < longest:
        raise ValueError(
            "Expected total_length to be at least the length of the longest sequence in input, but got "
            f"total_length={total_length} and max sequence length being {longest}"
        )
    data, batch = sequence.data, int(batch_sizes[0])
    padded = data.new_full((total_length, batch, *data.shape[1:]), padding_value)
    padded.flatten(0, 1).index_copy_(0, _packed_rows(batch_sizes, batch), data)
    if batch_first:
        padded = padded.transpose(0, 1)
    lengths = (batch_sizes.unsqueeze(1) > lamina.arange(batch)).sum(0)
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(0 if batch_first else 1, sequence.unsorted_indices)
        lengths = lengths[sequence.unsorted_indices.cpu()]
    return padded, lengths


def pad_sequence(
    sequences: Tensor | Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (length, *) side by side, the shorter ones padded: (longest, batch, *), or (batch, longest, *).

    Raises RuntimeError for no sequences and for an unknown side.
    """
    if isinstance(sequences, Tensor):
        sequences = sequences.unbind(0)
    elif not isinstance(sequences, Iterable):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    sequences = tuple(sequences)
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    for i, each in enumerate(sequences):
        if not isinstance(each, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(each).__name__}")
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    longest = max(each.size(0) for each in sequences)
    rest = sequences[0].shape[1:]
    shape = (len(sequences), longest, *rest) if batch_first else (longest, len(sequences), *rest)
    padded = sequences[0].new_full(shape, padding_value)
    for i, each in enumerate(sequences):
        start = longest - each.size(0) if padding_side == "left" else 0
        padded.select(0 if batch_first else 1, i).narrow(0, start, each.size(0)).copy_(each)
    return padded


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences without their padding; undoes `pad_sequence` (padded on the right)."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [sequence[: int(n)] for sequence, n in zip(padded_sequences, lengths, strict=False)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (length, *); without `enforce_sorted` they are sorted by length here."""
    lengths = lamina.as_tensor([each.size(0) for each in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences that were packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
