"""Guards: what must be as it was for a recording to stand for running the program.

What the user's functions read (globals, outer variables, attributes of objects and modules, options of optimizers) is written down as
facts; arguments are described by their kind, shape and strides. Here: facts, found from what ran, and their check. Not here:
the memory of tensors, which is read anew at each call (replay.py).
"""

from __future__ import annotations

import builtins
import gc
import re
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from lamina.compiler.capture.purity import Read, attribute_names, global_names, reading
from lamina.core.changes import changes
from lamina.core.explained import where
from lamina.core.tensor import Tensor
from lamina.core.version import Place, is_own

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "nothing"})()
_PLAIN = frozenset(
    (int, float, bool, str, bytes, complex, type(None), range, slice, type(Ellipsis), type(NotImplemented))
)
_BY_NAME = frozenset(("getattr", "hasattr", "vars", "dir", "__dict__", "attrgetter", "__getattribute__"))
MANY = 256
"""A container with more elements than this is not compared at each call: code that reads it is not replayed."""


class Fact:
    """`get()` must give what it gave: the same object, or an equal plain value."""

    __slots__ = ("expected", "get", "holder", "key", "label")

    def __init__(self, get: Callable[[], Any], expected: Any, label: str, holder: Any = None, key: Any = None) -> None:
        self.get, self.expected, self.label = get, expected, label
        self.holder, self.key = holder, key  # the dict that it is read from, if it is

    def holds(self) -> bool:
        now = self.get()
        if now is self.expected:
            return True
        cls = self.expected.__class__
        return (
            cls in _PLAIN
            and now.__class__ is cls
            and bool(now == self.expected or (now != now and self.expected != self.expected))
        )


class Members:
    """A container must hold the very objects that it held. `view`: a list, or a dict's values()."""

    __slots__ = ("expected", "ids", "label", "view")

    def __init__(self, view: Any, label: str) -> None:
        self.view, self.label = view, label
        self.expected = tuple(view)  # held, so that the identities stay theirs
        self.ids = [*map(id, view)]

    def get(self) -> Any:
        return tuple(self.view)

    def holds(self) -> bool:
        return [*map(id, self.view)] == self.ids


