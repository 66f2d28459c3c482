"""Random programs print the same state on lamina and on PyTorch, statement by statement.

300 programs; the environment variable LAMINA_FUZZ_PROGRAMS says how many (`make fuzz`), LAMINA_FUZZ_SEED from which number on.
"""

import os
import sys
from pathlib import Path

import pytest
import torch

import lamina

sys.path.insert(0, str(Path(__file__).parent))

from program_runs import run_both, shrunk
from random_programs import program

PROGRAMS = int(os.environ.get("LAMINA_FUZZ_PROGRAMS", "300"))
FIRST = int(os.environ.get("LAMINA_FUZZ_SEED", "0"))
TOGETHER = 50


@pytest.mark.fuzz
@pytest.mark.parametrize("start", range(FIRST, FIRST + PROGRAMS, TOGETHER))
def test_random_programs(start):
    for seed in range(start, min(start + TOGETHER, FIRST + PROGRAMS)):
        found = run_both(program(seed, torch), lamina=lamina, torch=torch)
        if found is not None:
            pytest.fail(f"program {seed}: {shrunk(found, lamina=lamina, torch=torch)}", pytrace=False)
