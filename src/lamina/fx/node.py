"""One step of a graph: what is called, on which arguments, and who uses the result.

Here: Node, and maps over arguments. Not here: the order of nodes, their names and their text (graph.py, codegen.py).
"""

from __future__ import annotations

import builtins
import operator
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import lamina
from lamina.fx.immutable_collections import immutable_dict, immutable_list

if TYPE_CHECKING:
    from lamina.fx.graph import Graph

Argument = Any
Target = Any
_SIDE_EFFECTS: set[Any] = {lamina._assert, builtins.print}


def has_side_effect(fn: Any) -> Any:
    """Say of a function that its calls are kept even where nobody uses the result. Returns it."""
    _SIDE_EFFECTS.add(fn)
    return fn


def map_aggregate(a: Argument, fn: Callable[[Argument], Argument]) -> Argument:
    """`fn` of each entry of nested tuples, lists, dicts and slices, in the same nest."""
    if isinstance(a, tuple):
        made = tuple(map_aggregate(each, fn) for each in a)
        return type(a)(*made) if hasattr(a, "_fields") else made
    if isinstance(a, list):
        return immutable_list(map_aggregate(each, fn) for each in a)
    if isinstance(a, dict):
        return immutable_dict((k, map_aggregate(v, fn)) for k, v in a.items())
    if isinstance(a, slice):
        return slice(map_aggregate(a.start, fn), map_aggregate(a.stop, fn), map_aggregate(a.step, fn))
    return fn(a)


def map_arg(a: Argument, fn: Callable[[Node], Argument]) -> Argument:
    """`fn` of each Node in nested arguments. Raises AssertionError for what cannot be called."""
    assert callable(fn), "torch.fx.map_arg(a, fn): fn must be a callable"
    return map_aggregate(a, lambda x: fn(x) if isinstance(x, Node) else x)


def qualified_name(function: Any) -> str:
    """The path by which the text of a graph names a function. Raises RuntimeError for one that has none."""
    name = getattr(function, "__name__", None)
    if name is None:
        raise RuntimeError(f"a graph calls functions by name, but got {function!r}, which has none")
    if getattr(builtins, name, None) is function:
        return str(name)
    owner = getattr(function, "__objclass__", None)
    if isinstance(function, (types.MethodDescriptorType, types.WrapperDescriptorType)) and owner is not None:
        return f"{owner.__module__}.{owner.__name__}.{name}"
    if getattr(lamina, name, None) is function:
        return f"torch.{name}"
    module = getattr(function, "__module__", None) or "torch"
    if module == "_operator":
        return f"operator.{name}"
    if module == "lamina" or module.startswith("lamina."):
        module = "torch" + module.removeprefix("lamina")
    return f"{module}.{name}"


