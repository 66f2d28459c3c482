"""The Python text of a graph: a function that does what its nodes say, one line for each.

Values are let go behind their last use (`x = None`), so that a graph holds no more memory than the program did.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, nan
from typing import TYPE_CHECKING, Any

import lamina
from lamina.core.device import device
from lamina.fx.node import OPERATORS, Node, qualified_name, type_name
from lamina.utils import _pytree as pytree

if TYPE_CHECKING:
    from lamina.fx.graph import Graph

RESERVED: dict[str, Any] = {
    "inf": inf, "nan": nan, "NoneType": type(None), "torch": lamina, "device": device, "pytree": pytree, "fx_pytree": pytree,
}  # fmt: skip
"""Names that the text of every graph knows."""


@dataclass
class PythonCode:
    """A function's text, and the globals that it needs."""

    src: str
    globals: dict[str, Any]
    _lineno_map: dict[int, int | None] = field(default_factory=dict)


class CodeGen:
    """Writes the text. A subclass may change the signature (`gen_fn_def`) and what goes in and out."""

    def __init__(self) -> None:
        self.body_transformer: Callable[[list[str]], list[str]] | None = None

    def gen_fn_def(self, free_vars: list[str], maybe_return_annotation: str, **more: Any) -> str:
        """The line `def forward(self, ...):`."""
        first = ["self", *free_vars] if not free_vars or free_vars[0] != "self" else free_vars
        return f"def forward({', '.join(first)}){maybe_return_annotation}:"

    def generate_output(self, output_args: Any) -> str:
        """The line that returns."""
        return f"return {_text(output_args, None)}"

    def process_inputs(self, *args: Any) -> Any:
        return args

    def process_outputs(self, outputs: Any) -> Any:
        return outputs

    def additional_globals(self) -> list[tuple[str, Any]]:
        """More names that the text knows."""
        return []

    def python_code(self, graph: Graph, root_module: str) -> PythonCode:
        """The text of `graph`."""
        known: dict[str, Any] = dict(self.additional_globals())
        free: list[str] = []
        body: list[str] = []
        wrapped: dict[str, None] = {}
        returned = ""
        last_uses = _last_uses(graph)
        for node in graph.nodes:
            if node.op == "placeholder":
                free.append(_parameter(node, known))
                raw = node.target.replace("*", "")
                if raw != node.name:
                    body.append(f"{node.name} = {raw}\n")
                continue
            if node.op == "output":
                if node.type is not None:
                    returned = f" -> {_annotation(node.type, known)}"
                body.append(self.generate_output(_Written(node.args[0], known)) + "\n")
                continue
            typed = "" if node.type is None else f" : {_annotation(node.type, known)}"
            line = f"{node.name}{typed} = {_expression(node, root_module, known, wrapped)}"
            gone = [*last_uses.get(node, ()), *(() if node.users else (node,))]
            ending = f";  {' = '.join([*(n.name for n in gone), 'None'])}" if gone else ""
            body.append(f"{line}{ending}\n")
        if not body:
            body.append("pass\n")
        if self.body_transformer is not None:
            body = self.body_transformer(body)
        asked = "\n".join(f'torch.fx._symbolic_trace.wrap("{name}")' for name in wrapped)
        lines = "\n".join(f"    {line}" for line in "".join(body).split("\n"))
        return PythonCode(f"\n{asked}\n\n{self.gen_fn_def(free, returned)}\n{lines}", known)


class _Written:
    """Arguments whose text refers to globals by name."""

    def __init__(self, value: Any, known: dict[str, Any]) -> None:
        self.value, self.known = value, known


def _last_uses(graph: Graph) -> dict[Node, list[Node]]:
    """For each node the values that nobody uses behind it."""
    last: dict[Node, Node] = {}
    for node in reversed(graph.nodes):
        for used in node.all_input_nodes:
            last.setdefault(used, node)
    gone: dict[Node, list[Node]] = {}
    for used, user in last.items():
        if user.op != "output":
            gone.setdefault(user, []).append(used)
    return {user: sorted(used, key=user.all_input_nodes.index) for user, used in gone.items()}


def _parameter(node: Node, known: dict[str, Any]) -> str:
    typed = "" if node.type is None else f" : {_annotation(node.type, known)}"
    default = f" = {_text(node.args[0], known)}" if node.args else ""
    return f"{node.target}{typed}{default}"


def _annotation(given: Any, known: dict[str, Any]) -> str:
    name = type_name(given)
    if isinstance(given, type) and given.__module__ != "builtins":
        return _global(name, given, known)
    return name


def _expression(node: Node, root: str, known: dict[str, Any], wrapped: dict[str, None]) -> str:
    if node.op == "get_attr":
        return _path(root, node.target)
    given = [_text(a, known) for a in node.args] + [f"{k} = {_text(v, known)}" for k, v in node.kwargs.items()]
    if node.op == "call_method":
        return f"{_text(node.args[0], known)}.{node.target}({', '.join(given[1:])})"
    if node.op == "call_module":
        return f"{_path(root, node.target)}({', '.join(given)})"
    name = qualified_name(node.target)
    if name.startswith("operator.") and name[9:] in OPERATORS and not node.kwargs:
        return OPERATORS[name[9:]].format(*given)
    if name == "getattr" and len(node.args) == 2 and isinstance(node.args[1], str) and node.args[1].isidentifier():
        return f"{given[0]}.{node.args[1]}"
    called = _global(name, node.target, known)
    if getattr(node.target, "_fx_wrapped", False):
        wrapped.setdefault(called)
    return f"{called}({', '.join(given)})"


def _path(root: str, target: str) -> str:
    """The text of an attribute's path: what is no identifier is read by getattr."""
    text = root
    for part in target.split("."):
        text = f"{text}.{part}" if part.isidentifier() else f'getattr({text}, "{part}")'
    return text


def _global(name: str, value: Any, known: dict[str, Any]) -> str:
    """How the text names a function or class."""
    if "." not in name and getattr(builtins, name, None) is value:
        return name
    if name.startswith("torch."):
        known["torch"] = lamina
        if _reached(name) is value:
            return name
    short = name.replace(".", "_")
    while short in known and known[short] is not value:
        short += "_"
    known[short] = value
    return short


def _reached(name: str) -> Any:
    found: Any = lamina
    for part in name.split(".")[1:]:
        found = getattr(found, part, None)
    return found


def _text(value: Any, known: dict[str, Any] | None) -> str:
    """Arguments as Python."""
    if isinstance(value, _Written):
        return _text(value.value, value.known)
    if isinstance(value, Node):
        return value.name
    if isinstance(value, tuple):
        if hasattr(value, "_fields") and known is not None:
            kind = _global(f"{type(value).__module__}.{type(value).__name__}", type(value), known)
            return f"{kind}({', '.join(_text(v, known) for v in value)})"
        return f"({', '.join(_text(v, known) for v in value)}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(_text(v, known) for v in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k!r}: {_text(v, known)}' for k, v in value.items())}}}"
    if isinstance(value, slice):
        return f"slice({_text(value.start, known)}, {_text(value.stop, known)}, {_text(value.step, known)})"
    if known is not None:
        if value is ... or value is None:
            return repr(value)
        if isinstance(value, lamina.Size):
            return f"torch.Size({list(value)})"
        if isinstance(value, device):
            known["device"] = device
            return repr(value)
        if isinstance(value, float) and (value != value or value in (inf, -inf)):
            known["inf"], known["nan"] = inf, nan
        if callable(value) and hasattr(value, "__name__"):
            return _global(qualified_name(value), value, known)
        known.setdefault("torch", lamina)
    return repr(value)
