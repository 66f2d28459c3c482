"""Guards checked natively: each says no exactly when what it names is no longer what it was."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import CellType

import numpy as np
import pytest

from lamina.compiler.runtime import cpu, guards, native
from lamina.compiler.runtime.guards import GuardTable, slot_offset
from lamina.compiler.runtime.program import Launch, Program

from . import native_ir

pytestmark = [pytest.mark.full, pytest.mark.skipif(not guards.available(), reason=cpu.unsupported())]


class Thing:
    __slots__ = ("first", "second")


class Derived(Thing):
    __slots__ = ("third",)


class Other(Thing):
    __slots__ = ("third",)


def _table(add: Callable[[GuardTable], object]) -> Callable[[], bool]:
    table = GuardTable()
    add(table)
    return table.check()


@pytest.mark.parametrize("name", ["first", "second", "third"])
def test_a_slot_holds_an_object(name):
    thing, value = Derived(), [1]
    setattr(thing, name, value)
    offset = slot_offset(Derived, name)
    check = _table(lambda table: table.slot(thing, offset, value))
    assert check() is True
    setattr(thing, name, [1])
    assert check() is False
    setattr(thing, name, value)
    assert check() is True
    delattr(thing, name)
    assert check() is False


def test_what_is_no_slot_has_no_offset():
    class Plain:
        attribute = 1

        @property
        def first(self) -> int:
            return 1

    assert slot_offset(Plain, "attribute") is slot_offset(Plain, "first") is slot_offset(Plain, "missing") is None
    assert slot_offset(type, "__dictoffset__") is None  # a member of C's, no object


def test_the_class_of_an_object():
    thing = Derived()
    check = _table(lambda table: table.type_of(thing))
    assert check()
    thing.__class__ = Other
    assert not check()


def test_an_item_of_a_dict():
    name = "".join(["na", "me"])  # a key of its own, no interned one
    mapping = {"name": len, "more": 1}
    check = _table(lambda table: (table.item(mapping, name, len), table.absent(mapping, "absent")))
    assert check()
    mapping["name"] = max
    assert not check()
    mapping["name"] = len
    assert check()
    mapping["absent"] = None
    assert not check()
    del mapping["absent"], mapping["name"]
    assert not check()


CHANGES = {
    "another": lambda c: c.__setitem__("b" if isinstance(c, dict) else 1, len),
    "one more": lambda c: c.update(c=1) if isinstance(c, dict) else c.append(1),
    "one fewer": lambda c: c.pop("b" if isinstance(c, dict) else 1),
    "much longer": lambda c: c.update(dict.fromkeys("abcdefgh")) if isinstance(c, dict) else c.extend(range(1000)),
    "none": lambda c: c.clear(),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("container", [{"a": max, "b": min}, [max, min]], ids=["dict", "list"])
def test_all_that_a_container_holds(container, change):
    mine, before = container.copy(), container.copy()
    check = _table(lambda table: table.items(mine) if isinstance(mine, dict) else table.elements(mine))
    assert check()
    CHANGES[change](mine)
    assert not check()
    mine.clear()
    mine.update(before) if isinstance(mine, dict) else mine.extend(before)
    assert isinstance(mine, list) or check()  # a list's elements may lie elsewhere now: Python asks again
    empty = []
    assert _table(lambda table: table.elements(empty))()


def test_what_an_outer_variable_holds():
    cell = CellType(len)
    check = _table(lambda table: table.attribute(cell, "cell_contents", len))
    assert check()
    cell.cell_contents = max
    assert not check()
    cell.cell_contents = len
    assert check()
    del cell.cell_contents
    assert not check()


class Loud(float):
    def __eq__(self, other: object) -> bool:
        raise AssertionError("no Python code runs in a check")

    __hash__ = float.__hash__


VALUES = [
    (0.5, [0.5], [0.25, 1, None, Loud(0.5), math.nan]),
    (0.0, [0.0], [-0.0, 0, False]),
    (math.nan, [math.nan, float("nan")], [0.0]),
    (10**30, [10**30], [10**30 + 1, 1e30, 10, True]),
    (1, [1], [True, 1.0, 2]),
    ("mean", ["".join(["me", "an"])], ["sum", b"mean"]),
]


@pytest.mark.parametrize("place", ["slot", "item"])
@pytest.mark.parametrize("expected, equal, different", VALUES)
def test_a_value(place, expected, equal, different):
    thing, mapping = Thing(), {"key": expected}
    thing.first = expected
    if place == "slot":
        check = _table(lambda table: table.slot(thing, slot_offset(Thing, "first"), expected, value=True))
    else:
        check = _table(lambda table: table.item(mapping, "key", expected, value=True))
    for value in [*equal, *different]:
        thing.first = mapping["key"] = value
        assert check() is any(value is one for one in equal)


def test_only_values_of_plain_types_are_compared():
    with pytest.raises(TypeError, match="not list"):
        GuardTable().item({"key": [1]}, "key", [1], value=True)


def test_the_number_of_references():
    thing = [1, 2]
    others = sys.getrefcount(thing) - 1  # its argument
    check = _table(lambda table: table.references(thing, others))
    assert check()
    second = thing
    assert not check()
    del second
    assert check()


def test_a_table_owns_what_it_names():
    check = _table(lambda table: [table.item({f"key{i}": i}, f"key{i}", object()) for i in range(100)])
    assert check() is False  # and reads nothing that was freed


def test_an_entry_runs_only_where_its_guards_hold():
    thing, source, target = Thing(), np.ones(4), np.zeros(4)
    thing.first = source
    table = GuardTable()
    table.slot(thing, slot_offset(Thing, "first"), source)
    program = Program([[Launch(native_ir.affine(2.0, 4), ((0, 0), (1, 0)))]], slots=2, first_dynamic=0)
    entry = program.guarded(0, table)
    assert entry(source, target) is True
    np.testing.assert_array_equal(target, 3)
    thing.first, target[:] = target, 0
    assert entry(source, target) is False
    assert not target.any()
    with pytest.raises(TypeError, match="takes 2 arrays"):
        entry(source)
    references = [sys.getrefcount(answer) for answer in (True, False)]
    for _ in range(1000):
        entry(source, target)
    assert all(
        abs(sys.getrefcount(answer) - before) < 100 for answer, before in zip((True, False), references, strict=True)
    )


def test_without_the_known_layout_nothing_is_left_unchecked(monkeypatch: pytest.MonkeyPatch):
    program = Program([[]], slots=0)
    table = GuardTable()
    table.type_of(program)
    monkeypatch.setattr(native, "layout_holds", lambda: False)
    with pytest.raises(NotImplementedError, match="check them in Python"):
        program.guarded(0, table)
