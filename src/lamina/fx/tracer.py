"""Symbolic tracing: a module or function is run on Proxies, and what it does becomes a graph.

Here: which modules are looked into, how their attributes are named, which functions of the program's own are kept whole. Not here:
operations on Proxies (proxy.py).
"""

from __future__ import annotations

import builtins
import functools
import inspect
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import CodeType, FunctionType, ModuleType
from typing import Any, get_type_hints

import lamina
from lamina.fx.graph import Graph
from lamina.fx.graph_module import GraphModule
from lamina.fx.node import map_aggregate
from lamina.fx.proxy import Proxy, TraceError, TracerBase
from lamina.nn.modules.container import Sequential
from lamina.nn.modules.module import Module

_WRAPPED: list[tuple[dict[str, Any], str]] = []
"""Where `wrap` was asked for: a module's globals, and the name of the function there."""


class _Placeholder:
    """In `concrete_args`: this leaf of the argument stays an input."""

    def __repr__(self) -> str:
        return "PH"


PH = _Placeholder()


def wrap(fn_or_name: Any) -> Any:
    """Keep calls of a function whole: in traced programs they become one node. At module scope, as decorator or with a name.

    Raises RuntimeError for what is neither function nor name, NotImplementedError inside a function.
    """
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError("Unsupported type for global function! Must be either a callable or string name")
    name = fn_or_name.__name__ if callable(fn_or_name) else fn_or_name
    frame = sys._getframe(1)
    if frame.f_code.co_name != "<module>":
        raise NotImplementedError("wrap must be called at the top level of a module")
    if callable(fn_or_name):
        fn_or_name._fx_wrapped = True
    _WRAPPED.append((frame.f_globals, name))
    return fn_or_name


