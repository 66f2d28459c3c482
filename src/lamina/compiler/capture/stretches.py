"""A function split by its statements: runs of statements become functions of their own, what stands between them stays Python.

The source is read again and compared with the code that runs; each run of clean statements becomes `piece(variables read) -> variables
bound`, with the file, lines, globals and outer variables of the function; the rest calls the pieces. Here: which statements go into
pieces, and the code of both. Not here: which statements cannot be replayed (recorder.py, purity.py), how pieces run (../split.py).
"""

from __future__ import annotations
import __future__

import ast
import copy
import linecache
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from types import CellType, CodeType, FunctionType
from typing import Any, NamedTuple

from lamina.compiler.capture.lines import Lines
from lamina.compiler.capture.pieces import INSTEAD, OWN, Opened, Piece, arguments, declared, inside, placed, written
from lamina.compiler.capture.statements import (
    BLOCKS,
    binds_at_once,
    bodies,
    flow,
    header,
    in_loops,
    looks_around,
    spelled,
    stored,
    uses,
)

LEAST = 3
"""Calls of primitives, or gradients thrown away, that make a piece worth its call."""
LITTLE = "too little is computed to be worth a call"
_FLAGS = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
_NESTED = 0x10
"""Flag of functions written inside another."""
_AROUND, _NAME = "<around>", "<function>"
_NO_PYTHON = 0x20 | 0x80 | 0x100 | 0x200
"""Flags of generators and coroutines."""


class Context(NamedTuple):
    """What is known where a list of statements begins."""

    sure: frozenset[str]  # surely bound
    before: frozenset[str]  # perhaps bound
    after: frozenset[str]  # perhaps read behind the list
    loop: bool
    shared: frozenset[str]  # what is seen outside when the list ends by an exception


