"""Random programs of tensors, as Python source: what the property test runs on lamina and on PyTorch.

A program is a list of statements. The names in it: `torch`, the library; `t0`, `t1` ... tensors; `h0` ... handles of hooks; `log`,
what hooks recorded. Here: programs. Not here: writing a statement (random_writer.py), running and comparing (program_runs.py).
"""

from __future__ import annotations

import warnings
from random import Random
from typing import Any

import random_breadth  # noqa: F401 (its kinds of statement)
import random_edges  # noqa: F401 (its, and those of the files it imports)
from random_statements import leaf
from random_writer import Writer


def program(seed: int, torch: Any) -> list[str]:
    """The statements of program number `seed`."""
    rng = Random(seed)
    writer = Writer(rng, torch)
    statements: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(rng.randrange(8, 30)):
            source = leaf(writer) if i < 3 else writer.statement()
            assert source is not None
            writer.run(source)
            if writer.too_large():
                break
            statements.append(source)
    return statements


def text(statements: list[str]) -> str:
    """The program, to be pasted and run."""
    return "import torch\n\nlog = []\n" + "\n".join(statements) + "\n"
