"""Stricter forms of `out=`: it shares no memory with the arguments, or is of the result's dtype too."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from lamina.core.tensor import Tensor
from lamina.primitives.argument_types import check_strict, refuse, strict_arguments
from lamina.primitives.inplace import put_out
from lamina.primitives.out_dtypes import EXACT, in_c
from lamina.primitives.signature import parsed


def _check_apart(out: Any, given: Iterable[Any]) -> None:
    for t in given:
        if isinstance(t, (tuple, list)):
            _check_apart(out, t)
        elif (
            isinstance(t, Tensor)
            and isinstance(out, Tensor)
            and (t is out or np.may_share_memory(t._array, out._array))
        ):
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. "
                "Please clone() the tensor before performing the operation."
            )


def apart_out(function: Callable[..., Any]) -> Any:
    """Add `out=`, which may share no memory with the arguments. Raises RuntimeError."""

    strict = strict_arguments(function)

    @functools.wraps(function)
    def public(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if strict:
            args, kwargs = check_strict(function, strict, args, kwargs) or (args, kwargs)
        try:
            if out is None:
                return function(*args, **kwargs)
            _check_apart(out, (*args, *kwargs.values()))
            return put_out(function.__name__, function(*args, **kwargs), out)
        except Exception as error:
            refuse(function, args, kwargs, error)
            raise

    return public


def exact_out(function: Callable[..., Any]) -> Any:
    """As `parsed`, but `out=` must be of the result's dtype and share no memory with the arguments. Raises RuntimeError."""
    plain = parsed(function)

    @functools.wraps(function)
    def public(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        result = plain(*args, **kwargs)
        if out is None:
            return result
        if isinstance(out, Tensor) and out._kind.dtype is not result._kind.dtype:
            raise RuntimeError(EXACT.format(result_c=in_c(result._kind.dtype), out_c=in_c(out._kind.dtype)))
        _check_apart(out, (*args, *kwargs.values()))
        return put_out(function.__name__, result, out)

    return public
