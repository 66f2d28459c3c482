"""The forms of a step between the passes, as text: `LAMINA_DEBUG=<pass>` prints them, `kept()` gathers them.

The passes, in their order, are PASSES; LAMINA_DEBUG takes one or several of them, parted by commas. Here: this switch, and the text of
loops, plans and programs. Not here: the text of a graph (graph.py), what explain() tells (explain.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lamina.compiler.graph import Origin
from lamina.compiler.loops import At, Work

PASSES = ("graph", "simplify", "lower", "fuse", "plan", "emit")

_asked = frozenset(os.environ.get("LAMINA_DEBUG", "").replace(",", " ").split())
_keepers: list[dict[str, list[str]]] = []


def show(name: str, text: Callable[[], str]) -> None:
    """The pass `name` is over; `text` gives its form, if somebody wants to see it."""
    if name in _asked:
        print(f"---- {name}\n{text()}", file=sys.stderr)
    for keeper in _keepers:
        keeper.setdefault(name, []).append(text())


def asked() -> bool:
    """Whether somebody wants to see any form."""
    return bool(_asked or _keepers)


@contextmanager
def kept() -> Iterator[dict[str, list[str]]]:
    """Within it, the forms of all that is compiled: name of the pass -> texts."""
    found: dict[str, list[str]] = {}
    _keepers.append(found)
    try:
        yield found
    finally:
        _keepers.remove(found)


def loops(items: Sequence[Any]) -> str:
    """Work in its order, with the bodies of loops."""
    return "\n".join(line for item in items for line in _item(item))


def _item(item: Any) -> Iterator[str]:
    yield repr(item)
    if not isinstance(item, Work):
        return
    for n, inst in enumerate(item.insts):
        data = "" if inst.data is None else f" {_data(inst.data)}"
        args = "".join(f" %{a}" for a in inst.args)
        yield f"    {inst.op}{args}{data}" if inst.op == "store" else f"    %{n} = {inst.op}{args}{data} : {inst.dtype}"


def _data(data: Any) -> str:
    if isinstance(data, At):
        at = f"+{data.offset}" if data.offset else ""
        return f"{data.value}{at}({', '.join(map(str, data.strides))})"
    if isinstance(data, tuple):
        return " ".join(map(_data, data))
    return str(data)


def plan(placed: Any, work: Sequence[Any]) -> str:
    """Where values live, and the work with the copies that the plan asks for."""
    lines = [f"arena of {placed.arena} bytes"]
    for v, place in placed.places.items():
        if place.slot >= 2:
            what = placed.dynamic[place.slot - 2]
            where = f"memory of {what!r}{_of(what)}" if what is not v else "memory of its own"
        else:
            where = f"{('arena', 'constants')[place.slot]} + {place.offset}"
        lines.append(f"{v!r:5} {v.nbytes:6} bytes  {where}")
    return "\n".join(lines + [f"do    {item!r}" for item in work])


def _of(what: Any) -> str:
    if not isinstance(what, Origin):
        return ""
    if what.kind == "argument":
        return f" {what.which}"
    shape = getattr(what.which, "shape", None)
    return "" if shape is None else f" {list(shape)}"
