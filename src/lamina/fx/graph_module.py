"""A module whose forward is a graph: the graph's text, compiled by Python, with the attributes that the graph names.

Here: GraphModule. Not here: the text (codegen.py).
"""

from __future__ import annotations

import copy
import itertools
import linecache
from typing import Any

import lamina
from lamina.fx.graph import Graph
from lamina.nn.modules.module import Module

_NUMBERS = itertools.count()


def _compiled(source: str, known: dict[str, Any]) -> Any:
    """The function `forward` of a text, which tracebacks and debuggers can show."""
    key = f"<eval_with_key>.{next(_NUMBERS)}"
    linecache.cache[key] = (len(source), None, source.splitlines(keepends=True), key)
    names = dict(known)
    exec(compile(source, key, "exec"), names)  # noqa: S102 - the text of a graph is Python
    return names["forward"]


def _take(source: Module, target: Module, path: str) -> None:
    """Give `target` what lies at `path` below `source`; modules on the way are plain ones."""
    *above, last = path.split(".")
    there, here = source, target
    for part in above:
        there = getattr(there, part)
        below = getattr(here, part, None)
        if below is there:  # the whole of it is here already
            return
        if below is None:
            below = Module()
            setattr(here, part, below)
        here = below
    value = getattr(there, last)
    if isinstance(value, lamina.Tensor) and not isinstance(value, lamina.nn.Parameter):
        here.register_buffer(last, value, persistent=last not in there._non_persistent_buffers_set)
    else:
        setattr(here, last, value)


class GraphModule(Module):
    """A module made of a graph, and of what the graph uses of `root` (a Module, or a dict of attributes by path).

    Assigning `graph` or calling `recompile()` makes forward anew. Raises RuntimeError for a path that root lacks.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> GraphModule:
        # a class of its own for each, as it has a forward of its own
        while "_one" in vars(cls):
            cls = cls.__bases__[0]
        made = type("GraphModuleImpl", (cls,), {"_one": True, "__module__": cls.__module__})
        return super().__new__(made)

    def __init__(self, root: Module | dict[str, Any], graph: Graph, class_name: str = "GraphModule") -> None:
        super().__init__()
        type(self).__name__ = class_name
        reading = {n.target: n for n in graph.nodes if n.op in ("get_attr", "call_module")}
        if isinstance(root, Module):
            self.training = root.training
            for path in reading:
                _take(root, self, path)
        elif isinstance(root, dict):
            for path in sorted(reading, key=lambda p: p.count(".")):
                if path not in root:
                    raise RuntimeError(
                        f"Node {reading[path]} referenced target {path} but that target was not provided in ``root``!"
                    )
                holder = self
                *above, last = path.split(".")
                for part in above:
                    if getattr(holder, part, None) is None:
                        setattr(holder, part, Module())
                    holder = getattr(holder, part)
                setattr(holder, last, root[path])
        else:
            raise RuntimeError(f"Unsupported type {type(root)} passed for root!")
        self.graph = graph
        self.meta: dict[str, Any] = dict(getattr(root, "meta", {}) or {})

    @property
    def graph(self) -> Graph:
        """The graph; assigning one makes forward anew."""
        return self._graph

    @graph.setter
    def graph(self, g: Graph) -> None:
        if not isinstance(g, Graph):
            raise AssertionError(f"Expected a Graph instance, but got {type(g)}")
        self._graph = g
        g.owning_module = self
        self.recompile()

    @property
    def code(self) -> str:
        """The text of forward."""
        if not hasattr(self, "_code"):
            raise RuntimeError("Code has not been generated! Please report a bug to PyTorch")
        return self._code

    def recompile(self) -> Any:
        """Make forward of the graph as it now is; to be called after changing it."""
        made = self._graph.python_code(root_module="self")
        self._code: str = made.src
        type(self).forward = _compiled(made.src, made.globals)  # type: ignore[method-assign]
        return made

    def add_submodule(self, target: str, m: Module) -> bool:
        """Put a module at a path, making the ones above. False: the path leads through something else."""
        *above, last = target.split(".")
        at: Any = self
        for part in above:
            below = getattr(at, part, None)
            if below is None:
                below = Module()
                setattr(at, part, below)
            if not isinstance(below, Module):
                return False
            at = below
        at.add_module(last, m)
        return True

    def delete_submodule(self, target: str) -> bool:
        """Remove the module at a path. False: there is none."""
        path, _, last = target.rpartition(".")
        try:
            holder = self.get_submodule(path)
        except AttributeError:
            return False
        if not isinstance(getattr(holder, last, None), Module):
            return False
        delattr(holder, last)
        return True

    def delete_all_unused_submodules(self) -> None:
        """Remove the modules that the graph neither calls nor reads from."""
        used: set[str] = set()
        for node in self.graph.nodes:
            if node.op in ("call_module", "get_attr"):
                parts = node.target.split(".")
                used |= {".".join(parts[:i]) for i in range(len(parts) + 1)}
                if node.op == "call_module":
                    used |= {f"{node.target}.{n}" for n, _ in self.get_submodule(node.target).named_modules() if n}
        for name in [name for name, _ in self.named_modules() if name not in used]:
            self.delete_submodule(name)

    def to_folder(self, folder: Any, module_name: str = "FxModule") -> None:
        """Raises NotImplementedError: write `code`, and save the state_dict."""
        raise NotImplementedError(
            "GraphModule.to_folder is not there; write gm.code to a file and save gm.state_dict()"
        )

    def print_readable(
        self,
        print_output: bool = True,
        include_stride: bool = False,
        include_device: bool = False,
        colored: bool = False,
        **more: Any,
    ) -> str:
        """The text as a class, printed and returned."""
        body = "".join(f"    {line}\n" if line.strip() else "\n" for line in self.code.strip("\n").split("\n")).rstrip()
        text = f"class {type(self).__name__}(torch.nn.Module):\n{body}\n"
        if print_output:
            print(text)
        return text

    def __str__(self) -> str:
        return (
            f"{super().__repr__()}\n{self.code}\n# To see more debug info, please use `graph_module.print_readable()`"
        )

    def __reduce__(self) -> Any:
        state = {k: v for k, v in self.__dict__.items() if k != "_graph"}
        known = self._graph.python_code("self").globals
        return _rebuilt, (state, self.code, {k: v for k, v in known.items() if k != "torch"}, type(self).__name__)

    def __deepcopy__(self, memo: dict[int, Any]) -> GraphModule:
        held = Module()
        held.__dict__.update(copy.deepcopy({k: v for k, v in self.__dict__.items() if k != "_graph"}, memo))
        made = GraphModule.__new__(type(self))
        memo[id(self)] = made
        made.__init__(held, copy.deepcopy(self._graph, memo), type(self).__name__)  # type: ignore[misc]
        made.__dict__.update({k: v for k, v in held.__dict__.items() if k not in made.__dict__ or k == "meta"})
        return made

    def __copy__(self) -> GraphModule:
        return GraphModule(self, copy.deepcopy(self._graph), type(self).__name__)


def _rebuilt(state: dict[str, Any], source: str, known: dict[str, Any], name: str) -> GraphModule:
    """A GraphModule from its text, which is traced again."""
    from lamina.fx.tracer import Tracer  # the tracer makes GraphModules

    class Whole(Tracer):
        """Each module that the text calls is one node of it."""

        def is_leaf_module(self, m: Module, module_qualified_name: str) -> bool:
            return True

    held = type("Held", (Module,), {"forward": _compiled(source, {"torch": lamina, **known})})()
    held.__dict__.update(state)
    return GraphModule(held, Whole().trace(held), name)
