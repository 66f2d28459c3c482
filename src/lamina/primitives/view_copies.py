"""The `_copy` forms of views: the same result with memory of its own, and the names of views that NumPy has."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from lamina.core.size import wrap_dim
from lamina.core.tensor import Tensor
from lamina.primitives import conversion, rearrange, shape, splitting
from lamina.primitives.inplace import put_out
from lamina.primitives.signature import not_tensor


def copied(view: Callable[..., Any], name: str) -> Any:
    """`view`, followed by a copy of the result, or of each; `out=` is taken."""

    @functools.wraps(view)
    def function(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        given = args[0] if args else kwargs.get("input")
        if not isinstance(given, Tensor):
            raise not_tensor(name, "input", 1, given)
        found = view(*args, **kwargs)
        if isinstance(found, tuple):
            result: Any = tuple(_fresh(t) for t in found)
            if out is not None:
                put_out(name, result, out)
                return None
            return result
        return _fresh(found) if out is None else put_out(name, _fresh(found), out)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"As {view.__name__}, but the result is a copy."
    return function


def _fresh(t: Tensor) -> Tensor:
    return conversion.clone_(t, order="contiguous")  # type: ignore[no-any-return]


def detach(input: Tensor) -> Tensor:
    """The tensor without its history, on the same memory."""
    return input.detach()


def _slice(input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    d = wrap_dim(dim, input._array.ndim)
    part = slice(*slice(start, end, step).indices(input._array.shape[d]))
    return shape.slice_(input, dim=d, part=part)  # type: ignore[no-any-return]


def _narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    n = input._array.ndim
    if n and dim >= n:
        raise RuntimeError(
            f"Expected dim < static_cast<int64_t>(self_sizes.size()) to be true, but got false. dim is {dim} of {n}"
        )
    if length < 0:
        size = input._array.shape[wrap_dim(dim, n)]
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return rearrange.narrow(input, dim, start, length)


alias_copy = copied(shape.alias_, "alias_copy")
as_strided_copy = copied(shape.as_strided, "as_strided_copy")
diagonal_copy = copied(rearrange.diagonal, "diagonal_copy")
detach_copy = copied(detach, "detach_copy")
expand_copy = copied(rearrange.expand, "expand_copy")
permute_copy = copied(rearrange.permute, "permute_copy")
select_copy = copied(rearrange.select, "select_copy")
slice_copy = copied(_slice, "slice_copy")
split_copy = copied(splitting.split, "split_copy")
split_with_sizes_copy = copied(splitting.split_with_sizes, "split_with_sizes_copy")
squeeze_copy = copied(rearrange.squeeze, "squeeze_copy")
t_copy = copied(rearrange.t, "t_copy")
transpose_copy = copied(rearrange.transpose, "transpose_copy")
unbind_copy = copied(splitting.unbind, "unbind_copy")
unfold_copy = copied(rearrange.unfold, "unfold_copy")
unsqueeze_copy = copied(rearrange.unsqueeze, "unsqueeze_copy")
view_as_complex_copy = copied(conversion.view_as_complex, "view_as_complex_copy")
view_as_real_copy = copied(conversion.view_as_real, "view_as_real_copy")
view_copy = copied(rearrange.view, "view_copy")
narrow_copy = copied(_narrow, "narrow_copy")
