"""What the programs of test_meaning.py have in common, and their list. Each is a function `program(compile)` that returns a list of what it saw."""

from __future__ import annotations

import numpy as np

from lamina import nn

PROGRAMS = []


def program(function):
    PROGRAMS.append(function)
    return function


def values(t):
    return None if t is None else np.array(t.detach()._array, dtype=np.float64 if t.is_floating_point() else None)


def net(*sizes, act=nn.Tanh):
    layers = [layer for i, o in zip(sizes, sizes[1:], strict=False) for layer in (nn.Linear(i, o), act())]
    return nn.Sequential(*layers[:-1])
