"""Orders, seeds and the random stream that is left afterwards: lamina.utils.data beside torch.utils.data."""

import random

import numpy as np
import pytest
import torch
import torch.utils.data as theirs

import lamina
import lamina.utils.data as ours

SIDES = ((lamina, ours), (torch, theirs))


def both(program):
    """What `program(library, data)` returns and what the default generator gives next, on both sides."""
    results = []
    for library, data in SIDES:
        library.manual_seed(3)
        result = program(library, data)
        results.append((result, library.rand(5).tolist(), library.initial_seed()))
    assert results[0] == results[1]


def generator(library):
    return library.Generator().manual_seed(11)


SAMPLERS = {
    "random": lambda t, d: d.RandomSampler(range(50)),
    "random, more than there are": lambda t, d: d.RandomSampler(range(7), num_samples=16),
    "replacement": lambda t, d: d.RandomSampler(range(50), replacement=True, num_samples=70),
    "replacement, whole draws": lambda t, d: d.RandomSampler(range(50), replacement=True, num_samples=64),
    "subset": lambda t, d: d.SubsetRandomSampler([3, 1, 4, 1, 5, 9, 2, 6]),
    "weighted": lambda t, d: d.WeightedRandomSampler([0.1, 3, 0, 2, 0.7], 40),
    "weighted, no replacement": lambda t, d: d.WeightedRandomSampler([0.1, 3, 1, 2, 0.7], 4, False),
    "batches": lambda t, d: d.BatchSampler(d.RandomSampler(range(11)), 3, True),
    "distributed": lambda t, d: d.DistributedSampler(range(11), 4, 2, seed=5),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers(name):
    both(lambda t, d: [list(sampler) for sampler in [SAMPLERS[name](t, d)] for _ in range(2)])


@pytest.mark.parametrize("options", [{}, {"num_samples": 23}, {"replacement": True, "num_samples": 40}])
def test_a_generator_of_ones_own_is_left_in_the_same_state(options):
    def program(t, d):
        own = generator(t)
        order = list(d.RandomSampler(range(9), generator=own, **options))
        return order, t.rand(4, generator=own).tolist()

    both(program)


def test_random_split():
    def program(t, d):
        own = d.random_split(range(30), [0.5, 0.25, 0.25], generator=generator(t))
        return [list(part.indices) for part in (*d.random_split(range(10), [3, 7]), *own)]

    both(program)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_loader(num_workers, own, shuffle):
    def program(t, d):
        dataset = d.TensorDataset(t.arange(40.0).reshape(20, 2), t.arange(20))
        loader = d.DataLoader(
            dataset, 6, shuffle=shuffle, num_workers=num_workers, generator=generator(t) if own else None
        )
        seen = [[(x.tolist(), y.tolist()) for x, y in loader] for _ in range(2)]
        next(iter(loader))
        return seen, t.rand(2, generator=loader.generator).tolist()

    both(program)


def test_persistent_workers_draw_as_often():
    def program(t, d):
        loader = d.DataLoader(range(9), 2, shuffle=True, num_workers=1, persistent_workers=True)
        return [[batch.tolist() for batch in loader] for _ in range(3)]

    both(program)


def draws_of(library, data):
    def collate(batch):
        info = data.get_worker_info()
        return info.seed, library.rand(2).tolist(), np.random.rand(3).tolist(), random.random(), info.id

    return collate


def test_workers_draw_the_same():
    def program(t, d):
        return list(d.DataLoader(range(4), num_workers=2, collate_fn=draws_of(t, d), multiprocessing_context="fork"))

    both(program)


MESSAGES = {
    "sampler size": lambda t, d: d.RandomSampler([]),
    "replacement": lambda t, d: d.RandomSampler([1], replacement=1),
    "weights": lambda t, d: d.WeightedRandomSampler([[1.0, 2.0]], 2),
    "weighted size": lambda t, d: d.WeightedRandomSampler([1.0], True),
    "batch size": lambda t, d: d.BatchSampler([1], True, False),
    "drop last": lambda t, d: d.BatchSampler([1], 2, 1),
    "no datasets": lambda t, d: d.ConcatDataset([]),
    "far index": lambda t, d: d.ConcatDataset([[1]])[-2],
    "far positive index": lambda t, d: d.ConcatDataset([[1]])[1],
    "nothing to stack": lambda t, d: d.StackDataset(),
    "both kinds": lambda t, d: d.StackDataset([1], a=[1]),
    "unequal": lambda t, d: d.StackDataset([1], [1, 2]),
    "abstract": lambda t, d: d.Dataset()[0],
    "iterable": lambda t, d: d.IterableDataset(),
    "sampler": lambda t, d: iter(d.Sampler()),
    "split": lambda t, d: d.random_split([1, 2], [3]),
    "fractions": lambda t, d: d.random_split([1, 2], [-0.5, 1.5]),
    "rank": lambda t, d: d.DistributedSampler([1], 2, 2),
    "collate none": lambda t, d: d.default_collate([None]),
    "collate object": lambda t, d: d.default_collate([np.array([object()])]),
    "collate complex": lambda t, d: d.default_collate([1j]),
    "collate unequal": lambda t, d: d.default_collate([[1], [1, 2]]),
    "collate empty": lambda t, d: d.default_collate([]),
    "prefetch": lambda t, d: d.DataLoader([1], prefetch_factor=2),
    "negative prefetch": lambda t, d: d.DataLoader([1], num_workers=1, prefetch_factor=-2),
    "context": lambda t, d: d.DataLoader([1], num_workers=1, multiprocessing_context="x"),
    "context type": lambda t, d: d.DataLoader([1], num_workers=1, multiprocessing_context=3),
    "empty shuffled": lambda t, d: d.DataLoader([], shuffle=True),
    "exclusive": lambda t, d: d.DataLoader([1], batch_sampler=[[0]], drop_last=True),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(name):
    texts = []
    for library, data in SIDES:
        with pytest.raises(Exception) as caught:
            MESSAGES[name](library, data)
        texts.append((caught.type, str(caught.value)))
    assert texts[0] == texts[1]
