"""rearrange: permuting, splitting and merging of dimensions, written as a pattern of names.

A side of a pattern names dimensions in order; names in parentheses are merged into one dimension (a name takes no part of the others'
elements: `(h w)` counts w fastest), `1` is a dimension of size 1, and `...` stands for all others. Here: reading patterns.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

from lamina.core.tensor import Tensor
from lamina.primitives.joining import stack

Side = tuple[tuple[str, ...], ...]
"""For each dimension the names in it; ("...",) for the ellipsis."""


@lru_cache(256)
def _read(pattern: str) -> tuple[Side, Side]:
    sides = pattern.split("->")
    if len(sides) != 2:
        raise ValueError("Pattern must contain a single '->' separator")
    left, right = (_side(text) for text in sides)
    names = [[n for group in side for n in group] for side in (left, right)]
    for given in names:
        twice = sorted({n for n in given if given.count(n) > 1})
        if twice:
            raise ValueError(
                f"Identifiers may occur once on each side of a pattern; {twice} occur again in {pattern!r}"
            )
    if set(names[0]) != set(names[1]):
        only = sorted(set(names[0]) ^ set(names[1]))
        raise ValueError(f"Identifiers only on one side of a rearrange pattern (should be on both): {only}")
    return left, right


def _side(text: str) -> Side:
    tokens = re.findall(r"\.\.\.|[()]|[^\s()]+", text)
    groups: list[tuple[str, ...]] = []
    inside: list[str] | None = None
    for token in tokens:
        if token == "(":
            if inside is not None:
                raise ValueError("Brackets in a pattern cannot be nested")
            inside = []
        elif token == ")":
            if inside is None:
                raise ValueError("Brackets in a pattern are not balanced")
            groups.append(tuple(inside))
            inside = None
        elif token != "..." and token != "1" and not token.isidentifier():
            raise ValueError(f"Invalid identifier {token!r} in a pattern: neither a name, nor 1, nor ...")
        elif inside is None:
            groups.append(() if token == "1" else (token,))
        elif token != "1":
            inside.append(token)
    if inside is not None:
        raise ValueError("Brackets in a pattern are not balanced")
    return tuple(groups)


def rearrange(tensor: Tensor | list[Tensor] | tuple[Tensor, ...], pattern: str, **axes_lengths: int) -> Tensor:
    """`tensor` with dimensions as `pattern` ("b (h w) -> b w h") says. Lengths of names that cannot be inferred: by keyword.

    Several tensors are stacked along a new first dimension. Raises ValueError for a pattern that does not fit.
    """
    t = tensor if isinstance(tensor, Tensor) else stack(list(tensor))
    left, right = _read(pattern)
    names = {n for group in left for n in group}
    unknown = sorted(set(axes_lengths) - names)
    if unknown:
        raise ValueError(f"Lengths were given for {unknown}, which the pattern does not name")
    shape = tuple(t.shape)
    others = len(shape) - (len(left) - (("...",) in left))
    if others < 0 or (others and ("...",) not in left and not any("..." in g for g in left)):
        raise ValueError(f"Number of dimensions in pattern ({len(left)}) and tensor ({len(shape)}) must be equal")
    sizes: dict[str, Any] = dict(axes_lengths)
    at = 0
    for group in left:
        taken = others if group == ("...",) else 1
        _fit(group, shape[at : at + taken], sizes)
        at += taken
    flat = [n for group in left for n in group]
    whole = t.reshape([n for name in flat for n in _sizes(name, sizes)])  # type: ignore[attr-defined]
    starts, position = {}, 0
    for name in flat:
        starts[name] = range(position, position + len(_sizes(name, sizes)))
        position += len(_sizes(name, sizes))
    order = [name for group in right for name in group]
    turned = whole.permute([d for name in order for d in starts[name]])
    out: list[int] = []
    for group in right:
        inner = [n for name in group for n in _sizes(name, sizes)]
        out += inner if group == ("...",) else [math.prod(inner)]
    return turned.reshape(out)  # type: ignore[no-any-return]


def _sizes(name: str, sizes: dict[str, Any]) -> tuple[int, ...]:
    found = sizes[name]
    return found if isinstance(found, tuple) else (found,)


def _fit(group: tuple[str, ...], lengths: tuple[int, ...], sizes: dict[str, Any]) -> None:
    """Learn the sizes of a group's names from the dimension that it is; at most one may be unknown."""
    if group == ("...",):
        sizes["..."] = lengths
        return
    missing = [n for n in group if n not in sizes]
    known = math.prod(sizes[n] for n in group if n in sizes)
    length = lengths[0]
    if len(missing) > 1:
        raise ValueError(f"Cannot infer the lengths of {missing} in one dimension: give all but one by keyword")
    if missing:
        if not known or length % known:
            raise ValueError(
                f"A dimension of size {length} cannot be split into {list(group)}: {length} is no multiple of {known}"
            )
        sizes[missing[0]] = length // known
    elif known != length:
        raise ValueError(f"A dimension of size {length} does not have the lengths given for {list(group)}")
