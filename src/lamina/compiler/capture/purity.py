"""What Python ran during a recording, and whether running it again could be left out.

A profile hook sees every call. Frames of lamina's own files are the library, whose effects are reported to the recorder; all others
are looked at: their bytecode may read anything (what it reads becomes guards) and store into locals and into tensors; whatever
else it does (print, append to a list that was there before, `self.count += 1`, time, files) makes the code "unclean", and the line is
kept for `explain`. Here: this verdict, and what was read. Not here: how reads become guards (guards.py).
"""

from __future__ import annotations

import builtins
import dis
import functools
import gc
import math
import operator
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from threading import get_ident
from types import BuiltinFunctionType, CodeType, FrameType, MethodDescriptorType, MethodWrapperType
from typing import Any, ParamSpec, TypeVar

from lamina.compiler.capture.lines import Lines
from lamina.core.strokes import attributes
from lamina.core.version import OWN_FILES, Place, is_own

P = ParamSpec("P")
R = TypeVar("R")

_SITE = ("/site-packages/", "/dist-packages/")
_BELOW = tuple(f"-packages/{name}/" for name in ("numpy", "scipy", "ml_dtypes", "llvmlite", "safetensors"))
_TENSORS = ("/autograd/tensor_api.py", "/primitives/indexing.py", "/core/tensor.py")
"""Where the setters of a tensor's attributes and elements are: a store that comes there is one into a tensor."""
_STORES = {"STORE_ATTR": "sets the attribute", "STORE_SUBSCR": "stores into a container", "DELETE_ATTR": "deletes the attribute",
           "DELETE_SUBSCR": "deletes from a container"}  # fmt: skip
_NAMES = {"STORE_GLOBAL": "sets the global", "DELETE_GLOBAL": "deletes the global"}
_PURE = frozenset(
    getattr(builtins, name)
    for name in (
        "abs all any bool callable chr complex dict divmod enumerate filter float format frozenset getattr hasattr hash id int isinstance "
        "issubclass iter len list map max min next ord pow range repr reversed round set slice sorted str sum super tuple type zip "
        "object bytes property staticmethod classmethod __build_class__"
    ).split()
)
_PURE_MODULES = frozenset(("math", "cmath", "operator", "_operator", "itertools", "_functools", "functools", "_collections", "_abc", "_struct",
                           "typing", "_typing", "copy", "_weakref", "_thread"))  # fmt: skip
_MUTATING = frozenset((
    "append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse", "update", "setdefault", "popitem", "add", "discard",
    "difference_update", "intersection_update", "symmetric_difference_update", "appendleft", "extendleft", "popleft", "rotate", "__setitem__",
    "__delitem__", "__setattr__", "__delattr__", "__iadd__", "__ior__", "__iand__", "write", "writelines", "send", "put", "put_nowait",
))  # fmt: skip
UNWATCHED = ("/contextlib.py", "/functools.py", "/enum.py", "/typing.py", "/abc.py", "/collections/__init__.py", "/types.py",
             "/copy.py", "/dataclasses.py", "/inspect.py", "<frozen abc>", "/_weakrefset.py", "/weakref.py", "/operator.py",
             "/numbers.py", "/warnings.py")  # fmt: skip
"""Files of the standard library whose code is not looked at where the program calls it."""


_LOOKS_BACK = frozenset(("_getframe", "currentframe", "inspect", "traceback", "stacklevel"))
_QUIET = sys.version_info < (3, 12)
"""Whether the profile hook is taken out while the library runs: later versions pay more for that than for calling it."""
CONTAINERS = (list, dict, set)


class Read:
    """A user's function that ran: what its globals and free variables were, and the objects given to it."""

    __slots__ = ("arguments", "closure", "code", "globals")

    def __init__(self, code: CodeType, frame: FrameType) -> None:
        self.code, self.globals = code, frame.f_globals
        here = frame.f_locals
        self.closure = {name: here[name] for name in code.co_freevars if name in here}
        count = code.co_argcount + code.co_kwonlyargcount
        count += bool(code.co_flags & 4) + bool(code.co_flags & 8)
        self.arguments = [here[name] for name in code.co_varnames[:count] if name in here]


