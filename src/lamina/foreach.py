"""`torch._foreach_*`: one operation on every tensor of a list. Optimizers and gradient clipping written by hand use them.

Here: the functions, made from a table, and their checks. Not here: any computation; each is the public operation, tensor by tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Number
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.primitives.signature import no_overload

_UNARY = (
    "abs", "acos", "asin", "atan", "ceil", "cos", "cosh", "erf", "erfc", "exp", "expm1", "floor", "frac", "lgamma", "log", "log10",
    "log1p", "log2", "neg", "reciprocal", "round", "rsqrt", "sigmoid", "sign", "sin", "sinh", "sqrt", "tan", "tanh", "trunc", "zero",
)  # fmt: skip
_BINARY = ("add", "sub", "mul", "div", "pow", "clamp_min", "clamp_max", "maximum", "minimum")
_BY_TENSOR = ("add", "mul", "div")  # these take one tensor of no dimensions for all
_POINTWISE = ("addcdiv", "addcmul")
_SAME = {"maximum": "clamp_min", "minimum": "clamp_max"}  # by a number, these are those


def _is_list(given: Any) -> bool:
    return isinstance(given, (list, tuple)) and all(isinstance(t, Tensor) for t in given)


def _is_numbers(given: Any) -> bool:
    return isinstance(given, (list, tuple)) and all(isinstance(v, Number) for v in given)


def _check_list(name: str, argument: str, position: int, given: Any) -> None:
    if not _is_list(given):
        raise TypeError(
            f"{name}(): argument '{argument}' (position {position}) must be tuple of Tensors, not {type(given).__name__}"
        )


def _same_length(first: Sequence[Any], *others: Sequence[Any]) -> None:
    if not first:
        raise RuntimeError("Tensor list must have at least one tensor.")
    for other in others:
        if len(other) != len(first):
            raise RuntimeError(f"Tensor lists must have the same number of tensors, got {len(first)} and {len(other)}")


def _numbers_for(first: Sequence[Any], numbers: Sequence[Any]) -> Sequence[Any]:
    if not first:
        raise RuntimeError("Tensor list must have at least one tensor.")
    if len(numbers) != len(first):
        raise RuntimeError("Tensor list must have same number of elements as scalar list.")
    return numbers


def _zero_dimensional(other: Tensor) -> Tensor:
    if other.dim() or other.numel() != 1:
        raise RuntimeError(
            f"scalar tensor expected to be 0 dim but it has {other.dim()} dimensions and {other.numel()} elements."
        )
    return other


def _unary(name: str, inplace: bool) -> Callable[..., Any]:
    shown = f"_foreach_{name}{'_' if inplace else ''}"
    method = getattr(Tensor, f"{name}_" if inplace else name)

    def public(self: Any) -> Any:
        _check_list(shown, "self", 1, self)
        _same_length(self)
        found = tuple(method(t) for t in self)
        return self if inplace else found

    return _named(public, shown)


def _second(shown: str, name: str, self: Any, other: Any) -> Sequence[Any]:
    """What stands beside each tensor of `self`."""
    if _is_list(self) and isinstance(other, (Number, bool)):
        _same_length(self)
        return [other] * len(self)
    if _is_list(self) and _is_numbers(other):
        return _numbers_for(self, other)
    if _is_list(self) and isinstance(other, Tensor) and name in _BY_TENSOR:
        _same_length(self)
        return [_zero_dimensional(other)] * len(self)
    if _is_list(self) and isinstance(other, Tensor) and not other.dim():
        _same_length(self)
        return [other.item()] * len(self)
    if _is_list(self) and _is_list(other):
        _same_length(self, other)
        return other  # type: ignore[no-any-return]
    forms = ["tuple of Tensors self, Number scalar", "tuple of Tensors self, tuple of Scalars scalars"]
    forms += ["tuple of Tensors self, Tensor other"] if name in _BY_TENSOR else []
    raise no_overload(shown, (self, other), *forms, "tuple of Tensors self, tuple of Tensors other")


def _binary(name: str, inplace: bool) -> Callable[..., Any]:
    shown = f"_foreach_{name}{'_' if inplace else ''}"
    end = "_" if inplace else ""
    by_tensor = getattr(Tensor, f"{name}_" if inplace else name, None) or _written(name)
    by_number = getattr(Tensor, _SAME.get(name, name) + end)
    takes_alpha = name in ("add", "sub")

    def public(self: Any, other: Any, **options: Any) -> Any:
        if options and not (
            takes_alpha and set(options) == {"alpha"} and (isinstance(other, Tensor) or _is_list(other))
        ):
            raise no_overload(shown, (self, other), "tuple of Tensors self, tuple of Tensors other")
        if name == "pow" and not inplace and isinstance(self, Number) and _is_list(other):
            _same_length(other)
            return tuple(lamina.pow(self, t) for t in other)
        pairs = zip(self, _second(shown, name, self, other), strict=True)
        found = tuple(by_tensor(t, o, **options) if isinstance(o, Tensor) else by_number(t, o) for t, o in list(pairs))
        return self if inplace else found

    return _named(public, shown)


def _written(name: str) -> Callable[..., Any]:
    """The in-place form of a function that has none."""
    function = getattr(lamina, name)
    return lambda t, other: t.copy_(function(t, other))


def _pointwise(name: str, inplace: bool) -> Callable[..., Any]:
    shown = f"_foreach_{name}{'_' if inplace else ''}"
    method = getattr(Tensor, f"{name}_" if inplace else name)

    def public(self: Any, tensor1: Any, tensor2: Any, scalars: Any = None, *, value: Any = 1) -> Any:
        if not (_is_list(self) and _is_list(tensor1) and _is_list(tensor2)):
            lists = "tuple of Tensors self, tuple of Tensors tensor1, tuple of Tensors tensor2"
            raise no_overload(
                shown, (self, tensor1, tensor2), f"{lists}, tuple of Scalars scalars", f"{lists}, Tensor scalars",
                f"{lists}, Number value = 1",
            )  # fmt: skip
        _same_length(self, tensor1, tensor2)
        if isinstance(scalars, Tensor):
            if scalars.dim() != 1:
                raise RuntimeError(f"Expected packed scalar Tensor to be of dimension 1. Got {scalars.dim()} instead.")
            if scalars.numel() != len(self):
                raise RuntimeError(
                    f"Expected length of scalars to match input of length {len(self)} but got {scalars.numel()} instead."
                )
            values = scalars.tolist()
        elif isinstance(scalars, (list, tuple)):
            values = list(_numbers_for(self, scalars))
        else:
            values = [value if scalars is None else scalars] * len(self)
        found = tuple(method(t, a, b, value=v) for t, a, b, v in zip(self, tensor1, tensor2, values, strict=True))
        return self if inplace else found

    return _named(public, shown)


def _lerp(inplace: bool) -> Callable[..., Any]:
    shown = f"_foreach_lerp{'_' if inplace else ''}"
    method = Tensor.lerp_ if inplace else Tensor.lerp  # type: ignore[attr-defined]

    def public(self: Any, tensors1: Any, weight: Any = None, *, weights: Any = None) -> Any:
        _check_list(shown, "self", 1, self)
        _check_list(shown, "tensors1", 2, tensors1)
        given = weights if weight is None else weight
        _same_length(self, tensors1)
        if _is_numbers(given):
            given = _numbers_for(self, given)
        elif _is_list(given):
            _same_length(self, given)
        else:
            given = [given] * len(self)
        found = tuple(method(t, e, w) for t, e, w in zip(self, tensors1, given, strict=True))
        return self if inplace else found

    return _named(public, shown)


def _named(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    function.__module__ = "torch"
    return function


def _foreach_clone(self: Any, *, memory_format: Any = None) -> tuple[Tensor, ...]:
    """A copy of each."""
    _check_list("_foreach_clone", "self", 1, self)
    _same_length(self)
    return tuple(t.clone() for t in self)


def _foreach_copy_(self: Any, src: Any, non_blocking: bool = False) -> Any:
    """Write each of `src` to the one of `self` beside it."""
    _check_list("_foreach_copy_", "self", 1, self)
    _check_list("_foreach_copy_", "src", 2, src)
    _same_length(self, src)
    for t, s in zip(self, src, strict=True):
        t.copy_(s)
    return self


def _foreach_norm(self: Any, ord: Any = 2, dtype: Any = None) -> tuple[Tensor, ...]:
    """The vector norm of each."""
    _check_list("_foreach_norm", "self", 1, self)
    _same_length(self)
    return tuple(lamina.linalg.vector_norm(t, ord, dtype=dtype) for t in self)


def _foreach_powsum(self: Any, ord: Any = 2, dtype: Any = None) -> tuple[Tensor, ...]:
    """The sum of absolute values to the power `ord` of each."""
    _check_list("_foreach_powsum", "self", 1, self)
    _same_length(self)
    return tuple((t if dtype is None else t.to(dtype)).abs().pow(ord).sum() for t in self)


def _foreach_max(self: Any) -> tuple[Tensor, ...]:
    """The largest element of each. Raises RuntimeError for an empty one."""
    _check_list("_foreach_max", "self", 1, self)
    _same_length(self)
    if any(not t.numel() for t in self):
        raise RuntimeError(
            "_foreach_max cannot compute the maximum of an empty tensor; max over zero elements is undefined."
        )
    return tuple(t.max() for t in self)


def _foreach_mm(self: Any, mat2: Any) -> tuple[Tensor, ...]:
    """The matrix product of each with the one of `mat2` beside it."""
    _check_list("_foreach_mm", "self", 1, self)
    _check_list("_foreach_mm", "mat2", 2, mat2)
    _same_length(self, mat2)
    return tuple(lamina.mm(a, b) for a, b in zip(self, mat2, strict=True))


_MADE: tuple[tuple[Sequence[str], Callable[[str, bool], Callable[..., Any]]], ...] = (
    (_UNARY, _unary), (_BINARY, _binary), (_POINTWISE, _pointwise), (("lerp",), lambda name, inplace: _lerp(inplace)),
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """The functions of the table are made when first asked for."""
    base = name.removeprefix("_foreach_")
    for names, make in _MADE:
        for n in names:
            if base == f"{n}_" or (base == n and n != "zero"):
                made = globals()[name] = make(n, base != n)
                return made
    raise AttributeError(f"module 'torch' has no attribute '{name}'")
