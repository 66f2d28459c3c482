"""The examples under PyTorch itself: the record is PyTorch's, and the digits train alike step by step."""

from pathlib import Path

import numpy as np
import pytest

from example_runs import EXPECTED, LAMINA, PYTHON, RUNS, first_difference, output


@pytest.mark.parametrize("name", RUNS)
def test_the_record_is_pytorchs(name, tmp_path: Path):
    assert first_difference(output(name, PYTHON, tmp_path), (EXPECTED / f"{name}.txt").read_text()) == ""


@pytest.mark.parametrize("model", ["cnn", "mlp"])
def test_digits_train_alike(model, tmp_path: Path):
    losses = []
    for who, command in (("torch", PYTHON), ("lamina", LAMINA)):
        file = tmp_path / f"{who}.txt"
        output("mnist", command, tmp_path, "--model", model, "--epochs", "2", "--losses", str(file))
        losses.append(np.loadtxt(file))
    theirs, ours = losses
    assert len(theirs) == len(ours) == 2 * 141
    np.testing.assert_allclose(ours[:100], theirs[:100], atol=1e-3)
    np.testing.assert_allclose(ours.reshape(2, -1).mean(1), theirs.reshape(2, -1).mean(1), atol=5e-3)
