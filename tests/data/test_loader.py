"""DataLoader, datasets, samplers and collation, without a reference."""

import collections
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

import lamina
from lamina.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    StackDataset,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    get_worker_info,
    random_split,
)

WORKERS = [0, 1, 2]


class Squares(Dataset):
    """Sample i is i * i; the last one is what `last` says."""

    def __init__(self, size, last=None):
        self.size, self.last = size, last

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        if self.last is not None and index == self.size - 1:
            self.last()
        return index * index


class Count(IterableDataset):
    """0 .. size - 1; with `share` each worker its part of them."""

    def __init__(self, size, share=False):
        self.size, self.share = size, share

    def __len__(self):
        return self.size

    def __iter__(self):
        info = get_worker_info()
        if self.share and info is not None:
            return iter(range(info.id, self.size, info.num_workers))
        return iter(range(self.size))


def fail():
    raise KeyError("no such sample")


class Fussy(Exception):
    def __init__(self, one, two):
        super().__init__(one, two)


def fail_fussily():
    raise Fussy(1, 2)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def rows(size=10):
    return TensorDataset(lamina.arange(2.0 * size).reshape(size, 2), lamina.arange(size))


def same(ours, expected):
    assert type(ours) is type(expected)
    if isinstance(ours, lamina.Tensor):
        assert ours.dtype == expected.dtype and ours.shape == expected.shape and lamina.equal(ours, expected)
    elif isinstance(ours, dict):
        assert list(ours) == list(expected)
        for key in ours:
            same(ours[key], expected[key])
    elif isinstance(ours, (list, tuple)):
        for mine, other in zip(ours, expected, strict=True):
            same(mine, other)
    else:
        assert ours == expected


@pytest.mark.parametrize("num_workers", WORKERS)
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 10, 20])
def test_batches_in_order(num_workers, drop_last, batch_size):
    loader = DataLoader(Squares(10), batch_size, drop_last=drop_last, num_workers=num_workers)
    stop = 10 // batch_size * batch_size if drop_last else 10
    expected = [[i * i for i in range(a, min(a + batch_size, 10))] for a in range(0, stop, batch_size)]
    assert [batch.tolist() for batch in loader] == expected
    assert len(loader) == len(expected)


@pytest.mark.parametrize("num_workers", WORKERS)
def test_every_pass_and_persistent_workers(num_workers):
    generator = lamina.Generator().manual_seed(0)
    options = {"persistent_workers": True, "prefetch_factor": 3} if num_workers else {}
    loader = DataLoader(rows(), 4, shuffle=True, generator=generator, num_workers=num_workers, **options)
    passes = [[i for _, y in loader for i in y.tolist()] for _ in range(3)]
    assert all(sorted(one) == list(range(10)) for one in passes) and passes[0] != passes[1]
    next(iter(loader))  # a pass given up in the middle
    assert sum(len(y) for _, y in loader) == 10


