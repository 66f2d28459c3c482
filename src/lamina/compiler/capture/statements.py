"""Statements of a function: which local variables they read and bind, and which are surely bound behind them.

Here: this reading of the source. Not here: how a function is split by it (stretches.py).
"""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Function = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match)
"""Statements that can run as Python while runs of statements inside them are native."""
_CONSUMERS = frozenset(("sum", "any", "all", "max", "min", "list", "tuple", "set", "sorted", "dict"))
_LOOKS_AROUND = frozenset(("locals", "vars", "eval", "exec", "dir"))


class Uses(ast.NodeVisitor):
    """What some statements, of one function, do with names. deferred: names in functions made here, which may run later."""

    def __init__(self, nodes: Iterable[ast.AST]) -> None:
        self.reads: set[str] = set()
        self.binds: Counter[str] = Counter()
        self.deletes: set[str] = set()
        self.deferred: set[str] = set()
        self.rebound: set[str] = set()  # by functions made here
        self.calls: set[str] = set()  # functions called by name
        self.attributes: set[str] = set()
        self.returns = self.jumps = self.declares = self.imports = self.makes = False
        self._loops = 0
        for node in nodes:
            self.visit(node)

    @property
    def mentions(self) -> set[str]:
        return self.reads | self.binds.keys() | self.deletes | self.deferred | self.rebound

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.reads.add(node.id)
        elif isinstance(node.ctx, ast.Store):
            self.binds[node.id] += 1
        else:
            self.deletes.add(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.attributes.add(node.attr)
        self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.reads.add(node.target.id)
        self.generic_visit(node)

    def visit_alias(self, node: ast.alias) -> None:
        self.imports = True
        self.binds[node.asname or node.name.partition(".")[0]] += 1

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name):
            self.calls.add(node.func.id)
            if node.func.id in _CONSUMERS and len(node.args) == 1 and isinstance(node.args[0], ast.GeneratorExp):
                self.visit(node.func)
                self._comprehension(node.args[0])
                for keyword in node.keywords:
                    self.visit(keyword)
                return
        self.generic_visit(node)

    # ---- other scopes ------------------------------------------------------------------------------------------------

    def _comprehension(self, node: Any) -> None:
        """Runs here and now."""
        self.visit(node.generators[0].iter)
        inner = Uses(ast.iter_child_nodes(node))
        own = set(Uses(g.target for g in node.generators).binds)
        self.reads |= inner.reads - own
        self.binds.update(n for n in inner.binds if n not in own)  # by `:=`
        self.deferred |= inner.deferred - own
        self.calls |= inner.calls
        self.attributes |= inner.attributes

    visit_ListComp = visit_SetComp = visit_DictComp = _comprehension

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node)
        inner = Uses(ast.iter_child_nodes(node))
        self.deferred |= inner.mentions - set(Uses(g.target for g in node.generators).binds)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function(node.args, [node.body])

    def visit_FunctionDef(self, node: Function) -> None:
        self.makes = True
        self.binds[node.name] += 1
        for outside in (*node.decorator_list, *([node.returns] if node.returns else [])):
            self.visit(outside)
        self._function(node.args, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.makes = True
        self.binds[node.name] += 1
        inner = Uses(ast.iter_child_nodes(node))
        self.reads |= inner.reads
        self.deferred |= inner.mentions
        self.rebound |= inner.rebound

    def _function(self, args: ast.arguments, body: Sequence[ast.AST]) -> None:
        every = [*args.posonlyargs, *args.args, *args.kwonlyargs, *(a for a in (args.vararg, args.kwarg) if a)]
        for outside in (
            *args.defaults,
            *(d for d in args.kw_defaults if d),
            *(a.annotation for a in every if a.annotation),
        ):
            self.visit(outside)
        inner = Uses(body)
        outer = {n for node in body for d in ast.walk(node) if isinstance(d, ast.Nonlocal) for n in d.names}
        own = {a.arg for a in every} | (inner.binds.keys() - outer)
        free = inner.mentions - own
        self.reads |= free
        self.deferred |= free
        self.rebound |= outer
        self.calls |= inner.calls & {"super"}
        self.attributes |= inner.attributes

    # ---- statements --------------------------------------------------------------------------------------------------

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.binds[node.name] += 1
            self.deletes.add(node.name)
        self.generic_visit(node)

    def visit_MatchAs(self, node: Any) -> None:
        name = getattr(node, "rest", None) if isinstance(node, ast.MatchMapping) else node.name
        if name:
            self.binds[name] += 1
        self.generic_visit(node)

    visit_MatchStar = visit_MatchMapping = visit_MatchAs

    def visit_Global(self, node: Any) -> None:
        self.declares = True

    visit_Nonlocal = visit_TypeAlias = visit_Global

    def visit_Return(self, node: ast.Return) -> None:
        self.returns = True
        self.generic_visit(node)

    def visit_For(self, node: Any) -> None:
        for field in ("target", "iter", "test"):
            if hasattr(node, field):
                self.visit(getattr(node, field))
        self._loops += 1
        for s in node.body:
            self.visit(s)
        self._loops -= 1
        for s in node.orelse:
            self.visit(s)

    visit_While = visit_For

    def visit_Break(self, node: ast.AST) -> None:
        self.jumps |= not self._loops

    visit_Continue = visit_Break


def uses(*nodes: ast.AST) -> Uses:
    return Uses(nodes)


def header(statement: ast.stmt) -> list[ast.AST]:
    """What a block computes itself, outside of its bodies."""
    match statement:
        case ast.If() | ast.While():
            return [statement.test]
        case ast.For():
            return [statement.iter, statement.target]
        case ast.With():
            return [*statement.items]
        case ast.Match():
            return [
                statement.subject,
                *(part for case in statement.cases for part in (case.pattern, case.guard) if part),
            ]
    return []


def bodies(statement: ast.stmt) -> Iterator[tuple[Any, str]]:
    """Where the bodies of a block stand: (the block, or a handler or case of it; the field)."""
    holders = [statement, *getattr(statement, "handlers", ()), *getattr(statement, "cases", ())]
    for holder in holders:
        yield from ((holder, field) for field in ("body", "orelse", "finalbody") if getattr(holder, field, None))


def flow(statements: Sequence[ast.stmt], sure: frozenset[str]) -> tuple[set[str], frozenset[str] | None]:
    """(names that may be read before they are surely bound, names surely bound at the end; None: the end is not reached).

    sure: names surely bound at the beginning. What is not sure here need not be unbound.
    """
    exposed: set[str] = set()
    now: frozenset[str] | None = sure
    for s in statements:
        if now is None:
            break
        found, now = _through(s, now)
        exposed |= found
    return exposed, now


def _through(s: ast.stmt, sure: frozenset[str]) -> tuple[set[str], frozenset[str] | None]:
    if isinstance(s, ast.If):
        exposed = uses(s.test).reads - sure
        one, two = flow(s.body, sure), flow(s.orelse, sure)
        ends = [end for _, end in (one, two) if end is not None]
        return exposed | one[0] | two[0], frozenset.intersection(*ends) if ends else None
    if isinstance(s, (ast.For, ast.While)):
        exposed = uses(*header(s)).reads - sure
        bound = frozenset(_targets([s.target])) if not isinstance(s, ast.While) else frozenset()
        exposed |= flow(s.body, sure | bound)[0] | flow(s.orelse, sure)[0]
        return exposed, sure - uses(s).deletes
    if isinstance(s, ast.With):
        exposed = uses(*s.items).reads - sure
        bound = frozenset(_targets([i.optional_vars for i in s.items if i.optional_vars]))
        exposed |= flow(s.body, sure | bound)[0]
        return exposed, sure - uses(s).deletes  # the manager may have caught an exception
    if isinstance(s, ast.Match):
        exposed = uses(s.subject).reads - sure
        for case in s.cases:
            exposed |= uses(case.pattern, *([case.guard] if case.guard else [])).reads - sure
            exposed |= flow(case.body, sure)[0]
        return exposed, sure - uses(s).deletes
    if isinstance(s, (ast.Try, ast.TryStar)):
        exposed = {n for part in (s.body, s.orelse, s.finalbody) for n in flow(part, sure)[0]}
        for h in s.handlers:
            exposed |= uses(h.type).reads - sure if h.type else set()
            exposed |= flow(h.body, sure | frozenset([h.name] if h.name else []))[0]
        return exposed, sure - uses(s).deletes
    found = uses(s)
    exposed = found.reads - sure
    if isinstance(s, (ast.Return, ast.Raise, ast.Break, ast.Continue)):
        return exposed, None
    return exposed, (sure | frozenset(_definite(s))) - found.deletes


def _definite(s: ast.stmt) -> Iterator[str]:
    """Names that a simple statement binds whenever it ends."""
    match s:
        case ast.Assign():
            yield from _targets(s.targets)
        case ast.AugAssign():
            yield from _targets([s.target])
        case ast.AnnAssign() if s.value is not None:
            yield from _targets([s.target])
        case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield from uses(s).binds


def _targets(nodes: Iterable[ast.AST]) -> set[str]:
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def binds_at_once(s: ast.stmt) -> bool:
    """Whether a statement binds its names as the last thing it does, all of them: an exception leaves them as they were."""
    if not isinstance(s, ast.Assign) or any(isinstance(n, ast.NamedExpr) for n in ast.walk(s)) or len(s.targets) > 1:
        return False
    target = s.targets[0]
    return all(
        isinstance(t, ast.Name) for t in (target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target])
    )


