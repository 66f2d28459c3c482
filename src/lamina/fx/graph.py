"""A program as a list of Nodes, in the order they run.

Here: the list, names, and changes to it. Not here: a node (node.py), the Python text of a graph (codegen.py).
"""

from __future__ import annotations

import builtins
import copy
import keyword
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lamina.fx.codegen import RESERVED, CodeGen, PythonCode
from lamina.fx.node import Node, Target, map_arg

__all__ = ["CodeGen", "Graph", "PythonCode"]


class _Namespace:
    """Names that are in use; each new one is made from a candidate."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._last: dict[str, int] = {}

    def create_name(self, candidate: str) -> str:
        candidate = re.sub(r"[^0-9a-zA-Z_]+", "_", candidate) or "_unnamed"
        if candidate[0].isdigit():
            candidate = f"_{candidate}"
        numbered = re.fullmatch(r"(.*)_(\d+)", candidate)
        base, number = (numbered[1], int(numbered[2])) if numbered else (candidate, None)
        name = candidate
        number = number or self._last.get(base, 0)
        while name in self._used or keyword.iskeyword(name) or hasattr(builtins, name) or name in RESERVED:
            number += 1
            name = f"{base}_{number}"
        self._used.add(name)
        self._last[base] = number
        return name


class _Nodes:
    """The nodes of a graph, in order or backward; those that come or go meanwhile are seen as a linked list shows them."""

    def __init__(self, graph: Graph, backward: bool = False) -> None:
        self._graph, self._backward = graph, backward

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Node]:
        root = self._graph._root
        at = root.prev if self._backward else root.next
        while at is not root:
            if not at._erased:
                yield at
            at = at.prev if self._backward else at.next

    def __reversed__(self) -> _Nodes:
        return _Nodes(self._graph, not self._backward)


class Graph:
    """Nodes in the order they run. New ones are put at the insertion point, which is the end unless `inserting_before` moves it."""

    def __init__(self, owning_module: Any = None, tracer_cls: Any = None, tracer_extras: Any = None) -> None:
        self._root = Node(self, "", "root", "", (), {})
        self._insert: Callable[[Node], None] = self._root.prepend
        self._names = _Namespace()
        self._owning_module, self._tracer_cls, self._tracer_extras = owning_module, tracer_cls, tracer_extras
        self._codegen = CodeGen()

    @property
    def owning_module(self) -> Any:
        """The GraphModule that runs this graph, or None."""
        return self._owning_module

    @owning_module.setter
    def owning_module(self, module: Any) -> None:
        self._owning_module = module

    @property
    def nodes(self) -> Any:
        """All nodes in order; `reversed(graph.nodes)` goes backward."""
        return _Nodes(self)

    # ---- making nodes ------------------------------------------------------------------------------------------------

    def create_node(
        self,
        op: str,
        target: Target,
        args: Any = None,
        kwargs: Any = None,
        name: str | None = None,
        type_expr: Any = None,
    ) -> Node:
        """A new node at the insertion point. name: a wish; the node's is unique."""
        args, kwargs = () if args is None else args, {} if kwargs is None else kwargs
        assert isinstance(args, tuple), f"args must be a tuple, but got {type(args).__name__}"
        assert isinstance(kwargs, dict), f"kwargs must be a dict, but got {type(kwargs).__name__}"
        wish = name if name is not None else self._target_to_str(target)
        made = Node(self, self._names.create_name(wish), op, target, args, kwargs, type_expr)
        self._insert(made)
        return made

    def _target_to_str(self, target: Target) -> str:
        """A name for what is called: snake case, without path."""
        if callable(target):
            op = str(target.__name__)
        else:
            op = str(target)
            if op.startswith("__") and op.endswith("__"):
                op = op[2:-2]
        return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", op).lower()

    def placeholder(self, name: str, type_expr: Any = None, default_value: Any = ...) -> Node:
        """An input of the graph. Raises nothing; a name with stars collects what is left over, as in Python."""
        return self.create_node(
            "placeholder", name, () if default_value is ... else (default_value,), type_expr=type_expr
        )

    def get_attr(self, qualified: str, type_expr: Any = None) -> Node:
        """A parameter, buffer or other attribute of the owning module, by its path."""
        return self.create_node("get_attr", qualified, type_expr=type_expr)

    def call_module(self, module_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None) -> Node:
        """A call of a submodule of the owning module, by its path."""
        return self.create_node("call_module", module_name, args, kwargs, type_expr=type_expr)

    def call_method(self, method_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None) -> Node:
        """A call of a method of the first argument."""
        return self.create_node("call_method", method_name, args, kwargs, type_expr=type_expr)

    def call_function(
        self, the_function: Callable[..., Any], args: Any = None, kwargs: Any = None, type_expr: Any = None
    ) -> Node:
        """A call of a function."""
        return self.create_node("call_function", the_function, args, kwargs, type_expr=type_expr)

    def output(self, result: Any, type_expr: Any = None) -> Node:
        """What the graph returns."""
        return self.create_node("output", "output", (result,), type_expr=type_expr)

    def node_copy(self, node: Node, arg_transform: Callable[[Node], Any] = lambda x: x) -> Node:
        """A copy of a node of another graph; arg_transform: which value here stands for each node there."""
        args, kwargs = map_arg(node.args, arg_transform), map_arg(node.kwargs, arg_transform)
        made = self.create_node(node.op, node.target, args, kwargs, node.name, node.type)
        made.meta = copy.copy(node.meta)
        return made

    def graph_copy(self, g: Graph, val_map: dict[Node, Node], return_output_node: bool = False) -> Any:
        """Copies of all nodes of `g`, noted in `val_map`; those that it has already are not copied. Returns what stands for the output."""
        for node in g.nodes:
            if node in val_map:
                continue
            if node.op == "output":
                found = map_arg(node.args[0], lambda n: val_map[n])
                return (found, node) if return_output_node else found
            val_map[node] = self.node_copy(node, lambda n: val_map[n])
        return None

    # ---- changing ----------------------------------------------------------------------------------------------------

    @contextmanager
    def inserting_before(self, n: Node | None = None) -> Iterator[None]:
        """In this context new nodes stand before `n`; without it, at the very beginning."""
        with self._inserting((self._root.next if n is None else n).prepend):
            yield

    @contextmanager
    def inserting_after(self, n: Node | None = None) -> Iterator[None]:
        """In this context new nodes stand behind `n`; without it, at the end."""
        with self._inserting((self._root.prev if n is None else n).append):
            yield

    @contextmanager
    def _inserting(self, insert: Callable[[Node], None]) -> Iterator[None]:
        before, self._insert = self._insert, insert
        try:
            yield
        finally:
            self._insert = before

    def erase_node(self, to_erase: Node) -> None:
        """Take a node out. Raises RuntimeError while its result is used."""
        if to_erase.users:
            raise RuntimeError(
                f"Tried to erase Node {to_erase} but it still had {len(to_erase.users)} users in the graph: {to_erase.users}!"
            )
        if to_erase.graph is not self:
            raise RuntimeError(f"Attempting to remove {to_erase} from wrong graph!")
        if to_erase._erased:
            return
        to_erase._unlink()
        to_erase._erased = True
        to_erase._update((), {})

    def eliminate_dead_code(
        self, is_impure_node: Callable[[Node], bool] | None = None, impure_random: bool = True
    ) -> bool:
        """Take out what nobody uses and nothing follows from. Returns whether there was any."""
        self.lint()
        stays = is_impure_node or (lambda n: n.is_impure(impure_random))
        dead = False
        for node in reversed(self.nodes):
            if not node.users and not stays(node):
                self.erase_node(node)
                dead = True
        return dead

    # ---- questions ---------------------------------------------------------------------------------------------------

    def find_nodes(self, *, op: str, target: Target | None = None, sort: bool = True) -> list[Node]:
        """The nodes of one kind, and with one target."""
        if op == "call_function" and target is None:
            raise AssertionError("call_function nodes are found by their target: give one")
        return [n for n in self.nodes if n.op == op and (target is None or n.target == target)]

    def output_node(self) -> Node:
        """The node of what is returned."""
        found: Node = next(iter(reversed(self.nodes)))
        assert found.op == "output", f"Expected output node, but got {found.op}"
        return found

    def lint(self) -> None:
        """Raise RuntimeError, or ValueError for a module's attribute, where the graph cannot run: order, owners, names, attributes."""
        seen: set[Node] = set()
        names: set[str] = set()
        for node in self.nodes:
            if node.graph is not self:
                raise RuntimeError(f"Node '{node}' does not belong to this Graph!")
            for used in node.all_input_nodes:
                if used.graph is not self:
                    raise RuntimeError(
                        f"Argument '{used}' of Node '{node}' does not belong to this Graph, but was used as an argument!"
                    )
                if used not in seen:
                    raise RuntimeError(f"Argument '{used}' of Node '{node}' was used before it has been defined!")
            if node.name in names:
                raise RuntimeError(f"Node redefined name {node.name}!")
            seen.add(node)
            names.add(node.name)
            if self.owning_module is not None and node.op in ("get_attr", "call_module"):
                self._lint_path(node)

    def _lint_path(self, node: Node) -> None:
        at = self.owning_module
        for part in node.target.split("."):
            if not hasattr(at, part):
                raise RuntimeError(f"Node {node} target {node.target} references nonexistent attribute {part} of {at}")
            at = getattr(at, part)
        if node.op == "call_module" and not callable(at):
            raise RuntimeError(f"Node {node} target {node.target} does not reference an nn.Module")

    # ---- text --------------------------------------------------------------------------------------------------------

    def python_code(
        self,
        root_module: str,
        *,
        verbose: bool = False,
        include_stride: bool = False,
        include_device: bool = False,
        **more: Any,
    ) -> PythonCode:
        """The graph as a Python function; root_module: what it calls the owner of attributes, such as "self"."""
        return self._codegen.python_code(self, root_module)

    def set_codegen(self, codegen: CodeGen) -> None:
        """Write the text by another CodeGen."""
        self._codegen = codegen

    def on_generate_code(self, make_transformer: Callable[[Any], Any]) -> Any:
        """Change the lines of the body as they are written: make_transformer(the one before) -> (lines -> lines). Undone by leaving the context."""
        before = self._codegen.body_transformer
        self._codegen.body_transformer = make_transformer(before)

        @contextmanager
        def undoing() -> Iterator[None]:
            try:
                yield
            finally:
                self._codegen.body_transformer = before

        return undoing()

    def process_inputs(self, *args: Any) -> Any:
        """What is given to a call, as placeholders take it."""
        return self._codegen.process_inputs(*args)

    def process_outputs(self, out: Any) -> Any:
        """What the graph returns, as the caller gets it."""
        return self._codegen.process_outputs(out)

    def print_tabular(self) -> None:
        """Print all nodes as a table. Needs the package `tabulate`."""
        try:
            from tabulate import tabulate  # optional, as in PyTorch
        except ImportError:
            print(
                "`print_tabular` relies on the library `tabulate`, which could not be found on this machine. "
                "Run `pip install tabulate` to install the library."
            )
            raise
        rows = [[n.op, n.name, n.target, n.args, n.kwargs] for n in self.nodes]
        print(tabulate(rows, headers=["opcode", "name", "target", "args", "kwargs"]))

    def __str__(self) -> str:
        return "graph():" + "".join(f"\n    {node.format_node()}" for node in self.nodes)

    def __deepcopy__(self, memo: Any = None) -> Graph:
        made = Graph(tracer_cls=self._tracer_cls)
        stands: dict[Node, Node] = {}
        found = made.graph_copy(self, stands, return_output_node=True)
        made._codegen = copy.copy(self._codegen)
        if found is not None:
            result, old = found
            made.output(result, type_expr=old.type).meta = copy.copy(old.meta)
        return made
