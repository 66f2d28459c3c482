"""A compiled function means what the function means: the same calls, compiled and not, beside each other.

Each program (programs_of_change.py, programs_of_memory.py) runs with `lamina.compile` and with no compiler at all.
"""

from __future__ import annotations

import numpy as np
import pytest

import lamina as torch

from . import programs_of_change, programs_of_memory
from .programs import PROGRAMS

pytestmark = pytest.mark.full
assert programs_of_change and programs_of_memory


def run(function, compiler):
    torch.manual_seed(0)
    return function(compiler)


def same(a, b, where):
    assert type(a) is type(b), where
    if isinstance(a, np.ndarray):
        np.testing.assert_allclose(
            a, b, rtol=2e-2 if "low" in where else 2e-4, atol=2e-2 if "low" in where else 1e-5, err_msg=where
        )
    else:
        assert a == b, where


@pytest.mark.parametrize("function", PROGRAMS, ids=lambda f: f.__name__)
def test_program(function):
    expected = run(function, lambda f: f)
    for verify in ("first", "never"):
        found = run(function, lambda f, v=verify: torch.compile(f, verify=v))
        assert len(found) == len(expected)
        for i, (a, b) in enumerate(zip(found, expected, strict=True)):
            same(a, b, f"{function.__name__}[{i}] (verify={verify})")
