"""The loop of a worker process: take indices, fetch, send back."""

import os
import queue
import random
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import lamina
from lamina.utils.data._utils.errors import ExceptionWrapper
from lamina.utils.data._utils.fetch import IterableFetcher
from lamina.utils.data._utils.signals import let_through
from lamina.utils.data._utils.transport import packed

PARENT_CHECK = 5.0  # seconds after which an idle worker looks whether its parent still lives


class WorkerInfo:
    """What a worker knows of itself, see `get_worker_info`: id, num_workers, seed, dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: Any
    worker_method: str

    def __init__(self, id: int, num_workers: int, seed: int, dataset: Any) -> None:
        self.__dict__.update(id=id, num_workers=num_workers, seed=seed, dataset=dataset)
        self.__dict__.update(rng=None, worker_method="multiprocessing")

    def __setattr__(self, name: str, value: Any) -> None:
        raise RuntimeError(f"Cannot assign attributes to {type(self).__name__} objects")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value}' for key, value in vars(self).items())})"


@dataclass(frozen=True)
class IterableEnd:
    """Sent instead of data: this worker's copy of an iterable dataset has no more samples."""

    packed: ClassVar[bytes] = b""


@dataclass(frozen=True)
class Resume:
    """Sent instead of indices, and back: a new pass begins (persistent workers)."""


@dataclass(frozen=True)
class Job:
    """What a worker is given when it starts."""

    worker_id: int
    num_workers: int
    base_seed: int
    fetcher: Any
    dataset: Any
    auto_collation: bool
    collate_fn: Any
    drop_last: bool
    init_fn: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker of a DataLoader its id, the number of workers, its seed and its dataset; None in the main process."""
    return _info


def worker_loop(job: Job, tasks: Any, results: Any, done: Any) -> None:
    """Answer every (number, indices) of `tasks` with (number, worker, packed data) in `results`, until None comes."""
    global _info
    let_through()
    parent = os.getppid()
    error = fetcher = None
    ended = False
    where = f"in DataLoader worker process {job.worker_id}"
    try:
        lamina.set_num_threads(1)
        _seed(job.base_seed, job.worker_id)
        _info = WorkerInfo(job.worker_id, job.num_workers, job.base_seed + job.worker_id, job.dataset)
        if job.init_fn is not None:
            job.init_fn(job.worker_id)
        fetcher = _make_fetcher(job)
    except Exception:
        error = ExceptionWrapper(where=where)
    try:
        while True:
            try:
                task = tasks.get(timeout=PARENT_CHECK)
            except queue.Empty:
                if os.getppid() != parent or done.is_set():
                    break
                continue
            if task is None or done.is_set():
                break
            if isinstance(task, Resume):
                ended, error = False, None
                try:
                    fetcher = _make_fetcher(job)
                except Exception:
                    error = ExceptionWrapper(where=where)
                results.put((task, job.worker_id, b""))
                continue
            number, index = task
            answer: Any = error
            if error is None and not ended:
                try:
                    answer = fetcher.fetch(index)  # type: ignore[union-attr]
                except Exception as problem:
                    ended = isinstance(problem, StopIteration) and isinstance(fetcher, IterableFetcher)
                    answer = IterableEnd() if ended else ExceptionWrapper(where=where)
            elif ended:
                answer = IterableEnd()
            results.put((number, job.worker_id, _packed(answer, where)))
    except KeyboardInterrupt:
        pass  # the main process got it too, and says so
    if done.is_set():
        results.cancel_join_thread()
    results.close()


def _packed(answer: Any, where: str) -> bytes:
    if isinstance(answer, IterableEnd):
        return IterableEnd.packed
    try:
        return packed(answer)
    except Exception:
        failure = ExceptionWrapper(where=where)
    try:
        return packed(failure)
    except Exception:  # the exception's own type cannot be pickled
        failure.exc_type = RuntimeError
        return packed(failure)


def _make_fetcher(job: Job) -> Any:
    return job.fetcher(job.dataset, job.auto_collation, job.collate_fn, job.drop_last)


def _seed(base_seed: int, worker_id: int) -> None:
    """Each worker its own streams, in Python, NumPy and lamina: the numbers that PyTorch's workers draw."""
    random.seed(base_seed + worker_id)
    lamina.manual_seed(base_seed + worker_id)
    words = (worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0)
    np.random.seed(np.random.SeedSequence(words).generate_state(4))