class StopsAtTwo(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == 2:
            raise StopIteration
        return index


@pytest.mark.parametrize("num_workers", WORKERS)
def test_a_dataset_that_stops_ends_the_pass(num_workers):
    """As in PyTorch: the StopIteration comes out of the loader's own next()."""
    assert [batch.item() for batch in DataLoader(StopsAtTwo(), num_workers=num_workers)] == [0, 1]


def test_data_pipes_are_refused_by_name_and_absent_to_a_probe():
    from lamina.utils import data

    assert not hasattr(data, "IterDataPipe")
    with pytest.raises(NotImplementedError, match="IterableDataset"):
        data.IterDataPipe  # noqa: B018


@pytest.mark.parametrize("num_workers", WORKERS)
def test_single_samples(num_workers):
    assert list(DataLoader(Squares(4), batch_size=None, num_workers=num_workers)) == [0, 1, 4, 9]
    (batch,) = DataLoader(Squares(4), batch_size=None, sampler=[1], num_workers=num_workers)
    assert batch == 1


@pytest.mark.parametrize("num_workers", WORKERS)
def test_iterable(num_workers):
    loader = DataLoader(Count(5, share=True), 2, num_workers=num_workers)
    assert sorted(i for batch in loader for i in batch.tolist()) == [0, 1, 2, 3, 4]
    assert len(loader) == 3 and len(DataLoader(Count(5), 2, drop_last=True)) == 2
    loader = DataLoader(Count(5), 2, drop_last=True, num_workers=num_workers)
    assert len(list(loader)) == 2 * max(1, num_workers)


def test_iterable_longer_than_it_said_warns():
    dataset = Count(3)
    loader = DataLoader(dataset, batch_size=None)
    assert len(loader) == 3
    dataset.size = 4
    with pytest.warns(UserWarning, match="was reported to be 3.*but 4 samples have been fetched"):
        assert list(loader) == [0, 1, 2, 3]


def test_any_order_of_arrival_gives_all():
    loader = DataLoader(Squares(20), 2, num_workers=2, in_order=False)
    assert sorted(i for batch in loader for i in batch.tolist()) == [i * i for i in range(20)]


@pytest.mark.parametrize(
    "last, kind", [(fail, KeyError), (fail_fussily, RuntimeError)], ids=["a usual error", "one with its own arguments"]
)
@pytest.mark.parametrize("persistent_workers", [False, True])
def test_an_error_in_a_worker_is_raised_here_and_the_loader_goes_on(last, kind, persistent_workers):
    loader = DataLoader(Squares(4, last), 1, num_workers=2, persistent_workers=persistent_workers)
    for _ in range(2):
        batches = iter(loader)
        assert [next(batches).item() for _ in range(3)] == [0, 1, 4]
        with pytest.raises(kind) as caught:
            next(batches)
        text = str(caught.value)
        assert text.startswith(f"Caught {'KeyError' if last is fail else 'Fussy'} in DataLoader worker process 1.")
        assert "Original Traceback" in text and f"in {last.__name__}" in text
        assert list(batches) == []


def test_a_killed_worker_is_reported():
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid\(s\) \d+\) exited unexpectedly\n.*-9"):
        list(DataLoader(Squares(4, die), 1, num_workers=1))


def sleepy(batch):
    time.sleep(1)


def test_timeout():
    loader = DataLoader(Squares(4), num_workers=1, timeout=0.3, collate_fn=sleepy)
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0.3 seconds"):
        next(iter(loader))


def describe(batch):
    info = get_worker_info()
    return info.id, info.num_workers, info.seed, len(info.dataset), float(np.random.rand()), lamina.rand(1).item()


def note_worker(worker_id):
    get_worker_info().dataset.size = 100 + worker_id


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_worker_info_and_seeds(context):
    lamina.manual_seed(0)
    options = {
        "num_workers": 2,
        "collate_fn": describe,
        "worker_init_fn": note_worker,
        "multiprocessing_context": context,
    }
    first, second = DataLoader(Squares(2), **options)
    assert first[:2] == (0, 2) and second[:2] == (1, 2)
    assert second[2] == first[2] + 1 and (first[3], second[3]) == (100, 101)
    assert first[4] != second[4] and first[5] != second[5]
    assert get_worker_info() is None


def test_worker_info_is_fixed():
    (text,) = DataLoader([1], num_workers=1, collate_fn=change_info)
    assert text == "Cannot assign attributes to WorkerInfo objects"


def change_info(batch):
    try:
        get_worker_info().id = 3
    except RuntimeError as error:
        return str(error)


def mixed(batch):
    x = lamina.arange(6).reshape(2, 3)
    return {"view": x.t(), "half": x.to(lamina.bfloat16), "empty": x[:0], "scalar": x[1, 2], "other": ("a", None)}


def test_what_travels_between_processes():
    (received,) = DataLoader([1], num_workers=1, collate_fn=mixed)
    same(received, mixed(None))