class Node:
    """A placeholder, an attribute read, a call of a function, method or module, or the output of a Graph.

    `args` and `kwargs` hold other Nodes wherever their results are used; `users` are the Nodes that use this one.
    """

    def __init__(
        self, graph: Graph, name: str, op: str, target: Target, args: Any, kwargs: Any, return_type: Any = None
    ) -> None:
        if op not in OPCODES:
            raise AssertionError(f"op of a Node is one of {', '.join(OPCODES)}, but got {op!r}")
        if op == "call_function":
            if not callable(target):
                raise ValueError(
                    f"Node [graph = {graph}, name = '{name}'] target {target} has type {type(target)} but a Callable is expected"
                )
        elif not isinstance(target, str):
            raise ValueError(
                f"Node [graph = {graph}, name = '{name}'] target {target} has type {type(target)} but a str is expected"
            )
        self.graph, self.name, self.op, self.target, self.type = graph, name, op, target, return_type
        self.users: dict[Node, None] = {}
        self.meta: dict[str, Any] = {}
        self._input_nodes: dict[Node, None] = {}
        self._args: Any = ()
        self._kwargs: Any = immutable_dict()
        self._prev = self._next = self
        self._erased = False
        self._update(map_arg(args, _same), map_arg(kwargs, _same))

    # ---- place -------------------------------------------------------------------------------------------------------

    @property
    def next(self) -> Node:
        """The node behind this one."""
        return self._next

    @property
    def prev(self) -> Node:
        """The node before this one."""
        return self._prev

    def prepend(self, x: Node) -> None:
        """Move `x` in front of this node."""
        assert self.graph == x.graph, "Attempting to move a Node into a different Graph"
        if self is x:
            return
        x._unlink()
        before = self._prev
        before._next, x._prev, x._next, self._prev = x, before, self, x

    def append(self, x: Node) -> None:
        """Move `x` behind this node."""
        self._next.prepend(x)

    def _unlink(self) -> None:
        self._prev._next, self._next._prev = self._next, self._prev

    # ---- arguments ---------------------------------------------------------------------------------------------------

    @property
    def args(self) -> tuple[Argument, ...]:
        """What is given by position; to change it, assign."""
        return self._args  # type: ignore[no-any-return]

    @args.setter
    def args(self, a: tuple[Argument, ...]) -> None:
        self._update(map_arg(tuple(a), _same), self._kwargs)

    @property
    def kwargs(self) -> dict[str, Argument]:
        """What is given by name; to change it, assign."""
        return self._kwargs  # type: ignore[no-any-return]

    @kwargs.setter
    def kwargs(self, k: dict[str, Argument]) -> None:
        self._update(self._args, map_arg(dict(k), _same))

    def _update(self, args: Any, kwargs: Any) -> None:
        for used in self._input_nodes:
            used.users.pop(self)
        self._args, self._kwargs, self._input_nodes = args, kwargs, {}
        map_arg((args, kwargs), lambda n: self._input_nodes.setdefault(n))
        for used in self._input_nodes:
            used.users.setdefault(self)

    def update_arg(self, idx: int, arg: Argument) -> None:
        """Replace one argument given by position."""
        changed = list(self.args)
        changed[idx] = arg
        self.args = tuple(changed)

    def insert_arg(self, idx: int, arg: Argument) -> None:
        """Insert an argument by position."""
        assert 0 <= idx <= len(self.args), "insert_args index must be between 0 and len(self.args)"
        self.args = (*self.args[:idx], arg, *self.args[idx:])

    def update_kwarg(self, key: str, arg: Argument) -> None:
        """Replace, or add, one argument given by name."""
        self.kwargs = {**self.kwargs, key: arg}

    @property
    def all_input_nodes(self) -> list[Node]:
        """The Nodes among the arguments, each once."""
        return list(self._input_nodes)

    def replace_input_with(self, old_input: Node, new_input: Node) -> None:
        """Use `new_input` wherever this node uses `old_input`."""
        swapped = map_arg((self.args, self.kwargs), lambda n: new_input if n is old_input else n)
        self._update(*swapped)

    def replace_all_uses_with(
        self,
        replace_with: Node,
        delete_user_cb: Callable[[Node], bool] = lambda user: True,
        *,
        propagate_meta: bool = False,
    ) -> list[Node]:
        """Let all users of this node (of which `delete_user_cb` says so) use `replace_with`. Returns them."""
        if propagate_meta:
            assert not replace_with.meta, (
                "Called node.replace_all_uses_with(replace_with, propagate_meta=True), but replace_with already has .meta keys"
            )
            replace_with.meta.update(self.meta)
        changed = [user for user in tuple(self.users) if delete_user_cb(user)]
        for user in changed:
            user.replace_input_with(self, replace_with)
        return changed

    def normalized_arguments(
        self, root: Any, arg_types: Any = None, kwarg_types: Any = None, normalize_to_only_use_kwargs: bool = False
    ) -> Any:
        """Raises NotImplementedError: read `args` and `kwargs`."""
        raise NotImplementedError(
            "Node.normalized_arguments is not there; bind args and kwargs with inspect.signature(node.target)"
        )

    # ---- facts -------------------------------------------------------------------------------------------------------

    @property
    def stack_trace(self) -> str | None:
        """Where in the program the node comes from, if the tracer noted it."""
        return self.meta.get("stack_trace")

    @stack_trace.setter
    def stack_trace(self, trace: str | None) -> None:
        self.meta["stack_trace"] = trace

    def is_impure(self, impure_random: bool = True) -> bool:
        """Whether the node must stay although nobody uses it: in and out, writes in place, calls with effects."""
        if self.op in ("placeholder", "output"):
            return True
        if self.op == "call_function":
            return self.target in _SIDE_EFFECTS or (impure_random and getattr(self.target, "__name__", "") in _DRAWS)
        if self.op == "call_method":
            return self.target.endswith("_") and not self.target.endswith("__")
        if self.op == "call_module":
            owner = self.graph.owning_module
            assert owner is not None, "self.graph.owning_module not set for purity check"
            return getattr(owner.get_submodule(self.target), "_is_impure", False)  # type: ignore[no-any-return]
        return False

    def format_node(
        self,
        placeholder_names: list[str] | None = None,
        maybe_return_typename: list[str] | None = None,
        *,
        include_tensor_metadata: bool = False,
    ) -> str | None:
        """The node as one line of a graph's text. A placeholder's, and the output's, name goes to the lists instead, if these are given."""
        typed = f"{type_name(self.type)} " if self.type is not None else ""
        counted = f"%{self.name} : {typed}[num_users={len(self.users)}] = {self.op}"
        if self.op == "placeholder":
            if placeholder_names is not None:
                placeholder_names.append(f"{self.target}: {type_name(self.type)}" if self.type else self.target)
                return None
            default = f"(default={self.args[0]})" if self.args else ""
            return f"{counted}[target={self.target}]{default}"
        if self.op == "get_attr":
            return f"{counted}[target={self.target}]"
        if self.op == "output":
            if self.type is not None and maybe_return_typename is not None:
                maybe_return_typename[0] = f" -> {type_name(self.type)}"
            return f"return {self.args[0]}"
        given = f"args = {_shown(self.args)}, kwargs = {_shown(self.kwargs)}"
        return f"{counted}[target={self._shown_target()}]({given})"

    def _shown_target(self) -> str:
        if isinstance(self.target, str):
            return self.target
        name = qualified_name(self.target)
        return name if "." in name else f"builtins.{name}"

    def __repr__(self) -> str:
        return self.name

    def __lt__(self, other: Node) -> bool:
        return self.comes_before(other)

    def comes_before(self, other: Node) -> bool:
        """Whether this node stands before `other` in its graph."""
        return any(n is other for n in _behind(self))


