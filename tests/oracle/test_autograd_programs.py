"""Programs about autograd print the same on lamina and on PyTorch, errors and warnings included.

They lie in autograd_programs/: each is run as it is, once by PyTorch and once by `lamina run`.
"""

import difflib
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = sorted(p for p in (Path(__file__).parent / "autograd_programs").glob("*.py") if p.stem != "show")


def printed(command, program):
    done = subprocess.run([*command, program.name], cwd=program.parent, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]
    return re.sub(r"0x[0-9a-f]+", "0x", done.stdout).splitlines()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.stem)
def test_program(program):
    wanted = printed([sys.executable], program)
    given = printed([sys.executable, "-m", "lamina", "run"], program)
    assert len(wanted) > 20
    assert given == wanted, "\n".join(difflib.unified_diff(wanted, given, "pytorch", "lamina", lineterm="", n=1))
