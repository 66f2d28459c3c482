"""Freed memory is used again: no fresh pages for an array as large as one that was just freed."""

import ctypes
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="about glibc")

PROGRAM = """
import resource
import lamina
x = lamina.zeros(4 << 20)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    x + 1
before = faults()
for _ in range(20):
    x + 1
print(faults() - before)
"""


def _faults(**environment):
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))} | environment
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=own, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_large_results_need_no_fresh_pages():
    assert _faults() < 20  # without: at least one for each huge page, 160


def test_programs_that_set_the_allocator_themselves_are_left_alone():
    assert _faults(MALLOC_MMAP_THRESHOLD_="1000000") >= 20