class Source:
    """A function's source as it was split so far. `plain`: statement -> why it stays Python; a block among them is looked into."""

    def __init__(self, function: FunctionType, tree: ast.FunctionDef) -> None:
        self.function, self.tree = function, tree
        self.code = function.__code__
        self.plain: dict[ast.stmt, str] = {}
        self.opened: set[ast.stmt] = set()
        self.cuts: set[ast.stmt] = set()  # no piece goes on behind these
        self.lines = Lines(None)  # of the run that decided
        every = uses(*tree.body)
        self._named = frozenset(self.code.co_varnames + self.code.co_cellvars)
        self.values: set[str] = set()  # variables of our own, between an expression and where its value is stored
        self.deferred = frozenset(every.deferred) & self.locals
        self.rebound, self.binds, self.looped = every.rebound, every.binds, in_loops(tree.body)
        self.spelled = spelled(tree.body)
        self.parameters = frozenset(self.code.co_varnames[: _count(self.code)])

    @property
    def locals(self) -> frozenset[str]:
        return self._named | self.values

    @staticmethod
    def of(function: FunctionType) -> Source | None:
        """The source of `function`, where there is one, it is what runs, and splitting cannot be seen."""
        code = function.__code__
        if code.co_flags & _NO_PYTHON:
            return None
        text = "".join(linecache.getlines(code.co_filename, function.__globals__))
        try:
            file = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            return None
        tree = next((n for n in ast.walk(file) if isinstance(n, ast.FunctionDef) and _first(n) == code.co_firstlineno
                     and n.name == code.co_name), None)  # fmt: skip
        if tree is None or looks_around(tree, function.__globals__):
            return None
        whole = compile(file, code.co_filename, "exec", code.co_flags & _FLAGS, dont_inherit=True)
        return Source(function, tree) if code in _codes(whole) else None

    # ---- which statements stay Python --------------------------------------------------------------------------------

    def blame(self, line: int, why: str) -> bool:
        """The statements at `line` stay Python. Whether that is news."""
        return self._blame(self.tree.body, line, why)

    def _blame(self, statements: list[ast.stmt], line: int, why: str) -> bool:
        news = False
        for s in tuple(statements):
            if not _covers(s, line):
                continue
            if isinstance(s, BLOCKS):
                inner = [getattr(holder, field) for holder, field in bodies(s)]
                inside = any(_covers(one, line) for body in inner for one in body)
                news |= self.leave(s, "" if inside else why)
                self.opened.add(s)
                for body in inner:
                    news |= self._blame(body, line, why)
            elif parts := self._parted(s):
                statements[(at := statements.index(s)) : at + 1] = parts
                news |= self.leave(parts[-1], why)
            else:
                news |= self.leave(s, why)
        return news

    def _parted(self, s: ast.stmt) -> list[ast.stmt]:
        """`box.x = f(y)` as two statements: at first only the store is to blame. Empty where it is no such store."""
        if not isinstance(s, ast.Assign) or s in self.plain:
            return []
        if not any(isinstance(n, (ast.Call, ast.BinOp)) for n in ast.walk(s.value)):
            return []
        if len(s.targets) > 1 or (isinstance(t := s.targets[0], ast.Name) and t.id in self.locals):
            return []
        name = f"<value {len(self.values)}>"
        self.values.add(name)
        parts = stored(s, name)
        if s in self.cuts:
            self.cuts.add(parts[-1])
        return parts

    def leave(self, s: ast.stmt, why: str) -> bool:
        """`s` stays Python. Whether that is news."""
        news = s not in self.plain
        if news or not self.plain[s]:
            self.plain[s] = why
        return news

    def reading(self, names: AbstractSet[str], why: str, statements: Sequence[ast.stmt]) -> dict[int, str]:
        """The lines of some statements that read a variable, or an attribute, of such a name."""
        every = (n for s in statements for n in ast.walk(s) if isinstance(n, (ast.Name, ast.Attribute)))
        found = (n for n in every if (n.id if isinstance(n, ast.Name) else n.attr) in names)
        return {n.lineno: why for n in found if isinstance(n.ctx, ast.Load)}

    def calls(self) -> bool:
        """Whether what stays Python calls what may be compiled by itself."""
        return any(self._calls(s) for s in self.plain if s not in self.opened)

    def computes(self) -> bool:
        """Whether what stays Python computed tensors in the run that decided."""
        return any(self._work([s]) for s in self.plain if s not in self.opened)

    # ---- pieces ------------------------------------------------------------------------------------------------------

    def split(self) -> tuple[list[Any], list[Piece]]:
        """The body with pieces in the places of their statements, and all pieces in their order."""
        pieces: list[Piece] = []
        context = Context(self.parameters, self.parameters, frozenset(), False, frozenset())
        return self._list(self.tree.body, context, pieces), pieces

    def _list(self, statements: Sequence[ast.stmt], at: Context, pieces: list[Piece]) -> list[Any]:
        """Items: a Piece, a statement that stays Python, or a block that does."""
        here = [self._context(statements, i, at) for i in range(len(statements) + 1)]
        cuts = {i for i, s in enumerate(statements) if s in self.cuts}
        while True:
            groups = list(_groups([s in self.plain for s in statements], cuts))
            before = len(self.plain), len(cuts)
            for i, j in groups:
                self._examine(statements, i, j, here, cuts)
            if (len(self.plain), len(cuts)) == before:
                break
        ends = dict(groups)
        items: list[Any] = []
        i = 0
        while i < len(statements):
            s = statements[i]
            if i in ends:
                pieces.append(self._piece(statements[i : ends[i]], here[i], here[ends[i]], f"<piece {len(pieces)}>"))
                items.append(pieces[-1])
                i = ends[i]
            else:
                items.append(self._block(s, here[i], here[i + 1], pieces) if s in self.opened else s)
                i += 1
        return items

    def _context(self, statements: Sequence[ast.stmt], i: int, at: Context) -> Context:
        sure = flow(statements[:i], at.sure)[1]
        before = at.before.union(uses(*statements[:i]).binds)
        after = at.after | uses(*statements[i:]).reads | self.deferred
        return at._replace(sure=at.sure if sure is None else sure, before=before, after=after)

    def _block(self, s: ast.stmt, at: Context, behind: Context, pieces: list[Piece]) -> Opened:
        whole = uses(s)
        loop, after, shared = at.loop, behind.after, at.shared
        if isinstance(s, (ast.For, ast.While)):
            loop, after = True, after | flow(s.body, frozenset())[0] | uses(*header(s), *s.orelse).reads
        if isinstance(s, (ast.With, ast.Try)):
            rest = [n for field in ("handlers", "orelse", "finalbody") for n in getattr(s, field, ())]
            after = after | uses(*rest).reads
            shared = shared | after
        bound = () if isinstance(s, ast.Match) else uses(*header(s)).binds
        sure = at.sure.union(bound) - whole.deletes
        inner = Context(sure, at.before.union(whole.binds), after, loop, shared)
        return Opened(s, [(h, field, self._list(getattr(h, field), inner, pieces)) for h, field in bodies(s)])

    def _examine(self, statements: Sequence[ast.stmt], i: int, j: int, here: list[Context], cuts: set[int]) -> None:
        """Take out of the piece statements[i:j] what cannot be in it, or need not; or cut it in two."""
        group, at = statements[i:j], here[i]
        for s in (group[0], group[-1]):
            if self._idle(s):
                self.leave(s, "no tensor is computed")
                return
        whole, elsewhere = uses(*group), self.spelled - spelled(group)
        strange = {n for n in whole.deletes if at.loop or n in elsewhere}
        for n in self.deferred & whole.mentions:  # a function made somewhere sees each new value of it
            alone = n not in elsewhere and n not in self.parameters and not at.loop
            constant = self.binds[n] + (n in self.parameters) == 1 and not {n} & (self.rebound | self.looped)
            if not alone and not (constant and n in at.sure and n not in whole.binds):
                strange.add(n)
        for k, s in enumerate(group, i):
            one = uses(s)
            if one.declares or one.imports or one.jumps or one.mentions & strange:
                self.leave(s, "what it does to variables needs the function itself")
                return
            if one.makes and one.binds.keys() & here[j].after:
                self.leave(s, "it makes a function or class")
                return
            if "super" in one.calls and not self._has_self(at):
                self.leave(s, "super() needs the function itself")
                return
            if one.binds.keys() & at.shared and (k + 1 < j or not binds_at_once(s)):
                if binds_at_once(s):
                    cuts.add(k)
                    return
                self.leave(s, "an exception in the middle of it may be caught")
                return
        if self.lines.ran is not None and self._ran(group) and self._work(group) < LEAST:
            for s in group:
                self.leave(s, LITTLE)

    def _ran(self, statements: Sequence[ast.stmt]) -> bool:
        ran = self.lines.ran or ()
        return any(_covers(s, line) for s in statements for line in ran)

    def _work(self, statements: Sequence[ast.stmt]) -> int:
        work = self.lines.work.items()
        return sum(n for line, n in work if any(_covers(s, line) for s in statements))

    def _calls(self, s: ast.stmt) -> bool:
        """Whether functions of the program's that compute tensors ran under a statement."""
        under = {line for lines in self.lines.under.values() for line in lines}
        return any(_covers(s, line) for line in under) and self._work([s]) >= LEAST

    def _idle(self, s: ast.stmt) -> bool:
        if isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant):
            return True  # a docstring
        return isinstance(s, (ast.Pass, ast.Global, ast.Nonlocal)) or (self._ran([s]) and not self._work([s]))

    def _has_self(self, at: Context) -> bool:
        """Whether the function's first argument, which super() reads, is what it was."""
        first = self.code.co_varnames[:1]
        return bool(self.code.co_argcount) and not self.binds[first[0]] and first[0] in at.sure

    def _piece(self, statements: Sequence[ast.stmt], at: Context, behind: Context, name: str) -> Piece:
        whole = uses(*statements)
        exposed = flow(statements, frozenset())[0]
        gives = whole.binds.keys() & behind.after & self.locals
        takes = set(exposed)
        if "super" in whole.calls:
            takes.add(self.code.co_varnames[0])
        end = flow(statements, frozenset(takes) & at.sure)[1]
        if end is not None:
            takes |= gives - end
        takes &= at.before & self.locals
        order = tuple(sorted(takes, key=lambda n: (n not in self.code.co_varnames[:1], n)))
        sure = frozenset() if end is None else end | (takes & at.sure)
        returns = "no" if not whole.returns else "always" if end is None else "perhaps"
        given = () if end is None else tuple(sorted(gives))
        return Piece(
            tuple(statements), order, frozenset(order) - at.sure, given, frozenset(given) - sure, returns, name
        )

    # ---- code --------------------------------------------------------------------------------------------------------

    def function_of(self, items: list[Any], made: dict[str, Any], instead: Callable[[Any], Any]) -> FunctionType:
        """The function that calls the pieces. made: name of a piece -> what is called. instead: what is called for a function that
        a line of Python calls."""
        tree = copy.copy(self.tree)
        body = written(items, self._calls)
        tree.body = [*body, *placed(self.tree.body[-1], *declared(self.locals - self.parameters))]
        names = {**OWN, **made, INSTEAD: instead}
        return self._bound(
            self.compiled(tree, tuple(names)), names, self.function.__defaults__, self.function.__kwdefaults__
        )

    def piece_of(self, piece: Piece) -> FunctionType:
        """A piece as a function."""
        own = uses(*piece.statements).mentions & self.locals - set(piece.takes)
        body = [*inside(piece, self.tree), *placed(piece.statements[-1], *declared(own))]
        tree = ast.FunctionDef(self.code.co_name, arguments(piece.takes), body, [], None, None)
        tree.type_params = []  # type: ignore[attr-defined]  # from 3.12 on
        ast.fix_missing_locations(ast.copy_location(tree, piece.statements[0]))
        return self._bound(self.compiled(tree, tuple(OWN)), OWN, None, None)

    def compiled(self, tree: ast.FunctionDef, names: Sequence[str]) -> CodeType:
        """The code of a function written where this one is. names: more outer variables."""
        inner = copy.copy(tree)
        inner.name = _NAME  # its own name may be a global's, or an outer variable's
        around = ast.FunctionDef(_AROUND, arguments((*self.code.co_freevars, *names)), [inner], [], None, None)
        around.type_params = []  # type: ignore[attr-defined]  # from 3.12 on
        module = ast.Module([ast.fix_missing_locations(ast.copy_location(around, self.tree))], [])
        flags = self.code.co_flags & _FLAGS
        code = compile(module, self.code.co_filename, "exec", flags, dont_inherit=True)
        for name in (_AROUND, _NAME):
            code = next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)
        nested = self.code.co_flags & _NESTED
        return _renamed(code, code.co_qualname, self.code.co_qualname).replace(
            co_name=self.code.co_name, co_flags=code.co_flags & ~_NESTED | nested
        )

    def _bound(self, code: CodeType, names: dict[str, Any], defaults: Any, keywords: Any) -> FunctionType:
        """A function of this code, with the outer variables of this function: the very same cells."""
        own = self.function
        cells = dict(zip(self.code.co_freevars, own.__closure__ or (), strict=True))
        closure = tuple(cells[n] if n in cells else CellType(names[n]) for n in code.co_freevars)
        made = FunctionType(code, own.__globals__, own.__name__, defaults, closure)
        made.__kwdefaults__, made.__qualname__, made.__module__ = keywords, own.__qualname__, own.__module__
        return made


