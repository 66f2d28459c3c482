"""The thread pool: same bits for any number of threads; forks, interrupts, threads at once, and the end of the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import lamina
from lamina.compiler.runtime import cpu, library, pool
from lamina.compiler.runtime.program import Launch, Program

from . import native_ir

pytestmark = [pytest.mark.full, pytest.mark.skipif(bool(cpu.unsupported()), reason=cpu.unsupported())]

LONG = 1e9  # says a kernel of its cost: worth all threads


@pytest.fixture(autouse=True)
def threads():
    """Five threads, whatever the machine has."""
    before, cores = lamina.get_num_threads(), pool.most_threads()
    pool.most_threads(5)
    lamina.set_num_threads(5)
    yield
    pool.most_threads(cores)
    lamina.set_num_threads(before)


def _program(units: int, launches: int = 1) -> Program:
    code = native_ir.affine(2.0, units, LONG)
    return Program([[Launch(code, ((0, 0), (1, 0)))] * launches], slots=2, first_dynamic=0)


PROGRAMS: dict[int, Program] = {}


def _run(seed: int, rounds: int) -> None:
    """Launches of all sizes: each unit is done, once, and no other."""
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        units = int(rng.integers(1, 70))
        program = PROGRAMS.setdefault(units, _program(units))
        source, target = rng.random(70), np.zeros(70)
        program.entries[0](source, target)
        np.testing.assert_array_equal(target[:units], 2 * source[:units] + 1)
        assert not target[units:].any()


def test_every_unit_is_done_by_any_number_of_threads():
    for number in (1, 2, 3, 5, 8):
        lamina.set_num_threads(number)
        _run(number, 300)
        time.sleep(0.002)  # workers fall asleep, and are woken


def test_threads_that_call_at_once_wait_for_a_program_or_work_alone():
    failures = []

    def run(seed: int) -> None:
        try:
            _run(seed, 300)
        except BaseException as error:
            failures.append(error)

    callers = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not failures


_COUNTS = """
  %count = atomicrmw add ptr %scratch, i64 1 seq_cst
  %thread = ptrtoint ptr %scratch to i64
  %y = sitofp i64 %thread to double
"""


def test_each_thread_has_scratch_of_its_own():
    units = 32
    slow = "  %z = call i32 @usleep(i32 500)" + _COUNTS
    code = native_ir.each("lends", slow, units, declare="declare i32 @usleep(i32)\n", cost_ns=LONG, scratch=4096 + 8)
    program = Program([[Launch(code, ((0, 0), (1, 0)))]], slots=2, first_dynamic=0)
    source, target = np.zeros(units), np.zeros(units)
    for _ in range(3):
        program.entries[0](source, target)
    lent = np.unique(target).astype(np.int64)
    assert 2 <= len(lent) <= 5
    assert not (lent % 64).any()
    assert np.diff(lent).min() >= 4096


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_makes_threads_of_its_own():
    _run(0, 50)
    for seed in range(5):
        child = os.fork()
        if child == 0:
            try:
                _run(seed, 50)
                os._exit(len(os.listdir("/proc/self/task")))  # itself and the four that it made
            finally:
                os._exit(100)
        _run(seed, 20)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_is_not_locked_out_by_a_thread_that_it_does_not_have():
    sleep = native_ir.each("sleeps", SLEEPS, 8, declare="declare i32 @usleep(i32)\n", cost_ns=LONG)
    program = Program([[Launch(sleep, ((0, 0), (1, 0)))]], slots=2, first_dynamic=0)
    source, target = np.zeros(8), np.zeros(8)
    running = threading.Thread(target=program.entries[0], args=(source, target))
    running.start()
    time.sleep(0.01)
    child = os.fork()
    if child == 0:
        try:
            program.entries[0](source, target)
            _run(0, 20)
            os._exit(0)
        finally:
            os._exit(100)
    running.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


SLEEPS = "  %z = call i32 @usleep(i32 20000)\n  %y = fadd double %x, 1.0"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_compiles_whatever_its_parent_s_threads_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("LAMINA_CACHE_DIR", str(tmp_path / "cache"))
    codes = [native_ir.affine(1000.0 + i, 8) for i in range(40)]
    compiling = threading.Thread(target=library.load, args=([(code.ir, code.symbol) for code in codes],))
    compiling.start()
    children = []
    while compiling.is_alive() and len(children) < 5:
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(30)  # the end of a child that waits for what nobody does
                _program(7 + len(children)).entries[0](np.zeros(100), np.zeros(100))
                os._exit(0)
            finally:
                os._exit(100)
        children.append(child)
        time.sleep(0.02)
    compiling.join()
    assert {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children} == {0}


def test_an_interrupt_waits_for_the_end_of_the_segment():
    code = native_ir.each("sleeps", SLEEPS, 10, declare="declare i32 @usleep(i32)\n", cost_ns=LONG)
    program = Program([[Launch(code, ((0, 0), (1, 0)))] * 2], slots=2, first_dynamic=0)
    source, target = np.arange(10.0), np.zeros(10)
    timer = threading.Timer(0.02, signal.raise_signal, [signal.SIGINT])  # lets Python's handler run in the main thread
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background may ignore it
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            program.entries[0](source, target)
            for _ in range(1000):
                time.sleep(0.001)
        timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
    np.testing.assert_array_equal(target, source + 1)
    program.entries[0](source, target)  # and it works on


ENDS = """
import sys, threading, time
import numpy as np
import lamina
sys.path.insert(0, {here!r})
import native_ir
from lamina.compiler.runtime import pool
from lamina.compiler.runtime.program import Launch, Program
lamina.set_num_threads(4)
pool.most_threads(4)
code = native_ir.each("sleeps", {sleeps!r}, 400, declare="declare i32 @usleep(i32)\\n", cost_ns=1e9)
quick = native_ir.affine(2.0, 64, 1e9)
arrays = np.zeros(400), np.zeros(400)
for kernel in (quick, code):
    entry = Program([[Launch(kernel, ((0, 0), (1, 0)))]], slots=2, first_dynamic=0).entries[0]
    if kernel is quick:
        entry(*arrays)
    else:
        threading.Thread(target=entry, args=arrays, daemon=True).start()
time.sleep({wait})
print("end")
"""


@pytest.mark.parametrize("wait", [0.0, 0.05])
def test_a_process_ends_while_threads_work_spin_or_sleep(wait):
    text = ENDS.format(here=os.path.dirname(native_ir.__file__), sleeps=SLEEPS, wait=wait)
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
    assert time.monotonic() - started < 30
