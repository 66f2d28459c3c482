"""`assert_close`: are two things (tensors, arrays, numbers, or containers of them) the same up to rounding?

Here: containers, taken apart into pairs, and the functions that compare. Not here: the pairs and their texts (_pairs.py).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.testing._pairs import (
    BooleanPair,
    ErrorMeta,
    NonePair,
    NumberPair,
    ObjectPair,
    Pair,
    TensorLikePair,
    UnsupportedInputs,
    default_tolerances,
    get_tolerances,
    make_scalar_mismatch_msg,
    make_tensor_mismatch_msg,
)

__all__ = [
    "BooleanPair",
    "ErrorMeta",
    "NonePair",
    "NumberPair",
    "ObjectPair",
    "Pair",
    "TensorLikePair",
    "UnsupportedInputs",
    "assert_allclose",
    "assert_close",
    "default_tolerances",
    "get_tolerances",
    "make_scalar_mismatch_msg",
    "make_tensor_mismatch_msg",
    "not_close_error_metas",
    "originate_pairs",
]


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
    found = not_close_error_metas(
        actual,
        expected,
        pair_types=(NonePair, BooleanPair, NumberPair, TensorLikePair),
        allow_subclasses=allow_subclasses,
        rtol=rtol,
        atol=atol,
        equal_nan=equal_nan,
        check_device=check_device,
        check_dtype=check_dtype,
        check_layout=check_layout,
        check_stride=check_stride,
    )
    if found:
        raise found[0].to_error(msg)


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


def not_close_error_metas(
    actual: Any,
    expected: Any,
    *,
    pair_types: Sequence[type[Pair]] = (ObjectPair,),
    sequence_types: tuple[type, ...] = (Sequence,),
    mapping_types: tuple[type, ...] = (Mapping,),
    **options: Any,
) -> list[ErrorMeta]:
    """What is wrong with each pair that two things are made of; empty if they are close.

    Raises the error itself where they cannot be taken apart into pairs.
    """
    __tracebackhide__ = True
    try:
        pairs = originate_pairs(
            actual,
            expected,
            pair_types=pair_types,
            sequence_types=sequence_types,
            mapping_types=mapping_types,
            **options,
        )
    except ErrorMeta as meta:
        raise meta.to_error() from None
    found = []
    for pair in pairs:
        try:
            pair.compare()
        except ErrorMeta as meta:
            found.append(meta)
        except Exception as error:
            raise RuntimeError(f"Comparing\n\n{pair}\n\nresulted in the unexpected exception above.") from error
    return found


def originate_pairs(
    actual: Any,
    expected: Any,
    *,
    pair_types: Sequence[type[Pair]],
    sequence_types: tuple[type, ...] = (Sequence,),
    mapping_types: tuple[type, ...] = (Mapping,),
    id: tuple[Any, ...] = (),
    **options: Any,
) -> list[Pair]:
    """The pairs that two things are made of: containers are taken apart; the first fitting class of `pair_types` takes a leaf.

    Raises ErrorMeta where the containers do not match, or no class fits.
    """
    if _both(actual, expected, sequence_types) and not isinstance(actual, str) and not isinstance(expected, str):
        if len(actual) != len(expected):
            raise ErrorMeta(
                AssertionError,
                f"The length of the sequences mismatch: {len(actual)} != {len(expected)}",
                id=id,
            )
        keys: Any = range(len(actual))
    elif _both(actual, expected, mapping_types):
        keys = _common_keys(actual, expected, id)
    else:
        return [_pair(actual, expected, pair_types, id, options)]
    return [
        pair
        for key in keys
        for pair in originate_pairs(
            actual[key],
            expected[key],
            pair_types=pair_types,
            sequence_types=sequence_types,
            mapping_types=mapping_types,
            id=(*id, key),
            **options,
        )
    ]


def _both(actual: Any, expected: Any, kind: Any) -> bool:
    return isinstance(actual, kind) and isinstance(expected, kind)


def _common_keys(actual: Mapping[Any, Any], expected: Mapping[Any, Any], id: tuple[Any, ...]) -> list[Any]:
    ours, theirs = set(actual.keys()), set(expected.keys())
    if ours != theirs:
        missing, extra = theirs - ours, ours - theirs
        raise ErrorMeta(
            AssertionError,
            "The keys of the mappings do not match:\n"
            f"Missing keys in the actual mapping: {sorted(missing)}\n"
            f"Additional keys in the actual mapping: {sorted(extra)}",
            id=id,
        )
    try:
        return sorted(ours)
    except TypeError:  # keys that have no order
        return list(actual.keys())


def _pair(
    actual: Any, expected: Any, pair_types: Sequence[type[Pair]], id: tuple[Any, ...], options: dict[str, Any]
) -> Pair:
    for pair_type in pair_types:
        try:
            return pair_type(actual, expected, id=id, **options)
        except UnsupportedInputs:
            continue
        except ErrorMeta:
            raise
        except Exception as error:
            place = "".join(str([item]) for item in id)
            raise RuntimeError(
                f"Originating a {pair_type.__name__}() at item {place} with\n\n"
                f"{type(actual).__name__}(): {actual}\n\nand\n\n{type(expected).__name__}(): {expected}\n\n"
                "resulted in the unexpected exception above."
            ) from error
    raise ErrorMeta(
        TypeError,
        f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}.",
        id=id,
    )


def _unwrap_dtensor_for_comparison(actual: Any, expected: Any) -> tuple[Any, Any]:
    """Both as they are: no tensor lies on several machines."""
    return actual, expected
