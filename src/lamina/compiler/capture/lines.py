"""Where in a recorded function things happen: the line of its own body that a run is at, however deep the call.

Here: what was done, and what stands in the way of a replay, under each line. Not here: what stands in the way (recorder.py, purity.py),
and what is made of it (stretches.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from lamina.core.version import Place, getframe, line_of


class Lines:
    """What happened under each line of `root`, the code of the recorded function (None: nobody asks)."""

    def __init__(self, root: CodeType | None) -> None:
        self.root = root
        self.work: Counter[int] = Counter()  # calls of primitives, writes, gradients thrown away
        self.troubles: dict[int, str] = {}  # the first one under each line, in words
        self.ran: set[int] | None = None  # where it is known
        self.under: dict[CodeType, set[int]] = {}  # of other functions: the lines under which they were called
        self.last: int | None = None  # where the function returned
        self.changed: Callable[[], str | None] | None = None  # what has changed since it was last asked, in words
        self._at: int | None = None
        self._base: Any = None

    @property
    def names(self) -> tuple[str, ...]:
        """The function's parameters, and its other variables."""
        return () if self.root is None else self.root.co_varnames

    def begin(self) -> None:
        """The run begins: frames further out than the caller's are none of its."""
        self._base = getframe(2)

    def end(self) -> None:
        self._base = None

    def now(self) -> int | None:
        """The line of the function's body that is being executed."""
        root, base = self.root, self._base
        if root is None or base is None:
            return None
        frame: FrameType | None = getframe(1)
        found = None
        while frame is not None and frame is not base:
            if frame.f_code is root:
                found = frame
            frame = frame.f_back
        return None if found is None or frame is None else found.f_lineno

    def step(self, line: int) -> None:
        """The function's body comes to a line."""
        if self.ran is not None:
            self.ran.add(line)
        if self._at is not None:
            self.returned(self._at)
        self._at = line

    def returned(self, line: int) -> None:
        """What a line of the function's body called has returned."""
        if self.changed is not None and (what := self.changed()) is not None:
            self.troubles.setdefault(line, what)

    def worked(self) -> None:
        line = self.now()
        if line is not None:
            self.work[line] += 1

    def trouble(self, what: str) -> None:
        """A replay cannot do what happens now."""
        line = self.now()
        if line is not None:
            self.troubles.setdefault(line, what)

    def trouble_at(self, what: str, place: Place) -> None:
        """A replay cannot do what happens at a place, whenever that was."""
        code = place[0]
        for line in (line_of(place)[1],) if code is self.root else self.under.get(code, ()):
            self.troubles.setdefault(line, what)

    def called(self, code: CodeType) -> None:
        """Another function begins."""
        line = self.now()
        if line is not None:
            self.under.setdefault(code, set()).add(line)
