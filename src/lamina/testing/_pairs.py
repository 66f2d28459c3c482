"""Pairs of two things to compare, one class for each sort of thing, and what a comparison that fails says.

Here: the pairs that `assert_close` tries in turn; test suites derive their own from them. Not here: containers, and
`assert_close` itself (_comparison.py). The texts are PyTorch's to the character: programs and their tests show them.
"""

from __future__ import annotations

import abc
import cmath
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np

import lamina
from lamina.core.dtype import dtype as DType
from lamina.core.tensor import Tensor

_TOLERANCES = {
    lamina.float16: (1e-3, 1e-5),
    lamina.bfloat16: (1.6e-2, 1e-5),
    lamina.float32: (1.3e-6, 1e-5),
    lamina.float64: (1e-7, 1e-7),
    lamina.complex64: (1.3e-6, 1e-5),
    lamina.complex128: (1e-7, 1e-7),
}


def default_tolerances(
    *inputs: DType | Tensor, dtype_precisions: Mapping[DType, tuple[float, float]] | None = None
) -> tuple[float, float]:
    """(rtol, atol) for the least precise of these dtypes; zeros for integers.

    Raises TypeError for what is neither dtype nor tensor.
    """
    known = dtype_precisions or _TOLERANCES
    for each in inputs:
        if not isinstance(each, (DType, Tensor)):
            raise TypeError(f"Expected a torch.Tensor or a torch.dtype, but got {type(each)} instead.")
    pairs = [known.get(each.dtype if isinstance(each, Tensor) else each, (0.0, 0.0)) for each in inputs]
    return max(rtol for rtol, _ in pairs), max(atol for _, atol in pairs)


def get_tolerances(
    *inputs: DType | Tensor, rtol: float | None, atol: float | None, id: tuple[Any, ...] = ()
) -> tuple[float, float]:
    """The tolerances given, or those of the dtypes where neither is. Raises ErrorMeta (ValueError) for one of two."""
    if (rtol is None) != (atol is None):
        missing = "rtol" if rtol is None else "atol"
        raise ErrorMeta(
            ValueError,
            f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {missing}.",
            id=id,
        )
    if rtol is None or atol is None:
        return default_tolerances(*inputs)
    return rtol, atol


class ErrorMeta(Exception):
    """What is wrong with a pair: the type of the error to raise, its text, the item of the containers it lies in."""

    def __init__(self, type: type[Exception], msg: str, *, id: tuple[Any, ...] = ()) -> None:
        super().__init__(
            "If you are a user and see this message during normal operation please file an issue"
            if not isinstance(msg, str)
            else msg
        )
        self.type, self.msg, self.id = type, msg, id

    def to_error(self, msg: str | Callable[[str], str] | None = None) -> Exception:
        """The error. msg: its text, or a function that makes it of the generated one."""
        if isinstance(msg, str):
            return self.type(msg)
        place = "".join(str([item]) for item in self.id)
        generated = f"{self.msg}\n\nThe failure occurred for item {place}" if place else self.msg
        return self.type(msg(generated) if callable(msg) else generated)


class UnsupportedInputs(Exception):
    """A class of pairs is not for these two things; the next one is tried."""


class Pair(abc.ABC):
    """Two things, and how to compare them. A class that is not for them raises UnsupportedInputs when it is made."""

    def __init__(self, actual: Any, expected: Any, *, id: tuple[Any, ...] = (), **unknown_parameters: Any) -> None:
        self.actual, self.expected, self.id = actual, expected, id
        self._unknown_parameters = unknown_parameters

    @staticmethod
    def _inputs_not_supported() -> NoReturn:
        raise UnsupportedInputs

    @staticmethod
    def _check_inputs_isinstance(*inputs: Any, cls: type | tuple[type, ...]) -> None:
        if not all(isinstance(each, cls) for each in inputs):
            Pair._inputs_not_supported()

    def _fail(self, type: type[Exception], msg: str, *, id: tuple[Any, ...] = ()) -> NoReturn:
        raise ErrorMeta(type, msg, id=id or getattr(self, "id", ()))

    @abc.abstractmethod
    def compare(self) -> None:
        """Raise ErrorMeta if the two differ."""

    def extra_repr(self) -> Sequence[str | tuple[str, Any]]:
        """Names of attributes (or names and values) that its text shows beside the two things."""
        return []

    def __repr__(self) -> str:
        shown = [(e, getattr(self, e)) if isinstance(e, str) else e for e in self.extra_repr()]
        lines = [("id", self.id), ("actual", self.actual), ("expected", self.expected), *shown]
        body = "".join(f"    {name}={value!r},\n" for name, value in lines)
        return f"{type(self).__name__}(\n{body})"


