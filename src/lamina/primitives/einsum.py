"""Sums of products over named dimensions: einsum.

Everything becomes permute, reshape and bmm, whose gradients it inherits. Here: reading the equation, the order of the products.
Not here: the products (matmul.py), tensordot and its like (contractions.py).
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

from lamina.core.tensor import Tensor
from lamina.primitives import elementwise as e
from lamina.primitives.matmul import bmm
from lamina.primitives.overridable import asked, asks_below
from lamina.primitives.primitive import Slots
from lamina.primitives.reduction import sum as sum_over
from lamina.primitives.shape import diagonal_, permute_
from lamina.primitives.signature import not_tensor, scalar_name

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ELLIPSIS = -1
Labels = list[int]

# ---- reading an equation ---------------------------------------------------------------------------------------------


def _read(text: str, start: int, operand: int | None) -> Labels:
    """Labels of one operand, or of the output (operand None). start: where `text` stands in the equation, for messages."""
    labels: Labels = []
    i = 0
    whose = "output" if operand is None else f"operand {operand}"
    while i < len(text):
        c = text[i]
        if c == ".":
            if ELLIPSIS in labels:
                tail = (
                    "but an ellipsis (...) was already found"
                    if operand is None
                    else "for which an ellipsis was already found"
                )
                raise RuntimeError(f"einsum(): found '.' for {whose} {tail}")
            if text[i : i + 3] != "...":
                tail = " (...)" if operand is None else ""
                raise RuntimeError(f"einsum(): found '.' for {whose} that is not part of any ellipsis{tail}")
            labels.append(ELLIPSIS)
            i += 3
            continue
        if c != " ":
            if not (c.isascii() and c.isalpha()):
                raise RuntimeError(
                    f"einsum(): invalid subscript given at index {start + i} in the equation string, subscripts must be in [a-zA-Z]"
                )
            labels.append(LETTERS.index(c))
        i += 1
    return labels


@functools.lru_cache(maxsize=512)
def _read_equation(equation: str, count: int) -> tuple[list[Labels], Labels | None]:
    arrow = equation.find("->")
    left = equation if arrow < 0 else equation[:arrow]
    inputs, start = [], 0
    for k, part in enumerate(left.split(",")):
        if k >= count:
            raise RuntimeError("einsum(): fewer operands were provided than specified in the equation")
        inputs.append(_read(part, start, k))
        start += len(part) + 1
    if len(inputs) < count:
        raise RuntimeError("einsum(): more operands were provided than specified in the equation")
    return inputs, None if arrow < 0 else _read(equation[arrow + 2 :], arrow + 2, None)


def _read_sublist(items: Sequence[Any]) -> Labels:
    labels = []
    for item in items:
        if item is Ellipsis:
            labels.append(ELLIPSIS)
            continue
        n = operator.index(item)
        if not 0 <= n < len(LETTERS):
            raise ValueError("einsum(): subscript in subscript list is not within the valid range [0, 52)")
        labels.append(n)
    return labels


def _arguments(args: tuple[Any, ...]) -> tuple[list[Tensor], list[Labels], Labels | None]:
    """Operands, their labels and the output's (None: implicit) from both forms of the call."""
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least one operand and its subscripts list"
        )
    if isinstance(args[0], str):
        operands = list(args[1]) if len(args) == 2 and isinstance(args[1], (list, tuple)) else list(args[1:])
        _check_tensors(operands)
        return operands, *_read_equation(args[0], len(operands))
    operands, inputs = list(args[: len(args) // 2 * 2 : 2]), [_read_sublist(s) for s in args[1::2]]
    _check_tensors(operands)
    return operands, inputs, _read_sublist(args[-1]) if len(args) % 2 else None


def _check_tensors(operands: Sequence[Any]) -> None:
    for i, t in enumerate(operands):
        if not isinstance(t, Tensor):
            raise not_tensor("einsum", "operands", i + 1, t)


def _name(label: int) -> str:
    return LETTERS[label] if label < len(LETTERS) else "..."


def _without_ellipsis(
    operands: list[Tensor], inputs: list[Labels], output: Labels | None
) -> tuple[list[Labels], Labels]:
    """The labels with an ellipsis' dimensions as labels from 52 on (counted from the last), and the output's written out."""
    longest = 0
    for k, (t, labels) in enumerate(zip(operands, inputs, strict=True)):
        rank, named = t._array.ndim, len(labels) - (ELLIPSIS in labels)
        if rank != named if ELLIPSIS not in labels else rank < named:
            if ELLIPSIS in labels:
                raise RuntimeError(
                    f"einsum(): the number of subscripts in the equation ({named}) is more than the number of dimensions ({rank}) "
                    f"for operand {k}"
                )
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({named}) does not match the number of dimensions ({rank}) for "
                f"operand {k} and no ellipsis was given"
            )
        if ELLIPSIS in labels:
            longest = max(longest, rank - named)
    hidden = [len(LETTERS) + i for i in range(longest - 1, -1, -1)]
    full = []
    for t, labels in zip(operands, inputs, strict=True):
        n = t._array.ndim - len(labels) + 1
        full.append(_replaced(labels, hidden[longest - n :] if ELLIPSIS in labels else []))
    if output is None:
        counts: dict[int, int] = {}
        for labels in full:
            for label in labels:
                counts[label] = counts.get(label, 0) + 1
        return full, [*hidden, *sorted(label for label, n in counts.items() if n == 1 and label < len(LETTERS))]
    target = _replaced(output, hidden)
    for i, label in enumerate(target):
        if label in target[:i]:
            raise RuntimeError(f"einsum(): output subscript {_name(label)} appears more than once in the output")
        if not any(label in labels for labels in full):
            raise RuntimeError(
                f"einsum(): output subscript {_name(label)} does not appear in the equation for any input operand"
            )
    return full, target


def _replaced(labels: Labels, hidden: Labels) -> Labels:
    return [x for label in labels for x in (hidden if label == ELLIPSIS else (label,))]


# ---- products --------------------------------------------------------------------------------------------------------


def _diagonals(t: Tensor, labels: Labels, k: int) -> tuple[Tensor, Labels]:
    """Repeated labels of one operand are its diagonal."""
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            a, b = t._array.shape[i], t._array.shape[j]
            if a != b:
                raise RuntimeError(
                    f"einsum(): subscript {_name(label)} is repeated for operand {k} but the sizes don't match, {b} != {a}"
                )
            t = diagonal_(t, offset=0, dim1=i, dim2=j)
            labels = [x for p, x in enumerate(labels) if p not in (i, j)] + [label]
    return t, labels


def _summed(t: Tensor, labels: Labels, kept: set[int]) -> tuple[Tensor, Labels]:
    """Without the labels that nobody else needs."""
    gone = [i for i, label in enumerate(labels) if label not in kept]
    return (sum_over(t, tuple(gone)), [x for x in labels if x in kept]) if gone else (t, labels)


def _ordered(t: Tensor, labels: Labels, wanted: Labels) -> Tensor:
    order = tuple(labels.index(x) for x in wanted)
    return t if order == tuple(range(len(order))) else permute_(t, dims=order)


def _pair(x: Tensor, xl: Labels, y: Tensor, yl: Labels, kept: set[int]) -> tuple[Tensor, Labels]:
    """The product of two operands, summed over what is not in `kept`."""
    sizes_x, sizes_y = dict(zip(xl, x._array.shape, strict=True)), dict(zip(yl, y._array.shape, strict=True))
    # a dimension of size 1 beside a longer one is not there: what is left is the other's own
    narrow_x = [i for i, label in enumerate(xl) if label in sizes_y and sizes_x[label] == 1 != sizes_y[label]]
    narrow_y = [i for i, label in enumerate(yl) if label in sizes_x and sizes_y[label] == 1 != sizes_x[label]]
    if narrow_x:
        x, xl = x.squeeze(tuple(narrow_x)), [v for i, v in enumerate(xl) if i not in narrow_x]
    if narrow_y:
        y, yl = y.squeeze(tuple(narrow_y)), [v for i, v in enumerate(yl) if i not in narrow_y]
    x, xl = _summed(x, xl, kept | set(yl))
    y, yl = _summed(y, yl, kept | set(xl))
    sizes = dict(zip(xl, x._array.shape, strict=True)) | dict(zip(yl, y._array.shape, strict=True))
    batch = [v for v in xl if v in yl and v in kept]
    inner = [v for v in xl if v in yl and v not in kept]
    rows, columns = [v for v in xl if v not in yl], [v for v in yl if v not in xl]
    out = [*batch, *rows, *columns]
    if not inner:
        left = _ordered(x, xl, [*batch, *rows]).reshape((*(sizes[v] for v in (*batch, *rows)), *(1,) * len(columns)))
        right = _ordered(y, yl, [*batch, *columns]).reshape(
            (*(sizes[v] for v in batch), *(1,) * len(rows), *(sizes[v] for v in columns))
        )
        return e.mul(left, right), out
    if x._kind.dtype is not y._kind.dtype:
        raise RuntimeError(f"expected scalar type {scalar_name(x._kind.dtype)} but found {scalar_name(y._kind.dtype)}")
    b, n, m, p = (math.prod(sizes[v] for v in group) for group in (batch, rows, inner, columns))
    left = _ordered(x, xl, [*batch, *rows, *inner]).reshape(b, n, m)
    right = _ordered(y, yl, [*batch, *inner, *columns]).reshape(b, m, p)
    return bmm(left, right).reshape(tuple(sizes[v] for v in out)), out


def _next_pair(operands: list[tuple[Tensor, Labels]], output: Labels) -> tuple[int, int]:
    """The two whose product makes the rest smallest."""
    best, found = math.inf, (0, 1)
    for i in range(len(operands)):
        for j in range(i + 1, len(operands)):
            others = set(output).union(*(labels for k, (_, labels) in enumerate(operands) if k not in (i, j)))
            sizes: dict[int, int] = {}
            for t, labels in (operands[i], operands[j]):
                for label, n in zip(labels, t._array.shape, strict=True):
                    sizes[label] = max(n, sizes.get(label, 1))
            result = math.prod(n for label, n in sizes.items() if label in others)
            change = result - operands[i][0]._array.size - operands[j][0]._array.size
            if change < best:
                best, found = change, (i, j)
    return found


@asks_below()
def einsum(*args: Any) -> Tensor:
    """The sum of products of tensors in Einstein's notation: einsum("ij,jk->ik", a, b), or einsum(a, [0, 1], b, [1, 2], [0, 2]).

    A label that is not in the output is summed over; one that is twice in an operand takes its diagonal; `...` broadcasts.
    """
    if len(args) == 2 and isinstance(
        args[1], (list, tuple)
    ):  # who is asked gets the operands one by one, as in PyTorch
        args = (args[0], *args[1])
    if asked(args, {}):
        return Slots.override(einsum, args, {})  # type: ignore[no-any-return]
    operands, inputs, output = _arguments(args)
    inputs, target = _without_ellipsis(operands, inputs, output)
    pending, sizes = [], dict[int, int]()
    for k, (t, labels) in enumerate(zip(operands, inputs, strict=True)):
        pending.append(_diagonals(t, labels, k))
        for label, n in zip(*reversed(_shape_of(pending[-1])), strict=True):
            seen = sizes.get(label, 1)
            if n != seen and 1 not in (n, seen):
                raise RuntimeError(
                    f"einsum(): subscript {_name(label)} has size {n} for operand {k} which does not broadcast with previously seen "
                    f"size {seen}"
                )
            sizes[label] = max(n, seen) if 0 not in (n, seen) else 0
    while len(pending) > 1:
        i, j = _next_pair(pending, target) if len(pending) > 2 else (0, 1)
        others = set(target).union(*(labels for k, (_, labels) in enumerate(pending) if k not in (i, j)))
        (x, xl), (y, yl) = pending[i], pending[j]
        pending = [pair for k, pair in enumerate(pending) if k not in (i, j)] + [_pair(x, xl, y, yl, others)]
    t, labels = _summed(*pending[0], set(target))
    return _ordered(t, labels, target)


def _shape_of(pair: tuple[Tensor, Labels]) -> tuple[tuple[int, ...], Labels]:
    return pair[0]._array.shape, pair[1]
