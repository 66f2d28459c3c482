"""Printing against PyTorch: any array, any options, the same characters."""

import ml_dtypes
import numpy as np
import torch
import torch._tensor_str
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.core import printing

INTEGERS = ["uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "bool"]
FLOATS = ["float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]
FLOATS += ["float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]
COMPLEX = ["complex64", "complex128"]

SHAPES = st.one_of(
    st.just(()),
    st.lists(st.integers(0, 12), min_size=1, max_size=2),
    st.lists(st.integers(0, 5), min_size=1, max_size=5),
    st.lists(st.integers(30, 60), min_size=1, max_size=2),
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.integers(0, 9),
        "threshold": st.one_of(st.integers(0, 30), st.just(float("inf"))),
        "edgeitems": st.integers(0, 4),
        "linewidth": st.integers(0, 200),
        "profile": st.sampled_from(["default", "short", "full"]),
        "sci_mode": st.sampled_from([True, False, None]),
    },
)
SUFFIXES = st.lists(st.sampled_from(["requires_grad", "subclass", "parameter"]), max_size=2, unique=True)

SMALL_INTS = st.integers(-5, 2000).map(float)
SPECIAL = st.sampled_from([0.0, -0.0, float("nan"), float("inf"), -float("inf"), 1e8, 1e8 + 8, 1e-4, 9.9e-5, 1e-310])
NUMBERS = st.one_of(SMALL_INTS, SPECIAL, st.floats(-10, 10), st.floats(width=64))


class MyTensor(torch.Tensor):
    pass


def _array_of(tensor):
    """The values as NumPy holds them; ml_dtypes for what NumPy lacks."""
    tensor = tensor.detach().as_subclass(torch.Tensor)
    name = str(tensor.dtype).removeprefix("torch.")
    if name == "bfloat16" or name.startswith("float8"):
        bits = tensor.contiguous().view(torch.uint16 if name == "bfloat16" else torch.uint8)
        return bits.numpy().view(getattr(ml_dtypes, name))
    return tensor.numpy()


@st.composite
def tensors(draw):
    dtype = getattr(torch, draw(st.sampled_from(INTEGERS + FLOATS * 2 + COMPLEX * 2)))
    shape = tuple(draw(SHAPES))
    pool = draw(st.lists(NUMBERS, min_size=1, max_size=6))
    picks = np.random.default_rng(draw(st.integers(0, 9))).integers(0, len(pool), (2, *shape))
    values = np.take(pool, picks)[..., None]
    if dtype.is_complex:
        return torch.complex(torch.from_numpy(values[0])[..., 0], torch.from_numpy(values[1])[..., 0]).to(dtype)
    if not dtype.is_floating_point:
        values = np.clip(np.nan_to_num(values), -100 if dtype.is_signed else 0, 120)
    if dtype == torch.float8_e8m0fnu:
        # PyTorch takes this type's smallest number for zero and its NaN for a number: not copied.
        values = np.nan_to_num(values).clip(1e-30, 1e30)
    return torch.from_numpy(values[0])[..., 0].to(dtype)


@settings(max_examples=1500, deadline=None)
@given(tensors(), OPTIONS, SUFFIXES, st.sampled_from([torch.float32, torch.float64, torch.float16]), st.booleans())
def test_repr_equals_pytorch(tensor, options, extras, default_dtype, meta):
    differentiable = tensor.dtype.is_floating_point or tensor.dtype.is_complex
    prefix, suffixes = "tensor(", []
    if "float8" in str(tensor.dtype):
        extras = []
    if meta:
        tensor = tensor.to("meta")
    if "parameter" in extras:
        tensor = torch.nn.Parameter(tensor, requires_grad=differentiable)
        prefix = "Parameter containing:\ntensor("
        suffixes = ["requires_grad=True"] * differentiable
    elif "subclass" in extras:
        tensor = tensor.as_subclass(MyTensor)
        prefix = "MyTensor("
    if "requires_grad" in extras and differentiable and "parameter" not in extras:
        tensor.requires_grad_()
        suffixes = ["requires_grad=True"]

    before = torch.get_default_dtype()
    torch.set_default_dtype(default_dtype)
    try:
        with torch._tensor_str.printoptions(**options):
            expected = repr(tensor)
    finally:
        torch.set_default_dtype(before)
    with printing.printoptions(**options):
        actual = printing.format_tensor(
            None if meta else _array_of(tensor),
            dtype=str(tensor.dtype).removeprefix("torch."),
            default_dtypes=(
                str(default_dtype).removeprefix("torch."),
                "complex128" if default_dtype == torch.float64 else "complex64",
            ),
            prefix=prefix,
            suffixes=suffixes,
            size=tuple(tensor.shape),
            meta=meta,
        )
    assert actual == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(OPTIONS, max_size=4))
def test_options_accumulate_as_in_pytorch(calls):
    with torch._tensor_str.printoptions(), printing.printoptions():
        for options in calls:
            torch.set_printoptions(**options)
            printing.set_printoptions(**options)
            assert printing.get_printoptions() == vars(torch._tensor_str.PRINT_OPTS)