class Facts:
    """All facts of a recording. `unsure`: something was read that cannot be compared; why."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.members: list[Members] = []
        self.module_facts: list[Fact | Members] = []  # hold as long as no module's attribute is set
        self.seen = [-1]  # the count of changes at which module_facts were last known to hold
        self.unsure: str | None = None
        self.doubtful: set[str] = set()  # what the program calls that
        self.places: dict[int, Place | None] = {}  # id(a fact) -> where the program read what it is about
        self._known: dict[int, int] = {}  # how many of a list's facts have their place
        self._seen: set[int] = set()
        self._kept: list[Any] = []
        self._names: frozenset[str] = frozenset()
        self._by_name = True  # attributes are read whose names are not written in the code

    def holds(self) -> bool:
        """Whether all is as it was."""
        return all(fact.holds() for fact in self._all()) and self.modules_hold()

    def _all(self) -> list[Fact | Members]:
        return [*self.facts, *self.members]

    def modules_hold(self) -> bool:
        """Whether modules are as they were, asked only when some attribute of some module was set since."""
        if self.seen[0] != changes[0]:
            if not all(fact.holds() for fact in self.module_facts):
                return False
            self.seen[0] = changes[0]
        return True

    def broken(self) -> str | None:
        """What does not hold any more, in words; None when all does."""
        for fact in (*self._all(), *self.module_facts):
            if not fact.holds():
                place = self.places.get(id(fact))
                line = "" if place is None else f" ({where(place)})"
                return f"{fact.label} was {_short(fact.expected)} and is {_short(fact.get())}{line}"
        return None

    def changed_names(self) -> set[str]:
        """What the program calls that which does not hold any more: an attribute, or a variable."""
        return {n for fact in (*self._all(), *self.module_facts) if not fact.holds() for n in _called(fact.label)}

    # ---- finding them ------------------------------------------------------------------------------------------------

    def of_run(self, reads: Iterable[Read], roots: Iterable[tuple[str, Any]]) -> None:
        """Facts about all that these functions read, and about the objects `roots` (label, object)."""
        reads = list(reads)
        names: set[str] = set()
        for read in reads:
            names |= attribute_names(read.code)
        self._names = frozenset(names)
        asked = {name for read in reads for name in global_names(read.code)} | names
        self._by_name = not asked.isdisjoint(_BY_NAME)
        for label, value in roots:
            self._object(label, value)
        for read in reads:
            self._placed(None)
            for name in global_names(read.code):
                if name in read.globals:
                    self._item(read.globals, name, name)
                elif hasattr(builtins, name):
                    self._absent(read.globals, name, name)
                self._placed(reading(read.code, name))
            for name, value in read.closure.items():
                cell = _cell(read.code, name, value)
                if cell is None and any(read.code in other.code.co_consts for other in reads):
                    self._object(name, value)  # a function made and forgotten in this run: the variable is its maker's
                elif cell is None:
                    self._doubt(name, f"the outer variable {name} could not be found again")
                else:
                    self._add(lambda c=cell: c.cell_contents, value, name)  # type: ignore[misc]
                    self._object(name, value)
                self._placed(reading(read.code, name))
            for value in read.arguments:
                if not goes_on(value):  # made in this run, else it is read elsewhere too
                    self._object(read.code.co_name, value)

    def iterator(self, label: str) -> None:
        """The program reads an iterator that was there before: whether it took something from it cannot be seen."""
        self._doubt(label, f"{label} is an iterator, which goes on by itself")

    def _doubt(self, label: str, why: str) -> None:
        self.unsure = self.unsure or why
        self.doubtful |= _called(label)

    def _placed(self, place: Place | None) -> None:
        """The facts found since the last call of this are about what the program reads at `place`."""
        for found in (self.facts, self.members, self.module_facts):
            known = self._known.get(id(found), 0)
            for fact in found[known:]:
                self.places[id(fact)] = place
            self._known[id(found)] = len(found)

    def _add(
        self, get: Callable[[], Any], expected: Any, label: str, module: bool = False, holder: Any = None, key: Any = None
    ) -> None:  # fmt: skip
        (self.module_facts if module else self.facts).append(Fact(get, expected, label, holder, key))

    def _item(self, holder: dict[Any, Any], key: Any, label: str, module: bool = False) -> None:
        value = holder[key]
        self._add(lambda: holder.get(key, MISSING), value, label, module, holder, key)
        self._object(label, value)

    def _absent(self, holder: dict[str, Any], key: str, label: str) -> None:
        """Nothing of this name: what it would hide is read."""
        self._add(lambda: holder.get(key, MISSING), MISSING, label, holder=holder, key=key)

    def _object(self, label: str, value: Any) -> None:
        """Facts about the inside of something that the code could reach."""
        cls = value.__class__
        if cls in _PLAIN or isinstance(value, (Tensor, type, BuiltinFunctionType)) or id(value) in self._seen:
            return
        self._seen.add(id(value))
        self._kept.append(value)
        if goes_on(value):
            self.iterator(label)
            return
        if isinstance(value, (list, tuple, dict, set, frozenset)):
            self._container(label, value)
        elif isinstance(value, ModuleType):
            if not is_own(getattr(value, "__file__", None) or "<frozen builtin>"):
                for name in self._names & value.__dict__.keys():
                    self._item(value.__dict__, name, f"{label}.{name}")
        elif isinstance(value, MethodType):
            self._object(label, value.__self__)
        elif isinstance(value, FunctionType):
            return  # what it reads is looked at when it runs
        elif is_module(value):
            self._module(label, value)
        elif is_optimizer(value):
            self._optimizer(label, value)
        elif hasattr(value, "__dict__"):
            for name in self._names & value.__dict__.keys():
                self._item(value.__dict__, name, f"{label}.{name}")
            for name in self._names - value.__dict__.keys():
                self._absent(value.__dict__, name, f"{label}.{name}")
        else:
            for name in self._names & {n for k in cls.__mro__ for n in _slots(k)}:
                found = getattr(value, name, MISSING)
                self._add(lambda v=value, n=name: getattr(v, n, MISSING), found, f"{label}.{name}")  # type: ignore[misc]
                self._object(f"{label}.{name}", found)

    def _container(self, label: str, value: Any) -> None:
        if len(value) > MANY:
            self._doubt(label, f"{label} has {len(value)} elements, too many to compare at each call")
            return
        if not isinstance(value, tuple):
            self._add(lambda: len(value), len(value), f"len({label})")
        if isinstance(value, dict):
            for key in tuple(value):
                self._item(value, key, f"{label}[{key!r}]")
        elif isinstance(value, (set, frozenset)):
            if isinstance(value, set):
                self._add(lambda: frozenset(value) == copy, True, label)
                copy = frozenset(value)
        elif isinstance(value, list) and not any(v.__class__ in _PLAIN for v in value):
            self.members.append(Members(value, label))
            for n, element in enumerate(value):
                self._object(f"{label}[{n}]", element)
        else:
            for n, element in enumerate(value):
                if isinstance(value, list):
                    self._add(lambda n=n: value[n] if n < len(value) else MISSING, element, f"{label}[{n}]")  # type: ignore[misc]
                self._object(f"{label}[{n}]", element)

    def _module(self, label: str, module: Any) -> None:
        """A network: its own attributes, parameters, buffers, children and hooks."""
        state = module.__dict__
        self._add(lambda: len(state), len(state), label, module=True)
        for name, value in tuple(state.items()):
            if name in ("_parameters", "_buffers", "_modules"):
                self._add(lambda d=value: len(d), len(value), f"{label}.{name}", module=True)  # type: ignore[misc]
                for key in tuple(value):
                    self._item(value, key, f"{label}.{key}", module=True)
            elif name.endswith("_hooks") and isinstance(value, dict):
                self.module_facts.append(Members(value.values(), f"{label}.{name}"))
            elif name != "_non_persistent_buffers_set" and not self._unread(type(module), name, value):
                self._item(state, name, f"{label}.{name}", module=True)

    def _unread(self, cls: type, name: str, value: Any) -> bool:
        """Whether nothing that ran reads a plain attribute of a module: a counter may change."""
        return (
            value.__class__ in _PLAIN
            and not self._by_name
            and name not in self._names
            and name not in _library_names(cls)
        )

    def _optimizer(self, label: str, optimizer: Any) -> None:
        groups = optimizer.param_groups
        for name in ("param_groups", "state"):
            self._add(
                _attribute(optimizer, name),
                getattr(optimizer, name),
                f"{label}.{name}",
                False,
                optimizer.__dict__,
                name,
            )
        self.members.append(Members(groups, f"{label}.param_groups"))
        for n, group in enumerate(groups):
            self.members.append(Members(group["params"], f"{label}.param_groups[{n}]['params']"))
            for key, value in group.items():
                if key != "params" and not is_live_option(value):
                    self._item(group, key, f"{label}.param_groups[{n}][{key!r}]")
        states = optimizer.state
        self.members.append(Members(states.values(), f"{label}.state"))
        for state in tuple(states.values()):
            if isinstance(state, dict):
                self.members.append(Members(state.values(), f"{label}.state[...]"))


@lru_cache(512)
def _library_names(cls: type) -> frozenset[str]:
    """Names of attributes that the library's own code in a class reads."""
    found: set[str] = {"training"}
    for base in cls.__mro__:
        for value in vars(base).values():
            for f in (value, *(getattr(value, n, None) for n in ("fget", "__func__"))):
                if isinstance(f, FunctionType) and is_own(f.__code__.co_filename):
                    found |= attribute_names(f.__code__)
    return frozenset(found)