class Tracer(TracerBase):
    """Traces a module or function; a subclass may say which modules stay whole (`is_leaf_module`), and see each call."""

    def __init__(
        self, autowrap_modules: Sequence[ModuleType] = (math,), autowrap_functions: Sequence[Callable[..., Any]] = (),
        param_shapes_constant: bool = False,
    ) -> None:  # fmt: skip
        self._whole = {f for m in autowrap_modules for f in vars(m).values() if callable(f)} | set(autowrap_functions)
        self._wrapped_modules = tuple(autowrap_modules)
        self.param_shapes_constant = param_shapes_constant
        self.root: Module = Module()
        self.submodule_paths: dict[Module, str] | None = None
        self._constants: dict[int, str] = {}

    # ---- what a subclass decides -------------------------------------------------------------------------------------

    def is_leaf_module(self, m: Module, module_qualified_name: str) -> bool:
        """Whether a call of `m` is one node: so are torch.nn's own, except Sequential."""
        return m.__module__.startswith(("torch.nn", "lamina.nn")) and not isinstance(m, Sequential)

    def path_of_module(self, mod: Module) -> str:
        """The path of a submodule below the root. Raises NameError for another module."""
        if self.submodule_paths is not None and mod in self.submodule_paths:
            return self.submodule_paths[mod]
        for name, found in self.root.named_modules():
            if found is mod:
                return name
        raise NameError("module is not installed as a submodule")

    def call_module(self, m: Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What a call of a module is in the graph: one node, or what its forward does."""
        path = self.path_of_module(m)
        if self.is_leaf_module(m, path):
            return self.create_proxy("call_module", path, args, kwargs)
        return forward(*args, **kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """What the program gets when it reads an attribute of a module: for a parameter, a Proxy."""
        named = [self.root.named_parameters] if isinstance(attr_val, lamina.nn.Parameter) else []
        if self.proxy_buffer_attributes and isinstance(attr_val, lamina.Tensor):
            named.append(self.root.named_buffers)  # type: ignore[arg-type]
        for listing in named:
            for path, value in listing():
                if value is attr_val:
                    if path not in parameter_proxy_cache:
                        parameter_proxy_cache[path] = self.create_proxy("get_attr", path, (), {})
                    return parameter_proxy_cache[path]
        return attr_val

    # ---- arguments ---------------------------------------------------------------------------------------------------

    def create_arg(self, a: Any) -> Any:
        """As TracerBase's; tensors and modules are read off the root, where they are put if they are not there."""
        if isinstance(a, lamina.nn.Parameter):
            for path, value in self.root.named_parameters():
                if value is a:
                    return self.create_node("get_attr", path, (), {})
            raise NameError("parameter is not a member of this module")
        if isinstance(a, lamina.Tensor):
            for path, value in self.root.named_buffers():
                if value is a:
                    return self.create_node("get_attr", path, (), {})
            return self.create_node("get_attr", self._constant(a, "_tensor_constant"), (), {})
        if isinstance(a, Module):
            return self.create_node("get_attr", self.path_of_module(a), (), {})
        return super().create_arg(a)

    def _constant(self, value: Any, prefix: str) -> str:
        """The name of an attribute of the root that holds `value`."""
        if id(value) not in self._constants:
            self._constants[id(value)] = name = self.get_fresh_qualname(prefix)
            setattr(self.root, name, value)
        return self._constants[id(value)]

    def get_fresh_qualname(self, prefix: str) -> str:
        """A name that no attribute of the root has yet."""
        number = 0
        while hasattr(self.root, f"{prefix}{number}"):
            number += 1
        return f"{prefix}{number}"

    def create_args_for_root(self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None) -> Any:
        """The function to run, and a Proxy for each of its arguments."""
        code = inspect.unwrap(root_fn).__code__
        names = code.co_varnames
        count = code.co_argcount + code.co_kwonlyargcount
        signature, hints = inspect.signature(root_fn), _hints(root_fn)
        args: list[Any] = [self.root] if is_module else []
        concrete = (
            dict(concrete_args)
            if isinstance(concrete_args, dict)
            else dict(zip(names[len(args) : count], concrete_args or (), strict=False))
        )
        for name in names[len(args) : count]:
            args.append(self._input(name, signature.parameters.get(name), hints.get(name), concrete))
        fn: Callable[..., Any] = root_fn
        if code.co_kwonlyargcount:
            fn = _positional(root_fn, code)
        starred = []
        at = count
        for flag, stars in ((inspect.CO_VARARGS, "*"), (inspect.CO_VARKEYWORDS, "**")):
            if code.co_flags & flag:
                starred.append(self.create_proxy("placeholder", f"{stars}{names[at]}", (), {}))
                at += 1
        if not starred:
            return fn, args
        has_args = bool(code.co_flags & inspect.CO_VARARGS)
        return _with_rest(code, root_fn, has_args), [*args, *starred]

    def _input(self, name: str, parameter: inspect.Parameter | None, kind: Any, concrete: dict[str, Any]) -> Any:
        default = () if parameter is None or parameter.default is parameter.empty else (parameter.default,)
        if name not in concrete or isinstance(concrete[name], _Placeholder):
            return self.create_proxy("placeholder", name, default, {}, type_expr=kind)
        value = concrete[name]
        given = self.create_proxy("placeholder", f"{name}_1", default, {}, type_expr=kind)
        if isinstance(value, (bool, int, float)) or value is None or isinstance(value, str):
            said = f"{name} has been specialized to have value {value} but got another value"
            if value is not None and not isinstance(value, str):
                lamina._assert(given == value, said)
            return value
        if isinstance(value, (tuple, list, dict)):
            raise NotImplementedError(
                f"concrete_args: nested values are not there ({name}); bind them with functools.partial"
            )
        return value

    # ---- the run -----------------------------------------------------------------------------------------------------

    def trace(self, root: Module | Callable[..., Any], concrete_args: dict[str, Any] | None = None) -> Graph:
        """Run `root` on Proxies. concrete_args: arguments that are constants of the graph. Raises TraceError."""
        is_module = isinstance(root, Module)
        if is_module:
            self.root = root  # type: ignore[assignment]
            fn = type(root).forward
            self.submodule_paths = {}
            for path, mod in root.named_modules():  # type: ignore[union-attr]
                self.submodule_paths.setdefault(mod, path)
        else:
            self.root, fn = Module(), root
        self._constants = {}
        self.graph = Graph(tracer_cls=type(self))
        fn, args = self.create_args_for_root(fn, is_module, concrete_args)
        with self._looking(getattr(fn, "__globals__", {})):
            result = fn(*args)
            kind = _hints(fn).get("return")
            self.create_node("output", "output", (self.create_arg(result),), {}, type_expr=kind)
        self.submodule_paths = None
        return self.graph

    @contextmanager
    def _looking(self, names: dict[str, Any]) -> Iterator[None]:
        """While a program runs on Proxies: modules' calls and attributes, and functions to be kept whole, come by here."""
        seen: dict[str, Any] = {}
        call, get = Module.__call__, Module.__getattr__

        @functools.wraps(call)
        def called(mod: Module, *args: Any, **kwargs: Any) -> Any:
            return self.call_module(mod, lambda *a, **k: call(mod, *a, **k), args, kwargs)

        @functools.wraps(get)
        def got(mod: Module, name: str) -> Any:
            return self.getattr(name, get(mod, name), seen)

        replaced: list[tuple[dict[str, Any], str, Any]] = []
        for where, name in [*_WRAPPED, *((names, n) for n, v in names.items() if _hashable(v) and v in self._whole)]:
            value = where.get(name, getattr(builtins, name, None))
            if value is not None:
                replaced.append((where, name, where.get(name, _MISSING)))
                where[name] = _kept_whole(value)
        modules = [
            (m, n, f)
            for m in self._wrapped_modules
            for n, f in vars(m).items()
            if callable(f) and not n.startswith("_")
        ]
        try:
            Module.__call__, Module.__getattr__ = called, got  # type: ignore[method-assign]
            for module, name, function in modules:
                setattr(module, name, _kept_whole(function))
            yield
        finally:
            Module.__call__, Module.__getattr__ = call, get  # type: ignore[method-assign]
            for module, name, function in modules:
                setattr(module, name, function)
            for where, name, value in reversed(replaced):
                if value is _MISSING:
                    del where[name]
                else:
                    where[name] = value


_MISSING = object()


def _hints(function: Any) -> dict[str, Any]:
    """What a function's annotations say, where they can be read and say anything."""
    try:
        hints = get_type_hints(inspect.unwrap(function))
    except Exception:  # names that the program does not have when it runs
        return {}
    return {name: hint for name, hint in hints.items() if hint is not Any}


def _hashable(value: Any) -> bool:
    return isinstance(value, FunctionType) or type(value).__name__ == "builtin_function_or_method"


def _kept_whole(function: Any) -> Any:
    """A function of which a call with Proxies is one node."""

    @functools.wraps(function)
    def kept(*args: Any, **kwargs: Any) -> Any:
        found: list[Proxy] = []
        map_aggregate((args, kwargs), lambda v: found.append(v) if isinstance(v, Proxy) else None)
        if not found:
            return function(*args, **kwargs)
        return found[0].tracer.create_proxy("call_function", function, args, kwargs)

    return kept


def _positional(function: Callable[..., Any], code: CodeType) -> Callable[..., Any]:
    """The function with its keyword-only arguments given by place."""
    names = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]

    @functools.wraps(function)
    def called(*args: Any) -> Any:
        return function(*args[: code.co_argcount], **dict(zip(names, args[code.co_argcount :], strict=True)))

    return called


def _with_rest(code: CodeType, function: Callable[..., Any], has_args: bool) -> Callable[..., Any]:
    """The function with what `*args` and `**kwargs` name given as single values: its body sees the Proxies."""
    flags = code.co_flags & ~(inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    both = has_args + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    plain = code.replace(
        co_flags=flags, co_argcount=code.co_argcount + code.co_kwonlyargcount + both, co_kwonlyargcount=0
    )
    plain_function: Any = inspect.unwrap(function)
    return FunctionType(plain, plain_function.__globals__, plain_function.__name__, None, plain_function.__closure__)


def symbolic_trace(root: Module | Callable[..., Any], concrete_args: dict[str, Any] | None = None) -> GraphModule:
    """The program of a module or function as a GraphModule. concrete_args: arguments that are constants of it.

    Raises TraceError (a ValueError) where the program branches on values.
    """
    tracer = Tracer()
    graph = tracer.trace(root, concrete_args)
    name = type(root).__name__ if isinstance(root, Module) else root.__name__
    return GraphModule(tracer.root, graph, name)


__all__ = ["PH", "TraceError", "Tracer", "symbolic_trace", "wrap"]
