"""Version counters and places: which call modified a tensor's memory, told by code object and instruction offset.

Here: the counter that a tensor shares with its views and its `detach()`. Not here: text (explained.py).
"""

from __future__ import annotations

import os
import sys
from collections import deque
from threading import local
from types import CodeType, FrameType
from typing import Any
from weakref import ref

Place = tuple[CodeType, int]
getframe = sys._getframe
_OWN = __file__.rsplit("/core/", 1)[0].rsplit("\\core\\", 1)[0]
_ENGINE = os.path.join(_OWN, "autograd", "engine.py")


class Version:
    """How often the memory was written, and the last writes: (version before, operation, place)."""

    # many are made, few are ever counted on: defaults of the class cost nothing
    n = 0
    bases: list[Any] | None = None  # weak references: tensors with this counter that have views
    log: deque[tuple[int, str, Place | None]] | None = None

    def bump(self, operation: str, place: Place | None, times: int = 1) -> None:
        log = self.log
        if log is None:
            log = self.log = deque(maxlen=8)
        log.append((self.n, operation, place))
        self.n += times


class Detached(int):
    """A version at which a tensor was cut from its history in place. It equals no number, so that whoever saved one of the tensors
    with this counter looks closer; the next write puts a plain number in its place."""

    since: int  # what is younger than this number saved the tensor without its history
    who: ref[Any]

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


class Untracked(Version):
    """The counter of tensors made in inference mode: to save one for backward is to read it, and that raises."""

    refusal: type[Exception] = RuntimeError  # autograd/errors.py puts its own here

    @property
    def n(self) -> int:  # type: ignore[override]
        raise self.refusal()

    def bump(self, operation: str, place: Place | None, times: int = 1) -> None:
        """Writes are not counted."""


UNTRACKED = Untracked()


class _Files(dict[str, int]):
    """Answers for a file not seen before, and remembers."""

    def __missing__(self, name: str) -> int:
        if name.startswith(_OWN):
            own = 3 if name == _ENGINE else 1
        else:
            own = 2 if any(part in name for part in _INSTALLED) else 0
        self[name] = own
        return own


OWN_FILES = _Files()
"""File name -> 0 the user's, 1 lamina's, 2 installed, 3 the engine's (lamina's too)."""


class _Backward(local):
    """Where this thread's program started the backward that it is in: known to whoever meets the engine on the way to the user."""

    place: Place | None = None


backward = _Backward()

_INSTALLED = ("/site-packages/", "/dist-packages/", "\\site-packages\\", sys.base_prefix + "/lib/python", "<frozen ")


def is_own(name: str) -> int:
    """Whether a file is lamina's (1; 3: the engine), or belongs to what is installed (2): the user (0) has not written it."""
    return OWN_FILES[name]


def users_place(depth: int = 2) -> Place | None:
    """Where the program called lamina: the nearest frame outside of it, at least `depth` frames up."""
    try:
        return place_from(getframe(depth))
    except ValueError:  # called from C, or from the top
        return None


def place_from(at: Any) -> Place | None:
    """Where the program called lamina: the nearest frame outside of it, from this one (None: there is none) up."""
    try:  # this loop runs for most operations
        while (own := OWN_FILES[at.f_code.co_filename]) == 1:
            at = at.f_back
        if not own:
            return at.f_code, at.f_lasti
        if own == 3 and backward.place is not None:
            return backward.place
    except AttributeError:  # no frame left
        pass
    packaged: FrameType | None = None  # a package that is run itself has no user's frame behind it
    while at is not None:
        own = is_own(at.f_code.co_filename)
        if not own:
            return at.f_code, at.f_lasti
        if own == 2 and packaged is None:
            packaged = at
        at = at.f_back
    return None if packaged is None else (packaged.f_code, packaged.f_lasti)


def users_place_of(frame: FrameType | None) -> Place | None:
    """Where the program called what runs in `frame`, or below it."""
    while frame is not None:
        if not is_own(frame.f_code.co_filename):
            return frame.f_code, frame.f_lasti
        frame = frame.f_back
    return None


def line_of(place: Place) -> tuple[str, int, str]:
    """File, line and source text of a place; the text is empty where there is no file (exec, -c)."""
    import linecache  # only for messages

    code, offset = place
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= offset < end and number is not None:
            line = number
    text: Any = linecache.getline(code.co_filename, line)
    return code.co_filename, line, text.strip()