PARTS = {
    "whole": lambda d: d,
    "subset": lambda d: Subset(d, [7, 0, 3, 3]),
    "subset of a subset": lambda d: Subset(Subset(d, range(1, 9)), [1, -1]),
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_whole_batches_of_rows_are_the_stacked_samples(part):
    dataset = part(rows())
    order = [*range(len(dataset))][::-1]
    for index in (order, [-1, 0], lamina.tensor(order)):
        (fast,) = DataLoader(dataset, batch_sampler=[index])
        same(fast, default_collate([dataset[i] for i in index]))
    for wrong in ([0, 10], [-11]):
        with pytest.raises(IndexError):
            list(DataLoader(dataset, batch_sampler=[wrong]))


def test_rows_that_record_gradients_are_stacked():
    x = lamina.arange(4.0).requires_grad_()
    (batch,) = DataLoader(TensorDataset(x), 4)
    assert type(batch[0].grad_fn).__name__ == "StackBackward0"
    batch[0].sum().backward()
    assert x.grad.tolist() == [1, 1, 1, 1]


Pair = collections.namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    "batch, expected",
    [
        ([1, 2], lamina.tensor([1, 2])),
        ([1.0, 2.0], lamina.tensor([1, 2], dtype=lamina.float64)),
        ([True, False], lamina.tensor([True, False])),
        (["a", "b"], ["a", "b"]),
        ([np.float32(1), np.float32(2)], lamina.tensor([1.0, 2.0])),
        ([np.zeros(2), np.ones(2)], lamina.tensor([[0, 0], [1, 1]], dtype=lamina.float64)),
        ([(1, "a"), (2, "b")], [lamina.tensor([1, 2]), ("a", "b")]),
        ([[1, [2]], [3, [4]]], [lamina.tensor([1, 3]), [lamina.tensor([2, 4])]]),
        ([Pair(1, "x"), Pair(2, "y")], Pair(lamina.tensor([1, 2]), ("x", "y"))),
        (
            [collections.OrderedDict(a=1, b={"c": 2}), collections.OrderedDict(a=3, b={"c": 4})],
            collections.OrderedDict(a=lamina.tensor([1, 3]), b={"c": lamina.tensor([2, 4])}),
        ),
    ],
)
def test_collate(batch, expected):
    same(default_collate(batch), expected)


@pytest.mark.parametrize(
    "batch, kind, text",
    [
        ([None], TypeError, "default_collate: batch must contain tensors, numpy arrays, .* found <class 'NoneType'>"),
        ([np.array(["a"])], TypeError, "default_collate: batch must contain tensors, numpy arrays, .* found <U1"),
        ([[1, 2], [3]], RuntimeError, "each element in list of batch should be of equal size"),
        ([{"a": 1}, {"b": 1}], KeyError, "a"),
        ([lamina.zeros(2), lamina.zeros(3)], RuntimeError, "stack expects each tensor to be equal size"),
    ],
)
def test_collate_refuses(batch, kind, text):
    with pytest.raises(kind, match=text):
        default_collate(batch)


def test_convert():
    data = [1, "a", np.zeros(2), {"k": np.int64(3)}, (1, np.array(["a"])), Pair(np.ones(1), b"x")]
    expected = [1, "a", lamina.zeros(2, dtype=lamina.float64), {"k": lamina.tensor(3)}, [1, data[4][1]]]
    expected.append(Pair(lamina.ones(1, dtype=lamina.float64), b"x"))
    same(default_convert(data), expected)


def test_datasets_joined_and_cut():
    both = Squares(3) + Squares(4)
    assert [both[i] for i in range(7)] == [0, 1, 4, 0, 1, 4, 9] and both[-1] == 9 and len(both) == 7
    assert list(Count(2) + Count(3)) == [0, 1, 0, 1, 2] and len(ChainDataset([Count(2), Count(3)])) == 5
    named = StackDataset(x=Squares(3), y=Subset(Squares(9), [8, 7, 6]))
    assert named[1] == {"x": 1, "y": 49} and named.__getitems__([0, 2]) == [{"x": 0, "y": 64}, {"x": 4, "y": 36}]
    assert StackDataset(Squares(3), Squares(3))[2] == (4, 4) and len(named) == 3
    parts = random_split(Squares(10), [0.35, 0.35, 0.3])
    assert [len(part) for part in parts] == [4, 3, 3]
    assert sorted(v for part in parts for v in part) == [i * i for i in range(10)]
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        random_split(Squares(3), [1 - 1e-9, 1e-9])


