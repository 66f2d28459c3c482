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


@pytest.mark.full
@pytest.mark.parametrize("name", ["char_gpt", "mnist"])
def test_compiled_it_prints_the_same(name, tmp_path: Path):
    compiled = output(name, LAMINA, tmp_path, *RUNS[name], "--compile").splitlines()
    expected = (EXPECTED / f"{name}.txt").read_text().splitlines()
    if name == "mnist":  # a digit near a border may be taken for another one: the losses tell
        assert [line.split()[0] for line in compiled if "  " in line][-2:] == ["eager", "compiled"]
        compiled, expected = ([line for line in lines if "mean loss" in line] for lines in (compiled, expected))
    assert first_difference("\n".join(compiled), "\n".join(expected)) == ""


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