class ObjectPair(Pair):
    """Anything, compared by `==`."""

    def compare(self) -> None:
        """Raise ErrorMeta unless the two are equal."""
        try:
            equal = self.actual == self.expected
        except Exception as error:
            raise ErrorMeta(
                ValueError,
                f"{self.actual} == {self.expected} failed with:\n{error}.",
                id=self.id,
            ) from error
        if not equal:
            self._fail(AssertionError, f"{self.actual} != {self.expected}")


class NonePair(Pair):
    """Two things of which one is None."""

    def __init__(self, actual: Any, expected: Any, **other_parameters: Any) -> None:
        if not (actual is None or expected is None):
            self._inputs_not_supported()
        super().__init__(actual, expected, **other_parameters)

    def compare(self) -> None:
        """Raise ErrorMeta unless both are None."""
        if not (self.actual is None and self.expected is None):
            self._fail(AssertionError, f"None mismatch: {self.actual} is not {self.expected}")


class BooleanPair(Pair):
    """Two truth values."""

    def __init__(self, actual: Any, expected: Any, *, id: tuple[Any, ...] = (), **other_parameters: Any) -> None:
        actual, expected = self._process_inputs(actual, expected, id=id)
        super().__init__(actual, expected, id=id, **other_parameters)

    @property
    def _supported_types(self) -> tuple[type, ...]:
        return (bool, np.bool_)

    def _process_inputs(self, actual: Any, expected: Any, *, id: tuple[Any, ...]) -> Sequence[bool]:
        self._check_inputs_isinstance(actual, expected, cls=self._supported_types)
        return [self._to_bool(each, id=id) for each in (actual, expected)]

    def _to_bool(self, bool_like: Any, *, id: tuple[Any, ...]) -> bool:
        if isinstance(bool_like, bool):
            return bool_like
        if isinstance(bool_like, np.bool_):
            return bool(bool_like)
        raise ErrorMeta(TypeError, f"Unknown boolean type {type(bool_like)}.", id=id)

    def compare(self) -> None:
        """Raise ErrorMeta unless they are the same."""
        if self.actual is not self.expected:
            self._fail(AssertionError, f"Booleans mismatch: {self.actual} is not {self.expected}")


