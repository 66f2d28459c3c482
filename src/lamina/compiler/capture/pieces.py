"""Pieces of a function, and the statements that call them: what is written anew where a function is split.

Here: the form of a piece, its body, its call. Not here: which statements are in it, and code (stretches.py).
"""

from __future__ import annotations

import ast
import builtins
import copy
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from lamina.compiler.capture.statements import uses
from lamina.compiler.effects import UNBOUND

_UNBOUND, _RESULT, _ENDS, _NO_VALUE = "<unbound>", "<result>", "<ends>", "<UnboundLocalError>"
"""No name of a program's looks like these."""
INSTEAD = "<instead>"
"""What gives the function that is called in the place of one that the program names."""
OWN = {_UNBOUND: UNBOUND, _NO_VALUE: UnboundLocalError}


class Piece(NamedTuple):
    """Statements that run as one function. returns: "no", "always" (at its end, if not before), "perhaps"."""

    statements: tuple[ast.stmt, ...]
    takes: tuple[str, ...]
    unsure: frozenset[str]  # of these, those that may have no value
    gives: tuple[str, ...]
    lost: frozenset[str]  # of what it gives, what may have no value
    returns: str
    name: str

    def given(self, result: Any) -> dict[str, Any]:
        """What a run of it gave, by name; where it returned, nothing."""
        if self.returns == "always" or (self.returns == "perhaps" and result[0]):
            return {}
        values = result[1:] if self.returns == "perhaps" else (result,) if len(self.gives) == 1 else result or ()
        return dict(zip(self.gives, values, strict=True))

    def binding(self, names: Sequence[str]) -> list[int]:
        """The lines at which it binds these variables."""
        every = (n for s in self.statements for n in ast.walk(s) if isinstance(n, ast.Name))
        return [n.lineno for n in every if isinstance(n.ctx, ast.Store) and n.id in names]

    @property
    def lines(self) -> tuple[int, int]:
        return self.statements[0].lineno, self.statements[-1].end_lineno or 0


class Opened(NamedTuple):
    """A block that stays Python, and what becomes of its bodies: (see `statements.bodies`) and their items."""

    statement: ast.stmt
    bodies: list[tuple[Any, str, list[Any]]]

    def written(self, calls: Callable[[ast.stmt], bool]) -> ast.stmt:
        copies: dict[Any, Any] = {holder: copy.copy(holder) for holder, _, _ in self.bodies}
        made = copies.setdefault(self.statement, copy.copy(self.statement))
        for holder, field, items in self.bodies:
            setattr(copies[holder], field, list(written(items, calls)))
        for field in ("handlers", "cases"):
            if hasattr(made, field):
                setattr(made, field, [copies.get(holder, holder) for holder in getattr(made, field)])
        return made  # type: ignore[no-any-return]


def arguments(names: Sequence[str]) -> ast.arguments:
    """Plain parameters of these names."""
    return ast.arguments([], [ast.arg(n) for n in names], None, [], [], None, [])


