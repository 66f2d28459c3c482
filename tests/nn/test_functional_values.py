"""nn.functional against definitions written out in NumPy, loops and enumeration."""

import itertools
import math

import numpy as np
import pytest

import lamina
import lamina.nn.functional as F

rng = np.random.default_rng(0)


def tensor(*shape):
    return lamina.tensor(rng.standard_normal(shape))


def close(ours, expected, tolerance=1e-12):
    np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmax(dim):
    x = tensor(3, 4, 5)
    powers = np.exp(x.numpy())
    close(F.softmax(x, dim), powers / powers.sum(dim, keepdims=True))
    close(F.log_softmax(x + 1e4, dim).exp(), powers / powers.sum(dim, keepdims=True), 1e-11)
    close(F.softmin(x, dim), F.softmax(-x, dim).numpy())


def test_attention():
    q, k, v = tensor(2, 3, 4, 6), tensor(2, 3, 5, 6), tensor(2, 3, 5, 6)
    allowed = rng.random((4, 5)) < 0.5
    allowed[2] = False
    scores = np.einsum("bhle,bhse->bhls", q.numpy(), k.numpy()) / math.sqrt(6)
    powers = np.where(allowed, np.exp(scores), 0.0)
    total = powers.sum(-1, keepdims=True)
    weights = powers / np.where(total == 0, 1, total)
    close(F.scaled_dot_product_attention(q, k, v, lamina.tensor(allowed)), weights @ v.numpy())


@pytest.mark.parametrize("dims", [(1,), (1, 2)])
def test_layer_norm(dims):
    x, shape = tensor(4, 3, 5), [(3, 5)[d - 1] for d in dims]
    if dims == (1,):
        x, shape = x.transpose(1, 2), [3]
    axes = tuple(range(-len(shape), 0))
    w, b, a = tensor(*shape), tensor(*shape), x.numpy()
    normal = (a - a.mean(axes, keepdims=True)) / np.sqrt(a.var(axes, keepdims=True) + 1e-5)
    close(F.layer_norm(x, shape, w, b), normal * w.numpy() + b.numpy())


def test_batch_norm_keeps_running_statistics():
    x, mean, var = tensor(6, 2, 3), lamina.zeros(2).double(), lamina.ones(2).double()
    out = F.batch_norm(x, mean, var, training=True, momentum=0.25)
    a = x.numpy()
    close(mean, 0.25 * a.mean((0, 2)))
    close(var, 0.75 + 0.25 * a.var((0, 2), ddof=1))
    close(out.mean((0, 2)), np.zeros(2))
    close(F.group_norm(x, 1), F.layer_norm(x, (2, 3)).numpy())
    close(F.instance_norm(x), F.group_norm(x, 2).numpy())


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_cross_entropy_by_hand(reduction):
    x, weight = tensor(5, 4), rng.uniform(0.5, 2, 4)
    target = np.array([1, 3, -100, 0, 3])
    log_p = x.numpy() - np.log(np.exp(x.numpy()).sum(1, keepdims=True))
    kept = target != -100
    w = np.where(kept, weight[target * kept], 0)
    losses = -log_p[np.arange(5), target * kept] * w
    expected = {"none": losses, "sum": losses.sum(), "mean": losses.sum() / w.sum()}[reduction]
    close(F.cross_entropy(x, lamina.tensor(target), lamina.tensor(weight), reduction=reduction), expected)


def test_index_targets_and_one_hot_targets_agree():
    x, target = tensor(5, 4, 2, 3), lamina.tensor(rng.integers(0, 4, (5, 2, 3)))
    one_hot = F.one_hot(target, 4).permute(0, 3, 1, 2).double()
    for smoothing in (0.0, 0.3):
        by_index = F.cross_entropy(x, target, label_smoothing=smoothing)
        close(by_index, F.cross_entropy(x, one_hot, label_smoothing=smoothing).numpy())


