"""Outer variables: the cells of the functions that ran. A frame does not tell its function, so they are found by their code, and by what
their cells hold.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from types import CodeType, FunctionType, MethodType
from typing import Any

from lamina.compiler.capture.facts import content
from lamina.compiler.capture.kinds import functions_in, is_users
from lamina.compiler.capture.purity import Read


class Cells:
    """Of functions that ran: of those that what they read leads to, else of all that live, found in one walk over all objects."""

    def __init__(self, reads: Sequence[Read], roots: Iterable[Any]) -> None:
        self._codes = {id(read.code): read.code for read in reads if read.closure}
        values = [*roots, *(v for read in reads for v in (*read.closure.values(), *read.arguments))]
        self._near = self._by_code(f for value in values for f in _leading(value))
        self._all: dict[int, list[FunctionType]] | None = None

    def find(self, code: CodeType, name: str, value: Any) -> Any:
        """The cell of the variable `name` of a function with this code, where it holds `value`; None where there is none."""
        at = code.co_freevars.index(name)
        found = _holding(self._near[id(code)], at, value)
        if found is None:
            if self._all is None:
                self._all = self._by_code(
                    f for f in gc.get_referrers(*self._codes.values()) if isinstance(f, FunctionType)
                )
            found = _holding(self._all[id(code)], at, value)
        return found

    def _by_code(self, functions: Iterable[FunctionType]) -> dict[int, list[FunctionType]]:
        found: dict[int, list[FunctionType]] = {key: [] for key in self._codes}
        for function in functions:
            if id(function.__code__) in found:
                found[id(function.__code__)].append(function)
        return found


def _holding(functions: Iterable[FunctionType], at: int, value: Any) -> Any:
    cells = (function.__closure__[at] for function in functions if function.__closure__ is not None)
    return next((cell for cell in cells if content(cell) is value), None)


def _leading(value: Any) -> Iterator[FunctionType]:
    """The functions that a value is, or that its class has."""
    if isinstance(value, MethodType):
        value = value.__func__
    if isinstance(value, FunctionType):
        yield value
    for cls in filter(is_users, type(value).__mro__):
        for member in vars(cls).values():
            yield from functions_in(member)
