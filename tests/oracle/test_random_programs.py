"""Random programs of views, in-place writes, autograd calls, hooks and detaches print the same on lamina and on PyTorch.

LAMINA_FUZZ_PROGRAMS says how many (`make fuzz` sets it). A program that differs is shown shrunk, as Python source.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch

import lamina

sys.path.insert(0, str(Path(__file__).parent))
from program_runs import run_both, shrunk
from random_programs import program

PROGRAMS = int(os.environ.get("LAMINA_FUZZ_PROGRAMS", "200"))
CHUNK = 50


@pytest.mark.fuzz
@pytest.mark.filterwarnings("ignore")  # what PyTorch warns of, and how often, is not compared
@pytest.mark.parametrize("first", range(0, PROGRAMS, CHUNK))
def test_programs_run_alike(first: int) -> None:
    for seed in range(first, min(first + CHUNK, PROGRAMS)):
        found = run_both(program(seed, torch), lamina, torch)
        if found is not None:
            pytest.fail(f"program {seed}: {shrunk(found, lamina=lamina, torch=torch)}", pytrace=False)