def test_ctc_loss_is_the_sum_over_alignments():
    """All 4^5 paths, each collapsed: repetitions first, then blanks."""
    log_p = F.log_softmax(tensor(5, 1, 4), 2)
    target, blank, total = (2, 1, 1), 0, 0.0
    for path in itertools.product(range(4), repeat=5):
        if tuple(label for label, _ in itertools.groupby(path) if label != blank) == target:
            total += math.exp(sum(log_p[t, 0, label].item() for t, label in enumerate(path)))
    close(F.ctc_loss(log_p, lamina.tensor([target]), (5,), (3,), reduction="sum"), -math.log(total))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag_is_a_loop(mode):
    table, indices, offsets = tensor(6, 3), [4, 1, 1, 0, 5], [0, 2, 2, 4]
    rows = [table.numpy()[[i for i in indices[a:b] if i != 1]] for a, b in itertools.pairwise([*offsets, len(indices)])]
    expected = [getattr(np, mode)(bag, axis=0) if len(bag) else np.zeros(3) for bag in rows]
    ours = F.embedding_bag(lamina.tensor(indices), table, lamina.tensor(offsets), mode=mode, padding_idx=1)
    close(ours, np.array(expected))


def test_margin_losses_are_loops():
    x, labels = tensor(3, 4), [[3, 0, -1, 1], [-1, 0, 0, 0], [0, 1, 2, 3]]
    a = x.numpy()
    several = 0.0
    for row, listed in zip(a, labels, strict=True):
        wanted = list(itertools.takewhile(lambda label: label >= 0, listed))
        several += sum(max(0, 1 - row[y] + row[j]) for y in wanted for j in range(4) if j not in wanted) / 4
    close(F.multilabel_margin_loss(x, lamina.tensor(labels), reduction="sum"), several)
    single = [
        sum(max(0, 1 - row[y] + row[j]) ** 2 for j in range(4) if j != y) / 4
        for row, y in zip(a, (2, 0, 3), strict=True)
    ]
    close(F.multi_margin_loss(x, lamina.tensor([2, 0, 3]), p=2, reduction="none"), np.array(single))


def test_pad_is_numpys():
    x = tensor(2, 3, 5, 4)
    widths = ((0, 0), (0, 0), (2, 1), (1, 3))
    for mode, name in (("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap"), ("constant", "constant")):
        close(F.pad(x, (1, 3, 2, 1), mode), np.pad(x.numpy(), widths, mode=name))
        close(F.pad(F.pad(x, (1, 3, 2, 1), mode), (-1, -3, -2, -1)), x.numpy())


def test_fold_is_the_adjoint_of_unfold():
    shape = {"kernel_size": (2, 3), "dilation": (1, 2), "padding": 1, "stride": (2, 1)}
    x = tensor(2, 3, 6, 7)
    columns = F.unfold(x, **shape)
    y = tensor(*columns.shape)
    close((columns * y).sum(), (x * F.fold(y, (6, 7), **shape)).sum().numpy(), 1e-10)


def test_shuffles_undo_each_other():
    x = tensor(2, 12, 4, 6)
    close(F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2), x.numpy())
    close(F.channel_shuffle(F.channel_shuffle(x, 3), 4), x.numpy())


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "lanczos"])
def test_antialiased_resizing_keeps_constants_and_symmetry(mode):
    close(
        F.interpolate(lamina.full((1, 1, 9, 7), 3.5).double(), (4, 12), mode=mode, antialias=True),
        np.full((1, 1, 4, 12), 3.5),
    )
    x = tensor(1, 2, 9, 7)
    flipped = F.interpolate(x.flip(3), (4, 3), mode=mode, antialias=True)
    close(flipped.flip(3), F.interpolate(x, (4, 3), mode=mode, antialias=True).numpy(), 1e-10)


def test_identity_grid_gives_the_image_back():
    x = tensor(2, 3, 5, 6)
    theta = lamina.tensor([[1.0, 0, 0], [0, 1, 0]]).double().expand(2, 2, 3)
    for aligned in (False, True):
        grid = F.affine_grid(theta, x.shape, align_corners=aligned)
        close(F.grid_sample(x, grid, align_corners=aligned), x.numpy(), 1e-10)


def test_unpooling_puts_the_maxima_back():
    x = tensor(2, 3, 6, 8)
    values, places = F.max_pool2d(x, 2, return_indices=True)
    back = F.max_unpool2d(values, places, 2)
    close(F.max_pool2d(back.clamp(min=0), 2), values.clamp(min=0).numpy())
    assert int((back != 0).sum()) == values.numel()


def test_weights_of_multi_head_attention_sum_to_one():
    x = tensor(5, 2, 6)
    out, weights = F.multi_head_attention_forward(
        x, x, x, 6, 3, tensor(18, 6), tensor(18), tensor(1, 1, 6), tensor(1, 1, 6), True, 0.0, tensor(6, 6), tensor(6)
    )
    assert out.shape == (5, 2, 6)
    assert weights.shape == (2, 5, 7)
    close(weights.sum(-1), np.ones((2, 5)))
