"""Errors that tell the user's lines: PyTorch's sentence, then where in the program it came about, then what to write instead.

`str(error)` is PyTorch's text; the rest are the exception's notes, which a traceback shows below it. Exceptions hold fields; text is
made when it is printed. Here: the base class, places as text, and the errors of shapes and indices that this room raises. Not here:
autograd's errors (autograd/errors.py).
"""

from __future__ import annotations

import builtins
from typing import Any, TypeVar

from lamina.core.version import Place, line_of, users_place

MODULES = "_lamina_modules"
"""Where nn.Module leaves the modules that an exception has passed: (class name, name in the module around it), innermost first."""
DIRECT = "_lamina_direct"
"""And whether the user's line called the innermost of them itself, so that the line's operands are that module's; None where the
module's own code is the user's, or a hook is, and that failed."""


Raised = TypeVar("Raised", bound=BaseException)


def where(place: Place | None) -> str:
    """`file:line  source` of a place; empty where nothing is known. A cell of a notebook has no file name worth telling."""
    if place is None:
        return ""
    return _shown(*line_of(place))


def where_defined(function: Any) -> str:
    """`file:line  source` of a function's `def`, behind its decorators; empty for what is not written in Python."""
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    import linecache  # only for messages

    for line in range(code.co_firstlineno, code.co_firstlineno + 20):
        text = linecache.getline(code.co_filename, line).strip()
        if not text.startswith("@"):
            break
    return _shown(code.co_filename, line, text)


def _shown(file: str, line: int, text: str) -> str:
    name = file.replace("\\", "/").rsplit("/", 1)[-1]
    if "/ipykernel_" in file or name.startswith("<ipython-input"):
        name = "cell"
    return f"{name}:{line}" + (f"  {text if len(text) <= 90 else text[:87] + '...'}" if text else "")


def write_name(operation: str, place: Place | None) -> str:
    """What wrote to a tensor: PyTorch's name of it, or how the program says it."""
    if operation in ("copy_", "index_put_", "fill_") and place is not None:
        text = line_of(place)[2]
        if text and operation not in text:
            return "x[...] = value"
    return operation


def operands(place: Place | None, count: int) -> list[str]:
    """How the program spells the first `count` operands of the operator or call at a place; empty where there is no source."""
    import ast  # only for messages

    if place is None:
        return []
    code, offset = place
    line, last, start, end = list(code.co_positions())[offset // 2]
    if line is None or last is None or start is None or end is None:
        return []
    import linecache  # only for messages

    lines = [linecache.getline(code.co_filename, n).encode() for n in range(line, last + 1)]
    if not all(lines):
        return []
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][start:]
    try:
        statement = ast.parse(b"".join(lines).decode().strip()).body[0]
    except (SyntaxError, IndexError, UnicodeDecodeError):
        return []
    found: list[ast.expr] = []
    if isinstance(statement, ast.AugAssign):
        found = [statement.target, statement.value]
    elif isinstance(statement, ast.Expr):
        e = statement.value
        if isinstance(e, ast.BinOp):
            found = [e.left, e.right]
        elif isinstance(e, ast.Compare):
            found = [e.left, *e.comparators]
        elif isinstance(e, ast.Subscript):
            found = [e.value, e.slice]
        elif isinstance(e, ast.Call):
            found = list(e.args)
            if len(found) < count and isinstance(e.func, ast.Attribute):
                found = [e.func.value, *found]
    texts = [ast.unparse(e) for e in found[:count]]
    return texts if len(texts) == count and all(len(t) <= 40 for t in texts) else []


def row(word: str, text: str) -> str:
    """One line of a story, as a note shows it."""
    return f"  {word:9} {text}"


def noted(error: Raised, *rows: tuple[str, str]) -> Raised:
    """`error`, PyTorch's own type and text, with rows of a story below it."""
    for word, text in rows:
        if text:
            error.add_note(row(word, text))
    return error


