"""Public elementwise functions with parameters or several results: round, logit, nan_to_num, frexp, polar, complex,
polygamma, mvlgamma.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes

from lamina import return_types
from lamina.core import dtype as dtypes
from lamina.core.tensor import Tensor
from lamina.primitives import elementary
from lamina.primitives import special_functions as s
from lamina.primitives.functions import is_tensor
from lamina.primitives.inplace import of_tensors, put_out, with_out
from lamina.primitives.out_dtypes import NAMES
from lamina.primitives.signature import not_tensor


def _floating(input: Any, name: str, position: int = 1) -> Tensor:
    """A tensor, as the default float where it holds integers."""
    if not is_tensor(input):
        raise not_tensor(name, "input", position, input)
    return input if input.dtype.category > 1 else input.to(dtypes.get_default_dtype())  # type: ignore[no-any-return]


@with_out
def round(input: Tensor, *, decimals: int | None = None) -> Tensor:
    """The nearest whole number, the even one of two; or the nearest multiple of 10**-decimals."""
    if not is_tensor(input):
        raise not_tensor("round", "input", 1, input)
    if decimals == 0 and input.dtype.category == 1:
        raise NotImplementedError(f"\"round_vml_cpu\" not implemented for '{NAMES[input.dtype.name]}'")
    if decimals is None or (decimals == 0 and input.dtype.category != 2):
        return elementary.round_(input)  # type: ignore[no-any-return]
    if input.dtype.category != 2:
        raise NotImplementedError(f"\"round_cpu\" not implemented for '{NAMES[input.dtype.name]}'")
    return elementary.round_decimals(input, decimals=decimals)  # type: ignore[no-any-return]


@with_out
def special_round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """`round`, as torch.special has it."""
    return round(input, decimals=decimals)  # type: ignore[no-any-return]


@with_out
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(input / (1 - input)); with eps, of `input` held between eps and 1 - eps."""
    x = _floating(input, "logit")
    return elementary.logit(x) if eps is None or eps < 0 else elementary.logit_clamped(x, eps=eps)  # type: ignore[no-any-return]


@with_out
def nan_to_num(
    input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """`input` with NaN replaced by `nan` (0), infinities by `posinf` and `neginf` (the largest finite numbers)."""
    if not is_tensor(input):
        raise not_tensor("nan_to_num", "input", 1, input)
    if input.dtype.category < 2:
        return input.clone()
    info = ml_dtypes.finfo(input.dtype.to_real().np)  # type: ignore[no-untyped-call]
    posinf = float(info.max) if posinf is None else posinf
    neginf = float(info.min) if neginf is None else neginf
    return elementary.nan_to_num_(input, nan=0.0 if nan is None else nan, posinf=posinf, neginf=neginf)  # type: ignore[no-any-return]


@with_out
def frexp(input: Tensor) -> Any:
    """(mantissa, exponent): mantissa * 2**exponent is `input`, the mantissa in [0.5, 1); exponent: int32.

    Raises RuntimeError for integers and complex numbers.
    """
    if input.dtype.category != 2:
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    return return_types.frexp(elementary.frexp_(input))


def _check_pair(first: Tensor, second: Tensor, names: tuple[str, str], name: str) -> None:
    for i, (t, label) in enumerate(zip((first, second), names, strict=True)):
        if not is_tensor(t):
            raise not_tensor(name, label, i + 1, t)
    a, b = first.dtype, second.dtype
    allowed = (dtypes.float16, dtypes.float32, dtypes.float64)
    if a not in allowed or b not in allowed:
        raise RuntimeError(
            f"Expected both inputs to be Half, Float or Double tensors but got {NAMES[a.name]} and {NAMES[b.name]}"
        )
    if a is not b:
        raise RuntimeError(
            f"Expected object of scalar type {NAMES[a.name]} but got scalar type {NAMES[b.name]} for second argument"
        )
    if a is dtypes.float16:
        raise NotImplementedError(
            f"{name}() of float16 makes complex32, which lamina has not; convert to float32 before"
        )


@with_out
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """The complex tensor with these absolute values and angles."""
    _check_pair(abs, angle, ("abs", "angle"), "polar")
    return elementary.polar_(abs, angle)  # type: ignore[no-any-return]


@of_tensors
def complex(real: Tensor, imag: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The complex tensor with these real and imaginary parts."""
    _check_pair(real, imag, ("real", "imag"), "complex")
    if out is not None and out.dtype is not real.dtype.to_complex():
        raise RuntimeError(
            f"Expected object of scalar type {NAMES[real.dtype.to_complex().name]} but got scalar type "
            f"{NAMES[out.dtype.name]} for argument 'out'"
        )
    result = elementary.complex_(real, imag)
    return result if out is None else put_out("complex", result, out)  # type: ignore[no-any-return]


@with_out
def polygamma(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of digamma. Raises RuntimeError for a negative n."""
    n = int(n)
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    x = _floating(input, "polygamma", 2)
    if x.dtype.category == 3:
        raise NotImplementedError(
            f"\"{'digamma' if n == 0 else 'trigamma' if n == 1 else 'polygamma'}\" not implemented for '{NAMES[x.dtype.name]}'"
        )
    return s.digamma(x) if n == 0 else s.polygamma_(x, n=n)  # type: ignore[no-any-return]


def polygamma_method(self: Tensor, n: int) -> Tensor:
    """The n-th derivative of digamma."""
    return polygamma(n, self)  # type: ignore[no-any-return]


@with_out
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension p."""
    p = int(p)
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    if _floating(input, "mvlgamma").dtype.category == 3:
        raise NotImplementedError(f"\"arange_cpu\" not implemented for '{NAMES[input.dtype.name]}'")
    return s.mvlgamma_(_floating(input, "mvlgamma"), p=p)  # type: ignore[no-any-return]
