"""Many modules compiled at once: here, and in other processes where there is enough to do and threads are set for it.

LLVM does not compile in two threads at a time through llvmlite, so helpers are processes, which run codegen.py as a program and end
with their input. Whatever becomes of one, its work is done here.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import suppress

from lamina.core.threads import get_num_threads

from . import codegen, cpu

_MODULE_MS, _KILOBYTE_MS = 4.0, 0.7  # what a module takes to compile, and each 1000 characters of it
_WORTH_MS = 250.0  # so much work is worth a helper: to start one takes half of that
_MOST = 8

_Done = queue.SimpleQueue[tuple[str, bytes | None]]


def compile_all(modules: Mapping[str, str]) -> Generator[tuple[str, bytes], None, None]:
    """(key, object file) for each key and IR, as they are done. Raises RuntimeError, LLVM's words, where IR is wrong."""
    todo = deque(sorted(modules, key=lambda key: -len(modules[key])))  # the longest first, so that all end together
    done: _Done = queue.SimpleQueue()
    helpers = [_Helper(modules, todo, done) for _ in range(_helpers_worth(modules))]
    try:
        for _ in modules:
            key, made = _here(modules, todo) or done.get()
            yield key, codegen.compile_ir(modules[key]) if made is None else made
    finally:
        for helper in helpers:
            helper.stop()


def _here(modules: Mapping[str, str], todo: deque[str]) -> tuple[str, bytes] | None:
    with suppress(IndexError):
        key = todo.popleft()
        return key, codegen.compile_ir(modules[key])
    return None


def _helpers_worth(modules: Mapping[str, str]) -> int:
    if "python" not in os.path.basename(sys.executable or "") or getattr(sys, "frozen", False):
        return 0  # another program with Python inside: it cannot be run as Python is
    work = sum(_MODULE_MS + _KILOBYTE_MS * len(ir) / 1000 for ir in modules.values())
    return max(0, min(int(work / _WORTH_MS), get_num_threads() - 1, cpu.cores() - 1, _MOST - 1))


class _Helper:
    """A process that compiles, and a thread that hands it one module after the other."""

    def __init__(self, modules: Mapping[str, str], todo: deque[str], done: _Done) -> None:
        self._modules, self._todo, self._done = modules, todo, done
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        with suppress(OSError):  # none to be had
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-E", "-S", codegen.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                process_group=0,  # an interrupt is for us: then we stop it
            )
            self._thread.start()

    def _work(self) -> None:
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        try:
            codegen.write(self._process.stdin, json.dumps([str(path) for path in sys.path]).encode())
        except OSError:
            return
        while self._todo:
            with suppress(IndexError):  # taken by another in this moment
                key, made = self._todo.popleft(), None
                try:
                    codegen.write(self._process.stdin, self._modules[key].encode())
                    made = codegen.read(self._process.stdout)
                except (OSError, EOFError):
                    return
                finally:
                    self._done.put((key, made or None))

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._thread.join()
            with suppress(OSError):
                self._process.communicate()
