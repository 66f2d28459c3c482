"""`assert_close`: are two things (tensors, arrays, numbers, or containers of them) the same up to rounding?

The texts of the failures are PyTorch's to the character: programs and their tests show them.
"""

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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


def default_tolerances(*inputs: DType | Tensor) -> tuple[float, float]:
    """(rtol, atol) for the least precise of these dtypes; zeros for integers."""
    pairs = [_TOLERANCES.get(each.dtype if isinstance(each, Tensor) else each, (0.0, 0.0)) for each in inputs]
    return max(rtol for rtol, _ in pairs), max(atol for _, atol in pairs)


@dataclass(frozen=True)
class _Options:
    rtol: float | None
    atol: float | None
    equal_nan: bool
    allow_subclasses: bool
    check_device: bool
    check_dtype: bool
    check_layout: bool
    check_stride: bool

    def tolerances(self, *inputs: DType | Tensor) -> tuple[float, float]:
        if self.rtol is None or self.atol is None:
            return default_tolerances(*inputs)
        return self.rtol, self.atol


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Assert that `abs(actual - expected) <= atol + rtol * abs(expected)`, elementwise, and that the kinds agree.

    Containers are compared item by item. `rtol` and `atol` go together; without them they follow from the dtype.

    Raises
    ------
    AssertionError
        If they differ; the text says by how much and where. `msg` replaces it, or makes another one of it.
    ValueError
        If only one of `rtol` and `atol` is given.
    TypeError
        If the two are not of comparable types.

    Examples
    --------
    >>> import lamina
    >>> lamina.testing.assert_close(lamina.tensor([1.0, 2.0]), lamina.tensor([1.0, 2.0 + 1e-7]))
    """
    if (rtol is None) != (atol is None):
        missing = "rtol" if rtol is None else "atol"
        raise ValueError(f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {missing}.")
    options = _Options(rtol, atol, equal_nan, allow_subclasses, check_device, check_dtype, check_layout, check_stride)
    found = _difference(actual, expected, options, "")
    if found is None:
        return
    text, place = found
    text = f"{text}\n\nThe failure occurred for item {place}" if place else text
    if msg is not None:
        text = msg(text) if callable(msg) else msg
    raise AssertionError(text)


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """The older spelling of `assert_close`, which ignores dtype and device."""
    if not isinstance(actual, Tensor):
        actual = lamina.tensor(actual)
    if not isinstance(expected, Tensor):
        expected = lamina.tensor(expected, dtype=actual.dtype)
    assert_close(
        actual,
        expected,
        rtol=rtol,
        atol=atol,
        equal_nan=equal_nan,
        check_device=False,
        check_dtype=False,
        msg=msg or None,
    )


_Difference = tuple[str, str] | None  # what differs, and at which item


def _difference(actual: Any, expected: Any, options: _Options, place: str) -> _Difference:
    """The first difference; None if there is none."""
    if _both(actual, expected, Sequence) and not isinstance(actual, str) and not isinstance(expected, str):
        if len(actual) != len(expected):
            return f"The length of the sequences mismatch: {len(actual)} != {len(expected)}", place
        pairs = [(str(i), a, e) for i, (a, e) in enumerate(zip(actual, expected, strict=True))]
    elif _both(actual, expected, Mapping):
        if set(actual) != set(expected):
            missing = sorted(set(expected) - set(actual), key=str)
            extra = sorted(set(actual) - set(expected), key=str)
            return (
                "The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {missing}\nAdditional keys in the actual mapping: {extra}"
            ), place
        pairs = [(repr(key), actual[key], expected[key]) for key in _sorted_keys(expected)]
    else:
        text = _leaf_difference(actual, expected, options)
        return None if text is None else (text, place)
    for key, a, e in pairs:
        found = _difference(a, e, options, f"{place}[{key}]")
        if found is not None:
            return found
    return None


def _sorted_keys(mapping: Mapping[Any, Any]) -> list[Any]:
    try:
        return sorted(mapping)
    except TypeError:
        return list(mapping)


def _both(actual: Any, expected: Any, kind: Any) -> bool:
    return isinstance(actual, kind) and isinstance(expected, kind)


def _leaf_difference(actual: Any, expected: Any, options: _Options) -> str | None:
    if actual is None and expected is None:
        return None
    if _both(actual, expected, (bool, np.bool_)):
        return None if actual == expected else f"Booleans mismatch: {actual} is not {expected}"
    if _both(actual, expected, numbers.Number):
        return _number_difference(actual, expected, options)
    if options.allow_subclasses:
        related = isinstance(actual, type(expected)) or isinstance(expected, type(actual))
    else:
        related = type(actual) is type(expected)
    if related and isinstance(actual, (Tensor, np.ndarray)):
        return _tensor_difference(_as_tensor(actual), _as_tensor(expected), options)
    raise TypeError(f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}.")


def _as_tensor(value: Any) -> Tensor:
    return value.detach() if isinstance(value, Tensor) else lamina.as_tensor(value)


def _number_difference(actual: Any, expected: Any, options: _Options) -> str | None:
    if options.check_dtype and type(actual) is not type(expected):
        return f"The (d)types do not match: {type(actual)} != {type(expected)}."
    kinds = {int: lamina.int64, complex: lamina.complex128}
    rtol, atol = options.tolerances(*(kinds.get(type(each), lamina.float64) for each in (actual, expected)))
    if actual == expected or (options.equal_nan and actual != actual and expected != expected):
        return None
    absolute = abs(actual - expected)
    if not math.isnan(absolute) and not math.isinf(absolute) and absolute <= atol + rtol * abs(expected):
        return None
    relative = absolute / abs(expected) if expected != 0 else math.inf
    return _scalar_text(expected, actual, absolute, relative, rtol, atol)


def _scalar_text(expected: Any, actual: Any, absolute: float, relative: float, rtol: float, atol: float) -> str:
    exact = rtol == 0 and atol == 0
    return (
        f"Scalars are not {'equal' if exact else 'close'}!\n\nExpected {expected} but got {actual}.\n"
        f"Absolute difference: {absolute}{'' if exact else f' (up to {atol} allowed)'}\n"
        f"Relative difference: {relative}{'' if exact else f' (up to {rtol} allowed)'}"
    )


def _tensor_difference(actual: Tensor, expected: Tensor, options: _Options) -> str | None:
    checks = [
        (True, "shape", actual.shape, expected.shape),
        (options.check_layout, "layout", actual.layout, expected.layout),
        (options.check_device, "device", actual.device, expected.device),
        (options.check_dtype, "dtype", actual.dtype, expected.dtype),
        (options.check_stride, "stride()", actual.stride(), expected.stride()),
    ]
    for wanted, name, a, e in checks:
        if wanted and a != e:
            return f"The values for attribute '{name}' do not match: {a} != {e}."
    rtol, atol = options.tolerances(actual, expected)
    with lamina.no_grad():
        return _value_difference(*_common(actual, expected), rtol, atol, options.equal_nan)


def _common(actual: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
    """Both on the CPU and in one dtype wide enough to subtract in."""
    actual, expected = actual.to("cpu"), expected.to("cpu")
    kind = lamina.promote_types(actual.dtype, expected.dtype)
    if not kind.is_floating_point and not kind.is_complex:
        kind = lamina.int64
    return actual.to(kind), expected.to(kind)


def _value_difference(actual: Tensor, expected: Tensor, rtol: float, atol: float, equal_nan: bool) -> str | None:
    matches = lamina.isclose(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan)
    if bool(matches.all()):
        return None
    absolute = lamina.abs(actual - expected)
    relative = absolute / lamina.abs(expected)
    if actual.dim() == 0:
        return _scalar_text(expected.item(), actual.item(), absolute.item(), relative.item(), rtol, atol)
    # what matches does not count, whatever its difference (NaN against NaN, 0 / 0)
    absolute, relative = (d.masked_fill(matches, -1 if d.dtype == lamina.int64 else -1.0) for d in (absolute, relative))
    total, wrong = matches.numel(), int((~matches).sum())
    exact = rtol == 0 and atol == 0
    return (
        f"Tensor-likes are not {'equal' if exact else 'close'}!\n\n"
        f"Mismatched elements: {wrong} / {total} ({wrong / total:.1%})\n"
        f"Greatest absolute difference: {_greatest(absolute)}{'' if exact else f' (up to {atol} allowed)'}\n"
        f"Greatest relative difference: {_greatest(relative)}{'' if exact else f' (up to {rtol} allowed)'}"
    )


def _greatest(differences: Tensor) -> str:
    place = int(differences.flatten().argmax())
    index = tuple(int(i) for i in np.unravel_index(place, tuple(differences.shape)))
    return f"{differences.flatten()[place].item()} at index {index}"