class Watch:
    """A context manager that looks at all Python that runs inside. `unclean`: (what, place) of the first effect, or None."""

    now: Watch | None = None  # the one that watches; there is never a second

    def __init__(self, containers: set[int], lines: Lines) -> None:
        self.thread = get_ident()
        self.containers = containers  # ids of those that were there before
        self.under = lines
        self.unclean: tuple[str, Place | None] | None = None
        self.reads: dict[tuple[CodeType, int], Read] = {}
        self.stored: set[tuple[CodeType, int]] = set()  # instructions at which the library was called
        self.codes: dict[CodeType, None] = {}
        self.lines: set[tuple[CodeType, int]] | None = None  # that ran, where that is known

    def undoing(self) -> Iterator[Any]:
        """What puts all back as it is now, for `strokes.carry_out`: for a run that is interrupted amid the beginning or the end."""
        traces = (None,) if sys.gettrace() is None else ()
        collects = (gc.enable,) if gc.isenabled() else ()
        return chain(
            map(sys.setprofile, (sys.getprofile(),)),
            map(sys.settrace, traces),
            map(operator.call, collects),
            attributes((Watch,), "now", (Watch.now,)),
        )

    def __enter__(self) -> Watch:
        self._before, self._collects = sys.getprofile(), gc.isenabled()
        gc.disable()  # its callbacks would be taken for the program's
        if sys.gettrace() is None:  # a debugger, or a measure of coverage, keeps its place: then all lines count as run
            self.lines, self.under.ran = set(), set()
            sys.settrace(self._entered)
        Watch.now = self
        self.under.begin()
        sys.setprofile(self._event)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(self._before)
        Watch.now = None
        if self.lines is not None:
            sys.settrace(None)
        if self._collects:
            gc.enable()
        self.under.end()
        for code in self.codes:
            for what, place in self._effects(code):
                self.blame(what, place, later=True)

    def blame(self, what: str, place: Place, later: bool = False) -> None:
        """`what` is an effect. later: it is not only just happening."""
        if later:
            self.under.trouble_at(f"it {what}", place)
        else:
            self.under.trouble(f"it {what}")
        if self.unclean is None:
            self.unclean = (what, place)

    def _entered(self, frame: FrameType, event: str, arg: Any) -> Any:
        """A frame begins: of those that are looked at, each line is noted; in the library only what it calls outside is of interest."""
        back = frame.f_back
        within = back is not None and _library(back.f_code.co_filename)
        if not _library(frame.f_code.co_filename):
            if within and _QUIET:
                sys.setprofile(self._event)
            return self._line
        if within or not _QUIET:
            return None
        self._event(frame, "call", arg)
        sys.setprofile(None)
        frame.f_trace_lines = False
        return self._left

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line" and self.lines is not None:
            self.lines.add((frame.f_code, frame.f_lineno))
        elif event == "return" and _QUIET and frame.f_back is not None and _library(frame.f_back.f_code.co_filename):
            self._event(frame, "return", arg)
            sys.setprofile(None)
        if frame.f_code is self.under.root:
            self.under.step(frame.f_lineno)
        return self._line

    def _left(self, frame: FrameType, event: str, arg: Any) -> Any:
        """The library returns to what is looked at."""
        if event == "return":
            sys.setprofile(self._event)
        return self._left

    def _event(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "call":
            code = frame.f_code
            back = frame.f_back
            if _library(code.co_filename):
                if back is not None and code.co_filename.endswith(_TENSORS) and not _library(back.f_code.co_filename):
                    self.stored.add((back.f_code, back.f_lasti))
                return
            if back is not None and not self._reached(code, back, frame):
                return
            self.codes[code] = None
            self.under.called(code)
            closure = id(frame.f_locals.get(code.co_freevars[0])) if code.co_freevars else 0
            first = id(frame.f_locals.get(code.co_varnames[0])) if code.co_argcount else 0
            if (code, closure ^ first) not in self.reads:
                self.reads[code, closure ^ first] = Read(code, frame)
        elif event == "c_call":
            code = frame.f_code
            if code in self.codes:
                self._called(arg, (code, frame.f_lasti))
        elif event == "return":
            code, back = frame.f_code, frame.f_back
            if code is self.under.root:
                self.under.last = frame.f_lineno
            if self.lines is None and back is not None and back.f_code is self.under.root:
                self.under.returned(back.f_lineno)
            if code in self.codes:
                self._changed(code, frame)

    def _reached(self, code: CodeType, back: FrameType, frame: FrameType) -> bool:
        """Whether a frame counts: what lamina calls in the packages it stands on, and all that they call, is its own affair."""
        if code.co_filename == "<string>":  # `python -c`; or text that the standard library made and executes
            return frame.f_globals.get("__name__") == "__main__" or back.f_code in self.codes
        if not is_own(code.co_filename):
            return True
        if code.co_filename.startswith("<frozen importlib"):
            return False  # what is imported once more is imported already
        if _library(back.f_code.co_filename):
            return any(part in code.co_filename for part in _SITE) and not any(
                part in code.co_filename for part in _BELOW
            )
        return back.f_code in self.codes and not code.co_filename.endswith((*UNWATCHED, "<string>"))

    def _called(self, function: Any, place: Place) -> None:
        """A C function was called by code that is looked at."""
        name = getattr(function, "__name__", repr(function))
        owner = getattr(function, "__self__", None)
        if isinstance(function, type):
            return
        try:
            if function in _PURE:
                return
        except TypeError:
            pass
        if isinstance(function, (BuiltinFunctionType, MethodDescriptorType, MethodWrapperType)):
            module = getattr(function, "__module__", None)
            if module in _PURE_MODULES and name not in ("setattr", "delattr"):
                return
            if owner is not None and not isinstance(owner, type(math)):
                if name in _MUTATING:
                    if self.old(owner) or not isinstance(owner, CONTAINERS):
                        self.blame(f"calls {type(owner).__name__}.{name}() on an object that was there before", place)
                    return
                if isinstance(
                    owner, (str, bytes, int, float, complex, tuple, list, dict, set, frozenset, range, slice, type)
                ):
                    return
                if name in (
                    "__init__",
                    "__new__",
                    "__enter__",
                    "__exit__",
                    "__get__",
                    "__getitem__",
                    "__contains__",
                    "__init_subclass__",
                ):
                    return
            if owner is None and module is None:
                return  # a method of a type
            if module == "builtins" and name in (
                "setattr",
                "delattr",
                "print",
                "input",
                "open",
                "exec",
                "eval",
                "vars",
                "locals",
                "globals",
            ):
                self.blame(f"calls {name}()", place)
                return
        self.blame(
            f"calls {getattr(function, '__module__', None) or type(owner).__name__}.{name}(), whose effects are not known",
            place,
        )

    def old(self, container: Any) -> bool:
        """Whether it was there before. Of a dict of plain values alone the collector does not know: then whether others hold it."""
        if gc.is_tracked(container):
            return id(container) in self.containers
        return any(not isinstance(r, (FrameType, BuiltinFunctionType)) for r in gc.get_referrers(container))

    def _changed(self, code: CodeType, frame: FrameType) -> None:
        """`x += ...` on a list that was there before changes it, and no call tells."""
        for offset, name in _augmented(code):
            value = frame.f_locals.get(name)
            if isinstance(value, CONTAINERS) and self.old(value):
                self.blame(
                    f"changes {name}, a {type(value).__name__} that was there before", (code, offset), later=True
                )

    def _effects(self, code: CodeType) -> Iterator[tuple[str, Place]]:
        """The stores of `code` that are neither into a local nor into a tensor."""
        for offset, op, name in _stores(code):
            if (code, offset) in self.stored or (
                self.lines is not None and (code, _line_of(code, offset)) not in self.lines
            ):
                continue
            yield f"{op} {name}".rstrip(), (code, offset)


def unwatched(method: Callable[P, R]) -> Callable[P, R]:
    """A method of the listener's, which calls no code of the program: a watch costs more than such calls themselves."""

    @functools.wraps(method)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        watch = Watch.now
        if watch is None or watch.thread != get_ident():
            return method(*args, **kwargs)
        profile = sys.getprofile()
        sys.setprofile(None)
        if watch.lines is not None:
            sys.settrace(None)
        try:
            return method(*args, **kwargs)
        finally:
            if watch.lines is not None:
                sys.settrace(watch._entered)
            sys.setprofile(profile)

    return called


def _library(file: str) -> bool:
    own = OWN_FILES.get(file)
    return (is_own(file) if own is None else own) in (1, 3)


@functools.lru_cache(4096)
def _stores(code: CodeType) -> tuple[tuple[int, str, str], ...]:
    """(offset, what, name) of instructions that store elsewhere than into the function's own variables."""
    found = []
    for i in dis.get_instructions(code):
        if i.opname in _STORES:
            found.append((i.offset, _STORES[i.opname], str(i.argval) if "ATTR" in i.opname else ""))
        elif i.opname in _NAMES:
            found.append((i.offset, _NAMES[i.opname], str(i.argval)))
        elif i.opname in ("STORE_DEREF", "DELETE_DEREF") and i.argval in code.co_freevars:
            found.append((i.offset, "sets the outer variable", str(i.argval)))
        elif i.opname == "STORE_NAME":
            found.append((i.offset, "sets the global", str(i.argval)))
    return tuple(found)


def _line_of(code: CodeType, offset: int) -> int:
    """The line that a `line` event would tell for an instruction."""
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return line
    return code.co_firstlineno


@functools.lru_cache(4096)
def _augmented(code: CodeType) -> tuple[tuple[int, str], ...]:
    """(offset, variable) of augmented assignments to local variables."""
    found, last = [], None
    for i in dis.get_instructions(code):
        if (
            i.opname in ("STORE_FAST", "STORE_DEREF")
            and last is not None
            and last.opname == "BINARY_OP"
            and last.argrepr.endswith("=")
        ):
            found.append((last.offset, str(i.argval)))
        last = i
    return tuple(found)


@functools.lru_cache(4096)
def iterates(code: CodeType) -> bool:
    """Whether a function goes through things itself."""
    return any(i.opname in ("GET_ITER", "DICT_MERGE", "DICT_UPDATE", "LIST_EXTEND") for i in dis.get_instructions(code))


@functools.lru_cache(4096)
def global_names(code: CodeType) -> tuple[str, ...]:
    """Names that `code`, with the functions written inside it, reads as globals."""
    names = {str(i.argval) for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return tuple(sorted(names))


def reading(code: CodeType, name: str) -> Place | None:
    """Where `code` first reads the global or outer variable `name`."""
    at = (i.offset for i in dis.get_instructions(code) if i.argval == name and i.opname.startswith("LOAD_"))
    offset = next(at, None)
    return None if offset is None else (code, offset)


@functools.lru_cache(4096)
def attribute_names(code: CodeType) -> frozenset[str]:
    """Names that `code` reads as attributes."""
    return frozenset(
        str(i.argval) for i in dis.get_instructions(code) if i.opname in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR")
    )


@functools.lru_cache(4096)
def looks_back(code: CodeType) -> bool:
    """Whether a function looks at who called it."""
    named = {*code.co_names, *(n for c in code.co_consts if isinstance(c, tuple) for n in c)}
    return not named.isdisjoint(_LOOKS_BACK) or any(looks_back(c) for c in code.co_consts if isinstance(c, CodeType))


_PURE |= frozenset((math.sqrt, operator.add))