def _covers(s: ast.stmt, line: int) -> bool:
    return s.lineno <= line <= (s.end_lineno or 0)


def _groups(plain: Sequence[bool], cuts: set[int]) -> Iterator[tuple[int, int]]:
    """(first, end) of runs of statements that are not plain."""
    start = None
    for i, left in enumerate(plain):
        if left:
            if start is not None:
                yield start, i
            start = None
            continue
        if start is None:
            start = i
        if i in cuts:
            yield start, i + 1
            start = None
    if start is not None:
        yield start, len(plain)


def _count(code: CodeType) -> int:
    return code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4) + bool(code.co_flags & 8)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A file's code, and that of all functions in it."""
    stack = [code]
    while stack:
        yield (one := stack.pop())
        stack.extend(c for c in one.co_consts if isinstance(c, CodeType))


def _renamed(code: CodeType, old: str, new: str) -> CodeType:
    """A function's code, and that of the functions in it, under another name."""
    inner = tuple(_renamed(c, old, new) if isinstance(c, CodeType) else c for c in code.co_consts)
    return code.replace(co_qualname=new + code.co_qualname.removeprefix(old), co_consts=inner)


def _first(tree: ast.FunctionDef) -> int:
    return min(tree.lineno, *(d.lineno for d in tree.decorator_list), tree.lineno)
