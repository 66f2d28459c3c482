"""Fetchers: from a sampler's indices to collated data."""

import itertools
from collections.abc import Callable
from typing import Any

import lamina
from lamina.utils.data._utils.collate import default_collate
from lamina.utils.data.dataset import Subset, TensorDataset

Collate = Callable[[Any], Any]


class MapFetcher:
    """Reads a dataset by index: with `auto_collation` a list of indices at a time."""

    def __init__(self, dataset: Any, auto_collation: bool, collate_fn: Collate, drop_last: bool) -> None:
        self.dataset = dataset
        self.auto_collation = auto_collation
        self.collate_fn = collate_fn

    def fetch(self, index: Any) -> Any:
        if not self.auto_collation:
            return self.collate_fn(self.dataset[index])
        if self.collate_fn is default_collate:
            rows = _whole_rows(self.dataset, index)
            if rows is not None:
                return rows
        if getattr(self.dataset, "__getitems__", None):
            return self.collate_fn(self.dataset.__getitems__(index))
        return self.collate_fn([self.dataset[i] for i in index])


class IterableFetcher:
    """Reads a dataset in sequence, as many samples as there are in `index`. StopIteration says that it has ended."""

    def __init__(self, dataset: Any, auto_collation: bool, collate_fn: Collate, drop_last: bool) -> None:
        self.samples = iter(dataset)
        self.auto_collation = auto_collation
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.ended = False

    def fetch(self, index: Any) -> Any:
        if self.ended:
            raise StopIteration
        if not self.auto_collation:
            return self.collate_fn(next(self.samples))
        batch = list(itertools.islice(self.samples, len(index)))
        self.ended = len(batch) < len(index)
        if not batch or (self.drop_last and self.ended):
            raise StopIteration
        return self.collate_fn(batch)


def _whole_rows(dataset: Any, index: Any) -> list[Any] | None:
    """The collated batch of a TensorDataset (or of a Subset of one) by one indexing per tensor; None if that might
    differ from stacking single samples: subclasses, gradients to record, indices that are no proper row numbers."""
    if type(dataset) not in (TensorDataset, Subset) or type(index) is not list or not index:
        return None
    while type(dataset) is Subset:
        if not _all_ints(index):
            return None
        try:
            index = [dataset.indices[i] for i in index]
        except LookupError:
            return None
        dataset = dataset.dataset
    if type(dataset) is not TensorDataset or not _all_ints(index):
        return None
    size = len(dataset)
    if min(index) < 0 or max(index) >= size:
        return None
    if any(type(t) is not lamina.Tensor or t.requires_grad for t in dataset.tensors):
        return None
    rows = lamina.tensor(index)
    return [tensor.index_select(0, rows) for tensor in dataset.tensors]


def _all_ints(index: list[Any]) -> bool:
    return all(type(i) is int for i in index)
