"""Guards: what must be as it was for a recording to stand for running the program.

What the user's functions read (globals, outer variables, attributes of objects and modules, options of optimizers) is written down as
facts (facts.py); arguments are described by their kind, shape and strides. Here: all facts of a recording, found from what ran. Not here:
the memory of tensors, which is read anew at each call (replay.py).
"""

from __future__ import annotations

import builtins
import functools
import operator
import re
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import ReferenceType

import numpy as np

from lamina.compiler.capture.cells import Cells
from lamina.compiler.capture.facts import MISSING, PLAIN, Fact, Hooks, Members
from lamina.compiler.capture.kinds import (
    functions_in,
    goes_on,
    is_live_option,
    is_module,
    is_optimizer,
    is_users,
    library_names,
    slots,
    unwatched_names,
)
from lamina.compiler.capture.purity import Read, attribute_names, global_names, iterates, reading
from lamina.core.changes import changes
from lamina.core.explained import where
from lamina.core.tensor import LEAF, Tensor
from lamina.core.version import Place, is_own

_BY_NAME = frozenset(("getattr", "hasattr", "vars", "dir", "__dict__", "attrgetter", "__getattribute__"))
_ITERATING = frozenset(
    ("values", "items", "keys", "popitem", "iter", "list", "tuple", "next", "dict", "map", "zip", "enumerate", "join")
)
MANY = 256
"""A container with more elements than this is not compared at each call: code that reads it is not replayed."""
MANY_BYTES = 4096
"""The same of an array of numbers."""


