"""Iteration of a DataLoader with worker processes.

The main process keeps `prefetch_factor` tasks per worker under way, numbers them, and hands the answers out in the
order of the numbers. A worker answers with bytes (`_utils/transport.py`), so a batch is unpickled when it is wanted.
"""

import contextlib
import multiprocessing
import os
import queue
import time
import weakref
from typing import TYPE_CHECKING, Any

from lamina.utils.data._utils.errors import ExceptionWrapper
from lamina.utils.data._utils.signals import held_back
from lamina.utils.data._utils.transport import unpacked
from lamina.utils.data._utils.worker import IterableEnd, Job, Resume, worker_loop
from lamina.utils.data.iteration import _BaseDataLoaderIter

if TYPE_CHECKING:
    from lamina.utils.data.dataloader import DataLoader

ALIVE_CHECK = 1.0  # seconds between looks at the workers while waiting for one
JOIN_TIMEOUT = 5.0


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """Owns the workers of one pass, or with `persistent_workers` of all passes."""

    def __init__(self, loader: "DataLoader[Any]") -> None:
        super().__init__(loader)
        self._persistent = loader.persistent_workers
        self._timeout = loader.timeout
        self._in_order = loader.in_order
        context = loader.multiprocessing_context or multiprocessing.get_context()
        self._results = context.Queue()
        self._done = context.Event()
        self._tasks: list[Any] = []
        self._workers: list[Any] = []
        # Not `__del__`: a finalizer keeps the queues out of the garbage whose collection ends this object.
        self._shutdown = weakref.finalize(
            self, _shut_down, os.getpid(), self._done, self._tasks, self._results, self._workers
        )
        try:
            with held_back():
                for worker_id in range(self._num_workers):
                    self._start(context, loader, worker_id)
        except BaseException:
            self._shutdown_workers()
            raise
        self._schedule(loader)

    def _start(self, context: Any, loader: "DataLoader[Any]", worker_id: int) -> None:
        job = Job(
            worker_id=worker_id,
            num_workers=self._num_workers,
            base_seed=self._base_seed,
            fetcher=self._fetcher_type(),
            dataset=loader.dataset,
            auto_collation=loader._auto_collation,
            collate_fn=loader.collate_fn,
            drop_last=loader.drop_last,
            init_fn=loader.worker_init_fn,
        )
        tasks = context.Queue()
        tasks.cancel_join_thread()  # at exit nobody waits for tasks that nobody will read
        process = context.Process(target=worker_loop, args=(job, tasks, self._results, self._done), daemon=True)
        process.start()
        self._tasks.append(tasks)
        self._workers.append(process)

    def _reset(self, loader: "DataLoader[Any]") -> None:
        """Begin another pass with the same workers; what was under way is forgotten."""
        if not self._shutdown.alive:
            raise RuntimeError("the worker processes of this DataLoader have been shut down")
        super()._reset(loader)
        for tasks in self._tasks:
            tasks.put(Resume())
        waiting = self._num_workers
        while waiting:
            waiting -= isinstance(self._receive()[0], Resume)
        self._schedule(loader)

    def _schedule(self, loader: "DataLoader[Any]") -> None:
        self._sent = 0  # the number of the next task
        self._next = 0  # the number of the next answer to hand out
        self._pending: dict[int, int] = {}  # number -> worker
        self._arrived: dict[int, bytes] = {}
        self._ended = [False] * self._num_workers
        self._turn = 0
        for _ in range((loader.prefetch_factor or 0) * self._num_workers):
            self._send()

    def _send(self) -> None:
        """Give the next indices to the next worker that still has samples."""
        open_workers = [w for w in range(self._num_workers) if not self._ended[w]]
        if not open_workers:
            return
        index = next(self._sampler_iter, self)
        if index is self:
            return
        if self._in_order:
            worker = min(open_workers, key=lambda w: (w - self._turn) % self._num_workers)
            self._turn = (worker + 1) % self._num_workers
        else:
            busy = list(self._pending.values())
            worker = min(open_workers, key=busy.count)
        self._pending[self._sent] = worker
        self._tasks[worker].put((self._sent, index))
        self._sent += 1

    def _next_data(self) -> Any:
        if not self._shutdown.alive:
            raise StopIteration
        while True:
            if not self._pending and not self._arrived:
                self._send()  # with a prefetch factor of 0 nothing is under way
            if not self._pending and not self._arrived:
                if not self._persistent:
                    self._shutdown_workers()
                raise StopIteration
            number = self._next if self._in_order else next(iter(self._arrived), self._next)
            if number not in self._arrived:
                if self._in_order and number not in self._pending:
                    self._next += 1  # its worker had no more samples
                    continue
                arrived, worker, data = self._receive()
                if self._pending.pop(arrived, None) is not None:
                    self._accept(arrived, worker, data)
                continue
            data = self._arrived.pop(number)
            self._next += 1
            self._send()
            answer = unpacked(data)
            if isinstance(answer, ExceptionWrapper):
                answer.reraise()
            return answer

    def _accept(self, number: int, worker: int, data: bytes) -> None:
        if data != IterableEnd.packed:
            self._arrived[number] = data
            return
        self._ended[worker] = True
        if not self._persistent:
            self._tasks[worker].put(None)
        self._send()

    def _receive(self) -> tuple[Any, int, bytes]:
        """The next answer of any worker. Raises RuntimeError after `timeout` seconds, or if a worker died."""
        deadline = time.monotonic() + self._timeout if self._timeout > 0 else None
        while True:
            wait = ALIVE_CHECK if deadline is None else min(ALIVE_CHECK, max(0.0, deadline - time.monotonic()))
            with contextlib.suppress(queue.Empty):
                received: tuple[Any, int, bytes] = self._results.get(timeout=wait)
                return received
            self._check_alive()
            if deadline is not None and time.monotonic() >= deadline:
                raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")

    def _check_alive(self) -> None:
        dead = [
            process
            for worker, process in enumerate(self._workers)
            if not process.is_alive() and not (self._ended[worker] and not self._persistent)
        ]
        if dead:
            pids = ", ".join(str(process.pid) for process in dead)
            codes = ", ".join(str(process.exitcode) for process in dead)
            self._shutdown_workers()
            raise RuntimeError(
                f"DataLoader worker (pid(s) {pids}) exited unexpectedly\n"
                f"  exit code(s) {codes}; a negative one is the signal that killed it, -9 often for lack of memory\n"
                "  fix          num_workers=0 shows the error in this process"
            )

    def _shutdown_workers(self) -> None:
        self._shutdown()


def _shut_down(owner: int, done: Any, tasks: list[Any], results: Any, workers: list[Any]) -> None:
    """Tell the workers to end, and wait for them; a forked child leaves them alone."""
    if os.getpid() != owner:
        return
    try:
        done.set()
        for channel in tasks:
            channel.put(None)
        deadline = time.monotonic() + JOIN_TIMEOUT
        for process in workers:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.terminate()
                process.join()
    except BaseException:  # an interrupt: they are not asked again
        for process in workers:
            process.kill()
        for process in workers:
            process.join()
        raise
    finally:
        _close((*tasks, results))


def _close(channels: tuple[Any, ...]) -> None:
    try:
        for channel in channels:
            channel.close()
    except BaseException:  # an interrupt: to close twice does no harm
        for channel in channels:
            channel.close()
        raise
