"""Sequences: padding and packing undo each other, in values and gradients."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina.nn.utils import rnn

LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=5)


def sequences_of(lengths, *rest, **options):
    lamina.manual_seed(len(lengths))
    return [lamina.randn(n, *rest, **options) for n in lengths]


@settings(max_examples=50, deadline=None)
@given(LENGTHS, st.booleans(), st.sampled_from([(), (2,), (2, 3)]))
def test_round_trips(lengths, batch_first, rest):
    sequences = sequences_of(lengths, *rest)
    packed = rnn.pack_sequence(sequences, enforce_sorted=False)
    padded = rnn.pad_sequence(sequences, batch_first)
    again, counted = rnn.pad_packed_sequence(packed, batch_first)
    assert packed.batch_sizes.tolist() == [sum(n > t for n in lengths) for t in range(max(lengths))]
    assert counted.tolist() == lengths
    assert again.equal(padded)
    for unpacked in (rnn.unpack_sequence(packed), rnn.unpad_sequence(padded, lamina.tensor(lengths), batch_first)):
        assert all(a.equal(b) for a, b in zip(unpacked, sequences, strict=True))


@settings(max_examples=20, deadline=None)
@given(LENGTHS)
def test_gradients_go_to_their_elements(lengths):
    sequences = sequences_of(lengths, 2, requires_grad=True)
    weights = sequences_of(lengths, 2)
    padded, _ = rnn.pad_packed_sequence(rnn.pack_sequence(sequences, enforce_sorted=False))
    (padded * rnn.pad_sequence(weights, padding_value=7.0)).sum().backward()
    assert all(s.grad.equal(w) for s, w in zip(sequences, weights, strict=True))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_side(side):
    padded = rnn.pad_sequence([lamina.ones(1), lamina.ones(3)], True, padding_value=5.0, padding_side=side)
    assert padded[0].tolist() == ([5.0, 5.0, 1.0] if side == "left" else [1.0, 5.0, 5.0])


@pytest.mark.parametrize(
    ("lengths", "message"),
    [([1, 2], "must be sorted in decreasing order"), ([2, 0], "greater than 0"), ([2], "to be equal to batch_size")],
)
def test_refused_lengths(lengths, message):
    with pytest.raises(RuntimeError, match=message):
        rnn.pack_padded_sequence(lamina.zeros(2, 2, 1), lengths)