def test_samplers():
    data = range(10)
    assert list(BatchSampler(SequentialSampler(data), 4, False)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    drawn = list(RandomSampler(data, num_samples=23))
    assert sorted(drawn[:10]) == sorted(drawn[10:20]) == list(data) and len(set(drawn[20:])) == 3
    assert len(list(RandomSampler(data, replacement=True, num_samples=70))) == 70
    assert set(WeightedRandomSampler([0, 1, 0, 3], 50)) == {1, 3}
    for drop_last, size in ((False, 4), (True, 3)):
        shares = [DistributedSampler(data, 3, rank, drop_last=drop_last) for rank in range(3)]
        lists = [list(share) for share in shares]
        assert all(len(one) == len(share) == size for one, share in zip(lists, shares, strict=True))
        assert len({i for one in lists for i in one}) == (9 if drop_last else 10)
        shares[0].set_epoch(1)
        assert list(shares[0]) != lists[0]


BAD_OPTIONS = [
    ({"num_workers": -1}, ValueError, "num_workers option should be non-negative"),
    ({"timeout": -1}, ValueError, "timeout option should be non-negative"),
    ({"prefetch_factor": 2}, ValueError, "prefetch_factor option could only be specified in multiprocessing"),
    ({"persistent_workers": True}, ValueError, "persistent_workers option needs num_workers > 0"),
    ({"sampler": [0], "shuffle": True}, ValueError, "sampler option is mutually exclusive with shuffle"),
    (
        {"batch_sampler": [[0]], "batch_size": 2},
        ValueError,
        "batch_sampler option is mutually exclusive with batch_size",
    ),
    ({"batch_size": None, "drop_last": True}, ValueError, "batch_size=None option disables auto-batching"),
    ({"batch_size": 0}, ValueError, "batch_size should be a positive integer value, but got batch_size=0"),
    ({"multiprocessing_context": "fork"}, ValueError, "multiprocessing_context can only be used with multi-process"),
    ({"num_workers": 1, "multiprocessing_context": "x"}, ValueError, "should specify a valid start method in"),
    ({"num_workers": 1, "multiprocessing_context": 3}, TypeError, "should be a valid context object or a string"),
]


@pytest.mark.parametrize("options, kind, text", BAD_OPTIONS)
def test_bad_options(options, kind, text):
    with pytest.raises(kind, match=text):
        DataLoader(Squares(3), **options)


def test_options_are_fixed_and_iterables_have_their_own_order():
    with pytest.raises(ValueError, match="batch_size attribute should not be set after DataLoader is initialized"):
        DataLoader(Squares(3)).batch_size = 2
    for name, value in (("shuffle", True), ("sampler", [0]), ("batch_sampler", [[0]])):
        with pytest.raises(ValueError, match=f"DataLoader with IterableDataset: expected unspecified {name} option"):
            DataLoader(Count(3), **{name: value})
    with pytest.raises(AssertionError, match="ConcatDataset does not support IterableDataset"):
        ConcatDataset([Count(3)])
    with pytest.raises(AssertionError, match="Size mismatch between tensors"):
        TensorDataset(lamina.zeros(2), lamina.zeros(3))


class Interrupt(BaseException):
    pass


@pytest.fixture
def interrupting():
    """SIGUSR1 raises Interrupt."""

    def handler(*_):
        raise Interrupt

    before = signal.signal(signal.SIGUSR1, handler)
    yield
    signal.signal(signal.SIGUSR1, before)


def children():
    return {process.pid for process in multiprocessing.active_children()}


@pytest.mark.parametrize("where", ["start", "join"])
def test_an_interrupt_leaves_no_worker(interrupting, monkeypatch, where):
    """While workers are made the interrupt waits, or the process would be lost; while they end, they are not waited for again."""
    process = multiprocessing.get_context().Process
    real, started = getattr(process, where), []

    def interrupted(self, *args):
        result = real(self, *args)
        started.append(self.pid)
        if len(started) == 1:
            signal.raise_signal(signal.SIGUSR1)
        return result

    before = children()
    monkeypatch.setattr(process, where, interrupted)
    with pytest.raises(Interrupt):
        list(DataLoader(Squares(10), num_workers=2))
    assert len(set(started)) == 2
    assert children() == before


def test_signals_reach_a_worker(interrupting):
    """They were held back when it was made."""
    assert list(DataLoader(Signalled(), num_workers=1)) == [1]


class Signalled(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        with pytest.raises(Interrupt):
            os.kill(os.getpid(), signal.SIGUSR1)
        return 1
