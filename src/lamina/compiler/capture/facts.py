"""Facts: single things that must be as they were for a recording to stand for running the program.

Here: these, each with its check. Not here: which there are, found from what ran (guards.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from lamina.core.tensor import Tensor

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "nothing"})()
PLAIN = frozenset(
    (int, float, bool, str, bytes, complex, type(None), range, slice, type(Ellipsis), type(NotImplemented))
)


class Fact:
    """`get()` must give what it gave: the same object, or an equal plain value."""

    __slots__ = ("always", "expected", "get", "holder", "key", "label", "owner")

    def __init__(self, get: Callable[[], Any], expected: Any, label: str, holder: Any = None, key: Any = None) -> None:
        self.get, self.expected, self.label = get, expected, label
        self.holder, self.key = holder, key  # the dict that it is read from, if it is
        self.owner: Any = None  # or the object whose attribute `key` it is
        self.always = True  # the owner has that in any case

    @staticmethod
    def attribute(owner: Any, name: str, label: str) -> Fact:
        fact = Fact(lambda: getattr(owner, name), getattr(owner, name), label, None, name)
        fact.owner = owner
        return fact

    @staticmethod
    def variable(cell: Any, label: str) -> Fact:
        """What an outer variable holds."""
        fact = Fact(lambda: content(cell), cell.cell_contents, label, None, "cell_contents")
        fact.owner, fact.always = cell, False
        return fact

    def asked_by(self, table: Any) -> bool:
        """Let a table of native guards ask this; False where it cannot. What it says yes to holds, but not the reverse."""
        value = type(self.expected) in (float, int, str, bytes)
        if self.owner is not None:
            return bool(table.attribute(self.owner, self.key, self.expected, value=value))
        if not isinstance(self.holder, dict) or type(self.key) is not str:
            return False
        if self.expected is MISSING:
            table.absent(self.holder, self.key)
        else:
            table.item(self.holder, self.key, self.expected, value=value)
        return True

    def holds(self) -> bool:
        now = self.get()
        if now is self.expected:
            return True
        cls = self.expected.__class__
        return (
            cls in PLAIN
            and now.__class__ is cls
            and bool(now == self.expected or (now != now and self.expected != self.expected))
        )


class Members:
    """A container must hold the very objects that it held: a list, or a dict's values."""

    __slots__ = ("expected", "holder", "ids", "label", "view")

    def __init__(self, holder: Any, label: str) -> None:
        self.holder, self.label = holder, label
        self.view = holder.values() if isinstance(holder, dict) else holder
        self.expected = tuple(self.view)  # held, so that the identities stay theirs
        self.ids = [*map(id, self.expected)]

    def get(self) -> Any:
        return tuple(self.view)

    def holds(self) -> bool:
        return [*map(id, self.view)] == self.ids

    def asked_by(self, table: Any) -> bool:
        """As a Fact's."""
        if type(self.holder) is list:
            return bool(table.elements(self.holder))
        if not isinstance(self.holder, dict) or any(type(key) is not str for key in self.holder):
            return False
        return bool(table.items(self.holder))


class Hooks:
    """The hooks of a tensor, as they are at each look."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __iter__(self) -> Iterator[Any]:
        about = self.tensor._more
        found = () if about is None else (about.hooks, about.post_hooks)
        return chain.from_iterable(hooks.values() for hooks in found if hooks)


def content(cell: Any) -> Any:
    """What an outer variable holds; MISSING where that was deleted."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING
