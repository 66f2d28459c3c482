"""Iterating over a DataLoader: what every pass does, and reading in this process. With workers: multiprocess.py.

Every draw from a random stream is made where PyTorch makes it: an iterator draws its base seed when it is made (once
for all passes of persistent workers), a RandomSampler its own seed at the first index of a pass.
"""

from typing import TYPE_CHECKING, Any

from lamina.core.warn import warn
from lamina.utils.data._utils.fetch import IterableFetcher, MapFetcher
from lamina.utils.data.sampler import draw_seed

if TYPE_CHECKING:
    from lamina.utils.data.dataloader import DataLoader


class _DatasetKind:
    """Whether a dataset is read by index or in sequence."""

    Map = 0
    Iterable = 1


class _BaseDataLoaderIter:
    """One pass over a loader: counts what it yields, and warns when an iterable dataset yields more than its length."""

    def __init__(self, loader: "DataLoader[Any]") -> None:
        self._loader = loader
        self._dataset_kind = loader._dataset_kind
        self._num_workers = loader.num_workers
        self._warn_pinning()
        self._begin(loader)
        self._base_seed = draw_seed(loader.generator)

    def _begin(self, loader: "DataLoader[Any]") -> None:
        self._sampler_iter = iter(loader._index_sampler)
        self._num_yielded = 0
        self._expected = loader._IterableDataset_len_called

    def _reset(self, loader: "DataLoader[Any]") -> None:
        self._begin(loader)

    def _fetcher_type(self) -> Any:
        return IterableFetcher if self._dataset_kind == _DatasetKind.Iterable else MapFetcher

    def _warn_pinning(self) -> None:
        if self._loader.pin_memory:
            warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device pinned memory won't "
                "be used.",
            )

    def __iter__(self) -> "_BaseDataLoaderIter":
        return self

    def __next__(self) -> Any:
        data = self._next_data()
        self._num_yielded += 1
        if (
            self._dataset_kind == _DatasetKind.Iterable
            and self._expected is not None
            and self._num_yielded > self._expected
        ):
            text = (
                f"Length of IterableDataset {self._loader.dataset} was reported to be {self._expected}"
                f"(when accessing len(dataloader)), but {self._num_yielded} samples have been fetched. "
            )
            if self._num_workers > 0:
                text += (
                    "For multiprocessing data-loading, this could be caused by not properly configuring the "
                    "IterableDataset replica at each worker: see get_worker_info."
                )
            warn(text)
        return data

    def __len__(self) -> int:
        return len(self._loader._index_sampler)

    def _next_data(self) -> Any:
        raise NotImplementedError


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """Reads in this process, when asked."""

    def __init__(self, loader: "DataLoader[Any]") -> None:
        super().__init__(loader)
        self._fetcher = self._fetcher_type()(
            loader.dataset, loader._auto_collation, loader.collate_fn, loader.drop_last
        )

    def _next_data(self) -> Any:
        return self._fetcher.fetch(next(self._sampler_iter))