class NumberPair(Pair):
    """Two numbers of Python or NumPy."""

    _TYPE_TO_DTYPE: ClassVar[dict[type, DType]] = {
        int: lamina.int64,
        float: lamina.float64,
        complex: lamina.complex128,
    }
    _NUMBER_TYPES = tuple(_TYPE_TO_DTYPE)

    def __init__(
        self,
        actual: Any,
        expected: Any,
        *,
        id: tuple[Any, ...] = (),
        rtol: float | None = None,
        atol: float | None = None,
        equal_nan: bool = False,
        check_dtype: bool = False,
        **other_parameters: Any,
    ) -> None:
        actual, expected = self._process_inputs(actual, expected, id=id)
        super().__init__(actual, expected, id=id, **other_parameters)
        self.rtol, self.atol = get_tolerances(
            *(self._TYPE_TO_DTYPE[type(each)] for each in (actual, expected)), rtol=rtol, atol=atol, id=id
        )
        self.equal_nan, self.check_dtype = equal_nan, check_dtype

    @property
    def _supported_types(self) -> tuple[type, ...]:
        return (*self._NUMBER_TYPES, np.number)

    def _process_inputs(self, actual: Any, expected: Any, *, id: tuple[Any, ...]) -> Sequence[Any]:
        self._check_inputs_isinstance(actual, expected, cls=self._supported_types)
        return [self._to_number(each, id=id) for each in (actual, expected)]

    def _to_number(self, number_like: Any, *, id: tuple[Any, ...]) -> Any:
        if isinstance(number_like, np.number):
            return number_like.item()
        if isinstance(number_like, self._NUMBER_TYPES):
            return number_like
        raise ErrorMeta(TypeError, f"Unknown number type {type(number_like)}.", id=id)

    def compare(self) -> None:
        """Raise ErrorMeta unless they are close, and of one type where that is asked for."""
        if self.check_dtype and type(self.actual) is not type(self.expected):
            self._fail(AssertionError, f"The (d)types do not match: {type(self.actual)} != {type(self.expected)}.")
        if self.actual == self.expected:
            return
        if self.equal_nan and cmath.isnan(self.actual) and cmath.isnan(self.expected):
            return
        apart = abs(self.actual - self.expected)
        if cmath.isfinite(apart) and apart <= self.atol + self.rtol * abs(self.expected):
            return
        self._fail(AssertionError, make_scalar_mismatch_msg(self.actual, self.expected, rtol=self.rtol, atol=self.atol))

    def extra_repr(self) -> Sequence[str]:
        """What it was made with."""
        return ("rtol", "atol", "equal_nan", "check_dtype")


