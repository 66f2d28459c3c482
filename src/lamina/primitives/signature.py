"""Calls as PyTorch's argument parser takes them: a Tensor first, NumPy's names for some arguments, `out=`; and its
refusals.

Here: what public functions share. Not here: writing to `out` (inplace.py), the functions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.autograd import modes
from lamina.core.dtype import dtype as dtype_class
from lamina.core.parameter import Parameter
from lamina.core.size import wrap_dim, wrap_dims
from lamina.core.tensor import Tensor
from lamina.primitives.argument_types import check_arguments, check_strict, refuse, strict_arguments
from lamina.primitives.inplace import put_out
from lamina.primitives.out_dtypes import EXACT, NAMES, in_c
from lamina.primitives.overridable import asked
from lamina.primitives.primitive import Slots

_PLAIN = frozenset((Tensor, Parameter))
current = modes.current
NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim", "x": "input", "a": "input", "x1": "input", "x2": "other"}


def parsed(function: Callable[..., Any]) -> Any:
    """Let a function of a Tensor take NumPy's names for its arguments, and `out=`.

    The function raises TypeError for an input that is no Tensor.
    """
    return _parsed(function, exact=False, apart=False)


def parsed_exact(function: Callable[..., Any]) -> Any:
    """`parsed`, where `out` must have the result's dtype."""
    return _parsed(function, exact=True, apart=False)


def parsed_apart(function: Callable[..., Any]) -> Any:
    """`parsed_exact`, where `out` must not lie in the memory of the input."""
    return _parsed(function, exact=True, apart=True)


def _parsed(function: Callable[..., Any], exact: bool, apart: bool) -> Any:
    name = function.__name__
    code = function.__code__
    own = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    first = own[0]
    renamed = {theirs: ours for theirs, ours in NUMPY_NAMES.items() if ours in own and theirs not in own}

    strict = strict_arguments(function)

    @functools.wraps(function)
    def public(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if out is None and not kwargs and args and args[0].__class__ in _PLAIN and current() is None:
            if strict and len(args) > strict[0][0]:
                args, kwargs = check_strict(function, strict, args, kwargs) or (args, kwargs)
            try:
                return function(*args)
            except Exception as error:
                refuse(function, args, kwargs, error)
                raise
        if kwargs:
            kwargs = {renamed.get(k, k): v for k, v in kwargs.items()}
        if asked(args, kwargs):
            return Slots.override(public, args, kwargs if out is None else {**kwargs, "out": out})
        given = args[0] if args else kwargs.get(first)
        if not isinstance(given, Tensor) and (args or first in kwargs):
            check_arguments(function, args, kwargs)
            raise not_tensor(name, first, 1, given)
        if strict:
            args, kwargs = check_strict(function, strict, args, kwargs) or (args, kwargs)
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            refuse(function, args, kwargs, error)
            raise
        if out is None:
            return result
        if exact or apart:
            _check_out(given, result, out, exact, apart)
        return put_out(name, result, out)

    public.__dict__["asks_below"] = True
    return public


def _check_out(given: Any, result: Any, out: Any, exact: bool, apart: bool) -> None:
    pairs = (
        zip(result, out, strict=False)
        if isinstance(result, tuple) and isinstance(out, (tuple, list))
        else ((result, out),)
    )
    for r, o in pairs:
        if exact and isinstance(o, Tensor) and r.dtype != o.dtype:
            raise RuntimeError(EXACT.format(result_c=in_c(r.dtype), out_c=in_c(o.dtype)))
        if apart and isinstance(o, Tensor) and np.may_share_memory(o._array, given._array):
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to tensor refer to a "
                "single memory location. "
                "Please clone() the tensor before performing the operation."
            )


def not_tensor(function: str, argument: str, position: int, given: Any) -> TypeError:
    return TypeError(
        f"{function}(): argument '{argument}' (position {position}) must be Tensor, not {type(given).__name__}"
    )


def no_overload(function: str, given: tuple[Any, ...], *forms: str) -> TypeError:
    """The error of arguments that fit none of a function's forms, each written as "Tensor input, Number other"."""
    kinds = ", ".join(type(v).__name__ for v in given)
    listed = "\n".join(f" * ({form}, *, Tensor out = None)" for form in forms)
    return TypeError(
        f"{function}() received an invalid combination of arguments - got ({kinds}), but expected one of:\n{listed}"
    )


def scalar_name(d: dtype_class) -> str:
    """PyTorch's name of an element type in messages: "Float", "Long" ..."""
    return NAMES[d.name]


def not_implemented(kernel: str, d: dtype_class) -> NotImplementedError:
    return NotImplementedError(f"\"{kernel}\" not implemented for '{scalar_name(d)}'")


def reduced(dim: Any, ndim: int) -> tuple[int, ...]:
    """The dimensions that a reduction over `dim` (int, several, None or none: all) takes away; none of a 0-d tensor."""
    if dim is None or (dim.__class__ is not int and isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(ndim))
    if ndim:
        return (wrap_dim(dim, ndim),) if dim.__class__ is int else wrap_dims(dim, ndim)
    wrap_dims(dim, ndim)
    return ()


def nonempty(function: str, shape: tuple[int, ...], dim: int) -> None:
    """Raise IndexError where the dimension to reduce has no entries, and the reduction no identity."""
    if shape and shape[dim] == 0:
        raise IndexError(f"{function}(): Expected reduction dim {dim} to have non-zero size.")
