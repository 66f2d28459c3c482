"""What a program computes with while it is traced: each operation on a Proxy becomes a Node.

Here: Proxy, and how values become arguments of nodes. Not here: modules and their attributes (tracer.py).
"""

from __future__ import annotations

import dis
import inspect
import operator
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import lamina
from lamina.core.size import Size
from lamina.fx.graph import Graph
from lamina.fx.node import MAGIC, Node, map_aggregate
from lamina.overrides import is_tensor_method_or_property

_BASE = (
    str,
    int,
    float,
    bool,
    complex,
    type(None),
    type(...),
    lamina.dtype,
    lamina.Tensor,
    lamina.device,
    lamina.memory_format,
    lamina.layout,
    Size,
)


class TraceError(ValueError):
    """The program asks a Proxy for what is known only when it runs."""


class TracerBase:
    """Makes nodes and Proxies; a subclass says what of the program is looked into."""

    graph: Graph
    record_stack_traces: bool = False
    trace_asserts: bool = False
    proxy_buffer_attributes: bool = False
    check_mutable_operations: bool = False

    def create_node(
        self, kind: str, target: Any, args: Any, kwargs: Any, name: str | None = None, type_expr: Any = None
    ) -> Node:
        """A new node of the graph. To be overridden to see or change what is made."""
        return self.graph.create_node(kind, target, args, kwargs, name, type_expr)

    def proxy(self, node: Node) -> Proxy:
        """What the program gets in place of the node's value."""
        return Proxy(node, self)

    def create_proxy(
        self, kind: str, target: Any, args: Any, kwargs: Any, name: str | None = None, type_expr: Any = None,
        proxy_factory_fn: Callable[[Node], Proxy] | None = None,
    ) -> Any:  # fmt: skip
        """A new node for a call with these arguments, and the Proxy of its result."""
        args, kwargs = self.create_arg(tuple(args)), self.create_arg(dict(kwargs))
        node = self.create_node(kind, target, args, kwargs, name, type_expr)
        return (proxy_factory_fn or self.proxy)(node)

    def create_arg(self, a: Any) -> Any:
        """A value of the program as an argument of a node. Raises NotImplementedError for what no node can hold."""
        if isinstance(a, Proxy):
            return a.node
        if hasattr(a, "__fx_create_arg__"):
            return a.__fx_create_arg__(self)
        if isinstance(a, tuple) and hasattr(a, "_fields"):
            return self.create_node("call_function", type(a), tuple(self.create_arg(v) for v in a), {})
        if isinstance(a, Size):
            return a
        if isinstance(a, (tuple, list)):
            return type(a)([self.create_arg(v) for v in a])
        if isinstance(a, dict):
            return {self._key(k): self.create_arg(v) for k, v in a.items()}
        if isinstance(a, slice):
            return slice(self.create_arg(a.start), self.create_arg(a.stop), self.create_arg(a.step))
        if isinstance(a, range):
            return range(self.create_arg(a.start), self.create_arg(a.stop), self.create_arg(a.step))
        if isinstance(a, _BASE) or callable(a):
            return a
        raise NotImplementedError(f"argument of type: {type(a)}")

    def _key(self, key: Any) -> Any:
        held: list[Node] = []
        map_aggregate(self.create_arg(key), lambda v: held.append(v) if isinstance(v, Node) else None)
        if held:
            raise RuntimeError(f"Keys for dictionaries used as an argument cannot contain a Node. Got key: {key}")
        return key

    def to_bool(self, obj: Proxy) -> bool:
        """Called where the program branches on a Proxy."""
        raise TraceError("symbolically traced variables cannot be used as inputs to control flow")

    def iter(self, obj: Proxy) -> Iterator[Any]:
        """Called where the program iterates over a Proxy: `a, b = proxy` says how many there are."""
        frame = inspect.currentframe()
        count = _unpacked(frame.f_back.f_back if frame is not None and frame.f_back is not None else None)
        if count is not None:
            return (obj[i] for i in range(count))
        raise TraceError(
            "Proxy object cannot be iterated. This can be attempted when the Proxy is used in a loop or as a *args or **kwargs function "
            "argument. See the torch.fx docs on pytorch.org for a more detailed explanation of what types of control flow can be traced, "
            "and check out the Proxy docstring for help troubleshooting Proxy iteration errors"
        )

    def keys(self, obj: Proxy) -> Any:
        """Called where the program gives `**proxy`."""
        return Attribute(obj, "keys")()


