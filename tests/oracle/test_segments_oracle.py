"""segment_reduce and hash_tensor against PyTorch's: values, gradients, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lamina

VALUES = np.array([[1.0, 4.0, 4.5, 4.25, -2.0, 0.5], [0.5, -1.0, 2.0, 2.5, 3.0, 7.0]], np.float32)
CUTS = {
    "lengths": {"lengths": [[1, 0, 3, 2], [2, 2, 2, 0]], "axis": 1}, "offsets": {"offsets": [[0, 1, 1, 4, 6], [0, 2, 4, 6, 6]], "axis": 1},
    "rows": {"lengths": [1, 1]}, "later offsets": {"offsets": [1, 2]}, "too short": {"lengths": [1]},
    "negative": {"lengths": [-1, 3]}, "another axis": {"lengths": [2], "axis": 1}, "nothing": {},
}  # fmt: skip


@pytest.mark.parametrize("initial", [None, 2.1])
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min", "prod", "median"])
def test_segment_reduce(reduce, cut, initial):
    def run(lib):
        x = lib.tensor(VALUES, requires_grad=True)
        given = {k: lib.tensor(v) if isinstance(v, list) else v for k, v in CUTS[cut].items()}
        y = lib.segment_reduce(x, reduce, initial=initial, **given)
        lib.nan_to_num(y, 0.0, 0.0, 0.0).sin().sum().backward()
        return y.detach().numpy(), x.grad.numpy(), y.grad_fn.name()

    try:
        expected = run(torch)
    except Exception as error:
        with pytest.raises(type(error)) as ours:
            run(lamina)
        assert str(ours.value) == str(error)
        return
    found = run(lamina)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5, atol=1e-6)
    assert found[2] == expected[2]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int64", "int8", "uint8", "bool"])
@pytest.mark.parametrize("dim", [None, 0, (0, 1), -1])
def test_hash_tensor(dim, dtype):
    ours, theirs = (
        lib.hash_tensor(lib.tensor(VALUES).to(getattr(lib, dtype)), *(() if dim is None else (dim,)))
        for lib in (lamina, torch)
    )
    assert str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
