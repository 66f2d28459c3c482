"""Pruning: how much is masked, that masks add up, and that they come off."""

import pytest

import lamina
from lamina import nn
from lamina.nn.utils import prune


@pytest.mark.parametrize(("amount", "masked"), [(0, 0), (3, 3), (0.5, 6), (1.0, 12)])
@pytest.mark.parametrize("function", [prune.l1_unstructured, prune.random_unstructured])
def test_amount_of_elements(function, amount, masked):
    m = function(nn.Linear(4, 3), "weight", amount)
    assert int((m.weight_mask == 0).sum()) == masked
    assert m.weight.detach().equal(m.weight_orig.detach() * m.weight_mask)


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize(
    "function", [prune.random_structured, lambda m, name, amount, dim: prune.ln_structured(m, name, amount, 2, dim)]
)
def test_whole_slices(function, dim):
    m = function(nn.Linear(4, 3), "weight", 2, dim)
    kept = m.weight_mask.transpose(0, dim).flatten(1)
    assert [row.unique().numel() for row in kept] == [1] * kept.shape[0]
    assert int((kept[:, 0] == 0).sum()) == 2


def test_masks_add_up_and_come_off():
    lamina.manual_seed(0)
    m = nn.Linear(6, 4)
    masks = []
    for function, args in (
        (prune.l1_unstructured, (4,)),
        (prune.random_unstructured, (0.5,)),
        (prune.ln_structured, (1, 2, 0)),
    ):
        function(m, "weight", *args)
        masks.append(m.weight_mask.clone())
    assert all(bool((later <= earlier).all()) for earlier, later in zip(masks, masks[1:], strict=False))
    assert [int((mask == 0).sum()) for mask in masks[:2]] == [4, 14]
    m(lamina.ones(1, 6)).sum().backward()
    assert m.weight_orig.grad.equal(masks[-1])
    masked = m.weight.detach().clone()
    prune.remove(m, "weight")
    assert m.weight.equal(masked)
    assert isinstance(m.weight, nn.Parameter)
    assert not prune.is_pruned(m)


def test_global_pruning_takes_the_smallest_of_all():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    with lamina.no_grad():
        net[0].weight.fill_(1.0)
        net[1].weight.fill_(2.0)
    prune.global_unstructured([(m, "weight") for m in net], prune.L1Unstructured, amount=0.5)
    assert (net[0].weight.abs().sum().item(), net[1].weight.abs().sum().item()) == (0.0, 18.0)


@pytest.mark.parametrize("amount", [-1, 1.5, 100, "a"])
def test_refused_amounts_change_nothing(amount):
    m = nn.Linear(4, 3)
    with pytest.raises((ValueError, TypeError)):
        prune.l1_unstructured(m, "weight", amount)
    assert [name for name, _ in m.named_parameters()] == ["weight", "bias"]
