"""Writes the stubs that type checkers and editors read: what is installed or loaded while lamina runs, they cannot see.

    python tools/stubs.py            writes src/lamina/__init__.pyi and src/lamina/core/tensor_base.pyi
    python tools/stubs.py --check    exit status 1, naming the file, if one of them is not what this would write

`__init__.pyi` is the public namespace; `tensor_base.pyi` has the methods that primitives/methods.py installs on Tensor.
"""

import argparse
import difflib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import lamina
from lamina.core.tensor import Tensor
from lamina.primitives.methods import INPLACE

PACKAGE = Path(__file__).parents[1] / "src" / "lamina"
NOTE = '"""{what}\n\nWritten by tools/stubs.py: change what it describes, then run `make stubs`.\n"""\n'
IMPORTS = """
import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

from lamina.core.device import device as _device
from lamina.core.device import layout as _layout
from lamina.core.device import memory_format as _memory_format
from lamina.core.dtype import dtype as _dtype
from lamina.core.size import Size as _Size
from lamina.core.tensor import Tensor as _Tensor
"""
# A word of an annotation -> what it is called in a stub, where methods and dtypes named like builtins hide these.
BUILTINS = "bool bytes complex dict float frozenset int list set slice str tuple type"
WORDS = {name: f"builtins.{name}" for name in BUILTINS.split()}
WORDS |= {name: name for name in ("Any", "Callable", "Iterable", "Iterator", "Mapping", "None", "Sequence", "object")}
WORDS |= {name: f"_{name}" for name in ("Size", "Tensor", "device", "dtype", "layout", "memory_format")}
WORDS |= {"dtypes.dtype": "_dtype", "devices.device": "_device", "Self": "_Tensor", "...": "..."}
# The makers of functions: what they make is annotated nowhere, but returns a Tensor.
NAMESPACES = ("lamina", "lamina.linalg", "lamina.fft", "lamina.special", "lamina.nn.functional")
MAKERS = ("lamina.primitives.ways", "lamina.primitives.functions", "lamina.primitives.inplace")


def annotation(given: Any) -> str:
    """An annotation in the words of a stub; `Any` if it has others."""
    if given is inspect.Parameter.empty:
        return "Any"
    text = given if isinstance(given, str) else inspect.formatannotation(given)
    words = re.findall(r"[A-Za-z_][\w.]*", text)
    if any(word not in WORDS for word in words):
        return "Any"
    return re.sub(r"[A-Za-z_][\w.]*", lambda match: WORDS[match[0]], text)


def home_of(value: Any) -> str | None:
    """Where a function is made; its `__module__` is the room that it is published in."""
    plain = published(value)
    home = getattr(plain, "__module__", None)
    return _room_of(plain) if home in NAMESPACES else home


def published(value: Any) -> Any:
    """The function that a published one stands before."""
    return getattr(value, "__wrapped__", value) if _room_of(value) == "lamina.primitives.overridable" else value


def _room_of(value: Any) -> str | None:
    return getattr(value, "__globals__", {}).get("__name__")


def function(name: str, value: Callable[..., Any], *, method: bool = False) -> str:
    """The stub of a function or method."""
    home = home_of(value)
    try:
        # an in-place form takes what the function takes that it is made of
        signature = inspect.signature(INPLACE.get(name, value) if home == "lamina.primitives.inplace" else value)
    except (TypeError, ValueError):  # written in C, or nothing to see
        return f"def {name}({'self, ' if method else ''}*args: Any, **kwargs: Any) -> Any: ..."
    given = list(signature.parameters.values())
    if method or home == "lamina.primitives.inplace":  # `out=` is for functions
        given = [each for each in given if each.name != "out" or each.kind is not each.KEYWORD_ONLY]
        if name.startswith("__"):  # whose arguments have no names, for type checkers
            given = [each for each in given if each.kind is not each.KEYWORD_ONLY]
    elif _takes_out(published(value)) and all(each.name != "out" for each in given):
        at = len(given) - (bool(given) and given[-1].kind is inspect.Parameter.VAR_KEYWORD)
        given.insert(at, inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None))
    parts: list[str] = []
    for number, parameter in enumerate(given):
        if parameter.kind is parameter.KEYWORD_ONLY and not any(part.startswith("*") for part in parts):
            parts.append("*")
        if number == 0 and method and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            parts.append("self")
            continue
        if number == 0 and method:
            parts.append("self")
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else " = ..."
        parts.append(f"{stars}{parameter.name}: {annotation(parameter.annotation)}{default}")
        if parameter.kind is parameter.POSITIONAL_ONLY and number + 1 == _positional_only(signature):
            parts.append("/")
    returns = "_Tensor" if home in MAKERS else annotation(signature.return_annotation)
    ignore = "  # type: ignore[override]" if method and name in ("__eq__", "__ne__") else ""
    return f"def {name}({', '.join(parts)}) -> {returns}: ...{ignore}"


