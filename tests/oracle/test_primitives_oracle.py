"""Every primitive on its samples beside PyTorch: values, whether they have a gradient, gradients; and the recorded values are true."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "primitives"))

import record_primitives as torchs
from checks import Call, compare_values, cotangents
from checks import gradients as ours_of
from conventions import APPROXIMATE
from recorded import FILE
from samples import SAMPLES, primitives

PRIMITIVES = [pytest.param(p, id=p.name.replace(" ", "-")) for p in primitives() if torchs.compared(p)]

PYTORCH_HAS_NONE = ("not implemented", "returned an invalid gradient", "does not support automatic differentiation")
"""What PyTorch says where it has no gradient, or a faulty one (of a scatter whose source is larger than its index)."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("p", PRIMITIVES)
def test_values(p):
    for args, params in SAMPLES[p.name]:
        call = Call(p, args, params)
        compare_values(p, call.on(call.tensors()), torchs.values(p, args, params))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("p", PRIMITIVES)
def test_gradients(p):
    for args, params in SAMPLES[p.name]:
        try:
            theirs = torchs.gradients(p, args, params)
        except (RuntimeError, NotImplementedError) as error:
            if not any(text in str(error) for text in PYTORCH_HAS_NONE):
                raise
            theirs = {}
        if not theirs:
            continue
        call = Call(p, args, params)
        tensors = call.tensors(requires_grad=True)
        ours = ours_of(call, tensors, cotangents(call.outputs(tensors)))
        tolerance = APPROXIMATE.get(p.name, 1e-7)
        for i, g in zip(call.smooth, ours, strict=True):
            if i not in theirs:
                continue
            scale = tolerance * max(1.0, float(np.abs(theirs[i]).max(initial=0.0)))
            np.testing.assert_allclose(g.numpy(), theirs[i], rtol=tolerance, atol=scale, err_msg=f"argument {i}")


def test_what_is_recorded():
    """`python tests/oracle/record_primitives.py` writes it anew."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        now = torchs.table()
    then = json.loads(FILE.read_text())
    assert {n: list(rows) for n, rows in then.items()} == {n: list(rows) for n, rows in now.items()}
    for name, rows in now.items():
        for key, row in rows.items():
            for what, arrays in row.items():
                for (dtype, shape, numbers), (dtype_then, shape_then, numbers_then) in zip(
                    arrays, then[name][key][what], strict=True
                ):
                    assert (dtype, shape) == (dtype_then, shape_then), name
                    np.testing.assert_allclose(numbers, numbers_then, rtol=1e-9, atol=1e-11, err_msg=name)