class Explained(Exception):
    """An exception whose text is made when it is printed; it pickles as that text. Mixed with the type that PyTorch raises."""

    def __init_subclass__(cls) -> None:
        # what a traceback shows, and what programs print, is PyTorch's type
        cls.__name__ = cls.__qualname__ = next(b for b in cls.__mro__ if b.__module__ == "builtins").__name__
        cls.__module__ = "builtins"

    def __init__(self, *fields: Any) -> None:
        super().__init__(*fields)
        self.fields = fields

    def sentence(self) -> str:
        raise NotImplementedError

    def story(self) -> list[tuple[str, str]]:
        """(word, what happened there), in the order in which it happened."""
        return []

    def __str__(self) -> str:
        # PyTorch's text and no more: programs print it and match on it. The story comes below it in a traceback.
        return self.sentence()

    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]  # what Python prints below an exception (PEP 678), and `add_note` adds to
        notes = self.__dict__.get("notes")
        if notes is None:
            rows = [("module", self._module()), *self.story()]
            notes = self.__dict__["notes"] = [row(word, text) for word, text in rows if text]
        return notes

    def _module(self) -> str:
        """Where in the network it came from, as in "Net.fc1"."""
        path: list[tuple[str, str]] | None = self.__dict__.get(MODULES)
        if not path:
            return ""
        return ".".join([path[-1][0], *(name or type_name for type_name, name in reversed(path[:-1]))])

    def _operands(self, place: Place | None, names: tuple[str, str]) -> list[str]:
        """How the program spells two operands. A layer's second one is its own, its first perhaps another layer's result."""
        if not self._in_layer:
            return operands(place, 2) or list(names)
        return [((self.__dict__[DIRECT] and operands(place, 1)) or ["the input"])[0], "the weight"]

    @property
    def _in_layer(self) -> bool:
        """Whether a layer of the library failed, not what the user wrote."""
        return self.__dict__.get(DIRECT) is not None

    def __reduce__(self) -> tuple[Any, ...]:
        return public_type(type(self)), (str(self),)


def public_type(kind: type[BaseException]) -> Any:
    """The type that programs know an exception by: of an explained one, PyTorch's."""
    return getattr(builtins, kind.__name__) if issubclass(kind, Explained) else kind


class BroadcastError(Explained, RuntimeError):
    """Shapes that do not broadcast together."""

    def __init__(self, a: int, b: int, dim: int, first: tuple[int, ...], second: tuple[int, ...]) -> None:
        super().__init__(a, b, dim, list(first), list(second), users_place(3))
        self.__suppress_context__ = True  # NumPy's words for the same

    def sentence(self) -> str:
        a, b, dim, *_ = self.fields
        return f"The size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton dimension {dim}"

    def story(self) -> list[tuple[str, str]]:
        *_, first, second, place = self.fields
        names = operands(place, 2) or ["a", "b"]
        width = max(map(len, names))
        return [
            ("at", where(place)),
            ("a", f"{names[0]:{width}}  {first}" if names[0] != "a" else f"{first}"),
            ("b", f"{names[1]:{width}}  {second}" if names[1] != "b" else f"{second}"),
            (
                "fix",
                "sizes must be equal or 1, counted from the last dimension: unsqueeze, transpose or expand one of them",
            ),
        ]


class IndexRangeError(Explained, IndexError):
    """An index outside of a dimension."""

    def __init__(self, sentence: str, index: Any, size: int, from_end: bool = True) -> None:
        super().__init__(sentence, index, size, from_end, users_place(3))

    def sentence(self) -> str:
        return str(self.fields[0])

    def story(self) -> list[tuple[str, str]]:
        _, index, size, from_end, place = self.fields
        inside = (
            f"0 to {size - 1}{f', or {-size} to -1 from the end' if from_end else ''}"
            if size
            else "none: there is no element"
        )
        name = "" if self._in_layer else (operands(place, 2) or [""])[0]
        return [("at", where(place)), ("tensor", name), ("index", str(index)), ("inside", inside)]
