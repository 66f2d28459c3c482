"""What users add to the names that a file may use under `weights_only=True`.

Here: the list itself, one for the process. Not here: the names that are safe by default (names.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

Entry = Callable[..., Any] | tuple[Callable[..., Any], str]

_USERS: list[Entry] = []

# Their functions reach the operating system: not even a user can allow them.
BLOCKED_MODULES = frozenset({"sys", "os", "posix", "nt"})


def add_safe_globals(safe_globals: Iterable[Entry]) -> None:
    """Let files name these classes and functions: each alone, or as a pair with the full name that files use for it."""
    _USERS.extend(entry for entry in safe_globals if entry not in _USERS)


def get_safe_globals() -> list[Entry]:
    """What was added."""
    return list(_USERS)


def clear_safe_globals() -> None:
    """Forget all that was added."""
    _USERS.clear()


@contextmanager
def safe_globals(entries: Iterable[Entry]) -> Iterator[None]:
    """`add_safe_globals` inside a `with` block."""
    before = get_safe_globals()
    add_safe_globals(entries)
    try:
        yield
    finally:
        _USERS[:] = before


def users_table() -> dict[str, Any]:
    """Full name to object. Raises TypeError or ValueError for an entry that is neither an object nor a pair."""
    table: dict[str, Any] = {}
    for entry in _USERS:
        if isinstance(entry, tuple):
            if len(entry) != 2:
                raise ValueError(
                    f"Expected tuple of length 2 (global, str of callable full path), but got length: {len(entry)}"
                )
            found, name = entry
            if not isinstance(name, str):
                raise TypeError(f"Expected second item in tuple to be str of callable full path, but got: {type(name)}")
            table[name] = found
        else:
            table[f"{entry.__module__}.{getattr(entry, '__qualname__', None) or entry.__name__}"] = entry
    return table
