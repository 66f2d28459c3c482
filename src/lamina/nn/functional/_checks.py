"""Argument checks shared by the functions of this package, worded as PyTorch words them.

Here: what is asked of arguments before anything is computed. Not here: checks that belong to one primitive (below).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lamina
from lamina.core.tensor import Tensor


def scalar_name(tensor: Tensor) -> str:
    """PyTorch's capitalised name of the element type, as its messages use it: "Float", "Long" ..."""
    return tensor.type().removeprefix("torch.").removesuffix("Tensor")


def check_tensor(value: Any, function: str, name: str = "input", position: int = 1) -> None:
    """Raise the TypeError of PyTorch's argument parser unless `value` is a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{function}(): argument '{name}' (position {position}) must be Tensor, not {type(value).__name__}"
        )


def check_floating(input: Any, function: str, kernel: str, complex_too: bool = False, low: bool = True) -> None:
    """Raise unless `input` is a floating tensor; `kernel` is the name that PyTorch's message quotes. low: bfloat16 and float16, too."""
    check_tensor(input, function)
    if input.is_floating_point() and (low or not input.dtype.is_low):
        return
    if complex_too and input.is_complex():
        return
    raise NotImplementedError(f"\"{kernel}\" not implemented for '{scalar_name(input)}'")


def check_real_pair(input: Tensor, target: Tensor, kernel: str) -> None:
    """Raise unless the common dtype of the two is a floating one."""
    common = lamina.result_type(input, target)
    if not common.is_floating_point:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{common.alias.removesuffix('Tensor')}'")


def check_same_dtype(tensor: Tensor, other: Tensor) -> None:
    """Raise unless `other` has the element type of `tensor`."""
    if tensor.dtype != other.dtype:
        raise RuntimeError(f"expected scalar type {scalar_name(tensor)} but found {scalar_name(other)}")


def refuse_grad(function: str, **arguments: Tensor | None) -> None:
    """Raise where PyTorch does: for an argument in which `function` has no gradient, though one is asked for."""
    for name, tensor in arguments.items():
        if tensor is not None and tensor.requires_grad and lamina.is_grad_enabled():
            raise RuntimeError(
                f"The function '{function}' is not differentiable with respect to argument '{name}'. "
                "This input cannot have requires_grad True."
            )


def int_list(value: int | Sequence[int], count: int, function: str, name: str) -> list[int]:
    """`value` as `count` integers; one integer, or a sequence of one, stands for all of them."""
    if isinstance(value, bool) or not isinstance(value, (int, Sequence)):
        if not hasattr(value, "__index__"):
            raise TypeError(f"{function}(): argument '{name}' must be tuple of ints, not {type(value).__name__}")
        value = value.__index__()
    if isinstance(value, int):
        return [value] * count
    for index, item in enumerate(value):
        if not hasattr(item, "__index__") or item.__class__ is bool:
            raise TypeError(
                f"{function}(): argument '{name}' must be tuple of ints, "
                f"but found element of type {type(item).__name__} at pos {index}"
            )
    items = [item.__index__() for item in value]
    if len(items) == 1:
        return items * count
    if len(items) != count:
        word = "one int" if count == 1 else f"{count} ints"
        raise RuntimeError(f"{function}() argument '{name}' should contain {word} (got {len(items)})")
    return items
