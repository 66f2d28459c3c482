"""Each example, run by `lamina run`, prints what PyTorch printed."""

from pathlib import Path

import pytest

from example_runs import EXPECTED, LAMINA, RUNS, first_difference, output


@pytest.mark.parametrize("name", RUNS)
def test_prints_what_pytorch_printed(name, tmp_path: Path):
    assert first_difference(output(name, LAMINA, tmp_path), (EXPECTED / f"{name}.txt").read_text()) == ""
    if name == "mnist":
        for picture in ("loss.png", "digits.png"):
            assert (tmp_path / "out" / picture).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "got, expected, same",
    [
        ("loss 1.0001", "loss 1.0002", True),
        ("loss 1.01", "loss 1.02", False),
        ("loss 1.0", "lost 1.0", False),
        ("a", "a\nb", False),
        ("accuracy 98.2 %", "accuracy 9.82 %", False),
        ("x -1.0", "x +1.0", False),
    ],
)
def test_the_comparison_itself(got, expected, same):
    assert (first_difference(got, expected) == "") == same
