"""The standard library's `multiprocessing` under torch's name, with `spawn`.

Tensors travel between processes as copies, by pickle; nothing is shared. Not here: reductions that share memory.
"""

import multiprocessing as _standard
import traceback as _traceback
from collections.abc import Callable
from multiprocessing import *  # noqa: F403
from multiprocessing import connection as _connection
from typing import Any

__all__ = [
    "ProcessContext",
    "ProcessExitedException",
    "ProcessRaisedException",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]
__all__ += _standard.__all__


def get_all_sharing_strategies() -> set[str]:
    """The one strategy: copies through pipes."""
    return {"file_descriptor"}


def get_sharing_strategy() -> str:
    """The one strategy: copies through pipes."""
    return "file_descriptor"


def set_sharing_strategy(new_strategy: str) -> None:
    """Accepts the strategies that PyTorch knows; nothing is shared."""
    if new_strategy not in ("file_descriptor", "file_system"):
        raise AssertionError(f"Unknown sharing strategy: {new_strategy}")


class ProcessRaisedException(Exception):
    """A process that `spawn` started ended with an exception; the text is its traceback."""

    def __init__(self, msg: str, error_index: int, pid: int) -> None:
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid


class ProcessExitedException(Exception):
    """A process that `spawn` started ended with a code other than 0, or by a signal."""

    def __init__(self, msg: str, error_index: int, pid: int, exit_code: int, signal_name: str | None = None) -> None:
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid
        self.exit_code, self.signal_name = exit_code, signal_name


class ProcessContext:
    """Processes that run together: all end when one fails."""

    def __init__(self, processes: list[Any], errors: list[Any]) -> None:
        self.processes, self.errors = processes, errors

    def pids(self) -> list[int]:
        """The process ids."""
        return [int(process.pid) for process in self.processes]

    def join(self, timeout: float | None = None) -> bool:
        """Wait for one process to end. True when all have ended well; raises when one has failed."""
        alive = {process.sentinel: index for index, process in enumerate(self.processes) if process.is_alive()}
        if alive:
            _connection.wait(list(alive), timeout=timeout)
        failed = [i for i, process in enumerate(self.processes) if process.exitcode not in (None, 0)]
        if not failed:
            return all(process.exitcode == 0 for process in self.processes)
        for process in self.processes:
            if process.is_alive():
                process.terminate()
            process.join()
        index = failed[0]
        process = self.processes[index]
        if self.errors[index].poll():
            text = f"\n\n-- Process {index} terminated with the following error:\n{self.errors[index].recv()}"
            raise ProcessRaisedException(text, index, process.pid)
        raise ProcessExitedException(
            f"process {index} terminated with exit code {process.exitcode}", index, process.pid, process.exitcode
        )


def start_processes(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Run `fn(index, *args)` in `nprocs` processes; with `join`, wait for all of them."""
    context = _standard.get_context(start_method)
    processes, errors = [], []
    for index in range(nprocs):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(fn, index, args, sender), daemon=daemon)  # type: ignore[attr-defined]
        process.start()
        sender.close()
        processes.append(process)
        errors.append(receiver)
    running = ProcessContext(processes, errors)
    if not join:
        return running
    while not running.join():
        pass
    return None


def spawn(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Run `fn(index, *args)` in `nprocs` fresh processes; with `join`, wait for all of them.

    Raises
    ------
    ProcessRaisedException
        If one of them raised: the text is its traceback. The others are ended.
    ProcessExitedException
        If one of them ended otherwise.
    """
    return start_processes(fn, args, nprocs, join, daemon, start_method)


def _run(fn: Callable[..., Any], index: int, args: tuple[Any, ...], errors: Any) -> None:
    """In the process: call, and send the traceback if that fails."""
    try:
        fn(index, *args)
    except KeyboardInterrupt:  # whoever started us is interrupted, too, and tells the user
        raise SystemExit(1) from None
    except Exception:
        errors.send(_traceback.format_exc())
        raise SystemExit(1) from None