OPCODES = ("placeholder", "call_method", "call_module", "call_function", "get_attr", "output", "root")
_DRAWS = frozenset(
    (
        "rand",
        "randn",
        "randint",
        "randperm",
        "rand_like",
        "randn_like",
        "randint_like",
        "normal",
        "poisson",
        "bernoulli",
        "multinomial",
    )
)
OPERATORS: dict[str, str] = {
    "add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}", "floordiv": "{} // {}", "truediv": "{} / {}", "mod": "{} % {}",
    "pow": "{} ** {}", "lshift": "{} << {}", "rshift": "{} >> {}", "and_": "{} & {}", "or_": "{} | {}", "xor": "{} ^ {}",
    "getitem": "{}[{}]", "matmul": "{} @ {}", "eq": "{} == {}", "ne": "{} != {}", "lt": "{} < {}", "gt": "{} > {}", "le": "{} <= {}",
    "ge": "{} >= {}", "pos": "+{}", "neg": "-{}", "invert": "~{}",
}  # fmt: skip
"""Functions of `operator` that are written as operators."""
MAGIC = tuple(name for name in OPERATORS if hasattr(operator, name))


def _same(n: Node) -> Node:
    return n


def _behind(node: Node) -> Iterator[Node]:
    at = node.next
    while at.op != "root":
        yield at
        at = at.next


def _shown(value: Any) -> str:
    """Arguments as the text of a graph shows them: nodes with %, strings bare."""
    if isinstance(value, Node):
        return f"%{value.name}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k}: {_shown(v)}' for k, v in value.items())}}}"
    return str(value)


def type_name(given: Any) -> str:
    """A type annotation as the text of a graph names it."""
    if isinstance(given, str):
        return given
    if isinstance(given, type) and not hasattr(given, "__origin__"):
        if given.__module__ == "builtins":
            return given.__name__
        module = given.__module__
        return f"{'torch' + module.removeprefix('lamina') if module.split('.')[0] == 'lamina' else module}.{given.__name__}"
    return str(given).replace("lamina.", "torch.")
