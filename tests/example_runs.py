"""The examples as tests run them, and how what they print is compared with tests/expected/.

    python tests/example_runs.py        records tests/expected/ anew; it needs PyTorch, which the numbers come from

Used by test_examples.py (lamina against the record) and oracle/test_examples_oracle.py (PyTorch against it).
"""

import math
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
EXPECTED = Path(__file__).parent / "expected"
PYTHON = (sys.executable,)
LAMINA = (sys.executable, "-m", "lamina", "run")

# Program -> its arguments in a test. Few steps: rounding grows from step to step, in PyTorch against itself too.
RUNS = {
    "linear_regression": (),
    "autograd_tour": (),
    "char_gpt": ("--steps", "16", "--every", "1", "--batch-size", "4"),
    "pinn": ("--steps", "50"),
    "mnist": ("--steps", "30"),
}
RELATIVE, ABSOLUTE = 1e-3, 1e-4
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)")
VARIES = re.compile(r"torch \S+, |in \d+\.\d s")  # the version and the time


def output(name: str, command: Sequence[str], folder: Path, *arguments: str) -> str:
    """What the example prints when `command` runs it in an empty folder."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    line = [*command, str(EXAMPLES / f"{name}.py"), *(arguments or RUNS[name])]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, cwd=folder, env=env)
    if done.returncode:
        raise AssertionError(f"{name} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return VARIES.sub("", done.stdout)


def first_difference(got: str, expected: str) -> str:
    """The first line that differs in words, or in numbers by more than rounding; empty if there is none."""
    for number, (a, b) in enumerate(zip_longest(got.splitlines(), expected.splitlines(), fillvalue="<nothing>"), 1):
        if not _same(a, b):
            return f"line {number}\n  printed  {a}\n  expected {b}"
    return ""


def _same(a: str, b: str) -> bool:
    if NUMBER.sub("#", a).split() != NUMBER.sub("#", b).split():
        return False
    pairs = zip(NUMBER.findall(a), NUMBER.findall(b), strict=True)
    return all(x == y or math.isclose(_value(x), _value(y), rel_tol=RELATIVE, abs_tol=ABSOLUTE) for x, y in pairs)


def _value(text: str) -> float:
    return float(text.replace(",", ""))


def record(folder: Path) -> None:
    EXPECTED.mkdir(exist_ok=True)
    for name in RUNS:
        (EXPECTED / f"{name}.txt").write_text(output(name, PYTHON, folder))


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as work:
        record(Path(work))
