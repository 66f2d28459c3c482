"""A program that interrupts compiled steps at random moments, or forks amid them, and looks after each whether all is in order.

Run as `python interrupts.py <what> <interrupts>`; it ends after so many, or some seconds, with status 1 where something was not.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import random
import signal
import sys
import threading
import time
import warnings

import numpy as np

import lamina as torch
from lamina import nn
from lamina.autograd import engine, modes
from lamina.compiler import api
from lamina.compiler.capture.live import Live
from lamina.compiler.capture.purity import Watch

AHEAD = 60
"""Steps that are known beforehand."""
SECONDS = 20
armed = [False]
dice = random.Random(0)
started, begin = sys.gettrace(), time.perf_counter()


def handler(*_):
    if armed[0]:  # an alarm that comes too late is none
        armed[0] = False
        raise KeyboardInterrupt


def enough(hits, count):
    return hits >= count or (hits and time.perf_counter() > begin + SECONDS)


def interrupted(function, longest):
    """Whether `function` was interrupted, at some moment in the next `longest` seconds."""
    armed[0] = True
    try:
        signal.setitimer(signal.ITIMER_REAL, dice.uniform(2e-6, longest))
        function()
        armed[0] = False
    except KeyboardInterrupt:
        return True
    finally:
        armed[0] = False
        signal.setitimer(signal.ITIMER_REAL, 0)
    return False


class Sorted(nn.Module):
    """A call into NumPy."""

    def forward(self, x):
        return x.sort(0).values


class Training:
    """A model in training, and its state."""

    def __init__(self, *more, **options):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.BatchNorm1d(16), *more, nn.Linear(16, 2))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)
        self.x, self.y = torch.randn(32, 2), torch.randint(0, 2, (32,))
        self.step = torch.compile(self.program, **options)

    def program(self):
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return loss

    def state(self):
        tensors = [t for p in self.model.parameters() for t in (p, p.grad)] + list(self.model.buffers())
        tensors += [t for state in self.optimizer.state.values() for t in state.values()]
        found = [None if t is None else t.detach().numpy().tobytes() for t in tensors]
        versions = [t._version for t in (*self.model.parameters(), *self.model.buffers())]
        return (*found, torch.get_rng_state().numpy().tobytes(), *versions)


def disorder(step=None):
    """What is not as it is between calls, or None."""
    if modes.current() is not None:
        return "the mode"
    if sys.getprofile() is not None or sys.gettrace() is not started:
        return "a profile or trace function"
    if not gc.isenabled() or Watch.now is not None or engine._run.sums is not None:
        return "the garbage collector, the watch or the engine"
    if api._RECORDS.inside or (step is not None and step.turn.inside):
        return "somebody is still inside"
    return None


def replays(count, *more, **options):
    """After an interrupt, everything is as after some number of whole steps."""
    known = Training(*more, **options)
    for _ in range(4):
        known.step()
    states = {known.state(): 0}
    for n in range(1, AHEAD):
        known.step()
        states[known.state()] = n
    hits = 0
    while not enough(hits, count):
        now = Training(*more, **options)
        for _ in range(4):
            now.step()
        at = 0
        while at < AHEAD - 20 and not enough(hits, count):
            hit = interrupted(lambda: [now.step() for _ in range(15)], dice.choice((5e-5, 4e-4)))  # noqa: B023
            hits += hit
            if now.state() not in states:
                return "half a step was made"
            before, at = at, states[now.state()]
            if not before <= at <= before + 15 or (not hit and at != before + 15):
                return f"{at - before} steps were made"
            if problem := disorder(now.step):
                return problem


def recordings(count, **options):
    """After an interrupt of a recording, or of the first replay with its checks, nothing of either is left."""
    for n in range(count):
        now = Training(nn.Dropout(0.3), **options)
        for _ in range(n % 3):
            now.step()
        interrupted(now.step, dice.choice((0.002, 0.02, 0.08)))
        if enough(n, count):
            break
        numbers = [v for group in now.optimizer.param_groups for v in group.values()]
        if any(isinstance(v, Live) for value in numbers for v in (value if isinstance(value, tuple) else (value,))):
            return "a live number was left"
        if problem := disorder(now.step):
            return problem
        for _ in range(4):
            now.step()
        if not now.step.calls["replayed"]:
            return f"it is not replayed any more: {now.step.eager}"


def eager(count):
    """Backward, and the native kernels of large arrays."""
    x = torch.randn(300, 400, requires_grad=True)

    def run():
        x.grad = None
        h = nn.functional.layer_norm(nn.functional.gelu(torch.softmax(x, -1)), (400,))
        for _ in range(5):
            h = (h * 1.5).tanh()
        h.sum().backward()

    for _ in range(4):
        run()
    expected = x.grad.numpy().copy()
    hits = 0
    while not enough(hits, count):
        hits += interrupted(run, 0.01)
        if problem := disorder():
            return problem
        run()
        if not np.allclose(x.grad.numpy(), expected, 1e-4):
            return "another result"


def children(count):
    """Other threads, in the middle of calls and draws, are not there in a child; nor is what they held."""
    f = torch.compile(lambda x: torch.dropout(x @ x, 0.5, True).sum())
    x, over = torch.randn(100, 100), threading.Event()
    for _ in range(4):
        f(x)  # all that is imported is imported: Python forks no import of another thread

    def work():
        while not over.is_set():
            f(x)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(count):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python 3.12 says that a process with threads forks
                child = os.fork()
            if child == 0:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(60)  # it does not wait for ever
                before = f.calls["replayed"]
                for _ in range(6):
                    f(x)
                os._exit(0 if f.calls["replayed"] > before else 1)
            _, status = os.waitpid(child, 0)
            if status:
                return f"a child ended with {os.waitstatus_to_exitcode(status)}"
    finally:
        over.set()
        for thread in threads:
            thread.join()


RUNS = {
    "replays": lambda n: replays(n),
    "draws": lambda n: replays(n, nn.Dropout(0.3)),
    "calls": lambda n: replays(n, nn.Dropout(0.3), Sorted()),
    "asked": lambda n: replays(n, nan="raise"),
    "recordings": lambda n: recordings(n),
    "eager": lambda n: eager(n),
    "children": lambda n: children(n),
}

if __name__ == "__main__":
    faulthandler.dump_traceback_later(200, exit=True)
    signal.signal(signal.SIGALRM, handler)
    fault = RUNS[sys.argv[1]](int(sys.argv[2]))
    print(fault or "all in order", f"{time.perf_counter() - begin:.1f} s")
    sys.exit(fault is not None)
