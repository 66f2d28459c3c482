"""A compiled function that is replayed in stretches: its Python runs at each call, its pieces are compiled functions of their own.

A piece that turns out not to be clean is taken apart at the line that decided it, until each is replayed or stays Python. Here: this, and
what takes the place of a function, a method or a module's forward. Not here: source and code (capture/stretches.py), recordings (api.py).
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from threading import RLock
from types import FunctionType, MethodType
from typing import Any
from weakref import ref

from lamina.compiler.capture.kinds import is_module
from lamina.compiler.capture.lines import Lines
from lamina.compiler.capture.pieces import Piece
from lamina.compiler.capture.purity import looks_back
from lamina.compiler.capture.stretches import Source
from lamina.core.version import is_own

MOST = 64
"""How often a function is split anew, and how many functions that it calls are compiled by themselves."""


class Target:
    """The Python function that a call of a compiled object comes to. `now()`: it, or None where the call does more than that."""

    def __init__(self, called: Any) -> None:
        self.called = called

    def now(self) -> FunctionType | None:
        return self.called if isinstance(self.called, FunctionType) else None

    def instead(self, function: FunctionType) -> Callable[..., Any]:
        """What is called with `function` in its place."""
        return function


class Method(Target):
    """A bound method."""

    def now(self) -> FunctionType | None:
        function = self.called.__func__
        return function if isinstance(function, FunctionType) else None

    def instead(self, function: FunctionType) -> Callable[..., Any]:
        return MethodType(function, self.called.__self__)


def target_of(called: Any) -> Target:
    """Where a call of this object comes to."""
    if is_module(called):
        from lamina.compiler.module import Forward  # nn is needed only by those who have a module

        return Forward(called)
    return (Method if isinstance(called, MethodType) else Target)(called)


class Inner:
    """What lines that stay Python call, as a table: functions and modules of the program's are compiled by themselves."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make
        self.made: dict[int, Any] = {}  # id of what is called -> the compiled one, which holds it
        self._met: dict[int, Any] = {}  # functions seen once: those made at each call are not worth it

    def __call__(self, called: Any) -> Any:
        """What to call instead: what was compiled of it, or itself."""
        if isinstance(called, MethodType):
            function = self(called.__func__)
            return called if function is called.__func__ else MethodType(function, called.__self__)
        one = self.made.get(id(called))
        if one is None:
            if not self._worth(called):
                return called
            one = self.made[id(called)] = self._make(called)
        return called if one.eager is not None and one.split is None else one

    def _worth(self, called: Any) -> bool:
        if len(self.made) >= MOST:
            return False
        if is_module(called):
            code = getattr(type(called).forward, "__code__", None)
            simple = code is None or (
                is_own(code.co_filename) and not called._modules
            )  # one operation, such as a linear layer
            return not (simple or hasattr(called, "_compiled") or looks_back(code))
        if not isinstance(called, FunctionType) or is_own(called.__code__.co_filename) or looks_back(called.__code__):
            return False
        met = self._met.get(id(called))
        self._met[id(called)] = ref(called)
        return met is not None and met() is called


class Split:
    """How a function runs in stretches. `run`: what is called in its place."""

    def __init__(self, target: Target, source: Source, lines: Lines, make: Callable[..., Any], inner: Inner) -> None:
        self.target, self.source, self._make, self.inner = target, source, make, inner
        self.function = source.function
        self._fits = (source.code, self.function.__defaults__, self.function.__kwdefaults__)
        self.items: list[Any] = []
        self.made: dict[Any, Any] = {}  # a piece without its name -> what is called
        self._lock = RLock()
        self._times = 0
        self.watched = False  # all that computes tensors must be in pieces, which look for numbers that are not finite
        self._usable = True
        self.run: Callable[..., Any] = self.function
        source.lines = lines

    @staticmethod
    def of(
        target: Target, lines: Lines, make: Callable[..., Any], inner: Inner, names: AbstractSet[str], watched: bool
    ) -> Split | None:
        """The function split at the lines that stood in the way of a replay; None where it cannot be, or where nothing would be left.

        names: lines that read these are such too. make: makes a compiled function of a piece's function, its piece and the split.
        inner: what its lines of Python call.
        """
        function = target.now()
        if function is None or not (lines.troubles or names):
            return None
        if is_own(function.__code__.co_filename) and not is_module(
            target.called
        ):  # such as a Sequential of the program's modules
            return None
        source = Source.of(function)
        if source is None:
            return None
        split = Split(target, source, lines, make, inner)
        split.watched = watched
        troubles = lines.troubles | source.reading(names, "what it reads is another at each call", source.tree.body)
        return split if split.blame(troubles) and (split.made or source.calls()) and split.fits() else None

    def fits(self) -> bool:
        """Whether the function is still the one that was split."""
        f = self.target.now()
        return self._usable and f is self.function and (f.__code__, f.__defaults__, f.__kwdefaults__) == self._fits

    def blame(self, troubles: dict[int, str]) -> bool:
        """Split once more: these lines stay Python. Whether anything is another than before."""
        with self._lock:
            news = [self.source.blame(line, why) for line, why in troubles.items()]
            return any(news) and self._renew()

    def halve(self, piece: Piece) -> bool:
        """A piece becomes two. Whether it was long enough for that."""
        with self._lock:
            middle = len(piece.statements) // 2
            self.source.cuts |= set(piece.statements[middle - 1 : middle])
            return middle > 0 and self._renew()

    def dismiss(self, piece: Piece, why: str) -> None:
        """A piece stays Python as a whole."""
        with self._lock:
            for s in piece.statements:
                self.source.leave(s, why)
            self._renew()

    def _renew(self) -> bool:
        self._times += 1
        if self._times > MOST:
            return False
        try:
            self._write()
        except (SyntaxError, RecursionError):  # what Python cannot compile once more, such as very deep expressions
            self._usable = False
        return self._usable

    def _write(self) -> None:
        """Make the pieces anew, but for those that are as they were, and the function that calls them."""
        items, pieces = self.source.split()
        made, called = {}, {}
        for piece in pieces:
            key = piece._replace(name="")
            found = self.made.get(key)
            if found is None:
                found = self._make(self.source.piece_of(piece), key, self)
            made[key] = called[piece.name] = found
        self._usable = not (self.watched and self.source.computes())
        self.run = self.target.instead(self.source.function_of(items, called, self.inner))
        self.items, self.made = items, made
