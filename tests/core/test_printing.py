"""Printing: strings recorded from PyTorch. The comparison over random arrays and options is in tests/oracle."""

import ml_dtypes
import numpy as np
import pytest

from lamina.core.printing import format_tensor, get_printoptions, printoptions, set_printoptions

nan, inf = float("nan"), float("inf")


def f32(values):
    return np.array(values, np.float32)


RECORDED = [
    (f32(1.5), {}, "tensor(1.5000)"),
    (f32([1.0, -2.0, 0.0]), {}, "tensor([ 1., -2.,  0.])"),
    (f32([nan, 1.5, -inf]), {}, "tensor([   nan, 1.5000,   -inf])"),
    (f32([nan, 1.0]), {}, "tensor([nan, 1.])"),
    (f32([-0.0, nan, inf]), {}, "tensor([-0., nan, inf])"),
    (f32([1.0, 1001.0]), {}, "tensor([1.0000e+00, 1.0010e+03])"),
    (f32([1.5, 1e-5]), {}, "tensor([1.5000e+00, 1.0000e-05])"),
    (f32([1.0, 2.0, 1e10]), {"sci_mode": False}, "tensor([          1.,           2., 10000000000.])"),
    (f32([1.0, 2.0]), {"sci_mode": True, "precision": 1}, "tensor([1.0e+00, 2.0e+00])"),
    (f32([1.5, 2.5]), {"precision": 0}, "tensor([2, 2])"),
    (np.array([1, -200]), {}, "tensor([   1, -200])"),
    (np.array([2**64 - 1], np.uint64), {}, "tensor([18446744073709551615], dtype=torch.uint64)"),
    (np.array([True, False]), {}, "tensor([ True, False])"),
    (np.array([1.0, 2.0]), {}, "tensor([1., 2.], dtype=torch.float64)"),
    (np.array([0.5, 2.0], ml_dtypes.bfloat16), {}, "tensor([0.5000, 2.0000], dtype=torch.bfloat16)"),
    (np.array([0.5, 2.0], ml_dtypes.float8_e5m2), {}, "tensor([0.5000, 2.0000], dtype=torch.float8_e5m2)"),
    (np.array([1 + 2j, 3 - 4.5j], np.complex64), {}, "tensor([1.+2.0000j, 3.-4.5000j])"),
    (
        np.array([1e-9 + 2j, complex(nan, -inf)], np.complex64),
        {},
        "tensor([1.0000e-09+2.j,        nan-infj])",
    ),
    (np.empty(0, np.int64), {}, "tensor([], dtype=torch.int64)"),
    (np.empty((0, 3), np.float32), {}, "tensor([], size=(0, 3))"),
    (np.ones((1, 4), np.float32), {"threshold": 0, "edgeitems": 1}, "tensor([[1.,  ..., 1.]])"),
    (np.ones((2, 2), np.float32), {"threshold": 0, "edgeitems": 0}, "tensor([...], size=(2, 2))"),
    (
        np.arange(12.0, dtype=np.float32),
        {"linewidth": 30},
        "tensor([ 0.,  1.,  2.,  3.,\n         4.,  5.,  6.,  7.,\n         8.,  9., 10., 11.])",
    ),
    (
        np.arange(8).reshape(2, 2, 2),
        {},
        "tensor([[[0, 1],\n         [2, 3]],\n\n        [[4, 5],\n         [6, 7]]])",
    ),
    (
        np.arange(64).reshape(4, 16),
        {"threshold": 8, "edgeitems": 1},
        "tensor([[ 0,  ..., 15],\n        ...,\n        [48,  ..., 63]])",
    ),
]


@pytest.mark.parametrize("array, options, expected", RECORDED)
def test_recorded(array, options, expected):
    with printoptions(**options):
        assert format_tensor(array, dtype=array.dtype.name) == expected


def test_suffixes_wrap_below_the_values():
    array = f32([[2.0, 2.0], [2.0, 2.0]])
    text = format_tensor(
        array, dtype="float32", prefix="MyTensor(", suffixes=["grad_fn=<MulBackward0>", "tangent=" + "1" * 50]
    )
    assert text == (
        "MyTensor([[2., 2.],\n          [2., 2.]], grad_fn=<MulBackward0>,\n         tangent=" + "1" * 50 + ")"
    )


def test_parameter_prefix_indents_by_its_last_line():
    text = format_tensor(
        f32([[1.0], [2.0]]),
        dtype="float32",
        prefix="Parameter containing:\ntensor(",
        suffixes=["requires_grad=True"],
    )
    assert text == "Parameter containing:\ntensor([[1.],\n        [2.]], requires_grad=True)"


def test_meta_needs_no_values():
    assert format_tensor(None, dtype="float32", size=(2, 3), meta=True) == "tensor(..., device='meta', size=(2, 3))"
    assert (
        format_tensor(None, dtype="int64", size=(), meta=True)
        == "tensor(..., device='meta', size=(), dtype=torch.int64)"
    )


def test_default_dtypes_are_not_written():
    array = np.array([1.0])
    assert format_tensor(array, dtype="float64", default_dtypes=("float64", "complex128")) == "tensor([1.])"


def test_summary_reads_only_the_corners():
    """A view of one element with two billion entries: reading it all would need gigabytes."""
    array = np.broadcast_to(np.float32(1), (2**11, 2**10, 2**10))
    assert format_tensor(array, dtype="float32").count("...") == 1 + 6 + 36


def test_profiles_and_restoring():
    before = get_printoptions()
    with printoptions(profile="short", linewidth=100, sci_mode=True):
        set_printoptions(precision=7)
        assert get_printoptions() == {
            "precision": 7,
            "threshold": 1000,
            "edgeitems": 2,
            "linewidth": 100,
            "sci_mode": None,
        }
    assert get_printoptions() == before