def _load(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _store(name: str) -> ast.expr:
    return ast.Name(name, ast.Store())


def placed(place: ast.stmt, *statements: ast.stmt) -> Iterator[ast.stmt]:
    """Statements made here, at the line of one that was there."""
    for s in statements:
        for node in ast.walk(s):
            if "lineno" in node._attributes:
                ast.copy_location(node, place)
                node.end_lineno, node.end_col_offset = place.lineno, place.col_offset  # type: ignore[attr-defined]
        yield s


def _instead(name: str, source: str) -> ast.stmt:
    """name = source, or the mark for a variable without a value."""
    handler = ast.ExceptHandler(_load(_NO_VALUE), None, [ast.Assign([_store(name)], _load(_UNBOUND))])
    return ast.Try([ast.Assign([_store(name)], _load(source))], [handler], [], [])


def declared(names: AbstractSet[str]) -> Iterator[ast.stmt]:
    """What never runs, and makes the names local variables."""
    if names:
        yield ast.If(ast.Constant(False), [ast.Assign([_store(n)], ast.Constant(None)) for n in sorted(names)], [])


def _forget(name: str) -> ast.stmt:
    """if name is the mark: del name"""
    test = ast.Compare(_load(name), [ast.Is()], [_load(_UNBOUND)])
    return ast.If(test, [ast.Delete([ast.Name(name, ast.Del())])], [])


def written(items: Sequence[Any], calls: Callable[[ast.stmt], bool]) -> Iterator[ast.stmt]:
    """Items as statements that call the pieces. calls: whether a statement that stays Python calls what may be compiled by itself."""
    for item in items:
        if isinstance(item, Piece):
            yield from placed(item.statements[0], *_called(item))
        elif isinstance(item, Opened):
            yield item.written(calls)
        else:
            yield _Instead().visit(copy.deepcopy(item)) if calls(item) else item


class _Instead(ast.NodeTransformer):
    """`f(x)` becomes `instead(f)(x)`, where it is called here and now, and f is not one of Python's own functions."""

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if not (isinstance(node.func, ast.Name) and node.func.id in vars(builtins)):
            node.func = ast.copy_location(ast.Call(_load(INSTEAD), [node.func], []), node.func)
            ast.fix_missing_locations(node)
        return node

    def visit_Lambda(self, node: Any) -> Any:
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda


def _called(piece: Piece) -> Iterator[ast.stmt]:
    given = {n: f"<{n}>" if n in piece.unsure else n for n in piece.takes}
    for n in piece.takes:
        if n in piece.unsure:
            yield _instead(given[n], n)
    call = ast.Call(_load(piece.name), [_load(given[n]) for n in piece.takes], [])
    targets = [_store(n) for n in piece.gives]
    if piece.returns == "always":
        yield ast.Return(call)
        return
    if piece.returns == "perhaps":
        yield ast.Assign([_store(_RESULT)], call)
        first, second = (ast.Subscript(_load(_RESULT), ast.Constant(i), ast.Load()) for i in (0, 1))
        yield ast.If(first, [ast.Return(second)], [])
        yield ast.Assign([ast.Tuple([_store(_ENDS), *targets], ast.Store())], _load(_RESULT))
        yield ast.Assign([_store(_RESULT)], ast.Constant(None))
    elif not targets:
        yield ast.Expr(call)
    else:
        yield ast.Assign([targets[0] if len(targets) == 1 else ast.Tuple([*targets], ast.Store())], call)
    for n in given.values():
        if n.startswith("<"):
            yield ast.Assign([_store(n)], ast.Constant(None))  # it holds nothing longer than the program does
    for n in piece.gives:
        if n in piece.lost:
            yield _forget(n)


class _Returns(ast.NodeTransformer):
    """`return x` says that it is one."""

    def visit_Return(self, node: ast.Return) -> ast.Return:
        pair = ast.Tuple([ast.Constant(True), node.value or ast.Constant(None)], ast.Load())
        return ast.fix_missing_locations(ast.copy_location(ast.Return(ast.copy_location(pair, node)), node))

    def visit_FunctionDef(self, node: Any) -> Any:
        return node

    visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = visit_FunctionDef


def inside(piece: Piece, tree: ast.FunctionDef) -> Iterator[ast.stmt]:
    """The body of a piece's function."""
    first, last = piece.statements[0], piece.statements[-1]
    mentions = uses(*piece.statements).mentions
    for s in tree.body:
        if isinstance(s, (ast.Global, ast.Nonlocal)) and (names := [n for n in s.names if n in mentions]):
            yield from placed(first, type(s)(names))
    yield from placed(first, *(_forget(n) for n in piece.takes if n in piece.unsure))
    for s in piece.statements:
        yield _Returns().visit(copy.deepcopy(s)) if piece.returns == "perhaps" else s
    if piece.returns == "always":
        return
    yield from placed(last, *(_instead(n, n) for n in piece.gives if n in piece.lost))
    values = [_load(n) for n in piece.gives]
    if piece.returns == "perhaps":
        yield from placed(last, ast.Return(ast.Tuple([ast.Constant(False), *values], ast.Load())))
    elif values:
        yield from placed(last, ast.Return(values[0] if len(values) == 1 else ast.Tuple(values, ast.Load())))
