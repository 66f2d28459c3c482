"""nn.Module, containers and nn.utils: the same programs on lamina and on PyTorch must print the same.

The programs are functions of `torch` (one of the two) and `show`, in the modules `*_programs` of this folder.
"""

import re
import sys
import warnings
from pathlib import Path

import pytest
import torch
import torch.fx.passes.shape_prop
import torch.nn.utils.prune

import lamina

sys.path.insert(0, str(Path(__file__).parent))

import fx_programs
import module_programs
import parametrize_programs
import utils_programs

PROGRAMS = [
    value
    for module in (fx_programs, module_programs, parametrize_programs, utils_programs)
    for name, value in vars(module).items()
    if callable(value) and getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
]


class Printed:
    """What a program shows: results, errors and warnings, each with its label."""

    def __init__(self):
        self.lines = []

    def __call__(self, label, function):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.filterwarnings(
                "ignore", category=RuntimeWarning, module=r"lamina\."
            )  # as lamina itself says at import
            try:
                text = f"{function()!r}"
            except Exception as error:
                text = f"{type(error).__name__}: {_first_sentence(str(error))}"
        said = [f"{w.category.__name__}: {_first_sentence(str(w.message))}" for w in caught]
        self.lines.append(
            re.sub(r"0x[0-9a-f]+", "0x", "\n".join([f"{label} -> {text}", *said])).replace("lamina.", "torch.")
        )


def _first_sentence(text):
    text = text.partition(", but expected one of")[0]
    return re.split(r"(?<=[.!;])['\"]?(?= |\n|$)", text, maxsplit=1)[0].rstrip(
        "."
    )  # PyTorch's last one may lack its stop


def _run(program, library):
    library.manual_seed(0)
    printed = Printed()
    program(library, printed)
    return printed.lines


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_prints_the_same(program):
    assert _run(program, lamina) == _run(program, torch)
