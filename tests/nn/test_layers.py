"""Layers without PyTorch: recorded initial weights, laws that hold for any numbers, and lives of a module's state."""

import copy
import math
import pickle

import numpy as np
import pytest

import lamina
from lamina import nn
from lamina.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

# The last element of each parameter after manual_seed(0), recorded from PyTorch 2.13.
RECORDED = [
    ("Linear", (3, 2), [0.154820725, 0.457774937]),
    ("Conv2d", (1, 2, 2), [0.396444738, 0.132306278]),
    ("Embedding", (4, 5), [0.0537369028]),
    ("LSTM", (2, 2), [0.0261937603, 0.610940814, 0.342715234, 0.4145917]),
    ("GRUCell", (2, 2), [-0.138992712, 0.5291363, -0.179014862, -0.662248611]),
    ("MultiheadAttention", (2, 1), [0.519634962, 0, -0.520387471, 0]),
    ("Bilinear", (2, 2, 2), [0.560657501, 0.187109336]),
]
RECURRENT = [("RNN", 1), ("GRU", 3), ("LSTM", 4)]


@pytest.mark.parametrize("name, args, expected", RECORDED)
def test_initial_parameters(name, args, expected):
    lamina.manual_seed(0)
    module = getattr(nn, name)(*args)
    last = [parameter.detach().flatten()[-1].item() for parameter in module.parameters()]
    assert last == pytest.approx(expected, rel=1e-6)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def step(name, x, state, w_ih, w_hh, b_ih, b_hh):
    """One step by the textbook."""
    a, b = w_ih @ x + b_ih, w_hh @ state[0] + b_hh
    if name == "RNN":
        return (np.tanh(a + b),)
    if name == "GRU":
        (ra, za, na), (rb, zb, nb) = np.split(a, 3), np.split(b, 3)
        r, z = sigmoid(ra + rb), sigmoid(za + zb)
        return ((1 - z) * np.tanh(na + r * nb) + z * state[0],)
    i, f, g, o = np.split(a + b, 4)
    cell = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(cell), cell


@pytest.mark.parametrize("name, gates", RECURRENT)
def test_recurrent_layer_is_the_textbook_loop(name, gates):
    lamina.manual_seed(0)
    module = getattr(nn, name)(3, 4, dtype=lamina.float64)
    input = lamina.randn(5, 2, 3, dtype=lamina.float64)
    output, final = module(input)
    weights = [weight.detach().numpy() for weight in module._flat_weights]
    for sample in range(2):
        state = (np.zeros(4),) * (2 if name == "LSTM" else 1)
        for time in range(5):
            state = step(name, input[time, sample].numpy(), state, *weights)
            np.testing.assert_allclose(output[time, sample].detach().numpy(), state[0], atol=1e-12)
    hidden = final[0] if name == "LSTM" else final
    np.testing.assert_allclose(hidden[0, 1].detach().numpy(), state[0], atol=1e-12)
    cell = getattr(nn, name + "Cell")(3, 4, dtype=lamina.float64)
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in module.state_dict().items()})
    stepped = cell(input[0])
    np.testing.assert_allclose(
        (stepped[0] if name == "LSTM" else stepped).detach().numpy(), output[0].detach().numpy(), atol=1e-12
    )


@pytest.mark.parametrize("name, gates", RECURRENT)
def test_packed_rows_do_not_see_the_padding(name, gates):
    lamina.manual_seed(0)
    module = getattr(nn, name)(3, 4, num_layers=2, bidirectional=True)
    input, lengths = lamina.randn(5, 3, 3), [2, 5, 3]
    packed, final = module(pack_padded_sequence(input, lengths, enforce_sorted=False))
    output, got_lengths = pad_packed_sequence(packed)
    assert got_lengths.tolist() == lengths
    hidden = final[0] if name == "LSTM" else final
    for sample, length in enumerate(lengths):
        alone, last = module(input[:length, sample])
        assert lamina.allclose(output[:length, sample], alone, atol=1e-6)
        assert lamina.allclose(hidden[:, sample], last[0] if name == "LSTM" else last, atol=1e-6)
    assert not output[2:, 0].any()


def test_flat_weights_follow_the_parameters():
    lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    for module in (lstm, copy.deepcopy(lstm), pickle.loads(pickle.dumps(lstm)), lstm.double()):
        assert all(w is p for w, p in zip(module._flat_weights, module.parameters(), strict=True))
    lstm.weight_hh_l0 = nn.Parameter(lamina.zeros(16, 4, dtype=lamina.float64))
    assert lstm._flat_weights[1] is lstm.weight_hh_l0
    assert lstm.all_weights[0][1] is lstm.weight_hh_l0