def _unpacked(frame: FrameType | None) -> int | None:
    """How many names the statement that runs in `frame` unpacks into."""
    if frame is None:
        return None
    for instruction in dis.get_instructions(frame.f_code):
        if instruction.offset == frame.f_lasti:
            return instruction.arg if instruction.opname == "UNPACK_SEQUENCE" else None
    return None


class GraphAppendingTracer(TracerBase):
    """Writes what is done with Proxies to a graph that is there already."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph


class Proxy:
    """Stands for the value of a Node: attributes, methods, operators and functions on it become Nodes.

    What needs the value itself (branches, loops, `len`, `int`) raises TraceError or RuntimeError.
    """

    def __init__(self, node: Node, tracer: TracerBase | None = None) -> None:
        self.node = node
        self.tracer = GraphAppendingTracer(node.graph) if tracer is None else tracer

    def __repr__(self) -> str:
        return f"Proxy({self.node.name})"

    def __getattr__(self, name: str) -> Attribute:
        if name in ("node", "tracer"):
            raise AttributeError(name)
        return Attribute(self, name)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __deepcopy__(self, memo: dict[int, Any]) -> Proxy:
        made = type(self).__new__(type(self))
        made.__dict__ = dict(self.__dict__)
        return made

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", "__call__", (self, *args), kwargs)

    def __iter__(self) -> Iterator[Any]:
        return self.tracer.iter(self)

    def __abs__(self) -> Any:
        return self.tracer.create_proxy("call_function", abs, (self,), {})

    def __bool__(self) -> bool:
        return self.tracer.to_bool(self)

    def keys(self) -> Any:
        return self.tracer.keys(self)

    def __len__(self) -> int:
        raise RuntimeError(
            "'len' is not supported in symbolic tracing by default. If you want this call to be recorded, please call torch.fx.wrap('len') "
            "at module scope"
        )

    @classmethod
    def __torch_function__(cls, orig_method: Any, types: Any, args: Any = None, kwargs: Any = None) -> Any:
        args, kwargs = args or (), kwargs or {}
        found: list[TracerBase] = []
        map_aggregate((args, kwargs), lambda v: found.append(v.tracer) if isinstance(v, Proxy) else None)
        if len(set(map(id, found))) > 1:
            raise RuntimeError(
                f"Found multiple different tracers {found} while trying to trace operations {orig_method}"
            )
        tracer = found[0]
        if is_tensor_method_or_property(orig_method) and not _is_public(orig_method):
            return tracer.create_proxy(
                "call_method", _METHODS.get(orig_method.__name__, orig_method.__name__), args, kwargs
            )
        return tracer.create_proxy(
            "call_function", orig_method, args, kwargs, name=getattr(orig_method, "__name__", None)
        )


_METHODS = {"__get__": "__getattribute__"}


def _is_public(function: Any) -> bool:
    """Whether the method is a function of the namespace, too: then the call is one of the function."""
    return getattr(lamina, getattr(function, "__name__", ""), None) is function


class Attribute(Proxy):
    """An attribute of a Proxy: a node only if it is used as a value; a call of it is a call of the method."""

    def __init__(self, root: Proxy, attr: str) -> None:
        self.root, self.attr, self.tracer = root, attr, root.tracer
        self._node: Node | None = None

    @property
    def node(self) -> Node:  # type: ignore[override]
        if self._node is None:
            self._node = self.tracer.create_proxy("call_function", getattr, (self.root, self.attr), {}).node
        return self._node

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", self.attr, (self.root, *args), kwargs)


def _operator(name: str) -> Callable[..., Any]:
    function = getattr(operator, name)

    def method(self: Proxy, *others: Any) -> Any:
        return self.tracer.create_proxy("call_function", function, (self, *others), {})

    method.__name__ = f"__{name.strip('_')}__"
    return method


def _reflected(name: str) -> Callable[..., Any]:
    function = getattr(operator, name)

    def method(self: Proxy, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", function, (other, self), {})

    method.__name__ = f"__r{name.strip('_')}__"
    return method


for _name in MAGIC:
    setattr(Proxy, f"__{_name.strip('_')}__", _operator(_name))
for _name in (
    "add",
    "sub",
    "mul",
    "floordiv",
    "truediv",
    "mod",
    "pow",
    "lshift",
    "rshift",
    "and_",
    "or_",
    "xor",
    "matmul",
):
    setattr(Proxy, f"__r{_name.strip('_')}__", _reflected(_name))
Proxy.__hash__ = object.__hash__  # type: ignore[method-assign]  # which __eq__ has taken
