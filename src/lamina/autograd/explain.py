"""`why_no_grad`: why a tensor has no `.grad`, in plain words.

Here: one question asked of a tensor, and of the loss that it should belong to. Not here: errors (errors.py).
"""

from __future__ import annotations

from typing import Any

from lamina.autograd.engine import last_backward
from lamina.autograd.graph import Node, edge_of, node_of
from lamina.autograd.history import cut_rows, maker_of
from lamina.core.explained import where
from lamina.core.tensor import LEAF, Tensor

__all__ = ["why_no_grad"]


def why_no_grad(t: Tensor, loss: Tensor | None = None) -> str:
    """Say why `t.grad` is None, and what to write instead. loss: the tensor whose backward should have filled it.

    Raises TypeError for anything but a Tensor.
    """
    if not isinstance(t, Tensor):
        raise TypeError(f"why_no_grad() takes a Tensor, not {type(t).__name__}")
    about = t._more
    if about is not None and about.grad is not None:
        return "it has a gradient: .grad is set"
    if t._node is None:
        return _text(_never_recorded(t))
    if t._node is not LEAF:
        return _text(_not_a_leaf(t, about is not None and about.retains))
    return _text(_leaf(t, loss))


def _text(rows: list[tuple[str, str]]) -> str:
    first = rows[0][1]
    return first + "".join(f"\n  {word:9} {text}" for word, text in rows[1:] if text)


def _never_recorded(t: Any) -> list[tuple[str, str]]:
    if t._kind.dtype.category < 2:
        rows = [("", f"its dtype is {t.dtype}: only floating point and complex tensors have gradients")]
        return [
            *rows,
            *(
                cut_rows(t)
                or [("fix", "convert it to floating point and call requires_grad_() before computing with it")]
            ),
        ]
    about = t._more
    if about is not None and about.cut is not None:
        return [("", "it does not require grad: its history was cut"), *cut_rows(t)]
    return [
        ("", "it does not require grad: nothing before it does, and nobody asked"),
        ("fix", "requires_grad=True where it is made (or .requires_grad_()), before computing with it"),
    ]


def _not_a_leaf(t: Any, retains: bool) -> list[tuple[str, str]]:
    made = where(maker_of(t))
    if retains:
        return [("", "it keeps its gradient, but no backward has passed it yet"), ("made", made), ("last", _last())]
    return [
        ("", "it is not a leaf: only tensors that were not computed keep their gradient"),
        ("made", made),
        ("fix", "call .retain_grad() on it before backward, or read .grad of the leaf that it was computed from"),
    ]


def _leaf(t: Any, loss: Any) -> list[tuple[str, str]]:
    if loss is not None:
        if loss._node is None:
            return [("", "the loss has no history"), *(cut_rows(loss) or [("made", where(maker_of(loss)))])]
        if not _reaches(loss, t):
            return [
                ("", "the loss does not depend on it: no way leads back from the loss to this tensor"),
                ("loss", where(maker_of(loss))),
                ("fix", "compute the loss with this very tensor; a copy, .detach() or .data of it is another one"),
            ]
        return [
            ("", "the loss depends on it, but backward() of that loss has not run (or .grad was reset since)"),
            ("last", _last()),
        ]
    last = _last()
    if not last:
        return [("", "no backward has run yet"), ("fix", "call .backward() on the loss")]
    return [
        ("", "no backward has reached it since it was made (or since .grad was reset)"),
        ("last", last),
        ("fix", "pass the loss too, why_no_grad(t, loss), to see whether it depends on this tensor"),
    ]


def _last() -> str:
    place = last_backward()
    return f"{where(place)}  (the last backward of this thread)" if place is not None else ""


def _reaches(loss: Any, leaf: Any) -> bool:
    start = edge_of(loss)
    if start is leaf:
        return True
    todo: list[Any] = [node_of(start)]
    seen: set[Node] = set()
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        for edge in node._edges:
            if edge is leaf:
                return True
            if edge is not None and not isinstance(edge, Tensor):
                todo.append(node_of(edge))
    return False
