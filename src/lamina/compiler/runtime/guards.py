"""Guards checked natively: is each thing still what it was when a recording was made? Some nanoseconds each, in one pass.

A guard reads a word of an object, an item of a dict, or a number of references; what it finds must be the expected object, or, where
values are asked for, of its type and value. A table owns all objects that it names, so their addresses stay theirs. Whoever builds one
must know that the objects read are of the type they were (guard their type too, where it may change).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from types import CellType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import entry, native

_SLOT, _ITEM, _REFERENCES = 0, 1, 2
_TYPE_OFFSET, _CONTENT, _SIZE, _ELEMENTS = 8, 16, 16, 24
_VALUES = (float, int, str, bytes)  # equality of these runs no Python code and raises nothing


class GuardTable:
    """Guards, gathered one by one; `check()` is a builtin over those there are then."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, int, int, int]] = []
        self._owned: dict[int, object] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def slot(self, thing: object, offset: int, expected: object, *, value: bool = False) -> None:
        """The object in a slot of `thing` (`slot_offset`) is `expected`, or with `value` an equal one of the same type."""
        self._add(_SLOT, thing, offset, expected, value)

    def attribute(self, thing: object, name: str, expected: object, *, value: bool = False) -> bool:
        """`slot` by the attribute's name; False, and no guard, where it is none."""
        offset = slot_offset(type(thing), name)
        if offset is not None:
            self.slot(thing, offset, expected, value=value)
        return offset is not None

    def type_of(self, thing: object) -> None:
        """The class of `thing` is what it is now."""
        self._add(_SLOT, thing, _TYPE_OFFSET, type(thing), False)

    def item(self, mapping: dict[Any, Any], key: str, expected: object, *, value: bool = False) -> None:
        """`mapping[key]` is `expected`, or with `value` an equal one of the same type. `key` is there."""
        self._own(key)
        self._add(_ITEM, mapping, id(key), expected, value)

    def items(self, mapping: dict[str, Any]) -> bool:
        """`mapping` has these items and no others; False, and no guard, where its size cannot be read."""
        if not _sizes_hold():
            return False
        self._size(mapping)
        for key, value in mapping.items():
            self.item(mapping, key, value)
        return True

    def elements(self, sequence: list[Any]) -> bool:
        """`sequence` has these elements and no others; likewise. What looks at the elements' memory stands behind what tells whose it is."""
        if not _sizes_hold():
            return False
        self._size(sequence)
        memory = native.word(id(sequence), _ELEMENTS) or 0  # nowhere, if it is empty
        self._rows.append((_SLOT, id(sequence), _ELEMENTS, memory, 0))
        for n, element in enumerate(sequence):
            self._own(element)
            self._rows.append((_SLOT, memory, 8 * n, id(element), 0))
        return True

    def absent(self, mapping: dict[Any, Any], key: str) -> None:
        """`key` is not in `mapping`."""
        self._own(key)
        self._own(mapping)
        self._rows.append((_ITEM, id(mapping), id(key), 0, 0))

    def references(self, thing: object, expected: int) -> None:
        """So many references to `thing` exist beside the one that this table holds."""
        self._own(thing)
        self._rows.append((_REFERENCES, id(thing), 0, expected + 1, 0))

    def rows(self) -> NDArray[np.int64]:
        """The guards as native code reads them, %Guard of native/guards.ll."""
        return np.array(self._rows, np.int64).reshape(-1, 5)

    def owned(self) -> tuple[object, ...]:
        """Everything that the guards name; whoever uses `rows` holds it."""
        return tuple(self._owned.values())

    def check(self) -> Callable[[], bool]:
        """A builtin without arguments: whether all guards hold."""
        rows, table = self.rows(), np.zeros((), entry.TABLE)
        table["guards"], table["guard_count"] = rows.ctypes.data, len(rows)
        return entry.check(table, (rows, self.owned()))

    def _size(self, container: Any) -> None:
        self._own(container)
        self._rows.append((_SLOT, id(container), _SIZE, len(container), 0))

    def _add(self, kind: int, thing: object, offset: int, expected: object, value: bool) -> None:
        if value and type(expected) not in _VALUES:
            raise TypeError(
                f"a guard compares values of exact float, int, str and bytes, not {type(expected).__name__}"
            )
        self._own(thing)
        self._own(expected)
        self._rows.append((kind, id(thing), offset, id(expected), id(type(expected)) if value else 0))

    def _own(self, thing: object) -> None:
        self._owned[id(thing)] = thing


@cache
def available() -> bool:
    """Whether guards can be checked natively here: where not, Python checks them."""
    return not native.problem() and native.layout_holds() and _members_hold()


def slot_offset(cls: type, name: str) -> int | None:
    """Where objects of `cls` keep their slot `name`, in bytes; None if it is not a slot, or that cannot be told.

    What an outer variable holds is a slot of its cell, `cell_contents`.
    """
    if cls is CellType and name == "cell_contents":
        return _CONTENT if _members_hold() else None
    descriptor = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
    return _offset(descriptor) if _is_slot(descriptor) and _members_hold() else None


class _Member(ctypes.Structure):
    """The beginning of PyMemberDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
    )


_OBJECT_EX = 16  # Py_T_OBJECT_EX: the kind of member that __slots__ makes


class _Probe:
    __slots__ = ("first", "second")
    first: object
    second: object


def _is_slot(descriptor: object) -> bool:
    return type(descriptor) is type(vars(_Probe)["first"])


def _member(descriptor: object) -> _Member:
    """PyMemberDescrObject: head 16, class, name, qualified name, member."""
    address = ctypes.c_void_p.from_address(id(descriptor) + 40).value
    return _Member.from_address(address or 0)


def _offset(descriptor: object) -> int | None:
    member = _member(descriptor)
    return int(member.offset) if member.type == _OBJECT_EX else None


@cache
def _sizes_hold() -> bool:
    """Whether a dict and a list are laid out as read above."""
    mapping, sequence = {"a": 1, "b": 2}, [object() for _ in range(3)]
    if native.word(id(mapping), _SIZE) != 2 or native.word(id(sequence), _SIZE) != 3:
        return False
    memory = native.word(id(sequence), _ELEMENTS)
    return all(native.word(memory, 8 * n) == id(element) for n, element in enumerate(sequence))


@cache
def _members_hold() -> bool:
    """Whether descriptors are laid out as read above: two known slots are found where they are."""
    if sys.implementation.name != "cpython" or type(vars(_Probe)["first"]).__basicsize__ != 48:
        return False
    probe, cell = _Probe(), CellType(_Probe)
    if ctypes.c_void_p.from_address(id(cell) + _CONTENT).value != id(_Probe):
        return False
    values = probe.first, probe.second = object(), object()
    for name, value in zip(_Probe.__slots__, values, strict=True):
        member = _member(vars(_Probe)[name])
        if member.name != name.encode() or member.type != _OBJECT_EX or not 16 <= member.offset <= 24:
            return False
        if ctypes.c_void_p.from_address(id(probe) + member.offset).value != id(value):
            return False
    return True