def _takes_out(value: Any) -> bool:
    """Whether a wrapper adds `out=` to what its signature, that of the wrapped function, says."""
    code = getattr(value, "__code__", None)
    return code is not None and "out" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _positional_only(signature: inspect.Signature) -> int:
    return sum(each.kind is each.POSITIONAL_ONLY for each in signature.parameters.values())


def tensor_base() -> str:
    """The class of the methods and properties that are not in the text of class Tensor."""
    written = set(_names_in_class(PACKAGE / "core" / "tensor.py"))
    lines = []
    for name, value in sorted(vars(Tensor).items()):
        if name in written or name.startswith("__") and not callable(value) or inspect.ismemberdescriptor(value):
            continue
        lines += _member(name, value)
    body = "\n".join(f"    {line}" for line in lines) or "    ..."
    return NOTE.format(what="The methods of Tensor that are installed when lamina is imported.") + (
        f"{IMPORTS}\nclass TensorBase:\n{body}\n"
    )


def _member(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, property):
        kind = annotation(inspect.signature(value.fget).return_annotation) if value.fget else "Any"
        yield f"@property\n    def {name}(self) -> {kind}: ..."
        if value.fset is not None:
            yield f"@{name}.setter\n    def {name}(self, value: Any) -> None: ..."
        if value.fdel is not None:
            yield f"@{name}.deleter\n    def {name}(self) -> None: ..."
    elif name == "__new__":
        yield "def __new__(cls, *args: Any, **kwargs: Any) -> Self: ..."
    elif isinstance(value, (staticmethod, classmethod)):
        yield f"{name}: Any"
    elif callable(value):
        yield function(name, value, method=True)
    else:
        yield f"{name}: {_value_type(value)}"


def _names_in_class(path: Path) -> list[str]:
    """What the text of class Tensor defines."""
    text = path.read_text(encoding="utf-8")
    body = re.split(r"^class Tensor\b.*:$", text, maxsplit=1, flags=re.M)[1]
    body = re.split(r"^\S", body, maxsplit=1, flags=re.M)[0]
    names = re.findall(r"^    (?:def )?(\w+)\s*[(:=]", body, flags=re.M)
    return [*names, "__slots__", "__dict__", "__doc__", "__module__", "__weakref__"]


def namespace() -> str:
    """The public names of `lamina`: submodules, classes, functions, constants."""
    modules, classes, functions, values = [], [], [], []
    for name in sorted(dir(lamina)):
        if name.startswith("_") and name != "__version__":
            continue
        value = getattr(lamina, name)
        if isinstance(value, ModuleType):
            if value.__name__.startswith("lamina."):
                parent, _, own = value.__name__.rpartition(".")
                modules.append(f"from {parent} import {own} as {name}")
        elif inspect.isclass(value):
            if home := _home(name, value):
                classes.append(f"from {home} import {name} as {name}")
        elif callable(value):
            functions.append(function(name, value))
        elif type(value).__module__ != "__future__":
            values.append(f"{name}: {_value_type(value)}")
    parts = [IMPORTS, *modules, *classes, "", *values, "", *functions]
    return NOTE.format(what="The public namespace of lamina.") + "\n".join(parts) + "\n"


def _home(name: str, value: Any) -> str:
    """The module of lamina in whose text this class is defined: its `__module__` may say that it is torch's."""
    for module, content in sorted(sys.modules.items()):
        if module.startswith("lamina.") and vars(content).get(name) is value:
            text = Path(content.__file__ or "").read_text(encoding="utf-8")
            if re.search(rf"^class {value.__name__}\b|^{name}\b.* = ", text, flags=re.M):
                return module
    return ""


def _value_type(value: Any) -> str:
    return WORDS.get(type(value).__name__, "Any")


def formatted(text: str, path: Path) -> str:
    """As `ruff check --fix` and `ruff format` leave it."""
    for command in (["format", "--quiet"], ["check", "--fix", "--quiet"], ["format", "--quiet"]):
        line = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(path), "-"]
        text = subprocess.run(line, input=text, capture_output=True, text=True, check=True).stdout
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say whether the stubs are fresh")
    args = parser.parse_args()
    stale = 0
    for path, make in ((PACKAGE / "__init__.pyi", namespace), (PACKAGE / "core" / "tensor_base.pyi", tensor_base)):
        fresh = formatted(make(), path)
        found = path.read_text(encoding="utf-8") if path.exists() else ""
        if found == fresh:
            continue
        if args.check:
            stale += 1
            print(f"{path} is stale: run `make stubs`")
            difference = difflib.unified_diff(found.splitlines(), fresh.splitlines(), lineterm="", n=0)
            print("\n".join(list(difference)[:12]))
        else:
            path.write_text(fresh, encoding="utf-8")
            print(f"wrote {path}")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