class TensorLikePair(Pair):
    """Two tensors, or two arrays or other things of one type that tensors can be made of."""

    def __init__(
        self,
        actual: Any,
        expected: Any,
        *,
        id: tuple[Any, ...] = (),
        allow_subclasses: bool = True,
        rtol: float | None = None,
        atol: float | None = None,
        equal_nan: bool = False,
        check_device: bool = True,
        check_dtype: bool = True,
        check_layout: bool = True,
        check_stride: bool = False,
        **other_parameters: Any,
    ) -> None:
        actual, expected = self._process_inputs(actual, expected, id=id, allow_subclasses=allow_subclasses)
        super().__init__(actual, expected, id=id, **other_parameters)
        self.rtol, self.atol = get_tolerances(actual, expected, rtol=rtol, atol=atol, id=self.id)
        self.equal_nan, self.check_device, self.check_dtype = equal_nan, check_device, check_dtype
        self.check_layout, self.check_stride = check_layout, check_stride

    def _process_inputs(
        self, actual: Any, expected: Any, *, id: tuple[Any, ...], allow_subclasses: bool
    ) -> tuple[Tensor, Tensor]:
        if not (isinstance(actual, type(expected)) or isinstance(expected, type(actual))):
            self._inputs_not_supported()
        if not allow_subclasses and type(actual) is not type(expected):
            self._inputs_not_supported()
        actual, expected = (self._to_tensor(each) for each in (actual, expected))
        for tensor in (actual, expected):
            self._check_supported(tensor, id=id)
        return actual, expected

    def _to_tensor(self, tensor_like: Any) -> Tensor:
        if isinstance(tensor_like, Tensor):
            return tensor_like
        try:
            return lamina.as_tensor(tensor_like)
        except Exception:
            self._inputs_not_supported()

    def _check_supported(self, tensor: Tensor, *, id: tuple[Any, ...]) -> None:
        """For classes that refuse some tensors. Every tensor of lamina's can be compared."""

    def compare(self) -> None:
        """Raise ErrorMeta unless shape and (where asked for) device, dtype, layout and strides agree, and the values."""
        self._compare_attributes(self.actual, self.expected)
        if self.actual.is_meta or self.expected.is_meta:
            return  # there are no values
        with lamina.no_grad():
            actual, expected = self._equalize_attributes(self.actual, self.expected)
            self._compare_values(actual, expected)

    def _compare_attributes(self, actual: Tensor, expected: Tensor) -> None:
        for wanted, name, a, e in (
            (True, "shape", actual.shape, expected.shape),
            (self.check_layout, "layout", actual.layout, expected.layout),
            (self.check_device, "device", actual.device, expected.device),
            (self.check_dtype, "dtype", actual.dtype, expected.dtype),
            (self.check_stride, "stride()", actual.stride(), expected.stride()),
        ):
            if wanted and a != e:
                self._fail(AssertionError, f"The values for attribute '{name}' do not match: {a} != {e}.")

    def _equalize_attributes(self, actual: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
        """Both in one dtype."""
        if actual.dtype == expected.dtype:
            return actual, expected
        kind = lamina.promote_types(actual.dtype, expected.dtype)
        return actual.to(kind), expected.to(kind)

    def _compare_values(self, actual: Tensor, expected: Tensor) -> None:
        self._compare_regular_values_close(actual, expected, rtol=self.rtol, atol=self.atol, equal_nan=self.equal_nan)

    def _compare_regular_values_close(
        self,
        actual: Tensor,
        expected: Tensor,
        *,
        rtol: float,
        atol: float,
        equal_nan: bool,
        identifier: str | Callable[[str], str] | None = None,
    ) -> None:
        matches = lamina.isclose(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan)
        if bool(matches.all()):
            return
        if not actual.dim():
            text = make_scalar_mismatch_msg(actual.item(), expected.item(), rtol=rtol, atol=atol, identifier=identifier)
        else:
            text = make_tensor_mismatch_msg(actual, expected, matches, rtol=rtol, atol=atol, identifier=identifier)
        self._fail(AssertionError, text)

    def extra_repr(self) -> Sequence[str]:
        """What it was made with."""
        return ("rtol", "atol", "equal_nan", "check_device", "check_dtype", "check_layout", "check_stride")


# ---- texts -----------------------------------------------------------------------------------------------------------


def make_scalar_mismatch_msg(
    actual: Any,
    expected: Any,
    *,
    rtol: float,
    atol: float,
    identifier: str | Callable[[str], str] | None = None,
) -> str:
    """How far apart two numbers are, and how far they may be."""
    absolute = abs(actual - expected)
    relative = math.inf if expected == 0 else absolute / abs(expected)
    exact = rtol == 0 and atol == 0
    head = _headline(identifier, "Scalars", exact)
    return (
        f"{head}Expected {expected} but got {actual}.\n"
        f"Absolute difference: {absolute}{'' if exact else f' (up to {atol} allowed)'}\n"
        f"Relative difference: {relative}{'' if exact else f' (up to {rtol} allowed)'}"
    )


def make_tensor_mismatch_msg(
    actual: Tensor,
    expected: Tensor,
    matches: Tensor,
    *,
    rtol: float,
    atol: float,
    identifier: str | Callable[[str], str] | None = None,
) -> str:
    """How many elements of two tensors differ, where they do most, and how far they may."""
    if not (actual.dtype.is_floating_point or actual.dtype.is_complex):
        actual, expected = actual.to(lamina.int64), expected.to(lamina.int64)
    absolute = lamina.abs(actual - expected)
    relative = absolute / lamina.abs(expected)
    # what matches does not count, whatever its difference (NaN against NaN, 0 / 0)
    absolute, relative = (d.masked_fill(matches, -1 if d.dtype == lamina.int64 else -1.0) for d in (absolute, relative))
    total, wrong = matches.numel(), int((~matches).sum())
    exact = rtol == 0 and atol == 0
    return (
        f"{_headline(identifier, 'Tensor-likes', exact)}"
        f"Mismatched elements: {wrong} / {total} ({wrong / total:.1%})\n"
        f"Greatest absolute difference: {_greatest(absolute)}{'' if exact else f' (up to {atol} allowed)'}\n"
        f"Greatest relative difference: {_greatest(relative)}{'' if exact else f' (up to {rtol} allowed)'}"
    )


def _headline(identifier: str | Callable[[str], str] | None, default: str, exact: bool) -> str:
    name = identifier(default) if callable(identifier) else identifier or default
    return f"{name} are not {'equal' if exact else 'close'}!\n\n"


def _greatest(differences: Tensor) -> str:
    place = int(differences.flatten().argmax())
    index = tuple(int(i) for i in np.unravel_index(place, tuple(differences.shape)))
    return f"{differences.flatten()[place].item()} at index {index}"