def _called(label: str) -> set[str]:
    """What the program calls that which a fact is about: an attribute, or a variable."""
    words = re.findall(r"[^\W\d]\w*", label.removeprefix("len("))
    return {words[-1] if re.fullmatch(r".*\.\w+\)?", label) else words[0]} if words else set()


def goes_on(value: Any) -> bool:
    """Whether it is an iterator."""
    return hasattr(value.__class__, "__next__")


def _attribute(value: Any, name: str) -> Callable[[], Any]:
    return lambda: getattr(value, name, MISSING)


def is_module(value: Any) -> bool:
    """Whether it is a network; without loading nn, where nobody has."""
    return _instance(value, "lamina.nn.modules.module", "Module")


def is_optimizer(value: Any) -> bool:
    """Whether it is an optimizer; without loading optim, where nobody has."""
    return _instance(value, "lamina.optim.optimizer", "Optimizer")


def _instance(value: Any, module: str, name: str) -> bool:
    cls = getattr(sys.modules.get(module), name, None)
    return cls is not None and isinstance(value, cls)


def is_live_option(value: Any) -> bool:
    """Whether an optimizer's option is a number that changes without a new recording."""
    if isinstance(value, tuple):
        return bool(value) and all(isinstance(v, float) for v in value)
    return isinstance(value, float)


def _slots(cls: type) -> tuple[str, ...]:
    found = cls.__dict__.get("__slots__", ())
    return (found,) if isinstance(found, str) else tuple(found)


def _cell(code: CodeType, name: str, value: Any) -> Any:
    """The cell of the outer variable `name` of a function with this code, which holds `value`."""
    at = code.co_freevars.index(name)
    for function in gc.get_referrers(code):
        if isinstance(function, FunctionType) and function.__code__ is code and function.__closure__ is not None:
            cell = function.__closure__[at]
            try:
                if cell.cell_contents is value:
                    return cell
            except ValueError:
                continue
    return None


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:
        text = object.__repr__(value)
    text = " ".join(text.split())
    return text if len(text) < 70 else text[:67] + "..."