@pytest.mark.parametrize("momentum", [0.3, None])
def test_running_statistics(momentum):
    lamina.manual_seed(0)
    norm = nn.BatchNorm1d(2, momentum=momentum)
    batches = [lamina.randn(6, 2) for _ in range(4)]
    mean = np.zeros(2)
    for count, batch in enumerate(batches, 1):
        norm(batch)
        factor = 1 / count if momentum is None else momentum
        mean = (1 - factor) * mean + factor * batch.numpy().mean(0)
    np.testing.assert_allclose(norm.running_mean.numpy(), mean, atol=1e-6)
    assert norm.num_batches_tracked.item() == 4
    before = norm.running_mean.clone()
    norm.eval()(batches[0])
    assert lamina.equal(norm.running_mean, before)


def test_state_before_num_batches_tracked_loads():
    norm = nn.BatchNorm1d(2)
    norm(lamina.ones(3, 2))
    old = {name: value for name, value in nn.BatchNorm1d(2).state_dict().items() if name != "num_batches_tracked"}
    norm.load_state_dict(old)
    assert norm.num_batches_tracked.item() == 1


@pytest.mark.parametrize(
    "lazy, shape",
    [
        (lambda: nn.LazyLinear(4), (2, 3)),
        (lambda: nn.LazyConv2d(4, 3), (2, 3, 5, 5)),
        (lambda: nn.LazyConvTranspose1d(4, 3), (2, 3, 5)),
        (lambda: nn.LazyBatchNorm1d(), (4, 3)),
    ],
)
def test_lazy_becomes_the_layer_and_its_state_loads_lazily(lazy, shape):
    module, input = lazy(), lamina.ones(shape)
    kind = module.cls_to_become
    module(input)
    assert type(module) is kind
    other = lazy()
    other.load_state_dict(module.state_dict())
    other(input)
    assert type(other) is kind and repr(other) == repr(module)
    for value, reference in zip(other.parameters(), module.parameters(), strict=True):
        assert lamina.equal(value, reference)


def test_causal_decoder_does_not_look_ahead():
    lamina.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    input = lamina.randn(2, 5, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    changed = input.clone()
    changed[:, 3:] += 1
    before, after = layer(input, src_mask=mask, is_causal=True), layer(changed, src_mask=mask, is_causal=True)
    assert lamina.allclose(before[:, :3], after[:, :3], atol=1e-6)
    assert not lamina.allclose(before[:, 3:], after[:, 3:], atol=1e-2)


def test_adaptive_softmax_is_a_distribution():
    lamina.manual_seed(0)
    softmax = nn.AdaptiveLogSoftmaxWithLoss(8, 10, [2, 5], div_value=2.0)
    input, target = lamina.randn(6, 8), lamina.tensor([0, 9, 4, 1, 5, 2])
    log_probs = softmax.log_prob(input)
    assert lamina.allclose(log_probs.exp().sum(1), lamina.ones(6), atol=1e-5)
    output, loss = softmax(input, target)
    assert lamina.allclose(output, log_probs.gather(1, target.unsqueeze(1)).squeeze(1), atol=1e-5)
    assert loss.item() == pytest.approx(-output.mean().item(), rel=1e-6)
    assert lamina.equal(softmax.predict(input), log_probs.argmax(1))


@pytest.mark.parametrize("a, b", [(-2.0, 2.0), (0.2, 0.4), (1.5, 3.0)])
def test_trunc_normal_stays_within_its_bounds(a, b):
    lamina.manual_seed(0)
    values = nn.init.trunc_normal_(lamina.empty(4000), 0.0, 1.0, a, b).numpy()
    assert values.min() >= a and values.max() <= b

    def density(x):
        return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)

    mass = (math.erf(b / math.sqrt(2)) - math.erf(a / math.sqrt(2))) / 2
    assert values.mean() == pytest.approx((density(a) - density(b)) / mass, abs=0.05)


def test_orthogonal_and_dirac():
    rows = nn.init.orthogonal_(lamina.empty(3, 5))
    assert lamina.allclose(rows @ rows.T, lamina.eye(3), atol=1e-6)
    conv = nn.Conv2d(3, 3, 3, padding=1, bias=False)
    nn.init.dirac_(conv.weight)
    image = lamina.randn(1, 3, 4, 4)
    assert lamina.allclose(conv(image), image)
