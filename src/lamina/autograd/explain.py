"""`why_no_grad`: why a tensor has no `.grad`, in plain words.

Here: one question asked of a tensor, and of the loss that it should belong to. Not here: errors (errors.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType
from typing import Any

from lamina.autograd.engine import last_backward
from lamina.autograd.graph import NOWHERE, Node, edge_of, node_of
from lamina.autograd.history import cut_rows, maker_of
from lamina.core.explained import where
from lamina.core.parameter import Parameter
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
    if about is not None and about.inference:
        return [
            ("", "it was made in inference mode: such tensors have no gradients"),
            ("fix", "no_grad in place of inference_mode, or a clone() of it outside, and requires_grad_() on that"),
        ]
    if isinstance(t, Parameter):
        return [
            ("", "it is frozen: a parameter whose requires_grad is False"),
            ("fix", "requires_grad_() on it before the forward pass"),
        ]
    return [
        ("", "it does not require grad: nothing before it does, and nobody asked"),
        ("fix", "requires_grad=True where it is made (or .requires_grad_()), before computing with it"),
    ]


def _not_a_leaf(t: Any, retains: bool) -> list[tuple[str, str]]:
    made = where(maker_of(t))
    if t._node is NOWHERE:
        return [
            ("", "it is a view that was made while gradients were off: its base gets the gradient"),
            ("fix", "read .grad of the base, or make the view where gradients are on"),
        ]
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
        ran = _ran(loss)
        if ran is not None:
            return [
                ("", "the loss depends on it and has been gone back from, but no gradient has come here or stayed"),
                ("ran", where(ran)),
                ("perhaps", "zero_grad() or .grad = None came after that"),
                ("perhaps", "autograd.grad() (it returns gradients), backward(inputs=...) or a Function left it out"),
            ]
        return [
            ("", "the loss depends on it, but backward() of that loss has not run (or .grad was reset since)"),
            ("last", _last()),
            ("fix", "loss.backward()"),
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
    place, fills = last_backward()
    left = "" if fills else "; it returns gradients and leaves .grad as it is"
    return f"{where(place)}  (the last backward of this thread{left})" if place is not None else ""


def _ran(loss: Any) -> Any:
    """Where a backward went through the graph of `loss`, as far as it has freed something there."""
    return next((node._versions for node in _nodes(loss) if node._saved is None and _is_place(node._versions)), None)


def _is_place(held: Any) -> bool:
    return isinstance(held, tuple) and len(held) == 2 and isinstance(held[0], CodeType)


def _reaches(loss: Any, leaf: Any) -> bool:
    return edge_of(loss) is leaf or any(edge is leaf for node in _nodes(loss) for edge in node._edges)


def _nodes(loss: Any) -> Iterator[Node]:
    """The graph of a loss."""
    start = edge_of(loss)
    todo: list[Any] = [] if isinstance(start, Tensor) else [node_of(start)]
    seen: set[Node] = set()
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            yield node
            todo += [node_of(edge) for edge in node._edges if edge is not None and not isinstance(edge, Tensor)]
