"""NumPy's RuntimeWarnings about lamina's own arithmetic stay silent, whatever filters a program sets.

Overflow, division by zero and NaN are results, as in PyTorch. NumPy would warn of them from inside lamina, and under
`simplefilter("always")` or "error" (pytest's usual setting) a program would see warnings, or errors, that PyTorch never gives.
Switching NumPy's error state for every call costs 0.8 us, and for the whole process it would silence the program's own arrays; so
there is one filter, for lamina's modules alone, that stays first.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from types import ModuleType
from typing import Any, SupportsIndex

_OURS: Any = ("ignore", None, RuntimeWarning, re.compile(r"lamina\."), 0)


class _Filters(list[Any]):
    """The list `warnings.filters`; the entry about lamina is put in front of what others put in front."""

    def __init__(self, filters: Iterable[Any] = ()) -> None:
        super().__init__([_OURS, *(f for f in filters if f is not _OURS)])

    def insert(self, index: SupportsIndex, item: Any) -> None:
        super().insert(max(int(index), 1), item)

    def remove(self, item: Any) -> None:
        del self[self.index(item, 1)]  # a program may set a filter that is equal to ours: it replaces only its own

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return _Filters(found) if isinstance(index, slice) else found

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(
            index, [_OURS, *(f for f in value if f is not _OURS)] if isinstance(index, slice) else value
        )

    def copy(self) -> _Filters:
        return _Filters(self)

    def clear(self) -> None:
        self[:] = []


class _Warnings(ModuleType):
    """The type of the module `warnings` from now on: whatever list becomes its `filters` (catch_warnings puts old ones back) is ours."""

    @property
    def filters(self) -> list[Any]:
        found: list[Any] = self.__dict__["filters"]
        return found

    @filters.setter
    def filters(self, value: Iterable[Any]) -> None:
        self.__dict__["filters"] = value if isinstance(value, _Filters) else _Filters(value)


def install() -> None:
    """Put the filter in front, for good. A second call changes nothing."""
    if not isinstance(warnings, _Warnings):
        warnings.__class__ = _Warnings
        warnings.filters = list(warnings.filters)
        warnings._filters_mutated()  # type: ignore[attr-defined]  # what C has cached about filters is void
