"""`Size`: a shape, a tuple that prints as torch's; and the reading of shape arguments."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any, SupportsIndex

from lamina.core.explained import BroadcastError


class Size(tuple[int, ...]):
    __slots__ = ()
    __module__ = "torch"

    def __new__(cls, dims: Iterable[SupportsIndex] = ()) -> Size:
        try:
            return tuple.__new__(cls, map(operator.index, dims))
        except TypeError:
            for i, d in enumerate(dims):
                if not is_whole(d):
                    raise TypeError(
                        f"torch.Size() takes an iterable of 'int' (item {i} is '{type(d).__name__}')"
                    ) from None
            raise

    def numel(self) -> int:
        return math.prod(self)

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    __str__ = __repr__

    def __getitem__(self, key: Any) -> Any:
        found = tuple.__getitem__(self, key)
        return _wrap(found) if key.__class__ is slice else found

    def __add__(self, other: Any) -> Size:
        if not isinstance(other, tuple):
            return NotImplemented
        return _wrap(tuple.__add__(self, other))

    def __radd__(self, other: Any) -> Size:
        if not isinstance(other, tuple):
            return NotImplemented
        return _wrap(tuple(other) + tuple(self))

    def __mul__(self, n: Any) -> Size:
        return _wrap(tuple.__mul__(self, n))

    __rmul__ = __mul__

    def __reduce__(self) -> tuple[Any, ...]:
        return _of, (tuple(self),)


def _of(dims: tuple[int, ...]) -> Size:
    return Size(dims)


def _wrap(dims: tuple[int, ...]) -> Size:
    return tuple.__new__(Size, dims)


size_of = tuple.__new__  # size_of(Size, array.shape): no check, for shapes that come from an array


def listed(given: tuple[Any, ...], named: Any, function: str, name: str) -> tuple[Any, ...]:
    """What `function` was given for `name`, which it takes as f(2, 3), f((2, 3)) or f(name=(2, 3)). Raises TypeError for f()."""
    if named is not None:
        return (named,)
    if not given:
        raise TypeError(f'{function}() missing 1 required positional arguments: "{name}"')
    return given


def shape_of(args: tuple[Any, ...], name: str = "size", argument: str = "size") -> tuple[int, ...]:
    """The shape in `f(2, 3)` or `f((2, 3))`. Raises TypeError for what is not a whole number."""
    dims = args[0] if len(args) == 1 and isinstance(args[0], (tuple, list)) else args
    if dims.__class__ is tuple:
        for d in dims:
            if d.__class__ is not int:
                break
        else:
            return dims
    if not all(map(is_whole, dims)):
        raise not_ints(dims, f"{name}(): argument '{argument}'")
    return tuple(map(operator.index, dims))


def is_whole(d: Any) -> bool:
    """Whether `d` is a whole number, or stands for one."""
    try:
        operator.index(d)
    except TypeError:
        return False
    return d.__class__ is not bool


def not_ints(dims: Iterable[Any], argument: str, position: str = "") -> TypeError:
    """The error for what should be whole numbers, about the first that is none. argument: as in "zeros(): argument 'size'"."""
    i, found = next((i, type(d).__name__) for i, d in enumerate(dims) if not is_whole(d))
    if i:
        return TypeError(
            f'{argument} failed to unpack the object at pos {i + 1} with error "type must be tuple of ints,but got {found}"'
        )
    return TypeError(f"{argument}{position} must be tuple of ints, but found element of type {found} at pos 0")


INT64_MAX = 2**63 - 1


def is_int64(n: int) -> bool:
    """Whether PyTorch's integers hold `n`."""
    return -INT64_MAX - 1 <= n <= INT64_MAX


def check_room(shape: Sequence[int], itemsize: int) -> None:
    """Raises RuntimeError for a tensor of more bytes than can be counted."""
    # Where one is zero the others count all the same: strides are made of them.
    if math.prod(n or 1 for n in shape) * itemsize > INT64_MAX:
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(shape)}")


_UNCOUNTED = ("array is too big", "Maximum allowed", "maximum supported dimension", "negative dimensions")


def refused(error: Exception) -> Exception:
    """What PyTorch raises where NumPy refuses a size or a number that the program gave; any other error as it is."""
    text = str(error)
    if error.__class__ is OverflowError and "too large to convert" in text:
        return ValueError("Overflow when unpacking long long")
    if error.__class__ is ValueError and text.startswith(_UNCOUNTED):
        return RuntimeError(f"Storage size calculation overflowed: {text}")
    return error


def wrap_dim(dim: Any, ndim: int) -> int:
    """`dim` counted from the front. A 0-d tensor accepts 0 and -1. Raises IndexError, TypeError, ValueError."""
    try:
        d = operator.index(dim)
    except TypeError:
        raise TypeError(f"argument 'dim' must be int, not {type(dim).__name__}") from None
    n = ndim or 1
    if not -n <= d < n:
        if not is_int64(d):
            raise ValueError("Overflow when unpacking long long")
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {d})")
    return d + n if d < 0 else d


def wrap_dims(dims: Any, ndim: int) -> tuple[int, ...]:
    """Several dims, each once. None, or nothing: all. Raises RuntimeError for one that comes twice."""
    if dims is None:
        return tuple(range(ndim))
    if not isinstance(dims, (tuple, list)):
        return (wrap_dim(dims, ndim),)
    found = tuple(wrap_dim(d, ndim) for d in dims)
    for i, d in enumerate(found):
        if d in found[:i]:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    return found


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape. Raises RuntimeError with PyTorch's sentence, about the first pair that does not fit."""
    out: tuple[int, ...] = ()
    for shape in shapes:
        if shape == out:
            continue
        n = max(len(out), len(shape))
        a, b = (1,) * (n - len(out)) + tuple(out), (1,) * (n - len(shape)) + tuple(shape)
        for i in range(n - 1, -1, -1):
            if a[i] != b[i] and a[i] != 1 and b[i] != 1:
                raise BroadcastError(a[i], b[i], i, out, shape)
        out = tuple(q if p == 1 else p for p, q in zip(a, b, strict=True))
    return out