class Facts:
    """All facts of a recording. `unsure`: something was read that cannot be compared; why."""

    def __init__(self, there: AbstractSet[int] = frozenset(), given: AbstractSet[int] = frozenset()) -> None:
        self._there, self._given = (
            there,
            given,
        )  # ids of tensors: those that were there before, and of these the arguments
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
        self._ran: frozenset[CodeType] = frozenset()
        self._iterates = True
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
        asked = {name for read in reads for name in global_names(read.code)} | names
        self._by_name = not asked.isdisjoint(_BY_NAME)
        self._iterates = not asked.isdisjoint(_ITERATING) or any(iterates(read.code) for read in reads)
        if self._by_name:  # which may stand there as texts
            names |= {c for read in reads for c in read.code.co_consts if isinstance(c, str) and c.isidentifier()}
        self._names = frozenset(names)
        self._ran = frozenset(read.code for read in reads)
        for label, value in roots:
            self._object(label, value)
        cells = Cells(reads, (value for _, value in roots))
        for read in reads:
            self._placed(None)
            for name in global_names(read.code):
                if name in read.globals:
                    self._item(read.globals, name, name)
                elif hasattr(builtins, name):
                    self._absent(read.globals, name, name)
                self._placed(reading(read.code, name))
            for name, value in read.closure.items():
                cell = cells.find(read.code, name, value)
                if cell is None and any(read.code in other.code.co_consts for other in reads):
                    self._object(name, value)  # a function made and forgotten in this run: the variable is its maker's
                elif cell is None:
                    self._doubt(name, f"the outer variable {name} could not be found again")
                else:
                    self.facts.append(Fact.variable(cell, name))
                    self._object(name, value)
                self._placed(reading(read.code, name))
            for value in read.arguments:
                if not goes_on(value):  # made in this run, else it is read elsewhere too
                    self._object(read.code.co_name, value)

    def of_tensors(self, tensors: Iterable[Tensor]) -> None:
        """Facts about tensors that calls got and that are no arguments: whether they are leaves that require grad, and their hooks."""
        for t in tensors:
            if id(t) in self._given:
                continue
            label = f"a tensor of shape {list(t._array.shape)}"
            if t._node is None or t._node is LEAF:
                self.facts.append(Fact.attribute(t, "_node", f"requires_grad of {label}"))
            if t._node is LEAF:
                self.module_facts.append(Members(Hooks(t), f"hooks of {label}"))

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

    def _item(self, holder: Mapping[Any, Any], key: Any, label: str, module: bool = False) -> None:
        value = holder[key]
        self._add(lambda: holder.get(key, MISSING), value, label, module, holder, key)
        self._object(label, value)

    def _absent(self, holder: Mapping[str, Any], key: str, label: str) -> None:
        """Nothing of this name: what it would hide is read."""
        self._add(lambda: holder.get(key, MISSING), MISSING, label, holder=holder, key=key)

    def _object(self, label: str, value: Any) -> None:
        """Facts about the inside of something that the code could reach."""
        cls = value.__class__
        if cls in PLAIN or isinstance(value, BuiltinFunctionType) or id(value) in self._seen:
            return
        if isinstance(value, Tensor):
            self._tensor(label, value)
            return
        self._seen.add(id(value))
        self._kept.append(value)
        if goes_on(value):
            self.iterator(label)
            return
        if isinstance(value, type):
            self._class(value)
        elif isinstance(value, (list, tuple, dict, set, frozenset, deque)):
            self._container(label, value)
            if hasattr(value, "__dict__"):
                self._attributes(label, value)
        elif isinstance(value, (np.ndarray, bytearray, array)):
            self._numbers(label, value)
        elif isinstance(value, ModuleType):
            if not is_own(getattr(value, "__file__", None) or "<frozen builtin>"):
                for name in self._names & value.__dict__.keys():
                    self._item(value.__dict__, name, f"{label}.{name}")
        elif isinstance(value, MethodType):
            self._object(label, value.__self__)
            self._function(label, value.__func__)
        elif isinstance(value, FunctionType):
            self._function(label, value)
        elif is_module(value):
            self._object(cls.__name__, cls)
            self._module(label, value)
        elif is_optimizer(value):
            self._optimizer(label, value)
        elif isinstance(value, functools.partial):
            for part in (value.func, value.args, value.keywords):
                self._object(label, part)
        elif isinstance(value, (ReferenceType, operator.attrgetter)):
            self._doubt(label, f"what {label} leads to cannot be told beforehand")
        elif hasattr(value, "__dict__"):
            self._attributes(label, value)
        else:
            self._object(cls.__name__, cls)
            for name in self._names & {n for k in cls.__mro__ for n in slots(k)}:
                found = getattr(value, name, MISSING)
                self._add(lambda v=value, n=name: getattr(v, n, MISSING), found, f"{label}.{name}")  # type: ignore[misc]
                self._object(f"{label}.{name}", found)

    def _attributes(self, label: str, value: Any) -> None:
        """What an object has itself, and what it does not have and its class has."""
        cls, state = value.__class__, value.__dict__
        self._object(cls.__name__, cls)
        names = self._names | unwatched_names(cls)
        for name in tuple(state) if self._by_name else names & state.keys():
            self._item(state, name, f"{label}.{name}")
        for name in self._names - state.keys():
            if self._by_name or hasattr(cls, name) or hasattr(cls, "__getattr__"):
                self._absent(state, name, f"{label}.{name}")

    def _tensor(self, label: str, t: Tensor) -> None:
        """What the program wrote on a tensor."""
        named = tuple(t.__dict__) if self._by_name else self._names & t.__dict__.keys()
        if not named or id(t) not in self._there:
            return
        if id(t) in self._given:
            self._doubt(label, f"it reads what the program wrote on a tensor that it gets: {', '.join(named)}")
        self._seen.add(id(t))
        for name in named:
            self._item(t.__dict__, name, f"{label}.{name}")

    def _numbers(self, label: str, value: Any) -> None:
        """An array that is no tensor: what is read of it is a constant of the recording."""
        now = np.asarray(value)
        if now.nbytes > MANY_BYTES or now.dtype.hasobject:
            self._doubt(label, f"{label} has {now.nbytes} bytes, too many to compare at each call")
        else:
            self._add(lambda: np.asarray(value).tobytes(), now.tobytes(), label)

    def _function(self, label: str, function: Any) -> None:
        """What a function that ran is made of, and what stands on it; what it reads is looked at where it ran."""
        for name in self._names & getattr(function, "__dict__", {}).keys():
            self._item(function.__dict__, name, f"{label}.{name}")
        if getattr(function, "__code__", None) in self._ran:
            names = [n for n in ("__defaults__", "__kwdefaults__") if getattr(function, n) is not None]
            self.facts.extend(Fact.attribute(function, name, f"{label}.{name}") for name in ("__code__", *names))

    def _class(self, cls: type) -> None:
        """What the program's own classes hold: attributes of such names as are read, methods that ran."""
        own = [k for k in cls.__mro__ if is_users(k)]
        for n, k in enumerate(own):
            for name, value in tuple(vars(k).items()):
                functions = functions_in(value)
                if name not in self._names and not any(f.__code__ in self._ran for f in functions):
                    continue
                for hidden in own[:n]:
                    self._absent(vars(hidden), name, f"{hidden.__name__}.{name}")
                self._item(vars(k), name, f"{k.__name__}.{name}")
                for f in functions:
                    self._object(f"{k.__name__}.{name}", f)

    def _container(self, label: str, value: Any) -> None:
        if len(value) > MANY:
            self._doubt(label, f"{label} has {len(value)} elements, too many to compare at each call")
            return
        if not isinstance(value, tuple):
            self._add(lambda: len(value), len(value), f"len({label})")
        if isinstance(value, dict):
            if len(value) > 1 and self._iterates:
                self.members.append(Members(value.keys(), f"the order of {label}"))
            for key in tuple(value):
                self._item(value, key, f"{label}[{key!r}]")
        elif isinstance(value, (set, frozenset)):
            if isinstance(value, set):
                self._add(lambda: frozenset(value) == copy, True, label)
                copy = frozenset(value)
        elif isinstance(value, (list, deque)) and not any(v.__class__ in PLAIN for v in value):
            self.members.append(Members(value, label))
            for n, element in enumerate(value):
                self._object(f"{label}[{n}]", element)
        else:
            for n, element in enumerate(value):
                if isinstance(value, (list, deque)):
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
                self.module_facts.append(Members(value, f"{label}.{name}"))
            elif name != "_non_persistent_buffers_set" and not self._unread(type(module), name, value):
                self._item(state, name, f"{label}.{name}", module=True)

    def _unread(self, cls: type, name: str, value: Any) -> bool:
        """Whether nothing that ran reads a plain attribute of a module: a counter may change."""
        return (
            value.__class__ in PLAIN
            and not self._by_name
            and name not in self._names
            and name not in library_names(cls)
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
        self.members.append(Members(states, f"{label}.state"))
        for state in tuple(states.values()):
            if isinstance(state, dict):
                self.members.append(Members(state, f"{label}.state[...]"))


def _called(label: str) -> set[str]:
    """What the program calls that which a fact is about: an attribute, or a variable."""
    words = re.findall(r"[^\W\d]\w*", label.removeprefix("len("))
    return {words[-1] if re.fullmatch(r".*\.\w+\)?", label) else words[0]} if words else set()


def _attribute(value: Any, name: str) -> Callable[[], Any]:
    return lambda: getattr(value, name, MISSING)


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:
        text = object.__repr__(value)
    text = " ".join(text.split())
    return text if len(text) < 70 else text[:67] + "..."