def stored(s: ast.Assign, name: str) -> list[ast.stmt]:
    """An assignment to one target by way of a variable: `v = value`, and `target, v = v, None`."""
    value = ast.Assign([ast.Name(name, ast.Store())], s.value)
    both = ast.Tuple([s.targets[0], ast.Name(name, ast.Store())], ast.Store())
    store = ast.Assign([both], ast.Tuple([ast.Name(name, ast.Load()), ast.Constant(None)], ast.Load()))
    return [ast.fix_missing_locations(ast.copy_location(part, s)) for part in (value, store)]


def spelled(statements: Iterable[ast.AST]) -> Counter[str]:
    """How often each name stands there."""
    found: Counter[str] = Counter()
    for s in statements:
        for node in ast.walk(s):
            for field in ("id", "name", "asname", "rest", "arg", "attr"):
                name = getattr(node, field, None)
                if isinstance(name, str):
                    found[name.partition(".")[0]] += 1
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                found.update(node.names)
    return found


def in_loops(statements: Sequence[ast.stmt]) -> set[str]:
    """Names that are bound in a loop."""
    loops = (n for s in statements for n in ast.walk(s) if isinstance(n, (ast.For, ast.While)))
    return {name for loop in loops for name in uses(loop).binds}


def looks_around(function: Function, names: Mapping[str, Any]) -> bool:
    """Whether a function may look at its own frame, or has names that another place would change."""
    called = uses(*function.body).calls
    own = {n for n in called & (_LOOKS_AROUND | _CONSUMERS) if names.get(n, vars(builtins)[n]) is vars(builtins)[n]}
    if own & _LOOKS_AROUND or called & _CONSUMERS - own:
        return True
    if any(n.startswith("__") and not n.endswith("__") for n in spelled(function.body)):
        return True  # in a class they are others
    return any(isinstance(d, (ast.Global, ast.Nonlocal)) for s in function.body for d in _inside(s))


def _inside(s: ast.stmt) -> Iterator[ast.AST]:
    """What stands inside a block of this function."""
    if not isinstance(s, (ast.Global, ast.Nonlocal, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        stack: list[ast.AST] = [s]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(
                c
                for c in ast.iter_child_nodes(node)
                if not isinstance(c, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            )
