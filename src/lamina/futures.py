"""Results that come later: `Future`, which another thread may fill in, and lists of them.

Not here: anything that computes in the background (concurrent.futures does).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

__all__ = ["Future", "collect_all", "wait_all"]

T = TypeVar("T")


class Future(Generic[T]):
    """A place for one value, or one exception, that is set once. `devices` is accepted."""

    def __init__(self, *, devices: Sequence[Any] | None = None) -> None:
        self._set = threading.Event()
        self._lock = threading.Lock()
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Future[Any]], Any]] = []

    def done(self) -> bool:
        """Whether the value or the exception is there."""
        return self._set.is_set()

    def wait(self) -> T:
        """Wait until it is there; return the value, or raise the exception."""
        self._set.wait()
        return self.value()

    def value(self) -> T:
        """The value, which must be there; raises the exception if that was set."""
        if not self.done():
            raise RuntimeError("Tried to retrieve value of a Future that is not completed; call wait() first")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[no-any-return]

    def set_result(self, result: T) -> None:
        """Set the value, and run the callbacks. Raises RuntimeError the second time."""
        self._complete(result, None)

    def set_exception(self, result: BaseException) -> None:
        """Set the exception that `wait` and `value` raise."""
        if not isinstance(result, BaseException):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._complete(None, result)

    def add_done_callback(self, callback: Callable[[Future[T]], None]) -> None:
        """Run `callback(self)` when it is done; at once if it is. What it raises is dropped."""
        self.then(callback)

    def then(self, callback: Callable[[Future[T]], Any]) -> Future[Any]:
        """A Future of `callback(self)`, run when this one is done."""
        follower: Future[Any] = Future()

        def run(done: Future[T]) -> None:
            try:
                result = callback(done)
            except Exception as error:
                follower.set_exception(error)
            else:
                follower.set_result(result)

        with self._lock:
            if not self.done():
                self._callbacks.append(run)
                return follower
        run(self)
        return follower

    def _complete(self, value: Any, error: BaseException | None) -> None:
        with self._lock:
            if self.done():
                raise RuntimeError("Future can only be marked completed once: it has a result already")
            self._value, self._error = value, error
            callbacks, self._callbacks = self._callbacks, []
            self._set.set()
        for callback in callbacks:
            callback(self)


def collect_all(futures: list[Future[Any]]) -> Future[list[Future[Any]]]:
    """A Future of the list itself, done when all in it are."""
    collected: Future[list[Future[Any]]] = Future()
    left, lock = [len(futures)], threading.Lock()

    def count(_: Future[Any]) -> None:
        with lock:
            left[0] -= 1
            last = left[0] == 0
        if last:
            collected.set_result(futures)

    if not futures:
        collected.set_result(futures)
    for future in futures:
        future.add_done_callback(count)
    return collected


def wait_all(futures: list[Future[Any]]) -> list[Any]:
    """The values, in order, when all are there; raises the first exception."""
    return [future.wait() for future in collect_all(futures).wait()]
