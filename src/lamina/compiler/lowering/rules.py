"""The table of rules, and what they have in common. Not here: any rule, joining loops (passes/fuse.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lamina.compiler.graph import Node, Ref, dtype_name
from lamina.compiler.loops import WIDE, Body, NotNative, Val

Rule = Callable[[Node], Sequence[Any]]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Let this function lower the primitives of these names. It may raise NotNative."""

    def add(function: Rule) -> Rule:
        for name in names:
            RULES[name] = function
        return function

    return add


def strides_in(ref: Ref, shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a ref broadcast to `shape`, in bytes."""
    lead = len(shape) - len(ref.shape)
    return (0,) * lead + tuple(0 if n == 1 else s for n, s in zip(ref.shape, ref.strides, strict=True))


def operand(body: Body, given: Any, shape: Sequence[int], dtype: str) -> Val:
    """An input of a node as a value in the loop over `shape`."""
    if given.__class__ is Ref:
        return body.cast(body.load(given, strides_in(given, shape)), dtype)
    return body.const(given.value.item(), WIDE.get(dtype, dtype))


def collapsed(ref: Ref, first: int, last: int) -> Ref:
    """The dimensions first..last-1 as one (of size 1 where there are none). Raises NotNative where they are no single walk."""
    size, stride = 1, 0
    for n, s in zip(reversed(ref.shape[first:last]), reversed(ref.strides[first:last]), strict=True):
        if n == 1:
            continue
        if size == 1:
            stride = s
        elif s != stride * size:
            raise NotNative("scattered elements")
        size *= n
    return ref._replace(
        shape=(*ref.shape[:first], size, *ref.shape[last:]), strides=(*ref.strides[:first], stride, *ref.strides[last:])
    )


def name_of(given: Any) -> str:
    return dtype_name(given.dtype if given.__class__ is Ref else given.value.dtype)
