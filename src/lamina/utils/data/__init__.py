"""Datasets, samplers and the DataLoader, shaped as torch.utils.data.

Here: names only. `dataset.py`, `sampler.py` and `distributed.py` say what is read and in which order, `dataloader.py`
how; `_utils/` holds what one process does for it (fetch, collate, the worker's loop, errors that travel).
"""

from typing import NoReturn

from lamina.utils.data._utils.collate import default_collate, default_convert
from lamina.utils.data._utils.worker import WorkerInfo, get_worker_info
from lamina.utils.data.dataloader import DataLoader
from lamina.utils.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from lamina.utils.data.distributed import DistributedSampler
from lamina.utils.data.iteration import _DatasetKind
from lamina.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "WorkerInfo",
    "_DatasetKind",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
]


class _Refused(NotImplementedError, AttributeError):
    """A name that lamina has not on purpose: to `hasattr` and `getattr` with a default it is absent."""


_DATAPIPES = frozenset((
    "DFIterDataPipe", "DataChunk", "IterDataPipe", "MapDataPipe", "argument_validation", "functional_datapipe",
    "guaranteed_datapipes_determinism", "non_deterministic", "runtime_validation", "runtime_validation_disabled",
))  # fmt: skip


def __getattr__(name: str) -> NoReturn:
    if name in _DATAPIPES:
        raise _Refused(
            f"torch.utils.data.{name}: data pipes are not in lamina, and PyTorch deprecates them; use a Dataset or an IterableDataset"
        )
    raise AttributeError(f"module 'torch.utils.data' has no attribute '{name}'")
