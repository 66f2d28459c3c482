"""Where nodes were made, and why tensors have no history: what errors and `why_no_grad` tell of a graph.

Here: the notes that operations leave. Not here: text of errors (graph_errors.py and its neighbours).
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from lamina.core.explained import where
from lamina.core.tensor import more
from lamina.core.version import Place, users_place
from lamina.core.warn import warn


def place_of(node: Any) -> Place | None:
    """The user's call that made a node."""
    return None if node is None or getattr(node, "_code", None) is None else (node._code, node._lasti)


def maker_of(t: Any) -> Place | None:
    """The user's call that made a tensor, where it was recorded."""
    edge = getattr(t, "_node", None)
    return place_of(getattr(edge, "node", edge))


class Cut:
    """Why a result has no history although an input had: which call cut it, and what to do instead."""

    __slots__ = ("fix", "place", "reason")

    def __init__(self, reason: str, place: Place | None, fix: str) -> None:
        self.reason, self.place, self.fix = reason, place, fix


def note_cut(t: Any, reason: str, source: Any) -> None:
    """Remember on `t` that its history was cut here."""
    more(t).cut = Cut(reason, users_place(3), "leave that call out where the gradient is needed")


_left: ContextVar[tuple[str, Place | None] | None] = ContextVar("lamina.left", default=None)
"""The last call in this thread that took values with history out of the graph: item(), numpy() and their kin."""


_PLAIN = (
    "{} gives plain values: a tensor made of them has no history",
    "compute with the tensor itself, not with its values",
)
_LEFT = {"grad()": ("gradients have a history only with create_graph=True", "create_graph=True in that call")}
"""What left, and how to keep it; `_PLAIN` for all others."""


def note_left(what: str, depth: int = 4) -> None:
    """Remember that values have left the graph: what is made of them has no history."""
    _left.set((what, users_place(depth)))


def cut_rows(t: Any, guess: bool = True) -> list[tuple[str, str]]:
    """Rows of a story: where the history of `t` ends, and what to write instead; empty where nothing is known.

    guess: where the tensor itself does not know, the last call that took values out of a graph is told.
    """
    about = getattr(t, "_more", None)
    cut = None if about is None else about.cut
    if cut is not None:
        return [("cut", f"{where(cut.place)}  ({cut.reason})"), ("fix", cut.fix)]
    left = _left.get() if guess else None
    if left is None:
        return []
    what, place = left
    reason, fix = _LEFT.get(what, _PLAIN)
    return [("perhaps", f"{where(place)}  ({reason.format(what)})"), ("fix", fix)]


def warn_non_leaf_grad(t: Any) -> None:
    """PyTorch's warning, and where the tensor was made."""
    place = where(maker_of(t))
    warn(
        "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be populated during "
        "autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the "
        "non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you access the leaf Tensor instead. See "
        f"github.com/pytorch/pytorch/pull/30531 for more information.{' (made at ' + place + ')' if place else ''}",
        UserWarning,
    )
