"""The examples under PyTorch itself: the record is PyTorch's, and the digits train alike step by step."""

from pathlib import Path

import numpy as np
import pytest

from example_runs import EXPECTED, LAMINA, PYTHON, RUNS, first_difference, output


@pytest.mark.parametrize("name", RUNS)
def test_the_record_is_pytorchs(name, tmp_path: Path):
    assert first_difference(output(name, PYTHON, tmp_path), (EXPECTED / f"{name}.txt").read_text()) == ""


NUDGED = (*PYTHON, str(Path(__file__).with_name("nudged.py")))


@pytest.mark.parametrize("model", ["cnn", "mlp"])
def test_digits_train_alike(model, tmp_path: Path):
    """To 1e-3 for 100 steps; where rounding decides about a step, as PyTorch does with one weight moved by one unit in the last place."""

    def losses(who, command):
        file = tmp_path / f"{who}.txt"
        output("mnist", command, tmp_path, "--model", model, "--epochs", "2", "--losses", str(file))
        return np.loadtxt(file)

    theirs, ours = losses("torch", PYTHON), losses("lamina", LAMINA)
    assert len(theirs) == len(ours) == 2 * 141
    np.testing.assert_allclose(ours[:20], theirs[:20], atol=1e-5)
    if not np.allclose(ours[:100], theirs[:100], rtol=0, atol=1e-3):
        np.testing.assert_allclose(ours[:100], losses("nudged", NUDGED)[:100], atol=1e-3)
    np.testing.assert_allclose(ours.reshape(2, -1).mean(1), theirs.reshape(2, -1).mean(1), atol=5e-3)
